#include "runtime/key_table.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>

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
    size_t at = 0;
    for (void *entry; (entry = map_next(&self->keys, &at));) {
        key_entry_free(entry);
    }
    map_fini(&self->keys);
    *self = (key_table_t){0};
}

static bool has_key(const void *value, const void *wanted)
{
    const key_entry_t *entry = value;
    const slice_t *key = wanted;
    return entry->key_size == key->size && memcmp(entry->key, key->data, key->size) == 0;
}

key_entry_t *key_table_find(const key_table_t *self, slice_t key)
{
    return map_find(&self->keys, siphash13(self->seed, 0, key), has_key, &key);
}

key_entry_t *key_table_add(key_table_t *self, slice_t key)
{
    key_entry_t *entry = malloc(sizeof *entry + key.size);
    ENSURE(entry);
    *entry = (key_entry_t){.hash = siphash13(self->seed, 0, key), .key_size = (uint32_t)key.size};
    memcpy(entry->key, key.data, key.size);
    map_add(&self->keys, entry->hash, entry);
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
    map_remove(&self->keys, entry->hash, entry);
}

void key_table_remove(key_table_t *self, key_entry_t *entry)
{
    key_table_rest(self, entry);
    key_table_take(self, entry);
    key_entry_free(entry);
}
