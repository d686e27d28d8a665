SELECT 1 FROM terms WHERE stream = ?1
UNION ALL
SELECT 1 FROM terms_new WHERE stream = ?1
LIMIT 1
