#!/usr/bin/env python3
"""Participants in C and in Python against a coordinator that sends each command again until it is
answered, and much besides: duplicates, compensations before their actions, stale epochs, garbage.
The participant is killed at any time. At the end its ledger has at most one effect of each action,
none of one that was undone or settled before it came, and what was answered is true."""
import os
import pathlib
import queue
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import msgpack

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "kit"))
from fake_node import EVENT, FakeNode, encode  # noqa: E402

SOURCE = pathlib.Path(os.environ.get("CAPSTAN_SOURCE_DIR", pathlib.Path(__file__).parents[3]))
BUILD = pathlib.Path(os.environ.get("CAPSTAN_BUILD_DIR", SOURCE / "build" / "dev"))
PROGRAM = os.environ.get("CAPSTAN_PROGRAM", str(BUILD / "capstan"))
SCRIPT = SOURCE / "examples" / "peer_python" / "participant.py"
LINES_MAX = 180
SAGA = [5, 1, 1, 1]  # the reference of the actor `saga`
ACT, UNDO, SETTLE = 1, 2, 3
DONE, FAILED, FINAL, NEVER, BUSY, REFUSED = 1, 2, 3, 4, 5, 6
TASKS, KILLS, WAIT_S = 150, 6, 30
EPOCH = 7


class Coordinator(FakeNode):
    def __init__(self):
        super().__init__()
        self.outbox = queue.Queue()  # bodies, or maps, of participant_commands
        self.epoch, self.opened, self.participant = EPOCH, threading.Event(), None
        self.results, self.lock = [], threading.Lock()

    def serve(self):
        while not self.stopping.is_set():
            if self.socket.poll(1):
                self.take_batch(*self.socket.recv_multipart())
            while self.participant and not self.outbox.empty():
                self.send(self.participant, [("participant_commands", EVENT, self.outbox.get())],
                          sender=SAGA)

    def on_resolve(self, peer, envelope, body, _):
        assert body["address"] == "saga"
        self.reply(peer, envelope, "resolved", actor=SAGA)

    def on_participant_open(self, peer, envelope, body, _):
        assert body["name"] == "ledger"
        self.participant = peer
        self.reply(peer, envelope, "participant_opened", name=body["name"], epoch=self.epoch)
        self.opened.set()

    def on_participant_results(self, _peer, _envelope, body, _):
        names = ("number", "task", "phase", "attempt", "status", "result", "error", "text", "saga")
        with self.lock:
            self.results += [dict(zip(names, (one.get(key) for key in range(1, 10))))
                             for one in body["results"]]

    def command(self, task, phase, attempt, amount):
        return encode("saga_command", saga=f"order-{task}", number=task, task=1, phase=phase,
                      attempt=attempt, action="book" if phase == ACT else "take back",
                      input=msgpack.packb(amount))

    def send_list(self, commands, epoch=EPOCH):
        self.outbox.put(encode("participant_commands", epoch=epoch, commands=commands))


class Participant:
    """What every participant must do."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="capstan-participant-")
        self.database = os.path.join(self.folder, "ledger.db")
        self.addCleanup(shutil.rmtree, self.folder)
        self.schema = os.path.join(self.folder, "schema.json")
        with open(self.schema, "wb") as file:
            subprocess.run([PROGRAM, "schema", "--format", "json"], stdout=file, check=True)
        self.node = self.enterContext(Coordinator())
        self.process = None
        self.addCleanup(self.kill)
        self.start()

    def start(self):
        self.node.opened.clear()
        self.process = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)
        self.assertTrue(self.node.opened.wait(WAIT_S), "it does not open")

    def kill(self):
        self.process.kill()
        self.process.communicate()

    def answers(self):
        with self.node.lock:
            return list(self.node.results)

    def await_answers(self, count):
        late = time.monotonic() + WAIT_S
        while len(self.answers()) < count and time.monotonic() < late:
            time.sleep(0.002)
        self.assertGreaterEqual(len(self.answers()), count)
        return self.answers()

    def ledger(self, task):
        with sqlite3.connect(self.database) as db:
            rows = db.execute("SELECT amount FROM entry WHERE saga = ? ORDER BY number",
                              (f"order-{task}",)).fetchall()
        db.close()
        return [amount for amount, in rows]

    def say(self, task, phase, attempt=1, amount=5, epoch=EPOCH):
        before = len(self.answers())
        self.node.send_list([self.node.command(task, phase, attempt, amount)], epoch)
        return self.await_answers(before + 1)[before]

    def test_does_each_command_once_or_never(self):
        self.assertEqual(self.say(1, ACT)["status"], DONE)
        self.assertEqual(self.say(1, ACT, 2)["status"], DONE)
        self.assertEqual(self.ledger(1), [5])
        self.assertEqual(self.say(1, SETTLE)["status"], DONE)
        self.assertEqual(self.say(1, UNDO)["status"], DONE)
        self.assertEqual(self.say(1, UNDO, 2)["status"], DONE)
        self.assertEqual(self.ledger(1), [5, -5])
        self.assertEqual(self.say(2, UNDO)["status"], DONE)
        self.assertEqual(self.say(2, ACT)["status"], NEVER)
        self.assertEqual(self.say(3, SETTLE)["status"], NEVER)
        self.assertEqual(self.say(3, ACT)["status"], NEVER)
        final = self.say(4, ACT, amount=1001)
        self.assertEqual((final["status"], final["error"]), (FINAL, "TOO_MUCH"))
        self.assertEqual(self.say(4, ACT, 2, amount=1)["status"], FINAL)
        self.assertEqual(self.say(4, UNDO)["status"], DONE)
        self.assertEqual(self.say(5, ACT, epoch=EPOCH - 1)["status"], REFUSED)
        self.assertEqual(self.say(5, ACT, epoch=EPOCH + 1)["status"], DONE)
        self.assertEqual(self.say(6, ACT)["status"], REFUSED)
        self.kill()
        self.start()
        self.assertEqual(self.say(6, ACT)["status"], REFUSED)  # also by the next process
        self.assertEqual(self.say(2, ACT, epoch=EPOCH + 1)["status"], NEVER)
        for task in (2, 3, 4, 6):
            self.assertEqual(self.ledger(task), [])

    def test_ends_well_behind_what_it_took(self):
        self.node.send_list([self.node.command(task, ACT, 1, 5) for task in range(1, 50)])
        self.await_answers(49)
        self.process.send_signal(signal.SIGTERM)
        _, err = self.process.communicate(timeout=WAIT_S)
        self.assertEqual(self.process.returncode, 0, err)
        self.assertTrue(self.node.parted.wait(WAIT_S))
        self.start()

    def commands_of(self, chance, task):
        """What comes of one task, in any order, each as often as it takes."""
        phases = chance.choice(([ACT], [ACT, ACT], [ACT, UNDO], [UNDO, ACT], [SETTLE, ACT],
                                [ACT, SETTLE, UNDO], [UNDO, UNDO, ACT, ACT]))
        amount = chance.choice((1, 5, 200, 1000, 1001))
        return [(task, phase, attempt, amount)
                for attempt, phase in enumerate(phases, start=1)]

    def send_some(self, chance, commands):
        """A list of commands, mixed with what must have no effect."""
        some = [chance.choice(commands) for _ in range(chance.randint(1, 40))]
        self.node.send_list([self.node.command(*one) for one in some])
        if chance.random() < 0.2:  # a zombie: of tasks that nobody else asks for
            self.node.send_list([self.node.command(TASKS + task, ACT, 1, 5)
                                 for task in range(1, 5)], EPOCH - 1)
        if chance.random() < 0.2 and self.takes_garbage:
            self.node.outbox.put(chance.choice((b"\xc1", b"", b"\x82\x01\x07\x02\x91\xc0")))

    def test_keeps_its_rules_whenever_it_is_killed(self):
        chance = random.Random(11)
        commands = [one for task in range(1, TASKS + 1) for one in self.commands_of(chance, task)]
        chance.shuffle(commands)
        for _ in range(KILLS):
            for _ in range(20):
                self.send_some(chance, commands)
            time.sleep(chance.random() * 0.05)
            self.kill()
            self.start()
        late, left = time.monotonic() + WAIT_S, commands
        while left and time.monotonic() < late:
            self.node.send_list([self.node.command(*one) for one in left[:100]])
            time.sleep(0.05)
            answered = {(one["number"], one["phase"], one["attempt"]) for one in self.answers()
                        if one["status"] != REFUSED}
            left = [one for one in left if one[:3] not in answered]
        self.assertEqual(left, [])
        self.check(self.answers())

    def check(self, answers):
        killed = sum(one["status"] == REFUSED for one in answers)
        self.assertGreater(killed, 0)
        for task in range(TASKS + 1, TASKS + 5):
            self.assertEqual(self.ledger(task), [], "of a stale epoch")
        kinds = set()
        for task in range(1, TASKS + 1):
            mine = [one for one in answers if one["number"] == task]
            for phase in (ACT, UNDO, SETTLE):
                said = {(one["status"], one["result"], one["error"]) for one in mine
                        if one["phase"] == phase}
                self.assertLessEqual(len(said), 1, f"task {task}, phase {phase}: {said}")
            statuses = {one["phase"]: one["status"] for one in mine}
            entries = self.ledger(task)
            kinds.add((tuple(sorted(statuses.items())), len(entries)))
            self.assertLessEqual(len(entries), 2, f"task {task}: {entries}")
            landed = statuses[ACT] == DONE
            undone = landed and statuses.get(UNDO) == DONE
            self.assertEqual(len(entries), landed + undone, f"task {task}: {statuses} {entries}")
            self.assertEqual(statuses[ACT] in (FINAL, NEVER), not landed, f"task {task}")
            self.assertEqual(sum(entries) == 0, undone or not landed, f"task {task}: {entries}")
        self.assertGreater(len(kinds), 6, "hardly anything was tried")


class InC(Participant, unittest.TestCase):
    takes_garbage = True

    def command(self):
        return [BUILD / "examples" / "participant", self.node.endpoint, self.database]


class InPython(Participant, unittest.TestCase):
    takes_garbage = False  # it trusts its node

    def command(self):
        return [sys.executable, SCRIPT, "--schema", self.schema, "--endpoint", self.node.endpoint,
                "--database", self.database]

    def test_is_short_enough_to_be_read(self):
        self.assertLessEqual(len(SCRIPT.read_text(encoding="utf-8").splitlines()), LINES_MAX)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
