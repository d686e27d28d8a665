#!/usr/bin/env python3
"""Sagas of a real node that is killed again and again, and so is their participant, which is the
example in Python with its ledger. At the end each saga that completed has each of its entries
once, and none of those that were compensated has left anything in the ledger (S1, S4)."""
import json
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

import msgpack

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "kit"))
sys.path.insert(0, str(ROOT / "examples" / "peer_python"))
from real_node import PROGRAM, RealNode  # noqa: E402
from peer import Peer  # noqa: E402

SCRIPT = ROOT / "examples" / "peer_python" / "participant.py"
SAGAS, KILLS, WAIT_S = (400, 12, 180) if os.environ.get("CAPSTAN_FULL") else (120, 5, 120)
COMPLETED, COMPENSATED = 4, 5
SEQUENCE, STEP = 1, 3


class Client(Peer):
    """Asks the actor `saga`, and keeps what was answered."""

    def __init__(self, schema, endpoint):
        self.saga = None
        super().__init__(schema, endpoint, f"client-{time.time_ns()}", {"failure": self.fail})
        self.failures = {}
        self.ask("resolve", {"address": "saga"}, None)

    def fail(self, body, envelope):
        self.failures[envelope["correlation"]] = body

    def ask(self, name, values, to, wait_s=30):
        """The reply, or None: a failure, or nothing came."""
        answers = []
        number = self.post(name, answers.append, to=to, **values)
        until = time.monotonic() + wait_s
        while not answers and number not in self.failures and time.monotonic() < until:
            self.poll()
        self.unanswered = [item for item in self.unanswered if item["correlation"] != number]
        answer = answers[0] if answers else None
        if name == "resolve" and answer:
            self.saga = answer["actor"]
        return answer

    def request(self, name, /, **values):
        return self.ask(name, values, self.saga, wait_s=10)


def definition(amounts):
    steps = [{"kind": STEP, "parent": 1, "name": f"book{i}", "participant": "ledger",
              "action": "book", "compensation": "take_back", "input": msgpack.packb(path),
              "attempt_timeout_ms": 500} for i, path in enumerate(amounts)]
    return {"name": "pay", "version": 1, "nodes": [{"kind": SEQUENCE}] + steps}


class Killed(unittest.TestCase):
    def setUp(self):
        self.node = self.enterContext(
            RealNode("saga.snapshot_records=50", "saga.snapshot_ms=50", "saga.resident_max=10"))
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.schema_path = os.path.join(self.folder, "schema.json")
        with open(self.schema_path, "wb") as file:
            subprocess.run([PROGRAM, "schema", "--format", "json"], stdout=file, check=True)
        with open(self.schema_path, encoding="utf-8") as file:
            self.schema = json.load(file)
        self.participant = None
        self.addCleanup(self.end_participant)
        seed = random.SystemRandom().randrange(1 << 32)
        print(f"kills of seed {seed}", file=sys.stderr)
        self.dice = random.Random(seed)

    def start_participant(self):
        self.participant = subprocess.Popen(
            [sys.executable, SCRIPT, "--schema", self.schema_path, "--endpoint",
             self.node.endpoint, "--database", os.path.join(self.folder, "ledger.db")],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def end_participant(self):
        if self.participant:
            self.participant.send_signal(signal.SIGKILL)
            self.participant.wait()
            self.participant = None

    def client(self):
        client = Client(self.schema, self.node.endpoint)
        self.addCleanup(client.socket.close, 0)
        self.assertIsNotNone(client.saga, self.node.log())
        return client

    def begin(self, client, numbers):
        """Starts these sagas; returns those of which nobody said that they began."""
        left = []
        for number in numbers:
            last = 2000 if number % 5 == 0 else 3  # more than the ledger books
            started = client.request("saga_start", definition="pay", id=f"s{number}",
                                     input=msgpack.packb({"a": 1, "b": 2, "c": last}))
            if not started:
                left.append(number)
        return left

    def test_every_saga_has_its_effect_as_a_whole_or_not_at_all(self):
        self.start_participant()
        client = self.client()
        body = client.pack("saga_definition", **definition(["$input.a", "$input.b", "$input.c"]))
        self.assertIsNotNone(client.request("saga_define", name="pay", definition=body))
        numbers, step = list(range(SAGAS)), SAGAS // KILLS
        while numbers:
            numbers = self.begin(client, numbers[:step]) + numbers[step:]
            if numbers:
                time.sleep(self.dice.random() / 5)
                self.node.kill()
                if self.dice.random() < 0.5:
                    self.end_participant()
                self.node.start()
                if not self.participant:
                    self.start_participant()
                client = self.client()
        states = self.rest(client)
        self.assertEqual(set(states.values()), {COMPLETED, COMPENSATED})
        self.check_ledger(states)

    def rest(self, client):
        states, until = {}, time.monotonic() + WAIT_S
        while len(states) < SAGAS and time.monotonic() < until:
            for number in range(SAGAS):
                answer = number not in states and client.request("saga_result", id=f"s{number}",
                                                                 now=True)
                if answer:
                    row = client.from_map("saga_row",
                                          msgpack.unpackb(answer["saga"], strict_map_key=False))
                    if row["state"] in (COMPLETED, COMPENSATED):
                        states[number] = row["state"]
        self.assertEqual(len(states), SAGAS, self.node.log())
        return states

    def check_ledger(self, states):
        ledger = sqlite3.connect(os.path.join(self.folder, "ledger.db"))
        self.addCleanup(ledger.close)
        for number, state in states.items():
            amounts = [amount for amount, in ledger.execute(
                "SELECT amount FROM entry WHERE saga = ? ORDER BY number", (f"s{number}",))]
            if number % 5 == 0:
                self.assertEqual((state, amounts), (COMPENSATED, [1, 2, -2, -1]), number)
            else:
                self.assertEqual((state, amounts), (COMPLETED, [1, 2, 3]), number)


if __name__ == "__main__":
    unittest.main()
