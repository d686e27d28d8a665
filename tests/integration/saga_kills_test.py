#!/usr/bin/python3
"""Sagas through a real node and real participants, all of which are killed again and again.

usage: saga_kills_test.py [unittest options]

Each saga has three steps that can be undone, a pivot and one step behind it, at two participants
with a database each. How each has to end follows from its id; what has to be in the databases then
too. 1,000 sagas and 8 kills, 20,000 and 100 with CAPSTAN_FULL.
"""
import collections
import contextlib
import json
import os
import pathlib
import random
import sqlite3
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kit"))
from real_node import ENVIRONMENT, PROGRAM, RealNode  # noqa: E402
from saga_ledger import fate  # noqa: E402

FULL = bool(os.environ.get("CAPSTAN_FULL"))
SAGAS = 20000 if FULL else 1000
KILLS = 100 if FULL else 8
PATIENCE_S = 300  # without any progress
LEDGER = pathlib.Path(__file__).resolve().parents[1] / "kit" / "saga_ledger.py"
RETRY = "{initial: 50ms, maximum: 1s, attempts: 1000}"
STEPS = (("stock", "reserve", "compensatable"), ("bank", "hold", "compensatable"),
         ("stock", "pack", "compensatable"), ("bank", "charge", "pivot"),
         ("stock", "must_ship", "retriable"))


def definition():
    lines = ["saga: order", "version: 1",
             f"compensation: {{retry: {RETRY}}}", "steps:"]
    for participant, action, kind in STEPS:
        lines += [f"  - step: {action}", f"    participant: {participant}",
                  f"    action: {action}", f"    class: {kind}", "    attempt_timeout: 1s",
                  f"    retry: {RETRY}"]
        if kind == "compensatable":
            lines.append(f"    compensation: undo_{action}")
    return "\n".join(lines) + "\n"


def refused_at(saga):
    """Index of the step that is refused for good; None: none is."""
    return next((index for index, (_, action, kind) in enumerate(STEPS)
                 if kind != "retriable" and fate(saga, action) == "refused"), None)


class Ledgers:
    """The participants' processes."""

    def __init__(self, node):
        self.node, self.folder = node, node.folder
        self.schema = os.path.join(self.folder, "schema.json")
        with open(self.schema, "wb") as file:
            file.write(subprocess.run([PROGRAM, "schema", "--format", "json"], check=True,
                                      capture_output=True, env=ENVIRONMENT).stdout)
        self.processes = {}

    def __enter__(self):
        for name in ("stock", "bank"):
            self.start(name)
        return self

    def __exit__(self, *_):
        for name in list(self.processes):
            self.kill(name)

    def path(self, name):
        return os.path.join(self.folder, f"{name}.db")

    def start(self, name):
        with open(f"{self.folder}/{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                ["/usr/bin/python3", str(LEDGER), name, self.schema, self.node.endpoint,
                 self.path(name)], stdout=log, stderr=log, env=ENVIRONMENT)

    def kill(self, name):
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def effects(self):
        """{saga: [(action, undone) in the order of its database]}, per database"""
        found = {}
        for name in ("stock", "bank"):
            effects = collections.defaultdict(list)
            with contextlib.closing(sqlite3.connect(self.path(name))) as db:
                for saga, action, undone in db.execute(
                        "SELECT saga, action, undone FROM effect ORDER BY number"):
                    effects[saga].append((action, undone))
            found[name] = effects
        return found


class Killer(threading.Thread):
    def __init__(self, node, ledgers, dice):
        super().__init__(daemon=True)
        self.node, self.ledgers, self.dice, self.kills = node, ledgers, dice, 0

    def run(self):
        while self.kills < KILLS:
            time.sleep(self.dice.uniform(0.1, 1.0))
            victim = self.dice.choice(["node", "stock", "bank"])
            if victim == "node":
                self.node.kill()
                self.node.start()
            else:
                self.ledgers.kill(victim)
                self.ledgers.start(victim)
            self.kills += 1


class SagaKills(unittest.TestCase):
    def ask(self, node, *arguments, data=None):
        """The lines of JSON of a command, which is repeated while the node is away."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            done = node.run("saga", *arguments, "--json", data=data)
            if done.returncode == 0:
                return [json.loads(line) for line in done.stdout.splitlines()]
            self.assertLess(time.monotonic(), deadline,
                            f"{arguments}: {done.stderr.decode()}\n{node.log()}")
            time.sleep(0.2)

    def counts(self, node):
        return {line["name"]: line["count"]
                for line in self.ask(node, "count", "--by", "state")}

    def wait_for_all(self, node, killer):
        before, since = None, time.monotonic()
        while True:
            now = self.counts(node)
            if now.get("COMPLETED", 0) + now.get("COMPENSATED", 0) == SAGAS:
                return
            if (now, killer.kills) != before:
                before, since = (now, killer.kills), time.monotonic()
            self.assertLess(time.monotonic() - since, PATIENCE_S, f"S13: {now}\n{node.log()}")
            time.sleep(0.3)

    def check(self, saga, state, effects):
        refused = refused_at(saga)
        self.assertEqual(state, "COMPLETED" if refused is None else "COMPENSATED", saga)
        for name in ("stock", "bank"):
            done = [action for index, (participant, action, _) in enumerate(STEPS)
                    if participant == name and (refused is None or index < refused)]
            wanted = [(action, 0) for action in done]
            if refused is not None:
                wanted += [(f"undo_{action}", 1) for action in reversed(done)]
            self.assertEqual(effects[name][saga], wanted, f"S1, S4, S5: {saga} at {name}")

    def test_every_saga_ends_as_it_must_whatever_is_killed(self):
        seed = int(os.environ.get("CAPSTAN_SEED", time.time_ns() % 1000000))
        print(f"seed {seed}", file=sys.stderr)
        with RealNode() as node, Ledgers(node) as ledgers:
            path = f"{node.folder}/order.yaml"
            pathlib.Path(path).write_text(definition(), encoding="utf-8")
            self.ask(node, "define", path)
            killer = Killer(node, ledgers, random.Random(seed))
            killer.start()
            portion = SAGAS // 10
            for first in range(0, SAGAS, portion):
                lines = [json.dumps({"id": f"s{number}", "input": {"number": number}})
                         for number in range(first, first + portion)]
                self.ask(node, "start", "order", "--input-lines", "-",
                         data="\n".join(lines).encode() + b"\n")
            killer.join()
            self.wait_for_all(node, killer)
            sagas = {line["id"]: line["state"] for line in self.ask(node, "list", "--all")}
            self.assertEqual(len(sagas), SAGAS)
            effects = ledgers.effects()
            for saga, state in sagas.items():
                self.check(saga, state, effects)


if __name__ == "__main__":
    unittest.main()
