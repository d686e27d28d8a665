INSERT INTO streams (concern, instance, shard, lsn_first, snapshot_lsn) VALUES (?1, ?2, ?3, 1, 0)
