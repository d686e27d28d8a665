/* Who takes from a pool, and how: actors and threads, without waiting, at the last moment, while
 * connections die, and while the pool or its node ends. */
#include "pool_kit.h"

#include "include/capstan/actor.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

enum { THREADS = 12, ROUNDS = 400, TRIES_MAX = 4000 };

static pool_kit_t kit;

static void use(capstan_pool_t *pool)
{
    capstan_lease_t lease = pg_take(&kit, pool);
    cr_assert_str_eq(pg_sql(lease.connection, "SELECT 1"), "1");
    pg_give(pool, &lease);
}

/* A connect takes longer than the pool looks for those that nobody waits for. */
Test(pool_borrowers, who_never_waits_gets_what_was_made_for_them)
{
    pg_open(&kit, "post_auth_delay = 1");
    capstan_pool_t *pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 3});
    capstan_lease_t leases[3];
    for (int i = 0; i < 3; i++) {
        capstan_err_t err = CAPSTAN_E_POOL_EXHAUSTED;
        for (int tries = 0; tries < TRIES_MAX && err != CAPSTAN_OK; tries++) {
            err = capstan_pool_take(pool, 0, &leases[i], kit.text, sizeof kit.text);
            pg_rest();
        }
        cr_assert_eq(err, CAPSTAN_OK, "%s", kit.text);
    }
    for (int i = 0; i < 3; i++) {
        pg_give(pool, &leases[i]);
    }
    pg_close_pool(&pool);
    pg_close(&kit);
}

/* --- actors ---------------------------------------------------------------------------------- */

typedef struct asker {
    capstan_pool_t *pool;
    int64_t timeout_us;
    _Atomic int err; /* of its take; -1: it has not come to that */
} asker_t;

static void take_and_give(capstan_actor_t *actor, uint64_t number, void *cookie)
{
    asker_t *self = cookie;
    capstan_lease_t lease;
    (void)number;
    capstan_err_t err = capstan_pool_take(self->pool, self->timeout_us, &lease, NULL, 0);
    err = err ? err : capstan_pool_give(self->pool, &lease);
    atomic_store(&self->err, (int)err);
    capstan_actor_exit(actor, CAPSTAN_OK);
}

static capstan_err_t start_asking(capstan_actor_t *actor, void *argument)
{
    capstan_timer_start(actor, 0, argument);
    return CAPSTAN_OK;
}

static capstan_err_t hear_nothing(capstan_actor_t *actor, const capstan_message_t *message)
{
    (void)actor, (void)message;
    return CAPSTAN_OK;
}

static const capstan_behaviour_t patient = {.name = "patient",
                                            .init = start_asking,
                                            .receive = hear_nothing,
                                            .timer = take_and_give,
                                            .may_block = true};
static const capstan_behaviour_t hasty = {
    .name = "hasty", .init = start_asking, .receive = hear_nothing, .timer = take_and_give};

static capstan_err_t ask_as_actor(capstan_pool_t *pool, int64_t timeout_us)
{
    asker_t asker = {.pool = pool, .timeout_us = timeout_us, .err = -1};
    capstan_ref_t actor;
    cr_assert_eq(capstan_node_spawn(
                     kit.node, timeout_us > 0 ? &patient : &hasty,
                     &(capstan_spawn_options_t){.placement = CAPSTAN_PLACE_OWN, .argument = &asker},
                     &actor),
                 CAPSTAN_OK);
    for (int i = 0; i < TRIES_MAX && atomic_load(&asker.err) < 0; i++) {
        pg_rest();
    }
    return (capstan_err_t)atomic_load(&asker.err);
}

Test(pool_borrowers, are_actors_too)
{
    pg_open(&kit, NULL);
    capstan_pool_t *pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 1});
    cr_assert_eq(ask_as_actor(pool, KIT_LONG_US), CAPSTAN_OK);
    cr_assert_eq(ask_as_actor(pool, 0), CAPSTAN_OK);
    capstan_lease_t lease = pg_take(&kit, pool);
    cr_assert_eq(ask_as_actor(pool, 0), CAPSTAN_E_POOL_EXHAUSTED);
    cr_assert_eq(ask_as_actor(pool, 1000), CAPSTAN_E_POOL_EXHAUSTED);
    pg_give(pool, &lease);
    pg_close_pool(&pool);
    pg_close(&kit);
}

/* --- at the last moment ---------------------------------------------------------------------- */

typedef struct storm {
    capstan_pool_t *pool;
    _Atomic uint64_t got;
    _Atomic uint64_t refused;
    _Atomic uint64_t wrong;
    _Atomic bool over;
} storm_t;

static void *borrow_impatiently(void *argument)
{
    storm_t *self = argument;
    for (int i = 0; i < ROUNDS; i++) {
        capstan_lease_t lease;
        capstan_err_t err = capstan_pool_take(self->pool, (i % 8) * 100, &lease, NULL, 0);
        if (err == CAPSTAN_OK) {
            atomic_fetch_add(&self->got, 1);
            PQclear(PQexec(lease.connection, "SELECT 1"));
            err = capstan_pool_give(self->pool, &lease);
            atomic_fetch_add(&self->wrong, err != CAPSTAN_OK);
        } else {
            bool known = err == CAPSTAN_E_POOL_EXHAUSTED || err == CAPSTAN_E_POOL_PAUSED ||
                         err == CAPSTAN_E_CONNECT_TIMEOUT;
            atomic_fetch_add(known ? &self->refused : &self->wrong, 1);
        }
    }
    return NULL;
}

static void *operate(void *argument)
{
    storm_t *self = argument;
    for (uint32_t i = 0; !atomic_load(&self->over); i++) {
        capstan_pool_pause(self->pool);
        (void)capstan_pool_figures(self->pool);
        capstan_pool_resume(self->pool);
        cr_assert_eq(capstan_pool_resize(self->pool, 2 + i % 3, i % 3), CAPSTAN_OK);
        pg_rest();
    }
    return NULL;
}

/* A connection that is given back when its waiter's time is over goes to the next one, or is idle:
 * none is lost. */
Test(pool_borrowers, whose_time_is_over_lose_no_connection)
{
    pg_open(&kit, NULL);
    storm_t storm = {.pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 3, .idle_min = 3})};
    pthread_t threads[THREADS];
    pthread_t operator;
    cr_assert_eq(pthread_create(&operator, NULL, operate, &storm), 0);
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, borrow_impatiently, &storm), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    atomic_store(&storm.over, true);
    pthread_join(operator, NULL);
    cr_assert_eq(atomic_load(&storm.wrong), 0u);
    cr_assert_eq(atomic_load(&storm.got) + atomic_load(&storm.refused), (uint64_t)THREADS * ROUNDS);
    cr_assert_gt(atomic_load(&storm.got), 0u);
    cr_assert_eq(capstan_pool_resize(storm.pool, 3, 3), CAPSTAN_OK);
    pg_until(storm.pool, pg_idle, 3, "all are there");
    capstan_pool_figures_t figures = capstan_pool_figures(storm.pool);
    cr_assert_eq(figures.taken, 0u);
    cr_assert_eq(figures.waiters, 0u);
    cr_assert_geq(figures.refused, atomic_load(&storm.refused));
    pg_close_pool(&storm.pool);
    pg_close(&kit);
}

/* --- connections that die -------------------------------------------------------------------- */

Test(pool_borrowers, never_get_one_of_the_dead)
{
    pg_open(&kit, NULL);
    capstan_pool_t *pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 3, .idle_min = 3});
    for (int i = 0; i < 5; i++) {
        pg_until(pool, pg_idle, 3, "idle_min are open");
        for (int rest = 0; rest < 50; rest++) { /* the pool knows only of those that it looked at */
            pg_rest();
        }
        pg_ask_server(&kit, "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity "
                            "WHERE application_name = 'orders'");
        use(pool);
    }
    cr_assert_geq(capstan_pool_figures(pool).lost, 10u);
    pg_close_pool(&pool);
    pg_close(&kit);
}

static void stop_server_process(const capstan_lease_t *lease, int signal)
{
    cr_assert_eq(kill(PQbackendPID(lease->connection), signal), 0);
}

/* What is asked of a connection has a deadline of seconds. */
Test(pool_borrowers, get_another_one_where_the_server_does_not_answer)
{
    pg_open(&kit, NULL);
    capstan_pool_options_t options = {.size = 1, .check_us = 200000};
    capstan_pool_t *pool = pg_pool(&kit, &options);
    capstan_lease_t lease = pg_take(&kit, pool);
    int stopped = PQbackendPID(lease.connection);
    pg_sql(lease.connection, "BEGIN");
    stop_server_process(&lease, SIGSTOP);
    pg_give(pool, &lease); /* the transaction cannot be undone */
    use(pool);
    cr_assert_eq(kill(stopped, SIGCONT), 0);
    lease = pg_take(&kit, pool);
    stopped = PQbackendPID(lease.connection);
    stop_server_process(&lease, SIGSTOP);
    pg_give(pool, &lease); /* it is asked whether it still answers */
    pg_until(pool, pg_idle, 0, "it is asked");
    use(pool);
    cr_assert_eq(kill(stopped, SIGCONT), 0);
    pg_close_pool(&pool);
    pg_close(&kit);
}

Test(pool_borrowers, keep_a_connection_that_answers_when_it_is_asked)
{
    pg_open(&kit, NULL);
    capstan_pool_t *pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 1, .check_us = 200000});
    pg_keep(&kit, pool);
    pg_close_pool(&pool);
    pg_close(&kit);
}

static bool nobody_runs(const capstan_pool_figures_t *figures, uint64_t number)
{
    (void)figures, (void)number;
    return strcmp(pg_ask_server(&kit, "SELECT count(*) FROM pg_stat_activity WHERE "
                                      "application_name = 'orders' AND state = 'active'"),
                  "0") == 0;
}

Test(pool_borrowers, leave_no_statement_behind)
{
    pg_open(&kit, NULL);
    capstan_pool_t *pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 1});
    capstan_lease_t lease = pg_take(&kit, pool);
    cr_assert_eq(PQsendQuery(lease.connection, "SELECT pg_sleep(600)"), 1);
    pg_give(pool, &lease);
    pg_until(pool, nobody_runs, 0, "the statement is cancelled");
    use(pool);
    pg_close_pool(&pool);
    pg_close(&kit);
}

/* --- the end --------------------------------------------------------------------------------- */

static void *wait_in_vain(void *argument)
{
    storm_t *self = argument;
    capstan_lease_t lease;
    capstan_err_t err = capstan_pool_take(self->pool, KIT_LONG_US, &lease, NULL, 0);
    atomic_fetch_add(err == CAPSTAN_E_STOPPING ? &self->refused : &self->wrong, 1);
    return NULL;
}

Test(pool_borrowers, hear_when_the_node_stops)
{
    pg_open(&kit, NULL);
    storm_t storm = {.pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 1})};
    capstan_lease_t lease = pg_take(&kit, storm.pool);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, wait_in_vain, &storm), 0);
    pg_until(storm.pool, pg_waiters, 1, "it waits");
    cr_assert_eq(capstan_node_stop(&kit.node, KIT_LONG_US, NULL, NULL), CAPSTAN_OK);
    pthread_join(thread, NULL);
    cr_assert_eq(atomic_load(&storm.refused), 1u);
    pg_give(storm.pool, &lease);
    pg_close_pool(&storm.pool);
    pg_close(&kit);
}

/* Neither an attempt that hangs nor a server that does not answer keeps a pool from ending. */
Test(pool_borrowers, are_not_kept_by_a_server_that_says_nothing)
{
    pg_open(&kit, NULL);
    capstan_pool_t *pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 4, .idle_min = 1});
    use(pool);
    pg_signal_server(&kit, SIGSTOP);
    capstan_lease_t lease = pg_take(&kit, pool);
    pg_refuse(&kit, pool, 1500000, CAPSTAN_E_CONNECT_TIMEOUT, "did not answer in time");
    stop_server_process(&lease, SIGSTOP);
    int stopped = PQbackendPID(lease.connection);
    cr_assert_eq(PQsendQuery(lease.connection, "SELECT 1"), 1);
    pg_give(pool, &lease);
    pg_close_pool(&pool);
    cr_assert_eq(kill(stopped, SIGCONT), 0);
    pg_signal_server(&kit, SIGCONT);
    pg_close(&kit);
}
