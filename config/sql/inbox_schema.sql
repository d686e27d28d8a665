-- The inbox of a participant of sagas, format 1, in a database of the program that does the work.
--
-- capstan_inbox       a row per task that came; see actors/saga/inbox_states.def for its states.
--                     It is clustered as tasks arrive: numbers of sagas ascend, so that new rows
--                     fill pages from one end
-- capstan_inbox_meta  one row: the format, and the greatest epoch of a coordinator that was heard
CREATE TABLE IF NOT EXISTS capstan_inbox (
    number INTEGER NOT NULL,
    task INTEGER NOT NULL,
    saga TEXT NOT NULL,
    state INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    changed_us INTEGER NOT NULL,
    result BLOB,
    undo_result BLOB,
    error TEXT,
    text TEXT,
    PRIMARY KEY (number, task, saga)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS capstan_inbox_meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    format INTEGER NOT NULL,
    epoch INTEGER NOT NULL
) STRICT;
INSERT OR IGNORE INTO capstan_inbox_meta VALUES (1, 1, 0);
