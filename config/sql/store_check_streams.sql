SELECT id, concern, instance, shard, lsn_first, snapshot_lsn FROM streams ORDER BY id
