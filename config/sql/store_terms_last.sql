SELECT key FROM terms WHERE stream = ?1 AND term = ?2
UNION ALL
SELECT key FROM terms_new WHERE stream = ?1 AND term = ?2
ORDER BY key DESC LIMIT 1
