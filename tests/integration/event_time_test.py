#!/usr/bin/python3
"""Event time over tcp: late events are delivered with a mark, diverted or dropped, and how far
event time has come survives the node being killed."""
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kit"))
from real_node import RealNode  # noqa: E402

IN_TIME, LATE = "2024-03-01T12:00:00Z", "2024-03-01T11:00:00Z"
HOUR_US = 3600 * 1000000


class EventTime(unittest.TestCase):
    def setUp(self):
        self.node = self.enterContext(RealNode())

    def make(self, topic, policy, lateness_ms=60000):
        done = self.node.run("topic", "create", topic, "--partitions", "1", "--sequence",
                             "producer", "--set", f"late_policy={policy}", "--set",
                             f"lateness_ms={lateness_ms}")
        self.assertEqual(done.returncode, 0, done.stderr)

    def feed(self, topic, *rows):
        data = "\n".join(["key,seq,at", *rows, ""]).encode()
        done, summary = self.node.feed("--topic", topic, "--key", "key", "--seq", "seq", "--time",
                                       "at", "--producer", "p", "-", data=data)
        self.assertEqual((done.returncode, summary["acked"]), (0, len(rows)), done.stderr)
        return done.stderr.decode()

    def tail(self, topic, *options):
        return [line.split(b",")[1] for line in
                self.node.tail(topic, "--idle-ms", "500", *options)[1:]]

    def figures(self, topic):
        figures = self.node.topic(topic)
        return figures["late"], figures.get("watermark_us")

    def test_each_policy_does_what_it_says(self):
        for policy, wanted, told in [("deliver", [b"1", b"2", b"3"], ""),
                                     ("divert", [b"1", b"3"], "acked events were diverted"),
                                     ("drop", [b"1", b"3"], "acked events were late")]:
            self.make(policy, policy)
            self.feed(policy, f"a,1,{IN_TIME}")
            before = self.figures(policy)
            self.assertEqual(before[0], 0)
            self.node.kill()
            self.node.start()
            self.assertEqual(self.figures(policy), before)
            errors = self.feed(policy, f"a,2,{LATE}", f"a,3,{IN_TIME}")
            self.assertIn(told, errors)
            self.assertEqual(self.figures(policy), (1, before[1]))
            self.assertEqual(self.tail(policy, "--group", "g"), wanted)
        done = self.node.run("topic", "group", "divert", "--group", "late", "--events", "diverted")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.tail("divert", "--group", "late"), [b"2"])

    def test_what_is_allowed_is_not_late_and_can_be_changed(self):
        self.make("t", "drop", HOUR_US // 1000)
        self.feed("t", f"a,1,{IN_TIME}", f"a,2,{LATE}")
        self.assertEqual(self.figures("t")[0], 0)
        done = self.node.run("topic", "alter", "t", "--set", "lateness_ms=1000")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("late", self.feed("t", f"a,3,{LATE}"))
        self.assertEqual(self.tail("t", "--group", "g"), [b"1", b"2"])
        metrics = self.node.status()["metrics"]
        self.assertEqual((metrics["ordering.late_dropped"], metrics["ordering.events_dropped"]),
                         (1, 1))

    def test_wrong_settings_are_refused(self):
        for setting, wanted in [("late_policy=later", b"off|deliver|divert|drop"),
                                ("lateness_ms=-1", b"lateness_ms"), ("idle_ms=0", b"idle_ms")]:
            done = self.node.run("topic", "create", "u", "--set", setting)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(wanted, done.stderr)
        described = json.loads(self.node.run("topic", "list", "--json").stdout)
        self.assertEqual(described, [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
