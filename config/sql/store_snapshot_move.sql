UPDATE streams SET snapshot_lsn = ?2 WHERE id = ?1
