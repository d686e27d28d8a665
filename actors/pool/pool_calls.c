/* The calls of capstan/pool.h. */
#include "actors/pool/pool_shared.h"

#include "runtime/base/clock.h"
#include "runtime/base/ensure.h"
#include "runtime/names.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    SIZE_USUAL = 10,
    CONNECT_US_USUAL = 5000000,
    ANSWER_US = 5000000,
    CHECK_US_USUAL = 30000000,
    IDLE_US_USUAL = 600000000,
    LIFETIME_US_USUAL = 1800000000,
    NAME_TRIES = 100,
};

static int64_t now_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

/* --- the lock -------------------------------------------------------------------------------- */

void pool_lock(capstan_pool_t *self)
{
    lock_take(&self->lock);
}

/* With nobody to do it, what is to be closed is closed here; nothing else is asked for then. */
static void close_left(capstan_pool_t *self)
{
    for (pool_place_t *place; (place = pool_next_todo(self->core));) {
        if (place->state == POOL_CLOSING) {
            postgres_end(place->connection);
            pool_closed(self->core, place, now_us());
        }
    }
    if (pool_is_empty(self->core)) {
        lock_wake(&self->ended_condition);
    }
}

void pool_unlock(capstan_pool_t *self)
{
    for (pool_waiter_t *waiter; (waiter = pool_next_woken(self->core));) {
        lock_wake(&((pool_thread_t *)waiter)->condition);
    }
    bool work = pool_has_todo(self->core);
    if (work && self->ended) {
        close_left(self);
        work = false;
    }
    if (work) { /* with the lock: afterwards the descriptor may be another's */
        (void)!write(self->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
    }
    lock_give_back(&self->lock);
}

void pool_give_back(capstan_pool_t *self)
{
    bool last = --self->owners == 0;
    lock_give_back(&self->lock);
    if (last) {
        close(self->wake_fd);
        pool_destroy(&self->core);
        postgres_target_destroy(&self->target);
        lock_condition_fini(&self->ended_condition);
        lock_fini(&self->lock);
        free(self);
    }
}

/* --- opening and closing --------------------------------------------------------------------- */

static const char *what_is_wrong(const capstan_pool_options_t *options)
{
    if (!options->name || !name_is_valid(options->name) ||
        strlen(options->name) >= POOL_NAME_BYTES) {
        return "name: 1 to 58 letters, digits and . _ -";
    }
    if (options->size > POOL_SIZE_MAX) {
        return "size: 1 to 1024";
    }
    if (options->idle_min > (options->size ? options->size : SIZE_USUAL)) {
        return "idle_min: at most size";
    }
    if (options->connect_us < 0 || options->leak_us < 0 || options->statement_us < 0 ||
        options->first_us < 0) {
        return "connect_us, leak_us, statement_us, first_us: not below 0";
    }
    if (options->reset > CAPSTAN_RESET_SESSION || options->role > CAPSTAN_ROLE_READ_ONLY) {
        return "reset, role: one of their values";
    }
    return NULL;
}

static int64_t time_of(int64_t given_us, int64_t usual_us)
{
    return given_us == 0 ? usual_us : given_us < 0 ? 0 : given_us;
}

static pool_limits_t limits_of(const capstan_pool_options_t *options)
{
    return (pool_limits_t){
        .size = options->size ? options->size : SIZE_USUAL,
        .idle_min = options->idle_min,
        .connect_us = time_of(options->connect_us, CONNECT_US_USUAL),
        .answer_us = ANSWER_US,
        .check_us = time_of(options->check_us, CHECK_US_USUAL),
        .idle_us = time_of(options->idle_us, IDLE_US_USUAL),
        .lifetime_us = time_of(options->lifetime_us, LIFETIME_US_USUAL),
        .leak_us = options->leak_us,
        .clean_always = options->reset == CAPSTAN_RESET_SESSION,
    };
}

static capstan_err_t make(capstan_node_t *node, const capstan_pool_options_t *options,
                          postgres_target_t *target, capstan_pool_t **ret_self)
{
    int wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (wake_fd < 0) {
        return CAPSTAN_E_NO_DESCRIPTOR;
    }
    capstan_pool_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    pool_limits_t limits = limits_of(options);
    lock_init(&self->lock);
    lock_condition_init(&self->ended_condition);
    self->core = pool_new(&limits, (uint64_t)clock_ns(CLOCK_REALTIME), now_us());
    self->owners = 1;
    self->target = target;
    self->role = (postgres_role_t)options->role;
    self->clean_always = limits.clean_always;
    self->wake_fd = wake_fd;
    self->node = node;
    snprintf(self->name, sizeof self->name, "%s", options->name);
    *ret_self = self;
    return CAPSTAN_OK;
}

/* Nothing of it has run, or all has ended. */
static void unmake(capstan_pool_t *self)
{
    pool_lock(self);
    pool_close(self->core, now_us());
    close_left(self);
    pool_give_back(self);
}

static capstan_err_t spawn(capstan_pool_t *self)
{
    char name[POOL_NAME_BYTES + sizeof POOL_ACTOR_PREFIX];
    capstan_ref_t actor;
    snprintf(name, sizeof name, POOL_ACTOR_PREFIX "%s", self->name);
    return capstan_node_spawn(
        self->node, &pool_behaviour,
        &(capstan_spawn_options_t){
            .name = name, .placement = CAPSTAN_PLACE_OWN, .argument = self, .external = true},
        &actor);
}

/* The name of a pool that was closed is free a moment later. */
static capstan_err_t start(capstan_pool_t *self)
{
    capstan_err_t err = spawn(self);
    for (int i = 0; err == CAPSTAN_E_EXISTS && i < NAME_TRIES; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        err = spawn(self);
    }
    if (err != CAPSTAN_OK) {
        unmake(self);
    }
    return err;
}

static capstan_err_t wait_for_first(capstan_pool_t *self, int64_t timeout_us, char *ret_text,
                                    size_t text_size)
{
    capstan_lease_t lease;
    capstan_err_t err = capstan_pool_take(self, timeout_us, &lease, ret_text, text_size);
    return err ? err : capstan_pool_give(self, &lease);
}

static void set_text(char *ret_text, size_t text_size, const char *text)
{
    if (ret_text && text_size > 0) {
        snprintf(ret_text, text_size, "%s", text);
    }
}

/* Nobody gets a connection any more, and the actor ends when all are closed. */
static void end(capstan_pool_t *self)
{
    pool_lock(self);
    pool_close(self->core, now_us());
    pool_unlock(self);
    (void)!write(self->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
}

capstan_err_t capstan_pool_open(capstan_node_t *node, const capstan_pool_options_t *options,
                                capstan_pool_t **ret_self, char *ret_text, size_t text_size)
{
    const char *wrong = what_is_wrong(options);
    if (wrong) {
        set_text(ret_text, text_size, wrong);
        return CAPSTAN_E_INVALID;
    }
    postgres_target_t *target;
    postgres_options_t link = {.conninfo = options->conninfo,
                               .password_file = options->password_file,
                               .name = options->name,
                               .role = (postgres_role_t)options->role,
                               .statement_us = options->statement_us};
    capstan_err_t err = postgres_target_new(&link, &target, ret_text, text_size);
    if (err != CAPSTAN_OK) {
        return err;
    }
    capstan_pool_t *self;
    err = make(node, options, target, &self);
    if (err != CAPSTAN_OK) {
        postgres_target_destroy(&target);
    }
    err = err ? err : start(self);
    if (err != CAPSTAN_OK) {
        set_text(ret_text, text_size, capstan_err_remedy(err));
        return err;
    }
    if (options->first_us > 0) {
        err = wait_for_first(self, options->first_us, ret_text, text_size);
        if (err != CAPSTAN_OK) {
            end(self);
            pool_lock(self);
            pool_give_back(self); /* the actor is the last */
            return err;
        }
    }
    *ret_self = self;
    return CAPSTAN_OK;
}

static bool is_over(const capstan_pool_t *self)
{
    return self->ended && self->inside == 0 && pool_is_empty(self->core);
}

capstan_err_t capstan_pool_close(capstan_pool_t **self_p, int64_t timeout_us)
{
    capstan_pool_t *self = *self_p;
    if (!self) {
        return CAPSTAN_OK;
    }
    int64_t deadline_us = clock_add_us(now_us(), timeout_us > 0 ? timeout_us : 0);
    end(self);
    pool_lock(self);
    while (!is_over(self) && lock_wait(&self->lock, &self->ended_condition, deadline_us)) {
    }
    if (!is_over(self)) {
        pool_unlock(self);
        return CAPSTAN_E_TIMEOUT;
    }
    *self_p = NULL;
    pool_give_back(self);
    return CAPSTAN_OK;
}

/* --- borrowers ------------------------------------------------------------------------------- */

/* How long somebody waits, over all the times that he is served with one that has died. */
typedef struct patience {
    int64_t timeout_us;
    int64_t deadline_us; /* 0: he has not waited yet, as the next */
    int64_t since_us;
    uint64_t ticket; /* of the first place that he got; 0: none yet */
} patience_t;

/* With the lock, which it gives up while it waits. */
static pool_place_t *wait_for(capstan_pool_t *self, const pool_borrower_t *who,
                              patience_t *patience, capstan_err_t *ret_err)
{
    pool_thread_t thread = {
        .waiter = {.borrower = *who, .ticket = patience->ticket, .since_us = patience->since_us}};
    lock_condition_init(&thread.condition);
    pool_wait(self->core, &thread.waiter, now_us());
    pool_unlock(self); /* the actor may have something to do for it */
    pool_lock(self);
    while (!thread.waiter.over &&
           lock_wait(&self->lock, &thread.condition, patience->deadline_us)) {
    }
    pool_withdraw(self->core, &thread.waiter, now_us());
    lock_condition_fini(&thread.condition);
    patience->since_us = thread.waiter.since_us;
    *ret_err = thread.waiter.err;
    return thread.waiter.place;
}

static void explain(capstan_pool_t *self, capstan_err_t err, char *ret_text, size_t text_size)
{
    if (!ret_text || text_size == 0) {
        return;
    }
    pool_figures_t figures = pool_figures(self->core, now_us());
    bool server = err == CAPSTAN_E_UNREACHABLE || err == CAPSTAN_E_AUTHENTICATION ||
                  err == CAPSTAN_E_DATABASE_REFUSED;
    snprintf(ret_text, text_size,
             "pool %s: %s: %s%staken %" PRIu64 " of %" PRIu64 ", idle %" PRIu64 ", opening %" PRIu64
             ", waiters %" PRIu64 ". %s",
             self->name, capstan_err_text(err), server ? self->why : "", server ? "; " : "",
             figures.taken, figures.size, figures.idle, figures.opening, figures.waiters,
             capstan_err_remedy(err));
}

/* Who it is, as the system numbers threads. */
static uint64_t own_thread(void)
{
    static _Thread_local pid_t number;
    number = number ? number : gettid();
    return (uint64_t)number;
}

/* With the lock; one that has rested may be dead. */
static capstan_err_t take_one(capstan_pool_t *self, const pool_borrower_t *who,
                              patience_t *patience, pool_place_t **ret_place)
{
    capstan_err_t err = CAPSTAN_OK;
    *ret_place = patience->ticket == 0 ? pool_take(self->core, who) : NULL;
    if (!*ret_place) {
        int64_t us = patience->timeout_us > 0 ? patience->timeout_us : 0;
        patience->deadline_us =
            patience->deadline_us ? patience->deadline_us : clock_add_us(now_us(), us);
        *ret_place = wait_for(self, who, patience, &err);
    }
    patience->ticket = *ret_place ? (*ret_place)->ticket : 0;
    return err;
}

static void leave(capstan_pool_t *self)
{
    self->inside--;
    if (self->inside == 0 && self->ended) {
        lock_wake(&self->ended_condition);
    }
}

capstan_err_t capstan_pool_take_at(capstan_pool_t *self, int64_t timeout_us, const char *place_name,
                                   capstan_lease_t *ret_lease, char *ret_text, size_t text_size)
{
    pool_borrower_t who = {.place = place_name ? place_name : "", .thread = own_thread()};
    patience_t patience = {.timeout_us = timeout_us};
    pool_lock(self);
    self->inside++;
    for (;;) {
        pool_place_t *place;
        capstan_err_t err = take_one(self, &who, &patience, &place);
        if (!place) {
            explain(self, err, ret_text, text_size);
            leave(self);
            pool_unlock(self);
            return err;
        }
        capstan_lease_t lease = {.connection = place->connection,
                                 .number = place->lease,
                                 .place = (uint32_t)pool_number(self->core, place)};
        bool alive = true;
        if (pool_rested(self->core, place)) {
            pool_unlock(self);
            alive = postgres_is_alive(lease.connection, self->role);
            pool_lock(self);
        }
        if (alive) {
            *ret_lease = lease;
            leave(self);
            pool_unlock(self);
            return CAPSTAN_OK;
        }
        ENSURE(pool_give(self->core, place, lease.number, POOL_BROKEN) == CAPSTAN_OK);
    }
}

static pool_condition_t condition_of(const struct pg_conn *connection)
{
    if (PQpipelineStatus(connection) != PQ_PIPELINE_OFF || PQisnonblocking(connection)) {
        return POOL_BUSY;
    }
    switch (PQtransactionStatus(connection)) {
    case PQTRANS_IDLE:
        return POOL_CLEAN;
    case PQTRANS_INTRANS:
    case PQTRANS_INERROR:
        return POOL_DIRTY;
    case PQTRANS_ACTIVE:
        return POOL_BUSY;
    case PQTRANS_UNKNOWN:
        break;
    }
    return POOL_BROKEN;
}

/* A lease that was given back is cleared; a copy of one is told by its number and connection, and
 * what it names may be another borrower's by now: it is not looked at. */
static capstan_err_t give(capstan_pool_t *self, capstan_lease_t *lease, bool trusted)
{
    pool_lock(self);
    pool_place_t *place = pool_place(self->core, lease->place);
    bool held = place && place->state == POOL_TAKEN && place->lease == lease->number &&
                place->connection == lease->connection;
    pool_condition_t condition = POOL_CLEAN;
    if (held) {
        postgres_forget(place->connection);
        condition = trusted ? condition_of(place->connection) : POOL_BROKEN;
    }
    if (pool_has_waiters(self->core)) {
        pool_tell_time(self->core, now_us());
    }
    capstan_err_t err = pool_give(self->core, place ? place : pool_place(self->core, 0),
                                  held ? lease->number : 0, condition);
    pool_unlock(self);
    *lease = (capstan_lease_t){0};
    return err;
}

capstan_err_t capstan_pool_give(capstan_pool_t *self, capstan_lease_t *lease)
{
    return give(self, lease, true);
}

capstan_err_t capstan_pool_discard(capstan_pool_t *self, capstan_lease_t *lease)
{
    return give(self, lease, false);
}

/* --- operations ------------------------------------------------------------------------------ */

void capstan_pool_pause(capstan_pool_t *self)
{
    pool_lock(self);
    pool_pause(self->core);
    pool_unlock(self);
}

void capstan_pool_resume(capstan_pool_t *self)
{
    pool_lock(self);
    pool_resume(self->core, now_us());
    pool_unlock(self);
}

void capstan_pool_recycle(capstan_pool_t *self)
{
    pool_lock(self);
    pool_recycle(self->core, now_us());
    pool_unlock(self);
}

capstan_err_t capstan_pool_resize(capstan_pool_t *self, uint32_t size, uint32_t idle_min)
{
    if (size == 0 || size > POOL_SIZE_MAX || idle_min > size) {
        return CAPSTAN_E_INVALID;
    }
    pool_lock(self);
    pool_resize(self->core, size, idle_min, now_us());
    pool_unlock(self);
    return CAPSTAN_OK;
}

capstan_pool_figures_t capstan_pool_figures(capstan_pool_t *self)
{
    pool_lock(self);
    pool_figures_t figures = pool_figures(self->core, now_us());
    pool_unlock(self);
    return (capstan_pool_figures_t){
        .size = figures.size,
        .idle = figures.idle,
        .taken = figures.taken,
        .opening = figures.opening,
        .busy = figures.other,
        .waiters = figures.waiters,
        .oldest_wait_us = figures.oldest_wait_us,
        .paused = figures.paused,
        .saturated = figures.saturated,
        .takes = figures.takes,
        .waits = figures.waits,
        .waited_us = figures.waited_us,
        .refused = figures.refused,
        .opened = figures.opened,
        .open_failures = figures.open_failures,
        .called_off = figures.called_off,
        .lost = figures.lost,
        .expired = figures.expired,
        .dirty = figures.dirty,
        .leaks = figures.leaks,
        .gives_refused = figures.gives_refused,
    };
}
