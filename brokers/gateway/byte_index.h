/* A hash table from bytes to entries that the caller owns and embeds. The bytes are strangers', so
 * they are hashed with a random key (SipHash): nobody can aim for one bucket. */
#ifndef GATEWAY_BYTE_INDEX_H
#define GATEWAY_BYTE_INDEX_H

#include "runtime/base/slice.h"

#include <stdint.h>

typedef struct byte_entry {
    struct byte_entry *next;
    uint64_t hash;
    slice_t key; /* the owner of the entry keeps the bytes alive */
} byte_entry_t;

typedef struct byte_index {
    byte_entry_t **buckets;
    size_t mask;
    size_t count;
    uint8_t seed[16];
} byte_index_t;

void byte_index_init(byte_index_t *self);
/* The entries are the caller's. */
void byte_index_fini(byte_index_t *self);
byte_entry_t *byte_index_find(const byte_index_t *self, slice_t key);
/* `entry->key` is set and not in the table. */
void byte_index_add(byte_index_t *self, byte_entry_t *entry);
void byte_index_remove(byte_index_t *self, byte_entry_t *entry);

#endif
