SELECT 1 FROM terms WHERE stream = ?1 AND term = ?2 AND key = ?3
UNION ALL
SELECT 1 FROM terms_new WHERE stream = ?1 AND term = ?2 AND key = ?3
