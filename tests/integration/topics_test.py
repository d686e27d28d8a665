#!/usr/bin/python3
"""The settings of topics: given when a topic is made, shown, changed while it is used, and kept
through a node's death."""
import json
import os
import pathlib
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kit"))
from real_node import ENVIRONMENT, PROGRAM, RealNode, slow_disk  # noqa: E402

FEED = ["--topic", "t", "--key", "key", "--seq", "seq"]
OWN_STREAMS = 2  # of the list of topics, and of sagas


def rows(keys, first, last, size=10):
    lines = [f"k{key},{sequence},{'x' * size}" for sequence in range(first, last + 1)
             for key in range(keys)]
    return "\n".join(["key,seq,text", *lines, ""]).encode()


class Case(unittest.TestCase):
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

    def check_store(self):
        """The node is down; everything in its store must be in order."""
        done = subprocess.run([PROGRAM, "store", "check", "--json", "--path",
                               f"{self.node.folder}/capstan.db"],
                              capture_output=True, env=ENVIRONMENT, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout)


class Settings(Case):
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
                (["alter", "t", "--set", "partitions=4", "--set", "late_policy=drop"],
                 "partitions is changed alone"),
                (["alter", "t", "--set", "sequence=arrival"], "sequence stays producer"),
                (["alter", "t", "--set", "id_window_ms=5"], "sequence=arrival only"),
                (["alter", "t", "--set", "event_bytes_max=5"], "1024 to 1048576"),
                (["alter", "t", "--set", "colour=red"], "no setting \"colour\""),
                (["alter", "nowhere", "--set", "partitions=4"], "no such topic"),
                (["describe", "nowhere"], "no such topic"),
                (["create", "v", "--set", "gap_timeout_ms=5"], "sequence=producer only"),
                (["create", "v", "--set", "partitions=0"], "1 to 256")]:
            self.assertIn(wanted, self.refused(*arguments))
        self.assertRegex(self.refused("parked", "nowhere", "--group", "g"),
                         "topic nowhere, group g at tcp://.*: no such topic. "
                         "Check the name, or create the topic")
        for arguments, wanted in [(["alter", "t"], b"alter needs --set"),
                                  (["alter", "t", "--set", "x"], b"wants NAME=VALUE")]:
            done = self.topic(*arguments)
            self.assertEqual(done.returncode, 2)
            self.assertIn(wanted, done.stderr)
        self.assertEqual([one["topic"] for one in json.loads(self.must("list", "--json"))], ["t"])


class Deletion(Case):
    def make(self, *settings, events=20):
        self.must("create", "t", "--partitions", "4", "--sequence", "producer", *settings)
        _, summary = self.node.feed(*FEED, "-", data=rows(5, 1, events // 5))
        self.assertEqual(summary["acked"], events)

    def test_a_deleted_topic_is_gone_for_everybody_and_from_the_store(self):
        self.must("create", "u")
        self.make()
        self.assertEqual(self.must("delete", "t"), b"t: deleted\n")
        self.assertIn("no such topic", self.refused("describe", "t"))
        self.assertIn("no such topic", self.refused("delete", "t"))
        self.assertEqual([one["topic"] for one in json.loads(self.must("list", "--json"))], ["u"])
        self.node.process.terminate()
        self.node.process.wait(30)
        self.node.kill()
        self.assertEqual(self.check_store()["streams"], OWN_STREAMS + 16)
        self.node.start()
        self.assertEqual([one["topic"] for one in json.loads(self.must("list", "--json"))], ["u"])
        self.must("create", "t")
        described = self.describe("t")
        self.assertEqual((described["events"], described["settings"]["sequence"]), (0, "arrival"))

    def test_who_publishes_hears_that_the_topic_is_unknown(self):
        self.make()
        feed = subprocess.Popen(
            self.node.command("feed", *FEED, "--rate", "2000", "-"), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
        feed.stdin.write(rows(5, 5, 400))
        feed.stdin.flush()
        time.sleep(0.3)
        self.must("delete", "t")
        out, errors = feed.communicate(timeout=60)
        self.assertNotEqual(feed.returncode, 0, out)
        self.assertIn(b"UNKNOWN_TOPIC", out + errors)
        self.assertNotIn("t", [one["topic"] for one in json.loads(self.must("list", "--json"))])

    def test_a_group_with_members_keeps_its_topic(self):
        self.make()
        member = subprocess.Popen(
            self.node.command("tail", "--topic", "t", "--group", "billing"),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
        self.addCleanup(member.kill)
        for _ in range(21):
            member.stdout.readline()
        refused = self.refused("delete", "t")
        self.assertIn('the group "billing" has 1 members', refused)
        self.assertEqual(self.describe("t")["events"], 20)
        self.must("delete", "t", "--force")
        _, errors = member.communicate(timeout=60)
        self.assertNotEqual(member.returncode, 0)
        self.assertIn(b"no such topic", errors)

    def test_a_topic_of_the_same_name_waits_until_the_old_one_is_gone(self):
        self.make(events=2000)
        delete = subprocess.Popen(self.node.command("topic", "delete", "t"),
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
        while self.topic("describe", "t").returncode == 0:
            pass
        made = json.loads(self.must("create", "t", "--partitions", "2", "--json"))
        self.assertEqual((made["created"], made["partitions"]), (True, 2))
        self.assertEqual(delete.communicate(timeout=60)[0], b"t: deleted\n")
        self.assertEqual(self.describe("t")["events"], 0)
        _, summary = self.node.feed("--topic", "t", "--key", "key", "-", data=rows(5, 1, 2))
        self.assertEqual(summary["acked"], 10)

    def test_a_delete_that_a_kill_cut_short_is_finished(self):
        cut = 0
        for attempt in range(8):
            self.make(events=3000)
            delete = subprocess.Popen(
                self.node.command("topic", "delete", "t"), stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, env=ENVIRONMENT)
            time.sleep(0.02 + attempt * 0.03)
            self.node.kill()
            delete.kill()
            delete.wait()
            left = self.check_store()
            self.node.start()
            if self.topic("describe", "t").returncode == 0:  # it was not begun
                self.assertEqual(self.describe("t")["events"], 3000, left)
                self.must("delete", "t")
            else:
                cut += 1
            self.must("create", "t", "--partitions", "4", "--sequence", "producer")
            self.assertEqual(self.describe("t")["events"], 0)
            self.must("delete", "t")
        self.assertGreater(cut, 0, "no kill came in time")
        self.node.kill()
        self.assertEqual(self.check_store()["streams"], OWN_STREAMS)


class Retention(Case):
    LONG = 3600000  # ms: whatever a test does then, however slowly, finds the events

    def feed(self, keys, first, last, size=10, result="acked"):
        _, summary = self.node.feed(*FEED, "-", data=rows(keys, first, last, size))
        self.assertEqual(summary[result], keys * (last - first + 1), summary)

    def until(self, check, what):
        end = time.monotonic() + 30
        while not check():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.05)

    def kept(self):
        return self.describe("t")["events_kept"]

    def sequences(self):
        """Of each key, what a look from the beginning gets; ascending without a hole."""
        found = {}
        for line in self.node.tail("t", "--idle-ms", "700")[1:]:
            key, sequence, _ = line.split(b",")
            found.setdefault(key, []).append(int(sequence))
        for key, got in found.items():
            self.assertEqual(got, list(range(got[0], got[-1] + 1)), key)
        return found

    def test_events_go_when_they_are_old_and_their_numbers_stay(self):
        self.must("create", "t", "--partitions", "2", "--sequence", "producer", "--set",
                  f"retention_ms={self.LONG}")
        self.feed(5, 1, 20)
        self.assertEqual(self.kept(), 100)
        self.must("alter", "t", "--set", "retention_ms=500", "--force")
        self.until(lambda: self.kept() == 0, "they are kept for half a second")
        self.assertEqual(self.describe("t")["bytes_kept"], 0)
        self.assertEqual(self.sequences(), {})
        self.assertEqual(self.metric("events_expired"), 100)
        for _ in range(2):
            self.feed(5, 1, 20, result="duplicates")
            self.node.kill()
            self.assertEqual(self.check_store()["records"], 4)  # topic, alter, two beginnings
            self.node.start()
        self.must("alter", "t", "--set", f"retention_ms={self.LONG}")
        self.feed(5, 21, 22)
        self.assertEqual({key: got[0] for key, got in self.sequences().items()},
                         {b"k%d" % key: 21 for key in range(5)})

    def test_the_oldest_bytes_go(self):
        self.must("create", "t", "--partitions", "1", "--sequence", "producer", "--set",
                  "retention_bytes=200000")
        self.feed(10, 1, 400, size=200)
        self.until(lambda: self.describe("t")["bytes_kept"] < 300000, "bytes_kept")
        self.assertGreaterEqual(self.describe("t")["bytes_kept"], 200000)
        found = self.sequences()
        self.assertEqual({got[-1] for got in found.values()}, {400})
        self.assertGreater(min(got[0] for got in found.values()), 100)
        self.assertEqual(sum(len(got) for got in found.values()), self.kept())

    def test_a_group_that_has_not_processed_events_keeps_them(self):
        self.must("create", "t", "--partitions", "1", "--sequence", "producer", "--set",
                  f"retention_ms={self.LONG}")
        self.must("alter", "t", "--set", "retention_ms=1600", "--force")
        self.feed(5, 1, 10)
        done = self.node.run("tail", "--topic", "t", "--group", "slow", "--idle-ms", "500")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.feed(5, 11, 20)
        self.assertIn("say so with force", self.refused("alter", "t", "--set", "retention_ms=300"))
        self.until(lambda: self.kept() == 50, "what the group has processed goes")
        time.sleep(1)
        self.assertEqual(self.kept(), 50)
        self.assertEqual(self.metric("events_expired_unread"), 0)
        done = self.node.run("tail", "--topic", "t", "--group", "slow", "--idle-ms", "500")
        self.assertEqual(len(done.stdout.splitlines()), 51)
        self.until(lambda: self.kept() == 0, "it has processed the others")

    def test_by_force_events_go_that_a_group_has_not_processed(self):
        self.must("create", "t", "--partitions", "1", "--sequence", "producer")
        self.feed(5, 1, 10)
        self.node.run("tail", "--topic", "t", "--group", "slow", "--idle-ms", "500")
        self.feed(5, 11, 20)
        self.must("alter", "t", "--set", "retention_ms=1000", "--set", "retention_holds=nothing",
                  "--force")
        self.until(lambda: self.kept() == 0, "nothing holds them")
        self.assertEqual(self.metric("events_expired_unread"), 50)
        self.assertEqual(self.describe("t")["groups"][0]["lag"], 0)
        self.must("alter", "t", "--set", f"retention_ms={self.LONG}")
        self.feed(5, 21, 22)
        done = self.node.run("tail", "--topic", "t", "--group", "slow", "--idle-ms", "500")
        self.assertEqual(len(done.stdout.splitlines()), 11, done.stderr)
        self.node.kill()
        self.node.start()
        self.assertEqual(self.describe("t")["groups"][0]["lag"], 0)

    def test_a_new_group_begins_with_the_oldest_event_that_is_kept(self):
        self.must("create", "t", "--partitions", "1", "--sequence", "producer", "--set",
                  "retention_bytes=50000")
        self.feed(10, 1, 200, size=200)
        self.until(lambda: self.kept() < 600, "most of them go")
        for name in ("one", "two"):
            before = self.kept()
            done = self.node.run("tail", "--topic", "t", "--group", name, "--idle-ms", "500")
            self.assertIn(len(done.stdout.splitlines()) - 1, range(self.kept(), before + 1))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.node.kill()
            self.check_store()
            self.node.start()
        self.assertEqual([one["lag"] for one in self.describe("t")["groups"]], [0, 0])
        self.feed(10, 201, 400, size=200)
        for name in ("one", "two"):
            self.assertGreaterEqual(self.kept(), 2000)
            done = self.node.run("tail", "--topic", "t", "--group", name, "--idle-ms", "500")
            self.assertEqual(len(done.stdout.splitlines()), 2001, done.stderr)
        self.until(lambda: self.kept() < 600, "both have processed them")

    def test_kills_lose_nothing_that_is_to_be_kept(self):
        self.must("create", "t", "--partitions", "2", "--sequence", "producer", "--set",
                  "retention_bytes=100000")
        for life in range(8 if os.environ.get("CAPSTAN_FULL") else 4):
            feed = subprocess.Popen(
                self.node.command("feed", *FEED, "-"), stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
            feed.stdin.write(rows(20, 1, 100 * (life + 1), size=100))
            feed.stdin.close()
            time.sleep(0.1 + 0.15 * life)
            self.node.kill()
            self.check_store()
            self.node.start()
            self.assertEqual(feed.wait(60), 0, feed.stderr.read())
            feed.stdout.close()
            feed.stderr.close()
            found = self.sequences()
            self.assertEqual({got[-1] for got in found.values()}, {100 * (life + 1)})
        self.until(lambda: self.describe("t")["bytes_kept"] < 300000, "bytes_kept")
        described = self.describe("t")
        self.assertLess(described["events_kept"], described["events"])
        self.node.kill()
        self.check_store()


class Erasure(Case):
    KEYS, EVENTS = 8, 300

    def secret(self, key):
        return f"secret{key:04}of".encode()

    def rows(self):
        lines = [f"k{key},{sequence},{self.secret(key).decode()}{sequence:06}{'x' * 200}"
                 for sequence in range(1, self.EVENTS + 1) for key in range(self.KEYS)]
        return "\n".join(["key,seq,text", *lines, ""]).encode()

    def stored(self):
        """Whose secrets are anywhere in the store's files."""
        bytes_ = b"".join(path.read_bytes() for path in pathlib.Path(self.node.folder).iterdir()
                          if path.name.startswith("capstan.db"))
        return [key for key in range(self.KEYS) if self.secret(key) in bytes_]

    def check_events(self):
        """All are there, in the order of their keys, and those of k3 say nothing."""
        lines = self.node.tail("t", "--idle-ms", "700", "--format", "json")
        events = [json.loads(line) for line in lines]
        for key in range(self.KEYS):
            own = [event for event in events if event["key"] == f"k{key}"]
            self.assertEqual([event["sequence"] for event in own],
                             list(range(1, self.EVENTS + 1)))
            self.assertEqual({event.get("erased", False) for event in own}, {key == 3})
            self.assertEqual({"payload" in event for event in own}, {key != 3})
        lines = self.node.tail("t", "--idle-ms", "700")[1:]
        self.assertEqual(len(lines), (self.KEYS - 1) * self.EVENTS, "csv passes them over")

    def test_what_the_events_of_a_key_say_is_gone_from_everywhere(self):
        self.must("create", "t", "--partitions", "2", "--sequence", "producer")
        _, summary = self.node.feed(*FEED, "-", data=self.rows())
        self.assertEqual(summary["acked"], self.KEYS * self.EVENTS)
        self.assertEqual(self.stored(), list(range(self.KEYS)))
        self.assertEqual(self.must("erase", "t", "--key", "k3"), b"t: 300 events erased\n")
        self.assertEqual(self.must("erase", "t", "--key", "k3"), b"t: 0 events erased\n")
        self.assertEqual(self.stored(), [key for key in range(self.KEYS) if key != 3])
        self.check_events()
        self.node.kill()
        self.assertEqual(self.stored(), [key for key in range(self.KEYS) if key != 3])
        self.check_store()
        self.node.start()
        self.check_events()
        _, summary = self.node.feed(*FEED, "-", data=self.rows())
        self.assertEqual(summary["duplicates"], self.KEYS * self.EVENTS)

    def test_a_key_with_a_gap_is_not_erased(self):
        self.must("create", "t", "--sequence", "producer")
        self.node.feed(*FEED, "-", data=b"key,seq,text\nk1,2,x\n")
        self.assertIn("wait for a missing one", self.refused("erase", "t", "--key", "k1"))
        self.assertEqual(self.must("erase", "t", "--key", "k2"), b"t: 0 events erased\n")
        self.assertIn("no such topic", self.refused("erase", "nowhere", "--key", "k1"))


class Durability(Case):
    """On a disk that takes 200 KB a second: a commit of three pages takes a quarter of one."""
    EVENTS = 6000

    def setUp(self):
        self.node = self.enterContext(RealNode(environment=slow_disk(200000)))
        self.must("create", "t", "--partitions", "1", "--set", "durability=accepted")
        self.must("create", "u", "--partitions", "1")

    def feed(self, topic, data):
        begin = time.monotonic()
        _, summary = self.node.feed("--topic", topic, "--key", "key", "-", data=data)
        return summary["acked"], time.monotonic() - begin

    def restart(self, environment):
        self.node.kill()
        self.check_store()
        self.node.environment |= environment
        self.node.start()

    def texts(self):
        return self.node.tail("t", "--idle-ms", "1000")[1:]

    def test_events_are_answered_and_delivered_ahead_of_the_disk(self):
        acked, seconds = self.feed("u", rows(1, 1, 20))
        self.assertEqual(acked, 20)
        self.assertGreater(seconds, 0.15, "the disk is not slow: this test shows nothing")
        acked, _ = self.feed("t", rows(10, 1, self.EVENTS // 10, size=100))
        self.assertEqual(acked, self.EVENTS)
        self.assertEqual(len(self.texts()), self.EVENTS)

    def test_a_crash_loses_the_newest_and_a_stop_nothing(self):
        # What is written survives a kill, synced or not: the last events have to come while those
        # before them are being synced, which takes ten seconds and more.
        self.restart(slow_disk(20000))
        part = self.EVENTS // 4
        for i in range(4):
            events = rows(1, i * part + 1, (i + 1) * part, size=100)
            self.assertEqual(self.feed("t", events)[0], part)
            time.sleep(1 if i == 0 else 0)
        self.restart(slow_disk(200000))
        left = [int(line.split(b",")[1]) for line in self.texts()]
        self.assertLess(len(left), self.EVENTS)
        self.assertEqual(left, list(range(1, len(left) + 1)))
        self.assertEqual(self.feed("t", rows(1, 1, 50))[0], 50)
        self.node.process.terminate()
        self.node.process.wait(60)
        self.node.kill()
        self.node.start()
        self.assertEqual(len(self.texts()), len(left) + 50)

    def test_it_is_for_topics_that_nobody_numbers(self):
        self.assertIn("sequence=arrival only", self.refused(
            "create", "v", "--sequence", "producer", "--set", "durability=accepted"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
