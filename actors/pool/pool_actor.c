/* The shell of a pool: does what its rules ask for, on a thread of its own, so that nobody waits
 * for another one's work. Nothing in it blocks but the files that libpq and the password are read
 * from. See pool_shared.h for what threads share with it.
 *
 * Accepts   pool_status, pool_operate
 * Replies   pool_report
 *
 * It watches one descriptor, an epoll of its own: of the wake-up, of the look-up of names, and of
 * the connections that it is making, checking or cleaning. Attempts that begin while names are
 * looked up share that look-up; each begins when it is over. Every tick it looks whether idle ones
 * have been closed by the server. */
#include "actors/pool/pool_shared.h"

#include "actors/pool/pool_events.h"
#include "actors/pool/pool_metrics.h"
#include "runtime/base/clock.h"
#include "runtime/base/ensure.h"
#include "runtime/postgres/postgres_names.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    EVENTS_AT_ONCE = 64,
    WAKE_NUMBER = POOL_SIZE_MAX, /* in the epoll; the others are numbers of places */
    NAMES_NUMBER,
    NAMES_US = 1000000, /* a look-up that takes longer has another one in its place */
};

typedef struct pool_actor {
    capstan_actor_t *self;
    capstan_pool_t *shared;
    int epoll_fd;
    bool failing;        /* the last attempt failed, and the log says so */
    uint64_t late;       /* attempts since the last one that succeeded that hung to their end */
    pool_figures_t told; /* in the metrics */
    int64_t names_us;    /* when they were looked up last */
    postgres_lookup_t *names;  /* NULL: none is under way */
    bool asked[POOL_SIZE_MAX]; /* DISCARD ALL, behind ROLLBACK */
    bool names_wanted[POOL_SIZE_MAX];
    struct pollfd idle_fds[POOL_SIZE_MAX];
    pool_place_t *idle_places[POOL_SIZE_MAX];
} pool_actor_t;

static const char cookie; /* of the watch, and of the timer */

static int64_t now_us(const pool_actor_t *self)
{
    (void)self;
    return clock_us(CLOCK_MONOTONIC);
}

/* --- descriptors ----------------------------------------------------------------------------- */

/* libpq may have another descriptor than the last time, also of the same number. */
static void watch(pool_actor_t *self, size_t number, const PGconn *connection, postgres_next_t next)
{
    int fd = PQsocket(connection);
    struct epoll_event event = {.events = next == POSTGRES_WRITE ? EPOLLOUT : EPOLLIN,
                                .data.u64 = number};
    if (fd >= 0 && epoll_ctl(self->epoll_fd, EPOLL_CTL_MOD, fd, &event) < 0) {
        (void)epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event); /* else the deadline ends it */
    }
}

static void unwatch(pool_actor_t *self, const PGconn *connection)
{
    if (PQsocket(connection) >= 0) {
        (void)epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, PQsocket(connection), NULL);
    }
}

/* --- what the rules ask for ------------------------------------------------------------------ */

static void opened(pool_actor_t *self, pool_place_t *place)
{
    capstan_pool_t *shared = self->shared;
    if (self->failing || pool_figures(shared->core, 0).opened == 0) {
        self->failing = false;
        LOG(pool, opened, log_string("pool", shared->name));
    }
    self->late = 0;
    pool_opened(shared->core, place, now_us(self));
}

static void open_failed(pool_actor_t *self, pool_place_t *place, capstan_err_t err)
{
    capstan_pool_t *shared = self->shared;
    if (place->connection) {
        err = postgres_why(place->connection, shared->why, sizeof shared->why);
    }
    self->failing = true;
    LOG(pool, open_failed, log_string("pool", shared->name), log_error(err),
        log_string("text", shared->why));
    pool_failed(shared->core, place, err, now_us(self));
}

static void lost(pool_actor_t *self, pool_place_t *place)
{
    LOG(pool, gone, log_string("pool", self->shared->name),
        log_string("text", "the server has closed it, or does not answer"));
    pool_lost(self->shared->core, place, now_us(self));
}

/* With the lock, which is given up around each step of libpq's: no other thread has the connection
 * while its place is in such a state. */
static postgres_next_t step(pool_actor_t *self, pool_place_t *place, uint8_t state)
{
    size_t number = pool_number(self->shared->core, place);
    pool_unlock(self->shared);
    postgres_next_t next = state == POOL_OPENING ? postgres_connect(place->connection)
                                                 : postgres_answer(place->connection);
    bool heard = state == POOL_OPENING && postgres_is_heard(place->connection);
    if (next == POSTGRES_DONE && state == POOL_CLEANING && self->shared->clean_always &&
        !self->asked[number]) {
        self->asked[number] = true;
        next = postgres_ask(place->connection, "DISCARD ALL") ? POSTGRES_WRITE : POSTGRES_FAILED;
    }
    if (next == POSTGRES_READ || next == POSTGRES_WRITE) {
        watch(self, number, place->connection, next);
    } else {
        unwatch(self, place->connection);
    }
    pool_lock(self->shared);
    if (place->state == POOL_OPENING) {
        pool_heard(place, heard);
    }
    return next;
}

static void go_on(pool_actor_t *self, pool_place_t *place)
{
    uint8_t state = place->state;
    if (place->todo ||
        (state != POOL_OPENING && state != POOL_CHECKING && state != POOL_CLEANING)) {
        return; /* called off meanwhile */
    }
    postgres_next_t next = step(self, place, state);
    if (place->state != state || next == POSTGRES_READ || next == POSTGRES_WRITE) {
        return;
    }
    if (next == POSTGRES_FAILED && state == POOL_OPENING) {
        open_failed(self, place, CAPSTAN_OK);
    } else if (next == POSTGRES_FAILED) {
        lost(self, place);
    } else if (state == POOL_OPENING) {
        opened(self, place);
    } else if (!postgres_is_alive(place->connection, self->shared->role)) {
        lost(self, place);
    } else {
        pool_answered(self->shared->core, place, now_us(self));
    }
}

/* With the lock, which each of the following gives up meanwhile. */

static void begin_connection(pool_actor_t *self, pool_place_t *place)
{
    capstan_pool_t *shared = self->shared;
    PGconn *connection = NULL;
    char why[POOL_WHY_BYTES];
    size_t skip = self->late + pool_figures(shared->core, 0).held_up;
    pool_unlock(shared);
    capstan_err_t err =
        postgres_begin(shared->target, self->names, skip, &connection, why, sizeof why);
    bool failed = err != CAPSTAN_OK || PQstatus(connection) == CONNECTION_BAD;
    if (!failed) {
        watch(self, pool_number(shared->core, place), connection, POSTGRES_WRITE);
    }
    pool_lock(shared);
    place->connection = connection;
    if (err != CAPSTAN_OK) {
        snprintf(shared->why, sizeof shared->why, "%s", why);
    }
    if (failed && place->state == POOL_OPENING) {
        open_failed(self, place, err);
    }
}

static void drop_names(pool_actor_t *self)
{
    if (self->names) {
        (void)epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, postgres_lookup_fd(self->names), NULL);
        postgres_lookup_drop(&self->names);
    }
}

/* In place of one that takes too long: a question that the network has swallowed is asked again
 * after seconds only, a new one at once. */
static void look_up_names(pool_actor_t *self)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = NAMES_NUMBER};
    postgres_lookup_t *names = postgres_look_up(self->shared->target);
    if (names && epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, postgres_lookup_fd(names), &event) < 0) {
        postgres_lookup_drop(&names);
    }
    if (names) {
        drop_names(self);
        self->names = names;
    }
    self->names_us = now_us(self); /* where there are too many, the next one is tried later */
}

static void open_one(pool_actor_t *self, pool_place_t *place)
{
    if (!postgres_has_names(self->shared->target)) {
        begin_connection(self, place);
        return;
    }
    self->names_wanted[pool_number(self->shared->core, place)] = true;
    if (!self->names) {
        look_up_names(self);
    }
}

/* Every tick. */
static void look_at_names(pool_actor_t *self)
{
    bool wanted = false;
    for (size_t i = 0; i < POOL_SIZE_MAX; i++) {
        wanted = wanted || self->names_wanted[i];
    }
    if (wanted && now_us(self) - self->names_us >= NAMES_US) {
        look_up_names(self);
    }
}

/* The look-up is over: what waited for it goes on. */
static void names_found(pool_actor_t *self)
{
    for (size_t i = 0; i < POOL_SIZE_MAX; i++) {
        pool_place_t *place = pool_place(self->shared->core, i);
        if (self->names_wanted[i] && place->state == POOL_OPENING && !place->todo) {
            begin_connection(self, place);
        }
        self->names_wanted[i] = false;
    }
    drop_names(self);
}

static void close_one(pool_actor_t *self, pool_place_t *place)
{
    capstan_pool_t *shared = self->shared;
    self->names_wanted[pool_number(shared->core, place)] = false;
    pool_unlock(shared);
    if (place->connection) {
        unwatch(self, place->connection);
        if (PQtransactionStatus(place->connection) == PQTRANS_ACTIVE) {
            postgres_cancel(place->connection);
        }
    }
    postgres_end(place->connection);
    pool_lock(shared);
    pool_closed(shared->core, place, now_us(self));
}

static void ask_one(pool_actor_t *self, pool_place_t *place)
{
    capstan_pool_t *shared = self->shared;
    size_t number = pool_number(shared->core, place);
    uint8_t state = place->state;
    pool_unlock(shared);
    bool idle = PQtransactionStatus(place->connection) == PQTRANS_IDLE;
    self->asked[number] = state == POOL_CLEANING && idle;
    bool going = postgres_ask(place->connection, state == POOL_CHECKING ? ""
                                                 : idle                 ? "DISCARD ALL"
                                                                        : "ROLLBACK");
    watch(self, number, place->connection, POSTGRES_WRITE);
    pool_lock(shared);
    if (!going && place->state == state) {
        lost(self, place);
    }
}

static void begin(pool_actor_t *self, pool_place_t *place)
{
    if (place->state == POOL_CLOSING) {
        close_one(self, place);
    } else if (place->state == POOL_OPENING) {
        open_one(self, place);
    } else {
        ask_one(self, place);
    }
}

/* With the lock. */
static void work(pool_actor_t *self)
{
    for (pool_place_t *place; (place = pool_next_todo(self->shared->core));) {
        begin(self, place);
    }
}

/* --- every tick ------------------------------------------------------------------------------ */

/* Where something can be read unasked, the server has closed it, or says a last word. Whoever takes
 * one meanwhile has it; the look at the descriptors is a hint. */
static void look_at_idle(pool_actor_t *self)
{
    struct pollfd *fds = self->idle_fds;
    pool_place_t **places = self->idle_places;
    nfds_t count = 0;
    pool_t *core = self->shared->core;
    for (pool_place_t *place = pool_next_idle(core, NULL); place;
         place = pool_next_idle(core, place)) {
        fds[count] = (struct pollfd){.fd = PQsocket(place->connection), .events = POLLIN};
        places[count++] = place;
    }
    pool_unlock(self->shared);
    int ready = poll(fds, count, 0);
    pool_lock(self->shared);
    for (nfds_t i = 0; i < count && ready > 0; i++) {
        pool_place_t *place = places[i];
        if (fds[i].revents && place->state == POOL_IDLE &&
            PQsocket(place->connection) == fds[i].fd &&
            !postgres_is_alive(place->connection, self->shared->role)) {
            lost(self, place);
        }
    }
}

static void tell_leaks(pool_actor_t *self)
{
    for (const pool_place_t *place; (place = pool_next_leak(self->shared->core, now_us(self)));) {
        LOG_EACH(pool, leak, log_string("pool", self->shared->name),
                 log_string("place", place->borrower.place),
                 log_uint("thread", place->borrower.thread),
                 log_int("taken_ms", (now_us(self) - place->since_us) / 1000));
    }
}

static void tell_saturation(const pool_actor_t *self, const pool_figures_t *figures)
{
    if (figures->saturated && !self->told.saturated) {
        LOG(pool, saturated, log_string("pool", self->shared->name),
            log_uint("taken", figures->taken), log_uint("size", figures->size),
            log_uint("waiters", figures->waiters));
    } else if (!figures->saturated && self->told.saturated) {
        LOG(pool, relaxed, log_string("pool", self->shared->name),
            log_uint("taken", figures->taken), log_uint("size", figures->size));
    }
}

static void tell_metrics(pool_actor_t *self, const pool_figures_t *figures)
{
    const pool_figures_t *told = &self->told;
    METRIC_ADD(pool, takes, figures->takes - told->takes);
    METRIC_ADD(pool, takes_refused, figures->refused - told->refused);
    METRIC_ADD(pool, waits, figures->waits - told->waits);
    METRIC_ADD(pool, waited_us, figures->waited_us - told->waited_us);
    METRIC_ADD(pool, saturated, figures->saturated - told->saturated);
    METRIC_ADD(pool, waiters, figures->waiters - told->waiters);
    METRIC_ADD(pool, taken, figures->taken - told->taken);
    METRIC_ADD(pool, idle, figures->idle - told->idle);
    METRIC_ADD(pool, opening, figures->opening - told->opening);
    METRIC_ADD(pool, opened, figures->opened - told->opened);
    METRIC_ADD(pool, open_failures, figures->open_failures - told->open_failures);
    METRIC_ADD(pool, lost, figures->lost - told->lost);
    METRIC_ADD(pool, expired, figures->expired - told->expired);
    METRIC_ADD(pool, dirty, figures->dirty - told->dirty);
    METRIC_ADD(pool, leaks, figures->leaks - told->leaks);
    METRIC_ADD(pool, gives_refused, figures->gives_refused - told->gives_refused);
    self->told = *figures;
}

static void tick(pool_actor_t *self)
{
    capstan_pool_t *shared = self->shared;
    look_at_idle(self);
    pool_figures_t before = pool_figures(shared->core, 0);
    pool_tick(shared->core, now_us(self));
    pool_figures_t after = pool_figures(shared->core, 0);
    self->late += after.late_failures - before.late_failures;
    if (after.open_failures > before.open_failures) { /* by their deadline */
        self->failing = true;
        snprintf(shared->why, sizeof shared->why, "%s",
                 self->names ? "the look-up of the host's name does not end" : "no answer in time");
        LOG(pool, open_failed, log_string("pool", shared->name),
            log_error(CAPSTAN_E_CONNECT_TIMEOUT), log_string("text", shared->why));
    }
    look_at_names(self);
    tell_leaks(self);
    pool_figures_t figures = pool_figures(shared->core, now_us(self));
    tell_saturation(self, &figures);
    tell_metrics(self, &figures);
}

/* --- the behaviour --------------------------------------------------------------------------- */

static void end_if_closed(pool_actor_t *self)
{
    if (pool_mode(self->shared->core) == POOL_MODE_CLOSED && pool_is_empty(self->shared->core)) {
        capstan_actor_exit(self->self, CAPSTAN_OK);
    }
}

static void ready(capstan_actor_t *actor, void *which)
{
    pool_actor_t *self = capstan_actor_state(actor);
    capstan_pool_t *shared = self->shared;
    struct epoll_event events[EVENTS_AT_ONCE];
    uint64_t woken;
    (void)which;
    int count = epoll_wait(self->epoll_fd, events, EVENTS_AT_ONCE, 0);
    pool_lock(shared);
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == WAKE_NUMBER) {
            (void)!read(shared->wake_fd, &woken, sizeof woken);
        } else if (events[i].data.u64 == NAMES_NUMBER) {
            names_found(self);
        } else {
            go_on(self, pool_place(shared->core, events[i].data.u64));
        }
    }
    work(self);
    end_if_closed(self);
    pool_unlock(shared);
}

static void timer(capstan_actor_t *actor, uint64_t number, void *which)
{
    pool_actor_t *self = capstan_actor_state(actor);
    (void)number;
    (void)which;
    pool_lock(self->shared);
    tick(self);
    work(self);
    end_if_closed(self);
    pool_unlock(self->shared);
    capstan_timer_start(actor, POOL_TICK_US, (void *)&cookie);
}

static capstan_err_t init(capstan_actor_t *actor, void *argument)
{
    pool_actor_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->self = actor;
    self->shared = argument;
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = WAKE_NUMBER};
    if (self->epoll_fd < 0 ||
        epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, self->shared->wake_fd, &event) < 0) {
        if (self->epoll_fd >= 0) {
            close(self->epoll_fd);
        }
        free(self);
        return CAPSTAN_E_NO_DESCRIPTOR;
    }
    capstan_actor_set_state(actor, self);
    pool_lock(self->shared);
    self->shared->owners++;
    pool_unlock(self->shared); /* wakes it, if there is something to do */
    capstan_timer_start(actor, POOL_TICK_US, (void *)&cookie);
    return capstan_watch_fd(actor, self->epoll_fd, (void *)&cookie);
}

static capstan_err_t receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    const pool_actor_t *self = capstan_actor_state(actor);
    pool_request(self->shared, actor, message);
    return CAPSTAN_OK;
}

/* The node stops: nobody gets a connection any more. What is still taken is closed by who gives it
 * back. */
static void stop(capstan_actor_t *actor)
{
    capstan_actor_exit(actor, CAPSTAN_OK);
}

/* Nothing is asked of a connection any more. */
static void end_all(pool_actor_t *self)
{
    pool_t *core = self->shared->core;
    pool_close(core, now_us(self));
    for (size_t i = 0; i < POOL_SIZE_MAX; i++) {
        pool_place_t *place = pool_place(core, i);
        if (place->state == POOL_CHECKING || place->state == POOL_CLEANING) {
            pool_lost(core, place, now_us(self));
        }
    }
    work(self);
}

static void destroy(capstan_actor_t *actor)
{
    pool_actor_t *self = capstan_actor_state(actor);
    if (!self) {
        return;
    }
    capstan_pool_t *shared = self->shared;
    pool_lock(shared);
    end_all(self);
    drop_names(self);
    pool_figures_t figures = pool_figures(shared->core, 0);
    figures.taken = 0;
    figures.saturated = false;
    tell_metrics(self, &figures);
    shared->ended = true;
    lock_wake(&shared->ended_condition);
    pool_unlock(shared);
    pool_lock(shared);
    pool_give_back(shared);
    close(self->epoll_fd);
    free(self);
}

const capstan_behaviour_t pool_behaviour = {
    .name = "pool",
    .init = init,
    .receive = receive,
    .timer = timer,
    .ready = ready,
    .stop = stop,
    .destroy = destroy,
    .may_block = true,
};
