/* The rules of a pool of connections to PostgreSQL: who gets which, and what is opened, checked,
 * cleaned and closed when. It neither connects nor waits: the shell (pool_actor.c) does what `todo`
 * says and tells what came of it; whoever waits is in a list here and woken by his shell.
 *
 * The shell holds a lock around each call. A take and a give where nobody waits read no clock, send
 * nothing and allocate nothing.
 *
 * Waiters are served in the order in which they came (P1); a connection that comes free goes to the
 * first of them, never past him. Connections are opened while fewer than `idle_min` stand, for
 * waiters, and to have `idle_min` idle ones again when they have been missing for as long as a
 * connect takes. For waiters one at a time, since a connection that comes back serves them sooner;
 * two, four and eight when the first of them waits for longer than a connect takes. An attempt that
 * nobody waits for any more is called off with the next tick: in a rush the next waiter comes soon.
 * One goes on for those who were refused: they did not wait, or not for as long as a connect takes,
 * and may come again.
 *
 * After a failure the next attempt begins 50 ms after the one that failed, then up to half a
 * second. One that hangs (for half a second, and twice as long as the last one took) is left to
 * go on, and another one begun beside it: when the network swallows packets, the new one gets
 * through first once it does not any more (P3). Where there is no place for another one, one that
 * hangs ends instead, if the server has not answered it at all; each fourth goes on for two
 * seconds, since a network may have become slower.
 *
 * Invariants (pool_check evaluates them):
 *  - what stands or is being made is at most `size`, unless that was lowered meanwhile (P1);
 *  - nobody waits while a connection is idle and the pool is open (P1);
 *  - the waiters stand in the order of their arrival (P1);
 *  - a connection is in the list of its state and in no other. */
#ifndef POOL_POOL_H
#define POOL_POOL_H

#include "include/capstan/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    POOL_SIZE_MAX = 1024,
    POOL_TICK_US = 100000,  /* pool_tick is called so often */
    POOL_PROBE_US = 500000, /* an attempt that takes less does not hang */
    POOL_OPENING_MAX = 8,   /* at a time, those that hang aside */
    POOL_STUCK_MAX = 2,     /* attempts that hang and are left to go on */
};

typedef struct pool_limits {
    uint32_t size;
    uint32_t idle_min;   /* at most `size` */
    int64_t connect_us;  /* for one attempt */
    int64_t answer_us;   /* for what is asked of the server when it checks and cleans */
    int64_t check_us;    /* idle for so long it is asked whether it still answers; 0: never */
    int64_t idle_us;     /* idle for so long it is closed, if more than `idle_min` are; 0: never */
    int64_t lifetime_us; /* about so long it lives, each up to a tenth shorter; 0: for ever */
    int64_t leak_us;     /* taken for so long it is reported; 0: never */
    bool clean_always;   /* each that is given back, not only those with something to undo */
} pool_limits_t;

typedef enum pool_state {
#define STATE(name, meaning) POOL_##name,
#define INPUT(name, meaning)
#define TRANSITION(from, input, to, what)
#include "actors/pool/pool_states.def"
#undef STATE
#undef INPUT
#undef TRANSITION
    POOL_STATE_COUNT
} pool_state_t;

typedef enum pool_input {
#define STATE(name, meaning)
#define INPUT(name, meaning) POOL_INPUT_##name,
#define TRANSITION(from, input, to, what)
#include "actors/pool/pool_states.def"
#undef STATE
#undef INPUT
#undef TRANSITION
    POOL_INPUT_COUNT
} pool_input_t;

/* Who takes; constants, or kept for as long as he has it. */
typedef struct pool_borrower {
    const char *place; /* in his program */
    uint64_t thread;   /* as the operating system numbers it */
} pool_borrower_t;

typedef struct pool_place {
    struct pool_place *before; /* IDLE: in that list; with `todo`: in that one */
    struct pool_place *behind;
    void *connection; /* the shell's */
    uint8_t state;    /* pool_state_t; changed in one place only */
    bool todo;        /* the shell has not begun what its state asks for */
    bool doomed;      /* closed when it is given back */
    bool heard;       /* OPENING: the server has answered */
    bool leak_told;
    uint64_t lease;     /* number of its last take */
    uint64_t ticket;    /* of its last borrower */
    uint64_t rest_tick; /* IDLE: of the give */
    int64_t used_us;    /* by a borrower, or made; to a tick */
    int64_t since_us;   /* in its state; TAKEN and IDLE to a tick */
    int64_t expires_us;
    int64_t checked_us; /* it was last known to answer */
    pool_borrower_t borrower;
} pool_place_t;

typedef struct pool_waiter {
    struct pool_waiter *before;
    struct pool_waiter *behind;
    struct pool_waiter *woken_behind;
    pool_borrower_t borrower;
    uint64_t ticket;     /* in the order of arrival; 0: he comes now; else he was served before */
    int64_t since_us;    /* of his first wait; 0 as long as he has not waited */
    pool_place_t *place; /* served with */
    capstan_err_t err;   /* or refused with */
    bool over;           /* one of them */
} pool_waiter_t;

typedef enum pool_mode {
    POOL_MODE_OPEN,
    POOL_MODE_PAUSED, /* nobody gets a connection, everybody may wait */
    POOL_MODE_CLOSED, /* for good */
} pool_mode_t;

/* How a borrower leaves it. */
typedef enum pool_condition {
    POOL_CLEAN,
    POOL_DIRTY,  /* a transaction to be rolled back */
    POOL_BUSY,   /* a statement, a COPY, a result not read: nobody knows for how long; closed */
    POOL_BROKEN, /* closed */
} pool_condition_t;

typedef struct pool_figures {
    uint64_t size;
    uint64_t idle_min;
    uint64_t idle;
    uint64_t taken;
    uint64_t opening;
    uint64_t held_up; /* of those hang at a host, not at the look-up of its name */
    uint64_t other;   /* checking, cleaning, closing */
    uint64_t waiters;
    int64_t oldest_wait_us;
    uint64_t takes;
    uint64_t opened;
    uint64_t open_failures;
    uint64_t late_failures; /* attempts that hung there until their time was over */
    uint64_t called_off;
    uint64_t lost;
    uint64_t expired;
    uint64_t dirty;
    uint64_t leaks;
    uint64_t gives_refused;
    uint64_t refused; /* waiters that got none */
    uint64_t waits;
    uint64_t waited_us; /* all of those that are over */
    bool paused;
    bool saturated; /* nine of ten connections have been away for a second; until a quarter is back
                     */
} pool_figures_t;

typedef struct pool pool_t;

/* `seed`: for the jitter of lifetimes. */
pool_t *pool_new(const pool_limits_t *limits, uint64_t seed, int64_t now_us);
/* Nothing is open and nobody waits. */
void pool_destroy(pool_t **self_p);

/* --- borrowers ------------------------------------------------------------------------------- */

/* An idle connection, while the pool is open; else NULL. While somebody waits none is idle. */
pool_place_t *pool_take(pool_t *self, const pool_borrower_t *borrower);
/* Joins the waiters, and may be over at once. One who was served with a connection that had died
 * comes back to his place among them, by the place's ticket. */
void pool_wait(pool_t *self, pool_waiter_t *waiter, int64_t now_us);
/* His deadline has passed. Afterwards he is over: served after all, or with the reason why not:
 * POOL_EXHAUSTED, POOL_PAUSED, or that of the last attempt to connect. */
void pool_withdraw(pool_t *self, pool_waiter_t *waiter, int64_t now_us);
/* NOT_LENT: it was given back already. */
capstan_err_t pool_give(pool_t *self, pool_place_t *place, uint64_t lease,
                        pool_condition_t condition);
/* Before a give while somebody waits, so that his wait is counted. */
void pool_tell_time(pool_t *self, int64_t now_us);
bool pool_has_waiters(const pool_t *self);
/* One that has become over since, to be woken; NULL: no more. */
pool_waiter_t *pool_next_woken(pool_t *self);

/* --- the shell ------------------------------------------------------------------------------- */

/* A place whose state asks for something: OPENING (connect), CHECKING, CLEANING, CLOSING (close,
 * then pool_closed). NULL: no more. */
pool_place_t *pool_next_todo(pool_t *self);
/* Whether there is one. */
bool pool_has_todo(const pool_t *self);
/* What came of it. Where the place's state is another one meanwhile (it was called off) nothing
 * changes: it is in `todo` again. */
void pool_heard(pool_place_t *place, bool heard);
void pool_opened(pool_t *self, pool_place_t *place, int64_t now_us);
void pool_failed(pool_t *self, pool_place_t *place, capstan_err_t reason, int64_t now_us);
void pool_answered(pool_t *self, pool_place_t *place, int64_t now_us);
void pool_lost(pool_t *self, pool_place_t *place, int64_t now_us);
void pool_closed(pool_t *self, pool_place_t *place, int64_t now_us);
/* Every POOL_TICK_US, and after pool_closed and pool_failed. */
void pool_tick(pool_t *self, int64_t now_us);
/* One that was taken for `leak_us`, once each; NULL: no more. */
const pool_place_t *pool_next_leak(pool_t *self, int64_t now_us);
/* From 0; it never has another one. */
size_t pool_number(const pool_t *self, const pool_place_t *place);
/* NULL: there is none of that number. */
pool_place_t *pool_place(pool_t *self, size_t number);
/* One that has just been taken: it was idle for a tick or longer. */
bool pool_rested(const pool_t *self, const pool_place_t *place);
/* Those that are idle, one after the other; NULL begins, and ends. */
pool_place_t *pool_next_idle(const pool_t *self, const pool_place_t *place);

/* --- operations ------------------------------------------------------------------------------ */

void pool_pause(pool_t *self);
void pool_resume(pool_t *self, int64_t now_us);
/* Each connection is closed as soon as it is idle, and replaced. */
void pool_recycle(pool_t *self, int64_t now_us);
void pool_resize(pool_t *self, uint32_t size, uint32_t idle_min, int64_t now_us);
/* Waiters end with STOPPING, idle connections are closed, the others when they are given back. */
void pool_close(pool_t *self, int64_t now_us);
/* Nothing is open any more. */
bool pool_is_empty(const pool_t *self);

pool_mode_t pool_mode(const pool_t *self);
pool_figures_t pool_figures(const pool_t *self, int64_t now_us);
/* How often a step was taken. */
uint64_t pool_steps(const pool_t *self, pool_state_t state, pool_input_t input);
/* The first invariant that does not hold, or NULL. */
const char *pool_check(const pool_t *self);

#endif
