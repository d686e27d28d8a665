#include "runtime/base/key_filter.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>

enum {
    PART_HASHES_FIRST = 4096,
    BLOCK_WORDS = 8,
    BLOCK_HASHES = 32, /* sixteen bits each */
    BLOCK_BYTES = BLOCK_WORDS * 8,
    HASH_BITS = 6,
};

static uint64_t part_hashes(size_t part)
{
    return (uint64_t)PART_HASHES_FIRST << part;
}

static uint64_t part_blocks(size_t part)
{
    return part_hashes(part) / BLOCK_HASHES;
}

/* The upper half picks the block; the bits in it come from all of it, mixed once more, since those
 * of one block would otherwise have the upper half in common. */
static uint64_t *block_of(const key_filter_t *self, size_t part, uint64_t hash)
{
    uint64_t block = (hash >> 32) * part_blocks(part) >> 32;
    return self->parts[part] + block * BLOCK_WORDS;
}

static uint64_t bits_of(uint64_t hash)
{
    hash *= UINT64_C(0x9e3779b97f4a7c15); /* 2^64 divided by the golden ratio */
    return hash ^ hash >> 32;
}

static bool part_has(const key_filter_t *self, size_t part, uint64_t hash)
{
    const uint64_t *block = block_of(self, part, hash);
    uint64_t bits = bits_of(hash);
    for (int i = 0; i < HASH_BITS; i++, bits >>= 9) {
        if (!(block[bits >> 6 & 7] >> (bits & 63) & 1)) {
            return false;
        }
    }
    return true;
}

bool key_filter_has(const key_filter_t *self, uint64_t hash)
{
    for (size_t part = self->count; part > 0; part--) { /* the newest has half of all */
        if (part_has(self, part - 1, hash)) {
            return true;
        }
    }
    return false;
}

static void add_part(key_filter_t *self)
{
    ENSURE(self->count < KEY_FILTER_PARTS_MAX);
    uint64_t *part = calloc(part_blocks(self->count), BLOCK_BYTES);
    ENSURE(part);
    self->room = part_hashes(self->count);
    self->parts[self->count++] = part;
}

void key_filter_add(key_filter_t *self, uint64_t hash)
{
    if (key_filter_has(self, hash)) {
        return; /* once more, or as good as in it */
    }
    if (self->room == 0) {
        add_part(self);
    }
    self->room--;
    uint64_t *block = block_of(self, self->count - 1, hash);
    uint64_t bits = bits_of(hash);
    for (int i = 0; i < HASH_BITS; i++, bits >>= 9) {
        block[bits >> 6 & 7] |= UINT64_C(1) << (bits & 63);
    }
}

size_t key_filter_bytes(const key_filter_t *self)
{
    size_t bytes = 0;
    for (size_t part = 0; part < self->count; part++) {
        bytes += part_blocks(part) * BLOCK_BYTES;
    }
    return bytes;
}

void key_filter_fini(key_filter_t *self)
{
    for (size_t part = 0; part < self->count; part++) {
        free(self->parts[part]);
    }
    *self = (key_filter_t){0};
}
