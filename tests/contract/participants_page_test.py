#!/usr/bin/env python3
"""docs/participants.md: its bytes are those of the vectors, and its table of rules is the one of
actors/saga/inbox_states.def."""
import os
import pathlib
import re
import unittest

SOURCE = pathlib.Path(os.environ.get("CAPSTAN_SOURCE_DIR", pathlib.Path(__file__).parents[2]))
PAGE = (SOURCE / "docs" / "participants.md").read_text(encoding="utf-8")
STEPS = re.findall(r"^INBOX_STEP\((\w+), (\w+), (\w+), (\w+),",
                   (SOURCE / "actors" / "saga" / "inbox_states.def").read_text(), re.M)
WORDS = {"DONE": "**done**", "FINAL": "**failed for good**", "NEVER": "**never**", "RUN": "run"}


def vector(name):
    text = (SOURCE / "tests" / "contract" / "vectors" / f"{name}.hex").read_text()
    return re.search(r"^all (\w+)$", text, re.M).group(1)


def bytes_of(block):
    """The hex of each line, which ends where the words begin, two spaces behind it."""
    lines = (re.match(r" *((?:[0-9a-f]+ ?)+)(?:  |$)", line) for line in block.splitlines())
    return "".join(line.group(1) for line in lines).replace(" ", "")


class Page(unittest.TestCase):
    def test_the_bytes_are_those_of_the_vectors(self):
        blocks = re.findall(r"^```\n(.*?)^```", PAGE, re.M | re.S)
        self.assertEqual([bytes_of(block) for block in blocks],
                         [vector("participant_commands"), vector("participant_results")])

    def test_the_rules_are_those_of_the_table(self):
        rows = re.findall(r"^\| (none|[A-Z_]+) \| (.*) \| (.*) \| (.*) \|$", PAGE, re.M)
        cells = {(row, command): cell for row, *line in rows
                 for command, cell in zip(("act", "undo", "settle"), line)}
        self.assertEqual(len(cells), 18)
        for state, command, to, answer in STEPS:
            row = "none" if state == "NONE" else state
            if command in ("act", "undo", "settle", "undo_again"):
                cell = cells[row, command.removesuffix("_again")]
                self.assertIn(WORDS[answer], cell.lower().replace("run it", "run"),
                              f"{row}, {command}")
                if to != state:
                    self.assertIn(f"row {to}", cell, f"{row}, {command}")


if __name__ == "__main__":
    unittest.main()
