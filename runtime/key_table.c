#include "runtime/key_table.h"

#include "runtime/base/ensure.h"
#include "runtime/base/map.h"

#include <stdlib.h>

enum { CAPACITY_FIRST = 64 };

void key_table_init(key_table_t *self, const uint8_t seed[16])
{
    *self = (key_table_t){0};
    memcpy(self->seed, seed, sizeof self->seed);
}

void key_entry_free(key_entry_t *self)
{
    if (self) {
        free(self->saved);
        free(self);
    }
}

void key_table_fini(key_table_t *self)
{
    for (size_t i = 0; i < self->capacity; i++) {
        for (key_entry_t *entry; (entry = self->buckets[i]);) {
            self->buckets[i] = entry->next;
            key_entry_free(entry);
        }
    }
    free(self->buckets);
    *self = (key_table_t){0};
}

static key_entry_t **bucket_of(const key_table_t *self, uint64_t hash)
{
    return &self->buckets[hash & (self->capacity - 1)];
}

static void grow(key_table_t *self)
{
    key_table_t larger = *self;
    larger.capacity = self->capacity > 0 ? self->capacity * 2 : CAPACITY_FIRST;
    larger.buckets = calloc(larger.capacity, sizeof *larger.buckets);
    ENSURE(larger.buckets);
    for (size_t i = 0; i < self->capacity; i++) {
        for (key_entry_t *entry; (entry = self->buckets[i]);) {
            self->buckets[i] = entry->next;
            entry->next = *bucket_of(&larger, entry->hash);
            *bucket_of(&larger, entry->hash) = entry;
        }
    }
    free(self->buckets);
    *self = larger;
}

key_entry_t *key_table_find(const key_table_t *self, slice_t key)
{
    if (self->count == 0) {
        return NULL;
    }
    uint64_t hash = siphash13(self->seed, 0, key);
    key_entry_t *entry = *bucket_of(self, hash);
    while (entry && (entry->hash != hash || entry->key_size != key.size ||
                     memcmp(entry->key, key.data, key.size) != 0)) {
        entry = entry->next;
    }
    return entry;
}

key_entry_t *key_table_add(key_table_t *self, slice_t key)
{
    if (self->count == self->capacity) {
        grow(self);
    }
    key_entry_t *entry = malloc(sizeof *entry + key.size);
    ENSURE(entry);
    *entry = (key_entry_t){.hash = siphash13(self->seed, 0, key), .key_size = (uint32_t)key.size};
    memcpy(entry->key, key.data, key.size);
    entry->next = *bucket_of(self, entry->hash);
    *bucket_of(self, entry->hash) = entry;
    self->count++;
    return entry;
}

static void unlink_awake(key_table_t *self, key_entry_t *entry)
{
    *(entry->older ? &entry->older->newer : &self->oldest) = entry->newer;
    *(entry->newer ? &entry->newer->older : &self->newest) = entry->older;
    entry->older = entry->newer = NULL;
}

void key_table_wake(key_table_t *self, key_entry_t *entry, capstan_ref_t actor, int64_t now_us)
{
    if (capstan_ref_is_null(entry->actor)) {
        self->awake++;
    } else {
        unlink_awake(self, entry);
    }
    entry->actor = actor;
    entry->used_us = now_us;
    entry->older = self->newest;
    *(self->newest ? &self->newest->newer : &self->oldest) = entry;
    self->newest = entry;
}

void key_table_rest(key_table_t *self, key_entry_t *entry)
{
    if (!capstan_ref_is_null(entry->actor)) {
        unlink_awake(self, entry);
        entry->actor = (capstan_ref_t){.slot = 0};
        self->awake--;
    }
}

void key_entry_save(key_entry_t *entry, void *saved, size_t size)
{
    free(entry->saved);
    entry->saved = saved;
    entry->saved_size = size;
}

void key_table_take(key_table_t *self, const key_entry_t *entry)
{
    ENSURE(capstan_ref_is_null(entry->actor));
    key_entry_t **link = bucket_of(self, entry->hash);
    while (*link && *link != entry) {
        link = &(*link)->next;
    }
    ENSURE(*link);
    *link = entry->next;
    self->count--;
}

void key_table_remove(key_table_t *self, key_entry_t *entry)
{
    key_table_rest(self, entry);
    key_table_take(self, entry);
    key_entry_free(entry);
}
