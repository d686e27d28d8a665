/* Held events, per key in ascending sequence, and the heap of open gaps, oldest first.
 *
 * A held list is an array: a producer that sends in descending order costs a memmove per event,
 * where a linked list would cost a walk. A heap of gaps, because clocks may step back and a
 * snapshot is loaded in the order of its keys. */
#include "actors/ordering/partition_state.h"

#include "runtime/base/ensure.h"

static bool heap_before(const partition_t *self, size_t a, size_t b)
{
    return self->gaps[a]->since_us < self->gaps[b]->since_us;
}

static void heap_swap(partition_t *self, size_t a, size_t b)
{
    hold_t *hold = self->gaps[a];
    self->gaps[a] = self->gaps[b];
    self->gaps[b] = hold;
    self->gaps[a]->heap_at = a;
    self->gaps[b]->heap_at = b;
}

/* Puts the gap at `at` where it belongs after its age changed. */
static void heap_sift(partition_t *self, size_t at)
{
    while (at > 0 && heap_before(self, at, (at - 1) / 2)) {
        heap_swap(self, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= self->gap_count) {
            return;
        }
        if (child + 1 < self->gap_count && heap_before(self, child + 1, child)) {
            child++;
        }
        if (!heap_before(self, child, at)) {
            return;
        }
        heap_swap(self, at, child);
        at = child;
    }
}

static void heap_add(partition_t *self, hold_t *hold)
{
    if (self->gap_count == self->gap_capacity) {
        size_t capacity = self->gap_capacity > 0 ? self->gap_capacity * 2 : 16;
        hold_t **gaps = realloc(self->gaps, capacity * sizeof *gaps);
        ENSURE(gaps);
        self->gaps = gaps;
        self->gap_capacity = capacity;
    }
    hold->heap_at = self->gap_count;
    self->gaps[self->gap_count++] = hold;
    heap_sift(self, hold->heap_at);
}

static void heap_remove(partition_t *self, hold_t *hold)
{
    size_t at = hold->heap_at;
    size_t last = --self->gap_count;
    if (at != last) {
        heap_swap(self, at, last);
        heap_sift(self, at);
    }
}

/* Where `sequence` is or would be inserted. */
static size_t find_place(const hold_t *hold, uint64_t sequence)
{
    size_t low = 0;
    size_t high = hold->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (hold->list[middle].sequence < sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool hold_contains(const key_entry_t *entry, uint64_t sequence)
{
    const hold_t *hold = entry->hold;
    if (!hold) {
        return false;
    }
    size_t at = find_place(hold, sequence);
    return at < hold->count && hold->list[at].sequence == sequence;
}

/* The first missing sequence was first seen to be missing when the first of the events behind it
 * arrived. Every held event is behind it. */
static void hold_set_age(partition_t *self, hold_t *hold)
{
    int64_t since_us = hold->list[0].taken_us;
    for (size_t i = 1; i < hold->count; i++) {
        if (hold->list[i].taken_us < since_us) {
            since_us = hold->list[i].taken_us;
        }
    }
    hold->since_us = since_us;
    heap_sift(self, hold->heap_at);
}

static hold_t *hold_open(partition_t *self, key_entry_t *entry, int64_t since_us)
{
    hold_t *hold = calloc(1, sizeof *hold);
    ENSURE(hold);
    hold->entry = entry;
    hold->since_us = since_us;
    entry->hold = hold;
    heap_add(self, hold);
    return hold;
}

void hold_add(partition_t *self, key_entry_t *entry, uint64_t sequence, int64_t taken_us,
              slice_t record)
{
    hold_t *hold = entry->hold ? entry->hold : hold_open(self, entry, taken_us);
    if (hold->count == hold->capacity) {
        size_t capacity = hold->capacity > 0 ? hold->capacity * 2 : 4;
        held_event_t *list = realloc(hold->list, capacity * sizeof *list);
        ENSURE(list);
        hold->list = list;
        hold->capacity = capacity;
    }
    uint8_t *data = malloc(record.size);
    ENSURE(data);
    memcpy(data, record.data, record.size);
    size_t at = find_place(hold, sequence);
    ENSURE(at == hold->count || hold->list[at].sequence != sequence);
    memmove(&hold->list[at + 1], &hold->list[at], (hold->count - at) * sizeof *hold->list);
    hold->list[at] = (held_event_t){
        .sequence = sequence, .taken_us = taken_us, .data = data, .size = record.size};
    hold->count++;
    self->held_items++;
    self->held_bytes += record.size;
    if (taken_us < hold->since_us) {
        hold->since_us = taken_us;
        heap_sift(self, hold->heap_at);
    }
}

static void hold_free(hold_t *hold)
{
    for (size_t i = 0; i < hold->count; i++) {
        free(hold->list[i].data);
    }
    free(hold->list);
    free(hold);
}

void hold_forget(partition_t *self, key_entry_t *entry, size_t count)
{
    hold_t *hold = entry->hold;
    ENSURE(hold && count <= hold->count);
    for (size_t i = 0; i < count; i++) {
        self->held_items--;
        self->held_bytes -= hold->list[i].size;
        free(hold->list[i].data);
    }
    hold->count -= count;
    memmove(hold->list, &hold->list[count], hold->count * sizeof *hold->list);
    if (hold->count > 0) {
        hold_set_age(self, hold);
        return;
    }
    heap_remove(self, hold);
    entry->hold = NULL;
    hold_free(hold);
}

bool partition_holds_key(const partition_t *self, slice_t key)
{
    for (size_t i = 0; i < self->gap_count; i++) {
        if (slice_equal(key_name(self->gaps[i]->entry), key)) {
            return true;
        }
    }
    return false;
}

void holds_fini(partition_t *self)
{
    for (size_t i = 0; i < self->gap_count; i++) {
        hold_free(self->gaps[i]);
    }
    free(self->gaps);
}
