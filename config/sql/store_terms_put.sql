INSERT INTO terms (stream, term, key) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING
