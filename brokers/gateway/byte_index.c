#include "brokers/gateway/byte_index.h"

#include "runtime/base/ensure.h"

#include <sodium.h>

enum { BUCKETS_MIN = 64 };

static uint64_t hash_of(const byte_index_t *self, slice_t key)
{
    uint8_t hash[crypto_shorthash_BYTES];
    uint64_t value;
    (void)crypto_shorthash(hash, key.size > 0 ? key.data : (const void *)"", key.size, self->seed);
    memcpy(&value, hash, sizeof value);
    return value;
}

void byte_index_init(byte_index_t *self)
{
    ENSURE(sodium_init() >= 0);
    *self = (byte_index_t){.mask = BUCKETS_MIN - 1};
    self->buckets = calloc(BUCKETS_MIN, sizeof(byte_entry_t *));
    ENSURE(self->buckets);
    randombytes_buf(self->seed, sizeof self->seed);
}

void byte_index_fini(byte_index_t *self)
{
    free(self->buckets);
    *self = (byte_index_t){0};
}

byte_entry_t *byte_index_find(const byte_index_t *self, slice_t key)
{
    uint64_t hash = hash_of(self, key);
    byte_entry_t *entry = self->buckets[hash & self->mask];
    while (entry && (entry->hash != hash || !slice_equal(entry->key, key))) {
        entry = entry->next;
    }
    return entry;
}

static void put(byte_index_t *self, byte_entry_t *entry)
{
    byte_entry_t **bucket = &self->buckets[entry->hash & self->mask];
    entry->next = *bucket;
    *bucket = entry;
}

static void grow(byte_index_t *self)
{
    byte_entry_t **old = self->buckets;
    size_t count = self->mask + 1;
    self->buckets = calloc(count * 2, sizeof(byte_entry_t *));
    ENSURE(self->buckets);
    self->mask = count * 2 - 1;
    for (size_t i = 0; i < count; i++) {
        while (old[i]) {
            byte_entry_t *entry = old[i];
            old[i] = entry->next;
            put(self, entry);
        }
    }
    free(old);
}

void byte_index_add(byte_index_t *self, byte_entry_t *entry)
{
    if (self->count > self->mask) {
        grow(self);
    }
    entry->hash = hash_of(self, entry->key);
    put(self, entry);
    self->count++;
}

void byte_index_remove(byte_index_t *self, byte_entry_t *entry)
{
    byte_entry_t **link = &self->buckets[entry->hash & self->mask];
    while (*link != entry) {
        ENSURE(*link);
        link = &(*link)->next;
    }
    *link = entry->next;
    self->count--;
}
