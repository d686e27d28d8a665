#!/usr/bin/python3
"""Wrong CSV through a real feed and node: told with file, line and field, the good rows kept, the
bad ones counted and listed, exit status 1."""
import csv
import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kit"))
from real_node import ENVIRONMENT, RealNode  # noqa: E402

MEMORY_MAX = 80 << 20  # bytes; with a field of 100 MB in the input


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = RealNode()
        cls.node.__enter__()
        cls.addClassCleanup(cls.node.__exit__)
        cls.topics = 0

    def setUp(self):
        type(self).topics += 1
        self.topic = f"t{self.topics}"
        self.options = ["--topic", self.topic, "--key", "id", "--seq", "n", "--partitions", "1"]

    def refused(self, data, *words, options=None, name="rows.csv"):
        """The whole file is refused, before anything is sent."""
        path = f"{self.node.folder}/{name}"
        with open(path, "wb") as file:
            file.write(data)
        done = self.node.run("feed", *(options or self.options), path)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stdout, b"")
        message = done.stderr.decode()
        self.assertEqual(len(message.splitlines()), 1, message)
        for word in [name, *words]:
            self.assertIn(word, message)

    def fed(self, data, messages, good, rows=2):
        """The bad rows are told on stderr, the good ones come out: `good` are their lines."""
        done, summary = self.node.feed(*self.options, "-", data=data)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stderr.decode().splitlines(), messages)
        self.assertEqual(summary["rows"], len(messages) + rows)
        self.assertEqual(summary["bad"], len(messages))
        self.assertEqual(summary["sent"], rows)
        self.assertEqual(summary["acked"], rows)
        self.assertEqual(self.node.tail(self.topic, "--idle-ms", "300")[1:], good)

    def test_a_missing_column_is_named_with_those_there_are(self):
        self.refused(b"id,m,v\n1,2,3\n", ":1:", "'n'", "--seq", "id, m, v")

    def test_an_empty_file_is_refused(self):
        self.refused(b"", "empty", "header")

    def test_binary_garbage_is_refused(self):
        self.refused(os.urandom(1 << 16), name="noise.bin")

    def test_a_compressed_file_is_told_with_the_remedy(self):
        self.refused(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "gzip", "zcat")

    def test_a_folder_is_refused(self):
        done = self.node.run("feed", *self.options, self.node.folder)
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"Is a directory", done.stderr)

    def test_a_file_that_does_not_exist_is_named(self):
        done = self.node.run("feed", *self.options, "/no/such/file.csv")
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"/no/such/file.csv: No such file", done.stderr)

    def test_rows_of_the_wrong_shape_are_told_by_line_and_field(self):
        self.fed(b"id,n,v\na,1,x\nb,1\nc,1,x,y\nd,1,z\n",
                 ["stdin:3: field 'v': is missing: the row has 2 fields, the header has 3",
                  "stdin:4: field 4: is too much: the row has 4 fields, the header has 3"],
                 [b"a,1,x", b"d,1,z"])

    def test_sequences_that_are_no_number_are_told_by_line(self):
        number = "is no number: sequences are 1, 2, 3 ... for each key"
        self.fed(b"id,n,v\na,1,x\na,two,x\na,,x\na,0,x\na,-1,x\na,1.0,x\n\n"
                 b'"a","2","l\n2"\na,x,\n',
                 [f"stdin:3: field 'n': 'two' {number}", f"stdin:4: field 'n': '' {number}",
                  "stdin:5: field 'n': '0' is 0: sequences begin at 1 for each key",
                  f"stdin:6: field 'n': '-1' {number}", f"stdin:7: field 'n': '1.0' {number}",
                  f"stdin:11: field 'n': 'x' {number}"],
                 [b"a,1,x", b'a,2,"l', b'2"'], rows=2)

    def test_a_field_of_100_megabytes_costs_its_row_and_no_memory(self):
        self.check_huge([b"id,n,v\na,1,", b"x", b"\nb,1,y\n"],
                        "rows.csv:2: field 'v': is longer than 1 MiB\n", rows=2, acked=1)

    def test_a_quoted_field_of_100_megabytes_costs_its_row_and_no_memory(self):
        self.check_huge([b'id,n,v\na,1,"', b"\n", b'"\nb,1,y\n'],
                        "rows.csv:2: field 'v': is longer than 1 MiB\n", rows=2, acked=1)

    def test_100_megabytes_without_a_line_feed_are_refused(self):
        self.check_huge([b"", b"x", b""], "the header's field 1 is longer than 1 MiB\n")

    def check_huge(self, parts, message, **figures):
        path = f"{self.node.folder}/rows.csv"
        with open(path, "wb") as file:
            file.write(parts[0])
            for _ in range(100):
                file.write(parts[1] * (1 << 20))
            file.write(parts[2])
        feed = subprocess.Popen(self.node.command("feed", *self.options, path),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
        output, errors = feed.stdout.read(), feed.stderr.read().decode()
        _, status, usage = os.wait4(feed.pid, 0)
        feed.returncode = os.waitstatus_to_exitcode(status)
        feed.stdout.close()
        feed.stderr.close()
        os.unlink(path)
        self.assertEqual(feed.returncode, 1)
        self.assertIn(message, errors)
        self.assertLess(usage.ru_maxrss * 1024, MEMORY_MAX)
        for name, value in figures.items():
            self.assertIn(f'"{name}":{value},'.encode(), output)

    def test_many_bad_rows_are_listed_in_part_and_in_the_ledger_in_full(self):
        ledger = f"{self.node.folder}/ledger"
        data = b"id,n\n" + b"a,x\n" * 1000 + b"a,1\n"
        done, summary = self.node.feed(*self.options, "--ledger", ledger, "-", data=data)
        self.assertEqual((done.returncode, summary["bad"], summary["acked"]), (1, 1000, 1))
        lines = done.stderr.decode().splitlines()
        self.assertEqual(len(lines), 21)
        self.assertIn("and 980 more", lines[-1])
        with open(ledger, newline="", encoding="utf-8") as file:
            entries = list(csv.DictReader(file))
        self.assertEqual(sum(entry["action"] == "bad" for entry in entries), 1000)
        self.assertEqual(entries[7]["line"], "9")
        self.assertEqual((entries[7]["key"], entries[7]["seq"]), ("a", "x"))

    def test_nothing_but_a_header_is_no_error(self):
        done, summary = self.node.feed(*self.options, "-", data=b"id,n\n")
        self.assertEqual((done.returncode, summary["rows"], summary["sent"]), (0, 0, 0))

    def test_a_node_that_is_not_there_is_named(self):
        done = subprocess.run(
            [*self.node.command("feed", *self.options)[:-1], "tcp://127.0.0.1:1", "-"],
            input=b"id,n\na,1\n", capture_output=True, timeout=60, env=ENVIRONMENT, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"tcp://127.0.0.1:1", done.stderr)

    def test_another_definition_of_the_topic_is_refused_with_the_remedy(self):
        self.node.feed(*self.options, "-", data=b"id,n\na,1\n")
        done = self.node.run("feed", "--topic", self.topic, "--key", "id", "-", data=b"id,n\na,1\n")
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"--seq", done.stderr)

    def test_another_number_of_partitions_is_refused_with_the_remedy(self):
        self.node.feed(*self.options, "-", data=b"id,n\na,1\n")
        done = self.node.run("feed", *self.options[:-1], "2", "-", data=b"id,n\na,1\n")
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"--partitions", done.stderr)

    def test_events_held_behind_a_row_that_is_missing_are_told(self):
        told = b"1 of the acked events were held"
        done, summary = self.node.feed(*self.options, "-", data=b"id,n\na,x\na,2\nb,1\n")
        self.assertEqual((done.returncode, summary["acked"]), (1, 2))
        self.assertIn(told, done.stderr)
        done, summary = self.node.feed(*self.options, "-", data=b"id,n\nc,2\n")
        self.assertEqual((done.returncode, summary["acked"]), (0, 1))
        self.assertIn(told, done.stderr)
        done, _ = self.node.feed(*self.options, "-", data=b"id,n\nd,2\nd,1\n")
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_a_tail_of_no_topic_says_so(self):
        done = self.node.run("tail", "--topic", "nothing", "--idle-ms", "100")
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"no topic nothing", done.stderr)

    def test_two_tails_of_a_group_share_what_is_left(self):
        self.node.feed(*self.options, "-", data=b"id,n\na,1\n")
        first = subprocess.Popen(self.node.command("tail", "--topic", self.topic, "--group", "g"),
                                 stdout=subprocess.PIPE, env=ENVIRONMENT)
        self.assertEqual([first.stdout.readline() for _ in range(2)], [b"id,n\n", b"a,1\n"])
        done = self.node.run("tail", "--topic", self.topic, "--group", "g", "--idle-ms", "300")
        self.assertEqual((done.returncode, done.stdout), (0, b""), "the first has written it")
        first.terminate()
        self.assertEqual(first.wait(30), 0)
        first.stdout.close()
        done = self.node.run("tail", "--topic", self.topic, "--group", "g", "--idle-ms", "300")
        self.assertEqual((done.returncode, done.stdout), (0, b""), "all was acknowledged")


if __name__ == "__main__":
    unittest.main(verbosity=2)
