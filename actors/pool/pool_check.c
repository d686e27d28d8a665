/* The invariants of a pool: see pool.h. */
#include "actors/pool/pool_internal.h"

static const char *check_places(const pool_t *self)
{
    uint64_t found[POOL_STATE_COUNT] = {0};
    uint64_t todo = 0;
    for (size_t i = 0; i < POOL_SIZE_MAX; i++) {
        const pool_place_t *place = &self->places[i];
        found[place->state]++;
        todo += place->todo;
        if (i >= self->places_used && place->state != POOL_EMPTY) {
            return "P1: a place that was never used holds nothing";
        }
        if (place->todo && (place->state == POOL_EMPTY || place->state == POOL_IDLE ||
                            place->state == POOL_TAKEN)) {
            return "P4: the shell is done with what may be taken";
        }
    }
    for (size_t i = 0; i < POOL_STATE_COUNT; i++) {
        if (found[i] != self->in_state[i]) {
            return "P1: the places of each state are counted";
        }
    }
    for (const pool_place_t *place = self->todo.first; place; place = place->behind) {
        todo--;
    }
    return todo == 0 ? NULL : "P3: what is to be done is listed";
}

static const char *check_idle(const pool_t *self)
{
    uint64_t idle = 0;
    for (const pool_place_t *place = self->idle.first; place; place = place->behind) {
        idle++;
        if (place->state != POOL_IDLE) {
            return "P4: what is listed as idle is";
        }
    }
    return idle == self->in_state[POOL_IDLE] ? NULL : "P1: what is idle is listed";
}

static const char *check_waiters(const pool_t *self)
{
    uint64_t waiters = 0;
    for (const pool_waiter_t *waiter = self->first; waiter; waiter = waiter->behind) {
        waiters++;
        if (waiter->over) {
            return "P1: whoever is over waits no more";
        }
        if (waiter->behind && waiter->behind->ticket < waiter->ticket) {
            return "P1: waiters stand in the order in which they came";
        }
    }
    if (waiters != self->waiters) {
        return "P1: waiters are counted";
    }
    if (self->first && self->idle.first && self->mode == POOL_MODE_OPEN) {
        return "P1: nobody waits while a connection is idle";
    }
    return self->first && self->mode == POOL_MODE_CLOSED ? "P2: nobody waits for a closed pool"
                                                         : NULL;
}

const char *pool_check(const pool_t *self)
{
    const char *fault = check_places(self);
    fault = fault ? fault : check_idle(self);
    return fault ? fault : check_waiters(self);
}
