SELECT terms FROM snapshots WHERE stream = ?1 AND key = ?2
