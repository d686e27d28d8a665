/* What a pool is told when it is opened: passwords, names, times, and what it says to the log. */
#include "pool_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHORT_US = 1500000, TOKEN_BYTES = 900 };

static pool_kit_t kit;

static void write_password(const char *password, const char *end)
{
    FILE *file = fopen(kit.password_file, "w");
    cr_assert_not_null(file);
    fprintf(file, "%s%s", password, end);
    cr_assert_eq(fclose(file), 0);
}

static void use(capstan_pool_t *pool)
{
    capstan_lease_t lease = pg_take(&kit, pool);
    cr_assert_str_eq(pg_sql(lease.connection, "SELECT 1"), "1");
    pg_give(pool, &lease);
}

static void refuse_once(const capstan_pool_options_t *options, capstan_err_t wanted,
                        const char *words)
{
    capstan_pool_t *pool = pg_pool(&kit, options);
    pg_refuse(&kit, pool, SHORT_US, wanted, words);
    pg_close_pool(&pool);
}

/* --- passwords ------------------------------------------------------------------------------- */

Test(pool_settings, read_a_password_of_any_length)
{
    char token[TOKEN_BYTES + 1];
    char statement[TOKEN_BYTES + 64];
    pg_open(&kit, NULL);
    memset(token, 'x', TOKEN_BYTES);
    token[TOKEN_BYTES] = '\0';
    snprintf(statement, sizeof statement, "ALTER ROLE capstan PASSWORD '%s'", token);
    pg_ask_server(&kit, statement);
    capstan_pool_options_t options = {
        .conninfo = kit.no_password, .password_file = kit.password_file, .size = 1};
    static const char *const ends[] = {"", "\n", "\r\n", "\nand more\n"};
    for (int i = 0; i < 4; i++) {
        write_password(token, ends[i]);
        capstan_pool_t *pool = pg_pool(&kit, &options);
        use(pool);
        pg_close_pool(&pool);
    }
    pg_close(&kit);
}

Test(pool_settings, say_what_is_wrong_with_a_password_file)
{
    pg_open(&kit, NULL);
    capstan_pool_options_t options = {
        .conninfo = kit.conninfo, .password_file = kit.password_file, .size = 1};
    refuse_once(&options, CAPSTAN_E_AUTHENTICATION, "No such file");
    write_password("", "");
    refuse_once(&options, CAPSTAN_E_AUTHENTICATION, "is empty");
    options.password_file = kit.folder;
    refuse_once(&options, CAPSTAN_E_AUTHENTICATION, "Is a directory");
    pg_close(&kit);
}

/* --- names ----------------------------------------------------------------------------------- */

static const char *conninfo_of(const char *host, const char *more)
{
    static char text[320];
    snprintf(text, sizeof text, "host=%s port=%d user=capstan password=secret dbname=postgres %s",
             host, kit.port, more);
    return text;
}

Test(pool_settings, name_hosts_that_are_looked_up)
{
    pg_open(&kit, NULL);
    capstan_pool_t *pool = pg_pool(
        &kit, &(capstan_pool_options_t){.conninfo = conninfo_of("localhost", ""), .size = 2});
    capstan_lease_t lease = pg_take(&kit, pool);
    cr_assert_str_eq(PQhost(lease.connection), "localhost");
    cr_assert_str_eq(PQhostaddr(lease.connection), "127.0.0.1");
    pg_give(pool, &lease);
    pg_close_pool(&pool);
    refuse_once(
        &(capstan_pool_options_t){.conninfo = conninfo_of("nowhere.invalid", ""), .size = 1},
        CAPSTAN_E_UNREACHABLE, "the host \"nowhere.invalid\" is unknown");
    pool = pg_pool(&kit, &(capstan_pool_options_t){
                             .conninfo = conninfo_of("nowhere.invalid,localhost", ""), .size = 1});
    use(pool);
    pg_close_pool(&pool);
    pg_close(&kit);
}

/* --- times ----------------------------------------------------------------------------------- */

Test(pool_settings, bound_a_statement_on_the_server)
{
    pg_open(&kit, NULL);
    capstan_pool_options_t options = {.conninfo =
                                          conninfo_of("127.0.0.1", "options='-c work_mem=7MB'"),
                                      .size = 1,
                                      .statement_us = 200000,
                                      .reset = CAPSTAN_RESET_SESSION};
    capstan_pool_t *pool = pg_pool(&kit, &options);
    for (int i = 0; i < 2; i++) { /* also behind DISCARD ALL */
        capstan_lease_t lease = pg_take(&kit, pool);
        PGresult *result = PQexec(lease.connection, "SELECT pg_sleep(600)");
        cr_assert_str_eq(PQresultErrorField(result, PG_DIAG_SQLSTATE), "57014");
        PQclear(result);
        cr_assert_str_eq(pg_sql(lease.connection, "SHOW work_mem"), "7MB");
        pg_give(pool, &lease);
    }
    pg_close_pool(&pool);
    setenv("PGOPTIONS", "-c work_mem=9MB", 1);
    options.conninfo = kit.conninfo;
    pool = pg_pool(&kit, &options);
    capstan_lease_t lease = pg_take(&kit, pool);
    cr_assert_str_eq(pg_sql(lease.connection, "SHOW work_mem"), "9MB");
    cr_assert_str_eq(pg_sql(lease.connection, "SHOW statement_timeout"), "200ms");
    pg_give(pool, &lease);
    unsetenv("PGOPTIONS");
    pg_close_pool(&pool);
    pg_close(&kit);
}

/* Never is not at once. */
Test(pool_settings, may_say_never)
{
    pg_open(&kit, NULL);
    capstan_pool_t *pool = pg_pool(
        &kit, &(capstan_pool_options_t){
                  .size = 1, .idle_min = 1, .check_us = -1, .idle_us = -1, .lifetime_us = -1});
    pg_until(pool, pg_idle, 1, "it is open");
    pg_keep(&kit, pool);
    pg_close_pool(&pool);
    pg_close(&kit);
}

/* --- the log --------------------------------------------------------------------------------- */

static bool has_leak(const capstan_pool_figures_t *figures, uint64_t number)
{
    return figures->leaks >= number;
}

static void await_log(const char *words)
{
    for (int i = 0; i < 4000 && !strstr(pg_log(&kit), words); i++) {
        pg_rest();
    }
    cr_assert_not_null(strstr(pg_log(&kit), words), "%s: %s", words, pg_log(&kit));
}

Test(pool_settings, are_no_secrets_in_the_log)
{
    pg_open(&kit, NULL);
    capstan_pool_t *pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 1, .leak_us = 50000});
    capstan_lease_t lease = pg_take(&kit, pool);
    pg_until(pool, has_leak, 1, "it is told");
    await_log("pool.saturated"); /* the only one is taken */
    pg_give(pool, &lease);
    await_log("pool.relaxed");
    await_log("pool.opened");
    await_log("pool.leak");
    await_log("pool_kit.c:"); /* who took it */
    pg_ask_server(&kit, "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity "
                        "WHERE application_name = 'orders'");
    await_log("pool.gone");
    pg_close_pool(&pool);
    refuse_once(&(capstan_pool_options_t){.conninfo = conninfo_of("127.0.0.1", "dbname=nowhere"),
                                          .size = 1},
                CAPSTAN_E_DATABASE_REFUSED, "nowhere");
    await_log("pool.open_failed");
    await_log("nowhere");
    cr_assert_null(strstr(pg_log(&kit), "secret"), "%s", pg_log(&kit));
    pg_close(&kit);
}
