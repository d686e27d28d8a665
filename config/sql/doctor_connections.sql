-- The server's limit, and those of the database and of the user where they have one (-1: none).
SELECT
    current_setting('max_connections')::bigint AS maximum,
    current_setting('superuser_reserved_connections')::bigint
        + coalesce(current_setting('reserved_connections', true), '0')::bigint AS reserved,
    (SELECT count(*) FROM pg_stat_activity WHERE datid IS NOT NULL) AS used,
    datconnlimit AS database_limit,
    (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()) AS database_used,
    rolconnlimit AS user_limit,
    (SELECT count(*) FROM pg_stat_activity WHERE usename = current_user) AS user_used
FROM pg_database, pg_roles
WHERE datname = current_database() AND rolname = current_user
