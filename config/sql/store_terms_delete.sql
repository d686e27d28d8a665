DELETE FROM terms WHERE stream = ?1 AND term = ?2 AND key = ?3
