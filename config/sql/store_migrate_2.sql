-- Format 2: rows of snapshots have terms by which they are found.
--
-- snapshots  `terms` is the row's, as an encoded list, ascending and each once; NULL: none. It lies
--            behind the value, where a store of format 1 gets it without a row being written.
--            `checksum` goes over it too when there are any.
-- terms      the same, from the term to the row. Always changed in one transaction with the row.
-- terms_new  the part of it that was not moved there yet: terms unlike any other that was written
--            with them, such as random ids. In a large table each would dirty a page of its own.
--            Here they are few, and they move in stretches of their order, many to a page.
ALTER TABLE snapshots ADD COLUMN terms BLOB;

CREATE TABLE terms (
    stream INTEGER NOT NULL,
    term BLOB NOT NULL,
    key BLOB NOT NULL,
    PRIMARY KEY (stream, term, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE terms_new (
    stream INTEGER NOT NULL,
    term BLOB NOT NULL,
    key BLOB NOT NULL,
    PRIMARY KEY (stream, term, key)
) STRICT, WITHOUT ROWID;

UPDATE meta SET format = 2;
