#!/usr/bin/python3
"""Replay of a real stream: from offsets, from times and from where another group stands, by looks
and by new groups, with the node killed. O10: whoever reads an event, from wherever and whenever,
gets the same bytes, and each key's in the same order.

The stream is that of loans_test.py, disordered and doubled.
"""
import collections
import datetime
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kit"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from real_node import ENVIRONMENT, RealNode  # noqa: E402
import loans_test  # noqa: E402

# A sample, unless all is wanted.
LOOKS, ROWS = (10, None) if os.environ.get("CAPSTAN_FULL") else (2, 25000)
PARTITIONS = 2  # so that each has more of the log than fits between two places of its index
# What is read comes from the log, and the index from rows and from the log behind them.
SETTINGS = [f"ordering.partitions={PARTITIONS}", "ordering.tail_bytes=65536",
            "ordering.snapshot_records=8000"]


class Replay(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        seed = random.SystemRandom().randrange(1 << 32)
        print(f"places of seed {seed}", file=sys.stderr)
        cls.dice = random.Random(seed)
        cls.node = cls.enterClassContext(RealNode(*SETTINGS))
        head, *rows = loans_test.read_stream().splitlines()
        rows = rows[:ROWS]
        half = len(rows) // 2
        for part in rows[:half], rows[half:]:
            done, _ = cls.node.feed(*loans_test.TOPIC, *loans_test.FAULTS, "-",
                                    data=b"\n".join([head, *part, b""]))
            assert done.returncode == 0, done.stderr
            cls.node.kill()
            cls.node.start()
        cls.partitions = cls.by_partition(cls.tail())
        assert sum(len(lines) for lines in cls.partitions.values()) == len(rows)

    @classmethod
    def tail(cls, *options, idle_ms=1500):
        done = cls.node.run("tail", "--topic", "loans", "--format", "json", "--idle-ms",
                            str(idle_ms), *options)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return done.stdout.splitlines()

    @staticmethod
    def by_partition(lines):
        """Partition -> offset -> line, in the order in which the lines came."""
        partitions = {partition: {} for partition in range(PARTITIONS)}
        for line in lines:
            event = json.loads(line)
            assert event["offset"] not in partitions[event["partition"]], line
            partitions[event["partition"]][event["offset"]] = line
        return partitions

    def check(self, lines, begins, what):
        """Exactly the events from these offsets on, the same bytes, a key's in the same order."""
        got = self.by_partition(lines)
        for partition, begin in enumerate(begins):
            wanted = {offset: line for offset, line in self.partitions[partition].items()
                      if offset >= begin}
            self.assertEqual(len(got[partition]), len(wanted), f"{what}, partition {partition}")
            self.assertEqual(got[partition], wanted, what)
            last = collections.Counter()
            for line in got[partition].values():
                event = json.loads(line)
                self.assertGreater(event["offset"], last[event["key"]], what)
                last[event["key"]] = event["offset"]

    def some_offsets(self):
        return [self.dice.randrange(1, len(self.partitions[partition]) + 1)
                for partition in range(PARTITIONS)]

    @staticmethod
    def words(offsets):
        return [word for partition, offset in enumerate(offsets)
                for word in ("--from", f"{partition}:{offset}")]

    def begins_of_time(self, moment):
        """By reading everything: the first event that was taken then or later."""
        return [next((offset for offset, line in self.partitions[partition].items()
                      if json.loads(line)["accepted"] >= moment),
                     len(self.partitions[partition]) + 1) for partition in range(PARTITIONS)]

    def some_moment(self):
        partition = self.dice.randrange(PARTITIONS)
        line = self.partitions[partition][self.some_offsets()[partition]]
        return json.loads(line)["accepted"]

    def test_a_look_from_any_offset_gets_the_same_bytes(self):
        ends = [len(self.partitions[partition]) for partition in range(PARTITIONS)]
        for offsets in [[1] * PARTITIONS, ends, *(self.some_offsets() for _ in range(LOOKS))]:
            self.check(self.tail(*self.words(offsets)), offsets, offsets)
        self.assertEqual(self.tail("--from", "latest"), [])
        offset = self.some_offsets()[1]
        self.check(self.tail("--from", "latest", "--from", f"1:{offset}"), [ends[0] + 1, offset],
                   "the others at the end")

    def test_a_look_from_a_time_begins_with_the_first_event_taken_then(self):
        for _ in range(LOOKS):
            moment = self.some_moment()
            self.check(self.tail("--from", moment), self.begins_of_time(moment), moment)
        self.check(self.tail("--from", "2012-01-01T00:00:00Z"), [1] * PARTITIONS, "before it all")

    def test_a_new_group_replays_through_kills_of_the_node(self):
        moment = self.some_moment()
        offsets = self.some_offsets()
        for group, words, begins in (
                ("offsets", self.words(offsets), offsets),
                ("moment", ["--from", moment], self.begins_of_time(moment))):
            tail = subprocess.Popen(
                self.node.command("tail", "--topic", "loans", "--group", group, "--format", "json",
                                  "--idle-ms", "3000", *words),
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
            lines = []
            for _ in range(2):
                lines += [tail.stdout.readline().rstrip(b"\n") for _ in range(100)]
                self.node.kill()
                self.node.start()
            lines += [line.rstrip(b"\n") for line in tail.stdout]
            self.assertEqual(tail.wait(60), 0, tail.stderr.read())
            tail.stdout.close()
            tail.stderr.close()
            self.check(lines, begins, group)
            self.assertEqual(self.tail("--group", group), [], "it goes on where it stands")
            self.assertEqual(self.tail("--group", group, *words), [], "the same words again")
            self.refused("the group has begun, and elsewhere", "--group", group, "--from", "0:7")

    def refused(self, why, *options):
        done = self.node.run("tail", "--topic", "loans", "--idle-ms", "500", *options)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn(why.encode(), done.stderr)

    def test_a_group_begins_behind_the_frontier_of_another(self):
        first = subprocess.Popen(
            self.node.command("tail", "--topic", "loans", "--group", "first", "--format", "json"),
            stdout=subprocess.PIPE, env=ENVIRONMENT)
        lines = [first.stdout.readline() for _ in range(5000)]
        first.send_signal(signal.SIGINT)
        lines += first.stdout.readlines()
        self.assertEqual(first.wait(20), 0)
        first.stdout.close()
        done = self.by_partition(lines)
        time.sleep(0.5)
        begins = [next(offset for offset in self.partitions[partition] if offset not in
                       done[partition]) for partition in range(PARTITIONS)]
        self.assertGreater(sum(begins), PARTITIONS)
        self.check(self.tail("--group", "second", "--from", "group:first"), begins, "a group")
        self.check(self.tail("--from", "group:first"), begins, "a look")
        self.refused("the group has begun, and elsewhere", "--group", "first", "--from",
                     "group:second")

    def test_of_two_who_begin_a_group_at_once_the_first_decides(self):
        places = [self.some_offsets() for _ in range(3)]
        tails = [subprocess.Popen(
            self.node.command("tail", "--topic", "loans", "--group", "race", "--format", "json",
                              "--idle-ms", "3000", *self.words(offsets)),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT) for offsets in places]
        ended = [(tail.communicate(timeout=120), tail.returncode) for tail in tails]
        winners = [place for place, (_, status) in zip(places, ended) if status == 0]
        self.assertEqual(len(winners), 1, [errors for (_, errors), _ in ended])
        lines = [line for (output, _), _ in ended for line in output.splitlines()]
        self.check(lines, winners[0], "the winner's place")
        for (_, errors), status in ended:
            self.assertTrue(status == 0 or b"the group has begun, and elsewhere" in errors, errors)

    def test_a_place_that_there_is_not_is_refused(self):
        soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
        for group in [], ["--group", "never"]:
            self.refused("from_group: the topic has no such group", *group, "--from", "group:none")
            self.refused("an offset behind the end of its partition", *group, "--from",
                         "0:99999999")
            self.refused("partitions that the topic has", *group, "--from", "9:1")
            self.refused("ahead of the node's clock", *group, "--from", soon.isoformat())
        self.check(self.tail("--group", "never"), [1] * PARTITIONS, "it has not begun by that")


if __name__ == "__main__":
    unittest.main(verbosity=2)
