INSERT INTO snapshots (stream, key, checksum, value, terms) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (stream, key) DO UPDATE
SET checksum = excluded.checksum, value = excluded.value, terms = excluded.terms
