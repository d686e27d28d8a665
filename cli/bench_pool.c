/* pool: what taking and giving back a connection costs, alone, contended and in a rush. The server
 * is a stub that lets everybody in, so that the pool is measured and not a database: it answers the
 * start of a session after a while, and nothing else. */
#include "cli/bench.h"

#include "cli/options.h"
#include "include/capstan/pool.h"
#include "runtime/base/ensure.h"
#include "runtime/base/lock.h"
#include "runtime/base/thread.h"

#include <arpa/inet.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

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
    CLIENTS_MAX = 128,
};

/* --- the stub -------------------------------------------------------------------------------- */

typedef struct client {
    int fd;
    int64_t answer_ns; /* 0: it has its answer, or has not said anything */
} client_t;

typedef struct stub {
    pthread_t thread;
    int listener;
    int port;
    int64_t delay_ns;
    _Atomic bool over;
    client_t clients[CLIENTS_MAX];
    size_t count;
} stub_t;

/* AuthenticationOk, and ReadyForQuery: idle. */
static const uint8_t welcome[] = {'R', 0, 0, 0, 8, 0, 0, 0, 0, 'Z', 0, 0, 0, 5, 'I'};

static void stub_accept(stub_t *self)
{
    int fd = accept(self->listener, NULL, NULL);
    if (fd >= 0 && self->count < CLIENTS_MAX) {
        self->clients[self->count++] = (client_t){.fd = fd};
    } else if (fd >= 0) {
        close(fd);
    }
}

/* False: it has gone. */
static bool stub_serve(stub_t *self, client_t *client, short revents)
{
    uint8_t bytes[1024];
    if (revents != 0) {
        if (recv(client->fd, bytes, sizeof bytes, MSG_DONTWAIT) <= 0) {
            return false;
        }
        client->answer_ns = bench_now_ns() + self->delay_ns;
    }
    if (client->answer_ns > 0 && client->answer_ns <= bench_now_ns()) {
        client->answer_ns = 0;
        return send(client->fd, welcome, sizeof welcome, MSG_NOSIGNAL) == (ssize_t)sizeof welcome;
    }
    return true;
}

static void *stub_run(void *argument)
{
    stub_t *self = argument;
    struct pollfd fds[CLIENTS_MAX + 1];
    while (!atomic_load(&self->over)) {
        fds[0] = (struct pollfd){.fd = self->listener, .events = POLLIN};
        size_t count = self->count;
        bool waiting = false;
        for (size_t i = 0; i < count; i++) {
            fds[i + 1] = (struct pollfd){.fd = self->clients[i].fd, .events = POLLIN};
            waiting = waiting || self->clients[i].answer_ns > 0;
        }
        (void)poll(fds, count + 1, waiting ? 1 : 20);
        for (size_t i = count; i-- > 0;) {
            if (!stub_serve(self, &self->clients[i], fds[i + 1].revents)) {
                close(self->clients[i].fd);
                self->clients[i] = self->clients[--self->count];
            }
        }
        if (fds[0].revents) {
            stub_accept(self);
        }
    }
    return NULL;
}

static void stub_start(stub_t *self, int64_t delay_ms)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    *self = (stub_t){.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0),
                     .delay_ns = delay_ms * 1000000};
    ENSURE(bind(self->listener, (struct sockaddr *)&address, size) == 0 &&
           listen(self->listener, CLIENTS_MAX) == 0 &&
           getsockname(self->listener, (struct sockaddr *)&address, &size) == 0);
    self->port = ntohs(address.sin_port);
    ENSURE(thread_start(&(thread_options_t){.name = "stub", .run = stub_run, .argument = self},
                        &self->thread));
}

static void stub_stop(stub_t *self)
{
    atomic_store(&self->over, true);
    pthread_join(self->thread, NULL);
    for (size_t i = 0; i < self->count; i++) {
        close(self->clients[i].fd);
    }
    close(self->listener);
}

/* --- a pool before it ------------------------------------------------------------------------ */

typedef struct scene {
    stub_t stub;
    capstan_node_t *node;
    capstan_pool_t *pool;
} scene_t;

static capstan_err_t scene_open(scene_t *self, uint32_t size, uint32_t idle_min, int64_t delay_ms)
{
    char conninfo[128];
    char text[256] = "";
    stub_start(&self->stub, delay_ms);
    snprintf(conninfo, sizeof conninfo,
             "host=127.0.0.1 port=%d user=bench sslmode=disable gssencmode=disable",
             self->stub.port);
    capstan_err_t err = capstan_node_new(&(capstan_node_options_t){.log_fd = -1}, &self->node);
    if (err == CAPSTAN_OK) {
        capstan_pool_options_t options = {.name = "bench",
                                          .conninfo = conninfo,
                                          .size = size,
                                          .idle_min = idle_min,
                                          .first_us = 10 * SECOND_US};
        err = capstan_pool_open(self->node, &options, &self->pool, text, sizeof text);
    }
    if (err != CAPSTAN_OK) {
        bench_failed("pool", text[0] ? text : capstan_err_text(err));
    }
    return err;
}

static capstan_err_t scene_close(scene_t *self, capstan_err_t err)
{
    capstan_err_t closed = capstan_pool_close(&self->pool, 10 * SECOND_US);
    capstan_err_t stopped =
        self->node ? capstan_node_stop(&self->node, 10 * SECOND_US, NULL, NULL) : CAPSTAN_OK;
    stub_stop(&self->stub);
    return err ? err : closed ? closed : stopped;
}

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
    scene_t scene = {.pool = NULL};
    rush_t rush = {.threads = 1, .rounds = ALONE_ROUNDS};
    capstan_err_t err = scene_open(&scene, 4, 0, 0);
    err = err ? err : run_rush(scene.pool, &rush, ret_figures);
    ret_figures->p50_us = ret_figures->p99_us = ret_figures->p999_us = NAN;
    return scene_close(&scene, err);
}

static int64_t contended_held_ns;

capstan_err_t bench_pool_contended(bench_figures_t *ret_figures)
{
    scene_t scene = {.pool = NULL};
    rush_t rush = {
        .threads = CONTENDED_THREADS, .rounds = CONTENDED_ROUNDS, .hold_ns = CONTENDED_HOLD_NS};
    capstan_err_t err = scene_open(&scene, CONTENDED_SIZE, CONTENDED_SIZE, 0);
    err = err ? err : run_rush(scene.pool, &rush, ret_figures);
    contended_held_ns = rush.held_ns;
    return scene_close(&scene, err);
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
    scene_t scene = {.pool = NULL};
    rush_t rush = {.threads = RUSH_THREADS, .rounds = 1, .hold_ns = RUSH_HOLD_NS};
    capstan_err_t err = scene_open(&scene, RUSH_SIZE, RUSH_IDLE_MIN, RUSH_CONNECT_MS);
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
    return scene_close(&scene, err);
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
    scene_t scene = {.pool = NULL};
    bench_figures_t figures = {.ops_per_s = 0};
    capstan_err_t err = scene_open(&scene, (uint32_t)numbers[1], (uint32_t)numbers[1], 0);
    double begin_s = bench_cpu_s();
    err = err ? err : run_rush(scene.pool, &rush, &figures);
    double used_s = bench_cpu_s() - begin_s;
    err = scene_close(&scene, err);
    if (err == CAPSTAN_OK) {
        bench_print_line(rush.threads * rush.rounds, (double)rush.took_ns / 1e9, &figures, used_s);
    }
    return err == CAPSTAN_OK ? EXIT_DONE : EXIT_FAILED;
}
