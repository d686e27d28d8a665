/* A map from references to a word that is not 0, most often a set of flags. A pure core; internal
 * to runtime/.
 *
 *   entries: | ref, word | empty | ref, word | ...   open addressing, at most 3/4 full
 *
 * An empty one has no memory. The references are ours, not strangers', so that a plain hash is
 * enough. */
#ifndef RUNTIME_REFS_H
#define RUNTIME_REFS_H

#include <capstan/ref.h>
#include <stddef.h>
#include <stdint.h>

typedef struct refs_entry {
    capstan_ref_t ref;
    uint32_t word; /* 0: the place is empty */
} refs_entry_t;

/* A zeroed one is empty and ready for use. */
typedef struct refs {
    refs_entry_t *entries;
    uint32_t capacity; /* a power of two, or 0 */
    uint32_t count;
} refs_t;

/* The word of an entry; 0 when there is none. */
uint32_t refs_find(const refs_t *self, capstan_ref_t ref);
/* Sets bits, of a new entry if need be. Growth that fails aborts, as in buffer.h. */
void refs_add(refs_t *self, capstan_ref_t ref, uint32_t bits);
/* Takes bits away, and the entry with its last one; returns the word that it had. */
uint32_t refs_remove(refs_t *self, capstan_ref_t ref, uint32_t bits);
/* Walks the entries: begin with `*position` 0; NULL at the end. No change meanwhile. */
const refs_entry_t *refs_next(const refs_t *self, size_t *position);
void refs_fini(refs_t *self);

#endif
