UPDATE streams SET lsn_first = ?2, snapshot_lsn = max(snapshot_lsn, ?2) WHERE id = ?1
