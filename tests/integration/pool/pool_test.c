/* Pools against a real server: borrowing, giving back, and operations. */
#include "pool_kit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { SHORT_US = 50000 };

static pool_kit_t kit;

Test(pool, lends_one_connection_after_the_other)
{
    pg_open(&kit, NULL);
    capstan_pool_t *pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 3});
    for (int i = 0; i < 10; i++) {
        capstan_lease_t lease = pg_take(&kit, pool);
        cr_assert_str_eq(pg_sql(lease.connection, "SELECT 6 * 7"), "42");
        cr_assert_str_eq(pg_sql(lease.connection, "SHOW application_name"), "orders");
        pg_give(pool, &lease);
    }
    capstan_pool_figures_t figures = capstan_pool_figures(pool);
    cr_assert_eq(figures.takes, 10u);
    cr_assert_leq(figures.opened, 2u); /* a slow connect has another one beside it */
    cr_assert_geq(figures.idle, 1u);
    pg_close_pool(&pool);
    pg_close(&kit);
}

Test(pool, opens_as_many_as_are_wanted_and_never_more_than_its_size)
{
    pg_open(&kit, NULL);
    capstan_pool_t *pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 3, .idle_min = 2});
    pg_until(pool, pg_idle, 2, "idle_min are opened unasked");
    capstan_lease_t leases[3];
    for (int i = 0; i < 3; i++) {
        leases[i] = pg_take(&kit, pool);
    }
    pg_refuse(&kit, pool, SHORT_US, CAPSTAN_E_POOL_EXHAUSTED, "taken 3 of 3");
    capstan_lease_t none;
    cr_assert_eq(capstan_pool_take(pool, 0, &none, NULL, 0), CAPSTAN_E_POOL_EXHAUSTED);
    cr_assert_str_eq(pg_ask_server(&kit, "SELECT count(*) FROM pg_stat_activity WHERE "
                                         "application_name = 'orders'"),
                     "3");
    for (int i = 0; i < 3; i++) {
        pg_give(pool, &leases[i]);
    }
    cr_assert_geq(capstan_pool_figures(pool).opened, 3u);
    pg_close_pool(&pool);
    pg_close(&kit);
}

/* --- waiting --------------------------------------------------------------------------------- */

typedef struct line {
    capstan_pool_t *pool;
    _Atomic uint64_t served;
    uint64_t places[8];
} line_t;

typedef struct waiting {
    line_t *line;
    uint64_t number;
    pthread_t thread;
} waiting_t;

static void *wait_in_line(void *argument)
{
    waiting_t *self = argument;
    capstan_lease_t lease;
    if (capstan_pool_take(self->line->pool, KIT_LONG_US, &lease, NULL, 0) == CAPSTAN_OK) {
        self->line->places[atomic_fetch_add(&self->line->served, 1)] = self->number;
        (void)!capstan_pool_give(self->line->pool, &lease);
    }
    return NULL;
}

Test(pool, serves_waiters_in_the_order_in_which_they_came)
{
    pg_open(&kit, NULL);
    line_t line = {.pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 1})};
    waiting_t waiting[8];
    capstan_lease_t lease = pg_take(&kit, line.pool);
    for (uint64_t i = 0; i < 8; i++) {
        waiting[i] = (waiting_t){.line = &line, .number = i};
        cr_assert_eq(pthread_create(&waiting[i].thread, NULL, wait_in_line, &waiting[i]), 0);
        pg_until(line.pool, pg_waiters, i + 1, "it waits");
    }
    pg_give(line.pool, &lease);
    for (uint64_t i = 0; i < 8; i++) {
        pthread_join(waiting[i].thread, NULL);
    }
    for (uint64_t i = 0; i < 8; i++) {
        cr_assert_eq(line.places[i], i);
    }
    pg_close_pool(&line.pool);
    pg_close(&kit);
}

/* --- giving back ----------------------------------------------------------------------------- */

Test(pool, rolls_back_a_transaction_that_was_left_open)
{
    pg_open(&kit, NULL);
    pg_ask_server(&kit, "CREATE TABLE orders (id int)");
    capstan_pool_t *pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 1});
    static const char *const ways[] = {"INSERT INTO orders VALUES (1)", "SELECT 1 / 0"};
    for (int i = 0; i < 2; i++) {
        capstan_lease_t lease = pg_take(&kit, pool);
        pg_sql(lease.connection, "BEGIN");
        PQclear(PQexec(lease.connection, ways[i]));
        pg_give(pool, &lease);
        lease = pg_take(&kit, pool);
        cr_assert_eq(PQtransactionStatus(lease.connection), PQTRANS_IDLE);
        cr_assert_str_eq(pg_sql(lease.connection, "SELECT count(*) FROM orders"), "0");
        pg_give(pool, &lease);
    }
    capstan_pool_figures_t figures = capstan_pool_figures(pool);
    cr_assert_eq(figures.dirty, 2u);
    cr_assert_leq(figures.opened, 2u); /* a slow connect has another one beside it */
    pg_close_pool(&pool);
    pg_close(&kit);
}

static void leave_statement(PGconn *connection)
{
    cr_assert_eq(PQsendQuery(connection, "SELECT pg_sleep(1000)"), 1);
}

static void leave_result(PGconn *connection)
{
    cr_assert_eq(PQsendQuery(connection, "SELECT generate_series(1, 100000)"), 1);
    cr_assert_eq(PQsetSingleRowMode(connection), 1);
    PQclear(PQgetResult(connection));
}

static void leave_copy(PGconn *connection)
{
    pg_sql(connection, "CREATE TEMPORARY TABLE copied (id int)");
    PQclear(PQexec(connection, "COPY copied FROM STDIN"));
}

static void leave_pipeline(PGconn *connection)
{
    cr_assert_eq(PQenterPipelineMode(connection), 1);
}

static void leave_nonblocking(PGconn *connection)
{
    cr_assert_eq(PQsetnonblocking(connection, 1), 0);
}

static void leave_dead(PGconn *connection)
{
    PQclear(PQexec(connection, "SELECT pg_terminate_backend(pg_backend_pid())"));
}

Test(pool, closes_what_is_given_back_busy_or_broken)
{
    pg_open(&kit, NULL);
    capstan_pool_t *pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 1});
    static void (*const leave[])(PGconn *) = {leave_statement, leave_result,      leave_copy,
                                              leave_pipeline,  leave_nonblocking, leave_dead};
    size_t count = sizeof leave / sizeof leave[0];
    for (size_t i = 0; i < count; i++) {
        capstan_lease_t lease = pg_take(&kit, pool);
        leave[i](lease.connection);
        pg_give(pool, &lease);
        lease = pg_take(&kit, pool);
        cr_assert_str_eq(pg_sql(lease.connection, "SELECT 1"), "1");
        pg_give(pool, &lease);
    }
    capstan_pool_figures_t figures = capstan_pool_figures(pool);
    cr_assert_eq(figures.lost, count);
    cr_assert_eq(figures.dirty, count - 1);
    cr_assert_geq(figures.opened, count + 1);
    pg_close_pool(&pool);
    pg_close(&kit);
}

Test(pool, closes_what_its_borrower_does_not_trust)
{
    pg_open(&kit, NULL);
    capstan_pool_t *pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 1});
    capstan_lease_t lease = pg_take(&kit, pool);
    int first = PQbackendPID(lease.connection);
    cr_assert_eq(capstan_pool_discard(pool, &lease), CAPSTAN_OK);
    cr_assert_null(lease.connection);
    lease = pg_take(&kit, pool);
    cr_assert_neq(PQbackendPID(lease.connection), first);
    pg_give(pool, &lease);
    cr_assert_eq(capstan_pool_discard(pool, &lease), CAPSTAN_E_NOT_LENT);
    cr_assert_eq(capstan_pool_figures(pool).lost, 1u);
    pg_close_pool(&pool);
    pg_close(&kit);
}

Test(pool, leaves_nothing_of_a_session_where_that_is_wanted)
{
    pg_open(&kit, NULL);
    capstan_pool_t *pool =
        pg_pool(&kit, &(capstan_pool_options_t){.size = 1, .reset = CAPSTAN_RESET_SESSION});
    capstan_lease_t lease = pg_take(&kit, pool);
    pg_sql(lease.connection, "SET search_path = elsewhere");
    pg_sql(lease.connection, "PREPARE p AS SELECT 1");
    pg_sql(lease.connection, "LISTEN somebody");
    pg_sql(lease.connection, "CREATE TEMPORARY TABLE t (id int)");
    pg_sql(lease.connection, "BEGIN");
    pg_give(pool, &lease);
    lease = pg_take(&kit, pool);
    cr_assert_str_eq(pg_sql(lease.connection, "SHOW search_path"), "\"$user\", public");
    cr_assert_str_eq(pg_sql(lease.connection, "SELECT count(*) FROM pg_prepared_statements"), "0");
    cr_assert_str_eq(pg_sql(lease.connection, "SELECT count(*) FROM pg_listening_channels()"), "0");
    cr_assert_str_eq(pg_sql(lease.connection, "SELECT to_regclass('t') IS NULL"), "t");
    pg_give(pool, &lease);
    cr_assert_leq(capstan_pool_figures(pool).opened, 2u);
    pg_close_pool(&pool);
    pg_close(&kit);
}

static void count_notice(void *context, const char *message)
{
    (void)message;
    ++*(int *)context;
}

Test(pool, keeps_what_is_libpqs_own_from_the_next_borrower)
{
    int notices = 0;
    pg_open(&kit, NULL);
    capstan_pool_t *pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 1});
    capstan_lease_t lease = pg_take(&kit, pool);
    PQsetNoticeProcessor(lease.connection, count_notice, &notices);
    PQsetErrorVerbosity(lease.connection, PQERRORS_VERBOSE);
    pg_sql(lease.connection, "DO $$ BEGIN RAISE WARNING 'mine'; END $$");
    pg_sql(lease.connection, "LISTEN somebody");
    pg_sql(lease.connection, "NOTIFY somebody");
    pg_sql(lease.connection, "UNLISTEN *");
    cr_assert_eq(notices, 1);
    pg_give(pool, &lease);
    lease = pg_take(&kit, pool);
    pg_sql(lease.connection, "DO $$ BEGIN RAISE WARNING 'yours'; END $$");
    cr_assert_eq(notices, 1);
    cr_assert_null(PQnotifies(lease.connection));
    cr_assert_eq(PQsetErrorVerbosity(lease.connection, PQERRORS_DEFAULT), PQERRORS_DEFAULT);
    pg_give(pool, &lease);
    pg_close_pool(&pool);
    pg_close(&kit);
}

Test(pool, refuses_what_is_given_back_twice)
{
    pg_open(&kit, NULL);
    capstan_pool_t *pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 1});
    capstan_lease_t lease = pg_take(&kit, pool);
    capstan_lease_t copy = lease;
    pg_give(pool, &lease);
    cr_assert_eq(capstan_pool_give(pool, &lease), CAPSTAN_E_NOT_LENT);
    capstan_lease_t other = pg_take(&kit, pool);
    cr_assert_eq(other.connection, copy.connection);
    cr_assert_eq(capstan_pool_give(pool, &copy), CAPSTAN_E_NOT_LENT);
    cr_assert_eq(capstan_pool_give(pool, &(capstan_lease_t){.place = UINT32_MAX}),
                 CAPSTAN_E_NOT_LENT);
    cr_assert_eq(capstan_pool_figures(pool).taken, 1u);
    cr_assert_geq(capstan_pool_figures(pool).gives_refused, 2u);
    pg_give(pool, &other);
    pg_close_pool(&pool);
    pg_close(&kit);
}

static bool leaks(const capstan_pool_figures_t *figures, uint64_t number)
{
    return figures->leaks == number;
}

Test(pool, says_what_is_not_given_back)
{
    pg_open(&kit, NULL);
    capstan_pool_t *pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 2, .leak_us = 1000});
    capstan_lease_t lease = pg_take(&kit, pool);
    pg_until(pool, leaks, 1, "it is told");
    pg_give(pool, &lease);
    pg_close_pool(&pool);
    pg_close(&kit);
}

/* --- operations ------------------------------------------------------------------------------ */

Test(pool, pauses_and_resumes)
{
    pg_open(&kit, NULL);
    line_t line = {.pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 2})};
    waiting_t waiting = {.line = &line};
    capstan_pool_pause(line.pool);
    pg_refuse(&kit, line.pool, SHORT_US, CAPSTAN_E_POOL_PAUSED, "paused");
    cr_assert_eq(pthread_create(&waiting.thread, NULL, wait_in_line, &waiting), 0);
    pg_until(line.pool, pg_waiters, 1, "it waits");
    capstan_pool_resume(line.pool);
    pthread_join(waiting.thread, NULL);
    cr_assert_eq(atomic_load(&line.served), 1u);
    pg_close_pool(&line.pool);
    pg_close(&kit);
}

static bool expired(const capstan_pool_figures_t *figures, uint64_t number)
{
    return figures->expired == number && figures->idle == figures->size;
}

Test(pool, replaces_its_connections_when_it_is_recycled_and_when_they_are_old)
{
    pg_open(&kit, NULL);
    capstan_pool_t *pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 2, .idle_min = 2});
    pg_until(pool, pg_idle, 2, "both are open");
    capstan_lease_t lease = pg_take(&kit, pool);
    capstan_pool_recycle(pool);
    cr_assert_str_eq(pg_sql(lease.connection, "SELECT 1"), "1");
    pg_give(pool, &lease);
    pg_until(pool, expired, 2, "both are replaced");
    pg_close_pool(&pool);
    pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 1, .lifetime_us = 300000});
    lease = pg_take(&kit, pool);
    char first[32];
    snprintf(first, sizeof first, "%s", pg_sql(lease.connection, "SELECT pg_backend_pid()"));
    pg_sql(lease.connection, "SELECT pg_sleep(0.6)");
    pg_give(pool, &lease);
    lease = pg_take(&kit, pool);
    cr_assert_str_neq(pg_sql(lease.connection, "SELECT pg_backend_pid()"), first);
    pg_give(pool, &lease);
    pg_close_pool(&pool);
    pg_close(&kit);
}

Test(pool, becomes_larger_and_smaller)
{
    pg_open(&kit, NULL);
    capstan_pool_t *pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 1});
    capstan_lease_t leases[3] = {pg_take(&kit, pool)};
    pg_refuse(&kit, pool, SHORT_US, CAPSTAN_E_POOL_EXHAUSTED, "taken 1 of 1");
    cr_assert_eq(capstan_pool_resize(pool, 3, 0), CAPSTAN_OK);
    leases[1] = pg_take(&kit, pool);
    leases[2] = pg_take(&kit, pool);
    cr_assert_eq(capstan_pool_resize(pool, 1, 0), CAPSTAN_OK);
    for (int i = 0; i < 3; i++) {
        pg_give(pool, &leases[i]);
    }
    pg_until(pool, pg_idle, 1, "one is left");
    cr_assert_eq(capstan_pool_resize(pool, 0, 0), CAPSTAN_E_INVALID);
    cr_assert_eq(capstan_pool_resize(pool, 2, 3), CAPSTAN_E_INVALID);
    cr_assert_eq(capstan_pool_resize(pool, 2000, 3), CAPSTAN_E_INVALID);
    pg_close_pool(&pool);
    pg_close(&kit);
}

Test(pool, waits_for_what_is_taken_when_it_is_closed)
{
    pg_open(&kit, NULL);
    line_t line = {.pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 1})};
    waiting_t waiting = {.line = &line};
    capstan_lease_t lease = pg_take(&kit, line.pool);
    cr_assert_eq(pthread_create(&waiting.thread, NULL, wait_in_line, &waiting), 0);
    pg_until(line.pool, pg_waiters, 1, "it waits");
    cr_assert_eq(capstan_pool_close(&line.pool, SHORT_US), CAPSTAN_E_TIMEOUT);
    pthread_join(waiting.thread, NULL);
    cr_assert_eq(atomic_load(&line.served), 0u, "who waited hears that it is closed");
    pg_refuse(&kit, line.pool, SHORT_US, CAPSTAN_E_STOPPING, "stopping");
    cr_assert_str_eq(pg_sql(lease.connection, "SELECT 1"), "1");
    pg_give(line.pool, &lease);
    pg_close_pool(&line.pool);
    pg_close(&kit);
}

Test(pool, outlives_its_node)
{
    pg_open(&kit, NULL);
    capstan_pool_t *pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 2, .idle_min = 2});
    capstan_lease_t lease = pg_take(&kit, pool);
    cr_assert_eq(capstan_node_stop(&kit.node, KIT_LONG_US, NULL, NULL), CAPSTAN_OK);
    pg_refuse(&kit, pool, SHORT_US, CAPSTAN_E_STOPPING, "stopping");
    cr_assert_str_eq(pg_sql(lease.connection, "SELECT 1"), "1");
    cr_assert_eq(capstan_pool_close(&pool, SHORT_US), CAPSTAN_E_TIMEOUT);
    pg_give(pool, &lease);
    pg_close_pool(&pool);
    pg_close(&kit);
}

Test(pool, says_which_option_is_wrong)
{
    static const struct {
        capstan_pool_options_t options;
        const char *words;
    } wrong[] = {
        {{.conninfo = ""}, "name: 1 to 58"},
        {{.name = "a b"}, "name: 1 to 58"},
        {{.name = "a", .size = 1025}, "size: 1 to 1024"},
        {{.name = "a", .size = 2, .idle_min = 3}, "idle_min: at most size"},
        {{.name = "a", .connect_us = -1}, "not below 0"},
        {{.name = "a", .reset = (capstan_pool_reset_t)7}, "reset, role"},
        {{.name = "a", .conninfo = "hots=127.0.0.1"}, "hots"},
        {{.name = "a", .conninfo = "postgresql://a:secret@["}, "IPv6"},
        {{.name = "a", .conninfo = "password=my secret"}, "missing"},
    };
    pg_open(&kit, NULL);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        capstan_pool_t *pool = NULL;
        cr_assert_eq(
            capstan_pool_open(kit.node, &wrong[i].options, &pool, kit.text, sizeof kit.text),
            CAPSTAN_E_INVALID);
        cr_assert_not_null(strstr(kit.text, wrong[i].words), "%s", kit.text);
        cr_assert_null(strstr(kit.text, "secret"), "%s", kit.text);
    }
    pg_close(&kit);
}
