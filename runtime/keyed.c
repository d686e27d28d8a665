/* The kinds of keyed actors: made, found, and what is sent to a key. See keyed_keeper.c for the
 * actors that know the keys. */
#include "runtime/keyed_internal.h"

#include "runtime/base/ensure.h"
#include "runtime/node_internal.h"
#include "runtime/runtime_messages.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum {
    SHARDS = 256,
    REST_US = 60000000,
    KEYS_MAX = 1000000,
    KEYED_MAILBOX_MESSAGES = 1024,
    KEYED_MAILBOX_BYTES = 1 << 20,
};

/* --- kinds ----------------------------------------------------------------------------------- */

static capstan_keyed_t *find(capstan_node_t *node, const char *name)
{
    capstan_keyed_t *keyed = node->keyed;
    while (keyed && strcmp(keyed->name, name) != 0) {
        keyed = keyed->next;
    }
    return keyed;
}

capstan_err_t capstan_keyed_find(capstan_node_t *node, const char *name,
                                 capstan_keyed_t **ret_keyed)
{
    pthread_mutex_lock(&node->mutex);
    capstan_keyed_t *keyed = find(node, name);
    bool ready = keyed && atomic_load_explicit(&keyed->ready, memory_order_relaxed);
    pthread_mutex_unlock(&node->mutex);
    if (ready) {
        *ret_keyed = keyed;
    }
    return ready ? CAPSTAN_OK : CAPSTAN_E_NOT_FOUND;
}

static void fill(capstan_keyed_t *self, const capstan_keyed_options_t *options, uint32_t keepers)
{
    self->options = *options;
    self->options.name = self->name;
    snprintf(self->name, sizeof self->name, "%s", options->name);
    capstan_keyed_options_t *own = &self->options;
    own->rest_us = own->rest_us ? own->rest_us : REST_US;
    own->keys_max = own->keys_max ? own->keys_max : (uint64_t)KEYS_MAX * keepers;
    own->mailbox_messages = own->mailbox_messages ? own->mailbox_messages : KEYED_MAILBOX_MESSAGES;
    own->mailbox_bytes = own->mailbox_bytes ? own->mailbox_bytes : KEYED_MAILBOX_BYTES;
}

/* Takes the name; the keepers come after. */
static capstan_err_t enter(capstan_node_t *node, capstan_keyed_t *keyed)
{
    capstan_err_t err = CAPSTAN_OK;
    pthread_mutex_lock(&node->mutex);
    if (find(node, keyed->name)) {
        err = CAPSTAN_E_EXISTS;
    } else {
        keyed->next = node->keyed;
        node->keyed = keyed;
    }
    pthread_mutex_unlock(&node->mutex);
    return err;
}

typedef struct cell_name {
    char text[CELL_NAME_SIZE];
} cell_name_t;

static cell_name_t worker_name(uint32_t index)
{
    cell_name_t name;
    snprintf(name.text, sizeof name.text, "worker-%u", index);
    return name;
}

/* Before the name is taken: where there is nothing left for a cell, the kind can be made later. */
static capstan_err_t start_cells(capstan_node_t *node, uint32_t workers)
{
    capstan_err_t err = CAPSTAN_OK;
    for (uint32_t i = 0; err == CAPSTAN_OK && i < workers; i++) {
        cell_t *cell;
        cell_name_t name = worker_name(i);
        err = node_place(node, &(capstan_spawn_options_t){.cell = name.text}, NULL, &cell);
    }
    return err;
}

static capstan_err_t start_keepers(capstan_node_t *node, capstan_keyed_t *self, uint32_t workers)
{
    capstan_err_t err = CAPSTAN_OK;
    for (; err == CAPSTAN_OK && self->keeper_count < workers; self->keeper_count++) {
        cell_name_t name = worker_name(self->keeper_count);
        err = capstan_node_spawn(node, &keeper_behaviour,
                                 &(capstan_spawn_options_t){.cell = name.text, .argument = self},
                                 &self->keepers[self->keeper_count]);
    }
    return err;
}

capstan_err_t capstan_keyed_new(capstan_node_t *node, const capstan_keyed_options_t *options,
                                capstan_keyed_t **ret_keyed)
{
    uint32_t workers = node_options(node)->workers;
    if (!options->name || !name_is_valid(options->name) || options->rest_us < 0) {
        return CAPSTAN_E_INVALID;
    }
    ENSURE(options->behaviour && options->behaviour->receive);
    capstan_keyed_t *self = calloc(1, sizeof *self);
    if (!self) {
        return CAPSTAN_E_NO_MEMORY;
    }
    fill(self, options, workers);
    capstan_err_t err = start_cells(node, workers);
    err = err ? err : enter(node, self);
    if (err != CAPSTAN_OK) {
        free(self);
        return err;
    }
    err = start_keepers(node, self, workers);
    /* After an error the name stays taken: keepers that run already use the kind until the end. */
    if (err == CAPSTAN_OK) {
        pthread_mutex_lock(&node->mutex);
        atomic_store_explicit(&self->ready, true, memory_order_relaxed);
        pthread_mutex_unlock(&node->mutex);
        *ret_keyed = self;
    }
    return err;
}

void keyed_free_all(capstan_keyed_t *first)
{
    while (first) {
        capstan_keyed_t *next = first->next;
        free(first);
        first = next;
    }
}

capstan_keyed_figures_t capstan_keyed_figures(const capstan_keyed_t *keyed)
{
    uint64_t awake = atomic_load_explicit(&keyed->awake, memory_order_relaxed);
    uint64_t keys = atomic_load_explicit(&keyed->keys, memory_order_relaxed);
    return (capstan_keyed_figures_t){
        .awake = awake,
        .resting = keys > awake ? keys - awake : 0,
        .wakes = atomic_load_explicit(&keyed->wakes, memory_order_relaxed),
        .rests = atomic_load_explicit(&keyed->rests, memory_order_relaxed),
        .refused = atomic_load_explicit(&keyed->refused, memory_order_relaxed),
    };
}

/* --- sending --------------------------------------------------------------------------------- */

/* One shard of 256, as everything that is placed by a hash; the shards go round the keepers. */
static capstan_ref_t keeper_of(const capstan_keyed_t *keyed, slice_t key)
{
    return keyed->keepers[XXH64(key.data, key.size, 0) % SHARDS % keyed->keeper_count];
}

static capstan_err_t wrap(slice_t key, uint32_t message, slice_t body, buffer_t *out)
{
    if (key.size == 0 || key.size > CAPSTAN_KEY_BYTES_MAX) {
        return CAPSTAN_E_INVALID;
    }
    codec_encode(keyed_deliver_wire(),
                 &(keyed_deliver_t){.key = key, .message = message, .body = body}, out);
    return CAPSTAN_OK;
}

capstan_err_t capstan_keyed_tell(capstan_actor_t *self, const capstan_keyed_t *keyed,
                                 capstan_slice_t key, uint32_t message, capstan_slice_t body)
{
    buffer_t out = {0};
    capstan_err_t err = wrap(key, message, body, &out);
    if (err == CAPSTAN_OK) {
        err = capstan_tell(self, keeper_of(keyed, key), MESSAGE_keyed_deliver, buffer_slice(&out));
    }
    buffer_fini(&out);
    return err;
}

capstan_err_t capstan_keyed_ask(capstan_actor_t *self, const capstan_keyed_t *keyed,
                                capstan_slice_t key, uint32_t message, capstan_slice_t body,
                                int64_t timeout_us, uint64_t *ret_correlation)
{
    buffer_t out = {0};
    capstan_err_t err = wrap(key, message, body, &out);
    if (err == CAPSTAN_OK) {
        err = capstan_ask(self, keeper_of(keyed, key), MESSAGE_keyed_deliver, buffer_slice(&out),
                          timeout_us, ret_correlation);
    }
    buffer_fini(&out);
    return err;
}

capstan_err_t capstan_node_keyed_tell(capstan_node_t *node, const capstan_keyed_t *keyed,
                                      capstan_slice_t key, uint32_t message, capstan_slice_t body)
{
    buffer_t out = {0};
    capstan_err_t err = wrap(key, message, body, &out);
    if (err == CAPSTAN_OK) {
        err = capstan_node_tell(node, keeper_of(keyed, key), MESSAGE_keyed_deliver,
                                buffer_slice(&out));
    }
    buffer_fini(&out);
    return err;
}

capstan_err_t capstan_node_keyed_ask(capstan_node_t *node, const capstan_keyed_t *keyed,
                                     capstan_slice_t key, uint32_t message, capstan_slice_t body,
                                     int64_t timeout_us, void **ret_body, size_t *ret_size)
{
    buffer_t out = {0};
    capstan_err_t err = wrap(key, message, body, &out);
    if (err == CAPSTAN_OK) {
        err = capstan_node_ask(node, keeper_of(keyed, key), MESSAGE_keyed_deliver,
                               buffer_slice(&out), timeout_us, ret_body, ret_size);
    }
    buffer_fini(&out);
    return err;
}
