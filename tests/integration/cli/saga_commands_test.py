#!/usr/bin/python3
"""`capstan saga` against a node that answers as a test says: what it asks, what it prints, and how
it ends."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import msgpack

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "kit"))
from fake_node import FakeNode, Refused, decode, encode, encoded  # noqa: E402

PROGRAM = os.environ["CAPSTAN_PROGRAM"]
RUNNING, COMPENSATING, COMPLETED, COMPENSATED, PARKED = 2, 3, 4, 5, 6
STARTED_US = 1769860800000000  # 2026-01-31T12:00:00Z

ORDER = """\
saga: order
version: 2
steps:
  - step: reserve
    participant: stock
    action: reserve
    compensation: release
  - step: charge
    class: pivot
    participant: bank
    action: charge
"""


def row(number, **fields):
    return {"id": f"order-{number}", "number": number, "definition": "order", "version": 2,
            "state": RUNNING, "started_us": STARTED_US, **fields}


def summary(number=17, values=None, **fields):
    return ("saga_summary", {"saga": encoded("saga_row", **row(number, **fields)),
                             "values": msgpack.packb(values) if values else None})


class Case(unittest.TestCase):
    def setUp(self):
        self.node = self.enterContext(FakeNode())
        self.folder = self.enterContext(tempfile.TemporaryDirectory(prefix="capstan-saga-"))

    def write(self, name, text):
        path = pathlib.Path(self.folder, name)
        path.write_text(text, encoding="utf-8")
        return str(path)

    def saga(self, *arguments, data=None, **variables):
        return subprocess.run([PROGRAM, "saga", *arguments, "--to", self.node.endpoint], input=data,
                              capture_output=True, encoding="utf-8", timeout=60, check=False,
                              env={**os.environ, **variables})

    def must(self, *arguments, **options):
        done = self.saga(*arguments, **options)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def fails(self, *arguments, status=1, **options):
        """What it says; it prints nothing else."""
        done = self.saga(*arguments, **options)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        return done.stderr

    def last(self):
        return self.node.asked[-1]


class Help(Case):
    def actions(self):
        text = self.must("--help").split("Actions, each with --help of its own:\n")[1]
        return [line.split()[0] for line in text.split("\n\n")[0].splitlines()]

    def test_every_action_explains_itself_with_an_example(self):
        self.assertEqual(len(self.actions()), 17)
        for action in self.actions():
            text = self.must(action, "--help")
            self.assertTrue(text.startswith(f"Usage: capstan saga {action} "), action)
            self.assertIn(f"  capstan saga {action} ", text.split("\nExamples:\n")[1])
            self.assertIn("--json", text)
            self.assertLessEqual(max(map(len, text.splitlines())), 110, action)
            self.assertEqual(subprocess.run([PROGRAM, "help", "saga", action], check=True,
                                            capture_output=True, encoding="utf-8").stdout, text)

    def test_wrong_usage_names_the_action(self):
        for arguments, says in [
                (["strat"], "capstan saga: there is no action 'strat'; did you mean start?"),
                (["list", "--stat=x"], "capstan saga list: unknown option --stat; did you mean "
                                       "--state?"),
                (["list", "--state", "GONE"], '--state: "GONE" is none of WAITING, RUNNING'),
                (["list", "--since", "soon"], '--since: "soon" is neither a time such as'),
                (["list", "--version", "1"], "--version wants --definition too"),
                (["list", "--attribute", "x"], '--attribute wants NAME=VALUE, not "x"'),
                (["start", "order"], "give either --id or --input-lines"),
                (["start", "order", "--id", "x", "--deadline", "5"],
                 '--deadline: "5" is no duration such as 500ms'),
                (["cancel"], "say which are meant: an ID, filters such as --state, or --all"),
                (["cancel", "a", "--state", "RUNNING"], "give either an ID or filters"),
                (["skip", "a"], "--reason TEXT is missing"),
                (["complete", "a"], "--reason TEXT is missing"),
                (["abandon", "a"], "--reason TEXT is missing"),
                (["retry", "--all", "--task", "2"], "--task wants an ID"),
                (["fork", "a"], "give --new-id ID or --suffix TEXT"),
                (["fork", "a", "--new-id", "b", "--suffix", "c"], "give --new-id ID or --suffix"),
                (["fork", "--all", "--new-id", "b"], "--new-id wants an ID; give --suffix TEXT"),
                (["fork", "--all", "--suffix", "b", "--task", "2"], "--task wants an ID; give "),
                (["fork", "a", "--suffix", "b", "--task", "2", "--step", "c"],
                 "give either --step or --task"),
                (["fork", "--suffix", "b"], "say which are meant"),
                (["graph"], "give either a NAME, --file or --id"),
                (["signal", "a"], "an argument is missing")]:
            with self.subTest(arguments):
                self.assertIn(says, self.fails(*arguments, status=2))
        self.assertEqual(self.node.hellos, 0)

    def test_a_node_without_sagas_is_named(self):
        self.assertEqual(self.fails("show", "x"),
                         f"capstan saga show: the node at {self.node.endpoint}: it runs no sagas: "
                         "it is of an earlier version of this program, or embedded in one that "
                         "starts none.\n")


class Definitions(Case):
    def test_a_definition_is_sent_as_its_file_says(self):
        self.node.sagas = lambda name, body: (
            "saga_defined", {"name": "order", "version": 2, "created": True})
        path = self.write("order.yaml", ORDER)
        self.assertEqual(self.must("define", path), "order 2: created\n")
        name, body = self.last()
        self.assertEqual((name, body["name"]), ("saga_define", "order"))
        record = decode("saga_definition", msgpack.unpackb(body["definition"],
                                                           strict_map_key=False))
        nodes = [decode("saga_node", node) for node in record["nodes"]]
        self.assertEqual([node.get("name") for node in nodes], [None, "reserve", "charge"])
        self.assertEqual(json.loads(self.must("define", "-", "--json", data=ORDER)),
                         {"name": "order", "version": 2, "created": True})

    def test_one_that_exists_is_unchanged(self):
        self.node.sagas = lambda *_: ("saga_defined", {"name": "order", "version": 2})
        self.assertEqual(self.must("define", self.write("order.yaml", ORDER)),
                         "order 2: unchanged\n")

    def test_a_wrong_file_is_named_with_its_line_and_nothing_is_sent(self):
        wrong = self.write("wrong.yaml", ORDER.replace("    action: charge", "    acton: charge"))
        said = self.fails("define", self.write("order.yaml", ORDER), wrong)
        self.assertIn(f"capstan saga define: {wrong}:11: acton", said)
        self.assertIn("missing.yaml: No such file",
                      self.fails("define", "missing.yaml"))
        self.assertEqual(self.node.hellos, 0)

    def test_a_refused_one_is_named(self):
        def refuse(*_):
            raise Refused("DEFINITION_CONFLICT", "")
        self.node.sagas = refuse
        self.assertEqual(
            self.fails("define", self.write("order.yaml", ORDER)),
            f"capstan saga define: definition order at {self.node.endpoint}: this version of the "
            "definition exists with another content. Give the changed definition the next "
            "version.\n")

    def test_definitions_are_listed_and_drawn(self):
        def answer(name, body):
            if name == "saga_define":
                self.record = msgpack.unpackb(body["definition"], strict_map_key=False)
                return "saga_defined", {"name": "order", "version": 2}
            found = [self.record] if body.get("name") in (None, "order") else []
            return "saga_definition_list", {"definitions": found}
        self.node.sagas = answer
        self.must("define", self.write("order.yaml", ORDER))
        self.assertEqual(self.must("definitions").splitlines()[1].split(),
                         ["order", "2", "3", "request", "no"])
        shown = json.loads(self.must("definitions", "order", "--version", "2", "--json"))
        self.assertEqual((shown["name"], shown["nodes"][2]["class"]), ("order", "pivot"))
        self.assertEqual(self.last()[1], {"name": "order", "version": 2})
        tree = ("order 2\n|- reserve: stock/reserve, undone by stock/release\n"
                "`- charge: bank/charge, pivot\n")
        self.assertEqual(self.must("graph", "order", LC_ALL="C"), tree)
        self.assertIn("├─ reserve", self.must("graph", "order", LC_ALL="en_US.UTF-8"))
        self.assertEqual(json.loads(self.must("graph", "order", "--json", LC_ALL="C"))["graph"],
                         tree)
        self.assertIn("definition other at", self.fails("graph", "other"))
        self.assertIn("no such definition. Check name and version",
                      self.fails("definitions", "other"))

    def test_a_file_is_drawn_without_a_node(self):
        done = subprocess.run([PROGRAM, "saga", "graph", "--file", "-", "--format", "mermaid"],
                              input=ORDER, capture_output=True, encoding="utf-8", check=True)
        self.assertTrue(done.stdout.startswith('flowchart TD\n  n0(["order 2"])\n'))
        self.assertIn("  class n2 pivot\n", done.stdout)


class Starting(Case):
    def started(self, name, body):
        if body["id"] == "taken":
            raise Refused("SAGA_CONFLICT", "")
        if body["definition"] != "order":
            raise Refused("UNKNOWN_DEFINITION", "")
        return "saga_started", {"id": body["id"], "number": 5, "version": 2, "created": True}

    def setUp(self):
        super().setUp()
        self.node.sagas = self.started

    def test_a_saga_is_started_as_the_options_say(self):
        self.assertEqual(
            self.must("start", "order", "--id", "o-1", "--input", '{"amount":120,"by":["Ada"]}',
                      "--key", "k", "--deadline", "5m", "--version", "2"),
            "o-1: started, number 5, version 2\n")
        name, body = self.last()
        self.assertEqual(msgpack.unpackb(body.pop("input")), {"amount": 120, "by": ["Ada"]})
        self.assertEqual((name, body), ("saga_start", {
            "definition": "order", "id": "o-1", "key": "k", "version": 2, "deadline_ms": 300000}))
        self.assertEqual(json.loads(self.must("start", "order", "--id", "o-1", "--json")),
                         {"id": "o-1", "number": 5, "version": 2, "created": True})
        self.assertEqual(self.last()[1], {"definition": "order", "id": "o-1"})

    def test_the_input_may_be_in_a_file_or_come_in(self):
        path = self.write("input.json", '{"a": 9007199254740993}')
        self.must("start", "order", "--id", "o-1", "--input", "@" + path)
        self.assertEqual(msgpack.unpackb(self.last()[1]["input"]), {"a": 9007199254740993})
        self.must("start", "order", "--id", "o-1", "--input", "-", data='{"b":null}')
        self.assertEqual(msgpack.unpackb(self.last()[1]["input"]), {"b": None})

    def test_wrong_input_is_named_with_its_place_and_not_sent(self):
        path = self.write("input.json", '{\n "a": 1,\n b}')
        for argument, says in [
                ("@" + path, f"--input: {path}: line 3, column 2: "),
                ("{", "--input: line 1, column 1: "),
                ("[1]", "--input: the input must be an object"),
                ("@missing", "--input: missing: No such file"),
                ('{"a":18446744073709551616}', "what does not fit into 64 bits as a text")]:
            self.assertIn(says, self.fails("start", "order", "--id", "x", "--input", argument))
        self.assertEqual(self.node.hellos, 0)

    def test_a_refused_start_names_what_it_is_about(self):
        self.assertEqual(
            self.fails("start", "order", "--id", "taken"),
            f"capstan saga start: saga taken at {self.node.endpoint}: the id belongs to another "
            "saga. Use another id, or the definition, version and input that it was started "
            "with.\n")
        self.assertIn(f"definition other at {self.node.endpoint}: no such definition.",
                      self.fails("start", "other", "--id", "x"))

    def test_lines_are_started_one_by_one(self):
        lines = ('{"id":"a","input":{"n":1}}\n\n{"id":"taken"}\n{"id":"b","key":"k"}\n'
                 '{"id":7}\n{"id":"c","inptu":{}}\n{"input":{}}\nnonsense\n')
        done = self.saga("start", "order", "--input-lines", "-", "--json", data=lines)
        self.assertEqual(done.returncode, 1)
        self.assertEqual([json.loads(line)["id"] for line in done.stdout.splitlines()], ["a", "b"])
        said = done.stderr.splitlines()
        self.assertEqual(len(said), 5, said)
        self.assertIn("saga taken at", said[0])
        for line, number in zip(said[1:], (5, 6, 7, 8)):
            self.assertIn(f"capstan saga start: -:{number}: ", line)
        starts = [body for name, body in self.node.asked if name == "saga_start"]
        self.assertEqual([body["id"] for body in starts], ["a", "taken", "b"])
        self.assertEqual(msgpack.unpackb(starts[0]["input"]), {"n": 1})
        self.assertEqual(starts[2]["key"], "k")
        self.must("start", "order", "--input-lines", self.write("good", '{"id":"a"}\n{"id":"b"}'))

    def test_waiting_asks_until_the_saga_rests(self):
        answers = [summary(state=RUNNING),
                   summary(state=COMPLETED, outcome="shipped", ended_us=STARTED_US + 1500000,
                           values={"charge": {"paid": True}})]

        def answer(name, body):
            if name == "saga_start":
                return self.started(name, body)
            return answers.pop(0)
        self.node.sagas = answer
        self.assertEqual(self.must("start", "order", "--id", "order-17", "--wait", "1m"),
                         "order-17: started, number 5, version 2\n"
                         "order-17: COMPLETED, outcome shipped, took 1.5s\n"
                         '{"charge":{"paid":true}}\n')
        self.assertEqual([name for name, _ in self.node.asked],
                         ["saga_start", "saga_result", "saga_result"])


class Looking(Case):
    def test_a_result_is_printed_and_is_the_exit_status(self):
        for state, status in [(COMPLETED, 0), (RUNNING, 1), (COMPENSATED, 1), (PARKED, 1)]:
            self.node.sagas = lambda *_, state=state: summary(state=state, reason="why")
            done = self.saga("result", "order-17")
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertRegex(done.stdout, r"^order-17: [A-Z]+: why\n$")
            self.assertEqual(self.last(), ("saga_result", {"id": "order-17", "now": True}))
        shown = json.loads(self.saga("result", "order-17", "--json").stdout)
        self.assertEqual((shown["state"], shown["reason"], shown["id"]),
                         ("PARKED", "why", "order-17"))

    def test_waiting_for_a_result_ends_in_time(self):
        self.node.sagas = lambda name, body: summary() if body.get("now") else None
        done = self.saga("result", "order-17", "--wait", "300ms")
        self.assertEqual((done.returncode, done.stdout), (1, "order-17: RUNNING\n"))
        self.assertFalse(self.node.asked[0][1].get("now", False))

    def test_a_node_that_recovers_is_asked_again(self):
        def answer(*_):
            if len(self.node.asked) == 1:
                raise Refused("UNAVAILABLE", "")
            if len(self.node.asked) == 2:
                raise Refused("GONE", "")
            return summary(state=COMPLETED)
        self.node.sagas = answer
        self.assertEqual(self.must("result", "order-17"), "order-17: COMPLETED\n")
        self.assertEqual(len(self.node.asked), 3)

        def gone(*_):
            raise Refused("GONE", "")
        self.node.sagas = gone
        self.assertIn("saga order-17 at", self.fails("result", "order-17"))

    def test_an_unknown_saga_is_named_with_its_node(self):
        def refuse(*_):
            raise Refused("UNKNOWN_SAGA", "no such saga")
        self.node.sagas = refuse
        for arguments in (["show", "x"], ["result", "x"], ["signal", "x", "go"], ["cancel", "x"],
                          ["graph", "--id", "x"]):
            self.assertEqual(
                self.fails(*arguments),
                f"capstan saga {arguments[0]}: saga x at {self.node.endpoint}: no such saga. Check "
                "the id; `capstan saga list` shows what there is. One that has ended is forgotten "
                "after saga.retention_ms.\n")

    def test_a_saga_is_shown_with_its_tasks(self):
        begin = encoded("saga_begin", number=5, id="order-17", definition="order", version=2,
                        at_us=STARTED_US, input=msgpack.packb({"n": 1}))
        task = encode("saga_task", number=1, node=1, state=2, attempt=2, opened_us=STARTED_US)
        state = encoded("saga_state", begin=begin, state=RUNNING, tasks=[task])
        self.node.sagas = lambda *_: ("saga_shown", {"state": state})
        text = self.must("show", "order-17")
        self.assertIn("definition  order 2 (not known at this node: it does not go on)\n", text)
        self.assertRegex(text, r"(?m)^ +1  node 1  CALLING +2  \+0ms +\S+ so far$")
        shown = json.loads(self.must("show", "order-17", "--json"))
        self.assertEqual((shown["id"], shown["state"], shown["input"], shown["tasks"][0]["state"]),
                         ("order-17", "RUNNING", {"n": 1}, "CALLING"))

    def pages(self, name, body):
        """Sagas 2500 to 1, as they are asked for."""
        first = body.get("before", 2501) - 1
        last = max(first - body["count_max"], 0)
        sagas = [encode("saga_row", **row(n)) for n in range(first, last, -1)]
        return "saga_page", {"sagas": sagas, "before": last + 1 if last > 0 else None}

    def test_a_list_is_a_page_or_all_pages(self):
        self.node.sagas = self.pages
        lines = self.must("list", "--limit", "2").splitlines()
        self.assertEqual(lines[1].split()[:5], ["2500", "order-2500", "order", "2", "RUNNING"])
        self.assertEqual(lines[-1], "... and perhaps more: see --all, or --before 2499")
        self.assertEqual(len(lines), 4)
        ids = [json.loads(line)["id"] for line in
               self.must("list", "--all", "--json").splitlines()]
        self.assertEqual(ids, [f"order-{n}" for n in range(2500, 0, -1)])
        self.assertEqual(len(self.must("list", "--json", "--limit", "1500").splitlines()), 1500)
        self.assertEqual(self.must("list", "--before", "2", "--json").count("\n"), 1)

    def test_filters_are_sent_as_they_are_given(self):
        self.node.sagas = lambda *_: ("saga_page", {})
        self.assertEqual(
            self.must("list", "--state", "parked", "--outcome", "x", "--definition", "order",
                      "--version", "2", "--key", "k", "--attribute", "customer=Ada=1",
                      "--since", "2026-01-31T12:00:00Z", "--until", "2026-02-01"),
            "there is no such saga\n")
        record = msgpack.unpackb(self.last()[1]["filter"], strict_map_key=False)
        self.assertEqual(decode("saga_filter", record), {
            "state": PARKED, "outcome": "x", "definition": "order", "version": 2, "key": "k",
            "attribute": "customer", "value": "Ada=1", "since_us": STARTED_US,
            "until_us": STARTED_US + 43200 * 1000000})
        self.must("list")
        self.assertNotIn("filter", self.last()[1])

    def test_counts_are_one_number_or_one_per_kind(self):
        sums = [encode("saga_sum", name="", count=2), encode("saga_sum", name="shipped", count=40)]
        self.node.sagas = lambda name, body: (
            "saga_counts", {"sums": sums if body.get("by") else [encode("saga_sum", name="",
                                                                        count=42)]})
        self.assertEqual(self.must("count"), "42\n")
        self.assertEqual(json.loads(self.must("count", "--json")), {"count": 42})
        self.assertEqual(self.must("count", "--by", "outcome"),
                         "outcome  sagas\n(none)       2\nshipped     40\n")
        self.assertEqual(self.last()[1]["by"], 2)
        self.assertEqual([json.loads(line) for line in
                          self.must("count", "--by", "outcome", "--json").splitlines()],
                         [{"name": "", "count": 2}, {"name": "shipped", "count": 40}])


class Operating(Case):
    def operated(self, *sagas, more=None):
        return "saga_operated", {"sagas": [encode("saga_operation", **saga) for saga in sagas],
                                 "more": more}

    def test_a_signal_is_sent_with_its_value(self):
        self.node.sagas = lambda *_: ("done", {})
        self.assertEqual(self.must("signal", "order-17", "approve", "--value", '"yes"',
                                   "--token", "t"), "order-17: has got the signal approve\n")
        name, body = self.last()
        self.assertEqual((name, body), ("saga_signal", {
            "id": "order-17", "signal": "approve", "value": msgpack.packb("yes"), "token": "t"}))
        self.assertIn("--value: line 1", self.fails("signal", "a", "b", "--value", "{"))

    def test_each_operation_is_its_number(self):
        self.node.sagas = lambda name, body: self.operated({"id": body["id"], "state": RUNNING})
        for number, action in enumerate(["cancel", "pause", "resume", "retry", "skip", "complete",
                                         "fork", "abandon"], 1):
            more = {"fork": ["--new-id", "b"]}.get(action, [])
            said = "fork done as b" if action == "fork" else f"{action} done"
            self.assertEqual(self.must(action, "a", "--reason", "why", *more),
                             f"a: {said} (RUNNING)\n")
            name, body = self.last()
            self.assertEqual((name, body["operation"], body["id"], body["reason"]),
                             ("saga_operate", number, "a", "why"))
            self.assertEqual(body.get("id_new"), "b" if action == "fork" else None)

    def test_what_belongs_to_an_operation_is_sent(self):
        self.node.sagas = lambda name, body: self.operated({"id": body["id"]})
        self.must("skip", "a", "--task", "5", "--value", '{"x":1}', "--reason", "by hand")
        self.assertEqual(self.last()[1], {
            "operation": 5, "id": "a", "task": 5, "value": msgpack.packb({"x": 1}),
            "reason": "by hand"})
        self.must("complete", "a", "--outcome", "shipped", "--reason", "by hand")
        self.assertEqual(self.last()[1]["outcome"], "shipped")

    def test_one_that_cannot_be_done_is_an_error(self):
        self.node.sagas = lambda name, body: self.operated({"id": "a", "error": 437,
                                                            "state": RUNNING})
        self.assertEqual(self.fails("cancel", "a"),
                         f"capstan saga cancel: saga a at {self.node.endpoint}: the saga cannot be "
                         "compensated any more. Its pivot has landed: let it go on, or abandon "
                         "it.\n")

    def test_many_are_done_and_each_is_told(self):
        self.node.sagas = lambda name, body: self.operated(
            {"id": "a", "state": COMPENSATING}, {"id": "b", "error": 435, "state": COMPLETED})
        done = self.saga("cancel", "--definition", "order", "--since", "1h")
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        self.assertEqual(done.stdout.splitlines()[0], "a: cancel done (COMPENSATING)")
        self.assertIn("b: not done: the saga has ended. Nothing: see", done.stdout)
        done = self.saga("cancel", "--definition", "order", "--json")
        self.assertEqual([json.loads(line) for line in done.stdout.splitlines()],
                         [{"id": "a", "state": "COMPENSATING"},
                          {"id": "b", "error": "SAGA_ENDED", "state": "COMPLETED"}])

    def test_a_dry_run_is_asked_once_and_changes_nothing(self):
        self.node.sagas = lambda name, body: self.operated({"id": "a"}, more=True)
        done = self.saga("cancel", "--all", "--dry-run")
        self.assertEqual((done.returncode, done.stdout), (0, "a: cancel would be done\n"))
        self.assertIn("more fit than one request may touch", done.stderr)
        self.assertEqual(self.last()[1], {"operation": 1, "dry_run": True})
        self.assertEqual(len(self.node.asked), 1)

    def test_more_than_one_request_may_touch_are_asked_for_again(self):
        answers = [self.operated({"id": "a"}, more=True), self.operated({"id": "b"})]
        self.node.sagas = lambda *_: answers.pop(0)
        self.assertEqual(self.must("pause", "--state", "RUNNING"),
                         "a: pause done\nb: pause done\n")
        self.node.sagas = lambda *_: self.operated({"id": "a", "error": 435}, more=True)
        done = self.saga("pause", "--state", "RUNNING")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout.count("\n"), 1, "it must end where nothing is done")
        self.assertIn("narrow the filters", done.stderr)


if __name__ == "__main__":
    unittest.main()
