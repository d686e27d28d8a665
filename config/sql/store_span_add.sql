INSERT INTO span (stream, lsn, segment) VALUES (?1, ?2, ?3)
