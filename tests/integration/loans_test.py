#!/usr/bin/python3
"""A real stream of events through a real node: disordered, doubled, and with the node killed.

usage: loans_test.py [unittest options]

The stream is the file that CAPSTAN_LOANS names (129,061 events of loan applications, gzip). Without
it, a stream of the same shape is made, of LOANS_CASES cases (6,500, as many as the real one
has about, when it is not set). CAPSTAN_PROGRAM names the program.
"""
import collections
import gzip
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
from real_node import ENVIRONMENT, RealNode  # noqa: E402

TOPIC = ["--topic", "loans", "--key", "case", "--seq", "seq", "--time", "time"]
FAULTS = ["--reorder", "500", "--duplicate", "0.05", "--seed", "7"]
KILLS = 3
RATE = 100000  # so that a feed lasts long enough to be interrupted
CASE, SEQ = 1, 2  # columns


def make_stream():
    """As many events per case as the real one has, interleaved by time."""
    dice = random.Random(2012)
    events = []
    for case in range(int(os.environ.get("LOANS_CASES", "6500"))):
        count = min(175, 1 + int(dice.expovariate(1 / 19.4)))
        at = dice.uniform(0, 86400 * 144)
        for seq in range(1, count + 1):
            events.append((at, f"{173688 + 3 * case},{seq},W_Completeren aanvraag,"
                               f"{dice.choice(['SCHEDULE', 'START', 'COMPLETE'])},"
                               f"{dice.randrange(10000, 11400)},{dice.randrange(1, 99) * 500}"))
            at += dice.expovariate(1 / 40000)
    events.sort()
    day = 1317420000  # 2011-10-01 in Amsterdam
    lines = ["time,case,seq,activity,lifecycle,resource,amount"]
    for at, rest in events:
        moment = time.gmtime(day + 7200 + at)
        lines.append(time.strftime("%Y-%m-%dT%H:%M:%S", moment) + f".{int(at * 1000) % 1000:03}"
                     f"+02:00,{rest}")
    return "\n".join(lines).encode() + b"\n"


def read_stream():
    path = os.environ.get("CAPSTAN_LOANS")
    if path:
        print(f"the stream is {path}", file=sys.stderr)
        with gzip.open(path) as file:
            return file.read()
    print("CAPSTAN_LOANS is not set: the stream is made, in the shape of the real one",
          file=sys.stderr)
    return make_stream()


def fields_of(line):
    return line.split(b",")


class Portions:
    """A pipe whose reader gets the data in equal portions, the next one when it is released."""

    def __init__(self, data, count):
        self.source, self.sink = os.pipe()
        self.data = data
        self.count = count
        self.released = threading.Semaphore(0)
        self.writer = threading.Thread(target=self.write, daemon=True)

    def __enter__(self):
        self.writer.start()
        return self

    def __exit__(self, *_):
        os.close(self.source)
        for _ in range(self.count):
            self.release()
        self.writer.join()

    def release(self):
        self.released.release()

    def write(self):
        size = -(-len(self.data) // self.count)
        try:
            with open(self.sink, "wb", buffering=0) as sink:
                for begin in range(0, len(self.data), size):
                    self.released.acquire()
                    sink.write(self.data[begin:begin + size])
        except BrokenPipeError:
            pass  # the reader has ended, and the test says why


class Members:
    """Tails of one group, of which one after the other is killed and replaced."""
    COUNT = 3

    def __init__(self, node, folder, dice, rows):
        self.node, self.dice, self.path = node, dice, folder + "/worked-on"
        self.rows, self.known = rows, set(rows)
        self.killed, self.killing = 0, True
        self.tails = []
        self.thread = threading.Thread(target=self.kill_on, daemon=True)

    def __enter__(self):
        self.node.feed(*TOPIC, "-", data=b"time,case,seq\n")  # makes the topic
        self.tails = [self.start() for _ in range(self.COUNT)]
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop_killing()
        for tail in self.tails:
            tail.terminate()
        for tail in self.tails:
            tail.wait(60)

    def start(self):
        with open(self.path, "ab") as file:
            return subprocess.Popen(self.node.command("tail", "--topic", "loans", "--group", "g"),
                                    stdout=file, stderr=subprocess.DEVNULL, env=ENVIRONMENT)

    def kill_on(self):
        while self.killing:
            time.sleep(self.dice.uniform(0.05, 0.6))
            victim = self.dice.randrange(self.COUNT)
            self.tails[victim].kill()
            self.tails[victim].wait()
            self.tails[victim] = self.start()
            self.killed += 1

    def stop_killing(self):
        self.killing = False
        self.thread.join()

    def lines(self):
        """What was written whole. A kill cuts a large write between two pages, and what the next
        member writes follows in the same line."""
        with open(self.path, "rb") as file:
            lines = [self.without_torn(line) for line in file.read().splitlines()]
        return [line for line in lines if line and line != self.rows[0]]

    def without_torn(self, line):
        if line in self.known:
            return line
        whole = (line[at:] for at in range(1, len(line)) if line[at:] in self.known)
        return next(whole, b"" if self.is_cut(line) else line)

    def is_cut(self, line):
        return any(row.startswith(line) for row in self.rows)

    def wait_for(self, count):
        """As many different events, at least; the test says what is missing."""
        late = time.monotonic() + 120
        while len(set(self.lines())) < count and time.monotonic() < late:
            time.sleep(0.2)
        time.sleep(0.5)


class Loans(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.data = read_stream()
        cls.lines = cls.data.splitlines()
        cls.rows = len(cls.lines) - 1

    def check_output(self, lines):
        """Exactly the input's rows, each once and byte by byte, each case's as 1, 2, 3 ..."""
        self.assertEqual(lines[0], self.lines[0])
        self.assertEqual(len(lines) - 1, self.rows)
        self.assertEqual(set(lines), set(self.lines))
        last = collections.Counter()
        for line in lines[1:]:
            fields = fields_of(line)
            last[fields[CASE]] += 1
            self.assertEqual(int(fields[SEQ]), last[fields[CASE]], line)

    def check_summary(self, done, summary, **figures):
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(summary["sent"],
                         summary["acked"] + summary["duplicates"] + summary["rejected"])
        for name, value in figures.items():
            self.assertEqual(summary[name], value, f"{name} in {summary}; {done.stderr}")

    def feed_and_tail(self, node):
        done, summary = node.feed(*TOPIC, *FAULTS, "-", data=self.data)
        print(summary, file=sys.stderr)
        self.check_summary(done, summary, rows=self.rows, acked=self.rows, rejected=0, bad=0,
                           duplicates=summary["sent"] - self.rows)
        self.assertGreater(summary["duplicates"], self.rows // 25)
        self.check_output(node.tail("loans", "--idle-ms", "2000", "--format", "csv"))

    def test_disorder_and_duplicates_are_put_right(self):
        with RealNode() as node:
            self.feed_and_tail(node)
            done, summary = node.feed(*TOPIC, "-", data=self.data)
            self.check_summary(done, summary, acked=0, duplicates=self.rows)
            self.assertIn(b"had all of it already", done.stderr)
            self.check_output(node.tail("loans", "--idle-ms", "1000"))

    def test_the_same_with_every_message_on_the_wire(self):
        with RealNode("runtime.strict_wire=true") as node:
            self.feed_and_tail(node)

    def test_nothing_is_lost_or_doubled_when_the_node_is_killed(self):
        self.feed_through_kills()

    def test_nor_with_every_message_on_the_wire(self):
        self.feed_through_kills("runtime.strict_wire=true")

    def feed_through_kills(self, *settings):
        """A kill in each part of the stream but the last: the feed cannot end before all kills,
        however slow the build is."""
        seed = random.SystemRandom().randrange(1 << 32)
        print(f"kills at moments of seed {seed}", file=sys.stderr)
        dice = random.Random(seed)
        with RealNode(*settings) as node, Portions(self.data, KILLS + 1) as portions:
            feed = subprocess.Popen(
                node.command("feed", *TOPIC, *FAULTS, "--rate", str(RATE), "-"),
                stdin=portions.source, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env=ENVIRONMENT)
            watchdog = threading.Timer(240, feed.kill)
            watchdog.start()
            for _ in range(KILLS):
                portions.release()
                while node.status()["metrics"]["gateway.publishes"] == 0:
                    self.assertIsNone(feed.poll(), "the feed ended before its input did")
                time.sleep(dice.uniform(0.01, 0.5 * self.rows / RATE / KILLS))
                node.kill()
                node.start()
            portions.release()
            output, errors = feed.communicate()
            watchdog.cancel()
            summary = json.loads(output.splitlines()[-1])
            print(summary, errors.decode(), file=sys.stderr)
            self.assertEqual(feed.returncode, 0, errors)
            self.assertIn(f"was lost ({KILLS})".encode(), errors)
            self.assertEqual(summary["rejected"], 0)
            self.assertEqual(summary["acked"], self.rows)
            self.assertEqual(summary["duplicates"], summary["sent"] - self.rows)
            self.check_output(node.tail("loans", "--idle-ms", "2000"))

    def test_members_of_a_group_are_killed_and_each_case_stays_in_order(self):
        """Everything at once: a disordered, doubled stream with holes, the node killed, and members
        of a group that are killed all the time. Members append to one file before they
        acknowledge, so that the file shows in which order events were worked on."""
        seed = random.SystemRandom().randrange(1 << 32)
        print(f"kills at moments of seed {seed}", file=sys.stderr)
        dice = random.Random(seed)
        kills = 10 if os.environ.get("CAPSTAN_FULL") else KILLS
        with RealNode() as node, tempfile.TemporaryDirectory() as folder, \
                Portions(self.data, kills + 1) as portions, \
                Members(node, folder, dice, self.lines) as members:
            feed = subprocess.Popen(
                node.command("feed", *TOPIC, "--reorder", "5000", "--duplicate", "0.1", "--drop",
                             "0.001", "--ledger", folder + "/ledger", "--rate", str(RATE), "-"),
                stdin=portions.source, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env=ENVIRONMENT)
            watchdog = threading.Timer(400, feed.kill)
            watchdog.start()
            for _ in range(kills):
                portions.release()
                time.sleep(dice.uniform(0.05, 1.0))
                node.kill()
                node.start()
            portions.release()
            output, errors = feed.communicate()
            watchdog.cancel()
            summary = json.loads(output.splitlines()[-1])
            print(summary, f"{members.killed} members killed", file=sys.stderr)
            self.assertEqual(summary["rejected"], 0, errors)
            wanted, held = self.read_ledger(folder + "/ledger")
            self.assertEqual(node.topic("loans")["held_items"], held, "O3: held are in balance")
            members.stop_killing()
            members.wait_for(sum(wanted.values()))
            self.check_worked_on(members.lines(), wanted)

    def read_ledger(self, path):
        """By case: how many events come before the first that was dropped; and how many of all that
        were sent come behind one."""
        sent, dropped = collections.defaultdict(set), collections.defaultdict(set)
        with open(path, encoding="utf-8") as ledger:
            for line in list(ledger)[1:]:
                _, case, seq, action, _ = line.split(",")
                (dropped if action == "dropped" else sent)[case].add(int(seq))
        wanted, held = {}, 0
        for case, numbers in sent.items():
            first = min(dropped[case], default=max(numbers) + 1)
            wanted[case] = first - 1
            self.assertTrue(numbers >= set(range(1, first)))
            held += len([number for number in numbers if number > first])
        return wanted, held

    def check_worked_on(self, lines, wanted):
        """O1: what comes for the first time is the next of its case; only that comes again."""
        last, again = collections.Counter(), 0
        rows = set(self.lines)
        for line in lines:
            self.assertIn(line, rows)
            case, number = fields_of(line)[CASE].decode(), int(fields_of(line)[SEQ])
            self.assertLessEqual(number, last[case] + 1, f"{line} after {last[case]}")
            again += number <= last[case]
            last[case] = max(last[case], number)
        print(f"{again} events came again", file=sys.stderr)
        self.assertEqual(last, collections.Counter(wanted))

    def test_what_a_full_reorder_buffer_refuses_is_sent_again(self):
        with RealNode("ordering.held_items_max=10", "ordering.key_held_items_max=2") as node:
            self.feed_and_tail(node)
            self.assertGreater(node.topic("loans")["rejected"], 0)

    def test_dropped_rows_are_shown_as_gaps_and_can_be_sent_later(self):
        with RealNode() as node, tempfile.TemporaryDirectory() as folder:
            data = b"\n".join(self.lines[:5001]) + b"\n"
            done, summary = node.feed(*TOPIC, "--drop", "0.01", "--seed", "3", "--ledger",
                                      folder + "/ledger", "-", data=data)
            self.check_summary(done, summary, rejected=0, acked=5000 - summary["dropped"])
            self.assertGreater(summary["dropped"], 20)
            cases, missing = collections.defaultdict(list), {}
            with open(folder + "/ledger", encoding="utf-8") as ledger:
                for line in list(ledger)[1:]:
                    _, case, seq, action, _ = line.split(",")
                    cases[case].append((int(seq), action))
            for case, events in cases.items():
                first = min((seq for seq, action in events if action == "dropped"), default=None)
                if first and any(seq > first for seq, action in events if action == "sent"):
                    missing[case] = first
            topic = node.topic("loans")
            self.assertEqual(topic["gaps"], len(missing))
            self.assertGreater(len(topic["open_gaps"]), 0)
            for gap in topic["open_gaps"]:
                self.assertEqual(gap["missing"], missing[gap["key"]])
                self.assertGreater(gap["held"], 0)
            before = {line for line in node.tail("loans", "--idle-ms", "500")}
            self.assertEqual(len(before), 5001 - summary["dropped"] - topic["held_items"])

            done, later = node.feed(*TOPIC, "-", data=data)
            self.check_summary(done, later, acked=summary["dropped"], rejected=0)
            self.assertEqual(node.topic("loans")["gaps"], 0)
            self.assertEqual(set(node.tail("loans", "--idle-ms", "500")), set(self.lines[:5001]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
