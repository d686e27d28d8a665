#!/usr/bin/python3
"""Delayed events over tcp: stored at once and delivered when their time has come, in the order of
times, also when the node was killed meanwhile; and what is refused."""
import base64
import json
import pathlib
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kit"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "examples/peer_python"))
from real_node import PROGRAM, RealNode  # noqa: E402

import peer as peers  # noqa: E402

SECONDS_MAX = 60
STORED, DUPLICATE, REJECTED = 1, 2, 4
LIMIT, FIELD_TYPE, NOT_DELAYABLE = 3, 204, 418
HOUR_US = 3600 * 1000000


def now_us():
    return time.time_ns() // 1000


class Delay(unittest.TestCase):
    def start(self, *settings, create=("--partitions", "1")):
        self.node = self.enterContext(RealNode(*settings))
        done = self.node.run("topic", "create", "t", *create)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.schema = json.loads(subprocess.run([PROGRAM, "schema", "--format", "json"],
                                                stdout=subprocess.PIPE, check=True).stdout)

    def publish(self, *events, wait=True):
        """What became of events, each a map of fields: (result, error)."""
        outcomes = []
        peer = peers.Peer(self.schema, self.node.endpoint, "asker", {
            "welcome": lambda *_: [peer.post(
                "publish", lambda outcome: outcomes.append((outcome["result"], outcome["error"])),
                **({"topic": "t", "key": b"k"} | event)) for event in events]})
        late = time.monotonic() + SECONDS_MAX
        while len(outcomes) < len(events) and wait:
            self.assertLess(time.monotonic(), late)
            peer.poll()
        peer.post("goodbye")
        peer.flush()
        peer.socket.close()
        return outcomes

    def look(self, count, *options):
        """The first events of the topic, as they come."""
        tail = subprocess.Popen(self.node.command("tail", "--topic", "t", "--from", "earliest",
                                                  "--format", "json", *options),
                                stdout=subprocess.PIPE)
        with tail:
            events = [json.loads(tail.stdout.readline()) for _ in range(count)]
            tail.terminate()
        self.assertEqual([event["offset"] for event in events], list(range(1, count + 1)))
        for event in events:
            self.assertLessEqual(event.get("not_before", ""), event["accepted"])
        return events

    def payloads(self, count, *options):
        return [base64.b64decode(event["payload"]).decode() for event in self.look(count, *options)]

    def is_in_the_store(self, text):
        return any(text in path.read_bytes()
                   for path in pathlib.Path(self.node.folder).glob("capstan.db*"))

    def figures(self):
        done = self.node.run("topic", "describe", "t", "--json")
        topic = json.loads(done.stdout)
        return topic["events"], topic["scheduled_items"]

    def test_order_is_that_of_times_and_the_consumer_sees_them(self):
        self.start()
        base = now_us()
        rows = [("late", base + 4000000), ("early", base + 3000000), ("early too", base + 3000000),
                ("past", base - HOUR_US)]
        self.assertEqual(self.publish(*[{"payload": name.encode(), "not_before_us": due}
                                        for name, due in rows], {"payload": b"at once"}),
                         [(STORED, 0)] * 5)
        self.assertEqual(self.figures(), (2, 3))
        topic = self.node.topic("t")
        self.assertEqual(topic["scheduled_due_us"], base + 3000000)
        self.assertEqual(self.payloads(5), ["past", "at once", "early", "early too", "late"])
        self.assertGreaterEqual(now_us(), base + 4000000)
        self.assertEqual(self.figures(), (5, 0))
        metrics = self.node.status()["metrics"]
        self.assertEqual([metrics["ordering." + name] for name in
                          ("events_stored", "events_scheduled", "events_released", "scheduled")],
                         [5, 3, 3, 0])

    def test_kills_lose_none_double_none_and_release_none_too_early(self):
        self.start("ordering.snapshot_records=16", create=("--partitions", "1", "--set",
                                                           "id_window_ms=3600000"))
        base = now_us()
        total = 120
        due = {n: base + 400000 + (n * 7919) % 4000000 for n in range(1, total + 1)}
        events = [{"producer": "p", "sequence": n, "payload": b"%d" % n, "not_before_us": due[n]}
                  for n in due]
        self.assertEqual(self.publish(*events), [(STORED, 0)] * total)
        for _ in range(4):
            self.node.kill()
            time.sleep(0.3)
            self.node.start()
            time.sleep(0.5)
            self.assertEqual(self.publish(*events), [(DUPLICATE, 0)] * total)
        seen = [int(payload) for payload in self.payloads(total)]
        self.assertEqual(sorted(seen), sorted(due))
        self.assertEqual(seen, sorted(due, key=lambda n: (due[n], n)))
        self.assertEqual(self.figures(), (total, 0))
        self.assertEqual(self.publish(*events), [(DUPLICATE, 0)] * total)

    def test_what_came_due_while_the_node_was_down_comes_right_after_its_start(self):
        self.start()
        base = now_us()
        self.publish(*[{"payload": name, "not_before_us": base + after} for name, after in
                       [(b"b", 2500000), (b"a", 2000000), (b"c", 3000000), (b"far", HOUR_US)]])
        self.node.kill()
        time.sleep(max(0, base + 3100000 - now_us()) / 1e6)
        self.node.start()
        self.assertEqual(self.payloads(3, "--group", "g"), ["a", "b", "c"])
        self.assertEqual(self.figures(), (3, 1))
        self.assertEqual(self.node.status()["metrics"]["ordering.scheduled"], 1)

    def cancel(self, **fields):
        """The answer to a scheduled_cancel."""
        answers = []
        peer = peers.Peer(self.schema, self.node.endpoint, "asker", {
            "welcome": lambda *_: peer.post("scheduled_cancel", answers.append, topic="t",
                                            **fields)})
        late = time.monotonic() + SECONDS_MAX
        while not answers:
            self.assertLess(time.monotonic(), late)
            peer.poll()
        peer.socket.close()
        return answers[0]["events"]

    def test_what_is_cancelled_is_never_delivered(self):
        self.start(create=("--partitions", "1", "--set", "id_window_ms=3600000"))
        due = now_us() + 5000000
        events = [{"key": key, "producer": "p", "sequence": n, "payload": b"%d" % n,
                   "not_before_us": due} for n, key in enumerate([b"a", b"a", b"b", b"b"], 1)]
        self.assertEqual(self.publish(*events), [(STORED, 0)] * 4)
        self.assertEqual(self.cancel(key=b"a", producer="p", sequence=2), 1)
        self.assertEqual(self.cancel(key=b"a", producer="p", sequence=2), 0)
        done = self.node.run("topic", "cancel", "t", "--key", "b")
        self.assertEqual((done.returncode, done.stdout), (0, b"t: 2 events cancelled\n"))
        self.assertEqual(self.figures(), (0, 1))
        self.node.kill()
        self.node.start()
        self.assertEqual(self.publish(*events), [(DUPLICATE, 0)] * 4)
        self.assertEqual(self.payloads(1), ["1"])
        self.assertEqual(self.node.run("topic", "cancel", "t", "--key", "a", "--json").stdout,
                         b'{"topic":"t","cancelled":0}\n')
        self.publish({"not_before_us": now_us() + HOUR_US})
        self.cancel(key=b"k")
        metrics = self.node.status()["metrics"]
        self.assertEqual((metrics["ordering.events_cancelled"], metrics["ordering.scheduled"]),
                         (1, 0))
        for wrong, text in [(("--key", ""), b"key: 1 to 1024 bytes"), ((), b"needs --key")]:
            done = self.node.run("topic", "cancel", "t", *wrong)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(text, done.stderr)

    def test_a_crowd_that_comes_due_at_once_keeps_its_order(self):
        self.start()
        total, due = 4000, now_us() + 4000000
        events = [{"payload": b"%d" % n + b" " * 1000, "not_before_us": due}
                  for n in range(total)]
        self.assertEqual(self.publish(*events), [(STORED, 0)] * total)
        self.assertEqual([int(payload) for payload in self.payloads(total)], list(range(total)))

    def test_retention_leaves_what_waits(self):
        self.start("ordering.snapshot_records=16",
                   create=("--partitions", "1", "--set", "retention_bytes=50000"))
        due = now_us() + 6000000
        self.publish({"payload": b"patient", "not_before_us": due})
        last, late = 2000, time.monotonic() + SECONDS_MAX
        self.publish(*[{"payload": bytes(200)}] * last)
        while self.node.topic("t")["events_kept"] > 600:
            self.assertLess(time.monotonic(), late)
            time.sleep(0.1)
        self.node.kill()
        self.node.start()
        tail = subprocess.Popen(self.node.command("tail", "--topic", "t", "--from", "earliest",
                                                  "--format", "json"), stdout=subprocess.PIPE)
        with tail:
            event = json.loads(tail.stdout.readline())
            self.assertGreater(event["offset"], 1)
            while event["offset"] <= last:
                event = json.loads(tail.stdout.readline())
            tail.terminate()
        self.assertEqual(base64.b64decode(event["payload"]), b"patient")
        self.assertIn("not_before", event)

    def test_accepted_topics_answer_a_delayed_event_when_it_is_on_disk(self):
        self.start(create=("--partitions", "1", "--set", "durability=accepted"))
        due = now_us() + 3000000
        self.assertEqual(self.publish({"payload": b"later", "not_before_us": due}), [(STORED, 0)])
        self.node.kill()
        self.node.start()
        self.assertEqual(self.payloads(1), ["later"])
        self.assertGreaterEqual(now_us(), due)

    def test_what_cannot_be_delayed_is_refused(self):
        self.start("ordering.scheduled_items_max=2")
        due = now_us() + HOUR_US
        far = now_us() + 11 * 366 * 24 * HOUR_US
        self.assertEqual(self.publish(*[{"not_before_us": wrong} for wrong in
                                        (-5, far, 2 ** 63 - 1, due // 1000, due // 1000000)]),
                         [(REJECTED, NOT_DELAYABLE)] * 5)
        self.assertEqual(self.publish(*[{"not_before_us": wrong} for wrong in
                                        ("tomorrow", 1.5, 2 ** 64 - 1)]),
                         [(REJECTED, FIELD_TYPE)] * 3)
        self.assertEqual(self.publish(*[{"not_before_us": due}] * 3, {}),
                         [(STORED, 0)] * 2 + [(REJECTED, LIMIT), (STORED, 0)])
        self.node.run("topic", "create", "n", "--sequence", "producer")
        self.assertEqual(self.publish({"topic": "n", "producer": "p", "sequence": 1,
                                       "not_before_us": due}), [(REJECTED, NOT_DELAYABLE)])
        done = self.node.run("feed", "--topic", "n", "--key", "k", "--seq", "s", "--not-before",
                             "at", "-", data=b"k,s,at\n")
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"--not-before goes without --seq", done.stderr)

    def test_feed_delays_rows_and_says_what_is_wrong_with_one(self):
        self.start()
        due = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 4))
        done, summary = self.node.feed("--topic", "t", "--key", "k", "--not-before", "at", "-",
                                       data=f"k,at,n\na,{due},1\na,,2\na,soon,3\n".encode())
        self.assertEqual((done.returncode, summary["acked"], summary["bad"]), (1, 2, 1))
        self.assertIn(b"field 'at': 'soon' ", done.stderr)
        self.assertEqual([event["payload"]["n"] for event in self.look(2)], ["2", "1"])
        done, summary = self.node.feed("--topic", "t", "--key", "k", "--not-before", "at", "-",
                                       data=b"k,at\na,2099-01-01T00:00:00Z\n")
        self.assertEqual((done.returncode, summary["rejected"]), (1, 1))
        self.assertIn(b"NOT_DELAYABLE", done.stderr)

    def test_erasing_and_deleting_reach_what_waits(self):
        self.start()
        due = now_us() + 4000000
        self.publish({"key": b"ada", "payload": b"a well kept secret", "not_before_us": due},
                     {"key": b"bob", "payload": b"stays", "not_before_us": due})
        self.assertTrue(self.is_in_the_store(b"a well kept secret"))
        done = self.node.run("topic", "erase", "t", "--key", "ada")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse(self.is_in_the_store(b"a well kept secret"))
        self.node.kill()
        self.node.start()
        first, second = self.look(2)
        self.assertTrue(first["erased"])
        self.assertEqual(base64.b64decode(second["payload"]), b"stays")
        self.publish({"not_before_us": now_us() + HOUR_US})
        self.assertEqual(self.node.run("topic", "delete", "t").returncode, 0)
        self.node.run("topic", "create", "t", "--partitions", "1")
        self.assertEqual(self.figures(), (0, 0))
        self.assertEqual(self.node.status()["metrics"]["ordering.scheduled"], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
