DELETE FROM terms_new
WHERE (stream, term, key) > (?1, ?2, ?3) AND (stream, term, key) <= (?4, ?5, ?6)
