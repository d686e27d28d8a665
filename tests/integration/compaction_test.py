#!/usr/bin/python3
"""A topic that is compacted to the last event of each key: what is left, for whom, through kills,
beside groups that lag, and with numbers of sequences that are known for ever."""
import collections
import json
import os
import pathlib
import random
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kit"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "examples/peer_python"))
from real_node import ENVIRONMENT, PROGRAM, RealNode  # noqa: E402

import peer as peers  # noqa: E402

SECONDS_MAX = 90
KEYS = 40
NOTE = "n" * 60


class Compaction(unittest.TestCase):
    def setUp(self):
        # So few that a run ends for want of room for keys, and the next one goes on there.
        self.node = self.enterContext(RealNode("ordering.compaction_keys_max=60"))
        self.next = collections.Counter()

    def create(self, *settings, partitions=1):
        options = [option for setting in ("compaction=key", *settings)
                   for option in ("--set", setting)]
        done = self.node.run("topic", "create", "t", "--partitions", str(partitions),
                             "--sequence", "producer", *options)
        self.assertEqual(done.returncode, 0, done.stderr)

    def rows(self, count, keys=KEYS):
        """The next events of random keys, as a CSV file."""
        lines = []
        for _ in range(count):
            key = f"k{random.randrange(keys)}"
            self.next[key] += 1
            lines.append(f"{key},{self.next[key]},{NOTE}")
        return ("key,seq,note\n" + "\n".join(lines) + "\n").encode()

    def feed(self, rows, accepted=None):
        done, summary = self.node.feed("--topic", "t", "--key", "key", "--seq", "seq",
                                       "--producer", "p", "-", data=rows)
        self.assertEqual(done.returncode, 0, done.stderr)
        if accepted is not None:
            self.assertEqual(summary["acked"], accepted)

    def look(self, *options):
        """The numbers of each key, in the order in which they were read."""
        numbers = collections.defaultdict(list)
        for line in self.node.tail("t", "--idle-ms", "300", "--format", "json", *options):
            payload = json.loads(line)["payload"]
            numbers[payload["key"]].append(int(payload["seq"]))
        return numbers

    def metric(self, name):
        return self.node.status()["metrics"][f"ordering.{name}"]

    def wait(self, condition):
        late = time.monotonic() + SECONDS_MAX
        while not condition():
            self.assertLess(time.monotonic(), late, self.node.log())
            time.sleep(0.1)

    def publish_nothing(self, *keys):
        """The next event of each key, without payload. Returns the results."""
        protocol = json.loads(subprocess.run([PROGRAM, "schema", "--format", "json"],
                                             stdout=subprocess.PIPE, check=True).stdout)
        results = []
        self.next.update(keys)
        peer = peers.Peer(protocol, self.node.endpoint, "p", {
            "welcome": lambda *_: [peer.post(
                "publish", lambda outcome: results.append(outcome["result"]), topic="t",
                producer="p", key=key.encode(), sequence=self.next[key]) for key in keys]})
        late = time.monotonic() + SECONDS_MAX
        while len(results) < len(keys):
            self.assertLess(time.monotonic(), late)
            peer.poll()
        peer.post("goodbye")
        peer.flush()
        peer.socket.close()
        return results

    def check(self, numbers):
        """Ascending, the last of each key among them."""
        self.assertEqual({key: list_[-1] for key, list_ in numbers.items()}, dict(self.next))
        for key, list_ in numbers.items():
            self.assertEqual(list_, sorted(set(list_)), key)

    def test_the_last_event_of_each_key_stays_for_looks_and_groups(self):
        self.create(partitions=2)
        rows = self.rows(4000)
        self.feed(rows, accepted=4000)
        self.wait(lambda: self.metric("compactions") >= 2)
        for options in ((), ("--group", "g"), ("--from", "0:1000", "--from", "1:5")):
            numbers = self.look(*options)
            self.check(numbers)
            self.assertLess(sum(map(len, numbers.values())), 1000)
        self.assertGreater(self.metric("events_compacted"), 3000)
        self.feed(rows, accepted=0)  # all of them are duplicates
        self.feed(self.rows(10), accepted=10)
        self.node.kill()
        self.node.start()
        self.feed(rows, accepted=0)
        self.check(self.look())

    def test_a_group_that_lags_loses_nothing(self):
        self.create()
        self.feed(self.rows(2000))
        self.look("--group", "slow")
        self.wait(lambda: self.metric("compactions") >= 1)
        before = collections.Counter(self.next)
        self.feed(self.rows(5000))
        time.sleep(3)
        runs = self.metric("compactions")
        self.assertEqual(runs, 1)
        numbers = self.look("--group", "slow")
        for key, list_ in numbers.items():
            self.assertEqual(list_, list(range(before[key] + 1, self.next[key] + 1)), key)
        self.wait(lambda: self.metric("compactions") > runs)
        numbers = self.look()
        self.check(numbers)
        self.assertLess(sum(map(len, numbers.values())), 2000)

    def test_kills_lose_no_last_event(self):
        random.seed(int(os.environ.get("CAPSTAN_SEED", "7")))
        self.create()
        for _ in range(8):
            self.feed(self.rows(2500, keys=200))
            time.sleep(random.uniform(0.2, 1))
            self.node.kill()
            self.node.start()
            self.check(self.look())
        self.wait(lambda: sum(map(len, self.look().values())) < 8000)
        self.check(self.look())
        self.assertEqual(self.node.topic("t")["events"], sum(self.next.values()))
        self.node.kill()
        done = subprocess.run(
            [PROGRAM, "store", "check", "--path", f"{self.node.folder}/capstan.db"],
            capture_output=True, env=ENVIRONMENT, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_an_event_without_payload_removes_its_key_after_a_while(self):
        self.create("compaction_tombstone_ms=60000", 'payload_schema={"required": ["note"]}')
        self.feed(self.rows(1000))
        gone = sorted(self.next)[:5]
        self.assertEqual(self.publish_nothing(*gone), [1] * len(gone))
        self.feed(self.rows(3000, keys=1), accepted=3000)  # of k0 alone
        gone.remove("k0")
        self.wait(lambda: self.metric("compactions") >= 1)
        offsets = [json.loads(line)["offset"] for line in
                   self.node.tail("t", "--idle-ms", "300", "--format", "json")]
        self.assertTrue({1002, 1003, 1004, 1005} <= set(offsets), offsets)  # still there
        self.node.run("topic", "alter", "t", "--set", "compaction_tombstone_ms=1")
        runs = self.metric("compactions")
        self.feed(self.rows(3000, keys=1), accepted=3000)
        self.wait(lambda: self.metric("compactions") > runs)
        numbers = self.look()
        self.assertEqual(set(numbers), set(self.next) - set(gone))
        self.feed(f"key,seq,note\n{gone[0]},{self.next[gone[0]]},x\n".encode(), accepted=0)

    def test_a_key_that_was_erased_stays_erased(self):
        self.create()
        self.feed(self.rows(3000))
        done = self.node.run("topic", "erase", "t", "--key", "k1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.feed(self.rows(3000))
        done = self.node.run("topic", "erase", "t", "--key", "k1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.wait(lambda: self.metric("compactions") >= 1)
        self.feed(self.rows(6000, keys=1))
        runs = self.metric("compactions")
        self.wait(lambda: self.metric("compactions") > runs)
        events = [json.loads(line) for line in
                  self.node.tail("t", "--idle-ms", "300", "--format", "json")]
        self.assertEqual([event["key"] for event in events].count("k1"), 1)
        self.assertEqual([event.get("payload") for event in events if event["key"] == "k1"],
                         [None])
        self.assertLess(len(events), 500)

    def test_it_is_turned_on_by_force_and_waits_for_the_lag(self):
        self.create("compaction_lag_ms=3600000")
        self.feed(self.rows(3000))
        time.sleep(2)
        self.assertEqual(self.metric("compactions"), 0)
        for setting, options, code in (("compaction=off", (), 0), ("compaction=key", (), 1),
                                       ("compaction=key", ("--force",), 0),
                                       ("compaction_lag_ms=0", (), 0)):
            done = self.node.run("topic", "alter", "t", "--set", setting, *options)
            self.assertEqual(done.returncode, code, done.stderr)
        self.wait(lambda: self.metric("compactions") >= 1)
        self.check(self.look())
        self.assertEqual(self.metric("events_compacted"), 3000 - len(self.next))


if __name__ == "__main__":
    unittest.main(verbosity=2)
