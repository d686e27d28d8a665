/* A cell that has no thread of its own: the host's thread runs its turns when it wants to, and
 * learns from one descriptor when that is. Internal to runtime/.
 *
 *   wake_fd (ring, commands, "there is more") \
 *   timer_fd (the cell's next timer)           > epoll set = capstan_node_fd
 *   ZMQ_FD of the inbox, watched descriptors  /
 *
 * Between two runs the cell counts as sleeping, so that whoever hands something over writes to
 * wake_fd. ZMQ_FD tells of changes only (it is edge-triggered), so each run ends with a look at the
 * sockets themselves: what is left there, or in the cell, is made known by wake_fd. Hence the set
 * is readable whenever a run would find something to do.
 *
 * Everything here is for the host's thread: the one that made the node. */
#ifndef RUNTIME_HOST_H
#define RUNTIME_HOST_H

#include "runtime/cell.h"

/* Makes the calling thread the one that runs `cell`. Errors: SYSTEM, LIMIT (descriptors). */
CAPSTAN_MUST_CHECK capstan_err_t host_open(cell_t *cell);
/* Ends the cell, as its own thread would do after COMMAND_END. */
void host_close(cell_t *cell);

/* True on the thread that runs `cell`; `cell` may be NULL. */
bool host_is_mine(const cell_t *cell);
int host_fd(const cell_t *cell);

/* Runs turns until the cell has nothing to do, for about a millisecond at most; never blocks. True
 * when something is left. Not from inside a handler. */
bool host_run(cell_t *cell);
/* The same, but blocks until there is something to run, for at most `timeout_ms` (-1: for ever). */
void host_wait(cell_t *cell, int timeout_ms);

#endif
