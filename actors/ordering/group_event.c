/* Events of a group: in their key's list, in that of the member that holds them, in the heap of
 * those that are retried. */
#include "actors/ordering/group_events.h"
#include "actors/ordering/group_members.h"
#include "runtime/base/ensure.h"

#include <stdlib.h>

enum {
    TABLE_SIZE_FIRST = 64,
    SPARE_MIN = 1024, /* events whose memory is kept for the next ones, however few there are */
    SPARE_BYTES_MAX = 1024, /* of the record of such a one */
    SPARE_BYTES_UNIT = 64,  /* records take a multiple of it, so that most fit most */
};

/* Offsets come in rows: so do their places, which the processor fetches ahead. Two events share one
 * only where what is unfinished reaches over more offsets than there are places. */
static group_event_t **chain_of(const group_partition_t *place, uint64_t offset)
{
    return &place->events[offset & place->events_mask];
}

group_event_t *group_event_find(const group_t *self, uint32_t partition, uint64_t offset)
{
    const group_partition_t *place = &self->partitions[partition];
    group_event_t *event = place->events ? *chain_of(place, offset) : NULL;
    while (event && event->offset != offset) {
        event = event->chain;
    }
    return event;
}

void group_events_prefetch(const group_t *self, uint32_t partition, uint64_t first, uint64_t last)
{
    const group_partition_t *place = &self->partitions[partition];
    for (uint64_t offset = first; place->events && offset <= last; offset++) {
        __builtin_prefetch(*chain_of(place, offset), 1);
    }
}

static void chain_add(group_partition_t *place, group_event_t *event)
{
    group_event_t **chain = chain_of(place, event->offset);
    event->chain = *chain;
    *chain = event;
}

/* Twice the size, when there are as many events as places. */
static void table_grow(group_partition_t *place)
{
    size_t old_size = place->events ? place->events_mask + 1 : 0;
    size_t size = old_size > 0 ? old_size * 2 : TABLE_SIZE_FIRST;
    group_event_t **old = place->events;
    place->events = calloc(size, sizeof(group_event_t *));
    ENSURE(place->events);
    place->events_mask = size - 1;
    for (size_t i = 0; i < old_size; i++) {
        for (group_event_t *event = old[i], *next; event; event = next) {
            next = event->chain;
            chain_add(place, event);
        }
    }
    free(old);
}

/* As many events end as begin, about as large: what malloc does to join and split their memory was
 * a tenth of a group's time. */
static group_event_t *event_alloc(group_t *self, size_t size)
{
    group_event_t *event = self->spare;
    if (event && event->capacity >= size) {
        self->spare = event->chain;
        self->spare_count--;
        return event;
    }
    ENSURE(size <= UINT32_MAX - SPARE_BYTES_UNIT);
    size_t capacity = (size + SPARE_BYTES_UNIT - 1) / SPARE_BYTES_UNIT * SPARE_BYTES_UNIT;
    event = malloc(sizeof *event + capacity);
    ENSURE(event);
    event->capacity = (uint32_t)capacity;
    return event;
}

static void free_spare(group_t *self)
{
    group_event_t *event = self->spare;
    self->spare = event->chain;
    self->spare_count--;
    free(event);
}

/* About as much is kept as is in use, and goes with it. */
static void event_release(group_t *self, group_event_t *event)
{
    if (event->capacity > SPARE_BYTES_MAX) {
        free(event);
        return;
    }
    event->chain = self->spare;
    self->spare = event;
    self->spare_count++;
    for (int i = 0; i < 2 && self->spare_count > self->unfinished + SPARE_MIN; i++) {
        free_spare(self);
    }
}

group_event_t *group_event_new(group_t *self, uint32_t partition, uint64_t offset, slice_t record)
{
    group_partition_t *place = &self->partitions[partition];
    group_event_t *event = event_alloc(self, record.size);
    *event = (group_event_t){.offset = offset,
                             .partition = partition,
                             .size = (uint32_t)record.size,
                             .capacity = event->capacity,
                             .generation = group_generation(self, partition, offset)};
    memcpy(event->data, record.data, record.size);
    if (!place->events || place->events_count > place->events_mask) {
        table_grow(place);
    }
    chain_add(place, event);
    place->events_count++;
    self->unfinished++;
    self->bytes += sizeof *event + record.size;
    return event;
}

void group_event_free(group_t *self, group_event_t *event)
{
    ENSURE(!event->key && event->given == 0 && event->retry_at == 0);
    group_partition_t *place = &self->partitions[event->partition];
    group_event_t **link = chain_of(place, event->offset);
    while (*link != event) {
        link = &(*link)->chain;
    }
    *link = event->chain;
    place->events_count--;
    self->unfinished--;
    self->bytes -= sizeof *event + event->size;
    event_release(self, event);
}

static void table_fini(group_partition_t *place)
{
    for (size_t i = 0; place->events && i <= place->events_mask; i++) {
        for (group_event_t *event = place->events[i], *next; event; event = next) {
            next = event->chain;
            free(event);
        }
    }
    free(place->events);
}

void group_events_fini(group_t *self)
{
    for (uint32_t i = 0; i < self->limits.partitions; i++) {
        table_fini(&self->partitions[i]);
    }
    while (self->spare) {
        free_spare(self);
    }
    free(self->retries);
}

/* --- a key's list ---------------------------------------------------------------------------- */

void group_event_insert(group_key_t *key, group_event_t *event)
{
    group_event_t *behind = NULL; /* it goes right before this one */
    group_event_t *before = key->last;
    while (before && before->given == 0 && group_event_is_behind(before, event)) {
        behind = before;
        before = before->before;
    }
    event->key = key;
    event->before = before;
    event->behind = behind;
    *(before ? &before->behind : &key->first) = event;
    *(behind ? &behind->before : &key->last) = event;
    if (key->pending == behind) {
        key->pending = event;
    }
    key->count++;
}

static void take_back(group_t *self, group_event_t *event)
{
    group_member_t *member = event->key->member;
    held_list_t *list = &member->partitions[event->partition];
    *(event->held_before ? &event->held_before->held_behind : &list->first) = event->held_behind;
    *(event->held_behind ? &event->held_behind->held_before : &list->last) = event->held_before;
    event->given = 0;
    event->key->held--;
    member->held--;
    self->held--;
}

static void unlink_event(group_key_t *key, group_event_t *event)
{
    *(event->before ? &event->before->behind : &key->first) = event->behind;
    *(event->behind ? &event->behind->before : &key->last) = event->before;
    event->before = event->behind = NULL;
    event->key = NULL;
    key->count--;
}

void group_event_take_out(group_t *self, group_event_t *event)
{
    group_key_t *key = event->key;
    if (event->given > 0) {
        group_member_t *member = key->member;
        take_back(self, event);
        group_member_relist(self, member);
    } else if (key->pending == event) {
        key->pending = event->behind;
    }
    unlink_event(key, event);
}

/* Behind which one of the member's list an event belongs; NULL: it is the first. Usually the last
 * one; but keys are given out by their backlogs, whole stretches of the log one after the other. So
 * it is looked for in the list from its end and among the offsets before it at the same time:
 * either the member holds little, or much of what lies there. */
static group_event_t *find_before(const group_t *self, const group_member_t *member,
                                  const group_event_t *event)
{
    const held_list_t *list = &member->partitions[event->partition];
    if (!list->first || list->first->offset > event->offset) {
        return NULL;
    }
    group_event_t *before = list->last;
    for (uint64_t offset = event->offset - 1; before->offset > event->offset; offset--) {
        group_event_t *near = group_event_find(self, event->partition, offset);
        if (near && near->given > 0 && near->key->member == member) {
            return near;
        }
        before = before->held_before;
    }
    return before;
}

void group_event_hold(group_t *self, group_member_t *member, group_key_t *key)
{
    group_event_t *event = key->pending;
    held_list_t *list = &member->partitions[event->partition];
    group_event_t *before = find_before(self, member, event);
    group_event_t *behind = before ? before->held_behind : list->first;
    event->held_before = before;
    event->held_behind = behind;
    *(before ? &before->held_behind : &list->first) = event;
    *(behind ? &behind->held_before : &list->last) = event;
    event->given = ++self->given;
    key->pending = event->behind;
    key->held++;
    member->held++;
    self->held++;
}

void group_key_unhold(group_t *self, group_key_t *key)
{
    group_member_t *member = key->member;
    for (group_event_t *event = key->first; event != key->pending; event = event->behind) {
        take_back(self, event);
    }
    key->pending = key->first;
    /* One that came back while others were held was given behind them. */
    for (group_event_t *event = key->first, *next; event; event = next) {
        next = event->behind;
        if (event->before && group_event_is_behind(event->before, event)) {
            unlink_event(key, event);
            group_event_insert(key, event);
        }
    }
    group_member_relist(self, member);
}

/* --- the heap of retries --------------------------------------------------------------------- */

static void heap_put(group_t *self, size_t at, group_event_t *event)
{
    self->retries[at] = event;
    event->retry_at = at + 1;
}

static void heap_sift(group_t *self, size_t at, group_event_t *event)
{
    for (; at > 0 && self->retries[(at - 1) / 2]->due_us > event->due_us; at = (at - 1) / 2) {
        heap_put(self, at, self->retries[(at - 1) / 2]);
    }
    for (size_t child; (child = at * 2 + 1) < self->retry_count; at = child) {
        if (child + 1 < self->retry_count &&
            self->retries[child + 1]->due_us < self->retries[child]->due_us) {
            child++;
        }
        if (self->retries[child]->due_us >= event->due_us) {
            break;
        }
        heap_put(self, at, self->retries[child]);
    }
    heap_put(self, at, event);
}

void group_retry_add(group_t *self, group_event_t *event, int64_t due_us)
{
    if (self->retry_count == self->retry_capacity) {
        self->retry_capacity = self->retry_capacity > 0 ? self->retry_capacity * 2 : 16;
        self->retries = realloc(self->retries, self->retry_capacity * sizeof(group_event_t *));
        ENSURE(self->retries);
    }
    event->due_us = due_us;
    heap_sift(self, self->retry_count++, event);
}

void group_retry_remove(group_t *self, group_event_t *event)
{
    size_t at = event->retry_at - 1;
    group_event_t *last = self->retries[--self->retry_count];
    event->retry_at = 0;
    if (last != event) {
        heap_sift(self, at, last);
    }
}
