/* The rules of a pool, step by step in virtual time. What must hold in any order of things is the
 * simulation's business. */
#include "actors/pool/pool.h"

#include <criterion/criterion.h>

enum {
    MS = 1000,
    CONNECT_US = 150 * MS,
    BORROWERS_MAX = 50,
};

typedef struct borrower {
    pool_waiter_t waiter; /* first */
    pool_place_t *place;
    int64_t until_us; /* he has it; 0: he is done, or waits */
    bool done;
} borrower_t;

typedef struct attempt {
    pool_place_t *place;
    int64_t due_us; /* 0: none */
} attempt_t;

typedef struct hall {
    pool_t *pool;
    int64_t now_us;
    int64_t connect_us;
    int64_t hold_us;
    borrower_t borrowers[BORROWERS_MAX];
    size_t count;
    attempt_t attempts[POOL_SIZE_MAX];
} hall_t;

static const pool_borrower_t somebody = {.place = "here", .thread = 1};

static pool_limits_t limits(uint32_t size, uint32_t idle_min)
{
    return (pool_limits_t){
        .size = size, .idle_min = idle_min, .connect_us = 5000 * MS, .answer_us = 1000 * MS};
}

/* What is asked of the shell is begun; all that does not connect is done at once. */
static void serve_todo(hall_t *self)
{
    for (pool_place_t *place; (place = pool_next_todo(self->pool));) {
        attempt_t *attempt = &self->attempts[pool_number(self->pool, place)];
        *attempt = (attempt_t){.place = place};
        if (place->state == POOL_OPENING) {
            attempt->due_us = self->now_us + self->connect_us;
        } else if (place->state == POOL_CLOSING) {
            pool_closed(self->pool, place, self->now_us);
        } else {
            pool_answered(self->pool, place, self->now_us);
        }
    }
}

static void wake_all(hall_t *self)
{
    for (pool_waiter_t *waiter; (waiter = pool_next_woken(self->pool));) {
        borrower_t *borrower = (borrower_t *)waiter;
        borrower->place = waiter->place;
        borrower->until_us = self->now_us + self->hold_us;
    }
}

static void pass(hall_t *self, int64_t until_us)
{
    for (; self->now_us < until_us; self->now_us += MS) {
        for (size_t i = 0; i < POOL_SIZE_MAX; i++) {
            if (self->attempts[i].due_us > 0 && self->attempts[i].due_us <= self->now_us) {
                self->attempts[i].due_us = 0;
                pool_opened(self->pool, self->attempts[i].place, self->now_us);
            }
        }
        for (size_t i = 0; i < self->count; i++) {
            borrower_t *borrower = &self->borrowers[i];
            if (borrower->until_us > 0 && borrower->until_us <= self->now_us) {
                borrower->until_us = 0;
                borrower->done = true;
                cr_assert_eq(
                    pool_give(self->pool, borrower->place, borrower->place->lease, POOL_CLEAN),
                    CAPSTAN_OK);
                wake_all(self);
            }
        }
        if (self->now_us % POOL_TICK_US == 0) {
            pool_tick(self->pool, self->now_us);
        }
        serve_todo(self);
        wake_all(self);
        cr_assert_null(pool_check(self->pool), "%s", pool_check(self->pool));
    }
}

static void begin(hall_t *self, const pool_limits_t *of, int64_t connect_us)
{
    *self = (hall_t){.now_us = MS, .connect_us = connect_us, .hold_us = 2 * MS};
    self->pool = pool_new(of, 1, self->now_us);
    serve_todo(self);
    pass(self, 1000 * MS);
}

static void ask(hall_t *self, size_t count)
{
    self->count = count;
    for (size_t i = 0; i < count; i++) {
        borrower_t *borrower = &self->borrowers[i];
        *borrower = (borrower_t){.waiter.borrower = somebody};
        borrower->place = pool_take(self->pool, &somebody);
        borrower->until_us = borrower->place ? self->now_us + self->hold_us : 0;
        if (!borrower->place) {
            pool_wait(self->pool, &borrower->waiter, self->now_us);
        }
    }
}

static void end(hall_t *self)
{
    pool_close(self->pool, self->now_us);
    pass(self, self->now_us + 1000 * MS);
    pool_destroy(&self->pool);
}

static size_t count_done(const hall_t *self)
{
    size_t done = 0;
    for (size_t i = 0; i < self->count; i++) {
        done += self->borrowers[i].done;
    }
    return done;
}

/* Connections that come back serve fifty borrowers sooner than new ones would. */
Test(pool_rules, open_hardly_anything_for_a_short_rush)
{
    static hall_t hall;
    pool_limits_t of = limits(50, 5);
    begin(&hall, &of, CONNECT_US);
    cr_assert_eq(pool_figures(hall.pool, hall.now_us).idle, 5u);
    ask(&hall, 50);
    pass(&hall, hall.now_us + 25 * MS);
    cr_assert_eq(count_done(&hall), 50u);
    pool_figures_t figures = pool_figures(hall.pool, hall.now_us);
    cr_assert_leq(figures.opened + figures.called_off + figures.opening, 6u);
    pass(&hall, hall.now_us + 2 * POOL_TICK_US);
    figures = pool_figures(hall.pool, hall.now_us);
    cr_assert_eq(figures.called_off, 1u);
    cr_assert_eq(figures.opening, 0u);
    end(&hall);
}

/* Where borrowers keep them, it grows: by one, two, four and eight at a time. */
Test(pool_rules, grow_the_faster_the_longer_somebody_waits)
{
    static hall_t hall;
    pool_limits_t of = limits(50, 5);
    begin(&hall, &of, CONNECT_US);
    hall.hold_us = 100000 * MS;
    ask(&hall, 50);
    int64_t from_us = hall.now_us;
    serve_todo(&hall);
    cr_assert_eq(pool_figures(hall.pool, hall.now_us).opening, 1u);
    pass(&hall, from_us + 2 * CONNECT_US);
    cr_assert_gt(pool_figures(hall.pool, hall.now_us).opening, 1u);
    pass(&hall, from_us + 12 * CONNECT_US);
    cr_assert_eq(pool_figures(hall.pool, hall.now_us).taken, 50u);
    pass(&hall, from_us + 103000 * MS);
    end(&hall);
}

Test(pool_rules, lend_the_one_that_was_used_last)
{
    static hall_t hall;
    pool_limits_t of = limits(3, 3);
    begin(&hall, &of, MS);
    pool_place_t *first = pool_take(hall.pool, &somebody);
    pool_place_t *second = pool_take(hall.pool, &somebody);
    cr_assert_eq(pool_give(hall.pool, second, second->lease, POOL_CLEAN), CAPSTAN_OK);
    cr_assert_eq(pool_give(hall.pool, first, first->lease, POOL_CLEAN), CAPSTAN_OK);
    cr_assert_eq(pool_take(hall.pool, &somebody), first);
    cr_assert_not(pool_rested(hall.pool, first));
    pool_tick(hall.pool, hall.now_us);
    cr_assert_eq(pool_take(hall.pool, &somebody), second);
    cr_assert(pool_rested(hall.pool, second));
    cr_assert_eq(pool_give(hall.pool, first, first->lease, POOL_CLEAN), CAPSTAN_OK);
    cr_assert_eq(pool_give(hall.pool, second, second->lease, POOL_CLEAN), CAPSTAN_OK);
    end(&hall);
}

Test(pool_rules, check_and_close_what_nobody_uses)
{
    static hall_t hall;
    pool_limits_t of = limits(4, 1);
    of.check_us = 300 * MS;
    of.idle_us = 2000 * MS;
    begin(&hall, &of, MS);
    hall.hold_us = 500 * MS;
    ask(&hall, 4);
    pass(&hall, 2000 * MS);
    cr_assert_eq(pool_figures(hall.pool, hall.now_us).idle, 4u);
    pass(&hall, 3000 * MS);
    cr_assert_gt(pool_steps(hall.pool, POOL_IDLE, POOL_INPUT_check), 0u);
    pass(&hall, 9000 * MS);
    cr_assert_eq(pool_figures(hall.pool, hall.now_us).idle, 1u);
    end(&hall);
}

/* Up to a tenth apart, so that they do not all go at once. */
Test(pool_rules, let_connections_grow_old_one_by_one)
{
    static hall_t hall;
    pool_limits_t of = limits(20, 20);
    of.lifetime_us = 10000 * MS;
    begin(&hall, &of, MS);
    pass(&hall, 9000 * MS);
    cr_assert_eq(pool_figures(hall.pool, hall.now_us).expired, 0u);
    uint64_t most = 0;
    for (uint64_t before = 0; hall.now_us < 10300 * MS;) {
        pass(&hall, hall.now_us + 100 * MS);
        uint64_t expired = pool_figures(hall.pool, hall.now_us).expired;
        most = expired - before > most ? expired - before : most;
        before = expired;
    }
    cr_assert_eq(pool_figures(hall.pool, hall.now_us).expired, 20u);
    cr_assert_lt(most, 12u, "%d at once", (int)most);
    end(&hall);
}

/* Nine of ten for a second; then it is over with a quarter back. */
Test(pool_rules, tell_before_everything_is_taken)
{
    enum { SIZE = 10 };
    pool_limits_t wanted = limits(SIZE, SIZE);
    hall_t hall = {.pool = pool_new(&wanted, 1, MS), .now_us = MS, .connect_us = MS};
    pool_place_t *places[SIZE];
    serve_todo(&hall);
    pass(&hall, 1000 * MS);
    for (int i = 0; i < 9; i++) {
        places[i] = pool_take(hall.pool, &somebody);
        cr_assert_not_null(places[i]);
    }
    pass(&hall, hall.now_us + 800 * MS);
    cr_assert_not(pool_figures(hall.pool, hall.now_us).saturated);
    pass(&hall, hall.now_us + 400 * MS);
    cr_assert(pool_figures(hall.pool, hall.now_us).saturated);
    cr_assert_eq(pool_give(hall.pool, places[0], places[0]->lease, POOL_CLEAN), CAPSTAN_OK);
    pass(&hall, hall.now_us + 400 * MS);
    cr_assert(pool_figures(hall.pool, hall.now_us).saturated);
    cr_assert_eq(pool_give(hall.pool, places[1], places[1]->lease, POOL_CLEAN), CAPSTAN_OK);
    pass(&hall, hall.now_us + 400 * MS);
    cr_assert_not(pool_figures(hall.pool, hall.now_us).saturated);
    for (int i = 2; i < 9; i++) {
        cr_assert_eq(pool_give(hall.pool, places[i], places[i]->lease, POOL_CLEAN), CAPSTAN_OK);
    }
    pool_close(hall.pool, hall.now_us);
    serve_todo(&hall);
    pool_destroy(&hall.pool);
}

/* The network has swallowed its packets, and no place is left for another attempt. */
Test(pool_rules, let_an_attempt_that_hangs_make_room)
{
    pool_limits_t wanted = limits(1, 1);
    hall_t hall = {.pool = pool_new(&wanted, 1, MS), .now_us = MS, .connect_us = MS};
    serve_todo(&hall);
    pass(&hall, 1000 * MS);
    pool_place_t *place = pool_take(hall.pool, &somebody);
    cr_assert_not_null(place);
    hall.connect_us = 600000 * MS;
    cr_assert_eq(pool_give(hall.pool, place, place->lease, POOL_BROKEN), CAPSTAN_OK);
    pass(&hall, 10000 * MS);
    uint64_t failures = pool_figures(hall.pool, hall.now_us).open_failures;
    cr_assert_geq(failures, 8u); /* three of half a second, then one of two seconds */
    cr_assert_leq(failures, 12u);
    hall.connect_us = MS;
    pass(&hall, hall.now_us + 2200 * MS);
    cr_assert_eq(pool_figures(hall.pool, hall.now_us).idle, 1u);
    pool_close(hall.pool, hall.now_us);
    serve_todo(&hall);
    pool_destroy(&hall.pool);
}
