-- One row with an empty name where there is no slot.
SELECT
    current_setting('wal_level') AS wal_level,
    current_setting('max_replication_slots') AS slots_max,
    (SELECT count(*) FROM pg_replication_slots) AS slots,
    coalesce(slot_name, '') AS name,
    coalesce(active, true) AS active,
    coalesce(pg_wal_lsn_diff(
        CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
        restart_lsn), 0)::bigint AS held_bytes
FROM (VALUES (1)) AS one
LEFT JOIN pg_replication_slots ON NOT active AND restart_lsn IS NOT NULL
ORDER BY held_bytes DESC
LIMIT 100
