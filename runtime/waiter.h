/* A thread that is no cell and waits for one: for a spawn, or for an answer. Internal to runtime/.
 *
 *   the thread that waits            the cell
 *   waiter_new --(command, ring)-->  waiter_finish
 *   waiter_wait: done, or its deadline has passed and it abandons
 *
 * Whoever of the two comes last frees it, so that a cell which hangs holds up nobody beyond his
 * deadline. */
#ifndef RUNTIME_WAITER_H
#define RUNTIME_WAITER_H

#include "runtime/slot.h"

#include <pthread.h>

typedef struct waiter {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    capstan_node_t *node; /* for its platform only: it may be stopped meanwhile */
    const struct platform *platform;
    cell_t *host;     /* the cell that the thread runs while it waits, or NULL */
    int64_t until_us; /* when the thread abandons; INT64_MAX: never */
    bool done;
    bool abandoned;
    capstan_err_t err;
    void *body;
    size_t size;
} waiter_t;

/* For the calling thread. */
waiter_t *waiter_new(capstan_node_t *node);
/* Nothing will finish it after all. */
void waiter_drop(waiter_t *self);
/* Waits and gives the waiter up; TIMEOUT a little after the deadline (INT64_MAX: there is none),
 * which leaves the cell the time to say so itself. The body is malloc'ed, and may be NULL; it is
 * freed here when `ret_body` is NULL. */
capstan_err_t waiter_wait(waiter_t *self, int64_t deadline_us, void **ret_body, size_t *ret_size);
/* The cell's thread: hands over a copy of the body. The waiter may be gone when this returns. */
void waiter_finish(waiter_t *self, capstan_err_t err, slice_t body);

#endif
