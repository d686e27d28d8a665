/* What actors and brokers inside the library may use of the runtime beyond the public headers. */
#ifndef RUNTIME_RUNTIME_H
#define RUNTIME_RUNTIME_H

#include "runtime/base/slice.h"
#include "runtime/mailbox.h"

#include <capstan/node.h>

/* The node's one ZeroMQ context. Sockets made from it belong to the cell that made them and are
 * closed by the actor that made them, in `destroy` at the latest. */
void *node_zmq(capstan_node_t *self);
uint64_t node_id(const capstan_node_t *self);
uint32_t node_boot(const capstan_node_t *self);
/* Random bytes, a few at a time; in a simulation they follow from its seed. Any thread. */
void node_random(const capstan_node_t *self, void *bytes, size_t size);

/* capstan_watch_fd for a ZeroMQ socket (ZMQ_POLLIN). */
CAPSTAN_MUST_CHECK capstan_err_t actor_watch_socket(capstan_actor_t *self, void *socket,
                                                    void *cookie);

/* Sends with an envelope of the caller's choice: kind, correlation and flags are taken from
 * `envelope`, sender too when it is not null. Used by the gateway to pass on peers' messages, and
 * for messages that need no mailbox space (`always`). */
typedef struct send_options {
    uint32_t message;
    uint32_t kind;
    uint32_t flags;
    uint64_t correlation;
    uint64_t owner_epoch;
    int64_t deadline_us; /* when it is dropped unread; 0: never */
    bool always;         /* a reply, an acknowledgement, a grant: never refused for want of space */
} send_options_t;
CAPSTAN_MUST_CHECK capstan_err_t actor_send(capstan_actor_t *self, capstan_ref_t target,
                                            const send_options_t *options, slice_t body);

/* Called in `init`: the actor has started only when it calls actor_started. Its supervisor starts
 * the next of its children then, and capstan_node_spawn returns then, not as soon as `init` has
 * succeeded. If it ends before, its reason is why it did not start. */
void actor_defer_started(capstan_actor_t *self);
void actor_started(capstan_actor_t *self);
/* Around what is done for one of many messages within a handler: in the context that came with it
 * (the envelope's `trace`; what is no context is ignored, as the recommendation wants), or in a new
 * one when head sampling picks it. See <capstan/trace.h>. */
void actor_trace_enter(capstan_actor_t *self, slice_t context, uint32_t message);
void actor_trace_leave(capstan_actor_t *self);
/* Takes the recorded spans out and logs them. Any thread; called about once a second. */
void node_log_spans(capstan_node_t *self);

/* The error that a message of kind ERROR carries; INTERNAL when it cannot be read. */
capstan_err_t message_failure(const capstan_message_t *message);

/* Any thread, around a call into the node. False, and node_leave is not called: the node has been
 * stopped. */
bool node_enter(capstan_node_t *self);
void node_leave(capstan_node_t *self);
/* Something that a part above the runtime keeps with the node under a name: `data`, or what is kept
 * there already, which is returned. It is released when no actor is left and no thread is inside a
 * call, newest first, by the thread that stops the node. Any thread, inside the node. */
typedef void node_release_fn(void *data);
void *node_keep(capstan_node_t *self, const char *name, void *data, node_release_fn *release);
void *node_kept(capstan_node_t *self, const char *name); /* NULL: nothing */
/* True when the node is stopping. Any thread. */
bool node_stopping(const capstan_node_t *self);

/* One row per live actor, for status. Any thread; the figures are of slightly different instants.
 */
typedef struct actor_figures {
    const char *name;
    const char *cell;
    capstan_ref_t ref;
    mailbox_account_t account;
    uint64_t in_flight; /* sent - delivered - dropped */
    uint32_t restarts;  /* of the one whose place it has taken, by their supervisor */
    int64_t age_us;     /* the oldest message in flight is no older; see mailbox_oldest_us */
    uint64_t busy_ns;   /* what its handlers took, while the node was watched */
    uint64_t runs;      /* in so many rounds of its cell, modulo 2^32 */
} actor_figures_t;
typedef void actor_figures_fn(void *context, const actor_figures_t *figures);
void node_figures(capstan_node_t *self, actor_figures_fn *each, void *context);
/* The same of at most `places` places of the table, from `place` on; returns where to go on, 0 at
 * the end: for callers who must not be busy for long. */
uint32_t node_figures_from(capstan_node_t *self, uint32_t place, uint32_t places,
                           actor_figures_fn *each, void *context);
/* Times the runs of actors from now on for so long; it costs two readings of the clock per run. Any
 * thread. */
void node_watch(capstan_node_t *self, int64_t duration_us);

/* One row per cell. Any thread. */
typedef struct cell_figures {
    const char *name;
    const char *state; /* a name of cell_states.def */
    uint64_t stalls;   /* handlers that took longer than runtime.turn_ms_max */
    /* The handler that takes so long now; "" when there is none. */
    const char *actor;
    const char *handler;
    const char *message;
    int64_t handler_us; /* how long it has taken, at least */
} cell_figures_t;
typedef void cell_figures_fn(void *context, const cell_figures_t *figures);
void node_cells(capstan_node_t *self, cell_figures_fn *each, void *context);

#endif
