#!/usr/bin/env python3
"""The worker in Python against a real node: workers share a group, in order per key; what one
cannot process is parked; a second run gets nothing again."""
import json
import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "kit"))
from real_node import PROGRAM, ROOT, RealNode  # noqa: E402

SOURCE = pathlib.Path(os.environ.get("CAPSTAN_SOURCE_DIR", ROOT))
WORKER = SOURCE / "examples" / "peer_python" / "worker.py"
KEYS, SEQUENCES = 10, 30
LINES_MAX = 100


class Worker(unittest.TestCase):
    def setUp(self):
        self.node = self.enterContext(RealNode("ordering.group_attempts_max=2",
                                               "ordering.group_retry_ms_min=10"))
        self.schema = os.path.join(self.node.folder, "schema.json")
        with open(self.schema, "wb") as file:
            subprocess.run([PROGRAM, "schema", "--format", "json"], stdout=file, check=True)
        rows = [f"key-{key},{n + 1}" for n in range(SEQUENCES) for key in range(KEYS)]
        done, _ = self.node.feed("--topic", "demo", "--key", "key", "--seq", "seq", "-",
                                 data="\n".join(["key,seq", *rows, ""]).encode())
        self.assertEqual(done.returncode, 0, done.stderr)

    def start(self, *arguments):
        return subprocess.Popen(
            [sys.executable, str(WORKER), "--schema", self.schema, "--endpoint",
             self.node.endpoint, "--topic", "demo", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, worker):
        out, err = worker.communicate(timeout=90)
        self.assertEqual(worker.returncode, 0, err + out)
        return json.loads(out), [line.split() for line in err.splitlines()]

    def test_workers_share_a_group_and_do_nothing_twice(self):
        ended = [self.finish(worker) for worker in [self.start() for _ in range(3)]]
        self.assertEqual(sum(figures["done"] for figures, _ in ended), KEYS * SEQUENCES)
        self.assertEqual(sum(figures["stored"] for figures, _ in ended), KEYS * SEQUENCES)
        worked = []
        for figures, lines in ended:
            self.assertEqual((figures["rejected"], figures["refused"]), (0, 0))
            worked += lines
            for key in {key for key, _ in lines}:
                own = [int(sequence) for one, sequence in lines if one == key]
                self.assertEqual(own, sorted(own), f"{key} at one worker")
        self.assertEqual(len({tuple(line) for line in worked}), KEYS * SEQUENCES)
        again, lines = self.finish(self.start("--idle", "1"))
        self.assertEqual((again["done"], lines), (0, []))

    def test_what_it_cannot_process_is_parked_and_the_rest_goes_on(self):
        figures, lines = self.finish(self.start("--cannot", "key-3"))
        self.assertEqual((figures["done"], figures["stored"]), ((KEYS - 1) * SEQUENCES,) * 2)
        self.assertEqual(figures["rejected"], 2, "it was tried twice")
        self.assertNotIn("key-3", {key for key, _ in lines})
        done = self.node.run("topic", "parked", "demo", "--group", "workers", "--json")
        parked = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(parked), SEQUENCES)
        self.assertEqual(parked[0]["reason"], "nobody here knows key-3")
        done = self.node.run("topic", "replay", "demo", "--group", "workers", "--all")
        self.assertEqual(done.returncode, 0, done.stderr)
        figures, lines = self.finish(self.start())
        self.assertEqual([int(sequence) for _, sequence in lines], list(range(1, SEQUENCES + 1)))

    def test_is_short_enough_to_be_read(self):
        self.assertLessEqual(len(WORKER.read_text(encoding="utf-8").splitlines()), LINES_MAX)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
