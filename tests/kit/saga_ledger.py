#!/usr/bin/python3
"""A participant for tests, whose effects are rows of its database and can be counted.

  saga_ledger.py NAME SCHEMA ENDPOINT DATABASE

What it does with an action follows from the saga's id and the action alone (`fate`), so that a test
knows beforehand how each saga has to end."""
import json
import os
import pathlib
import random
import signal
import sys
import zlib

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES / "peer_python"))
TABLE = """CREATE TABLE IF NOT EXISTS effect (number INTEGER PRIMARY KEY, saga TEXT NOT NULL,
    task INTEGER NOT NULL, undone INTEGER NOT NULL, action TEXT NOT NULL)"""


def fate(saga, action):
    """good, refused (for good), or moody: it fails now and then, and is done in the end"""
    number = zlib.crc32(f"{saga} {action}".encode()) % 100
    return "refused" if number < 8 else "moody" if number < 20 else "good"


def make_do(final, undo):
    dice = random.Random(os.getpid())

    def do(db, command, _result):
        action = command["action"]
        mood = fate(command["saga"], action)
        if mood == "refused" and command["phase"] != undo and not action.startswith("must_"):
            raise final("REFUSED", "it never will be")
        if mood != "good" and dice.random() < 0.5:
            raise RuntimeError("not now")
        return db.execute("INSERT INTO effect (saga, task, undone, action) VALUES (?, ?, ?, ?)",
                          (command["saga"], command["task"], command["phase"] == undo,
                           action)).lastrowid

    return do


def main():
    from participant import UNDO, Final, Inbox, Participant
    name, schema, endpoint, database = sys.argv[1:]
    over = []
    signal.signal(signal.SIGTERM, lambda *_: over.append(True))
    inbox = Inbox(database, make_do(Final, UNDO))
    inbox.db.execute(TABLE)
    with open(schema, encoding="utf-8") as file:
        participant = Participant(json.load(file), endpoint, name, inbox)
    while not over:
        participant.poll()
    participant.peer.post("goodbye")
    participant.peer.flush()


if __name__ == "__main__":
    main()
