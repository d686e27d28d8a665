SELECT key, checksum, value, terms FROM snapshots WHERE stream = ?1 AND key > ?2 ORDER BY key
