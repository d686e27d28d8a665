/* The stop of a node. */
#include "runtime/host.h"
#include "runtime/node_internal.h"

#include "runtime/base/clock.h"
#include "runtime/base/ensure.h"

#include <string.h>

/* The host's cell has no other thread that could bring it to its end: its turns are run here. */
static void wait_a_little(capstan_node_t *self)
{
    if (self->host) {
        pthread_mutex_unlock(&self->mutex);
        host_wait(self->host, 1);
        pthread_mutex_lock(&self->mutex);
        return;
    }
    self->platform->wait_a_little(self);
}

static uint32_t slot_count(capstan_node_t *self)
{
    return atomic_load_explicit(&self->slot_count, memory_order_acquire);
}

static slot_t *newest_root(capstan_node_t *self)
{
    slot_t *newest = NULL;
    for (uint32_t i = 0; i < slot_count(self); i++) {
        slot_t *slot = node_slot(self, i);
        if (slot->started > 0 && slot_is_live(slot) &&
            (!newest || slot->started > newest->started)) {
            newest = slot;
        }
    }
    return newest;
}

/* The three phases; each returns false when the deadline passed. The mutex is held. */
static bool stop_roots(capstan_node_t *self, int64_t deadline_us)
{
    for (slot_t *slot; (slot = newest_root(self));) {
        uint32_t generation = atomic_load_explicit(&slot->generation, memory_order_acquire);
        cell_command(slot->cell, &(command_t){.kind = COMMAND_STOP_ACTOR,
                                              .slot = slot,
                                              .generation = generation,
                                              .timeout_us = INT64_MAX});
        while (atomic_load_explicit(&slot->generation, memory_order_acquire) == generation) {
            if (node_now_us(self) >= deadline_us) {
                return false;
            }
            wait_a_little(self);
        }
    }
    return true;
}

static uint32_t live_actors(capstan_node_t *self, capstan_late_fn *each, void *context)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < slot_count(self); i++) {
        const slot_t *slot = node_slot(self, i);
        const char *label = atomic_load_explicit(&slot->label, memory_order_relaxed);
        if (slot_is_live(slot) && strcmp(label, ".port") != 0) {
            count++;
            if (each) {
                each(context, label);
            }
        }
    }
    return count;
}

static bool stop_rest(capstan_node_t *self, int64_t deadline_us)
{
    for (uint32_t i = self->cell_count; i > 0; i--) {
        cell_command(node_cell_at(self, i - 1), &(command_t){.kind = COMMAND_STOP_ALL});
    }
    while (live_actors(self, NULL, NULL) > 0) {
        if (node_now_us(self) >= deadline_us) {
            return false;
        }
        wait_a_little(self);
    }
    return true;
}

static bool is_settled(capstan_node_t *self)
{
    for (uint32_t i = 0; i < slot_count(self); i++) {
        if (!mailbox_is_settled(&node_slot(self, i)->mailbox)) {
            return false;
        }
    }
    return true;
}

/* Every message that was ever sent is delivered or dropped: the cells drain what is under way. */
static bool settle(capstan_node_t *self, int64_t deadline_us)
{
    while (!is_settled(self)) {
        if (node_now_us(self) >= deadline_us) {
            return false;
        }
        wait_a_little(self);
    }
    return true;
}

static bool end_cells(capstan_node_t *self, int64_t deadline_us, capstan_late_fn *late,
                      void *context)
{
    bool all = true;
    cell_t *host = self->host;
    pthread_mutex_lock(&self->mutex);
    self->host = NULL; /* the last actors of other cells have nobody to wake any more */
    pthread_mutex_unlock(&self->mutex);
    if (host) {
        host_close(host);
    }
    for (uint32_t i = 0; i < self->cell_count; i++) {
        if (node_cell_at(self, i) != host) {
            cell_command(node_cell_at(self, i), &(command_t){.kind = COMMAND_END});
        }
    }
    for (uint32_t i = 0; i < self->cell_count; i++) {
        cell_t *cell = node_cell_at(self, i);
        if (cell == host || self->platform->cell_join(cell, deadline_us)) {
            cell_destroy(&cell);
        } else {
            all = false;
            if (late) {
                late(context, cell->name);
            }
        }
    }
    return all;
}

capstan_err_t capstan_node_stop(capstan_node_t **self_p, int64_t timeout_us, capstan_late_fn *late,
                                void *context)
{
    capstan_node_t *self = *self_p;
    if (!self) {
        return CAPSTAN_OK;
    }
    ENSURE(!self->host || host_is_mine(self->host));
    int64_t deadline_us = clock_add_us(node_now_us(self), timeout_us > 0 ? timeout_us : 0);
    atomic_store_explicit(&self->stopping, true, memory_order_relaxed);
    pthread_mutex_lock(&self->mutex);
    bool in_time = stop_roots(self, deadline_us) && stop_rest(self, deadline_us);
    if (!in_time) {
        live_actors(self, late, context);
    } else if (!(in_time = settle(self, deadline_us)) && late) {
        late(context, "messages under way");
    }
    pthread_mutex_unlock(&self->mutex);
    in_time = in_time && end_cells(self, deadline_us, late, context) &&
              self->platform->close(self, deadline_us, late, context);
    if (!in_time) {
        node_end_logging(self);
        return CAPSTAN_E_STOP_TIMEOUT;
    }
    node_free(self);
    *self_p = NULL;
    return CAPSTAN_OK;
}
