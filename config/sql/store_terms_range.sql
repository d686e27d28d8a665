SELECT term, key FROM terms
WHERE stream = ?1 AND (term, key) > (?2, ?3) AND term <= ?4
UNION ALL
SELECT term, key FROM terms_new
WHERE stream = ?1 AND (term, key) > (?2, ?3) AND term <= ?4
ORDER BY term, key
