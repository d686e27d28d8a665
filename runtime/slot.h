/* The node's table of actors: where a reference leads. Internal to runtime/.
 *
 *   free list --take--> live (generation > 0) --end--> retired --all accounted for--> free list
 *
 * The table never shrinks, so that a slot can be looked at from any thread at any time; whoever
 * holds an old reference sees another generation. */
#ifndef RUNTIME_SLOT_H
#define RUNTIME_SLOT_H

#include "runtime/runtime.h"

typedef struct cell cell_t;

enum { SLOT_CHUNK = 1024 };

/* A place in the node's actor table. */
typedef struct slot {
    mailbox_t mailbox;
    /* The live incarnation, 0 when there is none. Stored with release after everything below is
     * set; loaded by senders on other cells. Its end is ordered with `sent`: see route_send. */
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

#endif
