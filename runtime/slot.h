/* The node's table of actors: where a reference leads. Internal to runtime/.
 *
 *   free list of a cell --take--> live (generation > 0) --end, end of turn--> the same free list
 *
 * The table never shrinks, and a slot stays with its cell, unless its actor is moved to another
 * one: whatever was sent to it, however late, arrives at the one thread that keeps its account.
 * Whoever holds an old reference sees another generation; the cell drops and counts what such a
 * sender had under way. */
#ifndef RUNTIME_SLOT_H
#define RUNTIME_SLOT_H

#include "runtime/names.h"
#include "runtime/runtime.h"

typedef struct cell cell_t;

enum { SLOT_CHUNK = 256 }; /* 64 KiB */

enum {
    SLOT_SPARE = 1,    /* belongs to the list that other threads take from; for ever */
    SLOT_EXTERNAL = 2, /* peers may send to the incarnation: see outside.h */
};

/* A place in the node's actor table. */
typedef struct slot {
    /* The live incarnation, 0 when there is none. Stored with release after everything below is
     * set; loaded by senders on other cells. */
    _Atomic uint32_t generation;
    uint32_t index;
    uint32_t last_generation;
    _Atomic uint8_t overflow;    /* capstan_overflow_t */
    _Atomic uint8_t marks;       /* SLOT_... */
    _Atomic uint16_t restarts;   /* how often its supervisor put another one here; saturates */
    _Atomic(cell_t *) cell;      /* released by the one it was before; see move.h */
    capstan_actor_t *actor;      /* the cell's thread only; NULL: it has none, or not yet */
    name_entry_t *name;          /* NULL: it has none. Under the node's mutex, as is its text */
    _Atomic(const char *) label; /* the name's text, or the behaviour's constant name */
    uint64_t started;            /* order of start; 0 for actors that other actors started */
    struct slot *next;           /* in a free list */
    mailbox_t mailbox;
} slot_t;

_Static_assert(sizeof(slot_t) <= 256, "a million resting actors are to fit in half a gigabyte");

static inline cell_t *slot_cell(const slot_t *slot)
{
    return atomic_load_explicit(&slot->cell, memory_order_acquire);
}

slot_t *node_slot(capstan_node_t *node, uint32_t index); /* NULL: no such slot */
/* Takes a free slot of `cell` and publishes its next incarnation: from here on messages can be sent
 * to it; they wait in the cell's inbox behind the spawn. `from` is the calling cell, NULL on other
 * threads. Errors: LIMIT, INVALID and EXISTS (the name), NO_MEMORY. */
capstan_err_t node_slot_take(capstan_node_t *node, const capstan_spawn_options_t *options,
                             const capstan_behaviour_t *behaviour, cell_t *cell, const cell_t *from,
                             bool root, slot_t **ret_slot, capstan_ref_t *ret_ref);
/* The cell's thread. The incarnation has ended: its name is free, and capstan_node_stop hears. */
void node_slot_end(slot_t *slot);
/* The cell's thread, at the end of that turn: the slot may be given out again. */
void node_slot_free(slot_t *slot);

#endif
