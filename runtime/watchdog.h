/* The thread of a node that sees to it that the others make progress. It asks nobody: it looks, a
 * few times in runtime.turn_ms_max, at what each thread says about itself (pulse.h), judges that
 * (progress.h), reports a handler that does not return, knows the state of every cell, and lets a
 * new thread take over one whose thread is lost to it (takeover.h).
 *
 *   cell's thread --pulse--> watchdog --log, metrics, states of cells-->
 *
 * While all cells sleep it sleeps too; the first one that wakes wakes it. Internal to runtime/.
 *
 * Its mutex is taken before the node's, never after. */
#ifndef RUNTIME_WATCHDOG_H
#define RUNTIME_WATCHDOG_H

#include "runtime/pulse.h"
#include "runtime/runtime.h"

typedef struct watchdog watchdog_t;
typedef struct cell cell_t;
typedef struct cell_thread cell_thread_t;

/* Errors: NO_MEMORY, SYSTEM (the thread). */
CAPSTAN_MUST_CHECK capstan_err_t watchdog_start(capstan_node_t *node, watchdog_t **ret_watchdog);
/* All cells have ended. NULL is accepted. */
void watchdog_stop(watchdog_t **self_p);

/* The thread of a cell, first and last; `runner` NULL is the host's. Here and below, nothing is
 * done when nobody watches: NULL. */
void watchdog_add(watchdog_t *self, cell_t *cell, cell_thread_t *runner);
void watchdog_remove(watchdog_t *self, const cell_t *cell);

/* The thread of a cell, when it begins a turn after a sleep, and before it sleeps. */
void watchdog_awake(watchdog_t *self, pulse_t *pulse, int64_t now_us);
static inline void watchdog_asleep(pulse_t *pulse)
{
    atomic_store_explicit(&pulse->turn_us, 0, memory_order_release);
}

#endif
