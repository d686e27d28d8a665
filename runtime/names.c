#include "runtime/names.h"

#include <stdlib.h>
#include <string.h>

void names_init(names_t *self, const uint8_t seed[16])
{
    *self = (names_t){0};
    memcpy(self->seed, seed, sizeof self->seed);
}

void names_fini(names_t *self)
{
    size_t at = 0;
    for (void *entry; (entry = map_next(&self->entries, &at));) {
        free(entry);
    }
    map_fini(&self->entries);
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

static bool has_text(const void *entry, const void *text)
{
    return strcmp(((const name_entry_t *)entry)->text, text) == 0;
}

const name_entry_t *names_find(const names_t *self, const char *name)
{
    return map_find(&self->entries, hash_of(self, name), has_text, name);
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
    if (!entry) {
        return CAPSTAN_E_NO_MEMORY;
    }
    entry->hash = hash_of(self, name);
    entry->slot = slot;
    memcpy(entry->text, name, size);
    map_add(&self->entries, entry->hash, entry);
    *ret_entry = entry;
    return CAPSTAN_OK;
}

void names_remove(names_t *self, name_entry_t *entry)
{
    map_remove(&self->entries, entry->hash, entry);
    free(entry);
}
