/* A node: the cells (threads), actors and the one ZeroMQ context of a process.
 *
 * This is what a program calls from outside, on threads that are no actors: it makes a node, starts
 * actors, sends to them and asks them, and stops the node. Functions that say "any thread" may be
 * called inside handlers too; those that block never, since the handler could be what they wait
 * for. docs/embedding.md is the way in. */
#ifndef CAPSTAN_NODE_H
#define CAPSTAN_NODE_H

#include <capstan/actor.h>
#include <capstan/stop.h>

typedef struct capstan_node_options {
    uint64_t id;               /* random id of the node; 0: one is drawn */
    uint32_t boot;             /* boot counter; 0: 1 */
    uint32_t mailbox_messages; /* default bound of a mailbox; 0: 1,048,576 */
    uint64_t mailbox_bytes;    /* default bound of a mailbox; 0: 256 MiB */
    uint32_t actors_max;       /* 256 more per cell; 0: 1,048,576 */
    uint32_t workers;          /* cells that actors are spread over, 1 to 32; 0: one per core */
    uint32_t spin_us;          /* how long an idle cell looks for work before it sleeps; 0: 10.
                                  While work comes as often, up to 320 */
    uint32_t trace_sample;     /* traces that begin here and are recorded, per million: trace.h */
    bool strict_wire;          /* every message goes through codec and socket, also within a cell */
    uint32_t turn_ms_max;      /* a handler that takes longer is reported in the log; 0: 10 */
    uint32_t hung_ms;          /* one that takes longer counts as hung; 0: 5000 */
    bool hung_stays;           /* it keeps its cell, and is only reported; see below */
    /* The real-time signal that the node keeps for itself, with a signal handler, to find out where
     * a thread of its own stands that is reported; system calls that the handler of an actor waits
     * in may return EINTR then. 0: the highest that is free; below 0: none, no backtraces, and hung
     * handlers keep their cells. */
    int stall_signal;
    const char *host_cell; /* name of the cell that the calling thread runs; NULL: none; copied */
    int log_fd;            /* where the process's log goes; 0: standard error; -1: nowhere */
    capstan_stop_times_t stop; /* of the phases of capstan_node_stop */
} capstan_node_options_t;

/* --- handlers that do not return ----------------------------------------------------------------
 *
 * A cell whose handler has taken hung_ms is taken over by a new thread, which goes on with all its
 * actors, their messages and timers, except with the actor whose handler it is (and the one in
 * whose handler that was spawned on the cell): that one ends with the reason CELL_HUNG, without
 * `stop` or `destroy`. Who watches it hears so, its supervisor starts it again, whoever waits for
 * its answer hears GONE, and what was queued for it is dropped(cell_hung).
 *
 * The old thread is left where it is. What its handler uses of the actor stays until it returns,
 * which ends the thread; until then what it calls of capstan/actor.h fails with CELL_HUNG, does
 * nothing, or says what it said before (actor_ref, actor_node, actor_state, the clocks). A stop of
 * the node waits for such a thread, and names its cell when it is late. The same happens when a
 * handler ends its thread (pthread_exit).
 *
 * A cell is not taken over while its handler is inside a function of Capstan; when its thread
 * cannot be interrupted (it blocks the node's signal, or is in a system call that the kernel does
 * not interrupt); when the host's thread runs it; or when its actor may block. */

/* Makes a node without actors. NULL options are the defaults; strings in them are copied. One node
 * per process. A process that forks does so before. Errors: NO_DESCRIPTOR (it takes six, and five
 * more for a host_cell), NO_THREAD, NO_MEMORY, SYSTEM. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_node_new(const capstan_node_options_t *options,
                                                              capstan_node_t **ret_node);

/* Starts an actor from a thread that is not a cell; returns when its init has run, with its error.
 * Placed on a worker cell unless the options say otherwise. Blocks; never from inside a handler.
 * Errors: those of capstan_spawn. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t
capstan_node_spawn(capstan_node_t *self, const capstan_behaviour_t *behaviour,
                   const capstan_spawn_options_t *options, capstan_ref_t *ret_ref);

/* Sends an event from any thread, through the receiving cell's ring. Never blocks.
 * Errors: GONE, MAILBOX_FULL (also when the ring is full), STOPPING (the node has stopped). */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_node_tell(capstan_node_t *self,
                                                               capstan_ref_t target,
                                                               uint32_t message,
                                                               capstan_slice_t body);

/* Sends a request from a thread that is not a cell and waits for the answer. `ret_body` is to be
 * freed with free(); NULL, with `ret_size`: the reply's body is not wanted. Never from inside a
 * handler. It returns a few milliseconds after its deadline at the latest, whatever the receiver
 * does. Errors: those of capstan_ask, TIMEOUT, STOPPING, or the receiver's. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t
capstan_node_ask(capstan_node_t *self, capstan_ref_t target, uint32_t message, capstan_slice_t body,
                 int64_t timeout_us, void **ret_body, size_t *ret_size);

/* The actor that has this name now. Any thread. NOT_FOUND when there is none. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_node_resolve(capstan_node_t *self,
                                                                  const char *name,
                                                                  capstan_ref_t *ret_ref);

/* Moves a live actor to another cell, between two of its handlers: a named one, started if there is
 * none of that name, or, with NULL, one of the worker cells in turn. Its references, its name, its
 * messages and their order, its timers, its monitors and links, and the requests that it works on
 * go with it; it rests for as long as every cell of the node takes to end its turn. One move of a
 * node at a time. Blocks; never from inside a handler.
 * Errors: GONE; UNAVAILABLE: not now, because another actor is being moved, or this one waits for
 * an answer, for room in a mailbox, for its start or its end; UNSUPPORTED: never, because it is a
 * keyed one, watches descriptors, may block, or has a cell of its own; those of capstan_spawn for
 * the cell; STOPPING. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_node_move(capstan_node_t *self,
                                                               capstan_ref_t actor,
                                                               const char *cell);

/* Makes a table of your own messages known to the node (message.h says how to write one), so that
 * its descriptions show it. `table` must outlive the node; it cannot be taken out again. Encoding
 * and decoding do not need it. Any thread. On failure nothing was registered, and `ret_text` (may
 * be NULL, with size 0) says which row, what is wrong and what to do.
 * Errors: INVALID (an id below 0x8000; a row that cannot be used: keys that do not ascend, a
 * resource_key that names no field, a list of no registered record), EXISTS (an id, a row's name or
 * the table's name that is given already, by Capstan too). */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_node_register(capstan_node_t *self,
                                                                   const capstan_table_t *table,
                                                                   char *ret_text,
                                                                   size_t text_size);

/* Appends the description of all messages and records, Capstan's and the registered ones, to `out`:
 * what `capstan schema` prints, and what a peer gets by `describe`. Any thread.
 * Errors: INVALID (no such format), TOO_LARGE (more than a borrowed buffer holds), NO_MEMORY. */
typedef enum capstan_schema_format {
    CAPSTAN_SCHEMA_MARKDOWN, /* for people: docs/protocol.md */
    CAPSTAN_SCHEMA_JSON,     /* for programs: all that a peer in another language needs */
    CAPSTAN_SCHEMA_CDDL,     /* the Concise Data Definition Language, RFC 8610 */
    CAPSTAN_SCHEMA_COUNT
} capstan_schema_format_t;
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_node_schema(capstan_node_t *self,
                                                                 capstan_schema_format_t format,
                                                                 capstan_buffer_t *out);

/* --- a host with a main loop of its own ---------------------------------------------------------
 *
 * A program that waits in a loop of its own (poll, epoll, GLib, libuv, a user interface) lets the
 * actors of one cell run on the thread of that loop, where they may use what belongs to it: it
 * names the cell in `host_cell` and starts actors with that cell's name. The thread that makes the
 * node is the host's thread. It watches capstan_node_fd for input, and calls capstan_node_dispatch
 * whenever the descriptor is readable:
 *
 *   struct pollfd ready = {.fd = capstan_node_fd(node), .events = POLLIN};
 *   while (running) {
 *       poll(&ready, 1, -1);
 *       capstan_node_dispatch(node);
 *   }
 *
 * All other cells have threads of their own. On the host's thread capstan_node_spawn,
 * capstan_node_ask and capstan_node_stop run the cell's actors while they wait, so that none of
 * them waits for itself; only this thread may stop the node. */

/* Readable (level-triggered) when capstan_node_dispatch has something to do: messages, due timers.
 * To be watched for input only, never read, written or closed. -1: the node has no host_cell. Any
 * thread. */
CAPSTAN_API int capstan_node_fd(const capstan_node_t *self);

/* Runs the actors of the host's cell until they have nothing to do, for about a millisecond at most
 * (a handler that is slow takes what it takes). Never blocks. Returns true when something is left,
 * and the descriptor stays readable then. The host's thread only, and not inside a handler; the
 * node has a host_cell. */
CAPSTAN_API bool capstan_node_dispatch(capstan_node_t *self);

/* Stops the node in phases (stop.h), within `timeout_us`, and frees it. Blocks. Other threads may
 * call into the node meanwhile, and also later, as long as no other node is made: what they call is
 * refused with STOPPING, except that messages are taken until their receiver has ended.
 *
 * STOP_TIMEOUT: `late` (may be NULL) was given the name of each actor, cell or socket that did not
 * end. The node lives on without them, `*self_p` is kept, and the stop can be tried again; if they
 * hang for good the process should exit. STOPPING: another thread is stopping the node, or has. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_node_stop(capstan_node_t **self_p,
                                                               int64_t timeout_us,
                                                               capstan_late_fn *late,
                                                               void *context);

#endif
