/* The node: the ZeroMQ context, the cells, and the table of actors. */
#include "runtime/cell.h"

#include "runtime/base/ensure.h"
#include "runtime/registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
    ACTORS_MAX = 1 << 20,
    MAILBOX_MESSAGES = 1 << 20,
    MAILBOX_BYTES = 256 << 20,
    SPIN_US = 10,
    SOCKETS_MAX = CELLS_MAX * (CELLS_MAX + 1) + 256, /* a full mesh of cells, and the gateways' */
};

struct capstan_node {
    capstan_node_options_t options;
    void *zmq;
    pthread_mutex_t mutex; /* slots' free list, cells, start order; never taken per message */
    pthread_cond_t changed;
    _Atomic(slot_t *) *chunks;
    uint32_t chunk_count;
    uint32_t slot_count;
    slot_t *free_slots;
    uint64_t started; /* order of start of the actors that the host started */
    _Atomic(cell_t *) cells[CELLS_MAX];
    uint32_t cell_count;
    _Atomic bool stopping;
    registry_t registry;
};

/* --- figures that others ask for ------------------------------------------------------------- */

void *node_zmq(capstan_node_t *self)
{
    return self->zmq;
}

uint64_t node_id(const capstan_node_t *self)
{
    return self->options.id;
}

uint32_t node_boot(const capstan_node_t *self)
{
    return self->options.boot;
}

const capstan_node_options_t *node_options(const capstan_node_t *node)
{
    return &node->options;
}

registry_t *node_registry(capstan_node_t *self)
{
    return &self->registry;
}

bool node_stopping(const capstan_node_t *self)
{
    return atomic_load_explicit(&self->stopping, memory_order_relaxed);
}

cell_t *node_cell_at(capstan_node_t *node, uint32_t index)
{
    return atomic_load_explicit(&node->cells[index], memory_order_acquire);
}

/* --- slots ----------------------------------------------------------------------------------- */

slot_t *node_slot(capstan_node_t *node, uint32_t index)
{
    if (index / SLOT_CHUNK >= node->chunk_count) {
        return NULL;
    }
    /* Acquire: pairs with the release in add_chunk. */
    slot_t *chunk = atomic_load_explicit(&node->chunks[index / SLOT_CHUNK], memory_order_acquire);
    return chunk ? &chunk[index % SLOT_CHUNK] : NULL;
}

static bool add_chunk(capstan_node_t *self)
{
    uint32_t chunk = self->slot_count / SLOT_CHUNK;
    if (chunk == self->chunk_count) {
        return false;
    }
    slot_t *slots = aligned_alloc(_Alignof(slot_t), SLOT_CHUNK * sizeof *slots);
    if (!slots) {
        return false;
    }
    memset(slots, 0, SLOT_CHUNK * sizeof *slots);
    for (uint32_t i = SLOT_CHUNK; i > 0; i--) {
        slots[i - 1].index = self->slot_count + i - 1;
        slots[i - 1].next = self->free_slots;
        self->free_slots = &slots[i - 1];
    }
    self->slot_count += SLOT_CHUNK;
    atomic_store_explicit(&self->chunks[chunk], slots, memory_order_release);
    return true;
}

capstan_err_t node_slot_take(capstan_node_t *node, const capstan_spawn_options_t *options,
                             const capstan_behaviour_t *behaviour, cell_t *cell, bool root,
                             slot_t **ret_slot, capstan_ref_t *ret_ref)
{
    pthread_mutex_lock(&node->mutex);
    if (!node->free_slots && !add_chunk(node)) {
        pthread_mutex_unlock(&node->mutex);
        return CAPSTAN_E_LIMIT;
    }
    slot_t *slot = node->free_slots;
    node->free_slots = slot->next;
    slot->started = root ? ++node->started : 0;
    slot->cell = cell;
    slot->actor = NULL;
    slot->next = NULL;
    slot->overflow_drops = options->overflow == CAPSTAN_OVERFLOW_DROP;
    slot->base = mailbox_account(&slot->mailbox);
    /* All is settled. What `sent` may have beyond that is a late sender's reservation, which it is
     * about to take back. */
    slot->base.sent = slot->base.delivered + slot->base.dropped_all;
    slot->mailbox.messages_max =
        options->mailbox_messages ? options->mailbox_messages : node->options.mailbox_messages;
    slot->mailbox.bytes_max =
        options->mailbox_bytes ? options->mailbox_bytes : node->options.mailbox_bytes;
    snprintf(slot->name, sizeof slot->name, "%s", options->name ? options->name : behaviour->name);
    if (++slot->last_generation == 0) {
        slot->last_generation = 1;
    }
    atomic_store_explicit(&slot->generation, slot->last_generation, memory_order_release);
    pthread_mutex_unlock(&node->mutex);
    *ret_slot = slot;
    *ret_ref = (capstan_ref_t){.slot = slot->index, .generation = slot->last_generation};
    return CAPSTAN_OK;
}

void node_slot_retire(capstan_node_t *node, slot_t *slot)
{
    pthread_mutex_lock(&node->mutex);
    slot->started = 0;
    pthread_cond_broadcast(&node->changed);
    pthread_mutex_unlock(&node->mutex);
}

void node_slot_free(capstan_node_t *node, slot_t *slot)
{
    pthread_mutex_lock(&node->mutex);
    slot->next = node->free_slots;
    node->free_slots = slot;
    pthread_mutex_unlock(&node->mutex);
}

static bool is_live(const slot_t *slot)
{
    return atomic_load_explicit(&slot->generation, memory_order_acquire) > 0;
}

/* --- cells ----------------------------------------------------------------------------------- */

capstan_err_t node_cell(capstan_node_t *node, const char *name, cell_t **ret_cell)
{
    capstan_err_t err = CAPSTAN_OK;
    cell_t *cell = NULL;
    pthread_mutex_lock(&node->mutex);
    for (uint32_t i = 0; i < node->cell_count; i++) {
        cell_t *other = node_cell_at(node, i);
        if (strncmp(other->name, name, CELL_NAME_SIZE - 1) == 0) {
            cell = other;
        }
    }
    if (!cell) {
        err = node->cell_count < CELLS_MAX ? cell_new(node, node->cell_count, name, &cell)
                                           : CAPSTAN_E_LIMIT;
        if (err == CAPSTAN_OK) {
            atomic_store_explicit(&node->cells[node->cell_count], cell, memory_order_release);
            node->cell_count++;
        }
    }
    pthread_mutex_unlock(&node->mutex);
    if (err == CAPSTAN_OK) {
        *ret_cell = cell;
    }
    return err;
}

/* --- life ------------------------------------------------------------------------------------ */

static void fill_defaults(capstan_node_options_t *options)
{
    if (options->id == 0) {
        ssize_t got = getrandom(&options->id, sizeof options->id, 0);
        ENSURE(got == (ssize_t)sizeof options->id);
    }
    options->boot = options->boot ? options->boot : 1;
    options->mailbox_messages =
        options->mailbox_messages ? options->mailbox_messages : MAILBOX_MESSAGES;
    options->mailbox_bytes = options->mailbox_bytes ? options->mailbox_bytes : MAILBOX_BYTES;
    options->actors_max = options->actors_max ? options->actors_max : ACTORS_MAX;
    options->spin_us = options->spin_us ? options->spin_us : SPIN_US;
}

static void free_node(capstan_node_t *self)
{
    for (uint32_t i = 0; i < self->chunk_count; i++) {
        free(atomic_load_explicit(&self->chunks[i], memory_order_relaxed));
    }
    free(self->chunks);
    registry_fini(&self->registry);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

capstan_err_t capstan_node_new(const capstan_node_options_t *options, capstan_node_t **ret_node)
{
    capstan_node_t *self = calloc(1, sizeof *self);
    if (!self) {
        return CAPSTAN_E_NO_MEMORY;
    }
    if (options) {
        self->options = *options;
    }
    fill_defaults(&self->options);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&self->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&self->mutex, NULL);
    registry_init(&self->registry);
    self->chunk_count = (self->options.actors_max + SLOT_CHUNK - 1) / SLOT_CHUNK;
    self->chunks = calloc(self->chunk_count, sizeof *self->chunks);
    self->zmq = zmq_ctx_new();
    if (!self->chunks || !self->zmq) {
        if (self->zmq) {
            zmq_ctx_term(self->zmq);
        }
        free_node(self);
        return CAPSTAN_E_NO_MEMORY;
    }
    zmq_ctx_set(self->zmq, ZMQ_MAX_SOCKETS, SOCKETS_MAX);
    *ret_node = self;
    return CAPSTAN_OK;
}

static void waiter_init(waiter_t *waiter)
{
    *waiter = (waiter_t){0};
    pthread_mutex_init(&waiter->mutex, NULL);
    pthread_cond_init(&waiter->condition, NULL);
}

static capstan_err_t waiter_wait(waiter_t *waiter)
{
    pthread_mutex_lock(&waiter->mutex);
    while (!waiter->done) {
        pthread_cond_wait(&waiter->condition, &waiter->mutex);
    }
    pthread_mutex_unlock(&waiter->mutex);
    pthread_cond_destroy(&waiter->condition);
    pthread_mutex_destroy(&waiter->mutex);
    return waiter->err;
}

capstan_err_t capstan_node_spawn(capstan_node_t *self, const capstan_behaviour_t *behaviour,
                                 const capstan_spawn_options_t *options, capstan_ref_t *ret_ref)
{
    ENSURE(options && options->cell);
    cell_t *cell;
    slot_t *slot;
    capstan_ref_t ref;
    if (node_stopping(self)) {
        return CAPSTAN_E_STOPPING;
    }
    capstan_err_t err = node_cell(self, options->cell, &cell);
    if (err == CAPSTAN_OK) {
        err = node_slot_take(self, options, behaviour, cell, true, &slot, &ref);
    }
    if (err != CAPSTAN_OK) {
        return err;
    }
    waiter_t waiter;
    waiter_init(&waiter);
    cell_command(cell, &(command_t){.kind = COMMAND_SPAWN,
                                    .adoption = {.slot = slot,
                                                 .behaviour = behaviour,
                                                 .argument = options->argument,
                                                 .answered = true},
                                    .waiter = &waiter});
    err = waiter_wait(&waiter);
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
    cell_t *cell = slot->cell;
    if (!mailbox_reserve(&slot->mailbox, cost, slot->overflow_drops)) {
        return CAPSTAN_E_MAILBOX_FULL;
    }
    if (route_find(self, target) != slot) {
        mailbox_unreserve(&slot->mailbox, cost);
        return CAPSTAN_E_GONE;
    }
    capstan_err_t err = hand_over(cell, foreign_new(target, message, body));
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
    waiter_init(&waiter);
    foreign_t *foreign = foreign_new(target, message, body);
    foreign->waiter = &waiter;
    foreign->timeout_us = timeout_us;
    capstan_err_t err = hand_over(slot->cell, foreign);
    if (err == CAPSTAN_OK) {
        err = waiter_wait(&waiter);
    }
    if (err != CAPSTAN_OK) {
        free(waiter.body);
        return err;
    }
    *ret_body = waiter.body;
    *ret_size = waiter.size;
    return CAPSTAN_OK;
}

/* Only actors that the host started have a place in the order of start and can be resolved. */
capstan_err_t capstan_node_resolve(capstan_node_t *self, const char *name, capstan_ref_t *ret_ref)
{
    capstan_err_t err = CAPSTAN_E_NOT_FOUND;
    pthread_mutex_lock(&self->mutex);
    for (uint32_t i = 0; i < self->slot_count && err != CAPSTAN_OK; i++) {
        const slot_t *slot = node_slot(self, i);
        if (slot->started > 0 && is_live(slot) && strcmp(slot->name, name) == 0) {
            *ret_ref = (capstan_ref_t){.slot = i, .generation = slot->last_generation};
            err = CAPSTAN_OK;
        }
    }
    pthread_mutex_unlock(&self->mutex);
    return err;
}

void node_figures(capstan_node_t *self, actor_figures_fn *each, void *context)
{
    pthread_mutex_lock(&self->mutex);
    for (uint32_t i = 0; i < self->slot_count; i++) {
        const slot_t *slot = node_slot(self, i);
        if (!is_live(slot)) {
            continue;
        }
        mailbox_account_t now = mailbox_account(&slot->mailbox);
        now.sent -= slot->base.sent;
        now.delivered -= slot->base.delivered;
        now.dropped_all -= slot->base.dropped_all;
        now.refused -= slot->base.refused;
        for (size_t k = 0; k < DROP_COUNT; k++) {
            now.dropped[k] -= slot->base.dropped[k];
        }
        each(context, &(actor_figures_t){
                          .name = slot->name,
                          .cell = slot->cell->name,
                          .ref = {.slot = i, .generation = slot->last_generation},
                          .account = now,
                          .in_flight = now.sent - now.delivered - now.dropped_all,
                      });
    }
    pthread_mutex_unlock(&self->mutex);
}

/* --- stop ------------------------------------------------------------------------------------ */

static struct timespec deadline_after(int64_t timeout_us)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_sec += timeout_us / 1000000;
    time.tv_nsec += timeout_us % 1000000 * 1000;
    if (time.tv_nsec >= 1000000000) {
        time.tv_sec++;
        time.tv_nsec -= 1000000000;
    }
    return time;
}

static bool has_passed(const struct timespec *deadline)
{
    struct timespec now = deadline_after(0);
    return now.tv_sec > deadline->tv_sec ||
           (now.tv_sec == deadline->tv_sec && now.tv_nsec >= deadline->tv_nsec);
}

/* Waits on `changed` for at most a millisecond: what settles a mailbox does not signal it. */
static void wait_a_little(capstan_node_t *self)
{
    struct timespec soon = deadline_after(1000);
    pthread_cond_timedwait(&self->changed, &self->mutex, &soon);
}

static slot_t *newest_root(capstan_node_t *self)
{
    slot_t *newest = NULL;
    for (uint32_t i = 0; i < self->slot_count; i++) {
        slot_t *slot = node_slot(self, i);
        if (slot->started > 0 && is_live(slot) && (!newest || slot->started > newest->started)) {
            newest = slot;
        }
    }
    return newest;
}

/* The three phases; each returns false when the deadline passed. The mutex is held. */
static bool stop_roots(capstan_node_t *self, const struct timespec *deadline)
{
    for (slot_t *slot; (slot = newest_root(self));) {
        uint32_t generation = slot->last_generation;
        cell_command(slot->cell, &(command_t){.kind = COMMAND_STOP_ACTOR,
                                              .slot = slot,
                                              .generation = generation,
                                              .timeout_us = INT64_MAX});
        while (atomic_load_explicit(&slot->generation, memory_order_acquire) == generation) {
            if (pthread_cond_timedwait(&self->changed, &self->mutex, deadline) == ETIMEDOUT) {
                return false;
            }
        }
    }
    return true;
}

static uint32_t live_actors(capstan_node_t *self, capstan_late_fn *each, void *context)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < self->slot_count; i++) {
        const slot_t *slot = node_slot(self, i);
        if (is_live(slot) && strcmp(slot->name, ".port") != 0) {
            count++;
            if (each) {
                each(context, slot->name);
            }
        }
    }
    return count;
}

static bool stop_rest(capstan_node_t *self, const struct timespec *deadline)
{
    for (uint32_t i = self->cell_count; i > 0; i--) {
        cell_command(node_cell_at(self, i - 1), &(command_t){.kind = COMMAND_STOP_ALL});
    }
    while (live_actors(self, NULL, NULL) > 0) {
        if (has_passed(deadline)) {
            return false;
        }
        wait_a_little(self);
    }
    return true;
}

static bool is_settled(capstan_node_t *self)
{
    for (uint32_t i = 0; i < self->slot_count; i++) {
        if (!mailbox_is_settled(&node_slot(self, i)->mailbox)) {
            return false;
        }
    }
    return true;
}

/* Every message that was ever sent is delivered or dropped: the cells drain what is under way. */
static bool settle(capstan_node_t *self, const struct timespec *deadline)
{
    while (!is_settled(self)) {
        if (has_passed(deadline)) {
            return false;
        }
        wait_a_little(self);
    }
    return true;
}

static void *terminate(void *zmq)
{
    zmq_ctx_term(zmq);
    return NULL;
}

/* The deadline of pthread_timedjoin_np is on the real-time clock. */
static bool join(pthread_t thread, const struct timespec *deadline)
{
    struct timespec now = deadline_after(0);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    int64_t left_ns =
        (deadline->tv_sec - now.tv_sec) * 1000000000 + deadline->tv_nsec - now.tv_nsec;
    left_ns = (left_ns > 0 ? left_ns : 0) + until.tv_nsec;
    until.tv_sec += left_ns / 1000000000;
    until.tv_nsec = left_ns % 1000000000;
    return pthread_timedjoin_np(thread, NULL, &until) == 0;
}

static bool end_cells(capstan_node_t *self, const struct timespec *deadline, capstan_late_fn *late,
                      void *context)
{
    bool all = true;
    for (uint32_t i = 0; i < self->cell_count; i++) {
        cell_command(node_cell_at(self, i), &(command_t){.kind = COMMAND_END});
    }
    for (uint32_t i = 0; i < self->cell_count; i++) {
        cell_t *cell = node_cell_at(self, i);
        if (join(cell->thread, deadline)) {
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

/* zmq_ctx_term waits for every socket and does not say which: it gets a thread of its own, so that
 * the deadline holds. */
static bool end_zmq(capstan_node_t *self, const struct timespec *deadline, capstan_late_fn *late,
                    void *context)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, terminate, self->zmq) == 0 && !join(thread, deadline)) {
        if (late) {
            late(context, "zmq context (a socket is still open)");
        }
        return false;
    }
    return true;
}

capstan_err_t capstan_node_stop(capstan_node_t **self_p, int64_t timeout_us, capstan_late_fn *late,
                                void *context)
{
    capstan_node_t *self = *self_p;
    if (!self) {
        return CAPSTAN_OK;
    }
    struct timespec deadline = deadline_after(timeout_us);
    atomic_store_explicit(&self->stopping, true, memory_order_relaxed);
    pthread_mutex_lock(&self->mutex);
    bool in_time = stop_roots(self, &deadline) && stop_rest(self, &deadline);
    if (!in_time) {
        live_actors(self, late, context);
    } else if (!(in_time = settle(self, &deadline)) && late) {
        late(context, "messages under way");
    }
    pthread_mutex_unlock(&self->mutex);
    in_time = in_time && end_cells(self, &deadline, late, context) &&
              end_zmq(self, &deadline, late, context);
    if (!in_time) {
        return CAPSTAN_E_STOP_TIMEOUT;
    }
    free_node(self);
    *self_p = NULL;
    return CAPSTAN_OK;
}
