#include "actors/ordering/consumer.h"

#include "actors/ordering/group_key_name.h"
#include "runtime/base/ensure.h"

#include <stdlib.h>

typedef struct consumer_key consumer_key_t;

typedef struct entry {
    consumer_event_t event;
    struct entry *before; /* in its key's list, in the order of delivery */
    struct entry *behind;
    consumer_key_t *key; /* NULL: the place is free */
    bool waits;
    uint8_t *data; /* of one that waits */
} entry_t;

struct consumer_key {
    consumer_key_t *ready_before; /* while it is ready */
    consumer_key_t *ready_behind;
    consumer_key_t *taken_behind; /* among those that the same handler has */
    uint64_t hash;
    entry_t *first;
    entry_t *last;
    entry_t *next;    /* the first that waits; those behind it wait too */
    uint32_t handler; /* that has events of it; 0: none */
    bool ready;       /* events wait, and no handler has any */
    uint32_t size;
    uint8_t name[];
};

struct consumer {
    tickets_t *tickets;
    group_mode_t mode;
    uint8_t hash_seed[16];
    map_t keys;
    consumer_key_t *ready_first;
    consumer_key_t *ready_last;
    consumer_key_t **taken; /* per handler: the keys that it has (list) */
    consumer_figures_t figures;
    entry_t entries[]; /* at the places of their tickets */
};

consumer_t *consumer_new(tickets_t *tickets, uint32_t handlers, const uint8_t hash_seed[16])
{
    consumer_t *self = calloc(1, sizeof *self + tickets->count * sizeof self->entries[0]);
    ENSURE(self);
    self->taken = calloc(handlers, sizeof(consumer_key_t *));
    ENSURE(self->taken);
    self->tickets = tickets;
    self->mode = GROUP_BY_KEY;
    memcpy(self->hash_seed, hash_seed, sizeof self->hash_seed);
    return self;
}

void consumer_set_mode(consumer_t *self, group_mode_t mode)
{
    ENSURE(self->figures.held == 0);
    self->mode = mode;
}

/* --- keys ------------------------------------------------------------------------------------ */

static bool has_name(const void *value, const void *wanted)
{
    const consumer_key_t *key = value;
    return slice_equal(slice_of(key->name, key->size), *(const slice_t *)wanted);
}

static consumer_key_t *get_key(consumer_t *self, const group_key_name_t *name)
{
    slice_t bytes = group_key_name_bytes(name);
    consumer_key_t *key = map_find(&self->keys, name->hash, has_name, &bytes);
    if (!key) {
        key = calloc(1, sizeof *key + bytes.size);
        ENSURE(key && bytes.size <= UINT32_MAX);
        key->hash = name->hash;
        key->size = (uint32_t)bytes.size;
        memcpy(key->name, bytes.data, bytes.size);
        map_add(&self->keys, name->hash, key);
    }
    return key;
}

/* Brings the list of ready keys up to date with the key; one with nothing is forgotten. */
static void settle(consumer_t *self, consumer_key_t *key)
{
    bool ready = key->next && key->handler == 0;
    if (ready && !key->ready) {
        key->ready_before = self->ready_last;
        key->ready_behind = NULL;
        *(self->ready_last ? &self->ready_last->ready_behind : &self->ready_first) = key;
        self->ready_last = key;
    } else if (!ready && key->ready) {
        *(key->ready_before ? &key->ready_before->ready_behind : &self->ready_first) =
            key->ready_behind;
        *(key->ready_behind ? &key->ready_behind->ready_before : &self->ready_last) =
            key->ready_before;
    }
    key->ready = ready;
    if (!key->first && key->handler == 0) {
        map_remove(&self->keys, key->hash, key);
        free(key);
    }
}

/* --- events ---------------------------------------------------------------------------------- */

static void stop_waiting(consumer_t *self, entry_t *entry)
{
    entry->waits = false;
    self->figures.waiting--;
    self->figures.bytes -= entry->event.event.size;
    if (entry->key->next == entry) {
        entry->key->next = entry->behind;
    }
}

static void give_up(consumer_t *self, entry_t *entry)
{
    consumer_key_t *key = entry->key;
    if (entry->waits) {
        stop_waiting(self, entry);
    }
    *(entry->before ? &entry->before->behind : &key->first) = entry->behind;
    *(entry->behind ? &entry->behind->before : &key->last) = entry->before;
    tickets_end(self->tickets, entry->event.ticket);
    free(entry->data);
    *entry = (entry_t){0};
    self->figures.held--;
}

bool consumer_add(consumer_t *self, uint32_t partition, uint64_t attempts, slice_t event)
{
    uint64_t offset;
    slice_t bytes;
    if (!event_place(event, &offset, &bytes)) {
        return false;
    }
    uint64_t ticket = tickets_issue(self->tickets);
    if (ticket == 0) {
        return false;
    }
    group_key_name_t name = group_key_name(self->mode, self->hash_seed, partition, offset, bytes);
    consumer_key_t *key = get_key(self, &name);
    entry_t *entry = &self->entries[ticket_place(ticket)];
    uint8_t *data = malloc(event.size);
    ENSURE(!entry->key && data);
    memcpy(data, event.data, event.size);
    *entry = (entry_t){.event = {.ticket = ticket,
                                 .offset = offset,
                                 .attempts = attempts,
                                 .partition = partition,
                                 .event = slice_of(data, event.size)},
                       .before = key->last,
                       .key = key,
                       .waits = true,
                       .data = data};
    *(key->last ? &key->last->behind : &key->first) = entry;
    key->last = entry;
    key->next = key->next ? key->next : entry;
    self->figures.held++;
    self->figures.waiting++;
    self->figures.bytes += event.size;
    settle(self, key);
    return true;
}

size_t consumer_take(consumer_t *self, uint32_t handler, size_t max, consumer_event_t *ret_events)
{
    size_t count = 0;
    while (count < max && self->ready_first) {
        consumer_key_t *key = self->ready_first;
        key->handler = handler;
        key->taken_behind = self->taken[handler - 1];
        self->taken[handler - 1] = key;
        while (count < max && key->next) {
            entry_t *entry = key->next;
            ret_events[count++] = entry->event;
            tickets_hand_out(self->tickets, entry->event.ticket);
            stop_waiting(self, entry);
        }
        settle(self, key);
    }
    return count;
}

/* The bytes that were handed out are wanted no more. */
static void drop_data(consumer_key_t *key)
{
    for (entry_t *entry = key->first; entry && !entry->waits; entry = entry->behind) {
        free(entry->data);
        entry->data = NULL;
        entry->event.event = (slice_t){0};
    }
}

void consumer_release(consumer_t *self, uint32_t handler)
{
    consumer_key_t *key = self->taken[handler - 1];
    self->taken[handler - 1] = NULL;
    for (consumer_key_t *behind; key; key = behind) {
        behind = key->taken_behind;
        key->handler = 0;
        drop_data(key);
        settle(self, key);
    }
}

static entry_t *find(const consumer_t *self, uint64_t ticket)
{
    uint32_t place = ticket_place(ticket);
    const entry_t *entry = place < self->tickets->count ? &self->entries[place] : NULL;
    return entry && entry->key && entry->event.ticket == ticket ? (entry_t *)entry : NULL;
}

const consumer_event_t *consumer_find(const consumer_t *self, uint64_t ticket)
{
    const entry_t *entry = find(self, ticket);
    return entry ? &entry->event : NULL;
}

void consumer_done(consumer_t *self, uint64_t ticket)
{
    entry_t *entry = find(self, ticket);
    consumer_key_t *key = entry->key;
    give_up(self, entry);
    settle(self, key);
}

static void empty(consumer_t *self, consumer_key_t *key)
{
    while (key->first) {
        give_up(self, key->first);
    }
    settle(self, key);
}

void consumer_reject(consumer_t *self, uint64_t ticket)
{
    empty(self, find(self, ticket)->key);
}

void consumer_forget(consumer_t *self)
{
    for (uint32_t i = 0; i < self->tickets->count; i++) {
        if (self->entries[i].key) {
            empty(self, self->entries[i].key);
        }
    }
}

consumer_figures_t consumer_figures(const consumer_t *self)
{
    consumer_figures_t figures = self->figures;
    figures.keys = self->keys.count;
    return figures;
}

void consumer_destroy(consumer_t **self_p)
{
    consumer_t *self = *self_p;
    if (!self) {
        return;
    }
    consumer_forget(self);
    size_t position = 0;
    for (consumer_key_t *key; (key = map_next(&self->keys, &position));) {
        free(key); /* handlers have them */
    }
    map_fini(&self->keys);
    free(self->taken);
    free(self);
    *self_p = NULL;
}
