#!/usr/bin/python3
"""The program as a newcomer meets it: help, wrong usage, settings, the life of a node, status.

Each test runs the real program in a folder of its own, without the tests' own environment.
"""
import json
import os
import re
import signal
import subprocess
import tempfile
import unittest

ROOT = os.environ.get("CAPSTAN_SOURCE_DIR",
                      os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
PROGRAM = os.environ.get("CAPSTAN_PROGRAM", os.path.join(ROOT, "build", "capstan"))
WAIT_S = 60


def read_source(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


COMMANDS = re.findall(r'^COMMAND\((\w+),', read_source("cli/commands.def"), re.MULTILINE)


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="capstan-cli-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith("CAPSTAN_")}

    def run_program(self, *arguments, **variables):
        return subprocess.run([PROGRAM, *arguments], cwd=self.folder, timeout=WAIT_S,
                              env={**self.environment, **variables}, capture_output=True,
                              encoding="utf-8", stdin=subprocess.DEVNULL, check=False)

    def assert_refused(self, status, answer, *arguments, **variables):
        """The program ends with this status, says `answer` on stderr, and nothing on stdout."""
        result = self.run_program(*arguments, **variables)
        self.assertEqual((result.returncode, result.stdout), (status, ""), result.stderr)
        self.assertIn(answer, result.stderr)
        return result.stderr

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path


class Help(Case):
    def test_the_usage_lists_every_command_and_page(self):
        result = self.run_program("--help")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        for word in [*COMMANDS, "help settings", "help metrics", "help errors", "help sample",
                     "help topics"]:
            self.assertRegex(result.stdout, rf"(?m)^  {word} +\w")
        for same in ("-h", "help"):
            self.assertEqual(self.run_program(same).stdout, result.stdout)

    def test_no_command_is_wrong_usage(self):
        self.assert_refused(2, "Usage: capstan COMMAND")

    def test_every_command_explains_itself_with_an_example(self):
        self.assertGreaterEqual(len(COMMANDS), 7)
        for command in COMMANDS:
            with self.subTest(command):
                result = self.run_program(command, "--help")
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                self.assertIn(f"capstan {command}", result.stdout.split("\n")[0])
                examples = result.stdout[re.search("(?i)example", result.stdout).start():]
                self.assertRegex(examples, rf"capstan {command}\b")
                self.assertEqual(self.run_program("help", command).stdout, result.stdout)
                self.assertLessEqual(max(map(len, result.stdout.split("\n"))), 120)

    def test_every_command_refuses_a_wrong_option_and_names_it(self):
        for command in COMMANDS:
            with self.subTest(command):
                text = self.assert_refused(2, "--nonsense", command, "--nonsense")
                self.assertIn(f"capstan {command}", text)
                self.assertIn("--help", text)

    def test_a_misspelt_word_is_answered_with_the_nearest(self):
        self.assert_refused(2, "unknown command stauts; did you mean status?", "stauts")
        self.assert_refused(2, "unknown command quux\nTry `capstan --help`.", "quux")
        self.assert_refused(2, "did you mean node?", "help", "ndoe")
        self.assert_refused(2, "unknown option --confg; did you mean --config?",
                            "node", "--confg=x")
        self.assert_refused(2, "unknown option -c", "node", "-c")

    def test_options_are_read_strictly(self):
        self.assert_refused(2, "--config wants a value: FILE", "node", "--config")
        self.assert_refused(2, "--config is given twice", "node", "--config=a", "--config=b")
        self.assert_refused(2, "--json takes no value", "status", "--json=yes")
        self.assert_refused(2, 'unexpected argument "extra"', "status", "extra")
        self.assert_refused(2, 'unexpected argument "--json"', "status", "--", "--json")

    def test_the_version_is_the_projects(self):
        version = re.search(r"project\(capstan VERSION ([0-9.]+)", read_source("CMakeLists.txt"))
        self.assertEqual(self.run_program("--version").stdout, f"capstan {version.group(1)}\n")

    def test_the_pages_are_the_documents(self):
        for page, path in [("settings", "docs/config.md"), ("errors", "docs/errors.md"),
                           ("topics", "docs/topics.md"),
                           ("metrics", "docs/metrics.md"), ("sample", "config/capstan.yaml")]:
            self.assertEqual(self.run_program("help", page).stdout, read_source(path))

    def test_output_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            result = subprocess.run([PROGRAM, "--help"], stdout=full, stderr=subprocess.PIPE,
                                    timeout=WAIT_S, encoding="utf-8", check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("could not be written", result.stderr)


class Settings(Case):
    def test_a_wrong_setting_is_refused_before_anything_is_made(self):
        path = self.write("bad.yaml", "node:\n  name: a\n  stop_timeout_ms: 1\n")
        self.assert_refused(2, f"{path}:3: node.stop_timeout_ms: 1 is out of range; "
                               "allowed are 100 to 600000 ms", "node", "--config", path)
        self.assert_refused(2, "--set: node.nmae: no such setting; did you mean node.name?",
                            "node", "--set", "node.nmae=x")
        self.assert_refused(2, "CAPSTAN_NODE_NMAE: no such setting; did you mean "
                               "CAPSTAN_NODE_NAME?", "node", CAPSTAN_NODE_NMAE="x")
        self.assert_refused(2, "missing.yaml: cannot be opened", "node", "--config", "missing.yaml")
        self.assertEqual(os.listdir(self.folder), ["bad.yaml"])


class NodeCase(Case):
    def start(self, *arguments, **variables):
        """Starts a node on a free port; returns it and its ready line."""
        node = subprocess.Popen(
            [PROGRAM, "node", "--set", "gateway.endpoint=tcp://127.0.0.1:0", *arguments],
            cwd=self.folder, env={**self.environment, **variables}, encoding="utf-8",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.end, node)
        line = node.stdout.readline()
        self.assertTrue(line, "the node ended before it was ready")
        return node, json.loads(line)

    @staticmethod
    def end(node):
        if node.poll() is None:
            node.kill()
        node.communicate()

    def stop(self, node, number):
        """Stops the node in order; returns what it logged, line by line."""
        node.send_signal(number)
        out, err = node.communicate(timeout=WAIT_S)
        self.assertEqual((node.returncode, out), (0, ""), err)
        return [json.loads(line) for line in err.splitlines()]


class Node(NodeCase):
    def test_it_says_when_it_is_ready_and_stops_in_order(self):
        boots = []
        for number in (signal.SIGTERM, signal.SIGINT):
            node, ready = self.start("--set", "store.path=own.db", CAPSTAN_NODE_NAME="orders")
            self.assertEqual(list(ready), ["ready", "node", "boot", "name", "gateway", "store",
                                           "pid"])
            self.assertIs(ready["ready"], True)
            self.assertRegex(ready["node"], "^[0-9a-f]{16}$")
            self.assertEqual((ready["name"], ready["store"], ready["pid"]),
                             ("orders", "own.db", node.pid))
            self.assertRegex(ready["gateway"], r"^tcp://127\.0\.0\.1:[1-9][0-9]*$")
            boots.append((ready["node"], ready["boot"]))
            events = [line["event"] for line in self.stop(node, number)]
            self.assertLess(events.index("node.ready"), events.index("node.stopping"))
            self.assertEqual(events[-1], "node.stopped")
        self.assertEqual(boots[1], (boots[0][0], boots[0][1] + 1), "same id, next boot")

    def test_its_own_sample_file_starts_it(self):
        path = os.path.join(os.path.abspath(ROOT), "config/capstan.yaml")
        node, ready = self.start("--config", path)
        self.assertEqual(ready["store"], "capstan.db")
        self.stop(node, signal.SIGTERM)

    def test_it_records_traces_of_a_sample_as_log_events(self):
        node, ready = self.start("--set", "runtime.trace_sample=1000000")
        self.assertEqual(self.run_program("status", "--to", ready["gateway"]).returncode, 0)
        spans = [line for line in self.stop(node, signal.SIGTERM)
                 if line["event"] == "runtime.span"]
        by_id = {span["span_id"]: span for span in spans}
        for span in spans:
            self.assertRegex(span["trace_id"], "^[0-9a-f]{32}$")
            self.assertRegex(span["span_id"], "^[0-9a-f]{16}$")
            if span["parent_id"]:
                self.assertEqual(by_id[span["parent_id"]]["trace_id"], span["trace_id"])
        # The request for the status reaches the actors that have a part in it.
        for name in ("topics", "journal"):
            self.assertIn(["status", "gateway"], [self.ancestors(span, by_id) for span in spans
                                                  if span["actor"] == name])

    @staticmethod
    def ancestors(span, by_id):
        """The actors of the spans that a span came from, nearest first."""
        names = []
        while span["parent_id"]:
            span = by_id[span["parent_id"]]
            names.append(span["actor"])
        return names

    def test_it_goes_on_when_the_readers_of_its_output_go_away(self):
        node, ready = self.start()
        node.stdout.close()
        node.stderr.close()
        status = self.run_program("status", "--to", ready["gateway"], "--json")
        self.assertEqual(status.returncode, 0, status.stderr)
        node.send_signal(signal.SIGTERM)
        self.assertEqual(node.wait(timeout=WAIT_S), 0)

    def test_it_refuses_to_listen_beyond_loopback_and_a_store_in_no_folder(self):
        text = self.assert_refused(1, "capstan node: ", "node", "--set",
                                   "gateway.endpoint=tcp://0.0.0.0:0")
        self.assertIn("0.0.0.0", text)
        text = self.assert_refused(1, "capstan node: ", "node", "--set",
                                   "gateway.endpoint=tcp://127.0.0.1:0", "--set",
                                   "store.path=nowhere/x.db")
        self.assertIn("nowhere", text)


class Status(NodeCase):
    def test_it_shows_a_running_node_as_json_and_as_tables(self):
        node, ready = self.start()
        result = self.run_program("status", "--to", ready["gateway"], "--json")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(result.stdout.count("\n"), 1)
        self.assertIn(ready["node"], result.stdout)
        report = json.loads(result.stdout)
        actors = report["actors"]
        self.assertTrue(actors)
        kinds = {(actor["name"], actor["cell"]) for actor in actors}
        self.assertEqual(len(kinds), len(actors), "one row for the actors of a name and cell")
        table = self.run_program("status", "--to", ready["gateway"])
        self.assertEqual((table.returncode, table.stderr), (0, ""))
        self.assertRegex(table.stdout, r"(?m)^actors$")
        for actor in actors:
            self.assertIn(actor["name"], table.stdout)
        self.stop(node, signal.SIGTERM)

    def test_a_topics_partitions_are_one_row(self):
        node, ready = self.start()
        rows = os.path.join(self.folder, "rows.csv")
        with open(rows, "w", encoding="utf-8") as file:
            file.write("key,seq\na,1\nb,1\n")
        fed = self.run_program("feed", "--topic", "t", "--key", "key", "--seq", "seq", "--to",
                               ready["gateway"], rows)
        self.assertEqual(fed.returncode, 0, fed.stderr)
        result = self.run_program("status", "--to", ready["gateway"], "--json")
        report = json.loads(result.stdout)
        self.assertEqual([actor["count"] for actor in report["actors"]
                          if actor["name"] == "partition"], [16])
        self.check_metrics(report)
        self.stop(node, signal.SIGTERM)

    def check_metrics(self, report):
        """Each part of the node has counted the two events in its own way."""
        metrics = report["metrics"]
        self.assertEqual(metrics["gateway.publishes"], 2)
        self.assertEqual(metrics["ordering.events_stored"], 2)
        alive = sum(actor["count"] for actor in report["actors"])
        self.assertEqual(metrics["runtime.actors"], alive)
        self.assertEqual(metrics["runtime.actors_started"] - metrics["runtime.actors_ended"], alive)
        histograms = {row["metric"]: row for row in report["histograms"]}
        commits = histograms["journal.commit_ns"]
        self.assertGreaterEqual(commits["count"], report["journal"]["commits"])
        self.assertGreater(commits["p50"], 0)
        self.assertLessEqual(commits["p50"], commits["max"])
        self.assertGreaterEqual(histograms["runtime.turn_ns"]["count"], metrics["runtime.turns"])

    def test_it_says_where_nobody_answers(self):
        self.assert_refused(1, "tcp://127.0.0.1:1", "status", "--to", "tcp://127.0.0.1:1")


if __name__ == "__main__":
    unittest.main(verbosity=2)
