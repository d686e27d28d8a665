/* What threads that are no cells call: to start actors, to send and to ask, and to look around. */
#include "runtime/node_internal.h"

#include "runtime/base/clock.h"
#include "runtime/base/ensure.h"

#include <stdlib.h>
#include <string.h>

/* --- starting -------------------------------------------------------------------------------- */

static capstan_err_t start_actor(capstan_node_t *self, const capstan_behaviour_t *behaviour,
                                 const capstan_spawn_options_t *options, capstan_ref_t *ret_ref,
                                 waiter_t **ret_waiter)
{
    cell_t *cell;
    slot_t *slot;
    capstan_err_t err = node_place(self, options, NULL, &cell);
    if (err != CAPSTAN_OK) {
        return err;
    }
    err = node_slot_take(self, options, behaviour, cell, NULL, true, &slot, ret_ref);
    if (err != CAPSTAN_OK) {
        if (cell->own) {
            node_give_cell(cell);
        }
        return err;
    }
    *ret_waiter = waiter_new(self);
    cell_command(cell, &(command_t){.kind = COMMAND_SPAWN,
                                    .adoption = {.slot = slot,
                                                 .behaviour = behaviour,
                                                 .argument = options->argument,
                                                 .answered = true},
                                    .waiter = *ret_waiter});
    return CAPSTAN_OK;
}

capstan_err_t capstan_node_spawn(capstan_node_t *self, const capstan_behaviour_t *behaviour,
                                 const capstan_spawn_options_t *options, capstan_ref_t *ret_ref)
{
    static const capstan_spawn_options_t defaults = {0};
    capstan_ref_t ref;
    waiter_t *waiter;
    if (!node_begin_work(self)) {
        return CAPSTAN_E_STOPPING;
    }
    capstan_err_t err = start_actor(self, behaviour, options ? options : &defaults, &ref, &waiter);
    node_end_work(self);
    if (err == CAPSTAN_OK) {
        err = waiter_wait(waiter, INT64_MAX, NULL, NULL);
    }
    if (err == CAPSTAN_OK) {
        *ret_ref = ref;
    }
    return err;
}

/* --- sending --------------------------------------------------------------------------------- */

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

static capstan_err_t tell(capstan_node_t *self, capstan_ref_t target, uint32_t message,
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
    capstan_err_t err = hand_over(slot_cell(slot), foreign_new(target, message, body));
    if (err != CAPSTAN_OK) {
        mailbox_unreserve(&slot->mailbox, cost);
    }
    return err;
}

capstan_err_t capstan_node_tell(capstan_node_t *self, capstan_ref_t target, uint32_t message,
                                capstan_slice_t body)
{
    uint32_t epoch;
    if (!node_enter_sender(self, &epoch)) {
        return CAPSTAN_E_STOPPING;
    }
    capstan_err_t err = tell(self, target, message, body);
    node_leave_sender(self, epoch);
    return err;
}

static capstan_err_t hand_over_ask(capstan_node_t *self, foreign_t *foreign, waiter_t **ret_waiter)
{
    const slot_t *slot = route_find(self, foreign->target);
    if (!slot) {
        free(foreign);
        return CAPSTAN_E_GONE;
    }
    waiter_t *waiter = waiter_new(self);
    foreign->waiter = waiter;
    capstan_err_t err = hand_over(slot_cell(slot), foreign);
    if (err != CAPSTAN_OK) {
        waiter_drop(waiter);
        return err;
    }
    *ret_waiter = waiter;
    return CAPSTAN_OK;
}

capstan_err_t capstan_node_ask(capstan_node_t *self, capstan_ref_t target, uint32_t message,
                               capstan_slice_t body, int64_t timeout_us, void **ret_body,
                               size_t *ret_size)
{
    ENSURE(timeout_us > 0);
    waiter_t *waiter;
    if (!node_begin_work(self)) {
        return CAPSTAN_E_STOPPING;
    }
    int64_t deadline_us = clock_add_us(node_now_us(self), timeout_us);
    foreign_t *foreign = foreign_new(target, message, body);
    foreign->deadline_us = deadline_us;
    capstan_err_t err = hand_over_ask(self, foreign, &waiter);
    node_end_work(self); /* from here on the cell and the waiter are enough */
    return err != CAPSTAN_OK ? err : waiter_wait(waiter, deadline_us, ret_body, ret_size);
}

/* --- moving ---------------------------------------------------------------------------------- */

/* The cell exists, and takes messages. */
static capstan_err_t await_cell(capstan_node_t *self, const char *name, cell_t **ret_cell)
{
    if (!node_begin_work(self)) {
        return CAPSTAN_E_STOPPING;
    }
    waiter_t *waiter = NULL;
    capstan_err_t err = node_place(self, &(capstan_spawn_options_t){.cell = name}, NULL, ret_cell);
    if (err == CAPSTAN_OK) {
        waiter = waiter_new(self);
        cell_command(*ret_cell, &(command_t){.kind = COMMAND_READY, .waiter = waiter});
    }
    node_end_work(self);
    return err == CAPSTAN_OK ? waiter_wait(waiter, INT64_MAX, NULL, NULL) : err;
}

/* `ret_from` is the actor's cell, and NULL when it is there already. */
static capstan_err_t send_off(capstan_node_t *self, capstan_ref_t actor, cell_t *to,
                              cell_t **ret_from, waiter_t **ret_waiter)
{
    slot_t *slot = route_find(self, actor);
    bool moving = false;
    if (!slot) {
        return CAPSTAN_E_GONE;
    }
    if (!atomic_compare_exchange_strong(&self->moving, &moving, true)) {
        return CAPSTAN_E_UNAVAILABLE;
    }
    cell_t *from = slot_cell(slot);
    if (from == to) {
        atomic_store(&self->moving, false);
        *ret_from = NULL;
        return CAPSTAN_OK;
    }
    *ret_from = from;
    *ret_waiter = waiter_new(self);
    cell_command(from, &(command_t){.kind = COMMAND_MOVE,
                                    .slot = slot,
                                    .generation = actor.generation,
                                    .to = to,
                                    .waiter = *ret_waiter});
    return CAPSTAN_OK;
}

/* The actor is on its way when this returns. */
static capstan_err_t begin_move(capstan_node_t *self, capstan_ref_t actor, cell_t *to,
                                cell_t **ret_from)
{
    waiter_t *waiter;
    if (!node_begin_work(self)) {
        return CAPSTAN_E_STOPPING;
    }
    capstan_err_t err = send_off(self, actor, to, ret_from, &waiter);
    node_end_work(self);
    return err == CAPSTAN_OK && *ret_from ? waiter_wait(waiter, INT64_MAX, NULL, NULL) : err;
}

/* The node does not end meanwhile: it waits for the actor. */
static capstan_err_t finish_move(capstan_node_t *self, cell_t *from, slot_t *slot)
{
    node_await_senders(self);
    waiter_t *waiter = waiter_new(self);
    cell_command(from, &(command_t){.kind = COMMAND_MOVE_END, .slot = slot, .waiter = waiter});
    return waiter_wait(waiter, INT64_MAX, NULL, NULL);
}

capstan_err_t capstan_node_move(capstan_node_t *self, capstan_ref_t actor, const char *cell)
{
    cell_t *to;
    cell_t *from;
    capstan_err_t err = await_cell(self, cell, &to);
    if (err == CAPSTAN_OK) {
        err = begin_move(self, actor, to, &from);
    }
    return err == CAPSTAN_OK && from ? finish_move(self, from, node_slot(self, actor.slot)) : err;
}

/* --- looking around -------------------------------------------------------------------------- */

static capstan_err_t resolve(capstan_node_t *self, const char *name, capstan_ref_t *ret_ref)
{
    capstan_err_t err = CAPSTAN_E_NOT_FOUND;
    if (self->platform->resolve_away && strchr(name, ':')) {
        return self->platform->resolve_away(self, name, ret_ref);
    }
    pthread_mutex_lock(&self->mutex);
    const name_entry_t *entry = names_find(&self->names, name);
    if (entry) {
        const slot_t *slot = node_slot(self, entry->slot);
        *ret_ref = (capstan_ref_t){
            .slot = entry->slot,
            .generation = atomic_load_explicit(&slot->generation, memory_order_acquire)};
        err = CAPSTAN_OK;
    }
    pthread_mutex_unlock(&self->mutex);
    return err;
}

capstan_err_t capstan_node_resolve(capstan_node_t *self, const char *name, capstan_ref_t *ret_ref)
{
    if (!node_enter(self)) {
        return CAPSTAN_E_STOPPING;
    }
    capstan_err_t err = resolve(self, name, ret_ref);
    node_leave(self);
    return err;
}
