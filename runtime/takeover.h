/* How a cell goes on whose thread does not: its handler hangs, or has ended the thread.
 *
 *   watchdog            old thread                        new thread
 *   hung ----signal---> in a handler? then it is lost
 *        <--"lost"----                ...
 *        ------------------------------------ start ----> ends the actors on the old one's stack,
 *                       returns from the handler, ends    goes on with the cell
 *
 * The old thread is asked in a signal handler on itself, so that the hot path pays for nothing but
 * knowing whether it runs the runtime's code or a handler (grip.h). It loses the cell only in a
 * handler, where the cell is in order but for what stands on the stack; so what must not be lost
 * stands in the cell instead: the commands and the batch at hand, the message that is handled.
 *
 * The thread keeps what its handler may still use: the actors, the message, the trace's scopes.
 * They are freed when it has ended, by the next takeover or the end of the cell. Internal to
 * runtime/. */
#ifndef RUNTIME_TAKEOVER_H
#define RUNTIME_TAKEOVER_H

#include "runtime/cell.h"

typedef enum cell_thread_state {
    CELL_THREAD_RUNS,
    CELL_THREAD_LOST,     /* it has no cell any more */
    CELL_THREAD_DIED,     /* it ended in a handler: the cell is in order */
    CELL_THREAD_BROKE,    /* it ended in the runtime's own code, and nobody can go on */
    CELL_THREAD_FINISHED, /* with the cell's last turn */
} cell_thread_state_t;

typedef struct cell_thread {
    struct cell_thread *next; /* that had the cell before */
    cell_t *cell;
    pthread_t thread;
    _Atomic uint32_t state; /* cell_thread_state_t */
    _Atomic bool ended;     /* release, after its last look at anything */

    /* What it may use until it has ended. */
    capstan_actor_t *actors;
    cell_mail_t *mail;
    trace_scope_t *trace;
    struct key_entry *entry;
    buffer_t answer;
} cell_thread_t;

static inline cell_thread_state_t cell_thread_state(const cell_thread_t *self)
{
    return (cell_thread_state_t)atomic_load_explicit(&self->state, memory_order_acquire);
}

/* What came of the wish to take a cell away from its thread. */
typedef enum takeover {
    TAKEOVER_LOST,    /* the thread has lost it */
    TAKEOVER_LATER,   /* it is inside a function of the runtime, or the handler has returned */
    TAKEOVER_SILENCE, /* it does not answer */
} takeover_t;

/* The watchdog. `number` is that of the handler that hangs; see pulse.h. */
takeover_t takeover_ask(cell_thread_t *thread, pthread_t handle, pid_t id, uint32_t number);

/* The new thread, before its first turn; `old` had the cell before. */
void takeover_repair(cell_t *cell, cell_thread_t *old);
/* Frees what it could still use; it has ended. */
void cell_thread_fini(cell_thread_t *self);
/* Frees those in the list that have ended, and returns the others. */
cell_thread_t *cell_threads_reap(cell_thread_t *list);

#endif
