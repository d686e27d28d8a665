SELECT term FROM terms WHERE stream = ?1 AND term >= ?2
UNION ALL
SELECT term FROM terms_new WHERE stream = ?1 AND term >= ?2
ORDER BY term LIMIT 1
