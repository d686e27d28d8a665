/* What a node stands on: its clocks, what runs its cells, how a batch gets from one cell to
 * another, and how a thread that is no cell waits. Everything above is the same code on each
 * platform.
 *
 *   platform_threads   a thread per cell, ZeroMQ between them, the system's clocks
 *   the simulation's   all cells of several nodes on the caller's thread, in virtual time
 *
 * Nothing here is called per message: at most once per turn, batch or wake-up. Internal to
 * runtime/. */
#ifndef RUNTIME_PLATFORM_H
#define RUNTIME_PLATFORM_H

#include "runtime/transport.h"

#include <capstan/node.h>

typedef struct waiter waiter_t;

typedef struct platform {
    /* Any thread. The first one is monotonic. */
    int64_t (*now_ns)(const capstan_node_t *node);
    int64_t (*utc_us)(const capstan_node_t *node);
    /* Any thread. What nobody can foresee, or nobody needs to in a simulation. */
    void (*random)(const capstan_node_t *node, void *bytes, size_t size);

    /* The node: before its first cell, and after its last one has been destroyed. `close` returns
     * false, and tells `late` why, when it could not end by the deadline. */
    capstan_err_t (*open)(capstan_node_t *node);
    bool (*close)(capstan_node_t *node, int64_t deadline_us, capstan_late_fn *late, void *context);

    /* A cell: its inbox is made, then its turns begin (not those of the host's cell: host.h), on a
     * thread that does not hold the node's mutex, as the caller does; they end after COMMAND_END,
     * which `cell_join` waits for (false: not by the deadline); last, and also for one that never
     * began, its inbox goes. */
    capstan_err_t (*cell_open)(cell_t *cell);
    capstan_err_t (*cell_start)(cell_t *cell);
    bool (*cell_join)(cell_t *cell, int64_t deadline_us);
    void (*cell_close)(cell_t *cell);
    /* Any thread. The cell is `sleeping` and there is something for it. */
    void (*wake)(cell_t *cell);

    /* Takes what the outbox holds, sealed, to the inbox of `to`, behind all that went this way
     * before. `receive` hands out a batch that has come, in a new block; NULL when there is none.
     * The sending and the receiving cell's thread. */
    void (*send)(cell_t *from, cell_t *to, outbox_t *outbox);
    block_t *(*receive)(cell_t *cell, slice_t *ret_batch);

    /* A thread that is no cell: returns when there may be news for the waiter, whose mutex is held
     * and let go meanwhile; the same with the node's mutex while it is being stopped. */
    void (*wait)(capstan_node_t *node, waiter_t *waiter);
    void (*wait_a_little)(capstan_node_t *node);

    /* May be NULL: a message for an actor of another node, and the name of one, with a ':' in it.
     * Errors: GONE; NOT_FOUND. */
    capstan_err_t (*send_away)(cell_t *from, const capstan_message_t *message);
    capstan_err_t (*resolve_away)(capstan_node_t *node, const char *name, capstan_ref_t *ret_ref);
} platform_t;

extern const platform_t platform_threads;

#endif
