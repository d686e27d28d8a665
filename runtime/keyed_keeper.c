/* The keeper of a worker cell's share of the keys of one kind.
 *
 * Accepts   keyed_deliver
 * Sends     what is in it, to the actor of the key, in the name of whoever sent it
 *
 * Keeper and actors share the cell, and so the thread: what they have to tell each other is a call.
 * Nothing is durable. */
#include "runtime/base/ensure.h"
#include "runtime/keyed_internal.h"
#include "runtime/runtime_messages.h"

#include <stdlib.h>
#include <string.h>

enum {
    RESTS_PER_LOOK = 1000, /* put to rest at once; the others wait for the next look */
    LOOKS_PER_REST = 4,    /* so that an actor rests at most a quarter too late */
    LOOK_US_MIN = 1000,
};

typedef struct keeper {
    capstan_keyed_t *keyed;
    capstan_actor_t *actor;
    key_table_t table;
    key_entry_t *waking; /* whose actor's init runs */
    bool looking;        /* for actors to put to rest */
} keeper_t;

static void count(_Atomic uint64_t *figure, uint64_t change)
{
    atomic_fetch_add_explicit(figure, change, memory_order_relaxed);
}

static capstan_actor_t *actor_of(const keeper_t *self, const key_entry_t *entry)
{
    return node_slot(self->actor->cell->node, entry->actor.slot)->actor;
}

static void forget(keeper_t *self, key_entry_t *entry)
{
    key_table_remove(&self->table, entry);
    count(&self->keyed->keys, UINT64_MAX);
}

/* --- an actor's life ------------------------------------------------------------------------- */

static capstan_err_t wake(keeper_t *self, key_entry_t *entry)
{
    cell_t *cell = self->actor->cell;
    const capstan_keyed_options_t *options = &self->keyed->options;
    capstan_keyed_start_t start = {
        .key = {entry->key, entry->key_size},
        .saved = {entry->saved, entry->saved_size},
        .argument = options->argument,
    };
    const capstan_spawn_options_t spawn = {
        .mailbox_messages = options->mailbox_messages,
        .mailbox_bytes = options->mailbox_bytes,
        .overflow =
            options->drop_oldest ? CAPSTAN_OVERFLOW_DROP_OLDEST : CAPSTAN_OVERFLOW_DROP_NEWEST,
    };
    adoption_t adoption = {.behaviour = options->behaviour, .argument = &start, .answered = true};
    capstan_ref_t ref;
    capstan_err_t err = node_slot_take(cell->node, &spawn, options->behaviour, cell, cell, false,
                                       &adoption.slot, &ref);
    self->waking = entry;
    err = err ? err : cell_adopt(cell, &adoption);
    self->waking = NULL;
    if (err == CAPSTAN_OK && !adoption.slot->actor) {
        err = CAPSTAN_E_GONE; /* its init let it end */
    }
    if (err == CAPSTAN_OK) {
        adoption.slot->actor->key = entry;
        entry->keeper = self;
        key_table_wake(&self->table, entry, ref, cell->now_us);
        count(&self->keyed->awake, 1);
        count(&self->keyed->wakes, entry->saved != NULL);
    }
    return err;
}

void keyed_ended(capstan_actor_t *actor)
{
    key_entry_t *entry = actor->key;
    keeper_t *self = entry->keeper;
    actor->key = NULL;
    key_table_rest(&self->table, entry);
    count(&self->keyed->awake, UINT64_MAX);
    if (actor->reason == CAPSTAN_OK || !entry->saved) {
        forget(self, entry);
    }
}

static bool watches_something(const capstan_actor_t *actor)
{
    const cell_t *cell = actor->cell;
    size_t i = 0;
    while (i < cell->watch_count && cell->watches[i].actor != actor) {
        i++;
    }
    return i < cell->watch_count;
}

static bool is_idle(const capstan_actor_t *actor)
{
    return !watches_something(actor) && actor->slot->mailbox.queued == 0 &&
           actor->party.asks == CALLS_NONE && actor->party.requests == CALLS_NONE &&
           actor->timer_count == 0 && !actor->turned && mailbox_is_settled(&actor->slot->mailbox) &&
           !(actor->park && actor->park->head);
}

static bool put_to_rest(keeper_t *self, key_entry_t *entry)
{
    capstan_actor_t *actor = actor_of(self, entry);
    void *saved = NULL;
    size_t size = 0;
    if (!is_idle(actor) ||
        actor_run_save(actor, self->keyed->options.save, &saved, &size) != CAPSTAN_OK) {
        return actor->dead;
    }
    if (actor->dead) {
        free(saved); /* it ended in there */
        return true;
    }
    key_entry_save(entry, saved, size);
    actor->key = NULL;
    key_table_rest(&self->table, entry);
    count(&self->keyed->awake, UINT64_MAX);
    count(&self->keyed->rests, 1);
    actor_end(actor, CAPSTAN_OK);
    return true;
}

static void look_later(keeper_t *self, int64_t after_us)
{
    capstan_timer_start(self->actor, after_us, NULL);
}

/* Those that are due, oldest first; one that is busy is looked at again as if it had had a message.
 */
static void look(capstan_actor_t *actor, uint64_t timer, void *cookie)
{
    (void)timer;
    (void)cookie;
    keeper_t *self = capstan_actor_state(actor);
    self->looking = true;
    int64_t rest_us = self->keyed->options.rest_us;
    int64_t now_us = capstan_now_us(actor);
    key_entry_t *entry;
    int left = RESTS_PER_LOOK;
    for (; left > 0 && (entry = self->table.oldest) && now_us - entry->used_us >= rest_us; left--) {
        if (!put_to_rest(self, entry)) {
            key_table_wake(&self->table, entry, entry->actor, now_us);
        }
    }
    self->looking = false;
    int64_t pause_us = rest_us / LOOKS_PER_REST;
    look_later(self, left == 0 ? 0 : pause_us > LOOK_US_MIN ? pause_us : LOOK_US_MIN);
}

/* --- messages -------------------------------------------------------------------------------- */

static void refuse(keeper_t *self, const capstan_message_t *message, capstan_err_t err)
{
    count(&self->keyed->refused, 1);
    capstan_reply_error(self->actor, message, err, NULL);
}

/* The share of this keeper, rounded up. */
static uint64_t keys_max(const keeper_t *self)
{
    uint64_t keepers = self->keyed->keeper_count > 0 ? self->keyed->keeper_count : 1;
    return (self->keyed->options.keys_max + keepers - 1) / keepers;
}

static void hand_on(keeper_t *self, key_entry_t *entry, const capstan_message_t *message,
                    const keyed_deliver_t *deliver)
{
    capstan_message_t inner = *message;
    inner.message = (uint32_t)deliver->message;
    inner.target = entry->actor;
    inner.body = deliver->body;
    request_handed_on(self->actor, message);
    /* Its mailbox takes all and drops by itself; only an actor that ended this instant is GONE. */
    if (route_send(self->actor->cell, &inner, false) != CAPSTAN_OK) {
        route_refuse(self->actor->cell, &inner, CAPSTAN_E_GONE, NULL);
    }
}

static capstan_err_t receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    keeper_t *self = capstan_actor_state(actor);
    keyed_deliver_t deliver;
    if (message->message != MESSAGE_keyed_deliver ||
        codec_decode(keyed_deliver_wire(), message->body, &deliver, NULL) != CAPSTAN_OK ||
        deliver.key.size == 0 || deliver.key.size > CAPSTAN_KEY_BYTES_MAX) {
        capstan_reply_error(actor, message, CAPSTAN_E_UNKNOWN_MESSAGE, NULL);
        return CAPSTAN_OK;
    }
    key_entry_t *entry = key_table_find(&self->table, deliver.key);
    if (!entry && self->table.keys.count >= keys_max(self)) {
        refuse(self, message, CAPSTAN_E_LIMIT);
        return CAPSTAN_OK;
    }
    if (!entry) {
        entry = key_table_add(&self->table, deliver.key);
        count(&self->keyed->keys, 1);
    }
    if (capstan_ref_is_null(entry->actor)) {
        capstan_err_t err = wake(self, entry);
        if (err != CAPSTAN_OK) {
            refuse(self, message, err);
            if (!entry->saved) {
                forget(self, entry);
            }
            return CAPSTAN_OK;
        }
    } else {
        key_table_wake(&self->table, entry, entry->actor, capstan_now_us(actor));
    }
    hand_on(self, entry, message, &deliver);
    return CAPSTAN_OK;
}

/* The key goes on with a copy of what was saved, or is forgotten. */
static void replace(keeper_t *self, const key_entry_t *entry)
{
    key_table_take(&self->table, entry);
    if (!entry->saved) {
        count(&self->keyed->keys, UINT64_MAX);
        return;
    }
    void *saved = malloc(entry->saved_size + 1);
    ENSURE(saved);
    memcpy(saved, entry->saved, entry->saved_size);
    key_entry_save(key_table_add(&self->table, slice_of(entry->key, entry->key_size)), saved,
                   entry->saved_size);
}

key_entry_t *keyed_interrupted(capstan_actor_t *keeper)
{
    keeper_t *self = capstan_actor_state(keeper);
    key_entry_t *entry = self->waking;
    if (self->looking) {
        self->looking = false;
        look_later(self, 0);
    }
    if (entry) {
        self->waking = NULL;
        count(&self->keyed->refused, 1);
        replace(self, entry);
    }
    return entry;
}

static capstan_err_t init(capstan_actor_t *actor, void *argument)
{
    uint8_t seed[16];
    keeper_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    node_random(capstan_actor_node(actor), seed, sizeof seed);
    self->keyed = argument;
    self->actor = actor;
    key_table_init(&self->table, seed);
    capstan_actor_set_state(actor, self);
    if (self->keyed->options.save && self->keyed->options.rest_us < INT64_MAX) {
        look_later(self, self->keyed->options.rest_us / LOOKS_PER_REST);
    }
    return CAPSTAN_OK;
}

/* The actors that are awake outlive it for a moment. */
static void destroy(capstan_actor_t *actor)
{
    keeper_t *self = capstan_actor_state(actor);
    for (const key_entry_t *entry = self->table.oldest; entry; entry = entry->newer) {
        actor_of(self, entry)->key = NULL;
    }
    key_table_fini(&self->table);
    free(self);
}

const capstan_behaviour_t keeper_behaviour = {
    .name = "keeper", .init = init, .receive = receive, .timer = look, .destroy = destroy};
