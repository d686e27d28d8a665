#!/usr/bin/python3
"""What the comparison makes of figures: medians, ratios, goals, the form of its output.

The programs of a made-up case are shell commands; nothing is installed, built or timed.
"""
import contextlib
import io
import json
import os
import sys
import unittest

ROOT = os.environ.get("CAPSTAN_SOURCE_DIR",
                      os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
sys.path.insert(0, os.path.join(ROOT, "tests/bench/kit"))
sys.dont_write_bytecode = True

import cases_runtime  # noqa: E402
import measure  # noqa: E402
import programs  # noqa: E402
import report  # noqa: E402
from cases import Case, Goal, Peer  # noqa: E402


class Shell(programs.Programs):
    """The programs are shell commands, {side: command}; $r is the repeat from 0."""

    def __init__(self, **sides):
        super().__init__(ROOT)
        self.sides = sides

    def command(self, side, _program, _arguments, _options=()):
        return ["sh", "-c", "r=$((CAPSTAN_BENCH_SEED - 1)); " + self.sides[side]]


def outcome_of(case, repeats=3, **sides):
    return measure.measure(case, Shell(**sides), repeats, seed=1)


def printed(function, argument):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        function(argument)
    return output.getvalue()


RATES = """echo '{"ops_per_s":'$((100 + 10 * r))'}'"""


class Figures(unittest.TestCase):
    def test_takes_medians_and_the_median_of_the_paired_ratios(self):
        # 100/50, 110/10, 120/120: the medians' own ratio would be 110/50.
        theirs = """set -- 50 10 120; shift $r; echo '{"ops_per_s":'$1'}'"""
        outcome = outcome_of(Case("b", "c", "", (), (Peer("caf"),)), capstan=RATES, caf=theirs)
        self.assertEqual(outcome.figures["ops_per_s"], 110)
        self.assertEqual(outcome.comparisons[0].figures["ops_per_s"], 50)
        self.assertEqual(outcome.comparisons[0].ratio, 2)

    def test_takes_the_ratio_of_the_figure_that_the_case_names(self):
        case = Case("b", "c", "", (), (Peer("zmq", Goal("", ratio_most=1.2)),), metric="p50_us")
        for ours, met in ((12, True), (13, False)):
            outcome = outcome_of(case, capstan=f"""echo '{{"p50_us":{ours},"ops_per_s":1}}'""",
                                 zmq="""echo '{"p50_us":10,"ops_per_s":9}'""")
            self.assertEqual(outcome.comparisons[0].ratio, ours / 10)
            self.assertIs(outcome.comparisons[0].met, met)

    def test_a_goal_is_met_when_every_bound_of_it_holds(self):
        goal = Goal("", least={"ops_per_s": 5}, most={"bytes_each": 512}, ratio_least=3)
        good = {"ops_per_s": 5, "bytes_each": 512}
        self.assertTrue(goal.is_met(good, 3))
        self.assertFalse(goal.is_met(good, 2.99))
        self.assertFalse(goal.is_met(good, None))
        self.assertFalse(goal.is_met({**good, "ops_per_s": 4.9}, 3))
        self.assertFalse(goal.is_met({**good, "bytes_each": 513}, 3))
        self.assertFalse(goal.is_met({"ops_per_s": 5}, 3))


class Failures(unittest.TestCase):
    def test_a_program_that_fails_or_prints_nothing_is_named(self):
        case = Case("b", "c", "", (), (Peer("caf", Goal("faster", ratio_least=1)),))
        for wrong, why in (("echo sum is 5 >&2; exit 1", "status 1: sum is 5"),
                           ("echo hello", "no figures: hello")):
            outcome = outcome_of(case, capstan=wrong, caf=RATES)
            self.assertEqual(outcome.failures, {None: why})
            self.assertIs(outcome.comparisons[0].met, False)
            self.assertIn(f"b/c: Capstan FAILED: {why}", printed(report.print_table, [outcome]))


class Output(unittest.TestCase):
    FORM = ["bench", "case", "ops_per_s", "p50_us", "p99_us", "p999_us", "ceiling_ops_per_s",
            "peer", "metric", "ratio", "met"]

    def test_a_line_of_json_begins_with_the_fields_of_every_benchmark(self):
        case = Case("tell", "x", "", (), (
            Peer("caf", Goal("3x", ratio_least=3), label="one worker"),
            Peer("zmq", is_ceiling=True)))
        outcome = outcome_of(case, capstan=RATES, caf="""echo '{"ops_per_s":11}'""",
                             zmq="""echo '{"ops_per_s":1000}'""")
        lines = [json.loads(line) for line in printed(report.print_json, outcome).splitlines()]
        self.assertEqual([list(line)[:len(self.FORM)] for line in lines], [self.FORM] * 2)
        self.assertEqual([lines[0][name] for name in self.FORM],
                         ["tell", "x", 110, None, None, None, 1000, "CAF (one worker)",
                          "ops_per_s", 10, True])
        self.assertEqual((lines[1]["peer"], lines[1]["met"]), ("libzmq", None))

    def test_the_table_has_a_row_per_side_with_its_goal_and_verdict(self):
        case = Case("ask", "x", "", (), goal=Goal("at most 10 us", most={"p50_us": 10}),
                    metric="p50_us")
        for microseconds, verdict in ((9, "met"), (11, "missed")):
            outcome = outcome_of(case, capstan=f"""echo '{{"p50_us":{microseconds}}}'""")
            row = printed(report.print_table, [outcome]).splitlines()[1]
            self.assertRegex(row, rf"^ask +x +Capstan .* at most 10 us +{verdict}$")

    def test_no_two_cases_have_one_name(self):
        names = [case.full_name for case in cases_runtime.CASES]
        self.assertEqual(len(names), len(set(names)))


if __name__ == "__main__":
    unittest.main()
