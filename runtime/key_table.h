/* The keys of one keeper: which are awake, in the order of their last message, and what was saved
 * of those that rest. Pure; time is an argument. Internal to runtime/.
 *
 *   awake: oldest <-> ... <-> newest
 *
 * The hash is keyed: keys come from strangers. */
#ifndef RUNTIME_KEY_TABLE_H
#define RUNTIME_KEY_TABLE_H

#include "runtime/base/map.h"

#include <capstan/ref.h>

typedef struct key_entry {
    struct key_entry *older;
    struct key_entry *newer;
    uint64_t hash;
    void *keeper;        /* its user's */
    capstan_ref_t actor; /* the null reference while it rests */
    int64_t used_us;
    void *saved; /* malloc'ed; NULL: nothing was saved */
    size_t saved_size;
    uint32_t key_size;
    uint8_t key[];
} key_entry_t;

typedef struct key_table {
    map_t keys;
    size_t awake;
    key_entry_t *oldest;
    key_entry_t *newest;
    uint8_t seed[16];
} key_table_t;

void key_table_init(key_table_t *self, const uint8_t seed[16]);
void key_table_fini(key_table_t *self);

key_entry_t *key_table_find(const key_table_t *self, slice_t key);
/* A new entry that rests, with nothing saved; the key is not there yet. Growth that fails aborts,
 * as in buffer.h: its user bounds the count. */
key_entry_t *key_table_add(key_table_t *self, slice_t key);
/* Its actor lives, or had a message: it is the newest. */
void key_table_wake(key_table_t *self, key_entry_t *entry, capstan_ref_t actor, int64_t now_us);
/* Its actor has ended. */
void key_table_rest(key_table_t *self, key_entry_t *entry);
/* Takes over `saved`, and frees what was saved before. */
void key_entry_save(key_entry_t *entry, void *saved, size_t size);
/* Frees the entry and what was saved. */
void key_table_remove(key_table_t *self, key_entry_t *entry);
/* Takes out an entry that rests; it is freed by key_entry_free. */
void key_table_take(key_table_t *self, const key_entry_t *entry);
/* One that is in no table. NULL is accepted. */
void key_entry_free(key_entry_t *self);

#endif
