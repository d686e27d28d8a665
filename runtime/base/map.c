#include "runtime/base/map.h"

#include "runtime/base/ensure.h"

#include <sys/mman.h>

enum {
    MAP_CAPACITY_FIRST = 16,
    HUGE_PAGE_BYTES = 2 << 20,
};

/* A search touches one place anywhere: with many of them, finding the page would cost as much as
 * what is on it. The system may refuse the large pages that avoid it, and nothing is lost then. */
static map_slot_t *slots_new(size_t capacity)
{
    size_t bytes = capacity * sizeof(map_slot_t);
    if (bytes < HUGE_PAGE_BYTES) {
        return calloc(capacity, sizeof(map_slot_t));
    }
    map_slot_t *slots = aligned_alloc(HUGE_PAGE_BYTES, bytes);
    if (slots) {
        (void)madvise(slots, bytes, MADV_HUGEPAGE);
        memset(slots, 0, bytes);
    }
    return slots;
}

static void put(map_slot_t *slots, size_t mask, map_slot_t slot)
{
    size_t i = (size_t)slot.hash & mask;
    while (slots[i].value) {
        i = (i + 1) & mask;
    }
    slots[i] = slot;
}

static void grow(map_t *self)
{
    size_t capacity = self->capacity > 0 ? self->capacity * 2 : MAP_CAPACITY_FIRST;
    map_slot_t *slots = slots_new(capacity);
    ENSURE(slots);
    for (size_t i = 0; i < self->capacity; i++) {
        if (self->slots[i].value) {
            put(slots, capacity - 1, self->slots[i]);
        }
    }
    free(self->slots);
    self->slots = slots;
    self->capacity = capacity;
}

void map_add(map_t *self, uint64_t hash, void *value)
{
    ENSURE(value);
    if ((self->count + 1) * 4 > self->capacity * 3) {
        grow(self);
    }
    put(self->slots, self->capacity - 1, (map_slot_t){.hash = hash, .value = value});
    self->count++;
}

void map_remove(map_t *self, uint64_t hash, const void *value)
{
    ENSURE(self->count > 0);
    size_t mask = self->capacity - 1;
    size_t hole = (size_t)hash & mask;
    for (; self->slots[hole].value != value; hole = (hole + 1) & mask) {
        ENSURE(self->slots[hole].value);
    }
    /* What stands behind the hole moves up into it, unless its search would then begin behind it.
     */
    for (size_t i = (hole + 1) & mask; self->slots[i].value; i = (i + 1) & mask) {
        size_t first = (size_t)self->slots[i].hash & mask;
        if (((i - first) & mask) >= ((i - hole) & mask)) {
            self->slots[hole] = self->slots[i];
            hole = i;
        }
    }
    self->slots[hole].value = NULL;
    self->count--;
}

void *map_next(const map_t *self, size_t *position)
{
    while (*position < self->capacity) {
        void *value = self->slots[(*position)++].value;
        if (value) {
            return value;
        }
    }
    return NULL;
}

void map_fini(map_t *self)
{
    free(self->slots);
    *self = (map_t){0};
}

typedef struct sip {
    uint64_t v0, v1, v2, v3;
} sip_t;

static inline uint64_t rotate(uint64_t word, unsigned bits)
{
    return (word << bits) | (word >> (64 - bits));
}

static inline uint64_t read64(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static inline void sip_rounds(sip_t *s, int count)
{
    for (int i = 0; i < count; i++) {
        s->v0 += s->v1;
        s->v2 += s->v3;
        s->v1 = rotate(s->v1, 13) ^ s->v0;
        s->v3 = rotate(s->v3, 16) ^ s->v2;
        s->v0 = rotate(s->v0, 32);
        s->v2 += s->v1;
        s->v0 += s->v3;
        s->v1 = rotate(s->v1, 17) ^ s->v2;
        s->v3 = rotate(s->v3, 21) ^ s->v0;
        s->v2 = rotate(s->v2, 32);
    }
}

static inline void sip_word(sip_t *s, uint64_t word, int rounds)
{
    s->v3 ^= word;
    sip_rounds(s, rounds);
    s->v0 ^= word;
}

static inline uint64_t siphash(const uint8_t seed[16], uint64_t prefix, slice_t bytes, int rounds,
                               int final_rounds)
{
    uint64_t k0 = read64(seed);
    uint64_t k1 = read64(seed + 8);
    sip_t s = {k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
               k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573)};
    sip_word(&s, prefix, rounds);
    const uint8_t *at = bytes.data;
    size_t left = bytes.size;
    for (; left >= 8; left -= 8, at += 8) {
        sip_word(&s, read64(at), rounds);
    }
    uint64_t last = (uint64_t)(bytes.size + sizeof prefix) << 56;
    for (size_t i = 0; i < left; i++) {
        last |= (uint64_t)at[i] << (8 * i);
    }
    sip_word(&s, last, rounds);
    s.v2 ^= 0xff;
    sip_rounds(&s, final_rounds);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t siphash13(const uint8_t seed[16], uint64_t prefix, slice_t bytes)
{
    return siphash(seed, prefix, bytes, 1, 3);
}

uint64_t siphash24(const uint8_t seed[16], uint64_t prefix, slice_t bytes)
{
    return siphash(seed, prefix, bytes, 2, 4);
}
