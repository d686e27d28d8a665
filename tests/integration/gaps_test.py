#!/usr/bin/python3
"""Gaps over tcp: shown, given up by a person, by the producer, by the clock; what was held behind
them goes on, what comes after all is diverted, and all of it survives the node being killed."""
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
EPOCH_UNKNOWN, FENCED, OUT_OF_ORDER, NOT_MISSING = 406, 402, 401, 417


class Gaps(unittest.TestCase):
    def start(self, *settings):
        self.node = self.enterContext(RealNode(*settings))

    def feed(self, *rows):
        data = "\n".join(["key,seq", *rows, ""]).encode()
        done, summary = self.node.feed("--topic", "t", "--key", "key", "--seq", "seq",
                                       "--producer", "p", "-", data=data)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stderr.decode(), summary

    def topic(self, *arguments):
        return self.node.run("topic", *arguments)

    def gaps(self):
        done = self.topic("gaps", "t", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        return sorted((row["key"], row["first"], row["last"], row["held"], row["verdict"])
                      for row in rows)

    def skip(self, *options):
        return self.topic("skip", "t", "--producer", "p", *options)

    def tail(self, *options):
        return sorted(self.node.tail("t", "--idle-ms", "500", *options)[1:])

    def restart(self):
        self.node.kill()
        self.node.start()

    def test_a_person_gives_up_what_is_missing(self):
        self.start()
        self.feed("a,1", "a,4", "a,5", "a,7", "b,1")
        self.assertEqual(self.gaps(), [("a", 2, 3, 3, "open")])
        self.assertIn(b"open", self.topic("gaps", "t").stdout)
        done = self.skip("--key", "a", "--reason", "lost in March")
        self.assertEqual((done.returncode, done.stdout), (0, b"a: 2 to 3 are given up\n"))
        self.assertEqual(self.gaps(), [("a", 2, 3, 0, "FORCED"), ("a", 6, 6, 1, "open")])
        self.assertEqual(self.tail(), [b"a,1", b"a,4", b"a,5", b"b,1"])
        self.restart()
        self.assertEqual(self.gaps(), [("a", 2, 3, 0, "FORCED"), ("a", 6, 6, 1, "open")])
        errors, summary = self.feed("a,2", "a,6")
        self.assertIn("1 of the acked events were diverted", errors)
        self.assertEqual(summary["acked"], 2)
        self.restart()
        errors, summary = self.feed("a,2", "a,3")
        self.assertIn("1 of the acked events were diverted", errors)
        self.assertEqual(summary["duplicates"], 1)
        topic = self.node.topic("t")
        self.assertEqual((topic["gaps"], topic["held_items"], topic["skips"], topic["events"]),
                         (0, 0, 1, 8))

    def test_groups_pass_over_what_was_diverted_but_for_those_that_want_it(self):
        self.start()
        self.feed("a,1", "a,3")
        self.skip("--key", "a")
        self.feed("a,2", "a,4")
        self.assertEqual(self.tail("--group", "g"), [b"a,1", b"a,3", b"a,4"])
        done = self.topic("group", "t", "--group", "late", "--events", "diverted")
        self.assertIn(b"events: diverted", done.stdout)
        self.assertEqual(self.tail("--group", "late"), [b"a,2"])
        self.restart()
        self.assertEqual(self.tail("--group", "g"), [])
        self.assertEqual(self.tail("--group", "late"), [])

    def test_the_clock_gives_up_and_the_timer_survives_a_kill(self):
        self.start()
        self.topic("create", "t", "--sequence", "producer", "--set", "gap_timeout_ms=3000")
        self.feed("a,1", "a,3")
        self.restart()
        late = time.monotonic() + SECONDS_MAX
        while self.gaps() != [("a", 2, 2, 0, "FORCED")]:
            self.assertLess(time.monotonic(), late, self.gaps())
            time.sleep(0.1)
        self.assertEqual(self.tail(), [b"a,1", b"a,3"])
        self.assertEqual(self.node.status()["metrics"]["ordering.gaps_skipped"], 1)
        self.assertIn("gap_skipped", self.node.log())
        self.feed("b,1", "b,3")
        self.topic("alter", "t", "--set", "gap_timeout_ms=1")
        while self.node.topic("t")["skips"] < 2:
            self.assertLess(time.monotonic(), late, self.gaps())

    def ask(self, name, **values):
        """The node's answer to one request: the body, or the number of the error."""
        schema = json.loads(subprocess.run([PROGRAM, "schema", "--format", "json"],
                                           stdout=subprocess.PIPE, check=True).stdout)
        answers = []
        peer = peers.Peer(schema, self.node.endpoint, "asker", {
            "welcome": lambda *_: peer.post(name, answers.append, **values)})
        late = time.monotonic() + SECONDS_MAX
        while not answers:
            self.assertLess(time.monotonic(), late, name)
            try:
                peer.poll()
            except SystemExit as error:  # peer.py ends with "peer.py: error 401: ..."
                answers.append(int(str(error).split(":")[1].split()[1]))
        peer.post("goodbye")
        peer.flush()
        peer.socket.close()
        return answers[0]

    def declare(self, first, last, epoch=0, key=b"a"):
        return self.ask("gap_declare", topic="t", producer="p", producer_epoch=epoch, key=key,
                        first=first, last=last)

    def test_a_producer_declares_what_never_comes(self):
        self.start()
        self.feed("a,1", "a,4")
        self.assertEqual(self.declare(3, 3), OUT_OF_ORDER)
        self.assertEqual(self.declare(2, 3, epoch=9), EPOCH_UNKNOWN)
        self.assertEqual(self.declare(2, 4), NOT_MISSING)
        self.assertEqual(self.declare(2, 3), {"first": 2, "last": 3, "verdict": 2})
        self.assertEqual(self.declare(2, 3), {"first": 2, "last": 3, "verdict": 2})
        self.assertEqual(self.declare(5, 6)["verdict"], 2)  # nothing has come behind them
        self.restart()
        self.assertEqual(self.gaps(), [("a", 2, 3, 0, "DEAD"), ("a", 5, 6, 0, "DEAD")])
        self.feed("a,7")
        self.assertEqual(self.tail(), [b"a,1", b"a,4", b"a,7"])

    def test_wrong_input_is_refused_with_what_to_do(self):
        self.start()
        self.feed("a,1", "a,2")
        self.assertIn(b"no gap is open", self.topic("gaps", "t").stdout)
        for arguments, wanted in [
                (("skip", "t", "--key", "a", "--producer", "p"), b"not missing"),
                (("skip", "t", "--key", "a"), b"needs --producer and --key"),
                (("skip", "nosuch", "--key", "a", "--producer", "p"), b"no such topic"),
                (("gaps", "nosuch"), b"no such topic"),
                (("gaps", "t", "--limit", "5000"), b"at most 1000"),
                (("gaps",), b"needs the name of a topic")]:
            done = self.topic(*arguments)
            self.assertNotEqual(done.returncode, 0, arguments)
            self.assertIn(wanted, done.stderr, arguments)
        self.topic("create", "arrivals", "--sequence", "arrival")
        done = self.topic("skip", "arrivals", "--key", "a", "--producer", "p")
        self.assertIn(b"numbered by arrival", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
