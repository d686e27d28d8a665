/* A cell: one thread, and the actors it hosts. Internal to runtime/.
 *
 *   other cells --PUSH--> inbox (PULL, inproc)  \
 *   foreign threads ----> ring + eventfd         >  mailboxes --> ready list --> handlers
 *   node (spawn, stop) -> control list + eventfd /                                 |
 *   descriptors, sockets, timers ------------------------------------------------->|
 *                                                                                  v
 *   other cells <--PUSH-- outbox per cell: one batch, flushed at the end of the turn
 *
 * A turn: control, ring, inbox up to a budget; due timers; watched descriptors; ready actors up to
 * a budget; turn_end of every actor that did something; flush. An idle cell looks for work for
 * spin_us or a few times that, then sleeps in zmq_poll (a wake-up costs 25 us, a look 0.5 us).
 *
 * Invariants:
 *  - everything in cell_t is touched by its own thread only, except ring, control and `sleeping`;
 *  - a message is counted as sent in its receiver's mailbox before it enters a transport, and is
 *    counted as delivered or dropped by the receiver's cell exactly once;
 *  - a slot is given out again only when all that was sent to it has been accounted for. */
#ifndef RUNTIME_CELL_H
#define RUNTIME_CELL_H

#include "runtime/base/buffer.h"
#include "runtime/base/ring.h"
#include "runtime/runtime.h"
#include "runtime/timers.h"
#include "runtime/wire/batch.h"

#include <pthread.h>
#include <zmq.h>

enum {
    CELLS_MAX = 64,
    CELL_NAME_SIZE = 32,
    CELL_RING_CAPACITY = 4096,
    CELL_INBOX_BUDGET = 64,    /* batches taken from the inbox per turn */
    CELL_MAIL_BUDGET = 8192,   /* messages handled per turn */
    CELL_BATCH_BYTES = 65536,  /* an outbox is flushed when it holds this much */
    CELL_BLOCK_BYTES = 65536,  /* bodies of messages within the cell lie in blocks of this size */
    CELL_WATCHES_MAX = 64,
    SLOT_CHUNK = 1024,
};

typedef struct cell cell_t;

/* Memory that several queued messages share: a received batch, or a block of local bodies. */
typedef struct block {
    uint32_t references;
    bool received; /* `batch` is open and must be closed */
    size_t used;
    size_t size;
    zmq_msg_t batch;
    uint8_t data[];
} block_t;

typedef struct cell_mail {
    mail_t mail; /* first: mail_t * and cell_mail_t * are the same address */
    block_t *block;
} cell_mail_t;

/* A place in the node's actor table. */
typedef struct slot {
    mailbox_t mailbox;
    /* The live incarnation, 0 when there is none. Stored with release after everything below is
     * set; loaded with acquire by senders on other cells. */
    _Atomic uint32_t generation;
    uint32_t index;
    uint32_t last_generation;
    cell_t *cell;
    capstan_actor_t *actor; /* the cell's thread only */
    uint64_t started;       /* order of start; 0 for actors that other actors started */
    bool overflow_drops;
    char name[64];
    mailbox_account_t base; /* the account when this incarnation began */
    struct slot *next;      /* in the node's free list or the cell's retired list */
} slot_t;

struct capstan_actor {
    cell_t *cell;
    slot_t *slot;
    capstan_ref_t ref;
    const capstan_behaviour_t *behaviour;
    void *state;
    capstan_actor_t *next_ready;
    capstan_actor_t *next_turned;
    capstan_actor_t *next_dead;
    capstan_actor_t *previous; /* all actors of the cell, newest first */
    capstan_actor_t *next;
    capstan_ref_t *watchers;
    size_t watcher_count;
    uint32_t ask_head; /* its pending asks */
    uint32_t timer_count;
    bool ready;    /* in the ready list */
    bool turned;   /* in the turned list */
    bool running;  /* one of its handlers is on the stack */
    bool stopping; /* it has heard `stop` */
    bool exiting;
    bool dead; /* ended; its memory stays until the end of the turn */
    capstan_err_t reason;
};

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
    capstan_actor_t *actor; /* NULL with a waiter */
    waiter_t *waiter;
    uint64_t timer;
    uint32_t generation;
    uint32_t next; /* of the actor's asks, or in the free list */
    uint32_t previous;
    bool pending;
} ask_t;

typedef struct outbox {
    void *socket; /* PUSH to the other cell's inbox; made on first use */
    buffer_t buffer;
    batch_writer_t writer;
} outbox_t;

typedef struct watch {
    capstan_actor_t *actor;
    void *cookie;
} watch_t;

typedef enum command_kind {
    COMMAND_SPAWN,
    COMMAND_STOP_ACTOR,
    COMMAND_STOP_ALL, /* stop every actor that is left */
    COMMAND_END,      /* leave the loop; no actor is left on any cell */
} command_kind_t;

typedef struct command {
    struct command *next;
    command_kind_t kind;
    slot_t *slot;
    uint32_t generation;
    const capstan_behaviour_t *behaviour;
    void *argument;
    waiter_t *waiter;
} command_t;

/* A message from a foreign thread, malloc'ed, freed by the cell. */
typedef struct foreign {
    capstan_ref_t target;
    uint32_t message;
    waiter_t *waiter; /* an ask */
    int64_t timeout_us;
    size_t size;
    uint8_t body[];
} foreign_t;

struct cell {
    capstan_node_t *node;
    uint32_t index;
    char name[CELL_NAME_SIZE];
    pthread_t thread;

    void *inbox;
    outbox_t outboxes[CELLS_MAX];
    uint32_t dirty[CELLS_MAX]; /* outboxes that hold something */
    size_t dirty_count;

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

    capstan_actor_t *ready_head;
    capstan_actor_t *ready_tail;
    capstan_actor_t *turned_head;
    capstan_actor_t *actors;
    slot_t *retired;

    zmq_pollitem_t items[CELL_WATCHES_MAX + 2]; /* inbox, wake_fd, then the watches */
    watch_t watches[CELL_WATCHES_MAX];
    size_t watch_count;

    ask_t *asks;
    size_t ask_capacity;
    uint32_t ask_free;

    cell_mail_t *mail_free;
    block_t *block; /* local bodies go here */

    capstan_actor_t *port; /* asks on behalf of foreign threads */
    capstan_actor_t *dead; /* ended in this turn; freed at its end */
    bool ending;
};

/* Life of a cell; called by the node. */
capstan_err_t cell_new(capstan_node_t *node, uint32_t index, const char *name, cell_t **ret_cell);
/* After its thread was joined. */
void cell_destroy(cell_t **self_p);

/* Any thread: hands over a command (malloc'ed; the cell frees it). */
void cell_command(cell_t *self, const command_t *command);
/* Any thread: makes a sleeping cell look. */
void cell_wake(cell_t *self);

/* The cell's thread: one turn; returns true when there was something to do. */
bool cell_turn(cell_t *self);
/* The cell's thread, between handlers: what was handed over so far; false when there was nothing. */
bool cell_run_commands(cell_t *self);

/* Transport (runtime/transport.c). The receiver's mailbox has been reserved. */
void transport_send_local(cell_t *self, slot_t *slot, const capstan_message_t *message);
void transport_send_remote(cell_t *self, slot_t *slot, const capstan_message_t *message);
void transport_flush(cell_t *self);
/* Takes one batch from the inbox and queues its messages; false when there is none. */
bool transport_receive(cell_t *self);
void transport_close(cell_t *self);
/* Queues a message on this cell, or drops it when its receiver has ended. Takes a reference of the
 * block. */
void cell_deliver(cell_t *self, slot_t *slot, const capstan_message_t *message, block_t *block);
/* Puts an actor with mail into the ready list, once. */
void cell_make_ready(cell_t *self, capstan_actor_t *actor);
block_t *block_new(size_t size);
void block_release(block_t *self);

/* Actors of this cell (runtime/actor.c). */
capstan_err_t cell_adopt(cell_t *self, slot_t *slot, const capstan_behaviour_t *behaviour,
                         void *argument);
void cell_stop_actor(capstan_actor_t *actor);
/* One queued message of the actor; false when its queue is empty. */
bool actor_run_one(capstan_actor_t *self);
void actor_run_turn_end(capstan_actor_t *self);
void actor_run_timer(capstan_actor_t *self, uint64_t timer, void *cookie);
void actor_run_ready(capstan_actor_t *self, void *cookie);
/* Hands the actor a message that went through no mailbox: the end of its own ask. */
void actor_run_answer(capstan_actor_t *self, const capstan_message_t *message);
/* Frees the actors that ended in this turn. */
void cell_bury(cell_t *self);

/* Asks (runtime/ask.c). */
uint64_t ask_start(cell_t *cell, capstan_actor_t *actor, waiter_t *waiter, int64_t timeout_us);
/* Ends a pending ask; returns it while its fields are still valid, or NULL. */
ask_t *ask_end(cell_t *cell, uint64_t correlation);
ask_t *ask_find(cell_t *cell, uint64_t correlation);
void ask_expired(cell_t *cell, uint64_t correlation);
void ask_cancel_all(cell_t *cell, capstan_actor_t *actor);
void waiter_finish(waiter_t *waiter, capstan_err_t err, slice_t body);

/* Routing (runtime/route.c): finds the slot of a reference, reserves, and picks the transport. */
capstan_err_t route_send(cell_t *from, const capstan_message_t *message, bool always);
/* Tells a watcher that an actor has ended. */
void route_tell_down(cell_t *from, capstan_ref_t watcher, capstan_ref_t who, capstan_err_t reason);
/* Answers a message that reached nobody: a request with an error, a wish to watch with the `down`
 * of an actor that has gone. */
void route_refuse(cell_t *from, const capstan_message_t *request, capstan_err_t err,
                  const char *text);
/* What a message takes of its mailbox's bytes: the body, and what carries it. */
uint64_t message_cost(const capstan_message_t *message);
/* The slot of a live incarnation, or NULL. Any thread. */
slot_t *route_find(capstan_node_t *node, capstan_ref_t target);

/* The actor table (runtime/node.c). */
slot_t *node_slot(capstan_node_t *node, uint32_t index); /* NULL: no such slot */
/* Takes a free slot and publishes its next incarnation: from here on messages can be sent to it;
 * they wait in the cell's inbox behind the spawn. */
capstan_err_t node_slot_take(capstan_node_t *node, const capstan_spawn_options_t *options,
                             const capstan_behaviour_t *behaviour, cell_t *cell, bool root,
                             slot_t **ret_slot, capstan_ref_t *ret_ref);
/* The incarnation has ended; wakes capstan_node_stop. */
void node_slot_retire(capstan_node_t *node, slot_t *slot);
/* The slot may be given out again: all that was sent to it is accounted for. */
void node_slot_free(capstan_node_t *node, slot_t *slot);
/* The cell of that name; started when there is none yet. */
capstan_err_t node_cell(capstan_node_t *node, const char *name, cell_t **ret_cell);
cell_t *node_cell_at(capstan_node_t *node, uint32_t index);
const capstan_node_options_t *node_options(const capstan_node_t *node);

#endif
