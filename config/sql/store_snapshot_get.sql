SELECT key, checksum, value FROM snapshots WHERE stream = ?1 AND key = ?2
