#include "runtime/timers.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>
#include <string.h>

#define PLACE_FREE UINT32_MAX /* place of an entry that is not running */

static uint64_t number_of(const timers_t *self, uint32_t index)
{
    return (uint64_t)self->entries[index].generation << 32 | self->heap_bits | (index + 1);
}

void timers_init(timers_t *self, uint32_t heap)
{
    ENSURE(heap < TIMERS_HEAPS_MAX);
    memset(self, 0, sizeof *self);
    self->heap_bits = heap << TIMERS_INDEX_BITS;
    self->free_head = PLACE_FREE;
}

void timers_fini(timers_t *self)
{
    free(self->entries);
    free(self->heap);
    timers_init(self, self->heap_bits >> TIMERS_INDEX_BITS);
}

static bool before(const timers_t *self, uint32_t a, uint32_t b)
{
    const timer_entry_t *x = &self->entries[a];
    const timer_entry_t *y = &self->entries[b];
    return x->when_us < y->when_us || (x->when_us == y->when_us && x->order < y->order);
}

static void put(timers_t *self, size_t place, uint32_t index)
{
    self->heap[place] = index;
    self->entries[index].place = (uint32_t)place;
}

static void sift_up(timers_t *self, size_t place)
{
    uint32_t index = self->heap[place];
    while (place > 0) {
        size_t parent = (place - 1) / 2;
        if (!before(self, index, self->heap[parent])) {
            break;
        }
        put(self, place, self->heap[parent]);
        place = parent;
    }
    put(self, place, index);
}

static void sift_down(timers_t *self, size_t place)
{
    uint32_t index = self->heap[place];
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= self->count) {
            break;
        }
        if (child + 1 < self->count && before(self, self->heap[child + 1], self->heap[child])) {
            child++;
        }
        if (!before(self, self->heap[child], index)) {
            break;
        }
        put(self, place, self->heap[child]);
        place = child;
    }
    put(self, place, index);
}

static void grow(timers_t *self)
{
    size_t capacity = self->capacity > 0 ? self->capacity * 2 : 16;
    ENSURE(capacity < 1 << TIMERS_INDEX_BITS);
    self->entries = realloc(self->entries, capacity * sizeof *self->entries);
    self->heap = realloc(self->heap, capacity * sizeof *self->heap);
    ENSURE(self->entries && self->heap);
    for (size_t i = capacity; i > self->capacity; i--) {
        self->entries[i - 1] = (timer_entry_t){.place = PLACE_FREE, .next_free = self->free_head};
        self->free_head = (uint32_t)(i - 1);
    }
    self->capacity = capacity;
}

uint64_t timers_start(timers_t *self, int64_t when_us, void *owner, void *cookie)
{
    if (self->free_head == PLACE_FREE) {
        grow(self);
    }
    uint32_t index = self->free_head;
    timer_entry_t *entry = &self->entries[index];
    self->free_head = entry->next_free;
    entry->when_us = when_us;
    entry->order = self->order++;
    entry->owner = owner;
    entry->cookie = cookie;
    entry->generation++;
    put(self, self->count, index);
    self->count++;
    sift_up(self, self->count - 1);
    return number_of(self, index);
}

static void remove_entry(timers_t *self, uint32_t index)
{
    timer_entry_t *entry = &self->entries[index];
    size_t place = entry->place;
    self->count--;
    if (place < self->count) {
        uint32_t moved = self->heap[self->count];
        put(self, place, moved);
        sift_up(self, place);
        sift_down(self, self->entries[moved].place);
    }
    entry->place = PLACE_FREE;
    entry->next_free = self->free_head;
    self->free_head = index;
}

bool timers_cancel(timers_t *self, uint64_t timer)
{
    uint32_t index = ((uint32_t)timer ^ self->heap_bits) - 1;
    if (index >= self->capacity) {
        return false;
    }
    const timer_entry_t *entry = &self->entries[index];
    if (entry->place == PLACE_FREE || entry->generation != timer >> 32) {
        return false;
    }
    remove_entry(self, index);
    return true;
}

int64_t timers_next_us(const timers_t *self)
{
    return self->count > 0 ? self->entries[self->heap[0]].when_us : INT64_MAX;
}

bool timers_take(timers_t *self, int64_t now_us, uint64_t *ret_timer, void **ret_owner,
                 void **ret_cookie)
{
    if (timers_next_us(self) > now_us || self->count == 0) {
        return false;
    }
    uint32_t index = self->heap[0];
    const timer_entry_t *entry = &self->entries[index];
    *ret_timer = number_of(self, index);
    *ret_owner = entry->owner;
    *ret_cookie = entry->cookie;
    remove_entry(self, index);
    return true;
}

void timers_cancel_owner(timers_t *self, const void *owner)
{
    for (uint32_t i = 0; i < self->capacity && self->count > 0; i++) {
        if (self->entries[i].place != PLACE_FREE && self->entries[i].owner == owner) {
            remove_entry(self, i);
        }
    }
}

uint64_t timers_take_of(timers_t *self, const void *owner, int64_t *ret_when_us, void **ret_cookie)
{
    uint32_t first = PLACE_FREE;
    for (uint32_t i = 0; i < self->capacity; i++) {
        const timer_entry_t *entry = &self->entries[i];
        bool sooner = first == PLACE_FREE || entry->order < self->entries[first].order;
        if (entry->place != PLACE_FREE && entry->owner == owner && sooner) {
            first = i;
        }
    }
    if (first == PLACE_FREE) {
        return 0;
    }
    uint64_t number = number_of(self, first);
    *ret_when_us = self->entries[first].when_us;
    *ret_cookie = self->entries[first].cookie;
    remove_entry(self, first);
    return number;
}
