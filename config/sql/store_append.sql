INSERT INTO log (id, segment, stream, lsn, count, checksum, records)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
