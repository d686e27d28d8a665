/* The rules of a pool: places, borrowers and waiters. See pool.h. */
#include "actors/pool/pool_internal.h"

#include <stdlib.h>

enum {
    CONNECT_TOOK_US = 100000, /* guessed before the first */
    RETRY_US_MIN = 50000,
    RETRY_US_MAX = 500000,
};

/* The state that follows, plus one; 0: not a row of the table. */
static const uint8_t state_after[POOL_STATE_COUNT][POOL_INPUT_COUNT] = {
#define STATE(name, meaning)
#define INPUT(name, meaning)
#define TRANSITION(from, input, to, what) [POOL_##from][POOL_INPUT_##input] = POOL_##to + 1,
#include "actors/pool/pool_states.def"
#undef STATE
#undef INPUT
#undef TRANSITION
};

pool_t *pool_new(const pool_limits_t *limits, uint64_t seed, int64_t now_us)
{
    ENSURE(limits->size > 0 && limits->size <= POOL_SIZE_MAX && limits->idle_min <= limits->size);
    pool_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->limits = *limits;
    self->random = seed;
    self->now_us = now_us;
    self->connect_took_us = CONNECT_TOOK_US;
    self->missing_us = INT64_MAX;
    self->in_state[POOL_EMPTY] = POOL_SIZE_MAX;
    pool_plan(self);
    return self;
}

void pool_destroy(pool_t **self_p)
{
    pool_t *self = *self_p;
    ENSURE(!self || (pool_is_empty(self) && !self->first));
    free(self);
    *self_p = NULL;
}

/* --- places ---------------------------------------------------------------------------------- */

static void list_add(place_list_t *list, pool_place_t *place)
{
    place->before = list->last;
    place->behind = NULL;
    *(list->last ? &list->last->behind : &list->first) = place;
    list->last = place;
}

static void list_remove(place_list_t *list, pool_place_t *place)
{
    *(place->before ? &place->before->behind : &list->first) = place->behind;
    *(place->behind ? &place->behind->before : &list->last) = place->before;
}

static bool asks(uint8_t state)
{
    return state == POOL_OPENING || state == POOL_CHECKING || state == POOL_CLEANING ||
           state == POOL_CLOSING;
}

void pool_step(pool_t *self, pool_place_t *place, pool_input_t input)
{
    uint8_t before = place->state;
    uint8_t after = state_after[before][input];
    ENSURE(after != 0);
    after--;
    self->steps[before][input]++;
    self->in_state[before]--;
    self->in_state[after]++;
    if (before == POOL_IDLE) {
        list_remove(&self->idle, place);
    }
    place->state = after;
    place->since_us = self->now_us;
    place->heard = false;
    if (after == POOL_IDLE) {
        place->rest_tick = self->ticks;
        list_add(&self->idle, place);
    } else if (asks(after) && !place->todo) {
        place->todo = true;
        list_add(&self->todo, place);
    }
}

static void lend(pool_t *self, pool_place_t *place, const pool_borrower_t *borrower,
                 uint64_t ticket)
{
    pool_step(self, place, POOL_INPUT_take);
    place->ticket = ticket;
    place->lease = ++self->leases;
    place->borrower = *borrower;
    place->leak_told = false;
}

/* --- waiters --------------------------------------------------------------------------------- */

/* Behind all who came before. */
static void join(pool_t *self, pool_waiter_t *waiter)
{
    pool_waiter_t *before = self->last;
    while (before && before->ticket > waiter->ticket) {
        before = before->before;
    }
    waiter->before = before;
    waiter->behind = before ? before->behind : self->first;
    *(before ? &before->behind : &self->first) = waiter;
    *(waiter->behind ? &waiter->behind->before : &self->last) = waiter;
    self->waiters++;
}

static void leave(pool_t *self, pool_waiter_t *waiter)
{
    *(waiter->before ? &waiter->before->behind : &self->first) = waiter->behind;
    *(waiter->behind ? &waiter->behind->before : &self->last) = waiter->before;
    self->waiters--;
    self->counted.waited_us += (uint64_t)(self->now_us - waiter->since_us);
    waiter->over = true;
}

static void wake(pool_t *self, pool_waiter_t *waiter)
{
    waiter->woken_behind = self->woken;
    self->woken = waiter;
}

void pool_serve(pool_t *self)
{
    while (self->first && self->idle.last && self->mode == POOL_MODE_OPEN) {
        pool_waiter_t *waiter = self->first;
        leave(self, waiter);
        waiter->place = self->idle.last;
        lend(self, waiter->place, &waiter->borrower, waiter->ticket);
        wake(self, waiter);
    }
}

static void refuse(pool_t *self, pool_waiter_t *waiter, capstan_err_t reason)
{
    leave(self, waiter);
    waiter->err = reason;
    self->counted.refused++;
}

/* An attempt takes longer than the last one did. */
static bool is_slow(const pool_t *self)
{
    bool slow = false;
    for (size_t i = 0; i < self->places_used && self->in_state[POOL_OPENING] > 0; i++) {
        slow = slow || (self->places[i].state == POOL_OPENING &&
                        self->now_us - self->places[i].since_us > self->connect_took_us);
    }
    return slow;
}

/* Why nobody could be served: the borrowers, the last attempt that failed, or a server that takes
 * too long to connect or to answer. */
static capstan_err_t why_not(const pool_t *self)
{
    uint64_t away = self->in_state[POOL_TAKEN] + self->in_state[POOL_CLEANING];
    if (self->mode == POOL_MODE_PAUSED) {
        return CAPSTAN_E_POOL_PAUSED;
    }
    if (away >= self->limits.size) {
        return CAPSTAN_E_POOL_EXHAUSTED;
    }
    if (self->retry_pause_us > 0) {
        return self->reason;
    }
    bool server = away == 0 || self->in_state[POOL_CHECKING] > 0 || is_slow(self);
    return server ? CAPSTAN_E_CONNECT_TIMEOUT : CAPSTAN_E_POOL_EXHAUSTED;
}

/* --- borrowers ------------------------------------------------------------------------------- */

pool_place_t *pool_take(pool_t *self, const pool_borrower_t *borrower)
{
    pool_place_t *place = self->idle.last;
    if (!place || self->mode != POOL_MODE_OPEN) {
        return NULL;
    }
    lend(self, place, borrower, ++self->tickets);
    return place;
}

void pool_wait(pool_t *self, pool_waiter_t *waiter, int64_t now_us)
{
    self->now_us = now_us;
    waiter->ticket = waiter->ticket > 0 ? waiter->ticket : ++self->tickets;
    self->counted.waits += waiter->since_us == 0;
    waiter->since_us = waiter->since_us > 0 ? waiter->since_us : now_us;
    waiter->over = false;
    waiter->place = NULL;
    waiter->err = CAPSTAN_OK;
    join(self, waiter);
    if (self->mode == POOL_MODE_CLOSED) {
        refuse(self, waiter, CAPSTAN_E_STOPPING);
        return;
    }
    pool_serve(self);
    pool_plan(self);
}

void pool_withdraw(pool_t *self, pool_waiter_t *waiter, int64_t now_us)
{
    self->now_us = now_us;
    if (!waiter->over) {
        refuse(self, waiter, why_not(self));
        self->owed = true;
        pool_plan(self);
    }
}

void pool_tell_time(pool_t *self, int64_t now_us)
{
    self->now_us = now_us;
}

bool pool_has_waiters(const pool_t *self)
{
    return self->first;
}

pool_waiter_t *pool_next_woken(pool_t *self)
{
    pool_waiter_t *waiter = self->woken;
    self->woken = waiter ? waiter->woken_behind : NULL;
    return waiter;
}

static pool_input_t how_given(const pool_t *self, const pool_place_t *place,
                              pool_condition_t condition)
{
    if (condition == POOL_BROKEN || condition == POOL_BUSY) {
        return POOL_INPUT_lost;
    }
    if (place->doomed || self->mode == POOL_MODE_CLOSED) {
        return POOL_INPUT_expire;
    }
    return condition == POOL_DIRTY || self->limits.clean_always ? POOL_INPUT_give_dirty
                                                                : POOL_INPUT_give;
}

capstan_err_t pool_give(pool_t *self, pool_place_t *place, uint64_t lease,
                        pool_condition_t condition)
{
    if (place->state != POOL_TAKEN || place->lease != lease) {
        self->counted.gives_refused++;
        return CAPSTAN_E_NOT_LENT;
    }
    pool_input_t input = how_given(self, place, condition);
    place->used_us = self->now_us;
    pool_step(self, place, input);
    self->counted.dirty += condition == POOL_DIRTY || condition == POOL_BUSY;
    self->counted.lost += input == POOL_INPUT_lost;
    self->counted.expired += input == POOL_INPUT_expire;
    pool_serve(self);
    return CAPSTAN_OK;
}

/* --- the shell ------------------------------------------------------------------------------- */

pool_place_t *pool_next_todo(pool_t *self)
{
    pool_place_t *place = self->todo.first;
    if (place) {
        list_remove(&self->todo, place);
        place->todo = false;
    }
    return place;
}

bool pool_has_todo(const pool_t *self)
{
    return self->todo.first;
}

/* A place may come back to OPENING or CHECKING only through CLOSING, which the shell ends: what it
 * tells is of the present state, or the state is CLOSING. */
static bool is_late(pool_t *self, const pool_place_t *place, int64_t now_us)
{
    self->now_us = now_us;
    return place->state == POOL_CLOSING;
}

static void expires(pool_t *self, pool_place_t *place)
{
    int64_t lifetime_us = self->limits.lifetime_us;
    self->random += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t word = (self->random ^ (self->random >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    int64_t jitter_us =
        lifetime_us / 10 > 0 ? (int64_t)((word >> 32) % (uint64_t)(lifetime_us / 10)) : 0;
    place->expires_us = lifetime_us > 0 ? self->now_us + lifetime_us - jitter_us : INT64_MAX;
}

void pool_heard(pool_place_t *place, bool heard)
{
    place->heard = heard;
}

void pool_opened(pool_t *self, pool_place_t *place, int64_t now_us)
{
    if (is_late(self, place, now_us)) {
        return;
    }
    int64_t took_us = now_us - place->since_us;
    int64_t patience_us = pool_patience_us(self);
    self->connect_took_us = took_us >= patience_us ? patience_us * 3 / 4
                            : took_us > 0          ? took_us
                                                   : 1;
    self->passed_us = place->since_us > self->passed_us ? place->since_us : self->passed_us;
    self->retry_pause_us = 0;
    self->retry_us = now_us;
    self->owed = false;
    self->cut = 0;
    self->counted.opened++;
    place->doomed = false;
    place->checked_us = now_us;
    place->used_us = now_us;
    expires(self, place);
    pool_step(self, place, POOL_INPUT_opened);
    pool_serve(self);
    pool_plan(self);
}

void pool_failed(pool_t *self, pool_place_t *place, capstan_err_t reason, int64_t now_us)
{
    if (is_late(self, place, now_us)) {
        return;
    }
    int64_t pause_us = self->retry_pause_us > 0 ? self->retry_pause_us * 2 : RETRY_US_MIN;
    self->retry_pause_us = pause_us < RETRY_US_MAX ? pause_us : RETRY_US_MAX;
    self->retry_us = place->since_us + self->retry_pause_us;
    self->reason = reason;
    self->counted.open_failures++;
    pool_step(self, place, POOL_INPUT_failed);
}

void pool_answered(pool_t *self, pool_place_t *place, int64_t now_us)
{
    if (is_late(self, place, now_us)) {
        return;
    }
    place->checked_us = now_us;
    pool_step(self, place, POOL_INPUT_answered);
    if (place->doomed || self->mode == POOL_MODE_CLOSED) {
        self->counted.expired++;
        pool_step(self, place, POOL_INPUT_expire);
    }
    pool_serve(self);
    pool_plan(self);
}

void pool_lost(pool_t *self, pool_place_t *place, int64_t now_us)
{
    if (is_late(self, place, now_us)) {
        return;
    }
    self->counted.lost++;
    pool_step(self, place, POOL_INPUT_lost);
    pool_plan(self);
}

void pool_closed(pool_t *self, pool_place_t *place, int64_t now_us)
{
    self->now_us = now_us;
    place->connection = NULL;
    pool_step(self, place, POOL_INPUT_closed);
    pool_plan(self);
}

size_t pool_number(const pool_t *self, const pool_place_t *place)
{
    return (size_t)(place - self->places);
}

pool_place_t *pool_place(pool_t *self, size_t number)
{
    return number < POOL_SIZE_MAX ? &self->places[number] : NULL;
}

bool pool_rested(const pool_t *self, const pool_place_t *place)
{
    return self->ticks != place->rest_tick;
}

pool_place_t *pool_next_idle(const pool_t *self, const pool_place_t *place)
{
    return place ? place->behind : self->idle.first;
}

const pool_place_t *pool_next_leak(pool_t *self, int64_t now_us)
{
    for (size_t i = 0; i < self->places_used && self->limits.leak_us > 0; i++) {
        pool_place_t *place = &self->places[i];
        if (place->state == POOL_TAKEN && !place->leak_told &&
            now_us - place->since_us >= self->limits.leak_us) {
            place->leak_told = true;
            self->counted.leaks++;
            return place;
        }
    }
    return NULL;
}

/* --- operations ------------------------------------------------------------------------------ */

void pool_pause(pool_t *self)
{
    self->mode = self->mode == POOL_MODE_OPEN ? POOL_MODE_PAUSED : self->mode;
}

void pool_resume(pool_t *self, int64_t now_us)
{
    self->now_us = now_us;
    self->mode = self->mode == POOL_MODE_PAUSED ? POOL_MODE_OPEN : self->mode;
    pool_serve(self);
    pool_plan(self);
}

void pool_close(pool_t *self, int64_t now_us)
{
    self->now_us = now_us;
    self->mode = POOL_MODE_CLOSED;
    while (self->first) {
        pool_waiter_t *waiter = self->first;
        refuse(self, waiter, CAPSTAN_E_STOPPING);
        wake(self, waiter);
    }
    pool_recycle(self, now_us);
    pool_call_off(self);
}

bool pool_is_empty(const pool_t *self)
{
    return self->in_state[POOL_EMPTY] == POOL_SIZE_MAX;
}

pool_mode_t pool_mode(const pool_t *self)
{
    return self->mode;
}

pool_figures_t pool_figures(const pool_t *self, int64_t now_us)
{
    pool_figures_t figures = self->counted;
    figures.size = self->limits.size;
    figures.idle_min = self->limits.idle_min;
    figures.idle = self->in_state[POOL_IDLE];
    figures.taken = self->in_state[POOL_TAKEN];
    figures.opening = self->in_state[POOL_OPENING];
    figures.held_up = pool_held_up(self);
    figures.other = self->in_state[POOL_CHECKING] + self->in_state[POOL_CLEANING] +
                    self->in_state[POOL_CLOSING];
    figures.waiters = self->waiters;
    figures.oldest_wait_us = self->first ? now_us - self->first->since_us : 0;
    figures.takes = self->leases;
    figures.saturated = self->saturated;
    figures.paused = self->mode == POOL_MODE_PAUSED;
    return figures;
}

uint64_t pool_steps(const pool_t *self, pool_state_t state, pool_input_t input)
{
    return self->steps[state][input];
}
