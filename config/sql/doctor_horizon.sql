-- What keeps back the oldest snapshot of the whole cluster, the oldest first. Of a session whose
-- details this user may not see, only pid, name and transaction ids are there; of a slot no age is
-- known in time. VACUUM by autovacuum is left out: nobody's snapshot waits for it.
SELECT
    'session' AS kind,
    pid::text AS name,
    application_name AS application,
    coalesce(usename, '') AS owner,
    coalesce(state, backend_type, '') AS state,
    CASE
        WHEN backend_xid IS NOT NULL THEN 'has written'
        WHEN backend_xmin IS NOT NULL THEN 'holds a snapshot'
        ELSE 'holds no snapshot now'
    END AS holds,
    (extract(epoch FROM now() - xact_start) * 1000000)::bigint AS age_us,
    (extract(epoch FROM now() - state_change) * 1000000)::bigint AS state_us,
    NULL::bigint AS transactions
FROM pg_stat_activity
WHERE pid <> pg_backend_pid()
    AND (xact_start IS NOT NULL
        OR query = '<insufficient privilege>'
        AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL))
    AND coalesce(query, '') NOT LIKE 'autovacuum: VACUUM %'
UNION ALL
SELECT
    'prepared', gid, '', owner, 'prepared', 'database ' || database,
    (extract(epoch FROM now() - prepared) * 1000000)::bigint, NULL, NULL
FROM pg_prepared_xacts
UNION ALL
SELECT
    'slot', slot_name, '', '', 'inactive', 'holds a snapshot', NULL, NULL, age(xmin)
FROM pg_replication_slots
WHERE xmin IS NOT NULL AND NOT active
ORDER BY age_us DESC NULLS LAST, transactions DESC NULLS LAST
LIMIT 100
