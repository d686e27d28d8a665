/* The node as its own files see it: node.c, node_*.c and slot.c. */
#ifndef RUNTIME_NODE_INTERNAL_H
#define RUNTIME_NODE_INTERNAL_H

#include "runtime/cell.h"
#include "runtime/dead_letters.h"
#include "runtime/keyed.h"
#include "runtime/registry.h"
#include "runtime/telemetry/spans.h"
#include "runtime/watchdog.h"

enum { WORKERS_MAX = 32 };

typedef struct kept kept_t; /* of node_keep */

typedef enum node_state {
    NODE_FREE, /* it has been stopped, or was never started */
    NODE_OPEN,
    NODE_STOPPING, /* no new work is taken; messages are, until their receivers end */
    NODE_CLOSING,  /* no actor is left */
} node_state_t;

/* What a thread that is no cell looks at first. The memory of a node is never given back, only used
 * for the next one, so that it may look at any time. It counts itself before it looks at the state;
 * a stop changes the state before it looks at the count: sequentially consistent, so that at least
 * one of the two sees the other. */
typedef struct node_gate {
    _Atomic uint32_t state;     /* node_state_t */
    _Atomic bool being_stopped; /* a thread is in capstan_node_stop */
    /* Threads inside a call, those that wait for a cell excepted. */
    _Atomic uint32_t starters; /* of new work: NODE_OPEN only */
    /* Of anything else. Those that send to a ring count themselves at the place that `epoch` names,
     * so that a move can wait until those have gone who may have seen the old cell: it changes the
     * epoch, and waits for that place's count (sequentially consistent, as above; McKenney,
     * "Sleepable RCU"). */
    _Atomic uint32_t callers[2];
    _Atomic uint32_t epoch;
} node_gate_t;

struct capstan_node {
    node_gate_t gate; /* first: the rest is zeroed for the next node */
    capstan_node_t *next_spare;
    capstan_node_options_t options;
    const platform_t *platform;
    void *world; /* the platform's own; threads need none */
    void *zmq;
    pthread_mutex_t mutex; /* spare slots, names, cells, start order; never taken per message */
    pthread_cond_t changed;
    names_t names;
    _Atomic(slot_t *) *chunks;
    uint32_t chunk_count; /* places for chunks: what actors_max takes, and one per cell */
    uint32_t port_chunks; /* of the latter, those that are taken */
    _Atomic uint32_t slot_count;
    uint64_t started; /* order of start of the actors that the host started */
    _Atomic(cell_t *) cells[CELLS_MAX];
    uint32_t cell_count;
    cell_t *host; /* the cell that the host's thread runs, or NULL */
    batch_returns_t
        batch_returns[CELLS_MAX];           /* outlive the cells: libzmq may hold a batch longer */
    _Atomic(cell_t *) workers[WORKERS_MAX]; /* NULL until it has something to do */
    _Atomic uint32_t next_worker;           /* relaxed: any worker will do */
    cell_t *own_idle;                       /* cells of one actor that has ended */
    _Atomic int64_t watched_until_us;       /* so long the runs of actors are timed; relaxed */
    watchdog_t *watchdog;                   /* from the first cell on */
    _Atomic bool moving;                    /* an actor; one at a time */
    bool logging;                           /* the log's thread writes for it */
    uint32_t fences;                        /* sent to the cells so far; the three are the stop's */
    bool terminating;                       /* `terminator` ends the context */
    pthread_t terminator;
    registry_t registry;
    dead_letters_t dead_letters;
    spans_t spans;
    capstan_keyed_t *keyed; /* the kinds; under the mutex */
    kept_t *kept;           /* under the mutex */
};

/* As capstan_node_new. */
CAPSTAN_MUST_CHECK capstan_err_t node_new(const capstan_node_options_t *options,
                                          const platform_t *platform, void *world,
                                          capstan_node_t **ret_node);
/* As node_enter and node_leave, for what starts something: false as soon as the node is stopping.
 */
bool node_begin_work(capstan_node_t *self);
void node_end_work(capstan_node_t *self);
/* As node_enter and node_leave, around a look where an actor is and a send to the ring there. */
bool node_enter_sender(capstan_node_t *self, uint32_t *ret_epoch);
void node_leave_sender(capstan_node_t *self, uint32_t epoch);
/* Returns when nobody is inside any more who came before. One caller at a time. */
void node_await_senders(capstan_node_t *self);
/* The log's thread need not write for this node any more. */
void node_end_logging(capstan_node_t *self);
/* Releases what node_keep was given. */
void kept_free_all(kept_t *first);
/* Frees a node whose cells and context have gone. */
void node_free(capstan_node_t *self);

static inline int64_t node_now_us(const capstan_node_t *self)
{
    return self->platform->now_ns(self) / 1000;
}

static inline bool slot_is_live(const slot_t *slot)
{
    return atomic_load_explicit(&slot->generation, memory_order_acquire) > 0;
}

#endif
