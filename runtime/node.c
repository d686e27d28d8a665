/* The node: the ZeroMQ context, the cells, and the table of actors. */
#include "runtime/host.h"
#include "runtime/node_internal.h"

#include "runtime/base/clock.h"
#include "runtime/base/ensure.h"
#include "runtime/telemetry/log_writer.h"

#include <errno.h>
#include <sched.h>
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

dead_letters_t *node_dead_letters(capstan_node_t *node)
{
    return &node->dead_letters;
}

batch_returns_t *node_batch_returns(capstan_node_t *node, uint32_t cell)
{
    return &node->batch_returns[cell];
}

cell_t *node_cell_at(capstan_node_t *node, uint32_t index)
{
    return atomic_load_explicit(&node->cells[index], memory_order_acquire);
}

/* --- cells ----------------------------------------------------------------------------------- */

/* The mutex is held. */
static capstan_err_t start_cell(capstan_node_t *self, const char *name, bool own, cell_t **ret_cell)
{
    if (self->cell_count == CELLS_MAX) {
        return CAPSTAN_E_LIMIT;
    }
    capstan_err_t err = cell_new(self, self->cell_count, name, own, ret_cell);
    /* The host's cell is the first one; the thread that makes the node runs it. */
    bool hosted = self->options.host_cell && !self->host;
    if (err == CAPSTAN_OK && !hosted && !cell_start_thread(*ret_cell)) {
        cell_destroy(ret_cell);
        err = CAPSTAN_E_SYSTEM;
    }
    if (err == CAPSTAN_OK) {
        atomic_store_explicit(&self->cells[self->cell_count], *ret_cell, memory_order_release);
        self->cell_count++;
    }
    return err;
}

static capstan_err_t named_cell(capstan_node_t *self, const char *name, cell_t **ret_cell)
{
    for (uint32_t i = 0; i < self->cell_count; i++) {
        cell_t *cell = node_cell_at(self, i);
        if (!cell->own && strncmp(cell->name, name, CELL_NAME_SIZE - 1) == 0) {
            *ret_cell = cell;
            return CAPSTAN_OK;
        }
    }
    return start_cell(self, name, false, ret_cell);
}

/* One that was given back, or a new one. */
static capstan_err_t own_cell(capstan_node_t *self, cell_t **ret_cell)
{
    cell_t *cell = self->own_idle;
    if (cell) {
        self->own_idle = cell->next_idle;
        *ret_cell = cell;
        return CAPSTAN_OK;
    }
    char name[CELL_NAME_SIZE];
    snprintf(name, sizeof name, "own-%u", self->cell_count);
    return start_cell(self, name, true, ret_cell);
}

static capstan_err_t worker_cell(capstan_node_t *self, cell_t **ret_cell)
{
    char name[CELL_NAME_SIZE];
    uint32_t turn = atomic_fetch_add_explicit(&self->next_worker, 1, memory_order_relaxed);
    uint32_t index = turn % self->options.workers;
    cell_t *cell = atomic_load_explicit(&self->workers[index], memory_order_acquire);
    capstan_err_t err = CAPSTAN_OK;
    if (!cell) {
        snprintf(name, sizeof name, "worker-%u", index);
        pthread_mutex_lock(&self->mutex);
        err = named_cell(self, name, &cell);
        pthread_mutex_unlock(&self->mutex);
    }
    if (err == CAPSTAN_OK) {
        atomic_store_explicit(&self->workers[index], cell, memory_order_release);
        *ret_cell = cell;
    }
    return err;
}

capstan_err_t node_place(capstan_node_t *node, const capstan_spawn_options_t *options, cell_t *from,
                         cell_t **ret_cell)
{
    bool own = options->placement == CAPSTAN_PLACE_OWN;
    if (!options->cell && options->placement == CAPSTAN_PLACE_HERE && from) {
        *ret_cell = from;
        return CAPSTAN_OK;
    }
    if (!options->cell && !own) {
        return worker_cell(node, ret_cell);
    }
    pthread_mutex_lock(&node->mutex);
    capstan_err_t err =
        options->cell ? named_cell(node, options->cell, ret_cell) : own_cell(node, ret_cell);
    pthread_mutex_unlock(&node->mutex);
    return err;
}

void node_give_cell(cell_t *cell)
{
    capstan_node_t *node = cell->node;
    pthread_mutex_lock(&node->mutex);
    cell->next_idle = node->own_idle;
    node->own_idle = cell;
    pthread_mutex_unlock(&node->mutex);
}

/* --- life ------------------------------------------------------------------------------------ */

/* As many as there are cores that this process may use. */
static uint32_t core_count(void)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    int count = sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
    return count < 1 ? 1 : (uint32_t)count;
}

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
    options->workers = options->workers ? options->workers : core_count();
    options->workers = options->workers < WORKERS_MAX ? options->workers : WORKERS_MAX;
}

static void free_node(capstan_node_t *self)
{
    for (uint32_t i = 0; i < self->chunk_count; i++) {
        free(atomic_load_explicit(&self->chunks[i], memory_order_relaxed));
    }
    free(self->chunks);
    for (size_t i = 0; i < CELLS_MAX; i++) {
        batch_returns_fini(&self->batch_returns[i]);
    }
    registry_fini(&self->registry);
    dead_letters_fini(&self->dead_letters);
    names_fini(&self->names);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

static capstan_err_t open_host(capstan_node_t *self)
{
    cell_t *cell;
    pthread_mutex_lock(&self->mutex);
    capstan_err_t err = named_cell(self, self->options.host_cell, &cell);
    pthread_mutex_unlock(&self->mutex);
    if (err == CAPSTAN_OK) {
        err = host_open(cell);
        if (err != CAPSTAN_OK) {
            cell_destroy(&cell);
        } else {
            self->host = cell;
        }
    }
    return err;
}

capstan_err_t capstan_node_new(const capstan_node_options_t *options, capstan_node_t **ret_node)
{
    capstan_node_t *self = aligned_alloc(_Alignof(capstan_node_t), sizeof *self);
    if (!self) {
        return CAPSTAN_E_NO_MEMORY;
    }
    memset(self, 0, sizeof *self);
    if (options) {
        self->options = *options;
    }
    fill_defaults(&self->options);
    uint8_t seed[16];
    ENSURE(getrandom(seed, sizeof seed, 0) == (ssize_t)sizeof seed);
    names_init(&self->names, seed);
    dead_letters_init(&self->dead_letters);
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
    capstan_err_t err = log_writer_start();
    self->logging = err == CAPSTAN_OK;
    if (err == CAPSTAN_OK && self->options.host_cell) {
        err = open_host(self);
    }
    if (err != CAPSTAN_OK) {
        if (self->logging) {
            log_writer_stop();
        }
        zmq_ctx_term(self->zmq);
        free_node(self);
        return err;
    }
    *ret_node = self;
    return CAPSTAN_OK;
}

int capstan_node_fd(const capstan_node_t *self)
{
    return self->host ? host_fd(self->host) : -1;
}

bool capstan_node_dispatch(capstan_node_t *self)
{
    ENSURE(self->host);
    return host_run(self->host);
}

/* --- waiting --------------------------------------------------------------------------------- */

static void waiter_init(capstan_node_t *self, waiter_t *waiter)
{
    *waiter = (waiter_t){.host = host_is_mine(self->host) ? self->host : NULL};
    pthread_mutex_init(&waiter->mutex, NULL);
    pthread_cond_init(&waiter->condition, NULL);
}

/* The host's thread runs its cell meanwhile: what it waits for may depend on it. */
static capstan_err_t waiter_wait(waiter_t *waiter)
{
    pthread_mutex_lock(&waiter->mutex);
    while (!waiter->done) {
        if (waiter->host) {
            pthread_mutex_unlock(&waiter->mutex);
            host_wait(waiter->host, -1);
            pthread_mutex_lock(&waiter->mutex);
        } else {
            pthread_cond_wait(&waiter->condition, &waiter->mutex);
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
    foreign->deadline_us = clock_add_us(clock_us(CLOCK_MONOTONIC), timeout_us);
    capstan_err_t err = hand_over(slot->cell, foreign);
    if (err == CAPSTAN_OK) {
        err = waiter_wait(&waiter);
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

void node_figures(capstan_node_t *self, actor_figures_fn *each, void *context)
{
    uint32_t count = atomic_load_explicit(&self->slot_count, memory_order_acquire);
    pthread_mutex_lock(&self->mutex);
    for (uint32_t i = 0; i < count; i++) {
        const slot_t *slot = node_slot(self, i);
        uint32_t generation = atomic_load_explicit(&slot->generation, memory_order_acquire);
        if (generation == 0) {
            continue;
        }
        mailbox_account_t account = mailbox_account(&slot->mailbox);
        each(context, &(actor_figures_t){
                          .name = atomic_load_explicit(&slot->label, memory_order_relaxed),
                          .cell = slot->cell->name,
                          .ref = {.slot = i, .generation = generation},
                          .account = account,
                          .in_flight = account.sent - account.delivered - account.dropped_all,
                          .restarts = atomic_load_explicit(&slot->restarts, memory_order_relaxed),
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

/* Waits on `changed` for at most a millisecond: what settles a mailbox does not signal it. The
 * host's cell has no other thread that could bring it to its end: its turns are run here. */
static void wait_a_little(capstan_node_t *self)
{
    if (self->host) {
        pthread_mutex_unlock(&self->mutex);
        host_wait(self->host, 1);
        pthread_mutex_lock(&self->mutex);
        return;
    }
    struct timespec soon = deadline_after(1000);
    pthread_cond_timedwait(&self->changed, &self->mutex, &soon);
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
static bool stop_roots(capstan_node_t *self, const struct timespec *deadline)
{
    for (slot_t *slot; (slot = newest_root(self));) {
        uint32_t generation = atomic_load_explicit(&slot->generation, memory_order_acquire);
        cell_command(slot->cell, &(command_t){.kind = COMMAND_STOP_ACTOR,
                                              .slot = slot,
                                              .generation = generation,
                                              .timeout_us = INT64_MAX});
        while (atomic_load_explicit(&slot->generation, memory_order_acquire) == generation) {
            if (has_passed(deadline)) {
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
    for (uint32_t i = 0; i < slot_count(self); i++) {
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
        if (cell == host || join(cell->thread, deadline)) {
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
    ENSURE(!self->host || host_is_mine(self->host));
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
    if (self->logging) {
        self->logging = false;
        log_writer_stop();
    }
    if (!in_time) {
        return CAPSTAN_E_STOP_TIMEOUT;
    }
    free_node(self);
    *self_p = NULL;
    return CAPSTAN_OK;
}
