/* pool outage: a network swallows packets while threads take connections. How late are they told
 * that there is none, and how soon after the network's return do all connections serve again? */
#include "cli/bench.h"

#include "cli/bench_scene.h"
#include "cli/options.h"
#include "runtime/base/clock.h"
#include "runtime/base/ensure.h"
#include "runtime/base/lock.h"
#include "runtime/base/thread.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <math.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    THREADS = 16, /* and as many connections: others never have them all */
    TAKE_US = 500000,
    ASK_US = 500000,
    CALM_MS = 1000,
    OUTAGE_MS_MAX = 600000,
    BACK_US_MAX = 30000000,
    PEER_ROUNDS = 6,
};

/* A minute; the others end at other times after an attempt to connect has begun, of which there is
 * one each half second. */
static const int64_t outages_ms[] = {60000, 6100, 6200, 6300, 6400, 6500};

enum { OUTAGES = sizeof outages_ms / sizeof outages_ms[0] };

typedef enum phase {
    PHASE_CALM,
    PHASE_SWALLOWED,
    PHASE_BACK,
    PHASE_OVER,
} phase_t;

typedef struct outage {
    capstan_pool_t *pool;
    _Atomic phase_t phase;
    lock_t lock;
    lock_condition_t changed;
    uint64_t serving; /* threads that have been answered since the return, and hold on */
    int64_t all_ns;   /* all are; 0: not yet */
} outage_t;

typedef struct taker {
    outage_t *outage;
    pthread_t thread;
    uint64_t refused;     /* in the outage */
    int64_t late_ns;      /* at worst, in the outage */
    uint64_t wrong;       /* answers that do not say that the server cannot be reached */
    capstan_err_t answer; /* one of them */
    capstan_err_t err;    /* something else went wrong */
} taker_t;

typedef struct outcome {
    uint64_t refused;
    int64_t late_ns;
    uint64_t wrong;
    capstan_err_t answer;
    uint64_t back_ns;
} outcome_t;

static void rest(int64_t ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* --- a taker --------------------------------------------------------------------------------- */

/* Whether a statement is answered in time; else it is still under way. */
static bool ask(PGconn *connection)
{
    int64_t late_us = clock_us(CLOCK_MONOTONIC) + ASK_US;
    if (PQsendQuery(connection, "SELECT 1") != 1) {
        return false;
    }
    for (;;) {
        while (!PQisBusy(connection)) {
            PGresult *result = PQgetResult(connection);
            if (!result) {
                return PQstatus(connection) == CONNECTION_OK;
            }
            PQclear(result);
        }
        struct pollfd answer = {.fd = PQsocket(connection), .events = POLLIN};
        int64_t left_us = late_us - clock_us(CLOCK_MONOTONIC);
        if (left_us <= 0 || poll(&answer, 1, (int)(left_us / 1000) + 1) < 0 ||
            PQconsumeInput(connection) == 0) {
            return false;
        }
    }
}

/* Until all others have one that serves, too. */
static void hold(outage_t *self)
{
    lock_take(&self->lock);
    self->serving++;
    if (self->serving == THREADS) {
        self->all_ns = bench_now_ns();
        lock_wake(&self->changed);
    }
    while (atomic_load(&self->phase) != PHASE_OVER) {
        (void)lock_wait(&self->lock, &self->changed, INT64_MAX);
    }
    lock_give_back(&self->lock);
}

static void took(taker_t *self, capstan_lease_t *lease)
{
    outage_t *outage = self->outage;
    bool back = atomic_load(&outage->phase) == PHASE_BACK;
    if (ask(lease->connection) && back) {
        hold(outage);
    }
    capstan_err_t err = capstan_pool_give(outage->pool, lease);
    self->err = self->err ? self->err : err;
}

static void *take_on(void *argument)
{
    taker_t *self = argument;
    phase_t phase;
    while ((phase = atomic_load(&self->outage->phase)) != PHASE_OVER) {
        capstan_lease_t lease;
        int64_t deadline_ns = bench_now_ns() + TAKE_US * 1000;
        capstan_err_t err = capstan_pool_take(self->outage->pool, TAKE_US, &lease, NULL, 0);
        int64_t late_ns = bench_now_ns() - deadline_ns;
        if (phase == PHASE_SWALLOWED) {
            self->late_ns = late_ns > self->late_ns ? late_ns : self->late_ns;
            self->refused += err != CAPSTAN_OK;
        }
        if (err == CAPSTAN_OK) {
            took(self, &lease);
        } else if (err != CAPSTAN_E_CONNECT_TIMEOUT) {
            self->wrong++;
            self->answer = err;
        }
    }
    return NULL;
}

/* The peer: so late a thread is that waits for a time alone. */
static void *wait_on(void *argument)
{
    taker_t *self = argument;
    lock_t lock;
    lock_condition_t never;
    lock_init(&lock);
    lock_condition_init(&never);
    lock_take(&lock);
    for (int i = 0; i < PEER_ROUNDS; i++) {
        int64_t deadline_us = clock_us(CLOCK_MONOTONIC) + TAKE_US;
        while (lock_wait(&lock, &never, deadline_us)) {
        }
        int64_t late_ns = bench_now_ns() - deadline_us * 1000;
        self->late_ns = late_ns > self->late_ns ? late_ns : self->late_ns;
    }
    lock_give_back(&lock);
    lock_condition_fini(&never);
    lock_fini(&lock);
    return NULL;
}

/* --- all of them ----------------------------------------------------------------------------- */

static void takers_start(taker_t takers[THREADS], outage_t *outage, void *(*run)(void *))
{
    for (size_t i = 0; i < THREADS; i++) {
        takers[i] = (taker_t){.outage = outage};
        thread_options_t options = {.name = "taker", .run = run, .argument = &takers[i]};
        ENSURE(thread_start(&options, &takers[i].thread));
    }
}

static capstan_err_t takers_join(taker_t takers[THREADS], outcome_t *outcome)
{
    capstan_err_t err = CAPSTAN_OK;
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(takers[i].thread, NULL);
        const taker_t *taker = &takers[i];
        outcome->refused += taker->refused;
        outcome->late_ns = taker->late_ns > outcome->late_ns ? taker->late_ns : outcome->late_ns;
        outcome->wrong += taker->wrong;
        outcome->answer = taker->wrong > 0 ? taker->answer : outcome->answer;
        err = err ? err : taker->err;
    }
    return err;
}

/* 0: they do not. */
static int64_t wait_for_all(outage_t *self)
{
    int64_t late_us = clock_us(CLOCK_MONOTONIC) + BACK_US_MAX;
    lock_take(&self->lock);
    while (self->all_ns == 0 && lock_wait(&self->lock, &self->changed, late_us)) {
    }
    int64_t all_ns = self->all_ns;
    atomic_store(&self->phase, PHASE_OVER);
    lock_wake(&self->changed);
    lock_give_back(&self->lock);
    return all_ns;
}

static capstan_err_t judge(capstan_err_t err, int64_t all_ns, const outcome_t *outcome)
{
    if (err == CAPSTAN_OK && (all_ns == 0 || outcome->refused == 0)) {
        err = CAPSTAN_E_INTERNAL;
        bench_failed("pool outage", all_ns == 0 ? "the connections do not all serve again"
                                                : "no take was refused");
    }
    return err;
}

static capstan_err_t run_outage(int64_t ms, outcome_t *ret_outcome)
{
    pool_scene_t scene = {.pool = NULL};
    taker_t takers[THREADS];
    capstan_err_t err =
        pool_scene_open(&scene, &(pool_scene_options_t){.size = THREADS, .idle_min = THREADS});
    if (err != CAPSTAN_OK) {
        return pool_scene_close(&scene, err);
    }
    outage_t outage = {.pool = scene.pool};
    lock_init(&outage.lock);
    lock_condition_init(&outage.changed);
    takers_start(takers, &outage, take_on);
    rest(CALM_MS);
    atomic_store(&outage.phase, PHASE_SWALLOWED);
    pool_scene_swallow(&scene);
    rest(ms);
    int64_t back_ns = bench_now_ns();
    atomic_store(&outage.phase, PHASE_BACK);
    pool_scene_pass(&scene);
    int64_t all_ns = wait_for_all(&outage);
    *ret_outcome = (outcome_t){.back_ns = (uint64_t)(all_ns - back_ns)};
    err = takers_join(takers, ret_outcome);
    lock_condition_fini(&outage.changed);
    lock_fini(&outage.lock);
    return pool_scene_close(&scene, judge(err, all_ns, ret_outcome));
}

/* --- what is reported ------------------------------------------------------------------------ */

static void add(outcome_t *sum, const outcome_t *outcome)
{
    sum->refused += outcome->refused;
    sum->late_ns = outcome->late_ns > sum->late_ns ? outcome->late_ns : sum->late_ns;
    sum->wrong += outcome->wrong;
    sum->answer = outcome->wrong > 0 ? outcome->answer : sum->answer;
}

/* Missing the goal is no failure, but has to be said. */
static void complain(const outcome_t *sum)
{
    char text[128];
    if (sum->wrong > 0) {
        snprintf(text, sizeof text, "%" PRIu64 " takes were told %s; at worst %.1f us late",
                 sum->wrong, capstan_err_name(sum->answer), (double)sum->late_ns / 1000);
        bench_failed("pool outage", text);
    }
}

/* p99 is the longest return. A wrong answer is never in time: then there is no worst one. */
capstan_err_t bench_pool_outage(bench_figures_t *ret_figures)
{
    outcome_t sum = {.refused = 0};
    uint64_t backs_ns[OUTAGES];
    int64_t all_ms = 0;
    for (size_t i = 0; i < OUTAGES; i++) {
        outcome_t outcome;
        capstan_err_t err = run_outage(outages_ms[i], &outcome);
        if (err != CAPSTAN_OK) {
            return err;
        }
        add(&sum, &outcome);
        backs_ns[i] = outcome.back_ns;
        all_ms += outages_ms[i];
    }
    bench_quantiles(backs_ns, OUTAGES, ret_figures);
    ret_figures->p99_us = (double)backs_ns[OUTAGES - 1] / 1000;
    ret_figures->ops_per_s = (double)sum.refused * 1000 / (double)all_ms;
    ret_figures->p999_us = sum.wrong == 0 ? (double)sum.late_ns / 1000 : NAN;
    complain(&sum);
    return CAPSTAN_OK;
}

capstan_err_t bench_pool_outage_waits(bench_figures_t *ret_figures)
{
    taker_t takers[THREADS];
    outcome_t outcome = {.late_ns = 0};
    takers_start(takers, NULL, wait_on);
    capstan_err_t err = takers_join(takers, &outcome);
    ret_figures->ops_per_s = THREADS * 1e6 / TAKE_US;
    ret_figures->p999_us = (double)outcome.late_ns / 1000;
    return err;
}

/* swallowed MILLISECONDS: one outage. */
int bench_swallowed(int argc, char **argv)
{
    int64_t ms = argc == 2 ? strtoll(argv[1], NULL, 10) : 0;
    if (ms < (TAKE_US + ASK_US) / 1000 || ms > OUTAGE_MS_MAX) {
        return bench_failed("swallowed", "MILLISECONDS: a number from 1000 to 600000");
    }
    outcome_t outcome;
    bench_figures_t figures;
    double begin_s = bench_cpu_s();
    if (run_outage(ms, &outcome) != CAPSTAN_OK) {
        return EXIT_FAILED;
    }
    bench_quantiles(&outcome.back_ns, 1, &figures);
    figures.ops_per_s = (double)outcome.refused * 1000 / (double)ms;
    figures.p999_us = (double)outcome.late_ns / 1000;
    complain(&outcome);
    bench_print_line(outcome.refused, (double)ms / 1000, &figures, bench_cpu_s() - begin_s);
    return EXIT_DONE;
}
