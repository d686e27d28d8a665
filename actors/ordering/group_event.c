/* Events of a group: in their key's list, in that of the member that holds them, in the heap of
 * those that are retried. */
#include "actors/ordering/group_state.h"
#include "runtime/base/ensure.h"

#include <stdlib.h>

typedef struct event_place {
    uint32_t partition;
    uint64_t offset;
} event_place_t;

/* Offsets come in rows, which would make rows of neighbours in the map, and removing from those
 * takes a walk (the finaliser of MurmurHash3, which spreads them). */
static uint64_t hash_of(uint32_t partition, uint64_t offset)
{
    uint64_t hash = offset ^ (uint64_t)partition << 48;
    hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
    hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ hash >> 33;
}

static bool is_at(const void *value, const void *wanted)
{
    const group_event_t *event = value;
    const event_place_t *place = wanted;
    return event->offset == place->offset && event->partition == place->partition;
}

group_event_t *group_event_find(const group_t *self, uint32_t partition, uint64_t offset)
{
    event_place_t wanted = {partition, offset};
    return map_find(&self->events, hash_of(partition, offset), is_at, &wanted);
}

group_event_t *group_event_new(group_t *self, uint32_t partition, uint64_t offset, slice_t record)
{
    group_event_t *event = malloc(sizeof *event + record.size);
    ENSURE(event && record.size <= UINT32_MAX);
    *event =
        (group_event_t){.offset = offset, .partition = partition, .size = (uint32_t)record.size};
    memcpy(event->data, record.data, record.size);
    map_add(&self->events, hash_of(partition, offset), event);
    self->unfinished++;
    self->bytes += sizeof *event + record.size;
    return event;
}

void group_event_free(group_t *self, group_event_t *event)
{
    ENSURE(!event->key && event->given == 0 && event->retry_at == 0);
    map_remove(&self->events, hash_of(event->partition, event->offset), event);
    self->unfinished--;
    self->bytes -= sizeof *event + event->size;
    free(event);
}

void group_events_fini(group_t *self)
{
    size_t position = 0;
    for (void *event; (event = map_next(&self->events, &position));) {
        free(event);
    }
    map_fini(&self->events);
    free(self->retries);
}

/* --- a key's list ---------------------------------------------------------------------------- */

void group_event_insert(group_key_t *key, group_event_t *event)
{
    group_event_t *behind = NULL; /* it goes right before this one */
    group_event_t *before = key->last;
    while (before && before->given == 0 && before->offset > event->offset) {
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

/* Usually at the end of the member's list; one that is delivered again belongs further in front. */
void group_event_hold(group_t *self, group_member_t *member, group_key_t *key)
{
    group_event_t *event = key->pending;
    held_list_t *list = &member->partitions[event->partition];
    group_event_t *behind = NULL;
    group_event_t *before = list->last;
    while (before && before->offset > event->offset) {
        behind = before;
        before = before->held_before;
    }
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
        if (event->before && event->before->offset > event->offset) {
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
