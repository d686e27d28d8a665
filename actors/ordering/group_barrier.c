/* The barriers of a group: nothing behind one is read before everything up to it is completed in
 * all partitions, and on disk as such, so that a crash does not deliver it again behind what
 * followed. */
#include "actors/ordering/group_state.h"
#include "runtime/base/ensure.h"

#include <stdlib.h>

static const uint64_t *barrier(const group_t *self, size_t index)
{
    return self->barriers.offsets + index * self->limits.partitions;
}

void group_add_barrier(group_t *self, const uint64_t *offsets)
{
    size_t size = self->limits.partitions * sizeof *offsets;
    if (self->limits.mode == GROUP_UNORDERED) {
        return;
    }
    ENSURE(self->barriers.count < GROUP_BARRIERS_MAX);
    self->barriers.offsets = realloc(self->barriers.offsets, (self->barriers.count + 1) * size);
    ENSURE(self->barriers.offsets);
    memcpy(self->barriers.offsets + self->barriers.count * self->limits.partitions, offsets, size);
    self->barriers.count++;
}

/* Whether a part of what is behind the barrier is completed: so it was passed before a restart. */
static bool was_passed(const group_t *self, const uint64_t *offsets)
{
    for (uint32_t i = 0; i < self->limits.partitions; i++) {
        const completed_t *completed = &self->partitions[i].completed;
        uint64_t last = completed->count > 0
                            ? completed_range(completed, completed->count - 1)->last
                            : completed->frontier;
        if (last > offsets[i]) {
            return true;
        }
    }
    return false;
}

/* Frontiers never go back, so that a partition which has come to the barrier is not looked at
 * again. What is parked counts as completed. A key carries that it waits behind a parked event into
 * its new partition; where a partition is what waits, its keys would overtake. */
static bool is_passed(group_t *self)
{
    const uint64_t *offsets = barrier(self, self->barriers.passed);
    while (self->barriers.reached < self->limits.partitions &&
           self->partitions[self->barriers.reached].marked.stored >=
               offsets[self->barriers.reached]) {
        self->barriers.reached++;
    }
    return self->barriers.reached == self->limits.partitions &&
           (self->limits.mode != GROUP_BY_PARTITION || self->barriers.waiting == 0 ||
            was_passed(self, offsets));
}

uint64_t group_read_limit(group_t *self, uint32_t partition)
{
    while (self->barriers.passed < self->barriers.count && is_passed(self)) {
        self->barriers.passed++;
        self->barriers.reached = 0;
    }
    return self->barriers.passed < self->barriers.count
               ? barrier(self, self->barriers.passed)[partition]
               : UINT64_MAX;
}

uint8_t group_generation(const group_t *self, uint32_t partition, uint64_t offset)
{
    size_t behind = self->barriers.count;
    while (behind > 0 && offset <= barrier(self, behind - 1)[partition]) {
        behind--;
    }
    return (uint8_t)behind;
}

bool group_event_is_behind(const group_event_t *event, const group_event_t *other)
{
    return event->generation != other->generation ? event->generation > other->generation
                                                  : event->offset > other->offset;
}

void group_mark_stored(group_t *self, uint32_t partition)
{
    self->partitions[partition].marked.stored = self->partitions[partition].marked.taken;
}
