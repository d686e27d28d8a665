#!/usr/bin/python3
"""The programs of ours that are compared with other systems: at small sizes each comes to its end,
finds its own result right, and prints its figures. Speed is not looked at."""
import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.environ["CAPSTAN_SOURCE_DIR"], "tests/bench/kit"))
sys.dont_write_bytecode = True

import pipeline  # noqa: E402
import servers  # noqa: E402

PROGRAMS = os.path.join(os.environ["CAPSTAN_BUILD_DIR"], "tests/bench/runtime")
WAIT_S = 120

# Every program must stand here: {name: [arguments, ...]}.
SMALL = {
    "ask": ["200 1", "200 2", "200 1 50", "200 1 50 2"],
    "banking": ["10 1000 3", "2 10 1"],
    "big": ["1 10", "12 200"],
    "bounded_buffer": ["50 40 40 5 1", "2 1 1 10 1"],
    "chameneos": ["2 100", "9 1000"],
    "growth": ["1 1000 10 100", "10 1000 1 100 1000"],
    "mailbox": ["1 1", "10 5000"],
    "one_way": ["1 1", "1 2", "100000 1", "100000 2"],
    "participate": ["2000 100", "1 1"],
    "rings": ["1 1 1", "4 10 20"],
    "round_trip": ["200"],
    "skynet": ["1", "10", "1000"],
    "spawn": ["1000"],
    "tell": ["16384 8 1", "16384 8 2"],
}


# What the watchdog says of turns that a slow build or a busy machine makes long.
SPEED_EVENTS = ('"event":"runtime.cell_stalled"', '"event":"runtime.cell_went_on"')


def run(name, arguments):
    return subprocess.run([os.path.join(PROGRAMS, name), *arguments.split()], timeout=WAIT_S,
                          capture_output=True, encoding="utf-8", check=False)


def bench(*arguments):
    """A process of `capstan bench`."""
    return subprocess.run([os.environ["CAPSTAN_PROGRAM"], "bench", *arguments], timeout=WAIT_S,
                          capture_output=True, encoding="utf-8", check=False)


def complaints(result):
    return [line for line in result.stderr.splitlines()
            if not any(event in line for event in SPEED_EVENTS)]


class Programs(unittest.TestCase):
    def test_every_program_ends_with_the_right_result(self):
        for name, sizes in SMALL.items():
            for arguments in sizes:
                with self.subTest(program=name, arguments=arguments):
                    result = run(name, arguments)
                    self.assertEqual((result.returncode, complaints(result)), (0, []))
                    figures = json.loads(result.stdout)
                    self.assertGreater(figures["ops"], 0)
                    self.assertGreater(figures["ops_per_s"], 0)
                    self.assertGreater(figures["rss_bytes"], 0)

    def test_every_program_is_tested_here(self):
        built = {name for name in os.listdir(PROGRAMS)
                 if os.access(os.path.join(PROGRAMS, name), os.X_OK)}
        self.assertEqual(built, set(SMALL))

    def test_sagas_of_three_steps_end_with_all_figures(self):
        for options in ([], ["tcp"]):
            with self.subTest(options=options):
                result = bench("three_steps", "300", "20", *options)
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                figures = json.loads(result.stdout)
                self.assertEqual(figures["ops"], 300)
                for name in ("ops_per_s", "p50_us", "p99_us", "cpu_s", "rss_bytes"):
                    self.assertGreater(figures[name], 0)

    def test_sagas_whose_node_was_killed_are_all_heard_again(self):
        result = bench("recovered", "300")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        ready_s, heard_s = map(float, result.stdout.split())
        self.assertGreater(min(ready_s, heard_s), 0)

    def test_sagas_that_rest_are_looked_at_among_few_and_more(self):
        result = bench("resting", "100", "300")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        lines = [line.split() for line in result.stdout.splitlines()]
        self.assertEqual([line[0] for line in lines], ["100", "300"])
        for line in lines:
            self.assertEqual(len(line), 6)
            self.assertGreater(min(map(float, line)), 0)

    def test_an_outage_ends_with_all_figures(self):
        figures = json.loads(bench("swallowed", "1200").stdout)
        for name in ("ops", "p99_us", "p999_us"):
            self.assertGreater(figures[name], 0)

    def test_no_outage_is_refused(self):
        for arguments in ([], ["0"], ["soon"], ["600001"]):
            with self.subTest(arguments=arguments):
                result = bench("swallowed", *arguments)
                self.assertEqual((result.returncode, result.stdout), (1, ""))
                self.assertIn("number", result.stderr)

    def test_no_sagas_are_refused(self):
        for arguments in (["three_steps", "0", "1"], ["three_steps", "1", "none"],
                          ["recovered", "0"], ["resting", "10"], ["resting", "100", "100"]):
            with self.subTest(arguments=arguments):
                result = bench(*arguments)
                self.assertEqual((result.returncode, result.stdout), (1, ""))
                self.assertIn("number", result.stderr)

    def test_the_pipeline_ends_with_all_figures(self):
        ours = os.environ["CAPSTAN_PROGRAM"]
        figures = pipeline.run(servers.CapstanNode(ours), [ours, "bench", "publisher"],
                               [ours, "bench", "consumer"], (6400, 64), WAIT_S)
        self.assertEqual(figures["ops"], 6400)
        for name in ("ops_per_s", "p99_us", "cpu_s", "rss_bytes"):
            self.assertGreater(figures[name], 0)

    def test_a_pipeline_whose_client_fails_has_no_figures(self):
        ours = os.environ["CAPSTAN_PROGRAM"]
        for publish, consume in ((["false"], [ours, "bench", "consumer"]),
                                 ([ours, "bench", "publisher"], ["false"])):
            with self.assertRaises(servers.Failed):
                pipeline.run(servers.CapstanNode(ours), publish, consume, (64, 64), 5)

    def test_a_wrong_size_is_refused(self):
        for arguments in ("", "0", "ten", "-"):
            result = run("skynet", arguments)
            self.assertEqual((result.returncode, result.stdout), (1, ""))
            self.assertIn("leaves", result.stderr)


if __name__ == "__main__":
    unittest.main()
