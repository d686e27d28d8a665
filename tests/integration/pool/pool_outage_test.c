/* Pools whose server fails: each failure has its error, and the pool recovers by itself. */
#include "pool_kit.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { SHORT_US = 1500000, THREADS = 8, ROUNDS = 60 };

static pool_kit_t kit;

static bool lost(const capstan_pool_figures_t *figures, uint64_t number)
{
    return figures->lost >= number;
}

static void use(capstan_pool_t *pool)
{
    capstan_lease_t lease = pg_take(&kit, pool);
    cr_assert_str_eq(pg_sql(lease.connection, "SELECT 1"), "1");
    pg_give(pool, &lease);
}

Test(pool_outage, is_over_when_the_server_is_back)
{
    pg_open(&kit, NULL);
    capstan_pool_t *pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 4, .idle_min = 3});
    pg_until(pool, pg_idle, 3, "idle_min are open");
    for (int i = 0; i < 2; i++) {
        pg_signal_server(&kit, SIGQUIT);
        pg_until(pool, pg_idle, 0, "the dead ones are noticed");
        pg_refuse(&kit, pool, SHORT_US, CAPSTAN_E_UNREACHABLE, "Connection refused");
        pg_start_server(&kit);
        use(pool);
        pg_until(pool, pg_idle_least, 3, "it is full again");
    }
    pg_close_pool(&pool);
    pg_close(&kit);
}

Test(pool_outage, lends_no_connection_that_the_server_has_closed)
{
    pg_open(&kit, NULL);
    capstan_pool_t *pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 2, .idle_min = 2});
    pg_until(pool, pg_idle, 2, "both are open");
    pg_ask_server(&kit, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE application_name = 'orders'");
    pg_until(pool, lost, 2, "the dead ones are noticed");
    use(pool);
    pg_close_pool(&pool);
    pg_close(&kit);
}

Test(pool_outage, of_a_server_that_says_nothing_is_one_too)
{
    pg_open(&kit, NULL);
    capstan_pool_t *pool =
        pg_pool(&kit, &(capstan_pool_options_t){.size = 3, .connect_us = 60000000});
    pg_signal_server(&kit, SIGSTOP);
    pg_refuse(&kit, pool, SHORT_US, CAPSTAN_E_CONNECT_TIMEOUT, "did not answer in time");
    pg_signal_server(&kit, SIGCONT);
    use(pool);
    pg_close_pool(&pool);
    pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 1, .connect_us = 500000});
    pg_signal_server(&kit, SIGSTOP);
    pg_refuse(&kit, pool, SHORT_US, CAPSTAN_E_CONNECT_TIMEOUT, "did not answer in time");
    cr_assert_gt(capstan_pool_figures(pool).open_failures, 0u);
    pg_signal_server(&kit, SIGCONT);
    use(pool);
    pg_close_pool(&pool);
    pg_close(&kit);
}

static void write_password(const char *password)
{
    FILE *file = fopen(kit.password_file, "w");
    cr_assert_not_null(file);
    fprintf(file, "%s\n", password);
    cr_assert_eq(fclose(file), 0);
}

Test(pool_outage, of_the_password_ends_with_a_new_one_in_its_file)
{
    pg_open(&kit, NULL);
    capstan_pool_options_t options = {
        .conninfo = kit.no_password, .password_file = kit.password_file, .size = 2};
    capstan_pool_t *pool = pg_pool(&kit, &options);
    pg_refuse(&kit, pool, SHORT_US, CAPSTAN_E_AUTHENTICATION, "No such file");
    write_password("wrong");
    pg_refuse(&kit, pool, SHORT_US, CAPSTAN_E_AUTHENTICATION, "");
    write_password("secret");
    use(pool);
    cr_assert_null(strstr(kit.text, "secret"));
    pg_close_pool(&pool);
    pg_close(&kit);
}

Test(pool_outage, is_told_in_the_servers_words)
{
    pg_open(&kit, "superuser_reserved_connections = 0");
    char conninfo[300];
    snprintf(conninfo, sizeof conninfo,
             "host=127.0.0.1 port=%d user=capstan password=secret "
             "dbname=nowhere",
             kit.port);
    capstan_pool_t *pool =
        pg_pool(&kit, &(capstan_pool_options_t){.conninfo = conninfo, .size = 1});
    pg_refuse(&kit, pool, SHORT_US, CAPSTAN_E_DATABASE_REFUSED, "\"nowhere\" does not exist");
    pg_close_pool(&pool);
    snprintf(conninfo, sizeof conninfo, "host=127.0.0.1 port=%d user=nobody password=x", kit.port);
    pool = pg_pool(&kit, &(capstan_pool_options_t){.conninfo = conninfo, .size = 1});
    pg_refuse(&kit, pool, SHORT_US, CAPSTAN_E_AUTHENTICATION, "nobody");
    pg_close_pool(&pool);
    pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 61, .idle_min = 61});
    capstan_lease_t leases[60];
    for (int i = 0; i < 60; i++) {
        leases[i] = pg_take(&kit, pool);
    }
    pg_refuse(&kit, pool, SHORT_US, CAPSTAN_E_DATABASE_REFUSED, "too many clients");
    for (int i = 0; i < 60; i++) {
        pg_give(pool, &leases[i]);
    }
    pg_close_pool(&pool);
    pg_close(&kit);
}

Test(pool_outage, is_told_at_once_where_nothing_can_be_begun)
{
    pg_open(&kit, NULL);
    capstan_pool_options_t options = {.conninfo = "host=/nowhere user=capstan", .size = 1};
    capstan_pool_t *pool = pg_pool(&kit, &options);
    pg_refuse(&kit, pool, SHORT_US, CAPSTAN_E_UNREACHABLE, "/nowhere");
    pg_close_pool(&pool);
    pg_close(&kit);
}

Test(pool_outage, fails_the_start_only_where_that_is_wanted)
{
    pg_open(&kit, NULL);
    pg_signal_server(&kit, SIGQUIT);
    capstan_pool_options_t options = {
        .name = "orders", .conninfo = kit.conninfo, .size = 1, .first_us = SHORT_US};
    capstan_pool_t *pool = NULL;
    cr_assert_eq(capstan_pool_open(kit.node, &options, &pool, kit.text, sizeof kit.text),
                 CAPSTAN_E_UNREACHABLE);
    cr_assert_not_null(strstr(kit.text, "Connection refused"), "%s", kit.text);
    cr_assert_null(pool);
    options.first_us = 0;
    pool = pg_pool(&kit, &options);
    pg_start_server(&kit);
    use(pool);
    pg_close_pool(&pool);
    options.first_us = KIT_LONG_US;
    pool = pg_pool(&kit, &options);
    cr_assert_geq(capstan_pool_figures(pool).idle, 1u);
    pg_close_pool(&pool);
    pg_close(&kit);
}

Test(pool_outage, never_lends_what_does_not_take_writes_where_those_are_wanted)
{
    pg_open(&kit, NULL);
    capstan_pool_options_t options = {.size = 1, .role = CAPSTAN_ROLE_READ_WRITE};
    capstan_pool_t *pool = pg_pool(&kit, &options);
    use(pool);
    pg_ask_server(&kit, "ALTER SYSTEM SET default_transaction_read_only = on");
    pg_ask_server(&kit, "SELECT pg_reload_conf()");
    capstan_pool_recycle(pool);
    capstan_err_t err = CAPSTAN_OK;
    for (int i = 0; i < 100 && err == CAPSTAN_OK; i++) { /* the servers reload when they can */
        capstan_lease_t lease;
        err = capstan_pool_take(pool, SHORT_US, &lease, kit.text, sizeof kit.text);
        if (err == CAPSTAN_OK) {
            pg_give(pool, &lease);
            capstan_pool_recycle(pool);
        }
    }
    cr_assert_eq(err, CAPSTAN_E_UNREACHABLE, "%s", kit.text);
    cr_assert_not_null(strstr(kit.text, "read-only"), "%s", kit.text);
    pg_close_pool(&pool);
    pg_close(&kit);
}

/* --- everything at once ---------------------------------------------------------------------- */

typedef struct storm {
    capstan_pool_t *pool;
    _Atomic uint64_t done;
    _Atomic uint64_t failed;
    _Atomic uint64_t wrong;
} storm_t;

static void *borrow(void *argument)
{
    storm_t *self = argument;
    for (int i = 0; i < ROUNDS; i++) {
        capstan_lease_t lease;
        if (capstan_pool_take(self->pool, KIT_LONG_US, &lease, NULL, 0) != CAPSTAN_OK) {
            atomic_fetch_add(&self->wrong, 1);
            continue;
        }
        PGresult *result = PQexec(lease.connection, i % 3 == 0 ? "BEGIN" : "SELECT 7");
        atomic_fetch_add(PQresultStatus(result) == PGRES_FATAL_ERROR ? &self->failed : &self->done,
                         1);
        PQclear(result);
        if (capstan_pool_give(self->pool, &lease) != CAPSTAN_OK) {
            atomic_fetch_add(&self->wrong, 1);
        }
    }
    return NULL;
}

static void *wait_in_vain(void *argument)
{
    storm_t *self = argument;
    capstan_lease_t lease;
    capstan_err_t err = capstan_pool_take(self->pool, KIT_LONG_US, &lease, NULL, 0);
    atomic_fetch_add(err == CAPSTAN_E_STOPPING ? &self->done : &self->wrong, 1);
    return NULL;
}

/* Nothing is open, and the pool goes at once: not before they are out. */
Test(pool_outage, ends_for_all_who_wait_when_the_pool_is_closed)
{
    pg_open(&kit, NULL);
    pg_signal_server(&kit, SIGQUIT);
    for (int round = 0; round < 20; round++) {
        storm_t storm = {.pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 4})};
        capstan_pool_t *pool = storm.pool;
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++) {
            cr_assert_eq(pthread_create(&threads[i], NULL, wait_in_vain, &storm), 0);
        }
        pg_until(pool, pg_waiters, THREADS, "all wait");
        pg_close_pool(&pool);
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
        }
        cr_assert_eq(atomic_load(&storm.done), (uint64_t)THREADS);
        cr_assert_eq(atomic_load(&storm.wrong), 0u);
    }
    pg_close(&kit);
}

Test(pool_outage, of_single_connections_hurts_nobody_else)
{
    pg_open(&kit, NULL);
    storm_t storm = {.pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 4, .idle_min = 2})};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, borrow, &storm), 0);
    }
    for (int i = 0; i < 10; i++) {
        pg_ask_server(&kit, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                            "WHERE application_name = 'orders' LIMIT 1");
        capstan_pool_recycle(storm.pool);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    cr_assert_eq(atomic_load(&storm.wrong), 0u);
    cr_assert_eq(atomic_load(&storm.done) + atomic_load(&storm.failed), (uint64_t)THREADS * ROUNDS);
    cr_assert_leq(atomic_load(&storm.failed), 10u, "one statement for each that was ended");
    cr_assert_eq(capstan_pool_figures(storm.pool).taken, 0u);
    pg_close_pool(&storm.pool);
    pg_close(&kit);
}
