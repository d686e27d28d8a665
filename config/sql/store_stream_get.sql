-- A stream's position. `segment` is its newest one, NULL when it has no records.
WITH newest(segment) AS (
    SELECT segment FROM span WHERE stream = ?1 ORDER BY lsn DESC LIMIT 1
)
SELECT
    owners.epoch,
    streams.lsn_first,
    streams.snapshot_lsn,
    (SELECT segment FROM newest),
    coalesce(
        (SELECT log.lsn + log.count FROM log
         WHERE log.segment = (SELECT segment FROM newest) AND log.stream = ?1
         ORDER BY log.lsn DESC LIMIT 1),
        streams.lsn_first)
FROM streams JOIN owners ON owners.shard = streams.shard
WHERE streams.id = ?1
