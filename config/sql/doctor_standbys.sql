-- Whoever may not see the state of standbys sees a row without it for each.
SELECT
    current_setting('synchronous_standby_names') AS names,
    current_setting('synchronous_commit') AS commits,
    count(pid) AS connected,
    count(pid) FILTER (WHERE sync_state IN ('sync', 'quorum')) AS synchronous,
    count(pid) FILTER (WHERE sync_state IS NULL) AS hidden
FROM pg_stat_replication
