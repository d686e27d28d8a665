/* The names of actors: which slot a name stands for. Pure; its user holds a lock around it.
 *
 * Each entry is malloc'ed with its name, and freed when it is removed. The hash is keyed: names may
 * come from strangers. */
#ifndef RUNTIME_NAMES_H
#define RUNTIME_NAMES_H

#include "runtime/base/map.h"

#include <capstan/error.h>

enum { NAME_BYTES_MAX = 63 };

typedef struct name_entry {
    uint64_t hash;
    uint32_t slot;
    char text[];
} name_entry_t;

typedef struct names {
    map_t entries;
    uint8_t seed[16];
} names_t;

void names_init(names_t *self, const uint8_t seed[16]);
void names_fini(names_t *self);

/* 1 to 63 of letters, digits and . _ - ; a / or : would read as an address. */
bool name_is_valid(const char *name);

/* Errors: INVALID, EXISTS, NO_MEMORY. */
CAPSTAN_MUST_CHECK capstan_err_t names_add(names_t *self, const char *name, uint32_t slot,
                                           name_entry_t **ret_entry);
/* NULL when nobody has the name. */
const name_entry_t *names_find(const names_t *self, const char *name);
/* Frees the entry. */
void names_remove(names_t *self, name_entry_t *entry);

#endif
