-- The embedded store, format 1. Created in one transaction, with the steps of store_migrate_*.sql
-- to the present format.
--
-- meta       one row: the format, the node's random id, how often a node was started on it
-- owners     who may write a shard, and under which epoch; all 256 rows exist from the beginning
-- streams    (concern, instance) and the shard that XXH64("concern/instance") falls into
-- log, span  the records; see below
-- snapshots  keyed rows, each the newest state of one key of a stream
--
-- One row of log is one stream's share of one commit: `records` is the encoded list as it came.
-- Rows lie in the order they were written (`id`), so that a commit fills pages from one end. An
-- index over (stream, lsn) would touch one page per stream and commit; instead, rows are numbered
-- off into segments of 512, the index lies over (segment, stream, lsn), so that a commit touches
-- one or two of its pages, and `span` says from which lsn a stream is found in which segment.
-- `checksum` is XXH64 of records, seeded with lsn.
--
-- Measured before the store was written, by a bare program on a quiet machine: 16 streams, commits
-- of 16 rows of 64 events of 130 bytes, fsync each, checkpoints included, pages of 16 KiB, in
-- millions of events per second. Ratios hold, absolute figures do not.
--   WITHOUT ROWID, primary key (stream, lsn)         0.5 to 0.65
--   rowid made of stream and lsn                     0.7
--   rowid and index (stream, lsn)                    1.2 to 1.35
--   rowid and span, segments of 1,024 rows           1.55
--   rowid and span, segments of 256 rows             1.65 to 1.75
--   rowid and no index, what is possible at most     1.65 to 1.75
-- Segments of 512 rows are between the two, and make half as many signposts as 256. Pages of 32 KiB
-- gave a fifth to a third more at this size of commit, nothing at an eighth of it.
PRAGMA application_id = 1128353875;

CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    format INTEGER NOT NULL,
    node INTEGER NOT NULL,
    boot INTEGER NOT NULL
) STRICT;
INSERT INTO meta VALUES (1, 1, 0, 0);

CREATE TABLE nodes (
    node INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    boot INTEGER NOT NULL
) STRICT;

CREATE TABLE owners (
    shard INTEGER PRIMARY KEY CHECK (shard BETWEEN 0 AND 255),
    node INTEGER NOT NULL,
    epoch INTEGER NOT NULL
) STRICT;
WITH RECURSIVE shards(shard) AS (SELECT 0 UNION ALL SELECT shard + 1 FROM shards WHERE shard < 255)
INSERT INTO owners SELECT shard, 0, 0 FROM shards;

CREATE TABLE streams (
    id INTEGER PRIMARY KEY,
    concern TEXT NOT NULL,
    instance TEXT NOT NULL,
    shard INTEGER NOT NULL REFERENCES owners (shard),
    lsn_first INTEGER NOT NULL,
    snapshot_lsn INTEGER NOT NULL,
    UNIQUE (concern, instance)
) STRICT;

CREATE TABLE log (
    id INTEGER PRIMARY KEY,
    segment INTEGER NOT NULL,
    stream INTEGER NOT NULL,
    lsn INTEGER NOT NULL,
    count INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    records BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX log_place ON log (segment, stream, lsn);

CREATE TABLE span (
    stream INTEGER NOT NULL,
    lsn INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    PRIMARY KEY (stream, lsn)
) STRICT, WITHOUT ROWID;

-- `checksum` is XXH64 of value, seeded with XXH64 of key.
CREATE TABLE snapshots (
    stream INTEGER NOT NULL,
    key BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (stream, key)
) STRICT, WITHOUT ROWID;
