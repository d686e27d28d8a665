/* A cell: one thread, and the actors it hosts. Internal to runtime/.
 *
 *   other cells ---------> inbox (DEALER)       \
 *   foreign threads ----> ring + eventfd         >  mailboxes --> ready list --> handlers
 *   node (spawn, stop) -> control list + eventfd /                                 |
 *   descriptors, sockets, timers ------------------------------------------------->|
 *                                                                                  v
 *   other cells <-- outlet (ROUTER) <-- outbox per cell: one batch, flushed at the end of the turn
 *
 * A turn: control, ring, inbox up to a budget; due timers; watched descriptors; ready actors up to
 * a budget; turn_end of every actor that did something; flush. An idle cell looks for work for
 * spin_us, or many times that while its sleeps turn out short, then sleeps in zmq_poll (a wake-up
 * costs 25 us or more, a look 0.2 us).
 *
 * Invariants:
 *  - everything in cell_t is touched by its own thread only, except ring, control and `sleeping`;
 *  - a message is counted as sent in its receiver's mailbox before it enters a transport, and is
 *    counted as delivered or dropped by the receiver's cell exactly once;
 *  - a slot is given out again only when all that was sent to it has been accounted for.
 *
 * Its parts have headers of their own: slot.h (where a reference leads), route.h (which way a
 * message goes), transport.h (how it goes), local_actor.h (who handles it), calls.h and ask.h (who
 * waits for an answer), handover.h (what other threads bring), move.h (actors that leave),
 * takeover.h (a thread that does not come back). */
#ifndef RUNTIME_CELL_H
#define RUNTIME_CELL_H

#include "runtime/ask.h"
#include "runtime/base/ring.h"
#include "runtime/calls.h"
#include "runtime/handover.h"
#include "runtime/local_actor.h"
#include "runtime/platform.h"
#include "runtime/pulse.h"
#include "runtime/route.h"
#include "runtime/simulation/random.h"
#include "runtime/timers.h"
#include "runtime/trace.h"
#include "runtime/transport.h"

#include <pthread.h>
#include <zmq.h>

typedef struct host host_t;
typedef struct watchdog watchdog_t;

enum {
    CELLS_MAX = 64,
    CELL_NAME_SIZE = 32,
    CELL_RING_CAPACITY = 4096,
    CELL_INBOX_BUDGET = 64,  /* batches taken from the inbox per turn */
    CELL_MAIL_BUDGET = 8192, /* messages handled per turn */
    CELL_WATCHES_MAX = 64,
};

typedef struct watch {
    capstan_actor_t *actor;
    void *cookie;
} watch_t;

struct cell {
    capstan_node_t *node;
    const platform_t *platform; /* the node's */
    void *seat;                 /* the platform's own */
    uint32_t index;
    uint32_t inbox_budget; /* CELL_INBOX_BUDGET, or what the platform prefers; so the next one */
    uint32_t mail_budget;
    char name[CELL_NAME_SIZE];
    host_t *host; /* NULL: the thread is the cell's own; see host.h */
    pulse_t *pulse;

    void *inbox;
    void *outlet;                               /* to the inboxes of the others */
    _Alignas(64) _Atomic uint64_t batches_sent; /* to the inbox; the senders count */
    _Alignas(64) uint64_t batches_received;
    outbox_t outboxes[CELLS_MAX];
    uint32_t dirty[CELLS_MAX]; /* outboxes that hold something */
    size_t dirty_count;
    void *buffers; /* that came back */

    ring_t ring;
    int wake_fd;
    _Atomic bool sleeping; /* seq_cst with the ring and the control list: see cell_wake */
    pthread_mutex_t control_mutex;
    command_t *control_head;
    command_t *control_tail;
    _Atomic bool control_waiting;

    timers_t timers;
    int64_t now_us;
    int64_t utc_us;
    int64_t now_ns;     /* of the clock's reading that now_us is from */
    uint64_t delivered; /* messages, in this turn */
    bool worked;        /* the turn before this one found something to do */
    bool slow;          /* and took long for what it delivered */
    bool timed;         /* somebody wants to know what the runs of actors take */
    int64_t charged_ns; /* so: until here it has been said whose time it was */

    /* Of what is done right now, here and not on the stack: the thread may never come back from a
     * handler, and another one goes on (takeover.h). */
    command_t *command;           /* runs */
    command_t *commands;          /* were taken, and come next */
    block_t *received;            /* a batch that has not been delivered; NULL: there is none */
    slice_t batch;                /* what is in it */
    cell_mail_t *handled_mail;    /* whose handler runs */
    buffer_t answer;              /* body of the end of an ask that the cell itself tells */
    capstan_actor_t *interrupted; /* actors that a thread without the cell may still use */
    refs_t hung;                  /* incarnations that ended so */

    struct move *departures; /* actors that are on their way from here, and to here: move.h */
    struct move *arrivals;

    trace_scope_t *trace;   /* NULL but while a handler with a context runs; see trace.h */
    random_source_t random; /* for ids; 0: not seeded yet */

    capstan_actor_t *ready_head;
    capstan_actor_t *ready_tail;
    capstan_actor_t *turned_head;
    capstan_actor_t *actors;
    capstan_actor_t *walk; /* next in a walk over the actors whose handlers run meanwhile */
    slot_t *free_slots;  /* this thread only */
    slot_t *spare_slots; /* for other threads, under the node's mutex */

    zmq_pollitem_t items[CELL_WATCHES_MAX + 2]; /* inbox, wake_fd, then the watches */
    watch_t watches[CELL_WATCHES_MAX];
    size_t watch_count;
    uint64_t watch_version; /* counts what changes the watches */

    calls_t calls;

    cell_mail_t *mail_free;
    mail_slab_t *mail_slabs;
    block_t *block; /* local bodies go here */

    capstan_actor_t *port; /* asks on behalf of foreign threads */
    _Atomic bool begun;    /* so that others may read who is the port; release */

    /* What a stop asks for; written by the cell, read by the thread that stops the node. */
    _Atomic uint32_t fence_seen; /* release, like the next two */
    _Atomic uint32_t fence_rested;
    _Atomic uint64_t fence_handled; /* `handled` when it rested */
    uint32_t fence_wanted;
    uint64_t handled; /* messages, in all turns */
    bool stopping_all;

    capstan_actor_t *dead; /* ended in this turn; freed at its end */
    capstan_actor_t *actor_free;
    bool ending;

    bool own;      /* for one actor at a time, and what that starts here */
    bool own_busy; /* it has had one since it was given out */
    cell_t *next_idle;
};

/* Life of a cell; called by the node. What it makes takes no turns yet: see platform.h. */
capstan_err_t cell_new(capstan_node_t *node, uint32_t index, const char *name, bool own,
                       cell_t **ret_cell);
/* After its last turn, or when it never had one. */
void cell_destroy(cell_t **self_p);
/* Instead of a stop: its actors end without a word, between two turns. */
void cell_abandon(cell_t *self);
/* Before the first turn and after the last, on the thread that runs them. */
void cell_begin(cell_t *self);
void cell_finish(cell_t *self);

/* Any thread: hands over a command (malloc'ed; the cell frees it). */
void cell_command(cell_t *self, const command_t *command);
/* Any thread: makes a sleeping cell look. */
void cell_wake(cell_t *self);

/* The cell's thread, around what it waits with: from cell_fall_asleep on, cell_wake makes wake_fd
 * readable. What came before that is still to be looked for. */
void cell_fall_asleep(cell_t *self);
void cell_awake(cell_t *self);
bool cell_has_foreign_work(cell_t *self);

/* The cell's thread: one turn; returns true when there was something to do. */
bool cell_turn(cell_t *self);
/* The cell's thread: looks at what is watched, and with a time-out sleeps meanwhile. */
bool cell_poll(cell_t *self, long timeout_ms);
void cell_read_clocks(cell_t *self);
/* The cell's thread, between handlers: what was handed over so far; false when there was nothing.
 */
bool cell_run_commands(cell_t *self);

/* The cell that an actor is to live in; started when there is none yet. `from` is the calling cell,
 * or NULL. Errors: LIMIT, STOPPING, NO_DESCRIPTOR, NO_THREAD, NO_MEMORY, SYSTEM. */
capstan_err_t node_place(capstan_node_t *node, const capstan_spawn_options_t *options, cell_t *from,
                         cell_t **ret_cell);
/* A cell whose only actor has ended is for the next one that wants a cell of its own. */
void node_give_cell(cell_t *cell);
batch_returns_t *node_batch_returns(capstan_node_t *node, uint32_t cell);
cell_t *node_cell_at(capstan_node_t *node, uint32_t index);
/* Any thread: makes the one that stops the node look. */
void node_signal(capstan_node_t *node);
const capstan_node_options_t *node_options(const capstan_node_t *node);
const platform_t *node_platform(const capstan_node_t *node);
watchdog_t *node_watchdog(const capstan_node_t *node);
int64_t node_watched_until_us(const capstan_node_t *node);

#endif
