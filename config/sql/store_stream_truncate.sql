UPDATE streams SET lsn_first = ?2 WHERE id = ?1
