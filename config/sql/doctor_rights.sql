-- Names as they are written in a statement.
SELECT
    quote_ident(current_user) AS "user",
    quote_ident(current_database()) AS database,
    quote_ident(current_schema()) AS schema,
    has_schema_privilege(current_schema(), 'CREATE') AS tables,
    has_database_privilege(current_database(), 'CREATE') AS schemas,
    has_database_privilege(current_database(), 'TEMP') AS temporary,
    rolsuper AS superuser,
    concat_ws(', ',
        CASE WHEN rolcreaterole THEN 'CREATEROLE' END,
        CASE WHEN rolcreatedb THEN 'CREATEDB' END,
        CASE WHEN rolbypassrls THEN 'BYPASSRLS' END) AS needless
FROM pg_roles
WHERE rolname = current_user
