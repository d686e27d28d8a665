#!/usr/bin/python3
"""tail against a real node: through a node's death, its own death, Ctrl-C, and a slow reader."""
import collections
import pathlib
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kit"))
from real_node import ENVIRONMENT, RealNode  # noqa: E402

KEYS, SEQUENCES = 400, 100
TOPIC = ["--topic", "t", "--key", "key", "--seq", "seq"]


def make_rows():
    return [f"k{key},{sequence},{'x' * 40}" for sequence in range(1, SEQUENCES + 1)
            for key in range(KEYS)]


class Tail(unittest.TestCase):
    def setUp(self):
        self.node = self.enterContext(RealNode())
        self.rows = make_rows()
        data = "\n".join(["key,seq,text", *self.rows, ""]).encode()
        _, summary = self.node.feed(*TOPIC, "-", data=data)
        self.assertEqual(summary["acked"], len(self.rows))

    def start(self, *options):
        tail = subprocess.Popen(self.node.command("tail", "--topic", "t", *options),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=ENVIRONMENT)
        self.addCleanup(tail.stdout.close)
        self.addCleanup(tail.stderr.close)
        self.addCleanup(tail.wait)
        self.addCleanup(tail.kill)
        self.assertEqual(tail.stdout.readline(), "key,seq,text\n")
        return tail

    def check_order(self, lines):
        last = collections.Counter()
        for line in lines:
            key, sequence, _ = line.split(",")
            last[key] += 1
            self.assertEqual(int(sequence), last[key], line)

    def test_a_look_goes_on_when_the_node_was_killed_and_prints_nothing_twice(self):
        tail = self.start("--idle-ms", "2000")
        lines = [tail.stdout.readline() for _ in range(len(self.rows) // 4)]
        self.node.kill()
        self.node.start()
        lines += tail.stdout.readlines()
        self.assertEqual(tail.wait(60), 0, tail.stderr.read())
        lines = [line.rstrip("\n") for line in lines]
        self.assertEqual(len(lines), len(self.rows))
        self.assertEqual(set(lines), set(self.rows))
        self.check_order(lines)

    def test_a_group_goes_on_when_the_node_was_killed(self):
        tail = self.start("--idle-ms", "2000", "--group", "g")
        lines = [tail.stdout.readline() for _ in range(len(self.rows) // 4)]
        self.node.kill()
        self.node.start()
        lines += tail.stdout.readlines()
        self.assertEqual(tail.wait(60), 0, tail.stderr.read())
        lines = [line.rstrip("\n") for line in lines]
        self.assertEqual(len(lines), len(self.rows))
        self.check_order(lines)

    def test_what_a_killed_consumer_did_not_write_comes_to_the_next_one(self):
        tail = self.start("--group", "g")
        lines = [tail.stdout.readline() for _ in range(len(self.rows) // 4)]
        tail.kill()
        lines += tail.stdout.readlines()
        if not lines[-1].endswith("\n"):
            lines.pop()  # the kill came in the middle of a line
        begin = time.monotonic()
        while True:  # the node notices within a moment that the consumer is gone
            done = self.node.run("tail", "--topic", "t", "--group", "g", "--idle-ms", "500")
            if done.returncode == 0 or time.monotonic() > begin + 10:
                break
        self.assertEqual(done.returncode, 0, done.stderr)
        first = {line.rstrip("\n") for line in lines}
        second = done.stdout.decode().splitlines()[1:]
        self.assertEqual(first | set(second), set(self.rows))
        self.assertEqual(len(second), len(set(second)))
        self.assertGreater(len(first), 0)

    def test_control_c_leaves_the_group_where_the_output_ends(self):
        tail = self.start("--group", "g")
        lines = [tail.stdout.readline() for _ in range(len(self.rows))]
        tail.send_signal(signal.SIGINT)
        lines += tail.stdout.readlines()
        self.assertEqual(tail.wait(20), 0)
        self.assertEqual(len(lines), len(self.rows))
        self.assertEqual(
            self.node.run("tail", "--topic", "t", "--group", "g", "--idle-ms", "500").stdout, b"")

    def test_latest_begins_behind_what_is_there(self):
        tail = subprocess.Popen(
            self.node.command("tail", "--topic", "t", "--from", "latest", "--idle-ms", "1500"),
            stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
        time.sleep(0.5)
        self.node.feed(*TOPIC, "--producer", "other", "-", data=b"key,seq,text\nk1,1,new\n")
        output, _ = tail.communicate(timeout=30)
        self.assertEqual(tail.returncode, 0)
        self.assertEqual(output, "key,seq,text\nk1,1,new\n")

    def test_a_reader_slower_than_the_heartbeat_gets_all_of_it(self):
        tail = self.start("--idle-ms", "1000")
        time.sleep(4.5)  # more than three heartbeats, in which tail is stuck in its write
        lines = [line.rstrip("\n") for line in tail.stdout]
        self.assertEqual(tail.wait(30), 0, tail.stderr.read())
        self.assertEqual(len(lines), len(self.rows))
        self.check_order(lines)

    def test_feeding_goes_on_until_control_c_and_then_ends_in_order(self):
        feed = subprocess.Popen(self.node.command("feed", *TOPIC, "--producer", "p", "-"),
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env=ENVIRONMENT)
        feed.stdin.write(b"key,seq\na,1\nb,1\n")
        feed.stdin.flush()
        while self.node.topic("t")["events"] < len(self.rows) + 2:
            self.assertIsNone(feed.poll())
        feed.send_signal(signal.SIGINT)
        output, errors = feed.communicate(timeout=30)
        self.assertEqual(feed.returncode, 1)
        self.assertIn(b'"rows":2,"bad":0,"dropped":0,"sent":2,"acked":2,', output)
        self.assertIn(b"interrupted after 2 rows", errors)


if __name__ == "__main__":
    unittest.main(verbosity=2)
