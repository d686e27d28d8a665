SELECT key FROM terms WHERE stream = ?1 AND term = ?2 AND key <= ?3
UNION ALL
SELECT key FROM terms_new WHERE stream = ?1 AND term = ?2 AND key <= ?3
ORDER BY key DESC
