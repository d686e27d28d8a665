/* The node: the ZeroMQ context, the cells, and the table of actors. */
#include "runtime/host.h"
#include "runtime/node_internal.h"

#include "runtime/base/ensure.h"
#include "runtime/telemetry/log.h"
#include "runtime/telemetry/log_writer.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum {
    ACTORS_MAX = 1 << 20,
    MAILBOX_MESSAGES = 1 << 20,
    MAILBOX_BYTES = 256 << 20,
    SPIN_US = 10,
    TURN_MS_MAX = 10,
    HUNG_MS = 5000,
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

const platform_t *node_platform(const capstan_node_t *node)
{
    return node->platform;
}

void node_random(const capstan_node_t *self, void *bytes, size_t size)
{
    self->platform->random(self, bytes, size);
}

registry_t *node_registry(capstan_node_t *self)
{
    return &self->registry;
}

watchdog_t *node_watchdog(const capstan_node_t *node)
{
    return node->watchdog;
}

bool node_stopping(const capstan_node_t *self)
{
    return atomic_load_explicit(&self->gate.state, memory_order_relaxed) != NODE_OPEN;
}

dead_letters_t *node_dead_letters(capstan_node_t *node)
{
    return &node->dead_letters;
}

void node_signal(capstan_node_t *node)
{
    pthread_mutex_lock(&node->mutex);
    pthread_cond_broadcast(&node->changed);
    if (node->host) {
        cell_wake(node->host); /* its thread may be the one that waits in capstan_node_stop */
    }
    pthread_mutex_unlock(&node->mutex);
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

static capstan_err_t open_cell(capstan_node_t *self, const char *name, bool own, cell_t **ret_cell)
{
    if (self->cell_count == CELLS_MAX) {
        return CAPSTAN_E_LIMIT;
    }
    capstan_err_t err = cell_new(self, self->cell_count, name, own, ret_cell);
    /* The host's cell is the first one; the thread that makes the node runs it. */
    bool hosted = self->options.host_cell && !self->host;
    if (err == CAPSTAN_OK && !hosted) {
        err = self->platform->cell_start(*ret_cell);
        if (err != CAPSTAN_OK) {
            cell_destroy(ret_cell);
        }
    }
    return err;
}

/* The mutex is held, as by the stop while it counts the cells: it asks each of them. */
static capstan_err_t start_cell(capstan_node_t *self, const char *name, bool own, cell_t **ret_cell)
{
    if (node_stopping(self)) {
        return CAPSTAN_E_STOPPING;
    }
    capstan_err_t err = open_cell(self, name, own, ret_cell);
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

static void fill_defaults(capstan_node_t *self)
{
    capstan_node_options_t *options = &self->options;
    if (options->id == 0) {
        node_random(self, &options->id, sizeof options->id);
    }
    options->boot = options->boot ? options->boot : 1;
    options->mailbox_messages =
        options->mailbox_messages ? options->mailbox_messages : MAILBOX_MESSAGES;
    options->mailbox_bytes = options->mailbox_bytes ? options->mailbox_bytes : MAILBOX_BYTES;
    options->actors_max = options->actors_max ? options->actors_max : ACTORS_MAX;
    options->spin_us = options->spin_us ? options->spin_us : SPIN_US;
    options->turn_ms_max = options->turn_ms_max ? options->turn_ms_max : TURN_MS_MAX;
    options->hung_ms = options->hung_ms ? options->hung_ms : HUNG_MS;
    options->workers = options->workers ? options->workers : core_count();
    options->workers = options->workers < WORKERS_MAX ? options->workers : WORKERS_MAX;
}

/* Nodes that were freed; see node_gate_t. */
static pthread_mutex_t spare_mutex = PTHREAD_MUTEX_INITIALIZER;
static capstan_node_t *spare_nodes;

static capstan_node_t *node_alloc(void)
{
    pthread_mutex_lock(&spare_mutex);
    capstan_node_t *self = spare_nodes;
    if (self) {
        spare_nodes = self->next_spare;
    }
    pthread_mutex_unlock(&spare_mutex);
    if (!self) {
        self = aligned_alloc(_Alignof(capstan_node_t), sizeof *self);
        if (!self) {
            return NULL;
        }
        atomic_init(&self->gate.being_stopped, false);
        atomic_init(&self->gate.starters, 0);
        atomic_init(&self->gate.callers[0], 0);
        atomic_init(&self->gate.callers[1], 0);
        atomic_init(&self->gate.epoch, 0);
        atomic_init(&self->gate.state, NODE_FREE);
    }
    memset((char *)self + sizeof self->gate, 0, sizeof *self - sizeof self->gate);
    return self;
}

/* It has counted itself. */
static bool may_enter(capstan_node_t *self, _Atomic uint32_t *count, uint32_t state_max)
{
    uint32_t state = atomic_load_explicit(&self->gate.state, memory_order_seq_cst);
    if (state != NODE_FREE && state <= state_max) {
        return true;
    }
    atomic_fetch_sub_explicit(count, 1, memory_order_release);
    return false;
}

static bool pass(capstan_node_t *self, _Atomic uint32_t *count, uint32_t state_max)
{
    atomic_fetch_add_explicit(count, 1, memory_order_seq_cst);
    return may_enter(self, count, state_max);
}

bool node_enter(capstan_node_t *self)
{
    return pass(self, &self->gate.callers[0], NODE_STOPPING);
}

/* Release: what was done inside precedes what a stop does when it has seen the count go. */
void node_leave(capstan_node_t *self)
{
    atomic_fetch_sub_explicit(&self->gate.callers[0], 1, memory_order_release);
}

bool node_enter_sender(capstan_node_t *self, uint32_t *ret_epoch)
{
    for (;;) {
        uint32_t epoch = atomic_load_explicit(&self->gate.epoch, memory_order_seq_cst);
        _Atomic uint32_t *count = &self->gate.callers[epoch];
        atomic_fetch_add_explicit(count, 1, memory_order_seq_cst);
        if (atomic_load_explicit(&self->gate.epoch, memory_order_seq_cst) == epoch) {
            *ret_epoch = epoch;
            return may_enter(self, count, NODE_STOPPING);
        }
        atomic_fetch_sub_explicit(count, 1, memory_order_release);
    }
}

void node_leave_sender(capstan_node_t *self, uint32_t epoch)
{
    atomic_fetch_sub_explicit(&self->gate.callers[epoch], 1, memory_order_release);
}

void node_await_senders(capstan_node_t *self)
{
    uint32_t epoch = atomic_load_explicit(&self->gate.epoch, memory_order_seq_cst);
    atomic_store_explicit(&self->gate.epoch, 1 - epoch, memory_order_seq_cst);
    while (atomic_load_explicit(&self->gate.callers[epoch], memory_order_seq_cst) > 0) {
        sched_yield(); /* nobody inside waits for anything */
    }
}

bool node_begin_work(capstan_node_t *self)
{
    return pass(self, &self->gate.starters, NODE_OPEN);
}

void node_end_work(capstan_node_t *self)
{
    atomic_fetch_sub_explicit(&self->gate.starters, 1, memory_order_release);
}

void node_end_logging(capstan_node_t *self)
{
    if (self->logging) {
        self->logging = false;
        log_writer_stop();
    }
}

void node_free(capstan_node_t *self)
{
    atomic_store_explicit(&self->gate.state, NODE_FREE, memory_order_seq_cst);
    while (atomic_load_explicit(&self->gate.callers[0], memory_order_seq_cst) > 0 ||
           atomic_load_explicit(&self->gate.callers[1], memory_order_seq_cst) > 0 ||
           atomic_load_explicit(&self->gate.starters, memory_order_seq_cst) > 0) {
        sched_yield(); /* nobody inside waits for anything */
    }
    kept_free_all(self->kept);
    node_end_logging(self);
    for (uint32_t i = 0; i < self->chunk_count; i++) {
        free(atomic_load_explicit(&self->chunks[i], memory_order_relaxed));
    }
    free(self->chunks);
    for (size_t i = 0; i < CELLS_MAX; i++) {
        batch_returns_fini(&self->batch_returns[i]);
    }
    registry_fini(&self->registry);
    dead_letters_fini(&self->dead_letters);
    spans_fini(&self->spans);
    keyed_free_all(self->keyed);
    names_fini(&self->names);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->mutex);
    atomic_store_explicit(&self->gate.being_stopped, false, memory_order_relaxed);
    pthread_mutex_lock(&spare_mutex);
    self->next_spare = spare_nodes;
    spare_nodes = self;
    pthread_mutex_unlock(&spare_mutex);
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

capstan_err_t node_new(const capstan_node_options_t *options, const platform_t *platform,
                       void *world, capstan_node_t **ret_node)
{
    capstan_node_t *self = node_alloc();
    if (!self) {
        return CAPSTAN_E_NO_MEMORY;
    }
    if (options) {
        self->options = *options;
    }
    self->platform = platform;
    self->world = world;
    fill_defaults(self);
    uint8_t seed[16];
    node_random(self, seed, sizeof seed);
    names_init(&self->names, seed);
    dead_letters_init(&self->dead_letters);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&self->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&self->mutex, NULL);
    registry_init(&self->registry);
    self->chunk_count = (self->options.actors_max + SLOT_CHUNK - 1) / SLOT_CHUNK + CELLS_MAX;
    self->chunks = calloc(self->chunk_count, sizeof *self->chunks);
    capstan_err_t err = self->chunks ? spans_init(&self->spans) : CAPSTAN_E_NO_MEMORY;
    if (err == CAPSTAN_OK) {
        err = platform->open(self);
    }
    atomic_store_explicit(&self->gate.state, NODE_OPEN, memory_order_release);
    if (err == CAPSTAN_OK && self->options.host_cell) {
        err = open_host(self);
        if (err != CAPSTAN_OK) {
            (void)!platform->close(self, INT64_MAX, NULL, NULL);
        }
    }
    if (err != CAPSTAN_OK) {
        node_free(self);
        return err;
    }
    *ret_node = self;
    return CAPSTAN_OK;
}

capstan_err_t capstan_node_new(const capstan_node_options_t *options, capstan_node_t **ret_node)
{
    if (options && options->log_fd != 0) {
        log_redirect(options->log_fd, LOG_FORMAT_AUTO);
    }
    return node_new(options, &platform_threads, NULL, ret_node);
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
