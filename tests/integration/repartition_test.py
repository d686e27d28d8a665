#!/usr/bin/python3
"""Another number of partitions for a topic that is used: producers publish and groups consume
through the change, the node is killed in it, and who replays everything afterwards still gets each
key's events once and in order."""
import collections
import contextlib
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kit"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "examples/peer_python"))
from real_node import ENVIRONMENT, PROGRAM, RealNode, slow_disk  # noqa: E402

import peer as peers  # noqa: E402

KEYS, LIMIT = 40, 60
KILLS = 40 if os.environ.get("CAPSTAN_FULL") else 6
STORED, DUPLICATE, REJECTED = 1, 2, 4


class Load:
    """A feed that publishes each key's events 1, 2, 3 ..., and one member of a group that prints
    what it gets; both go on through whatever happens to the node."""

    def __init__(self, node, rows, rate, group="g"):
        self.node, self.rows = node, rows
        self.file = tempfile.NamedTemporaryFile("w", suffix=".csv")
        self.file.write("key,seq\n")
        for row in range(rows):
            self.file.write(f"key-{row % KEYS},{row // KEYS + 1}\n")
        self.file.flush()
        self.feed = subprocess.Popen(
            node.command("feed", "--topic", "t", "--key", "key", "--seq", "seq", "--producer", "p",
                         "--rate", str(rate), "--timeout", str(LIMIT), "--reorder", "300",
                         "--duplicate", "0.02", self.file.name),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
        self.tail = subprocess.Popen(
            node.command("tail", "--topic", "t", "--group", group, "--format", "json"),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.tail.stdout))
        self.reader.start()

    def finish(self, others=0):
        """The feed's summary and the events that the member got, with so many others."""
        output, error = self.feed.communicate(timeout=3 * LIMIT)
        assert self.feed.returncode == 0, (output, error, self.node.log())
        late = time.monotonic() + LIMIT
        while len({event_of(line) for line in list(self.lines)}) < self.rows + others:
            assert time.monotonic() < late, f"{len(self.lines)} came\n{self.node.log()}"
            time.sleep(0.1)
        self.end()
        return json.loads(output.splitlines()[-1]), [event_of(line) for line in self.lines]

    def end(self):
        for process in self.feed, self.tail:
            process.terminate()
            process.wait(LIMIT)
        self.reader.join(LIMIT)
        for stream in self.feed.stdout, self.feed.stderr, self.tail.stdout:
            stream.close()
        self.file.close()


class Member:
    """A peer; with a `judge` a member of the group g, which acknowledges what it finds good and
    rejects what it does not."""

    def __init__(self, node, name, judge):
        self.judge, self.seen, self.stored, self.before = judge, [], 0, 0
        schema = json.loads(subprocess.run([PROGRAM, "schema", "--format", "json"],
                                           stdout=subprocess.PIPE, check=True).stdout)
        self.peer = peers.Peer(schema, node.endpoint, name, {
            "welcome": self.subscribe, "deliver": self.deliver,
            "acknowledged": self.acknowledged, "subscription_ended": self.subscribe})

    def subscribe(self, *_):
        self.before = self.stored
        if self.judge:
            self.peer.post("subscribe", topic="t", group="g")

    def acknowledged(self, body, _):
        self.stored = self.before + body["events"]

    def deliver(self, body, _):
        for event in body["events"]:
            self.seen.append((event["key"], event["sequence"]))
            place = {"partition": body["partition"], "offset": event["offset"]}
            if not self.judge:
                continue
            if self.judge(event):
                self.peer.post("acknowledge", subscription=body["subscription"],
                               through=[place | {"first": event["offset"]}])
            else:
                self.peer.post("reject", subscription=body["subscription"], **place)

    def until(self, condition):
        late = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < late, (self.stored, len(self.seen))
            self.peer.poll()

    def ask(self, name, **values):
        answers = []
        self.peer.post(name, answers.append, **values)
        self.until(lambda: answers)
        return answers[0]

    def publish(self, events):
        """The results, in the order of the events."""
        results = {}
        for place, event in enumerate(events):
            self.peer.post("publish", lambda outcome, at=place: results.update(
                {at: outcome["result"]}), payload=b"x", **event)
        self.until(lambda: len(results) == len(events))
        return [results[place] for place in range(len(events))]

    def close(self):
        self.peer.post("goodbye")
        self.peer.flush()
        self.peer.socket.close()


def event_of(line):
    event = json.loads(line)
    return event["key"], event["sequence"]


class Repartition(unittest.TestCase):
    def start(self, partitions, *settings):
        self.node = self.enterContext(RealNode(*settings))
        self.create("t", partitions, "producer")

    def create(self, topic, partitions, sequence, *more):
        done = self.node.run("topic", "create", topic, "--partitions", str(partitions),
                             "--sequence", sequence, *more)
        self.assertEqual(done.returncode, 0, done.stderr)

    def load(self, *arguments):
        load = Load(self.node, *arguments)
        self.addCleanup(load.end)
        return load

    def alter(self, partitions, topic="t", *more):
        return self.node.run("topic", "alter", topic, "--set", f"partitions={partitions}", *more)

    def change(self, partitions, topic="t"):
        done = self.alter(partitions, topic)
        self.assertEqual(done.returncode, 0, done.stderr + self.node.log().encode())

    def refused(self, why, done):
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn(why, done.stderr.decode())

    def partitions(self):
        return self.describe()["settings"]["partitions"]

    def feed(self, numbers):
        """Of every key the events with these numbers, from 0."""
        return self.publish_rows(f"key-{key},{number + 1}" for number in numbers
                                 for key in range(KEYS))

    def publish_keys(self, many, sequence):
        return self.publish_rows(f"one-{key},{sequence}" for key in range(many))

    def publish_rows(self, rows):
        data = "\n".join(["key,seq", *rows, ""]).encode()
        done, summary = self.node.feed("--topic", "t", "--key", "key", "--seq", "seq",
                                       "--producer", "p", "-", data=data)
        self.assertEqual(done.returncode, 0, done.stderr)
        return summary

    def member(self, name, judge=None):
        return contextlib.closing(Member(self.node, name, judge))

    def parked(self):
        return self.node.run("topic", "parked", "t", "--group", "g",
                             "--json").stdout.splitlines()

    def describe(self, topic="t"):
        return json.loads(self.node.run("topic", "describe", topic, "--json").stdout)

    def replay(self, group, topic="t", idle_ms=1500):
        done = self.node.run("tail", "--topic", topic, "--group", group, "--from", "earliest",
                             "--format", "json", "--idle-ms", str(idle_ms))
        self.assertEqual(done.returncode, 0, done.stderr)
        return [event_of(line) for line in done.stdout.splitlines()]

    def look(self):
        return [event_of(line) for line in
                self.node.tail("t", "--format", "json", "--idle-ms", "1500")]

    def in_order(self, events, count, once=True):
        """Each key's first deliveries are 1, 2, 3 ...; `once`: and there are no others."""
        keys = collections.defaultdict(list)
        for key, sequence in events:
            if once or sequence not in keys[key]:
                keys[key].append(sequence)
        for key, sequences in keys.items():
            self.assertEqual(sequences, list(range(1, len(sequences) + 1)), key)
        self.assertEqual(sum(map(len, keys.values())), count)

    def test_producers_and_groups_go_on_through_changes(self):
        self.start(4)
        load = self.load(8000, 2000)
        for partitions in 16, 5, 12:
            time.sleep(0.7)
            self.change(partitions)
        summary, events = load.finish()
        self.assertEqual((summary["acked"], summary["rejected"]), (8000, 0))
        self.in_order(events, 8000, once=False)
        self.in_order(self.replay("later"), 8000)
        state = self.describe()
        self.assertEqual(state["settings"]["partitions"], 12)
        self.assertEqual((len(state["partitions"]), state["repartitions"]), (16, 3))
        self.assertEqual(state["events"], 8000)
        self.assertEqual({group["lag"] for group in state["groups"]}, {0})

        self.node.kill()
        self.node.start()
        self.in_order(self.replay("after a crash"), 8000)
        self.in_order(self.look(), 8000)
        again = self.feed(range(200))
        self.assertEqual((again["duplicates"], again["acked"]), (8000, 0))

    def test_killed_at_any_point_it_is_changed_or_not(self):
        seed = random.SystemRandom().randrange(1 << 32)
        print(f"kills of seed {seed}", file=sys.stderr)
        dice = random.Random(seed)
        self.start(3, "ordering.snapshot_records=1000", "ordering.resident_keys_max=100")
        self.publish_keys(2000, 1)
        self.node.kill()
        self.node.environment |= slow_disk(1000000)  # so that it lasts
        self.node.start()
        begin = time.monotonic()
        self.change(7)
        lasts = time.monotonic() - begin
        load = self.load(300 * KILLS, 300)
        for turn in range(KILLS):
            wanted = dice.choice([n for n in (1, 2, 3, 5, 8, 13) if n != self.partitions()])
            change = subprocess.Popen(
                self.node.command("topic", "alter", "t", "--set", f"partitions={wanted}"),
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRONMENT)
            time.sleep(dice.random() * lasts)
            self.node.kill()
            self.node.start()
            _, error = change.communicate(timeout=LIMIT)  # it asks again
            self.assertEqual(change.returncode, 0, error)
            self.assertEqual(self.partitions(), wanted)
        summary, events = load.finish(2000)
        self.assertEqual(summary["rejected"], 0)
        self.in_order(events, load.rows + 2000, once=False)
        self.in_order(self.replay("later"), load.rows + 2000)
        self.in_order(self.look(), load.rows + 2000)
        self.assertEqual(self.publish_keys(2000, 1)["duplicates"], 2000)

    def test_while_it_lasts_producers_wait_and_a_second_one_is_refused(self):
        """A slow disk makes it last: what goes with the keys has to be stored."""
        many = 20000
        self.start(2)
        self.publish_keys(many, 1)
        self.node.kill()
        self.node.environment |= slow_disk(200000)
        self.node.start()
        change = subprocess.Popen(
            self.node.command("topic", "alter", "t", "--set", "partitions=8"),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
        self.addCleanup(change.communicate)
        time.sleep(0.7)
        self.refused("is being changed", self.alter(3))
        self.assertEqual(self.partitions(), 2)
        late = subprocess.Popen(  # it waits, and is not turned away
            self.node.command("topic", "alter", "t", "--set", "retention_ms=0"),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
        self.assertEqual(self.feed([0])["acked"], KEYS)
        self.assertEqual(self.partitions(), 8)
        self.assertEqual((late.wait(LIMIT), change.wait(LIMIT)), (0, 0))

        again = subprocess.Popen(
            self.node.command("topic", "alter", "t", "--set", "partitions=11"),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
        self.addCleanup(again.wait)
        time.sleep(0.7)
        again.kill()
        self.node.kill()  # half of it is stored
        self.node.environment = {name: value for name, value in self.node.environment.items()
                                 if name != "LD_PRELOAD"}
        self.node.start()
        self.assertEqual(self.partitions(), 8)
        self.assertEqual(self.publish_keys(many, 2)["acked"], many)
        self.change(11)
        self.assertEqual(self.publish_keys(many, 3)["acked"], many)
        self.assertEqual(self.publish_keys(many, 2)["duplicates"], many)
        self.assertEqual(self.node.run("topic", "delete", "t").returncode, 0)
        self.create("t", 16, "producer")
        self.assertEqual(self.publish_keys(many, 1)["acked"], many)

    def test_keys_that_wait_for_an_event_go_along_with_what_they_hold(self):
        self.start(2)
        self.feed([0, 2, 3])
        self.change(7)
        self.assertEqual(self.describe()["gaps"], KEYS)
        self.node.kill()
        self.node.start()
        self.assertEqual(self.describe()["gaps"], KEYS)
        self.change(3)
        self.assertEqual(self.feed([2])["duplicates"], KEYS)
        self.assertEqual(self.feed([1, 4])["acked"], 2 * KEYS)
        self.assertEqual(self.describe()["gaps"], 0)
        self.in_order(self.replay("g"), 5 * KEYS)
        self.node.kill()
        self.node.start()
        self.assertEqual(self.describe()["gaps"], 0)
        self.in_order(self.look(), 5 * KEYS)

    def test_bad_input_says_what_is_wrong(self):
        self.start(4)
        for partitions, wanted in [("0", "1 to 256"), ("257", "1 to 256"), ("many", "1 to 256"),
                                   ("-1", "1 to 256")]:
            self.refused(wanted, self.alter(partitions))
        self.refused("no such topic", self.alter(3, "nowhere"))
        self.refused("changed alone", self.alter(3, "t", "--set", "late_policy=drop"))
        self.change(4)  # it has as many
        self.assertEqual(self.describe()["repartitions"], 0)

    def test_a_look_that_goes_on_gets_what_new_partitions_have(self):
        self.start(2)
        self.feed([0])
        ends = {one["partition"]: one["events"] for one in self.describe()["partitions"]}
        self.change(9)
        self.feed([1])
        with self.member("look") as look:  # as it does when its subscription has ended
            look.ask("subscribe", topic="t", **{"from": 2}, resume=[
                {"partition": partition, "offset": offset} for partition, offset in ends.items()])
            look.until(lambda: len(look.seen) == KEYS)
        self.assertEqual(set(look.seen), {(b"key-%d" % key, 2) for key in range(KEYS)})

    def test_what_was_given_up_stays_given_up(self):
        self.start(2)
        self.feed([0, 3])
        for key in range(KEYS):
            done = self.node.run("topic", "skip", "t", "--key", f"key-{key}", "--producer", "p")
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.feed([1])["acked"], KEYS)  # diverted
        self.change(9)
        self.assertEqual(self.feed([1])["duplicates"], KEYS)
        self.assertEqual((self.feed([2])["acked"], self.feed([2])["duplicates"]), (KEYS, KEYS))
        self.assertEqual(self.feed([4])["acked"], KEYS)
        self.assertEqual([sequence for key, sequence in self.replay("g") if key == "key-7"],
                         [1, 4, 5])

    def test_a_key_that_waits_behind_a_parked_event_goes_on_waiting(self):
        self.start(2, "ordering.group_attempts_max=1")
        self.feed([0, 1])
        with self.member("m", lambda event: event["key"] != b"key-3") as member:
            member.until(lambda: member.stored == 2 * (KEYS - 1))
            self.change(11)
            self.feed([2])
            member.until(lambda: member.stored == 3 * (KEYS - 1))
            self.assertEqual([s for key, s in member.seen if key == b"key-3"], [1])
        self.assertEqual(len(self.parked()), 3)
        self.assertEqual(self.node.run("topic", "replay", "t", "--group", "g",
                                       "--all").returncode, 0)
        with self.member("n", lambda event: True) as member:
            member.until(lambda: len(member.seen) == 3)
        self.assertEqual(member.seen, [(b"key-3", sequence) for sequence in (1, 2, 3)])

    def test_ids_and_epochs_and_erased_keys_are_known_everywhere(self):
        self.start(2, "ordering.ids_max=64")
        self.create("a", 2, "arrival", "--set", "id_window_ms=3600000")
        with self.member("p") as peer:
            events = [{"topic": "a", "key": b"key-%d" % key, "producer": "p",
                       "sequence": key + 1} for key in range(KEYS)]
            self.assertEqual(peer.publish(events), [STORED] * KEYS)
            old, new = (peer.ask("producer_open", topic="t", producer="q",
                                 take_over=True)["producer_epoch"] for _ in range(2))
            self.change(4, "a")
            self.change(5)
            self.assertEqual(peer.publish(events), [DUPLICATE] * KEYS)
            fenced = [{"topic": "t", "key": b"key-%d" % key, "producer": "q", "sequence": 1,
                       "producer_epoch": old} for key in range(KEYS)]
            self.assertEqual(peer.publish(fenced), [REJECTED] * KEYS)
            self.assertEqual(peer.publish([event | {"producer_epoch": new} for event in fenced]),
                             [STORED] * KEYS)
            more = [event | {"sequence": event["sequence"] + KEYS} for event in events]
            self.assertEqual(peer.publish(more), [STORED] * KEYS)
            self.refused("ordering.ids_max is 64", self.alter(5, "a"))
        done = self.node.run("topic", "erase", "a", "--key", "key-5")
        self.assertEqual(done.returncode, 0, done.stderr)
        erased = [json.loads(line).get("erased") for line in
                  self.node.tail("a", "--format", "json", "--idle-ms", "500")
                  if json.loads(line)["key"] == "key-5"]
        self.assertEqual(len(erased), 2)
        self.assertTrue(all(erased), erased)


if __name__ == "__main__":
    unittest.main()
