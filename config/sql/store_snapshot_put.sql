INSERT INTO snapshots (stream, key, checksum, value) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (stream, key) DO UPDATE SET checksum = excluded.checksum, value = excluded.value
