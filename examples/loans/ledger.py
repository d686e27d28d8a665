#!/usr/bin/env python3
"""The bank's ledger, a participant of the saga `loan`, in a process and a database of its own.

  ledger.py --schema s.json --endpoint tcp://127.0.0.1:7700 --database ledger.db

Each effect is a row, and so is what takes it back: nothing is ever deleted, so that an auditor can
count them."""
import argparse
import json
import os
import signal
import sys

import msgpack

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../peer_python"))
from participant import UNDO, Final, Inbox, Participant  # noqa: E402

TABLE = """CREATE TABLE IF NOT EXISTS effect (number INTEGER PRIMARY KEY, saga TEXT NOT NULL,
    task INTEGER NOT NULL, undone INTEGER NOT NULL, action TEXT NOT NULL, offer INTEGER)"""
UNDOES = {"unregister": "register", "release": "reserve", "remove_offer": "create_offer",
          "restore_offer": "withdraw_offer"}


def do(db, command, result):
    """Writes one effect, or takes one back. An offer's number is that of its row."""
    undo = command["phase"] == UNDO
    action = UNDOES.get(command["action"]) if undo else command["action"]
    if action not in UNDOES.values():
        raise Final("ACTION", f"the ledger does not know {command['action']}")
    told = msgpack.unpackb(command["input"])
    offer = result["number"] if undo and result else told.get("offer")
    number = db.execute("INSERT INTO effect (saga, task, undone, action, offer)"
                        " VALUES (?, ?, ?, ?, ?)",
                        (command["saga"], command["task"], undo, action, offer)).lastrowid
    return {"number": number}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schema", default="s.json", help="of capstan schema --format json")
    parser.add_argument("--endpoint", default="tcp://127.0.0.1:7700", help="the node's gateway")
    parser.add_argument("--database", default="ledger.db", help="ledger and inbox")
    options = parser.parse_args()
    over = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.append(True))
    inbox = Inbox(options.database, do)
    inbox.db.execute(TABLE)
    with open(options.schema, encoding="utf-8") as schema:
        participant = Participant(json.load(schema), options.endpoint, "ledger", inbox)
    while not over:
        participant.poll()
    participant.peer.post("goodbye")
    participant.peer.flush()


if __name__ == "__main__":
    main()
