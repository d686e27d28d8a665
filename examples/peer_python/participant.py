#!/usr/bin/env python3
"""A participant of sagas: a ledger, which books amounts and takes them back.

  capstan schema --format json > s.json
  participant.py --schema s.json --database ledger.db

It serves the commands for the participant `ledger` until it hears SIGTERM. Entries and inbox lie in
one database: however often a command is sent, and whenever the process is killed, there is one
entry or none. `do` is the ledger; the rest serves whatever participant."""
import argparse, json, os, signal, sqlite3, time, msgpack
from peer import Peer

ACT, UNDO, SETTLE = 1, 2, 3
DONE, FAILED, FINAL, NEVER, REFUSED = 1, 2, 3, 4, 6           # what is answered
LANDED, BROKEN, CLOSED, UNDONE, UNDO_BROKEN = 1, 2, 3, 4, 5   # states of a task's row; none: 0
TABLES = """
CREATE TABLE IF NOT EXISTS entry (number INTEGER PRIMARY KEY, saga TEXT NOT NULL,
    task INTEGER NOT NULL, amount INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS inbox (number INTEGER, task INTEGER, saga TEXT, state INTEGER,
    attempt INTEGER, result BLOB, undo_result BLOB, error TEXT, text TEXT,
    PRIMARY KEY (number, task, saga)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS heard (id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER);
INSERT OR IGNORE INTO heard VALUES (1, 0)"""

class Final(Exception):
    """It can never be done: no attempt is made again. Any other exception: it can, later."""

def do(db, command, result):
    """One command; whatever it returns goes to the coordinator, and into `result` of its undo."""
    if command["phase"] == UNDO:
        db.execute("INSERT INTO entry (saga, task, amount)"
                   " SELECT saga, task, -amount FROM entry WHERE number = ?", (result,))
        return None
    amount = msgpack.unpackb(command["input"])
    if command["action"] != "book" or not isinstance(amount, int):
        raise Final("INPUT", "the ledger books amounts")
    if amount > 1000:
        raise Final("TOO_MUCH", "amounts are 1000 at most")
    return db.execute("INSERT INTO entry (saga, task, amount) VALUES (?, ?, ?)",
                      (command["saga"], command["task"], amount)).lastrowid

class Inbox:
    def __init__(self, path, work):
        self.db, self.work = sqlite3.connect(path, isolation_level=None), work
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = FULL")
        self.db.executescript(TABLES)

    def hear(self, epoch):
        """Whether commands of this epoch count; within a transaction."""
        heard, = self.db.execute("SELECT epoch FROM heard").fetchone()
        if epoch > heard:
            self.db.execute("UPDATE heard SET epoch = ?", (epoch,))
        return epoch >= heard

    def transact(self, work):
        try:
            self.db.execute("BEGIN IMMEDIATE")
            done = work()
            self.db.execute("COMMIT")
            return done
        except sqlite3.Error as error:  # nothing is answered: the coordinator sends it again
            print(f"participant.py: {error}", flush=True)
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")

    def results(self, epoch, commands):
        """All of a list in one transaction; what it returns is on disk."""
        def work():
            good = self.hear(epoch)
            return [{**{k: command[k] for k in ("saga", "number", "task", "phase", "attempt")},
                     **(self.result(command) if good else {"status": REFUSED})}
                    for command in commands]
        return self.transact(work) or []

    def result(self, command):
        key = command["number"], command["task"], command["saga"]
        state, attempt, *row = self.db.execute(
            "SELECT state, attempt, result, undo_result, error, text FROM inbox"
            " WHERE number = ? AND task = ? AND saga = ?", key).fetchone() or (0, 0, *[None] * 4)
        result, undo_result, error, text = row
        acted, phase = state in (LANDED, UNDONE, UNDO_BROKEN), command["phase"]
        if phase not in (ACT, UNDO, SETTLE):
            return {"status": FAILED, "error": "INVALID"}
        if (phase == UNDO and state in (LANDED, UNDO_BROKEN) and
                (state == LANDED or command["attempt"] > attempt)):
            return self.run(key, command, result, UNDONE, UNDO_BROKEN)
        if phase == ACT and state == 0:
            return self.run(key, command, None, LANDED, BROKEN)
        if state == 0:  # a tombstone: what comes later has no effect
            state = self.put(key, CLOSED)
        if state == (UNDO_BROKEN if phase == UNDO else BROKEN):
            return {"status": FINAL, "error": error, "text": text}
        if phase == UNDO:
            return {"status": DONE, "result": undo_result or b""}
        return {"status": DONE, "result": result or b""} if acted else {"status": NEVER}

    def run(self, key, command, result, landed, broken):
        self.db.execute("SAVEPOINT command")
        try:
            value = self.work(self.db, command, msgpack.unpackb(result) if result else None)
            packed = msgpack.packb(value)
            self.put(key, landed, **{"undo_result" if landed == UNDONE else "result": packed})
            self.db.execute("RELEASE command")
            return {"status": DONE, "result": packed}
        except sqlite3.Error:
            raise
        except Exception as failure:  # what it has written is undone
            self.db.execute("ROLLBACK TO command")
            self.db.execute("RELEASE command")
            if not isinstance(failure, Final):
                return {"status": FAILED, "error": "FAILED", "text": str(failure)[:256]}
            word, text = failure.args
            self.put(key, broken, attempt=command["attempt"], error=word, text=text)
            return {"status": FINAL, "error": word, "text": text}

    def put(self, key, state, **columns):
        self.db.execute("INSERT OR IGNORE INTO inbox (number, task, saga, attempt)"
                        " VALUES (?, ?, ?, 0)", key)
        sets = "".join(f", {column} = ?" for column in columns)
        self.db.execute(f"UPDATE inbox SET state = ?{sets} WHERE number = ? AND task = ?"
                        " AND saga = ?", (state, *columns.values(), *key))
        return state

class Participant:
    def __init__(self, schema, endpoint, name, inbox):
        self.name, self.inbox, self.opened, self.look_at = name, inbox, False, 0
        self.peer = Peer(schema, endpoint, f"{name}-{os.getpid()}-{time.time_ns()}", {
            "welcome": self.lost, "failure": self.lost, "participant_commands": self.commands})

    def lost(self, *_):
        self.opened = False

    def look(self):
        """There is a session, and no coordinator yet, or not any more."""
        self.opened, self.look_at = True, time.monotonic() + 0.2
        self.peer.post("resolve", self.open, address="saga")

    def open(self, resolved):
        self.peer.post("participant_open", self.hear, to=resolved["actor"], name=self.name)

    def hear(self, opened):
        self.inbox.transact(lambda: self.inbox.hear(opened["epoch"]))

    def commands(self, body, envelope):
        results = self.inbox.results(body["epoch"], body["commands"])
        if results:
            self.peer.post("participant_results", self.sent, to=envelope["sender"],
                           results=results)

    def sent(self, outcome):
        self.opened = self.opened and not outcome  # an outcome: nobody has got it

    def poll(self):
        if self.peer.greeted and not self.opened and time.monotonic() > self.look_at:
            self.look()
        self.peer.poll()

def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"schema": "s.json", "endpoint": "tcp://127.0.0.1:7700",
                          "database": "ledger.db"}.items():
        parser.add_argument("--" + name, default=default)
    options, over = parser.parse_args(), []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.append(True))
    participant = Participant(json.load(open(options.schema)), options.endpoint, "ledger",
                              Inbox(options.database, do))
    while not over:
        participant.poll()
    participant.peer.post("goodbye")
    participant.peer.flush()

if __name__ == "__main__":
    main()
