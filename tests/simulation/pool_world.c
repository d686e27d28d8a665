/* The models around a pool's rules: see pool_world.h. */
#include "tests/simulation/pool_world.h"

#include "runtime/base/ensure.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    STEPS = 6000,
    STEP_US_MAX = 8000,
    CONNECT_US_MAX = 60000,
    CONNECT_US_SLOW = 400000,
    ASK_US_MAX = 20000,
    HOLD_US_MAX = 60000,
    WAIT_US_MAX = 400000,
    END_US = 10000000, /* by then a closed pool is empty */
};

void pool_fail(pool_world_t *self, const char *predicate, const char *format, ...)
{
    if (self->failed) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(self->failure, sizeof self->failure, format, arguments);
    va_end(arguments);
    self->failed = predicate;
}

static void say(const pool_world_t *self, const char *what, uint64_t number)
{
    if (self->trace) {
        printf("%" PRId64 " %s %" PRIu64 "\n", self->now_us, what, number);
    }
}

static size_t number_of(const pool_world_t *self, const pool_place_t *place)
{
    return pool_number(self->pool, place);
}

/* --- the shell and the server ---------------------------------------------------------------- */

static int64_t later(pool_world_t *self, int64_t most_us)
{
    return self->now_us + random_between(&self->random, 1, most_us);
}

static void begin(pool_world_t *self, pool_place_t *place)
{
    sim_connection_t **connection = &self->connections[number_of(self, place)];
    if (place->state == POOL_OPENING) {
        ENSURE(!*connection);
        *connection = calloc(1, sizeof **connection);
        ENSURE(*connection);
        **connection = (sim_connection_t){.place = place, .made_us = self->now_us};
        if (self->server != SIM_SILENT && random_chance(&self->random, 500)) {
            pool_heard(place, true);
        }
    }
    if (place->state == POOL_CLOSING) {
        free(*connection);
        *connection = NULL;
        pool_closed(self->pool, place, self->now_us);
        return;
    }
    (*connection)->asked = true;
    (*connection)->due_us =
        later(self, place->state == POOL_OPENING ? self->connect_us_max : ASK_US_MAX);
}

/* The network gives a swallowed packet another try after one, two, four ... seconds. */
static int64_t retransmission(const pool_world_t *self, const sim_connection_t *connection)
{
    int64_t us = 1000000;
    while (connection->made_us + us <= self->now_us) {
        us *= 2;
    }
    return connection->made_us + us;
}

static capstan_err_t reason_of(sim_server_t server)
{
    return server == SIM_DOWN ? CAPSTAN_E_UNREACHABLE : CAPSTAN_E_AUTHENTICATION;
}

static void end_attempt(pool_world_t *self, sim_connection_t *connection)
{
    if (self->server == SIM_SILENT) {
        connection->due_us = retransmission(self, connection);
        connection->asked = true;
    } else if (self->server == SIM_UP) {
        connection->stands = connection->place->state == POOL_OPENING;
        self->cause = connection->stands ? CAPSTAN_OK : self->cause;
        pool_opened(self->pool, connection->place, self->now_us);
    } else {
        self->cause =
            connection->place->state == POOL_OPENING ? reason_of(self->server) : self->cause;
        pool_failed(self->pool, connection->place, reason_of(self->server), self->now_us);
    }
}

static void end_question(pool_world_t *self, sim_connection_t *connection)
{
    if (connection->dead) {
        connection->stands = false;
        pool_lost(self->pool, connection->place, self->now_us);
    } else if (self->server != SIM_SILENT) {
        bool cleaned = connection->place->state == POOL_CLEANING;
        connection->dirty = connection->dirty && !cleaned;
        connection->used = connection->used && !cleaned;
        pool_answered(self->pool, connection->place, self->now_us);
    }
}

static void run_shell(pool_world_t *self)
{
    for (size_t i = 0; i < POOL_SIZE_MAX; i++) {
        sim_connection_t *connection = self->connections[i];
        if (connection && connection->asked && connection->due_us <= self->now_us) {
            connection->asked = false;
            uint8_t state = connection->place->state;
            if (connection->place->todo && state == POOL_CLOSING) {
                continue; /* it was called off */
            }
            (connection->stands ? end_question : end_attempt)(self, connection);
        }
    }
    for (pool_place_t *place; (place = pool_next_todo(self->pool));) {
        begin(self, place);
    }
}

/* --- borrowers ------------------------------------------------------------------------------- */

static void over(pool_world_t *self, sim_borrower_t *borrower);
static void ask_again(pool_world_t *self, sim_borrower_t *borrower, pool_place_t *place);

static void got(pool_world_t *self, sim_borrower_t *borrower, pool_place_t *place)
{
    sim_connection_t *got = self->connections[number_of(self, place)];
    if (got && got->dead && random_chance(&self->random, 500)) {
        ask_again(self, borrower, place);
        return;
    }
    borrower->place = place;
    borrower->lease = place->lease;
    borrower->waits = false;
    borrower->taken_us = self->now_us;
    borrower->leak_told = false;
    borrower->gives_us = random_chance(&self->random, 10) ? self->now_us + SIM_LEAK_US * 2
                                                          : later(self, HOLD_US_MAX);
    self->figures.takes++;
    predicate_of_service(self, borrower);
    sim_connection_t *connection = self->connections[number_of(self, place)];
    if (connection) {
        connection->used = true;
    }
}

static void over(pool_world_t *self, sim_borrower_t *borrower)
{
    if (borrower->waiter.place) {
        got(self, borrower, borrower->waiter.place);
        return;
    }
    borrower->waits = false;
    predicate_of_refusal(self, borrower);
    capstan_err_t err = borrower->waiter.err;
    self->figures.refused[err == CAPSTAN_E_POOL_EXHAUSTED ? 0
                          : err == CAPSTAN_E_POOL_PAUSED  ? 1
                          : err == CAPSTAN_E_STOPPING     ? 3
                                                          : 2]++;
}

static bool wake_some(pool_world_t *self)
{
    sim_borrower_t *woken[SIM_BORROWERS];
    size_t count = 0;
    for (pool_waiter_t *waiter; (waiter = pool_next_woken(self->pool)); count++) {
        woken[count] = (sim_borrower_t *)((char *)waiter - offsetof(sim_borrower_t, waiter));
        woken[count]->waits = false;
    }
    self->round++;
    for (size_t i = count; i > 0; i--) { /* the first that was woken is the last in the list */
        over(self, woken[i - 1]);
    }
    return count > 0;
}

/* Some come back, and are served again. */
static void wake_all(pool_world_t *self)
{
    while (wake_some(self)) {
    }
}

/* He was served with one that had died, and sees it. */
static void ask_again(pool_world_t *self, sim_borrower_t *borrower, pool_place_t *place)
{
    self->connections[number_of(self, place)]->stands = false;
    borrower->waiter.ticket = place->ticket;
    ENSURE(pool_give(self->pool, place, place->lease, POOL_BROKEN) == CAPSTAN_OK);
    borrower->again_round = self->round;
    self->figures.again++;
    pool_wait(self->pool, &borrower->waiter, self->now_us);
    borrower->waits = !borrower->waiter.over; /* served at once he is among those to be woken */
    if (borrower->waiter.over && !borrower->waiter.place) {
        over(self, borrower);
    }
}

static void ask(pool_world_t *self, sim_borrower_t *borrower)
{
    borrower->ticket = ++self->tickets;
    pool_borrower_t who = {.place = "somewhere", .thread = (uint64_t)(borrower - self->borrowers)};
    borrower->waiter.borrower = who;
    borrower->waiter.ticket = 0;
    borrower->waiter.since_us = 0;
    borrower->deadline_us = later(self, WAIT_US_MAX);
    pool_place_t *place = pool_take(self->pool, &who);
    if (place) {
        got(self, borrower, place);
        return;
    }
    borrower->waits = true;
    self->figures.waits++;
    pool_wait(self->pool, &borrower->waiter, self->now_us);
    if (borrower->waiter.over && !borrower->waiter.place) {
        over(self, borrower);
    }
}

static void give(pool_world_t *self, sim_borrower_t *borrower)
{
    sim_connection_t *connection = self->connections[number_of(self, borrower->place)];
    ENSURE(connection);
    connection->dirty = connection->dirty || random_chance(&self->random, 100);
    bool busy = connection->dirty && random_chance(&self->random, 300);
    pool_condition_t condition = connection->dead    ? POOL_BROKEN
                                 : busy              ? POOL_BUSY
                                 : connection->dirty ? POOL_DIRTY
                                                     : POOL_CLEAN;
    connection->stands = !connection->dead && !busy;
    self->fault_us =
        busy && self->connect_us_max == CONNECT_US_SLOW ? self->now_us : self->fault_us;
    self->figures.dirty += condition == POOL_DIRTY;
    borrower->former = borrower->place;
    borrower->former_lease = borrower->lease;
    borrower->place = NULL;
    ENSURE(pool_give(self->pool, borrower->former, borrower->lease, condition) == CAPSTAN_OK);
}

static void give_twice(pool_world_t *self, sim_borrower_t *borrower)
{
    self->figures.doubles++;
    if (pool_give(self->pool, borrower->former, borrower->former_lease, POOL_CLEAN) !=
        CAPSTAN_E_NOT_LENT) {
        pool_fail(self, "P5", "a connection is given back twice");
    }
    borrower->former = NULL;
}

static void run_borrower(pool_world_t *self, sim_borrower_t *borrower)
{
    if (borrower->waits && borrower->deadline_us <= self->now_us) {
        pool_withdraw(self->pool, &borrower->waiter, self->now_us);
        over(self, borrower);
    } else if (borrower->place && borrower->gives_us <= self->now_us) {
        give(self, borrower);
    } else if (borrower->former && random_chance(&self->random, 20)) {
        give_twice(self, borrower);
    } else if (!borrower->waits && !borrower->place &&
               random_chance(&self->random, pool_mode(self->pool) == POOL_MODE_CLOSED ? 1 : 300)) {
        ask(self, borrower);
    }
    wake_all(self);
}

/* --- faults and operations ------------------------------------------------------------------- */

static void change_server(pool_world_t *self)
{
    self->server = self->server == SIM_UP
                       ? (sim_server_t)random_between(&self->random, SIM_DOWN, SIM_NO_ENTRY)
                       : SIM_UP;
    self->server_us = self->now_us;
    self->figures.outages += self->server != SIM_UP;
    say(self, "the server is now", self->server);
    for (size_t i = 0; i < POOL_SIZE_MAX && self->server == SIM_DOWN; i++) {
        if (self->connections[i]) {
            self->connections[i]->dead = self->connections[i]->stands;
        }
    }
}

/* As the shell sees it when it looks at those that are idle. */
static void notice_dead(pool_world_t *self)
{
    for (pool_place_t *place = pool_next_idle(self->pool, NULL); place;) {
        pool_place_t *next = pool_next_idle(self->pool, place);
        sim_connection_t *connection = self->connections[number_of(self, place)];
        if (connection->dead) {
            connection->stands = false;
            pool_lost(self->pool, place, self->now_us);
        }
        place = next;
    }
}

static void lose_one(pool_world_t *self)
{
    size_t begin = random_below(&self->random, self->limits.size);
    for (size_t i = 0; i < self->limits.size; i++) {
        sim_connection_t *connection = self->connections[(begin + i) % self->limits.size];
        if (connection && connection->stands) {
            connection->dead = true;
            self->fault_us = self->now_us;
            return;
        }
    }
}

static void resize(pool_world_t *self)
{
    uint32_t size = (uint32_t)random_between(&self->random, 1, self->size_max);
    self->over_size = self->limits.size > self->over_size ? self->limits.size : self->over_size;
    self->limits.size = size;
    self->limits.idle_min = (uint32_t)random_between(&self->random, 0, size);
    pool_resize(self->pool, size, self->limits.idle_min, self->now_us);
}

static void operate(pool_world_t *self)
{
    self->fault_us = self->now_us;
    switch (random_below(&self->random, 4)) {
    case 0:
        pool_pause(self->pool);
        break;
    case 1:
        pool_resume(self->pool, self->now_us);
        break;
    case 2:
        pool_recycle(self->pool, self->now_us);
        break;
    default:
        resize(self);
        break;
    }
    wake_all(self);
}

static void meddle(pool_world_t *self)
{
    if (random_chance(&self->random, self->server == SIM_UP       ? 1
                                     : self->server == SIM_SILENT ? 2
                                                                  : 4)) {
        change_server(self);
    }
    if (random_chance(&self->random, self->server == SIM_UP ? 1 : 3)) {
        lose_one(self);
    }
    if (random_chance(&self->random, 3)) {
        operate(self);
    }
    if (pool_mode(self->pool) == POOL_MODE_PAUSED && random_chance(&self->random, 20)) {
        self->fault_us = self->now_us;
        pool_resume(self->pool, self->now_us);
        wake_all(self);
    }
}

/* --- a world --------------------------------------------------------------------------------- */

static void tell_leaks(pool_world_t *self)
{
    for (const pool_place_t *place; (place = pool_next_leak(self->pool, self->now_us));) {
        self->figures.leaks++;
        sim_borrower_t *borrower = &self->borrowers[place->borrower.thread];
        if (borrower->place != place || borrower->leak_told) {
            pool_fail(self, "P5", "a leak is told of somebody who has none, or twice");
        }
        borrower->leak_told = true;
    }
}

static void step(pool_world_t *self)
{
    self->now_us += random_between(&self->random, 1, STEP_US_MAX);
    run_shell(self);
    wake_all(self);
    if (self->now_us >= self->tick_us) {
        self->tick_us = self->now_us + POOL_TICK_US;
        notice_dead(self);
        uint64_t failures = pool_figures(self->pool, self->now_us).open_failures;
        pool_tick(self->pool, self->now_us);
        if (pool_figures(self->pool, self->now_us).open_failures > failures) {
            self->cause = CAPSTAN_E_CONNECT_TIMEOUT;
        }
        tell_leaks(self);
        wake_all(self);
    }
    for (size_t i = 0; i < self->borrower_count; i++) {
        run_borrower(self, &self->borrowers[i]);
    }
    predicate_of_state(self);
}

pool_world_t *pool_world_new(uint64_t seed, bool trace)
{
    pool_world_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->random.state = seed;
    self->trace = trace;
    self->now_us = 1000000;
    self->server_us = self->now_us;
    self->borrower_count = (size_t)random_between(&self->random, 1, SIM_BORROWERS);
    bool small = random_chance(&self->random, 300);
    self->size_max = small ? 2 : 20;
    uint32_t size = (uint32_t)random_between(&self->random, 1, self->size_max);
    bool slow = random_chance(&self->random, 300);
    bool old = random_chance(&self->random, 500);
    self->limits = (pool_limits_t){
        .size = size,
        .idle_min = (uint32_t)random_between(&self->random, small ? 1 : 0, size),
        .connect_us = random_between(&self->random, slow ? 5 : 2, 50) * 100000,
        .answer_us = 1000000,
        .check_us = random_chance(&self->random, 700) ? 300000 : 0,
        .idle_us = random_chance(&self->random, 500) ? 900000 : 0,
        .lifetime_us = old ? random_between(&self->random, 1000000, 9000000) : 0,
        .leak_us = SIM_LEAK_US,
        .clean_always = random_chance(&self->random, 300),
    };
    self->connect_us_max = slow ? CONNECT_US_SLOW : CONNECT_US_MAX;
    self->pool = pool_new(&self->limits, random_next(&self->random), self->now_us);
    return self;
}

void pool_world_run(pool_world_t *self)
{
    for (size_t i = 0; i < STEPS && !self->failed; i++) {
        meddle(self);
        step(self);
    }
    int64_t end_us = self->now_us + END_US;
    pool_close(self->pool, self->now_us);
    wake_all(self);
    while (!self->failed && self->now_us < end_us) {
        step(self);
    }
    if (!self->failed && !pool_is_empty(self->pool)) {
        pool_fail(self, "P1", "a closed pool keeps connections");
    }
    self->figures.called_off = pool_figures(self->pool, self->now_us).called_off;
    for (size_t i = 0; i < POOL_STATE_COUNT; i++) {
        for (size_t j = 0; j < POOL_INPUT_COUNT; j++) {
            self->figures.steps[i][j] = pool_steps(self->pool, (pool_state_t)i, (pool_input_t)j);
        }
    }
}

void pool_world_destroy(pool_world_t **self_p)
{
    pool_world_t *self = *self_p;
    if (!self->failed) {
        pool_destroy(&self->pool);
    }
    for (size_t i = 0; i < POOL_SIZE_MAX; i++) {
        free(self->connections[i]);
    }
    free(self->pool);
    free(self);
    *self_p = NULL;
}
