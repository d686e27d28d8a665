#!/usr/bin/python3
"""More keys than a partition keeps in memory: what was accepted of the others is read from the
store when an event of theirs comes, also after kills of the node and with another number of
partitions."""
import contextlib
import json
import pathlib
import random
import sqlite3
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kit"))
from real_node import RealNode  # noqa: E402

PARTITIONS, RESIDENT, KEYS = 2, 64, 3000
PATIENCE_S = 60


class ColdKeys(unittest.TestCase):
    def start(self, *settings):
        self.node = self.enterContext(RealNode(f"ordering.resident_keys_max={RESIDENT}",
                                               *settings))
        done = self.node.run("topic", "create", "t", "--partitions", str(PARTITIONS),
                             "--sequence", "producer")
        self.assertEqual(done.returncode, 0, done.stderr)

    def restart(self):
        self.node.kill()
        self.node.start()

    def publish(self, rows, *options):
        data = "\n".join(["key,seq", *rows, ""]).encode()
        done, summary = self.node.feed("--topic", "t", "--key", "key", "--seq", "seq",
                                       "--producer", "p", *options, "-", data=data)
        self.assertEqual(done.returncode, 0, done.stderr + self.node.log().encode())
        self.assertEqual(summary["rejected"], 0, summary)
        return summary

    def publish_all(self, sequence):
        return self.publish(f"key-{key},{sequence}" for key in range(KEYS))

    def metric(self, name):
        return self.node.status()["metrics"][f"ordering.{name}"]

    def await_evicted(self):
        """Keys leave memory when their rows are on disk, which may be a moment later."""
        deadline = time.monotonic() + PATIENCE_S
        while self.metric("keys_resident") >= KEYS / 4 and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertLess(self.metric("keys_resident"), KEYS / 4)

    def describe(self):
        return json.loads(self.node.run("topic", "describe", "t", "--json").stdout)

    def test_duplicates_and_gaps_of_keys_that_left_memory(self):
        self.start()
        self.assertEqual(self.publish_all(1)["duplicates"], 0)
        self.await_evicted()
        self.assertGreater(self.metric("keys_evicted"), KEYS / 2)
        self.assertEqual(self.publish_all(1)["duplicates"], KEYS)
        self.assertGreater(self.metric("keys_looked_up"), KEYS / 2)
        for sequence in 2, 3:
            self.assertEqual(self.publish_all(sequence)["duplicates"], 0)
        self.publish(f"key-{key},5" for key in range(0, KEYS, 10))
        self.assertEqual(self.describe()["gaps"], KEYS / 10)
        self.restart()
        self.assertEqual(self.describe()["gaps"], KEYS / 10)
        self.assertEqual(self.publish_all(3)["duplicates"], KEYS)
        self.assertEqual(self.publish_all(4)["duplicates"], 0)
        self.assertEqual(self.describe()["gaps"], 0)
        self.assertEqual(self.publish_all(5)["duplicates"], KEYS / 10)
        self.assertEqual(self.describe()["events"], 5 * KEYS)

    def test_killed_at_any_time(self):
        seed = random.SystemRandom().randrange(1 << 32)
        print(f"seed {seed}", file=sys.stderr)
        dice = random.Random(seed)
        self.start("ordering.snapshot_records=200")
        done = [0] * KEYS
        for _ in range(6):
            rows = []
            for _ in range(dice.randrange(500, 3000)):
                key = dice.randrange(KEYS)
                done[key] += 1
                rows.append(f"key-{key},{done[key]}")
            self.publish(rows, "--reorder", "200", "--duplicate", "0.1")
            self.restart()
        known = [key for key in range(KEYS) if done[key] > 0]
        again = self.publish(f"key-{key},{done[key]}" for key in known)
        self.assertEqual((again["duplicates"], again["acked"]), (len(known), 0))
        first = self.publish(f"key-{key},1" for key in known)
        self.assertEqual((first["duplicates"], first["acked"]), (len(known), 0))
        self.assertEqual(self.publish(f"key-{key},{done[key] + 1}" for key in known)["acked"],
                         len(known))
        self.await_evicted()

    def test_they_go_to_another_partition(self):
        self.start()
        self.publish_all(1)
        self.publish_all(2)
        for turn, partitions in enumerate((7, 3, 8), 3):
            done = self.node.run("topic", "alter", "t", "--set", f"partitions={partitions}")
            self.assertEqual(done.returncode, 0, done.stderr + self.node.log().encode())
            self.assertEqual(self.publish_all(turn - 1)["duplicates"], KEYS)
            self.assertEqual(self.publish_all(turn)["duplicates"], 0)
            self.restart()
            self.assertEqual(self.publish_all(turn)["duplicates"], KEYS)
        self.assertEqual(self.describe()["events"], 5 * KEYS)

    def test_what_is_missing_is_given_up(self):
        self.start()
        self.publish_all(1)
        self.publish_all(2)
        for key in range(40):
            self.publish([f"key-{key},4"])
            done = self.node.run("topic", "skip", "t", "--producer", "p", "--key", f"key-{key}",
                                 "--reason", "lost")
            self.assertEqual(done.returncode, 0, done.stderr)
        done = self.node.run("topic", "skip", "t", "--producer", "p", "--key", "key-50",
                             "--reason", "lost")
        self.assertEqual(done.returncode, 1)
        self.restart()
        self.assertEqual(self.publish([f"key-{key},3" for key in range(40)])["acked"], 40)
        self.assertEqual(self.metric("events_diverted"), 40)
        self.assertEqual(self.publish([f"key-{key},4" for key in range(40)])["duplicates"], 40)

    def damage(self):
        with contextlib.closing(sqlite3.connect(f"{self.node.folder}/capstan.db")) as store, store:
            changed = store.execute("UPDATE snapshots SET checksum = ~checksum WHERE key = ?",
                                    (b"k\0\x01p" + b"key-7",))
            self.assertEqual(changed.rowcount, 1)

    def test_a_row_that_cannot_be_read_is_told(self):
        self.start()
        self.publish_all(1)
        self.publish(f"other-{key},1" for key in range(KEYS))  # by then it has left memory
        self.damage()
        done, summary = self.node.feed("--topic", "t", "--key", "key", "--seq", "seq",
                                       "--producer", "p", "-", data=b"key,seq\nkey-7,2\n")
        self.assertEqual((done.returncode, summary["rejected"]), (1, 1))
        self.assertIn("STORE_CORRUPT", done.stderr.decode())
        self.assertIn("ordering.lookup_failed", self.node.log())
        self.assertEqual(self.publish(["key-8,1", "key-9,1"])["duplicates"], 2)
        self.damage()
        self.assertEqual(self.publish(["key-7,1"])["duplicates"], 1)


if __name__ == "__main__":
    unittest.main()
