/* What a group has completed in a partition: the frontier, up to which nothing is left to do, and
 * the ranges above it that are done too, ascending and apart from each other.
 *
 *   1 ........ frontier | left | range | left | range | left ...
 *
 * A set of offsets in as little memory as its gaps need: adding what is there changes nothing, so
 * that it may be told twice or in any order. */
#ifndef ORDERING_COMPLETED_H
#define ORDERING_COMPLETED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct offset_range {
    uint64_t first;
    uint64_t last;
} offset_range_t;

/* A zeroed one is empty. */
typedef struct completed {
    uint64_t frontier;
    offset_range_t *ranges; /* those in use begin at `begin` */
    size_t begin;
    size_t count;
    size_t capacity;
} completed_t;

void completed_fini(completed_t *self);
bool completed_has(const completed_t *self, uint64_t offset);
/* first <= last. */
void completed_add(completed_t *self, uint64_t first, uint64_t last);
/* The offset is not completed after all. */
void completed_remove(completed_t *self, uint64_t offset);
void completed_add_all(completed_t *self, const completed_t *other);

static inline const offset_range_t *completed_range(const completed_t *self, size_t index)
{
    return &self->ranges[self->begin + index];
}

/* The ranges in words of offsets: that below the frontier, if there is one, comes first. */
static inline size_t completed_range_count(const completed_t *self)
{
    return self->count + (self->frontier > 0);
}

static inline bool completed_is_empty(const completed_t *self)
{
    return self->frontier == 0 && self->count == 0;
}

void completed_clear(completed_t *self);

#endif
