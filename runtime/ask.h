/* Pending asks of a cell, and foreign threads that wait. Internal to runtime/.
 *
 * Everything but waiter_finish is for the cell's thread. A foreign thread's ask belongs to the
 * cell's port, which gets the answer and finishes the waiter. */
#ifndef RUNTIME_ASK_H
#define RUNTIME_ASK_H

#include "runtime/runtime.h"

#include <pthread.h>

typedef struct cell cell_t;

/* A foreign thread that waits: for a spawn or for an answer. Lives on its stack. */
typedef struct waiter {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    bool done;
    capstan_err_t err;
    void *body;
    size_t size;
} waiter_t;

/* A pending ask; its number is (generation << 32 | index + 1). */
typedef struct ask {
    capstan_actor_t *actor; /* with a waiter: the cell's port */
    waiter_t *waiter;
    uint64_t timer;
    uint32_t generation;
    uint32_t next; /* of the actor's asks, or in the free list */
    uint32_t previous;
    bool pending;
} ask_t;

uint64_t ask_start(cell_t *cell, capstan_actor_t *actor, waiter_t *waiter, int64_t timeout_us);
/* Ends a pending ask; returns it while its fields are still valid, or NULL. */
ask_t *ask_end(cell_t *cell, uint64_t correlation);
ask_t *ask_find(cell_t *cell, uint64_t correlation);
void ask_expired(cell_t *cell, uint64_t correlation);
void ask_cancel_all(cell_t *cell, capstan_actor_t *actor);
/* Wakes the thread with a copy of the body. The waiter may be gone when this returns. */
void waiter_finish(waiter_t *waiter, capstan_err_t err, slice_t body);

#endif
