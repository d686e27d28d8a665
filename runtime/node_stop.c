/* The stop of a node; capstan/stop.h says what its phases are.
 *
 * The thread that stops the node asks the cells by commands, and waits on `changed`, or for a
 * millisecond where nobody signals. A fence is a command by which a cell says when it has seen it,
 * and when it has nothing left to do; with it goes how many messages it has handled so far. Two
 * fences in a row with the same counts: between them no cell handled anything, what had been sent
 * before the first was taken by the second, so nothing is under way (Mattern, "Algorithms for
 * distributed termination detection": the four-counter method, with empty inboxes in the place of
 * the other two counters). Only timers and descriptors can bring new work then. */
#include "runtime/host.h"
#include "runtime/node_internal.h"

#include "runtime/base/clock.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime_events.h"
#include "runtime/telemetry/log.h"

#include <stdlib.h>
#include <string.h>

enum { LATE_NAMES_MAX = 8 }; /* of a phase, in the log */

typedef struct stop {
    capstan_node_t *node;
    int64_t timeout_us;
    int64_t deadline_us; /* of the whole stop */
    const char *phase;
    int64_t phase_deadline_us;
    capstan_late_fn *late;
    void *context;
} stop_t;

/* --- time ------------------------------------------------------------------------------------ */

static void begin_phase(stop_t *self, const char *name, int64_t limit_us, int64_t share_us)
{
    int64_t until_us = clock_add_us(node_now_us(self->node), limit_us > 0 ? limit_us : share_us);
    self->phase = name;
    self->phase_deadline_us = until_us < self->deadline_us ? until_us : self->deadline_us;
}

/* Waits a little; false when the time has passed. The mutex is held. The host's cell has no other
 * thread that could bring it to its end: its turns are run here. */
static bool wait_until(stop_t *self, int64_t until_us)
{
    capstan_node_t *node = self->node;
    if (node_now_us(node) >= until_us) {
        return false;
    }
    if (node->host) {
        pthread_mutex_unlock(&node->mutex);
        host_wait(node->host, 1);
        pthread_mutex_lock(&node->mutex);
    } else {
        node->platform->wait_a_little(node);
    }
    return true;
}

/* Until the count is zero. */
static bool wait_for_none(stop_t *self, const _Atomic uint32_t *count)
{
    while (atomic_load_explicit(count, memory_order_seq_cst) > 0) {
        if (!wait_until(self, self->phase_deadline_us)) {
            return false;
        }
    }
    return true;
}

/* --- actors and cells ------------------------------------------------------------------------ */

static uint32_t slot_count(const capstan_node_t *node)
{
    return atomic_load_explicit(&node->slot_count, memory_order_acquire);
}

static const char *label_of(const slot_t *slot)
{
    return atomic_load_explicit(&slot->label, memory_order_relaxed);
}

static bool is_actor(const slot_t *slot)
{
    return slot_is_live(slot) && strcmp(label_of(slot), ".port") != 0;
}

static void command_all(stop_t *self, const command_t *command)
{
    for (uint32_t i = self->node->cell_count; i > 0; i--) {
        cell_command(node_cell_at(self->node, i - 1), command);
    }
}

/* Names whoever a phase waits for: in a cell where a handler runs, the actor whose it is, elsewhere
 * those who are late by the phase's measure. */
typedef bool is_late_fn(const slot_t *slot);

static void name_late(stop_t *self, is_late_fn *is_late, capstan_late_fn *late, void *context)
{
    capstan_node_t *node = self->node;
    for (uint32_t i = 0; i < slot_count(node); i++) {
        const slot_t *slot = node_slot(node, i);
        pulse_place_t place;
        bool idle =
            !pulse_read(slot_cell(slot)->pulse, &place) || pulse_phase(place.at) == PULSE_RUNTIME;
        bool named = idle ? is_actor(slot) && is_late(slot) : (uint32_t)place.actor == i;
        if (named) {
            late(context, label_of(slot));
        }
    }
}

static void log_late(void *context, const char *name)
{
    unsigned *count = context;
    if (++*count <= LATE_NAMES_MAX) {
        LOG(runtime, stop_late, log_string("name", name));
    }
}

static void log_phase_late(stop_t *self, is_late_fn *is_late)
{
    unsigned count = 0;
    name_late(self, is_late, log_late, &count);
    LOG(runtime, stop_phase_late, log_string("phase", self->phase), log_uint("late", count));
}

static bool has_mail(const slot_t *slot)
{
    return !mailbox_is_settled(&slot->mailbox);
}

static bool is_root(const slot_t *slot)
{
    return slot->started > 0;
}

static bool is_anyone(const slot_t *slot)
{
    (void)slot;
    return true;
}

/* --- fences ---------------------------------------------------------------------------------- */

static uint32_t send_fence(stop_t *self)
{
    uint32_t number = ++self->node->fences;
    command_all(self, &(command_t){.kind = COMMAND_FENCE, .generation = number});
    return number;
}

static bool all_have(const capstan_node_t *node, uint32_t fence, size_t offset)
{
    for (uint32_t i = 0; i < node->cell_count; i++) {
        const cell_t *cell = atomic_load_explicit(&node->cells[i], memory_order_acquire);
        const _Atomic uint32_t *has = (const _Atomic uint32_t *)((const char *)cell + offset);
        if (atomic_load_explicit(has, memory_order_acquire) != fence) {
            return false;
        }
    }
    return true;
}

static bool wait_for_fence(stop_t *self, uint32_t fence, size_t offset)
{
    while (!all_have(self->node, fence, offset)) {
        if (!wait_until(self, self->phase_deadline_us)) {
            return false;
        }
    }
    return true;
}

static uint64_t handled_by_all(const capstan_node_t *node)
{
    uint64_t sum = 0; /* of counts that only grow: equal sums are equal counts */
    for (uint32_t i = 0; i < node->cell_count; i++) {
        const cell_t *cell = atomic_load_explicit(&node->cells[i], memory_order_acquire);
        sum += atomic_load_explicit(&cell->fence_handled, memory_order_relaxed);
    }
    return sum;
}

/* --- the phases; the mutex is held ----------------------------------------------------------- */

static void close_intake(stop_t *self)
{
    begin_phase(self, "intake", self->node->options.stop.intake_us, self->timeout_us / 8);
    bool in_time = wait_for_none(self, &self->node->gate.starters);
    command_all(self, &(command_t){.kind = COMMAND_STOP_INTAKE});
    uint32_t fence = send_fence(self);
    if (!in_time || !wait_for_fence(self, fence, offsetof(cell_t, fence_seen))) {
        log_phase_late(self, has_mail);
    }
}

static void drain(stop_t *self)
{
    uint64_t before = UINT64_MAX;
    begin_phase(self, "drain", self->node->options.stop.drain_us, self->timeout_us / 4);
    for (;;) {
        uint32_t fence = send_fence(self);
        if (!wait_for_fence(self, fence, offsetof(cell_t, fence_rested))) {
            log_phase_late(self, has_mail);
            return;
        }
        uint64_t handled = handled_by_all(self->node);
        if (handled == before) {
            return;
        }
        before = handled;
    }
}

static bool is_running(const slot_t *slot, uint32_t generation)
{
    return atomic_load_explicit(&slot->generation, memory_order_acquire) == generation;
}

/* While others wait to be told, one may take half of the time that is left to the phase. */
static void stop_root(stop_t *self, slot_t *slot)
{
    uint32_t generation = atomic_load_explicit(&slot->generation, memory_order_acquire);
    int64_t now_us = node_now_us(self->node);
    int64_t patience_us = (self->phase_deadline_us - now_us) / 2;
    int64_t until_us = now_us + (patience_us > 0 ? patience_us : 0);
    if (generation == 0) {
        return;
    }
    cell_command(slot_cell(slot), &(command_t){.kind = COMMAND_STOP_ACTOR,
                                               .slot = slot,
                                               .generation = generation,
                                               .timeout_us = INT64_MAX});
    while (is_running(slot, generation) && wait_until(self, until_us)) {
    }
}

static int newest_first(const void *a, const void *b)
{
    const slot_t *x = *(slot_t *const *)a;
    const slot_t *y = *(slot_t *const *)b;
    return x->started < y->started ? 1 : x->started > y->started ? -1 : 0;
}

static void stop_roots(stop_t *self)
{
    capstan_node_t *node = self->node;
    size_t count = 0;
    slot_t **roots = calloc(slot_count(node) + 1, sizeof *roots);
    ENSURE(roots);
    for (uint32_t i = 0; i < slot_count(node); i++) {
        slot_t *slot = node_slot(node, i);
        if (slot->started > 0 && slot_is_live(slot)) {
            roots[count++] = slot;
        }
    }
    qsort(roots, count, sizeof(slot_t *), newest_first);
    for (size_t i = 0; i < count; i++) {
        stop_root(self, roots[i]);
    }
    free(roots);
}

static bool any_is(const capstan_node_t *node, is_late_fn *is_late)
{
    for (uint32_t i = 0; i < slot_count(node); i++) {
        const slot_t *slot = node_slot((capstan_node_t *)node, i);
        if (is_actor(slot) && is_late(slot)) {
            return true;
        }
    }
    return false;
}

static bool wait_for_end(stop_t *self, is_late_fn *who)
{
    while (any_is(self->node, who)) {
        if (!wait_until(self, self->phase_deadline_us)) {
            name_late(self, who, self->late, self->context);
            return false;
        }
    }
    return true;
}

/* What a root has started may be what it is waiting for, and is left to it until it has ended. */
static bool commit(stop_t *self)
{
    begin_phase(self, "commit", self->node->options.stop.commit_us, self->timeout_us / 2);
    stop_roots(self);
    if (!wait_for_end(self, is_root)) {
        return false;
    }
    command_all(self, &(command_t){.kind = COMMAND_STOP_ALL});
    return wait_for_end(self, is_anyone);
}

static bool is_settled(const capstan_node_t *node)
{
    for (uint32_t i = 0; i < slot_count(node); i++) {
        if (!mailbox_is_settled(&node_slot((capstan_node_t *)node, i)->mailbox)) {
            return false;
        }
    }
    return true;
}

/* Every message that was ever sent is delivered or dropped. */
static bool settle(stop_t *self)
{
    begin_phase(self, "close", self->node->options.stop.close_us, self->timeout_us);
    atomic_store_explicit(&self->node->gate.state, NODE_CLOSING, memory_order_seq_cst);
    bool in_time = wait_for_none(self, &self->node->gate.callers[0]) &&
                   wait_for_none(self, &self->node->gate.callers[1]);
    while (in_time && !is_settled(self->node)) {
        in_time = wait_until(self, self->phase_deadline_us);
    }
    if (!in_time) {
        self->late(self->context, "messages under way");
    }
    return in_time;
}

/* --- the end of what remains; without the mutex ---------------------------------------------- */

static bool end_cells(stop_t *self)
{
    capstan_node_t *node = self->node;
    cell_t *host = node->host;
    bool all = true;
    pthread_mutex_lock(&node->mutex);
    node->host = NULL; /* the last actors of other cells have nobody to wake any more */
    pthread_mutex_unlock(&node->mutex);
    if (host) {
        host_close(host);
    }
    for (uint32_t i = 0; i < node->cell_count; i++) {
        cell_t *cell = node_cell_at(node, i);
        if (cell && cell != host) {
            cell_command(cell, &(command_t){.kind = COMMAND_END});
        }
    }
    for (uint32_t i = 0; i < node->cell_count; i++) {
        cell_t *cell = node_cell_at(node, i);
        if (cell && (cell == host || node->platform->cell_join(cell, self->phase_deadline_us))) {
            atomic_store_explicit(&node->cells[i], NULL, memory_order_relaxed);
            cell_destroy(&cell);
        } else if (cell) {
            self->late(self->context, cell->name);
            all = false;
        }
    }
    return all;
}

static bool stop_actors(stop_t *self)
{
    capstan_node_t *node = self->node;
    pthread_mutex_lock(&node->mutex);
    bool in_time = true;
    if (atomic_load_explicit(&node->gate.state, memory_order_relaxed) != NODE_CLOSING) {
        close_intake(self);
        drain(self);
        in_time = commit(self);
    }
    in_time = in_time && settle(self);
    pthread_mutex_unlock(&node->mutex);
    return in_time;
}

static void name_nobody(void *context, const char *name)
{
    (void)context;
    (void)name;
}

/* One thread at a time, and only while there is something to stop. */
static bool may_stop(capstan_node_t *node)
{
    if (atomic_exchange_explicit(&node->gate.being_stopped, true, memory_order_acquire)) {
        return false;
    }
    uint32_t open = NODE_OPEN;
    atomic_compare_exchange_strong_explicit(&node->gate.state, &open, NODE_STOPPING,
                                            memory_order_seq_cst, memory_order_relaxed);
    if (open == NODE_FREE) {
        atomic_store_explicit(&node->gate.being_stopped, false, memory_order_release);
    }
    return open != NODE_FREE;
}

capstan_err_t capstan_node_stop(capstan_node_t **self_p, int64_t timeout_us, capstan_late_fn *late,
                                void *context)
{
    capstan_node_t *node = *self_p;
    if (!node) {
        return CAPSTAN_OK;
    }
    if (!may_stop(node)) {
        return CAPSTAN_E_STOPPING;
    }
    ENSURE(timeout_us >= 0 && (!node->host || host_is_mine(node->host)));
    stop_t self = {.node = node,
                   .timeout_us = timeout_us,
                   .deadline_us = clock_add_us(node_now_us(node), timeout_us),
                   .late = late ? late : name_nobody,
                   .context = context};
    bool in_time = stop_actors(&self) && end_cells(&self) &&
                   node->platform->close(node, self.phase_deadline_us, self.late, context);
    if (!in_time) {
        node_end_logging(node);
        atomic_store_explicit(&node->gate.being_stopped, false, memory_order_release);
        return CAPSTAN_E_STOP_TIMEOUT;
    }
    node_free(node);
    *self_p = NULL;
    return CAPSTAN_OK;
}
