/* pool: what taking and giving back a connection costs, alone, contended and in a rush. The server
 * is a stub that lets everybody in, so that the pool is measured and not a database. */
#include "cli/bench.h"

#include "cli/bench_scene.h"
#include "cli/options.h"
#include "runtime/base/ensure.h"
#include "runtime/base/lock.h"
#include "runtime/base/thread.h"

#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    ALONE_ROUNDS = 5000000,
    THREADS_MAX = 50,
    CONTENDED_THREADS = 32,
    CONTENDED_SIZE = 16,
    CONTENDED_ROUNDS = 1000, /* of each thread */
    CONTENDED_HOLD_NS = 1000000,
    RUSH_CONNECT_MS = 150,
    RUSH_HOLD_NS = 2000000,
    RUSH_SIZE = 50,
    RUSH_IDLE_MIN = 5,
    RUSH_THREADS = 50,
    RUSH_PAUSE_NS = 1000000000, /* until idle_min are open */
    SECOND_US = 1000000,
};

/* --- alone ----------------------------------------------------------------------------------- */

/* Twice a lock that nobody else wants. */
capstan_err_t bench_pool_locks(bench_figures_t *ret_figures)
{
    lock_t lock;
    lock_init(&lock);
    int64_t begin_ns = bench_now_ns();
    for (uint64_t i = 0; i < 2 * (uint64_t)ALONE_ROUNDS; i++) {
        lock_take(&lock);
        lock_give_back(&lock);
    }
    ret_figures->ops_per_s = ALONE_ROUNDS * 1e9 / (double)(bench_now_ns() - begin_ns);
    return CAPSTAN_OK;
}

/* --- many ------------------------------------------------------------------------------------ */

typedef struct borrower {
    capstan_pool_t *pool;
    pthread_t thread;
    _Atomic bool *start;
    uint64_t rounds;
    int64_t hold_ns;
    int64_t held_ns; /* as measured */
    int64_t end_ns;
    uint64_t *waits_ns;
    capstan_err_t err;
} borrower_t;

/* Held for no time, and not timed one by one: two clocks take longer than a take and a give. */
static void *borrow_bare(borrower_t *self)
{
    for (uint64_t i = 0; i < self->rounds && self->err == CAPSTAN_OK; i++) {
        capstan_lease_t lease;
        self->err = capstan_pool_take(self->pool, 10 * SECOND_US, &lease, NULL, 0);
        self->err = self->err ? self->err : capstan_pool_give(self->pool, &lease);
    }
    self->end_ns = bench_now_ns();
    return NULL;
}

static void *borrow(void *argument)
{
    borrower_t *self = argument;
    while (!atomic_load(self->start)) {
        sched_yield();
    }
    if (self->hold_ns == 0) {
        return borrow_bare(self);
    }
    for (uint64_t i = 0; i < self->rounds && self->err == CAPSTAN_OK; i++) {
        capstan_lease_t lease;
        int64_t begin_ns = bench_now_ns();
        self->err = capstan_pool_take(self->pool, 10 * SECOND_US, &lease, NULL, 0);
        int64_t taken_ns = bench_now_ns();
        if (self->err == CAPSTAN_OK) {
            struct timespec hold = {.tv_nsec = self->hold_ns};
            clock_nanosleep(CLOCK_MONOTONIC, 0, &hold, NULL);
            self->err = capstan_pool_give(self->pool, &lease);
        }
        self->end_ns = bench_now_ns();
        self->held_ns += self->end_ns - taken_ns;
        self->waits_ns[i] = (uint64_t)(taken_ns - begin_ns);
    }
    return NULL;
}

typedef struct rush {
    size_t threads; /* at most THREADS_MAX */
    uint64_t rounds;
    int64_t hold_ns;
    int64_t took_ns;
    int64_t held_ns; /* on average */
} rush_t;

static capstan_err_t run_rush(capstan_pool_t *pool, rush_t *rush, bench_figures_t *figures)
{
    static borrower_t borrowers[THREADS_MAX];
    size_t count = rush->threads * rush->rounds;
    uint64_t *waits_ns = calloc(rush->hold_ns > 0 ? count : 1, sizeof *waits_ns);
    ENSURE(waits_ns && rush->threads <= THREADS_MAX);
    _Atomic bool start = false;
    for (size_t i = 0; i < rush->threads; i++) {
        borrowers[i] = (borrower_t){.pool = pool,
                                    .start = &start,
                                    .rounds = rush->rounds,
                                    .hold_ns = rush->hold_ns,
                                    .waits_ns = waits_ns + i * rush->rounds};
        ENSURE(thread_start(
            &(thread_options_t){.name = "borrower", .run = borrow, .argument = &borrowers[i]},
            &borrowers[i].thread));
    }
    int64_t begin_ns = bench_now_ns();
    atomic_store(&start, true);
    capstan_err_t err = CAPSTAN_OK;
    int64_t held_ns = 0;
    for (size_t i = 0; i < rush->threads; i++) {
        pthread_join(borrowers[i].thread, NULL);
        err = err ? err : borrowers[i].err;
        held_ns += borrowers[i].held_ns;
        int64_t took_ns = borrowers[i].end_ns - begin_ns;
        rush->took_ns = took_ns > rush->took_ns ? took_ns : rush->took_ns;
    }
    rush->held_ns = held_ns / (int64_t)count;
    figures->ops_per_s = (double)count * 1e9 / (double)rush->took_ns;
    if (rush->hold_ns > 0) {
        bench_quantiles(waits_ns, count, figures);
    }
    free(waits_ns);
    return err;
}

capstan_err_t bench_pool_take_give(bench_figures_t *ret_figures)
{
    pool_scene_t scene = {.pool = NULL};
    rush_t rush = {.threads = 1, .rounds = ALONE_ROUNDS};
    capstan_err_t err = pool_scene_open(&scene, &(pool_scene_options_t){.size = 4});
    err = err ? err : run_rush(scene.pool, &rush, ret_figures);
    ret_figures->p50_us = ret_figures->p99_us = ret_figures->p999_us = NAN;
    return pool_scene_close(&scene, err);
}

static int64_t contended_held_ns;

capstan_err_t bench_pool_contended(bench_figures_t *ret_figures)
{
    pool_scene_t scene = {.pool = NULL};
    rush_t rush = {
        .threads = CONTENDED_THREADS, .rounds = CONTENDED_ROUNDS, .hold_ns = CONTENDED_HOLD_NS};
    capstan_err_t err = pool_scene_open(
        &scene, &(pool_scene_options_t){.size = CONTENDED_SIZE, .idle_min = CONTENDED_SIZE});
    err = err ? err : run_rush(scene.pool, &rush, ret_figures);
    contended_held_ns = rush.held_ns;
    return pool_scene_close(&scene, err);
}

/* Connections that are never idle, held for as long as they were; who waits has at most as many
 * ahead as wait with him. */
capstan_err_t bench_pool_contended_ideal(bench_figures_t *ret_figures)
{
    double held_us = (double)contended_held_ns / 1000;
    ret_figures->ops_per_s = CONTENDED_SIZE * 1e6 / held_us;
    ret_figures->p999_us = held_us * (CONTENDED_THREADS - CONTENDED_SIZE) / (double)CONTENDED_SIZE;
    return CAPSTAN_OK;
}

/* The time until all are done is reported as p99. */
capstan_err_t bench_pool_spike(bench_figures_t *ret_figures)
{
    pool_scene_t scene = {.pool = NULL};
    rush_t rush = {.threads = RUSH_THREADS, .rounds = 1, .hold_ns = RUSH_HOLD_NS};
    capstan_err_t err = pool_scene_open(
        &scene, &(pool_scene_options_t){
                    .size = RUSH_SIZE, .idle_min = RUSH_IDLE_MIN, .connect_ms = RUSH_CONNECT_MS});
    nanosleep(&(struct timespec){.tv_sec = RUSH_PAUSE_NS / 1000000000}, NULL);
    err = err ? err : run_rush(scene.pool, &rush, ret_figures);
    if (err == CAPSTAN_OK) {
        capstan_pool_figures_t figures = capstan_pool_figures(scene.pool);
        uint64_t made = figures.opened + figures.called_off + figures.opening;
        if (made > RUSH_IDLE_MIN + 1) {
            bench_failed("pool spike", "more than six connections were made");
            err = CAPSTAN_E_INTERNAL;
        }
    }
    ret_figures->p99_us = (double)rush.took_ns / 1000;
    ret_figures->p50_us = NAN;
    ret_figures->p999_us = NAN;
    return pool_scene_close(&scene, err);
}

capstan_err_t bench_pool_spike_ideal(bench_figures_t *ret_figures)
{
    ret_figures->ops_per_s = RUSH_IDLE_MIN * 1e9 / RUSH_HOLD_NS;
    return CAPSTAN_OK;
}

/* --- a process of its own -------------------------------------------------------------------- */

/* borrowers THREADS SIZE ROUNDS HOLD_US: as tests/bench/compare runs it beside others. */
int bench_borrowers(int argc, char **argv)
{
    uint64_t numbers[4] = {0};
    for (int i = 1; i < argc && i <= 4; i++) {
        numbers[i - 1] = strtoull(argv[i], NULL, 10);
    }
    rush_t rush = {
        .threads = numbers[0], .rounds = numbers[2], .hold_ns = (int64_t)numbers[3] * 1000};
    if (rush.threads == 0 || rush.threads > THREADS_MAX || numbers[1] == 0 || rush.rounds == 0 ||
        rush.hold_ns >= 1000000000) {
        return bench_failed("borrowers", "THREADS SIZE ROUNDS HOLD_US: 1 to 50 threads, a size "
                                         "and rounds of at least 1, less than a second");
    }
    pool_scene_t scene = {.pool = NULL};
    bench_figures_t figures = {.ops_per_s = 0};
    uint32_t size = (uint32_t)numbers[1];
    capstan_err_t err =
        pool_scene_open(&scene, &(pool_scene_options_t){.size = size, .idle_min = size});
    double begin_s = bench_cpu_s();
    err = err ? err : run_rush(scene.pool, &rush, &figures);
    double used_s = bench_cpu_s() - begin_s;
    err = pool_scene_close(&scene, err);
    if (err == CAPSTAN_OK) {
        bench_print_line(rush.threads * rush.rounds, (double)rush.took_ns / 1e9, &figures, used_s);
    }
    return err == CAPSTAN_OK ? EXIT_DONE : EXIT_FAILED;
}
