#!/usr/bin/python3
"""The settings of topics: given when a topic is made, shown, changed while it is used, and kept
through a node's death."""
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kit"))
from real_node import RealNode  # noqa: E402

FEED = ["--topic", "t", "--key", "key", "--seq", "seq"]


def rows(keys, first, last, size=10):
    lines = [f"k{key},{sequence},{'x' * size}" for sequence in range(first, last + 1)
             for key in range(keys)]
    return "\n".join(["key,seq,text", *lines, ""]).encode()


class Topics(unittest.TestCase):
    def setUp(self):
        self.node = self.enterContext(RealNode())

    def topic(self, *arguments):
        return self.node.run("topic", *arguments)

    def must(self, *arguments):
        done = self.topic(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def describe(self, name):
        return json.loads(self.must("describe", name, "--json"))

    def refused(self, *arguments):
        done = self.topic(*arguments)
        self.assertEqual((done.returncode, done.stdout), (1, b""), arguments)
        return done.stderr.decode()

    def metric(self, name):
        return self.node.status()["metrics"]["ordering." + name]

    def test_settings_are_given_shown_changed_and_kept(self):
        self.must("create", "t", "--partitions", "3", "--sequence", "producer", "--set",
                  "event_bytes_max=4096", "--set", "gap_timeout_ms=5000")
        self.must("create", "u")
        settings = self.describe("t")["settings"]
        self.assertEqual(
            {name: settings[name] for name in ("partitions", "sequence", "event_bytes_max",
                                               "gap_timeout_ms", "id_window_ms")},
            {"partitions": 3, "sequence": "producer", "event_bytes_max": 4096,
             "gap_timeout_ms": 5000, "id_window_ms": 0})
        self.assertEqual(self.describe("u")["settings"]["partitions"], 16)
        altered = json.loads(self.must("alter", "t", "--set", "event_bytes_max=8192", "--json"))
        self.assertEqual(altered["settings"]["event_bytes_max"], "8192")
        settings["event_bytes_max"] = 8192
        self.assertEqual(self.describe("t")["settings"], settings)
        self.must("create", "t", "--set", "event_bytes_max=8192")
        self.assertIn("another definition: event_bytes_max differs",
                      self.refused("create", "t", "--set", "event_bytes_max=4096"))
        self.node.kill()
        self.node.start()
        self.assertEqual(self.describe("t")["settings"], settings)

    def test_an_event_that_is_too_large_is_refused_from_the_next_one_on(self):
        self.must("create", "t", "--sequence", "producer", "--set", "event_bytes_max=2048")
        done, summary = self.node.feed(*FEED, "-", data=rows(2, 1, 1, size=3000))
        self.assertEqual(summary["acked"], 0)
        self.assertIn(b"TOO_LARGE", done.stdout + done.stderr)
        self.assertEqual(self.metric("events_too_large"), 2)
        self.must("alter", "t", "--set", "event_bytes_max=4096")
        _, summary = self.node.feed(*FEED, "-", data=rows(2, 1, 1, size=3000))
        self.assertEqual(summary["acked"], 2)
        self.assertEqual(self.metric("events_too_large"), 2)

    def test_describe_shows_figures_partitions_and_groups(self):
        self.must("create", "t", "--partitions", "2", "--sequence", "producer")
        _, summary = self.node.feed(*FEED, "-", data=rows(5, 1, 4))
        self.assertEqual(summary["acked"], 20)
        done = self.node.run("tail", "--topic", "t", "--group", "billing", "--idle-ms", "500")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(done.stdout.splitlines()), 21)
        described = self.describe("t")
        self.assertEqual((described["events"], described["keys"]), (20, 5))
        self.assertEqual(sum(one["events"] for one in described["partitions"]), 20)
        self.assertEqual([one["partition"] for one in described["partitions"]], [0, 1])
        [group] = described["groups"]
        self.assertEqual((group["group"], group["lag"], group["members"]), ("billing", 0, 0))
        self.node.feed(*FEED, "-", data=rows(5, 5, 5))
        self.assertEqual(self.describe("t")["groups"][0]["lag"], 5)
        shown = self.must("describe", "t").decode()
        for word in ("event_bytes_max", "billing", "partitions_unavailable", "lag"):
            self.assertIn(word, shown)

    def test_what_cannot_be_says_why(self):
        self.must("create", "t", "--sequence", "producer")
        for arguments, wanted in [
                (["alter", "t", "--set", "partitions=4"], "partitions stays 16"),
                (["alter", "t", "--set", "sequence=arrival"], "sequence stays producer"),
                (["alter", "t", "--set", "id_window_ms=5"], "sequence=arrival only"),
                (["alter", "t", "--set", "event_bytes_max=5"], "1024 to 1048576"),
                (["alter", "t", "--set", "colour=red"], "no setting \"colour\""),
                (["alter", "nowhere", "--set", "partitions=4"], "no such topic"),
                (["describe", "nowhere"], "no such topic"),
                (["create", "v", "--set", "gap_timeout_ms=5"], "sequence=producer only"),
                (["create", "v", "--set", "partitions=0"], "1 to 256")]:
            self.assertIn(wanted, self.refused(*arguments))
        for arguments, wanted in [(["alter", "t"], b"alter needs --set"),
                                  (["alter", "t", "--set", "x"], b"wants NAME=VALUE")]:
            done = self.topic(*arguments)
            self.assertEqual(done.returncode, 2)
            self.assertIn(wanted, done.stderr)
        self.assertEqual([one["topic"] for one in json.loads(self.must("list", "--json"))], ["t"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
