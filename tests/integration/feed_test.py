#!/usr/bin/python3
"""feed and tail against a node that refuses, forgets, repeats and is silent on purpose."""
import csv
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kit"))
import fake_node  # noqa: E402
import msgpack  # noqa: E402

PROGRAM = os.environ.get("CAPSTAN_PROGRAM", "build/capstan")


def rows(keys, sequences):
    return "key,seq\n" + "".join(f"k{key},{sequence}\n" for sequence in range(1, sequences + 1)
                                 for key in range(keys))


def run_feed(node, text, *options, timeout=60):
    return subprocess.run(
        [PROGRAM, "feed", "--topic", "t", "--key", "key", "--seq", "seq", "--to", node.endpoint,
         *options, "-"], input=text, capture_output=True, text=True, timeout=timeout, check=False)


def summary_of(done):
    return json.loads(done.stdout.splitlines()[-1])


class Feed(unittest.TestCase):
    def check(self, done, status, **figures):
        self.assertEqual(done.returncode, status, done.stderr)
        summary = summary_of(done)
        self.assertEqual(summary["sent"],
                         summary["acked"] + summary["duplicates"] + summary["rejected"])
        for name, value in figures.items():
            self.assertEqual(summary[name], value, f"{name} in {summary}")
        return summary

    def test_what_is_refused_for_the_moment_is_sent_again(self):
        with fake_node.FakeNode() as node:
            node.answer = lambda event, attempt: (
                "stored" if attempt >= event["sequence"] % 4 else "OUT_OF_ORDER")
            done = run_feed(node, rows(50, 40))
            self.check(done, 0, rows=2000, acked=2000, rejected=0, duplicates=0)

    def test_a_round_without_progress_ends_the_retries(self):
        with fake_node.FakeNode() as node, tempfile.TemporaryDirectory() as folder:
            node.answer = lambda event, attempt: (
                "OUT_OF_ORDER" if event["key"] == b"k3" and event["sequence"] > 1 else "stored")
            begin = time.monotonic()
            done = run_feed(node, rows(10, 5), "--ledger", folder + "/ledger")
            self.check(done, 1, acked=46, rejected=4)
            self.assertLess(time.monotonic() - begin, 20)
            self.assertIn("OUT_OF_ORDER", done.stderr)
            with open(folder + "/ledger", newline="", encoding="utf-8") as file:
                entries = list(csv.DictReader(file))
            self.assertEqual(len(entries), 50)
            self.assertEqual({(entry["key"], entry["seq"]) for entry in entries
                              if entry["outcome"] == "rejected:OUT_OF_ORDER"},
                             {("k3", str(sequence)) for sequence in range(2, 6)})

    def test_what_can_never_succeed_is_sent_once(self):
        with fake_node.FakeNode() as node:
            node.answer = lambda event, attempt: (
                "FENCED" if event["sequence"] == 2 else "stored")
            done = run_feed(node, rows(10, 3))
            self.check(done, 1, acked=20, rejected=10)
            self.assertEqual(max(node.attempts.values()), 1)
            self.assertIn("FENCED", done.stderr)

    def test_a_silent_node_is_given_up(self):
        with fake_node.FakeNode() as node:
            node.answer = lambda event, attempt: "stored" if event["sequence"] == 1 else None
            begin = time.monotonic()
            done = run_feed(node, rows(10, 3), "--timeout", "1")
            self.assertLess(time.monotonic() - begin, 15)
            self.check(done, 1, acked=10, rejected=20)
            self.assertIn("has not answered for 1 s", done.stderr)

    def test_a_lost_answer_does_not_make_a_duplicate(self):
        """Stored, the session lost before the answer, sent again: acked. Injected copies are told
        from that."""
        with fake_node.FakeNode() as node:
            stored = set()

            def answer(event, _):
                identity = (event["key"], event["sequence"])
                new = identity not in stored
                stored.add(identity)
                if len(node.published) in (300, 500, 700):
                    node.forget()
                return "stored" if new else "duplicate"

            node.answer = answer
            done = run_feed(node, rows(50, 20), "--duplicate", "0.1", "--seed", "4")
            summary = self.check(done, 0, rows=1000, acked=1000, rejected=0)
            self.assertEqual(summary["duplicates"], summary["sent"] - 1000)
            self.assertGreater(summary["duplicates"], 50)
            self.assertEqual(node.hellos, 4)
            self.assertIn("count as acked", done.stderr)

    def test_all_duplicates_is_said(self):
        with fake_node.FakeNode() as node:
            node.answer = lambda event, attempt: "duplicate"
            done = run_feed(node, rows(10, 3))
            self.check(done, 0, acked=0, duplicates=30)
            self.assertIn("had all of it already", done.stderr)

    def test_the_ledger_tells_every_row_and_repeats_with_the_seed(self):
        with fake_node.FakeNode() as node, tempfile.TemporaryDirectory() as folder:
            ledgers = []
            for _ in range(2):
                done = run_feed(node, rows(40, 25), "--drop", "0.1", "--duplicate", "0.1",
                                "--reorder", "20", "--seed", "9", "--ledger", folder + "/ledger")
                summary = self.check(done, 0, rows=1000)
                with open(folder + "/ledger", newline="", encoding="utf-8") as file:
                    ledgers.append(sorted(tuple(entry) for entry in csv.reader(file)))
            actions = [action for _, _, _, action, _ in ledgers[0]]
            self.assertEqual(actions.count("dropped"), summary["dropped"])
            self.assertEqual(actions.count("sent"), 1000 - summary["dropped"])
            self.assertEqual(actions.count("duplicate"),
                             summary["sent"] - actions.count("sent"))
            self.assertEqual(ledgers[0], ledgers[1])
            dropped = {line for line, _, _, action, _ in ledgers[0] if action == "dropped"}
            sent = {line for line, _, _, action, _ in ledgers[0] if action != "dropped"}
            self.assertFalse(dropped & sent, "a dropped row is not sent at all")
            order = [int(event["payload"] is not None and event["sequence"])
                     for event in node.published]
            self.assertNotEqual(order, sorted(order), "rows were moved")

    def test_the_rate_is_kept(self):
        with fake_node.FakeNode() as node:
            begin = time.monotonic()
            self.check(run_feed(node, rows(100, 1), "--rate", "100"), 0, acked=100)
            self.assertGreater(time.monotonic() - begin, 0.9)

    def test_slow_input_is_passed_on_as_it_comes(self):
        with fake_node.FakeNode() as node:
            feed = subprocess.Popen(
                [PROGRAM, "feed", "--topic", "t", "--key", "key", "--to", node.endpoint, "-"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            feed.stdin.write(b"key,v\n")
            for number in range(3):
                feed.stdin.write(b"a,%d\n" % number)
                feed.stdin.flush()
                end = time.monotonic() + 10
                while len(node.published) <= number and time.monotonic() < end:
                    time.sleep(0.01)
                self.assertEqual(len(node.published), number + 1)
            feed.stdin.close()
            self.assertEqual(json.loads(feed.stdout.read())["acked"], 3)
            self.assertEqual(feed.wait(10), 0)
            feed.stdout.close()


def event_of(offset, **fields):
    return {"offset": offset, "key": b"k", "payload": msgpack.packb(fields)}


class Tail(unittest.TestCase):
    def start(self, node, *options):
        return subprocess.Popen(
            [PROGRAM, "tail", "--topic", "t", "--to", node.endpoint, *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_nothing_is_printed_twice_after_a_loss_of_the_session(self):
        with fake_node.FakeNode() as node:
            node.events = [(partition, event_of(offset, a=f"{partition}.{offset}"))
                           for offset in range(1, 4) for partition in range(2)]
            tail = self.start(node)
            lines = [tail.stdout.readline() for _ in range(7)]
            node.sessions.clear()
            node.events.append((1, event_of(4, a="1.4")))
            lines.append(tail.stdout.readline())
            tail.terminate()
            rest, errors = tail.communicate(timeout=20)
            self.assertEqual(tail.returncode, 0, errors)
            self.assertEqual(rest, "")
            self.assertEqual(lines, ["a\n", "0.1\n", "1.1\n", "0.2\n", "1.2\n", "0.3\n", "1.3\n",
                                     "1.4\n"])
            resume = [fake_node.decode("position", one) for one in node.subscribes[1]["resume"]]
            self.assertEqual([(one.get("partition", 0), one["offset"]) for one in resume],
                             [(0, 3), (1, 3)])

    def test_a_group_acknowledges_what_was_written(self):
        with fake_node.FakeNode() as node:
            node.events = [(2, event_of(offset, a=str(offset))) for offset in range(1, 101)]
            tail = self.start(node, "--group", "g", "--idle-ms", "300")
            output, errors = tail.communicate(timeout=20)
            self.assertEqual(tail.returncode, 0, errors)
            self.assertEqual(len(output.splitlines()), 101)
            self.assertTrue(node.parted.wait(20))
            done = [offset for one in node.acknowledged
                    for offset in range(one["first"], one["offset"] + 1)]
            self.assertEqual(done, list(range(1, 101)))
            self.assertNotIn("resume", node.subscribes[0])

    def test_what_could_not_be_written_is_not_acknowledged(self):
        with fake_node.FakeNode() as node, open("/dev/full", "wb") as full:
            node.events = [(0, event_of(1, a="1"))]
            done = subprocess.run([PROGRAM, "tail", "--topic", "t", "--to", node.endpoint,
                                   "--group", "g"], stdout=full, stderr=subprocess.PIPE,
                                  timeout=20, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"No space left", done.stderr)
            self.assertEqual(node.acknowledged, [])

    def test_a_look_acknowledges_nothing(self):
        with fake_node.FakeNode() as node:
            node.events = [(2, event_of(1, a="1"))]
            tail = self.start(node, "--idle-ms", "300", "--format", "json")
            output, errors = tail.communicate(timeout=20)
            self.assertEqual(tail.returncode, 0, errors)
            self.assertEqual(json.loads(output),
                             {"topic": "t", "partition": 2, "offset": 1, "key": "k",
                              "payload": {"a": "1"}})
            self.assertEqual(node.acknowledged, [])

    def test_csv_refuses_what_it_cannot_show(self):
        with fake_node.FakeNode() as node:
            node.events = [(0, event_of(1, a="1")), (0, event_of(2, a=2)), (0, event_of(3, a="3"))]
            tail = self.start(node, "--group", "g", "--idle-ms", "300")
            output, errors = tail.communicate(timeout=20)
            self.assertEqual(tail.returncode, 1)
            self.assertEqual(output, "a\n1\n")
            self.assertIn("partition 0, offset 2", errors)
            self.assertIn("--format json", errors)
            self.assertTrue(node.parted.wait(20))
            self.assertEqual(node.acknowledged, [{"first": 1, "offset": 1}],
                             "the refused one stays pending")

    def test_a_closed_pipe_ends_it_quietly(self):
        with fake_node.FakeNode() as node:
            node.events = [(0, event_of(offset, a="x" * 1000)) for offset in range(1, 500)]
            tail = self.start(node)
            tail.stdout.readline()
            tail.stdout.close()
            self.assertEqual(tail.wait(20), 0)
            self.assertEqual(tail.stderr.read(), "")
            tail.stderr.close()

    def test_a_node_that_went_away_is_no_end_of_the_events(self):
        with fake_node.FakeNode() as node:
            node.events = [(0, event_of(1, a="1"))]
            tail = self.start(node, "--idle-ms", "1000")
            self.assertEqual(tail.stdout.readline(), "a\n")
        output, errors = tail.communicate(timeout=40)
        self.assertEqual(tail.returncode, 1, output)
        self.assertIn("does not answer", errors)


if __name__ == "__main__":
    unittest.main()
