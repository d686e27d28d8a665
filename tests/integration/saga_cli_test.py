#!/usr/bin/python3
"""`capstan saga` with a real node and the ledger of examples/peer_python/participant.py."""
import json
import os
import pathlib
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kit"))
from real_node import ENVIRONMENT, PROGRAM, ROOT, RealNode  # noqa: E402

LEDGER = ROOT / "examples" / "peer_python" / "participant.py"
PATIENCE_S = 60

TRANSFER = """\
saga: transfer
version: {version}
key: input.account
attributes: {{customer: input.customer}}
steps:
  - step: first
    participant: ledger
    action: book
    compensation: unbook
    input: $input.first
    retry: {{initial: 50ms, attempts: 3}}
  - choice:
      - when: input.ask == true
        steps:
          - await: approval
            any:
              - signal: approve
              - timeout: 1d
                steps:
                  - end: {{outcome: expired, undo: true}}
  - step: second
    participant: ledger
    action: book
    compensation: unbook
    input: $input.second
"""


class Case(unittest.TestCase):
    def setUp(self):
        self.node = self.enterContext(RealNode())
        self.define(1)

    def define(self, version):
        path = self.write(f"transfer-{version}.yaml", TRANSFER.format(version=version))
        return self.must("define", path)

    def write(self, name, text):
        path = pathlib.Path(self.node.folder, name)
        path.write_text(text, encoding="utf-8")
        return str(path)

    def ledger(self):
        """Starts the participant, until the test ends."""
        schema = subprocess.run([PROGRAM, "schema", "--format", "json"], check=True,
                                capture_output=True, encoding="utf-8").stdout
        path = self.write("schema.json", schema)
        process = subprocess.Popen(
            ["/usr/bin/python3", str(LEDGER), "--schema", path, "--endpoint", self.node.endpoint,
             "--database", f"{self.node.folder}/ledger.db"], env=ENVIRONMENT)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

    def saga(self, *arguments, data=None):
        done = self.node.run("saga", *arguments, data=data)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def must(self, *arguments, **options):
        status, out, err = self.saga(*arguments, **options)
        self.assertEqual((status, err), (0, ""), f"{arguments}: {out}\n{self.node.log()}")
        return out

    def refused(self, *arguments, **options):
        status, out, err = self.saga(*arguments, **options)
        self.assertEqual((status, out), (1, ""), f"{arguments}: {err}")
        return err

    def lines(self, *arguments):
        return [json.loads(line) for line in self.must(*arguments, "--json").splitlines()]

    def start(self, name, first=10, second=20, **more):
        return self.must("start", "transfer", "--id", name, "--input",
                         json.dumps({"account": "a-1", "first": first, "second": second, **more}))

    def show(self, name):
        return json.loads(self.must("show", name, "--json"))

    def until(self, name, condition):
        """The saga as it is when the condition holds."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition(self.show(name)):
            self.assertLess(time.monotonic(), deadline, self.must("show", name))
            time.sleep(0.05)
        return self.show(name)

    def rows(self, *filters):
        """The ids that are listed."""
        return [line["id"] for line in self.lines("list", *filters)]


class Definitions(Case):
    def test_a_definition_is_created_once(self):
        self.assertEqual(self.define(1), "transfer 1: unchanged\n")
        self.assertEqual(self.define(2), "transfer 2: created\n")
        other = self.write("other.yaml", TRANSFER.format(version=2).replace("attempts: 3",
                                                                            "attempts: 4"))
        self.assertIn(f"definition transfer at {self.node.endpoint}: ",
                      self.refused("define", other))
        self.assertEqual([(row["name"], row["version"]) for row in self.lines("definitions")],
                         [("transfer", 1), ("transfer", 2)])
        self.assertIn("transfer 2\n", self.must("graph", "transfer"))
        self.assertIn("transfer 1\n", self.must("graph", "transfer", "--version", "1"))
        self.assertIn("flowchart TD\n", self.must("graph", "transfer", "--format", "mermaid"))

    def test_a_wrong_line_is_named(self):
        wrong = self.write("wrong.yaml", TRANSFER.format(version=3).replace(
            "    action: book\n    compensation: unbook\n    input: $input.second",
            "    action: book\n    compensatoin: unbook\n    input: $input.second"))
        said = self.refused("define", wrong)
        self.assertIn(f"capstan saga define: {wrong}:24: compensatoin: ", said)
        self.assertEqual(len(self.lines("definitions", "transfer")), 1)


class Running(Case):
    def test_a_saga_is_started_waited_for_and_shown(self):
        self.ledger()
        self.assertEqual(
            self.must("start", "transfer", "--id", "t-1", "--wait", "1m", "--input",
                      '{"account":"a-1","customer":"Ada","first":1,"second":2}').split(", took")[0],
            "t-1: started, number 1, version 1\nt-1: COMPLETED, outcome completed")
        self.assertEqual(self.lines("result", "t-1")[0]["values"], {"first": 1, "second": 2})
        shown = self.show("t-1")
        self.assertEqual((shown["state"], shown["key"], shown["input"]["customer"]),
                         ("COMPLETED", "a-1", "Ada"))
        text = self.must("show", "t-1")
        self.assertIn("state       COMPLETED: every step that it took has its effect\n", text)
        self.assertRegex(text, r"(?m)^ +2    step first +DONE +1 ")
        self.assertRegex(self.must("graph", "--id", "t-1"), r"(?m)first: ledger/book.*\[DONE\]$")

    def test_one_that_fails_is_compensated_and_says_why(self):
        self.ledger()
        self.start("t-1", second=5000)
        status, out, err = self.saga("result", "t-1", "--wait", "1m")
        self.assertEqual((status, err), (1, ""))
        self.assertRegex(out, r"^t-1: COMPENSATED, .*TOO_MUCH")
        tasks = {task["number"]: task["state"] for task in self.show("t-1")["tasks"]}
        self.assertEqual(tasks[2], "UNDONE")

    def test_the_same_id_is_the_same_saga_or_a_conflict(self):
        self.assertIn("t-1: started", self.start("t-1"))
        self.assertIn("t-1: had been started before", self.start("t-1"))
        said = self.refused("start", "transfer", "--id", "t-1", "--input",
                            '{"account":"a-1","first":11}')
        self.assertIn(f"capstan saga start: saga t-1 at {self.node.endpoint}: ", said)
        self.assertIn("Use another id", said)

    def test_bad_ids_and_inputs_are_refused(self):
        for name in ("", "x" * 257, "a/b"):
            self.assertIn("Use 1 to 256 bytes of UTF-8 without `/`.",
                          self.refused("start", "transfer", "--id", name, "--input",
                                       '{"account":"a"}'))
        self.must("start", "transfer", "--id", "x" * 256, "--input", '{"account":"a"}')
        self.assertIn("definition nothing at", self.refused("start", "nothing", "--id", "x"))
        self.assertIn("--input: line 1, column 1", self.refused("start", "transfer", "--id", "x",
                                                                "--input", "{"))
        for arguments in (["show", "none"], ["result", "none"], ["cancel", "none"],
                          ["signal", "none", "approve"], ["graph", "--id", "none"]):
            said = self.refused(*arguments)
            self.assertIn(f"saga none at {self.node.endpoint}: no such saga.", said)

    def test_what_waits_says_for_what_and_a_signal_lets_it_go_on(self):
        self.ledger()
        self.start("t-1", ask=True)
        self.until("t-1", lambda saga: len(saga["tasks"]) > 4)
        self.assertRegex(self.must("show", "t-1"),
                         r"waits for +task \d+ await approval: signal approve, or 20")
        status, out, _ = self.saga("result", "t-1", "--wait", "100ms")
        self.assertEqual((status, out.splitlines()[0]), (1, "t-1: RUNNING"))
        self.must("pause", "t-1")
        for _ in range(2):
            self.assertEqual(self.must("signal", "t-1", "approve", "--value", '{"by":"Ada"}',
                                       "--token", "x"), "t-1: has got the signal approve\n")
        self.must("resume", "t-1")
        self.must("result", "t-1", "--wait")
        self.assertEqual(self.lines("result", "t-1")[0]["values"]["approval"], {"by": "Ada"})


class Operating(Case):
    def test_sagas_are_listed_counted_and_cancelled_by_filters(self):
        self.ledger()
        lines = "".join(json.dumps({"id": f"t-{n}", "input": {
            "account": f"a-{n % 2}", "customer": "Ada" if n == 3 else "Bob", "first": n,
            "second": n, "ask": True}}) + "\n" for n in range(1, 7))
        out = self.must("start", "transfer", "--input-lines", "-", "--json", data=lines.encode())
        self.assertEqual([json.loads(line)["created"] for line in out.splitlines()], [True] * 6)
        for number in range(1, 7):
            self.until(f"t-{number}", lambda saga: len(saga["tasks"]) > 4)
        self.assertEqual(self.rows(), [f"t-{n}" for n in range(6, 0, -1)])
        self.assertEqual(self.rows("--limit", "2"), ["t-6", "t-5"])
        self.assertEqual(self.rows("--before", "3"), ["t-2", "t-1"])
        self.assertEqual(self.rows("--key", "a-1"), ["t-5", "t-3", "t-1"])
        self.assertEqual(self.rows("--attribute", "customer=Ada"), ["t-3"])
        self.assertEqual(self.rows("--since", "1h", "--state", "RUNNING", "--limit", "1"), ["t-6"])
        self.assertEqual(self.rows("--until", "1h"), [])
        self.assertEqual(self.must("count"), "6\n")
        self.assertEqual(self.lines("count", "--by", "state"), [{"name": "RUNNING", "count": 6}])
        self.assertEqual(self.lines("count", "--by", "definition", "--key", "a-0"),
                         [{"name": "transfer", "count": 3}])

        dry = self.must("cancel", "--key", "a-0", "--dry-run")
        self.assertEqual(dry.count("would be done"), 3)
        self.assertEqual(self.must("count", "--state", "RUNNING"), "6\n")
        self.assertEqual(self.must("cancel", "--key", "a-0", "--reason", "test").count(" done "), 3)
        for number in (2, 4, 6):
            status, out, _ = self.saga("result", f"t-{number}", "--wait", "1m")
            self.assertEqual((status, "COMPENSATED" in out), (1, True), out)
        self.assertEqual(self.must("count", "--state", "COMPENSATED"), "3\n")
        said = self.refused("cancel", "t-2")
        self.assertIn("saga t-2 at", said)
        self.assertIn("has ended", said)

    def test_what_a_person_does_is_done(self):
        self.start("t-1")
        self.assertIn("t-1: pause done", self.must("pause", "t-1"))
        self.assertIn("a person: `capstan saga resume t-1`", self.must("show", "t-1"))
        self.assertIn("t-1: resume done", self.must("resume", "t-1"))
        self.assertIn("capstan saga retry: saga t-1 at", self.refused("retry", "t-1"))
        self.assertIn("t-1: abandon done (CANCELLED)",
                      self.must("abandon", "t-1", "--reason", "test"))
        self.assertIn("t-1b", self.must("fork", "t-1", "--new-id", "t-1b"))
        self.assertEqual(self.show("t-1b")["input"], self.show("t-1")["input"])

    def test_sagas_begin_again_at_a_step(self):
        self.ledger()
        for number in range(3):
            self.start(f"t-{number}")
            self.must("result", f"t-{number}", "--wait", "1m")
        last = [task for task in self.show("t-0")["tasks"] if task.get("attempt")][-1]
        node = self.show("t-0")["plan"]["nodes"][last["node"]]["name"]
        self.assertIn(": it has not come to a step", self.refused("fork", "t-0", "--suffix", ".2",
                                                              "--step", "nothing"))
        dry = self.must("fork", "--definition", "transfer", "--suffix", ".2", "--step", node,
                        "--dry-run")
        self.assertEqual(dry.count(f"fork would be done from task {last['number']} as t-"), 3)
        self.assertEqual(self.must("count"), "3\n")
        for _ in range(2):  # again changes nothing
            done = self.must("fork", "t-0", "--suffix", ".2", "--step", node)
            self.assertIn(f"t-0: fork done from task {last['number']} as t-0.2", done)
        self.must("result", "t-0.2", "--wait", "1m")
        fork = self.show("t-0.2")
        self.assertEqual((fork["state"], fork["origin"]), ("COMPLETED", "t-0"))
        self.assertEqual([task["number"] for task in fork["tasks"] if task.get("attempt")],
                         [last["number"]])
        shown = self.must("show", "t-0.2")
        self.assertIn("forked from t-0\n", shown)
        self.assertRegex(shown, r"first .* DONE +taken over ")

    def test_sagas_are_found_after_a_kill(self):
        self.start("t-1")
        self.node.kill()
        self.node.start()
        self.assertEqual(self.show("t-1")["state"], "RUNNING")
        self.ledger()
        self.must("result", "t-1", "--wait", "1m")


if __name__ == "__main__":
    os.environ.setdefault("LC_ALL", "C.UTF-8")
    unittest.main()
