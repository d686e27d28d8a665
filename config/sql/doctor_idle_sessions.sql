SELECT
    current_setting('idle_in_transaction_session_timeout') AS timeout,
    count(pid) AS idle,
    coalesce(max(extract(epoch FROM now() - state_change) * 1000000), 0)::bigint AS longest_us
FROM pg_stat_activity
WHERE state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()
