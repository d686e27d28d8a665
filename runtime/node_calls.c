/* What threads that are no cells call: to start actors, to send and to ask, and to look around. */
#include "runtime/host.h"
#include "runtime/node_internal.h"

#include "runtime/base/clock.h"
#include "runtime/base/ensure.h"

#include <stdlib.h>
#include <string.h>

/* --- waiting --------------------------------------------------------------------------------- */

static void waiter_init(capstan_node_t *self, waiter_t *waiter)
{
    *waiter = (waiter_t){.host = host_is_mine(self->host) ? self->host : NULL};
    pthread_mutex_init(&waiter->mutex, NULL);
    pthread_cond_init(&waiter->condition, NULL);
}

/* The host's thread runs its cell meanwhile: what it waits for may depend on it. */
static capstan_err_t waiter_wait(capstan_node_t *self, waiter_t *waiter)
{
    pthread_mutex_lock(&waiter->mutex);
    while (!waiter->done) {
        if (waiter->host) {
            pthread_mutex_unlock(&waiter->mutex);
            host_wait(waiter->host, -1);
            pthread_mutex_lock(&waiter->mutex);
        } else {
            self->platform->wait(self, waiter);
        }
    }
    pthread_mutex_unlock(&waiter->mutex);
    pthread_cond_destroy(&waiter->condition);
    pthread_mutex_destroy(&waiter->mutex);
    return waiter->err;
}

capstan_err_t capstan_node_spawn(capstan_node_t *self, const capstan_behaviour_t *behaviour,
                                 const capstan_spawn_options_t *options, capstan_ref_t *ret_ref)
{
    static const capstan_spawn_options_t defaults = {0};
    const capstan_spawn_options_t *use = options ? options : &defaults;
    cell_t *cell;
    slot_t *slot;
    capstan_ref_t ref;
    if (node_stopping(self)) {
        return CAPSTAN_E_STOPPING;
    }
    capstan_err_t err = node_place(self, use, NULL, &cell);
    if (err != CAPSTAN_OK) {
        return err;
    }
    err = node_slot_take(self, use, behaviour, cell, NULL, true, &slot, &ref);
    if (err != CAPSTAN_OK) {
        if (cell->own) {
            node_give_cell(cell);
        }
        return err;
    }
    waiter_t waiter;
    waiter_init(self, &waiter);
    cell_command(cell, &(command_t){.kind = COMMAND_SPAWN,
                                    .adoption = {.slot = slot,
                                                 .behaviour = behaviour,
                                                 .argument = use->argument,
                                                 .answered = true},
                                    .waiter = &waiter});
    err = waiter_wait(self, &waiter);
    if (err == CAPSTAN_OK) {
        *ret_ref = ref;
    }
    return err;
}

/* --- foreign threads ------------------------------------------------------------------------- */

static foreign_t *foreign_new(capstan_ref_t target, uint32_t message, slice_t body)
{
    foreign_t *foreign = malloc(sizeof *foreign + body.size);
    ENSURE(foreign);
    *foreign = (foreign_t){.target = target, .message = message, .size = body.size};
    if (body.size > 0) {
        memcpy(foreign->body, body.data, body.size);
    }
    return foreign;
}

static capstan_err_t hand_over(cell_t *cell, foreign_t *foreign)
{
    if (!ring_push(&cell->ring, foreign)) {
        free(foreign);
        return CAPSTAN_E_MAILBOX_FULL;
    }
    cell_wake(cell);
    return CAPSTAN_OK;
}

capstan_err_t capstan_node_tell(capstan_node_t *self, capstan_ref_t target, uint32_t message,
                                capstan_slice_t body)
{
    slot_t *slot = route_find(self, target);
    if (!slot) {
        return CAPSTAN_E_GONE;
    }
    uint64_t cost = message_cost(&(capstan_message_t){.body = body});
    if (!mailbox_reserve(&slot->mailbox, cost, overflow_is_receivers(slot))) {
        return CAPSTAN_E_MAILBOX_FULL;
    }
    capstan_err_t err = hand_over(slot->cell, foreign_new(target, message, body));
    if (err != CAPSTAN_OK) {
        mailbox_unreserve(&slot->mailbox, cost);
    }
    return err;
}

capstan_err_t capstan_node_ask(capstan_node_t *self, capstan_ref_t target, uint32_t message,
                               capstan_slice_t body, int64_t timeout_us, void **ret_body,
                               size_t *ret_size)
{
    ENSURE(timeout_us > 0);
    const slot_t *slot = route_find(self, target);
    if (!slot) {
        return CAPSTAN_E_GONE;
    }
    waiter_t waiter;
    waiter_init(self, &waiter);
    foreign_t *foreign = foreign_new(target, message, body);
    foreign->waiter = &waiter;
    foreign->deadline_us = clock_add_us(node_now_us(self), timeout_us);
    capstan_err_t err = hand_over(slot->cell, foreign);
    if (err == CAPSTAN_OK) {
        err = waiter_wait(self, &waiter);
    }
    if (err != CAPSTAN_OK || !ret_body) {
        free(waiter.body);
        return err;
    }
    *ret_body = waiter.body;
    *ret_size = waiter.size;
    return CAPSTAN_OK;
}

capstan_err_t capstan_node_resolve(capstan_node_t *self, const char *name, capstan_ref_t *ret_ref)
{
    capstan_err_t err = CAPSTAN_E_NOT_FOUND;
    pthread_mutex_lock(&self->mutex);
    const name_entry_t *entry = names_find(&self->names, name);
    if (entry) {
        uint32_t generation =
            atomic_load_explicit(&node_slot(self, entry->slot)->generation, memory_order_acquire);
        /* 0: it has just ended, and its name goes next. */
        if (generation > 0) {
            *ret_ref = (capstan_ref_t){.slot = entry->slot, .generation = generation};
            err = CAPSTAN_OK;
        }
    }
    pthread_mutex_unlock(&self->mutex);
    return err;
}
