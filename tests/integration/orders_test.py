#!/usr/bin/python3
"""The sample examples/orders.csv is what its generator makes, and shows what it is there for."""
import collections
import csv
import pathlib
import subprocess
import sys
import unittest

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"


class Orders(unittest.TestCase):
    def test_the_sample_is_what_its_generator_makes(self):
        made = subprocess.run([sys.executable, EXAMPLES / "make_orders.py"], capture_output=True,
                              check=True).stdout
        self.assertEqual(made, (EXAMPLES / "orders.csv").read_bytes())

    def test_it_has_late_repeated_and_interleaved_events_and_no_hole(self):
        seen, late, repeated, switches, last = collections.defaultdict(set), 0, 0, 0, None
        with open(EXAMPLES / "orders.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            order, seq = row["order"], int(row["seq"])
            repeated += seq in seen[order]
            late += seq not in seen[order] and any(other > seq for other in seen[order])
            seen[order].add(seq)
            switches += order != last
            last = order
        self.assertTrue(3000 <= len(rows) <= 4000, len(rows))
        self.assertGreater(late, 50)
        self.assertGreater(repeated, 50)
        self.assertGreater(switches, len(rows) * 9 // 10)
        for order, numbers in seen.items():
            self.assertEqual(numbers, set(range(1, len(numbers) + 1)), order)


if __name__ == "__main__":
    unittest.main()
