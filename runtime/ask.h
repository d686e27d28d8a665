/* How asks end and requests are cancelled on a cell, and foreign threads that wait. The rules are
 * in calls.h; here messages are sent and handlers run. Internal to runtime/.
 *
 * Everything is for the cell's thread. A foreign thread's ask belongs to the cell's port, which
 * gets the answer and finishes the waiter. */
#ifndef RUNTIME_ASK_H
#define RUNTIME_ASK_H

#include "runtime/runtime.h"

typedef struct cell cell_t;
typedef struct foreign foreign_t;

/* Asks for a thread that waits. */
void ask_for_waiter(cell_t *cell, const foreign_t *foreign);
/* The deadline of an ask has passed. */
void ask_expired(cell_t *cell, uint64_t correlation);
/* The actor ends: so do its asks. */
void ask_cancel_all(cell_t *cell, capstan_actor_t *actor);

/* Tells actors that requests they work on were cancelled; false when there were none. */
bool requests_tell_cancelled(cell_t *cell);
/* The actor ends: whoever waits for its answers is told. */
void requests_refuse_all(cell_t *cell, capstan_actor_t *actor);

#endif
