/* What the parts of a pool's rules share: see pool.h. Internal to pool/. */
#ifndef POOL_POOL_INTERNAL_H
#define POOL_POOL_INTERNAL_H

#include "actors/pool/pool.h"
#include "runtime/base/ensure.h"

typedef struct place_list {
    pool_place_t *first;
    pool_place_t *last;
} place_list_t;

struct pool {
    pool_limits_t limits;
    pool_mode_t mode;
    uint64_t random; /* splitmix64 */
    uint64_t leases;
    uint64_t tickets;
    uint64_t ticks;
    int64_t now_us;    /* of the last call that brought it; a take goes by it */
    place_list_t idle; /* the last is taken first: the others may be closed one day */
    place_list_t todo;
    pool_waiter_t *first;
    pool_waiter_t *last;
    pool_waiter_t *woken;
    uint64_t waiters;
    uint64_t in_state[POOL_STATE_COUNT];
    size_t places_used;      /* those behind have always been EMPTY */
    int64_t connect_took_us; /* by the last attempt that succeeded; of those that hung only half as
                                much more than before */
    int64_t passed_us;       /* when the latest attempt that succeeded was begun */
    int64_t missing_us;      /* since when idle_min stand, and fewer are idle; INT64_MAX:
                                they are not */
    int64_t retry_us;        /* the next attempt, after a failure */
    int64_t retry_pause_us;  /* 0: the last attempt succeeded */
    capstan_err_t reason;    /* of the last failure */
    uint32_t near_ticks;     /* for so many in a row nine of ten connections are away */
    bool saturated;
    uint32_t cut; /* attempts that made room since the last one that succeeded */
    bool owed;    /* one was refused, and no connection was made since */
    pool_figures_t counted;
    uint64_t steps[POOL_STATE_COUNT][POOL_INPUT_COUNT];
    pool_place_t places[POOL_SIZE_MAX];
};

/* pool.c */
void pool_step(pool_t *self, pool_place_t *place, pool_input_t input);
/* Waiters get what is idle. */
void pool_serve(pool_t *self);

/* Places that hold a connection, or are to. */
static inline uint64_t pool_standing(const pool_t *self)
{
    return self->in_state[POOL_IDLE] + self->in_state[POOL_CHECKING] + self->in_state[POOL_TAKEN] +
           self->in_state[POOL_CLEANING];
}

/* pool_plan.c: opens what is missing, and calls off what is not wanted any more. */
void pool_plan(pool_t *self);
void pool_call_off(pool_t *self);
/* Attempts that take longer than any should: twice as long as the last one did. */
uint64_t pool_hanging(const pool_t *self);
int64_t pool_patience_us(const pool_t *self);
uint64_t pool_held_up(const pool_t *self);
/* An attempt's time is over. */
void pool_late(pool_t *self, pool_place_t *place);

#endif
