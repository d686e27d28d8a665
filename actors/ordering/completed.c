#include "actors/ordering/completed.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>
#include <string.h>

void completed_fini(completed_t *self)
{
    free(self->ranges);
    *self = (completed_t){0};
}

void completed_clear(completed_t *self)
{
    self->frontier = 0;
    self->begin = self->count = 0;
}

/* The first range that ends at `offset` or behind it; `count` when none does. What is completed is
 * usually near the end. */
static size_t find_place(const completed_t *self, uint64_t offset)
{
    size_t low = 0;
    size_t high = self->count;
    if (high > 0 && completed_range(self, high - 1)->first <= offset) {
        return completed_range(self, high - 1)->last < offset ? high : high - 1;
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (completed_range(self, middle)->last < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool completed_has(const completed_t *self, uint64_t offset)
{
    if (offset <= self->frontier) {
        return true;
    }
    size_t place = find_place(self, offset);
    return place < self->count && completed_range(self, place)->first <= offset;
}

static void make_room(completed_t *self)
{
    if (self->begin + self->count < self->capacity) {
        return;
    }
    if (self->begin > self->count) { /* more than half of it lies unused in front */
        memmove(self->ranges, self->ranges + self->begin, self->count * sizeof *self->ranges);
        self->begin = 0;
        return;
    }
    self->capacity = self->capacity > 0 ? self->capacity * 2 : 8;
    self->ranges = realloc(self->ranges, self->capacity * sizeof *self->ranges);
    ENSURE(self->ranges);
}

/* Puts a range at a place, where it touches no other one. */
static void insert_range(completed_t *self, size_t place, offset_range_t range)
{
    if (range.first > range.last) {
        return;
    }
    make_room(self);
    offset_range_t *at = self->ranges + self->begin + place;
    memmove(at + 1, at, (self->count - place) * sizeof *at);
    *at = range;
    self->count++;
}

void completed_add(completed_t *self, uint64_t first, uint64_t last)
{
    ENSURE(first <= last);
    if (last <= self->frontier) {
        return;
    }
    first = first <= self->frontier ? self->frontier + 1 : first;
    if (self->count == 0 && first == self->frontier + 1) {
        self->frontier = last;
        return;
    }
    size_t place = find_place(self, first - 1); /* one that ends right before it grows */
    size_t end = place;
    while (end < self->count && completed_range(self, end)->first <= last + 1) {
        end++;
    }
    if (end == place) {
        insert_range(self, place, (offset_range_t){first, last});
    } else {
        offset_range_t *at = self->ranges + self->begin + place;
        uint64_t end_last = completed_range(self, end - 1)->last;
        at->first = at->first < first ? at->first : first;
        at->last = end_last > last ? end_last : last;
        memmove(at + 1, self->ranges + self->begin + end, (self->count - end) * sizeof *at);
        self->count -= end - place - 1;
    }
    if (completed_range(self, 0)->first == self->frontier + 1) {
        self->frontier = completed_range(self, 0)->last;
        self->begin++;
        self->count--;
    }
}

void completed_remove(completed_t *self, uint64_t offset)
{
    if (!completed_has(self, offset)) {
        return;
    }
    if (offset <= self->frontier) {
        insert_range(self, 0, (offset_range_t){offset + 1, self->frontier});
        self->frontier = offset - 1;
        return;
    }
    size_t place = find_place(self, offset);
    offset_range_t *at = self->ranges + self->begin + place;
    offset_range_t behind = {offset + 1, at->last};
    at->last = offset - 1;
    insert_range(self, place + 1, behind);
    at = self->ranges + self->begin + place;
    if (at->first > at->last) {
        memmove(at, at + 1, (self->count - place - 1) * sizeof *at);
        self->count--;
    }
}

void completed_add_all(completed_t *self, const completed_t *other)
{
    if (other->frontier > 0) {
        completed_add(self, 1, other->frontier);
    }
    for (size_t i = 0; i < other->count; i++) {
        const offset_range_t *range = completed_range(other, i);
        completed_add(self, range->first, range->last);
    }
}
