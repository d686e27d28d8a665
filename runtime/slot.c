/* Slots: taken, named, ended, given out again. */
#include "runtime/slot.h"

#include "runtime/base/ensure.h"
#include "runtime/node_internal.h"

#include <stdlib.h>
#include <string.h>

slot_t *node_slot(capstan_node_t *node, uint32_t index)
{
    if (index / SLOT_CHUNK >= node->chunk_count) {
        return NULL;
    }
    /* Acquire: pairs with the release in add_chunk. */
    slot_t *chunk = atomic_load_explicit(&node->chunks[index / SLOT_CHUNK], memory_order_acquire);
    return chunk ? &chunk[index % SLOT_CHUNK] : NULL;
}

/* The node's mutex is held. A cell's first slots are beyond the limit of actors: one of them is its
 * port's, which nobody asked for who could be told that there is no room. */
static bool add_chunk(capstan_node_t *node, cell_t *cell, bool spare, slot_t **list)
{
    uint32_t first = atomic_load_explicit(&node->slot_count, memory_order_relaxed);
    bool port = !spare && !cell->port;
    if (!port && first / SLOT_CHUNK == node->chunk_count - CELLS_MAX + node->port_chunks) {
        return false;
    }
    slot_t *slots = aligned_alloc(_Alignof(slot_t), SLOT_CHUNK * sizeof *slots);
    if (!slots) {
        return false;
    }
    memset(slots, 0, SLOT_CHUNK * sizeof *slots);
    for (uint32_t i = SLOT_CHUNK; i > 0; i--) {
        slot_t *slot = &slots[i - 1];
        slot->index = first + i - 1;
        atomic_init(&slot->cell, cell);
        atomic_init(&slot->marks, spare ? SLOT_SPARE : 0);
        atomic_init(&slot->label, "");
        slot->next = *list;
        *list = slot;
    }
    atomic_store_explicit(&node->chunks[first / SLOT_CHUNK], slots, memory_order_release);
    atomic_store_explicit(&node->slot_count, first + SLOT_CHUNK, memory_order_release);
    node->port_chunks += port;
    return true;
}

/* Each cell has two lists: one that its own thread takes from without a lock, one for the others.
 * With the mutex held, unless the caller is the cell and its list is not empty. */
static slot_t *take_free(capstan_node_t *node, cell_t *cell, bool own)
{
    slot_t **list = own ? &cell->free_slots : &cell->spare_slots;
    if (!*list && !add_chunk(node, cell, !own, list)) {
        return NULL;
    }
    slot_t *slot = *list;
    *list = slot->next;
    slot->next = NULL;
    return slot;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void set_up(const capstan_node_t *node, slot_t *slot, const capstan_spawn_options_t *options)
{
    const capstan_node_options_t *defaults = &node->options;
    uint64_t messages = options->mailbox_messages;
    uint64_t bytes = options->mailbox_bytes;
    uint8_t marks = atomic_load_explicit(&slot->marks, memory_order_relaxed) & SLOT_SPARE;
    marks |= options->external ? SLOT_EXTERNAL : 0;
    atomic_store_explicit(&slot->marks, marks, memory_order_relaxed);
    atomic_store_explicit(&slot->overflow, (uint8_t)options->overflow, memory_order_relaxed);
    mailbox_set_limits(
        &slot->mailbox,
        (mailbox_limits_t){
            .messages_max =
                smaller(messages ? messages : defaults->mailbox_messages, MAILBOX_MESSAGES_MAX),
            .bytes_max = smaller(bytes ? bytes : defaults->mailbox_bytes, MAILBOX_BYTES_MAX),
        });
    if (++slot->last_generation == 0) {
        slot->last_generation = 1;
    }
}

static void publish(slot_t *slot, capstan_ref_t *ret_ref)
{
    atomic_store_explicit(&slot->generation, slot->last_generation, memory_order_release);
    *ret_ref = (capstan_ref_t){.slot = slot->index, .generation = slot->last_generation};
}

capstan_err_t node_slot_take(capstan_node_t *node, const capstan_spawn_options_t *options,
                             const capstan_behaviour_t *behaviour, cell_t *cell, const cell_t *from,
                             bool root, slot_t **ret_slot, capstan_ref_t *ret_ref)
{
    bool own = cell == from;
    bool lock = !own || !cell->free_slots || options->name || root;
    if (lock) {
        pthread_mutex_lock(&node->mutex);
    }
    slot_t *slot = take_free(node, cell, own);
    capstan_err_t err = slot ? CAPSTAN_OK : CAPSTAN_E_LIMIT;
    name_entry_t *name = NULL;
    if (slot && options->name) {
        err = names_add(&node->names, options->name, slot->index, &name);
    }
    if (err == CAPSTAN_OK) {
        if (root) {
            slot->started = ++node->started;
        }
        if (name) {
            slot->name = name;
        }
        atomic_store_explicit(&slot->label, name ? name->text : behaviour->name,
                              memory_order_relaxed);
        set_up(node, slot, options);
        publish(slot, ret_ref);
        *ret_slot = slot;
    } else if (slot) {
        slot_t **list = own ? &cell->free_slots : &cell->spare_slots;
        slot->next = *list;
        *list = slot;
    }
    if (lock) {
        pthread_mutex_unlock(&node->mutex);
    }
    return err;
}

void node_slot_end(slot_t *slot)
{
    capstan_node_t *node = slot_cell(slot)->node;
    slot->actor = NULL;
    if (!slot->name && slot->started == 0) {
        atomic_store_explicit(&slot->generation, 0, memory_order_release);
        return;
    }
    pthread_mutex_lock(&node->mutex);
    if (slot->name) {
        names_remove(&node->names, slot->name);
        slot->name = NULL;
        atomic_store_explicit(&slot->label, "", memory_order_relaxed);
    }
    /* Last: whoever sees that it has ended may give its name to another. */
    atomic_store_explicit(&slot->generation, 0, memory_order_release);
    slot->started = 0;
    pthread_cond_broadcast(&node->changed);
    if (node->host && node_stopping(node)) {
        cell_wake(node->host); /* its thread may be the one that waits in capstan_node_stop */
    }
    pthread_mutex_unlock(&node->mutex);
}

void node_slot_free(slot_t *slot)
{
    cell_t *cell = slot_cell(slot);
    if (!(atomic_load_explicit(&slot->marks, memory_order_relaxed) & SLOT_SPARE)) {
        slot->next = cell->free_slots;
        cell->free_slots = slot;
        return;
    }
    pthread_mutex_lock(&cell->node->mutex);
    slot->next = cell->spare_slots;
    cell->spare_slots = slot;
    pthread_mutex_unlock(&cell->node->mutex);
}
