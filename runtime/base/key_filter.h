/* A set of hashes that may say yes to one that is not in it, and never no to one that is: a blocked
 * Bloom filter (Putze, Sanders, Singler: "Cache-, Hash- and Space-Efficient Bloom Filters").
 *
 *   parts: | 4,096 hashes | 8,192 | 16,384 | ...      each of blocks of 512 bits, 32 hashes a block
 *
 * A hash sets six bits of one block, which is a line of the processor's cache, so that a look costs
 * one memory access per part. The newest part takes hashes until it is full; then one of twice its
 * size is added. So a hash costs two to four bytes, and of a thousand others about two per part are
 * taken for one that is in it. Nothing is ever taken out. Zeroed it is empty. */
#ifndef BASE_KEY_FILTER_H
#define BASE_KEY_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEY_FILTER_PARTS_MAX = 32 };

typedef struct key_filter {
    uint64_t *parts[KEY_FILTER_PARTS_MAX];
    size_t count;
    uint64_t room; /* hashes that the newest part still takes */
} key_filter_t;

/* The hash's bits must all be as good as random. */
void key_filter_add(key_filter_t *self, uint64_t hash);
bool key_filter_has(const key_filter_t *self, uint64_t hash);
/* What it has allocated. */
size_t key_filter_bytes(const key_filter_t *self);
void key_filter_fini(key_filter_t *self);

#endif
