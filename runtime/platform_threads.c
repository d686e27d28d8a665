/* Cells as threads: each has an inbox that it polls, and sleeps when it has had nothing to do for a
 * while. Batches go through inproc sockets (transport.c). */
#include "runtime/node_internal.h"

#include "runtime/base/clock.h"
#include "runtime/base/ensure.h"
#include "runtime/base/scarcity.h"
#include "runtime/base/thread.h"
#include "runtime/context.h"
#include "runtime/grip.h"
#include "runtime/interrupt.h"
#include "runtime/runtime_metrics.h"
#include "runtime/takeover.h"
#include "runtime/telemetry/log_writer.h"
#include "runtime/telemetry/metrics.h"

#include <errno.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    STACK_BYTES = 1 << 20,
    LOOKS_PER_YIELD = 8,               /* a yield costs as much as several looks */
    PATIENCE_FACTOR_MAX = 32,          /* times spin_us */
    PATIENCE_US_MAX = 320,             /* what a commit takes, and a little */
    LATE_US = 100,                     /* longer than a turn of another cell takes */
    SOCKETS_MAX = CELLS_MAX * 2 + 256, /* each cell's inbox and outlet, and the gateways' */
};

static int64_t now_ns(const capstan_node_t *node)
{
    (void)node;
    return clock_ns(CLOCK_MONOTONIC);
}

static int64_t utc_us(const capstan_node_t *node)
{
    (void)node;
    return clock_us(CLOCK_REALTIME);
}

static void random_bytes(const capstan_node_t *node, void *bytes, size_t size)
{
    (void)node;
    ENSURE(getrandom(bytes, size, 0) == (ssize_t)size);
}

/* --- the thread of a cell -------------------------------------------------------------------- */

static long sleep_ms(const cell_t *self)
{
    int64_t next_us = timers_next_us(&self->timers);
    if (next_us == INT64_MAX) {
        return -1;
    }
    int64_t left_us = next_us - clock_ns(CLOCK_MONOTONIC) / 1000;
    return left_us <= 0 ? 0 : (long)((left_us + 999) / 1000);
}

static void sleep_until_work(cell_t *self)
{
    cell_fall_asleep(self);
    if (!cell_has_foreign_work(self)) {
        cell_poll(self, sleep_ms(self));
    }
    atomic_store_explicit(&self->sleeping, false, memory_order_seq_cst);
}

/* How long to look before sleeping. A wake-up costs some 25 us, and twice that on a core that has
 * gone to rest. So a cell that slept for less than a few of those would have done better to look
 * on: cells that ask each other, or wait for a disk in turn, would otherwise each fall asleep while
 * the other is being woken, for ever. Where work comes less often than
 * that, by what it slept and looked together, the patience is reset. */
static int64_t next_patience_us(const cell_t *self, int64_t patience_us, int64_t slept_us)
{
    int64_t least_us = node_options(self->node)->spin_us;
    int64_t most_us = least_us * PATIENCE_FACTOR_MAX;
    most_us = most_us < PATIENCE_US_MAX ? most_us : PATIENCE_US_MAX;
    if (patience_us == 0 || most_us <= least_us || patience_us + slept_us > most_us) {
        return least_us;
    }
    return patience_us * 2 < most_us ? patience_us * 2 : most_us;
}

/* Looking must not keep a core from someone who has work: whether somebody had. */
static bool yield_to_others(const cell_t *self)
{
    sched_yield();
    return self->platform->now_ns(self->node) - self->now_ns > LATE_US * INT64_C(1000);
}

static void loop(cell_t *self)
{
    int64_t patience_us = node_options(self->node)->spin_us;
    int64_t idle_since_us = 0;
    uint32_t looks = 0;
    while (!self->ending) {
        if (cell_turn(self)) {
            idle_since_us = 0;
        } else if (idle_since_us == 0) {
            idle_since_us = self->now_us;
        } else if (self->now_us - idle_since_us < patience_us) {
            if (++looks % LOOKS_PER_YIELD == 0 && yield_to_others(self)) {
                patience_us = 0;
            }
        } else {
            int64_t asleep_us = self->now_us;
            sleep_until_work(self);
            cell_read_clocks(self);
            patience_us = next_patience_us(self, patience_us, self->now_us - asleep_us);
            idle_since_us = 0;
        }
    }
}

/* The last that a thread does, whichever way it ends. */
static void end_thread(void *argument)
{
    cell_thread_t *self = argument;
    capstan_node_t *node = self->cell->node;
    cell_thread_state_t state = cell_thread_state(self);
    if (grip_is_lost()) {
        METRIC_ADD(runtime, threads_lost, -1);
    } else if (state == CELL_THREAD_RUNS) {
        bool in_handler = atomic_load_explicit(&grip.user, memory_order_relaxed);
        state = in_handler ? CELL_THREAD_DIED : CELL_THREAD_BROKE;
        atomic_store_explicit(&self->state, state, memory_order_release);
    }
    metric_shard_give_back();
    atomic_store_explicit(&self->ended, true, memory_order_release);
    if (state != CELL_THREAD_BROKE) { /* which may hold the mutex */
        node_signal(node);
    }
}

static void run_cell(cell_thread_t *thread)
{
    cell_t *self = thread->cell;
    metric_shard_take();
    watchdog_add(self->node->watchdog, self, thread);
    if (thread->next) {
        takeover_repair(self, thread->next);
        thread->next = cell_threads_reap(thread->next);
    } else {
        cell_begin(self);
    }
    loop(self);
    cell_finish(self);
    watchdog_remove(self->node->watchdog, self);
    atomic_store_explicit(&thread->state, CELL_THREAD_FINISHED, memory_order_release);
}

static void *cell_main(void *argument)
{
    pthread_cleanup_push(end_thread, argument);
    run_cell(argument);
    pthread_cleanup_pop(1);
    return NULL;
}

/* The cell's first thread, or one that takes it over. */
static capstan_err_t start_thread(cell_t *self)
{
    cell_thread_t *thread = calloc(1, sizeof *thread);
    if (!thread) {
        return CAPSTAN_E_NO_MEMORY;
    }
    thread->cell = self;
    thread_options_t options = {.name = self->name,
                                .stack_bytes = STACK_BYTES,
                                .run = cell_main,
                                .argument = thread,
                                .open_signal = interrupt_signal()};
    pthread_mutex_lock(&self->control_mutex);
    thread->next = self->seat;
    bool started = thread_start(&options, &thread->thread);
    if (started) {
        self->seat = thread;
    }
    pthread_mutex_unlock(&self->control_mutex);
    if (!started) {
        free(thread);
    }
    return started ? CAPSTAN_OK : CAPSTAN_E_NO_THREAD;
}

static void wake(cell_t *self)
{
    uint64_t one = 1;
    ssize_t written = write(self->wake_fd, &one, sizeof one);
    (void)written; /* EAGAIN: the counter is full, so the cell is being woken anyway. */
}

/* At most a millisecond: what settles a mailbox does not signal `changed`. */
static void wait_a_little(capstan_node_t *node)
{
    struct timespec soon;
    clock_gettime(CLOCK_MONOTONIC, &soon);
    soon.tv_nsec += 1000000;
    soon.tv_sec += soon.tv_nsec / 1000000000;
    soon.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&node->changed, &node->mutex, &soon);
}

/* The deadline of pthread_timedjoin_np is on the real-time clock. */
static bool join(pthread_t thread, int64_t deadline_us)
{
    int64_t left_us = deadline_us - clock_us(CLOCK_MONOTONIC);
    int64_t until_us = clock_add_us(clock_us(CLOCK_REALTIME), left_us > 0 ? left_us : 0);
    struct timespec until = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};
    return pthread_timedjoin_np(thread, NULL, &until) == 0;
}

/* That of the cell's last turn, and those that lost it before. */
static bool all_have_ended(cell_t *self)
{
    pthread_mutex_lock(&self->control_mutex); /* the watchdog may bring a new one */
    const cell_thread_t *thread = self->seat;
    pthread_mutex_unlock(&self->control_mutex);
    bool all = cell_thread_state(thread) == CELL_THREAD_FINISHED;
    for (; all && thread; thread = thread->next) {
        all = atomic_load_explicit(&thread->ended, memory_order_acquire);
    }
    return all;
}

static bool join_cell(cell_t *self, int64_t deadline_us)
{
    capstan_node_t *node = self->node;
    bool all;
    pthread_mutex_lock(&node->mutex);
    while (!(all = all_have_ended(self)) && clock_us(CLOCK_MONOTONIC) < deadline_us) {
        wait_a_little(node);
    }
    pthread_mutex_unlock(&node->mutex);
    if (all) {
        self->seat = cell_threads_reap(self->seat);
        ENSURE(!self->seat);
    }
    return all;
}

/* --- its descriptors ------------------------------------------------------------------------- */

static capstan_err_t open_wake_fd(cell_t *self)
{
    self->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return self->wake_fd < 0 ? descriptor_error(errno) : CAPSTAN_OK;
}

/* The first cell brings the watchdog. The node's mutex is held. All that a cell will ever want of
 * the system is taken here, so that whoever asked for the cell hears when there is nothing left. */
static capstan_err_t open_cell(cell_t *self)
{
    capstan_node_t *node = self->node;
    capstan_err_t err = node->watchdog ? CAPSTAN_OK : watchdog_start(node, &node->watchdog);
    err = err ? err : open_wake_fd(self);
    err = err ? err : transport_open(self);
    self->items[0] = (zmq_pollitem_t){.socket = self->inbox, .events = ZMQ_POLLIN};
    self->items[1] = (zmq_pollitem_t){.fd = self->wake_fd, .events = ZMQ_POLLIN};
    return err;
}

static void close_cell(cell_t *self)
{
    transport_close(self);
    if (self->wake_fd >= 0) {
        close(self->wake_fd);
    }
}

/* --- the node -------------------------------------------------------------------------------- */

static capstan_err_t open_node(capstan_node_t *node)
{
    capstan_err_t err = context_new(&(context_options_t){.sockets_max = SOCKETS_MAX}, &node->zmq);
    if (err == CAPSTAN_OK) {
        err = log_writer_start();
        node->logging = err == CAPSTAN_OK;
    }
    if (err != CAPSTAN_OK) {
        context_destroy(&node->zmq);
    }
    return err;
}

static void *terminate(void *zmq)
{
    context_destroy(&zmq);
    return NULL;
}

/* The context waits for every socket and does not say which: its end gets a thread, so that the
 * deadline holds. Where there is none to be had it is called here: the actors have ended, and
 * they have closed what they opened. */
static bool close_node(capstan_node_t *node, int64_t deadline_us, capstan_late_fn *late,
                       void *context)
{
    const thread_options_t options = {.name = "end", .run = terminate, .argument = node->zmq};
    watchdog_stop(&node->watchdog);
    if (!node->terminating && !thread_start(&options, &node->terminator)) {
        terminate(node->zmq);
        return true;
    }
    node->terminating = true;
    bool in_time = join(node->terminator, deadline_us);
    if (!in_time && late) {
        late(context, "zmq context (a socket is still open)");
    }
    return in_time;
}

static void wait_for(capstan_node_t *node, waiter_t *waiter)
{
    (void)node;
    int64_t until_us = waiter->until_us;
    if (until_us == INT64_MAX) {
        pthread_cond_wait(&waiter->condition, &waiter->mutex);
        return;
    }
    struct timespec until = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};
    pthread_cond_timedwait(&waiter->condition, &waiter->mutex, &until);
}

const platform_t platform_threads = {
    .now_ns = now_ns,
    .utc_us = utc_us,
    .random = random_bytes,
    .open = open_node,
    .close = close_node,
    .cell_open = open_cell,
    .cell_start = start_thread,
    .cell_join = join_cell,
    .cell_close = close_cell,
    .wake = wake,
    .send = transport_send_batch,
    .receive = transport_receive_batch,
    .wait = wait_for,
    .wait_a_little = wait_a_little,
};
