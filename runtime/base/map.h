/* A hash table from a 64-bit hash to a pointer, open addressing with linear probing, and SipHash,
 * whose secret seed keeps strangers from choosing keys that collide.
 *
 *   slots: | hash, value | empty | hash, value | hash, value | ...   at most 3/4 full
 *
 * The hash stands in the slot, so that growing touches no entry and a probe rarely touches the
 * wrong one. The values are the caller's; a zeroed map is empty and ready for use. It never
 * shrinks. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "runtime/base/slice.h"

#include <stdint.h>

typedef struct map_slot {
    uint64_t hash;
    void *value; /* NULL: the slot is empty */
} map_slot_t;

typedef struct map {
    map_slot_t *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
} map_t;

/* Whether `value` is the one that `wanted` describes. */
typedef bool map_equal_fn(const void *value, const void *wanted);

static inline void *map_find(const map_t *self, uint64_t hash, map_equal_fn *equal,
                             const void *wanted)
{
    if (self->capacity == 0) {
        return NULL;
    }
    size_t mask = self->capacity - 1;
    for (size_t i = (size_t)hash & mask; self->slots[i].value; i = (i + 1) & mask) {
        if (self->slots[i].hash == hash && equal(self->slots[i].value, wanted)) {
            return self->slots[i].value;
        }
    }
    return NULL;
}

/* Fetches the place of a hash into the cache, for a search that follows a little later: the places
 * of many values follow each other in no order that the processor could guess. */
static inline void map_prefetch(const map_t *self, uint64_t hash)
{
    if (self->capacity > 0) {
        __builtin_prefetch(&self->slots[(size_t)hash & (self->capacity - 1)], 1);
    }
}

/* The value that a search will come to first; its place should be in the cache by now. */
static inline void map_prefetch_value(const map_t *self, uint64_t hash)
{
    if (self->capacity > 0) {
        __builtin_prefetch(self->slots[(size_t)hash & (self->capacity - 1)].value, 1);
    }
}

/* Adds a value that is not in the map. Growth that fails aborts, as in buffer.h. */
void map_add(map_t *self, uint64_t hash, void *value);

/* Takes out a value that is in the map, which is not freed. */
void map_remove(map_t *self, uint64_t hash, const void *value);

/* Walks all values in no particular order: begin with `*position` 0; NULL at the end. The map must
 * not change meanwhile. */
void *map_next(const map_t *self, size_t *position);

/* Frees the slots, not the values. */
void map_fini(map_t *self);

/* SipHash-1-3 of the eight bytes of `prefix` followed by `bytes`. One compression round and three
 * final ones are what hash tables need (Aumasson and Bernstein, "SipHash: a fast short-input PRF");
 * the 2-4 variant exists so that a test can compare the code with an independent one. */
uint64_t siphash13(const uint8_t seed[16], uint64_t prefix, slice_t bytes);
uint64_t siphash24(const uint8_t seed[16], uint64_t prefix, slice_t bytes);

#endif
