/* Pools whose network fails, and pools whose servers change their roles. Times are asserted only
 * so far as a slow machine keeps them; the figures are those of `capstan bench pool`. */
#include "pool_kit.h"
#include "proxy_kit.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum {
    SIZE = 4,
    SHORT_US = 600000,
    SLACK_US = 10000000, /* so late a busy machine may be */
    CHECK_US = 200000,
    WRITERS = 3,
    MORE_WRITES = 20,
};

static pool_kit_t kit;
static proxy_kit_t network;

/* --- a pool behind a network ----------------------------------------------------------------- */

/* All of its connections stand. */
static capstan_pool_t *open_behind_network(int64_t check_us)
{
    char conninfo[320];
    pg_open(&kit, NULL);
    proxy_open(&network, kit.port);
    snprintf(conninfo, sizeof conninfo,
             "host=127.0.0.1 port=%d user=capstan password=secret dbname=postgres", network.port);
    capstan_pool_options_t options = {
        .conninfo = conninfo, .size = SIZE, .idle_min = SIZE, .check_us = check_us};
    capstan_pool_t *pool = pg_pool(&kit, &options);
    pg_until(pool, pg_idle, SIZE, "all are open");
    return pool;
}

static void close_behind_network(capstan_pool_t *pool)
{
    pg_close_pool(&pool);
    proxy_close(&network);
    pg_close(&kit);
}

static int64_t now_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static void refuse_in_time(capstan_pool_t *pool, capstan_err_t wanted)
{
    int64_t begin_us = now_us();
    pg_refuse(&kit, pool, SHORT_US, wanted, "");
    cr_assert_lt(now_us() - begin_us, (int64_t)SHORT_US + SLACK_US);
}

/* As many as may be taken, at the same time. */
static void serve_all(capstan_pool_t *pool)
{
    capstan_lease_t leases[SIZE];
    for (int i = 0; i < SIZE; i++) {
        leases[i] = pg_take(&kit, pool);
        cr_assert_str_eq(pg_sql(leases[i].connection, "SELECT 1"), "1");
    }
    for (int i = 0; i < SIZE; i++) {
        pg_give(pool, &leases[i]);
    }
}

static bool lost(const capstan_pool_figures_t *figures, uint64_t number)
{
    return figures->lost >= number;
}

/* --- what a network does --------------------------------------------------------------------- */

/* First while those of before are asked whether they still answer, then while there is none. */
Test(pool_network, that_swallows_packets_is_told_in_time_and_serves_all_afterwards)
{
    capstan_pool_t *pool = open_behind_network(CHECK_US);
    proxy_do(&network, "drop");
    pg_until(pool, pg_idle, 0, "all are asked");
    refuse_in_time(pool, CAPSTAN_E_CONNECT_TIMEOUT);
    pg_until(pool, lost, SIZE, "those that do not answer are noticed");
    for (int i = 0; i < 3; i++) {
        refuse_in_time(pool, CAPSTAN_E_CONNECT_TIMEOUT);
    }
    proxy_do(&network, "pass");
    serve_all(pool);
    pg_until(pool, pg_idle, SIZE, "it is full again");
    close_behind_network(pool);
}

/* Who has a connection when packets are swallowed is not answered; given back it goes. */
Test(pool_network, that_swallows_packets_costs_the_connections_that_wait_for_an_answer)
{
    capstan_pool_t *pool = open_behind_network(-1);
    capstan_lease_t leases[SIZE];
    for (int i = 0; i < SIZE; i++) {
        leases[i] = pg_take(&kit, pool);
    }
    proxy_do(&network, "drop");
    for (int i = 0; i < SIZE; i++) {
        cr_assert_eq(PQsendQuery(leases[i].connection, "SELECT 1"), 1);
    }
    refuse_in_time(pool, CAPSTAN_E_POOL_EXHAUSTED);
    for (int i = 0; i < SIZE; i++) {
        pg_give(pool, &leases[i]);
    }
    refuse_in_time(pool, CAPSTAN_E_CONNECT_TIMEOUT);
    proxy_do(&network, "pass");
    serve_all(pool);
    cr_assert_geq(capstan_pool_figures(pool).lost, (uint64_t)SIZE);
    close_behind_network(pool);
}

Test(pool_network, that_swallows_packets_is_told_also_while_others_have_a_few)
{
    capstan_pool_t *pool = open_behind_network(CHECK_US);
    capstan_lease_t lease = pg_take(&kit, pool);
    proxy_do(&network, "drop");
    pg_until(pool, lost, SIZE - 1, "those that do not answer are noticed");
    refuse_in_time(pool, CAPSTAN_E_CONNECT_TIMEOUT);
    pg_give(pool, &lease);
    close_behind_network(pool);
}

Test(pool_network, that_resets_everything_is_told_and_serves_all_afterwards)
{
    capstan_pool_t *pool = open_behind_network(-1);
    proxy_do(&network, "reset");
    pg_until(pool, lost, SIZE, "the dead ones are noticed");
    refuse_in_time(pool, CAPSTAN_E_UNREACHABLE);
    proxy_do(&network, "pass");
    serve_all(pool);
    pg_until(pool, pg_idle, SIZE, "it is full again");
    close_behind_network(pool);
}

Test(pool_network, that_forgets_its_connections_has_them_replaced)
{
    capstan_pool_t *pool = open_behind_network(CHECK_US);
    proxy_do(&network, "half");
    pg_until(pool, lost, SIZE, "those that do not answer are noticed");
    serve_all(pool);
    pg_until(pool, pg_idle, SIZE, "it is full again");
    close_behind_network(pool);
}

/* Behind 50 ms each way a connection stands within half a second; behind 200 ms it does not, and
 * each attempt is one that hangs. */
Test(pool_network, that_is_slow_serves_as_many_as_any_other)
{
    static const char *const delays[] = {"delay 50", "delay 200"};
    static const int64_t there_and_back_us[] = {100000, 400000};
    capstan_pool_t *pool = open_behind_network(CHECK_US);
    for (int i = 0; i < 2; i++) {
        uint64_t opened = capstan_pool_figures(pool).opened;
        proxy_do(&network, delays[i]);
        capstan_pool_recycle(pool);
        serve_all(pool);
        pg_until(pool, pg_idle, SIZE, "it is full again");
        cr_assert_geq(capstan_pool_figures(pool).opened, opened + SIZE);
        capstan_lease_t lease = pg_take(&kit, pool);
        int64_t begin_us = now_us();
        pg_sql(lease.connection, "SELECT 1");
        cr_assert_geq(now_us() - begin_us, there_and_back_us[i]);
        pg_give(pool, &lease);
    }
    close_behind_network(pool);
}

/* --- a standby ------------------------------------------------------------------------------- */

static pool_kit_t standby;

/* The first server is `port`. */
static capstan_pool_t *open_before_both(int port, capstan_pool_role_t role)
{
    char conninfo[320];
    pg_open_standby(&standby, &kit);
    snprintf(conninfo, sizeof conninfo,
             "host=127.0.0.1,127.0.0.1 port=%d,%d user=capstan password=secret dbname=postgres",
             port, standby.port);
    capstan_pool_options_t options = {
        .conninfo = conninfo, .size = SIZE, .idle_min = SIZE, .connect_us = 2000000, .role = role};
    capstan_pool_t *pool = pg_pool(&kit, &options);
    pg_until(pool, pg_idle, SIZE, "all are open");
    return pool;
}

typedef struct writers {
    capstan_pool_t *pool;
    pthread_t threads[WRITERS];
    _Atomic bool over;
    _Atomic uint64_t written;
    _Atomic uint64_t refused;
    _Atomic uint64_t read_only; /* were sent to a server that takes no writes */
} writers_t;

static writers_t writers;

static bool is_read_only(const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return state && strcmp(state, "25006") == 0;
}

/* One whose server has gone has failed; that is not looked at here. */
static void write_one(void)
{
    capstan_lease_t lease;
    if (capstan_pool_take(writers.pool, SHORT_US, &lease, NULL, 0) != CAPSTAN_OK) {
        atomic_fetch_add(&writers.refused, 1);
        return;
    }
    PGresult *result = PQexec(lease.connection, "INSERT INTO orders VALUES (1)");
    atomic_fetch_add(&writers.written, PQresultStatus(result) == PGRES_COMMAND_OK);
    atomic_fetch_add(&writers.read_only, is_read_only(result));
    PQclear(result);
    (void)!capstan_pool_give(writers.pool, &lease);
}

static void *write_on(void *argument)
{
    (void)argument;
    while (!atomic_load(&writers.over)) {
        write_one();
    }
    return NULL;
}

static void until_more(const _Atomic uint64_t *counter, const char *what)
{
    uint64_t wanted = atomic_load(counter) + MORE_WRITES;
    int64_t late_us = now_us() + KIT_LONG_US;
    while (atomic_load(counter) < wanted && now_us() < late_us) {
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    cr_assert_geq(atomic_load(counter), wanted, "%s", what);
}

static void start_writers(void)
{
    pg_ask_server(&kit, "CREATE TABLE orders (id int)");
    for (int i = 0; i < WRITERS; i++) {
        cr_assert_eq(pthread_create(&writers.threads[i], NULL, write_on, NULL), 0);
    }
    until_more(&writers.written, "writes go to the primary");
}

static void end_writers(void)
{
    atomic_store(&writers.over, true);
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(writers.threads[i], NULL);
    }
    cr_assert_eq(atomic_load(&writers.read_only), 0u);
}

Test(pool_roles, let_writes_go_on_with_a_standby_once_it_is_promoted)
{
    pg_open(&kit, NULL);
    writers.pool = open_before_both(kit.port, CAPSTAN_ROLE_READ_WRITE);
    start_writers();
    pg_signal_server(&kit, SIGQUIT);
    until_more(&writers.refused, "nobody takes writes");
    pg_promote(&standby);
    until_more(&writers.written, "writes go on");
    end_writers();
    pg_close_pool(&writers.pool);
    pg_close(&standby);
    pg_close(&kit);
}

/* libpq goes on to the next host only when the first has answered or the kernel gives up: attempts
 * beside it begin at another one. */
Test(pool_roles, let_writes_go_on_where_packets_to_the_first_host_are_swallowed)
{
    pg_open(&kit, NULL);
    proxy_open(&network, kit.port);
    writers.pool = open_before_both(network.port, CAPSTAN_ROLE_READ_WRITE);
    start_writers();
    proxy_do(&network, "reset"); /* else libpq waits half a minute for an answer */
    proxy_do(&network, "drop");
    pg_promote(&standby);
    until_more(&writers.written, "writes go on");
    end_writers();
    pg_close_pool(&writers.pool);
    proxy_close(&network);
    pg_close(&standby);
    pg_close(&kit);
}

/* What a server has become it tells a session with the next answer only: each may be lent once
 * more. */
static void until_refused(capstan_pool_t *pool, const char *words)
{
    capstan_err_t err = CAPSTAN_OK;
    for (int i = 0; i < 10 * SIZE && err == CAPSTAN_OK; i++) {
        capstan_lease_t lease;
        err = capstan_pool_take(pool, SHORT_US, &lease, kit.text, sizeof kit.text);
        if (err == CAPSTAN_OK) {
            pg_sql(lease.connection, "SELECT 1");
            pg_give(pool, &lease);
            nanosleep(&(struct timespec){.tv_nsec = 150000000}, NULL);
        }
    }
    cr_assert_eq(err, CAPSTAN_E_UNREACHABLE, "%s", kit.text);
    cr_assert_not_null(strstr(kit.text, words), "%s", kit.text);
}

Test(pool_roles, take_a_standby_that_was_promoted_from_those_who_only_read)
{
    pg_open(&kit, NULL);
    capstan_pool_t *pool = open_before_both(kit.port, CAPSTAN_ROLE_READ_ONLY);
    capstan_lease_t lease = pg_take(&kit, pool);
    cr_assert_str_eq(pg_sql(lease.connection, "SELECT pg_is_in_recovery()"), "t");
    pg_give(pool, &lease);
    pg_promote(&standby);
    until_refused(pool, "not read-only");
    pg_close_pool(&pool);
    pg_close(&standby);
    pg_close(&kit);
}

Test(pool_roles, take_a_server_that_was_made_read_only_from_those_who_write)
{
    pg_open(&kit, NULL);
    capstan_pool_options_t options = {.size = SIZE, .role = CAPSTAN_ROLE_READ_WRITE};
    capstan_pool_t *pool = pg_pool(&kit, &options);
    serve_all(pool);
    pg_ask_server(&kit, "ALTER SYSTEM SET default_transaction_read_only = on");
    pg_ask_server(&kit, "SELECT pg_reload_conf()");
    until_refused(pool, "read-only");
    pg_close_pool(&pool);
    pg_close(&kit);
}
