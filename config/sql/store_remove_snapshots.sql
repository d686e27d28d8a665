DELETE FROM snapshots
WHERE stream = ?1 AND key IN (SELECT key FROM snapshots WHERE stream = ?1 ORDER BY key LIMIT ?2)
