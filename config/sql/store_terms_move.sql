INSERT INTO terms
SELECT stream, term, key FROM terms_new
WHERE (stream, term, key) > (?1, ?2, ?3) AND (stream, term, key) <= (?4, ?5, ?6)
ORDER BY stream, term, key
ON CONFLICT DO NOTHING
