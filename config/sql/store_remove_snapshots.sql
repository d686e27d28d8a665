DELETE FROM snapshots
WHERE stream = ?1 AND key IN (SELECT key FROM snapshots WHERE stream = ?1 LIMIT ?2)
