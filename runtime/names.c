#include "runtime/names.h"

#include "runtime/base/ensure.h"
#include "runtime/base/map.h"

#include <stdlib.h>
#include <string.h>

enum { CAPACITY_FIRST = 64 };

void names_init(names_t *self, const uint8_t seed[16])
{
    *self = (names_t){0};
    memcpy(self->seed, seed, sizeof self->seed);
}

void names_fini(names_t *self)
{
    for (size_t i = 0; i < self->capacity; i++) {
        for (name_entry_t *entry; (entry = self->buckets[i]);) {
            self->buckets[i] = entry->next;
            free(entry);
        }
    }
    free(self->buckets);
    self->buckets = NULL;
    self->capacity = self->count = 0;
}

bool name_is_valid(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789._-";
    size_t size = strlen(name);
    return size > 0 && size <= NAME_BYTES_MAX && strspn(name, allowed) == size;
}

static uint64_t hash_of(const names_t *self, const char *name)
{
    return siphash13(self->seed, 0, slice_text(name));
}

static name_entry_t **bucket_of(const names_t *self, uint64_t hash)
{
    return &self->buckets[hash & (self->capacity - 1)];
}

static bool grow(names_t *self)
{
    names_t larger = *self;
    larger.capacity = self->capacity > 0 ? self->capacity * 2 : CAPACITY_FIRST;
    larger.buckets = calloc(larger.capacity, sizeof *larger.buckets);
    if (!larger.buckets) {
        return false;
    }
    for (size_t i = 0; i < self->capacity; i++) {
        for (name_entry_t *entry; (entry = self->buckets[i]);) {
            self->buckets[i] = entry->next;
            entry->next = *bucket_of(&larger, entry->hash);
            *bucket_of(&larger, entry->hash) = entry;
        }
    }
    free(self->buckets);
    *self = larger;
    return true;
}

const name_entry_t *names_find(const names_t *self, const char *name)
{
    if (self->count == 0) {
        return NULL;
    }
    uint64_t hash = hash_of(self, name);
    const name_entry_t *entry = *bucket_of(self, hash);
    while (entry && (entry->hash != hash || strcmp(entry->text, name) != 0)) {
        entry = entry->next;
    }
    return entry;
}

capstan_err_t names_add(names_t *self, const char *name, uint32_t slot, name_entry_t **ret_entry)
{
    if (!name_is_valid(name)) {
        return CAPSTAN_E_INVALID;
    }
    if (names_find(self, name)) {
        return CAPSTAN_E_EXISTS;
    }
    size_t size = strlen(name) + 1;
    name_entry_t *entry = malloc(sizeof *entry + size);
    if (!entry || (self->count == self->capacity && !grow(self))) {
        free(entry);
        return CAPSTAN_E_NO_MEMORY;
    }
    entry->hash = hash_of(self, name);
    entry->slot = slot;
    memcpy(entry->text, name, size);
    name_entry_t **bucket = bucket_of(self, entry->hash);
    entry->next = *bucket;
    *bucket = entry;
    self->count++;
    *ret_entry = entry;
    return CAPSTAN_OK;
}

void names_remove(names_t *self, name_entry_t *entry)
{
    name_entry_t **link = bucket_of(self, entry->hash);
    while (*link && *link != entry) {
        link = &(*link)->next;
    }
    ENSURE(*link);
    *link = entry->next;
    self->count--;
    free(entry);
}
