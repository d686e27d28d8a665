-- The last of the stretch of ?4 terms behind a place.
SELECT stream, term, key FROM terms_new WHERE (stream, term, key) > (?1, ?2, ?3)
ORDER BY stream, term, key LIMIT 1 OFFSET ?4 - 1
