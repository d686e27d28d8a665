-- The rows that store_remove_snapshots takes.
SELECT key, terms FROM snapshots WHERE stream = ?1 ORDER BY key LIMIT ?2
