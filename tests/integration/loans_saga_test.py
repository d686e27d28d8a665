#!/usr/bin/python3
"""The example of loan applications, as its user runs it: without kills, and with some.

usage: loans_saga_test.py [unittest options]

The applications are those of the file that CAPSTAN_LOANS names, or without it made ones of the same
shape. CAPSTAN_FULL: with more kills."""
import collections
import csv
import gzip
import io
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "kit"))
from real_node import ENVIRONMENT, PROGRAM  # noqa: E402

RUN = ROOT / "examples" / "loans" / "run"
KILLS = 30 if os.environ.get("CAPSTAN_FULL") else 4
CASES = 600
OUTCOMES = {"A_ACTIVATED": "activated", "A_DECLINED": "declined", "A_CANCELLED": "cancelled"}


def make_case(dice):
    """What happens to an application; some are still open, and some have a tail."""
    yield from ("A_SUBMITTED", "A_PARTLYSUBMITTED")
    for _ in range(dice.choice([0, 0, 0, 1, 1, 2, 3, 7])):
        yield from ("O_SELECTED", "O_CREATED", "O_SENT", "W_Nabellen offertes")
    if dice.random() < 0.9:
        yield dice.choice(list(OUTCOMES))
        yield from ["W_Valideren aanvraag", "O_CANCELLED"][:dice.randrange(3)]


def make_stream(dice):
    rows = []
    for case in range(CASES):
        at = dice.uniform(0, 86400)
        for seq, activity in enumerate(make_case(dice), 1):
            at += dice.expovariate(1 / 3600)
            rows.append((at, case, seq, activity))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["time", "case", "seq", "activity", "lifecycle", "resource", "amount"])
    for at, case, seq, activity in sorted(rows):
        writer.writerow([f"2026-01-{1 + int(at / 86400):02}T{int(at / 3600) % 24:02}:"
                         f"{int(at / 60) % 60:02}:{int(at) % 60:02}Z", f"loan/{case}", seq,
                         activity, "COMPLETE", 112, 5000])
    return out.getvalue().encode()


def count(data):
    """The outcomes by the data alone."""
    ends = {}
    for row in csv.DictReader(io.StringIO(data.decode())):
        ends.setdefault(row["case"], None)
        ends[row["case"]] = ends[row["case"]] or OUTCOMES.get(row["activity"])
    counted = collections.Counter(ends.values())
    return {**{name: counted[name] for name in OUTCOMES.values()}, "open": counted[None],
            "violations": 0}


class Loans(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="capstan-test-")
        self.addCleanup(folder.cleanup)
        self.path = os.environ.get("CAPSTAN_LOANS")
        if self.path:
            self.data = gzip.decompress(pathlib.Path(self.path).read_bytes())
        else:
            seed = int(os.environ.get("CAPSTAN_SEED", "1"))
            print(f"CAPSTAN_LOANS is not set: the applications are made, seed {seed}",
                  file=sys.stderr)
            self.data = make_stream(random.Random(seed))
            self.path = os.path.join(folder.name, "loans.csv.gz")
            pathlib.Path(self.path).write_bytes(gzip.compress(self.data))

    def run_loans(self, *options):
        done = subprocess.run([str(RUN), self.path, *options], capture_output=True, check=False,
                              encoding="utf-8", timeout=600,
                              env={**ENVIRONMENT, "CAPSTAN_PROGRAM": PROGRAM})
        self.assertEqual(done.returncode, 0, done.stderr[-4000:])
        return json.loads(done.stdout.splitlines()[-1])

    def test_sagas_data_and_ledger_agree(self):
        self.assertEqual(self.run_loans(), count(self.data))

    def test_they_agree_when_node_and_ledger_are_killed(self):
        seed = os.environ.get("CAPSTAN_SEED", "1")
        self.assertEqual(self.run_loans("--kills", str(KILLS), "--seed", seed), count(self.data))

    def test_what_is_no_file_is_refused(self):
        done = subprocess.run([str(RUN), "nothing.csv"], capture_output=True, check=False,
                              encoding="utf-8")
        self.assertEqual(done.returncode, 2)
        self.assertIn("there is no file nothing.csv", done.stderr)


if __name__ == "__main__":
    unittest.main()
