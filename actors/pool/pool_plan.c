/* What a pool opens, and when it closes: see pool.h. */
#include "actors/pool/pool_internal.h"

enum {
    CUT_ROUND = 4, /* of so many attempts that make room one goes on for longer */
    CUT_LONG_US = 2000000,
    NEAR_TICKS = 10, /* so long nine of ten are away before that is told */
};

/* --- opening --------------------------------------------------------------------------------- */

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

int64_t pool_patience_us(const pool_t *self)
{
    int64_t us = 2 * self->connect_took_us;
    return us > POOL_PROBE_US ? us : POOL_PROBE_US;
}

static bool hangs(const pool_t *self, const pool_place_t *place)
{
    return place->state == POOL_OPENING && self->now_us - place->since_us >= pool_patience_us(self);
}

uint64_t pool_hanging(const pool_t *self)
{
    uint64_t count = 0;
    for (size_t i = 0; i < self->places_used && self->in_state[POOL_OPENING] > 0; i++) {
        count += hangs(self, &self->places[i]);
    }
    return count;
}

/* Not one that still waits for the address of a host. */
static bool is_begun(const pool_place_t *place)
{
    return place->connection;
}

uint64_t pool_held_up(const pool_t *self)
{
    uint64_t count = 0;
    for (size_t i = 0; i < self->places_used && self->in_state[POOL_OPENING] > 0; i++) {
        count += hangs(self, &self->places[i]) && is_begun(&self->places[i]);
    }
    return count;
}

void pool_late(pool_t *self, pool_place_t *place)
{
    self->counted.late_failures += is_begun(place);
    pool_failed(self, place, CAPSTAN_E_CONNECT_TIMEOUT, self->now_us);
}

static uint64_t idle_soon(const pool_t *self)
{
    return self->in_state[POOL_IDLE] + self->in_state[POOL_CHECKING] +
           self->in_state[POOL_CLEANING];
}

/* Fewer idle ones than there should be, for as long as it takes to make one. */
static bool is_idle_missing(const pool_t *self)
{
    return self->missing_us != INT64_MAX &&
           self->now_us - self->missing_us >=
               (self->connect_took_us > POOL_TICK_US ? self->connect_took_us : POOL_TICK_US);
}

/* Attempts that somebody has use for, those under way included. */
static uint64_t wanted(const pool_t *self)
{
    uint64_t standing = pool_standing(self);
    uint64_t least = less(self->limits.idle_min, standing);
    uint64_t missing = is_idle_missing(self) ? less(self->limits.idle_min, idle_soon(self)) : 0;
    uint64_t wanted = missing > least ? missing : least;
    return self->waiters > wanted && self->mode == POOL_MODE_OPEN ? self->waiters : wanted;
}

/* Attempts at a time, those that hang aside. */
static uint64_t at_a_time(const pool_t *self)
{
    if (self->retry_pause_us > 0) {
        return self->now_us >= self->retry_us ? 1 : 0;
    }
    uint64_t standing = pool_standing(self);
    if (standing == 0 || standing < self->limits.idle_min || !self->first) {
        return POOL_OPENING_MAX;
    }
    int64_t waited_us = self->now_us - self->first->since_us;
    uint64_t count = 1;
    for (int64_t us = self->connect_took_us; us <= waited_us && count < POOL_OPENING_MAX; us *= 2) {
        count *= 2;
    }
    return count;
}

static uint64_t pool_used(const pool_t *self)
{
    return POOL_SIZE_MAX - self->in_state[POOL_EMPTY];
}

static pool_place_t *find_empty(pool_t *self)
{
    for (size_t i = 0; i < self->limits.size; i++) {
        if (self->places[i].state == POOL_EMPTY) {
            self->places_used = i < self->places_used ? self->places_used : i + 1;
            return &self->places[i];
        }
    }
    return NULL;
}

void pool_plan(pool_t *self)
{
    uint64_t least = self->limits.idle_min;
    if (idle_soon(self) >= least || pool_standing(self) < least) {
        self->missing_us = INT64_MAX;
    } else if (self->missing_us == INT64_MAX) {
        self->missing_us = self->now_us;
    }
    if (self->mode == POOL_MODE_CLOSED) {
        return;
    }
    uint64_t hanging = pool_hanging(self);
    uint64_t fresh = self->in_state[POOL_OPENING] - hanging;
    uint64_t used = pool_used(self);
    uint64_t more = less(wanted(self), fresh);
    uint64_t now = less(at_a_time(self), fresh);
    more = more < now ? more : now;
    more = more < less(self->limits.size, used) ? more : less(self->limits.size, used);
    for (pool_place_t *place; more > 0 && (place = find_empty(self)); more--) {
        pool_step(self, place, POOL_INPUT_open);
    }
}

/* The youngest first: the others are nearer to their end. */
static pool_place_t *youngest(pool_t *self, bool hanging)
{
    pool_place_t *found = NULL;
    for (size_t i = 0; i < self->places_used; i++) {
        pool_place_t *place = &self->places[i];
        if (place->state == POOL_OPENING && (!hanging || hangs(self, place)) &&
            (!found || place->since_us > found->since_us)) {
            found = place;
        }
    }
    return found;
}

/* Those that hang go on beside the others. One is brought to its end though nobody waits any more,
 * when none stands or somebody was refused: takes may be shorter than a connect. */
static uint64_t kept_opening(const pool_t *self)
{
    uint64_t kept = wanted(self);
    if (self->mode == POOL_MODE_CLOSED) {
        return 0;
    }
    return kept > 0 ? kept + pool_hanging(self) : pool_standing(self) == 0 || self->owed ? 1 : 0;
}

static void call_off(pool_t *self, pool_place_t *place)
{
    self->counted.called_off++;
    pool_step(self, place, POOL_INPUT_call_off);
}

void pool_call_off(pool_t *self)
{
    uint64_t kept = kept_opening(self);
    while (self->in_state[POOL_OPENING] > kept) {
        call_off(self, youngest(self, false));
    }
}

/* --- time ------------------------------------------------------------------------------------ */

static bool is_due(int64_t limit_us, int64_t for_us)
{
    return limit_us > 0 && for_us >= limit_us;
}

static void tick_idle(pool_t *self, pool_place_t *place)
{
    const pool_limits_t *limits = &self->limits;
    bool surplus =
        pool_standing(self) > limits->idle_min && self->in_state[POOL_IDLE] > limits->idle_min;
    if (place->doomed || place->expires_us <= self->now_us ||
        (surplus && is_due(limits->idle_us, self->now_us - place->used_us))) {
        self->counted.expired++;
        pool_step(self, place, POOL_INPUT_expire);
    } else if (is_due(limits->check_us, self->now_us - place->checked_us) &&
               is_due(limits->check_us, self->now_us - place->used_us) &&
               self->in_state[POOL_CHECKING] * 2 < pool_standing(self)) {
        pool_step(self, place, POOL_INPUT_check); /* half of them at a time: others may be wanted */
    }
}

static void tick_place(pool_t *self, pool_place_t *place)
{
    int64_t for_us = self->now_us - place->since_us;
    switch ((pool_state_t)place->state) {
    case POOL_IDLE:
        tick_idle(self, place);
        break;
    case POOL_TAKEN:
        place->doomed = place->doomed || place->expires_us <= self->now_us;
        break;
    case POOL_OPENING:
        if (for_us >= self->limits.connect_us) {
            pool_late(self, place);
        }
        break;
    case POOL_CHECKING:
    case POOL_CLEANING:
        if (for_us >= self->limits.answer_us) {
            pool_lost(self, place, self->now_us);
        }
        break;
    case POOL_EMPTY:
    case POOL_CLOSING:
    case POOL_STATE_COUNT:
        break;
    }
}

/* One that the server has not answered ends where it keeps the place of the next: a packet that was
 * swallowed is sent again after one, two, four seconds, that of a new attempt at once. How long an
 * answer takes is known when one has come. */
static void make_room(pool_t *self)
{
    if (self->counted.opened == 0 || pool_used(self) < self->limits.size) {
        return;
    }
    for (size_t i = 0; i < self->places_used; i++) {
        pool_place_t *place = &self->places[i];
        bool longer = self->cut % CUT_ROUND == CUT_ROUND - 1;
        int64_t for_us = self->now_us - place->since_us;
        if (hangs(self, place) && !place->heard && (!longer || for_us >= CUT_LONG_US)) {
            self->cut++;
            pool_late(self, place);
            return;
        }
    }
}

/* Of the attempts that hang those end that a later one has overtaken. Of the others the oldest are
 * left to go on, and the rest makes room for new ones. */
static void thin_out(pool_t *self)
{
    for (size_t i = 0; i < self->places_used; i++) {
        pool_place_t *place = &self->places[i];
        if (hangs(self, place) && place->since_us < self->passed_us) {
            call_off(self, place);
        }
    }
    uint64_t left = self->limits.size > POOL_STUCK_MAX ? POOL_STUCK_MAX : 1;
    for (uint64_t hanging = pool_hanging(self); hanging > left; hanging--) {
        call_off(self, youngest(self, true));
    }
    make_room(self);
}

/* Told before borrowers are refused; one that comes and goes in a rush is nothing to tell. */
static void look_at_saturation(pool_t *self)
{
    uint64_t away = self->in_state[POOL_TAKEN] + self->in_state[POOL_CLEANING];
    self->near_ticks = away * 10 >= (uint64_t)self->limits.size * 9 ? self->near_ticks + 1 : 0;
    self->saturated = self->near_ticks >= NEAR_TICKS ||
                      (self->saturated && away * 4 > (uint64_t)self->limits.size * 3);
}

void pool_tick(pool_t *self, int64_t now_us)
{
    self->now_us = now_us;
    self->ticks++;
    look_at_saturation(self);
    for (size_t i = 0; i < self->places_used; i++) {
        tick_place(self, &self->places[i]);
    }
    thin_out(self);
    pool_call_off(self);
    pool_plan(self);
}

/* --- operations ------------------------------------------------------------------------------ */

static void doom(pool_t *self, pool_place_t *place)
{
    if (place->state == POOL_IDLE) {
        self->counted.expired++;
        pool_step(self, place, POOL_INPUT_expire);
    } else if (place->state == POOL_OPENING) {
        call_off(self, place);
    } else if (place->state != POOL_EMPTY) {
        place->doomed = true;
    }
}

void pool_recycle(pool_t *self, int64_t now_us)
{
    self->now_us = now_us;
    for (size_t i = 0; i < self->places_used; i++) {
        doom(self, &self->places[i]);
    }
    pool_plan(self);
}

/* Idle ones go first, then as many as are given back. */
void pool_resize(pool_t *self, uint32_t size, uint32_t idle_min, int64_t now_us)
{
    ENSURE(size > 0 && size <= POOL_SIZE_MAX && idle_min <= size);
    self->now_us = now_us;
    self->limits.size = size;
    self->limits.idle_min = idle_min;
    for (size_t i = size; i < self->places_used; i++) {
        doom(self, &self->places[i]);
    }
    while (self->idle.first && pool_standing(self) + self->in_state[POOL_OPENING] > size) {
        doom(self, self->idle.first);
    }
    pool_plan(self);
}
