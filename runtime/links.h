/* Whom an actor watches, who watches it, and with whom it is linked: a set of references with a few
 * flags each. A pure core; internal to runtime/.
 *
 *   monitor:  watcher {WATCHES target}          target {WATCHED by watcher}
 *   link:     one {TIED other}                  other {TIED one}
 *
 * An end tells each entry of the ended actor's set once, and takes the ended actor out of the sets
 * of those it tells: who is told twice, or after it has lost interest, has no entry any more and
 * hears nothing. Most actors have no entry and no memory here.
 *
 * References are ours, not strangers', so that a plain hash is enough. */
#ifndef RUNTIME_LINKS_H
#define RUNTIME_LINKS_H

#include <capstan/ref.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LINK_WATCHES = 1, /* wants to hear of the other's end */
    LINK_WATCHED = 2, /* the other wants to hear */
    LINK_TIED = 4,    /* each ends when the other fails */
    LINK_ALL = 7,
};

typedef struct links_entry {
    capstan_ref_t ref;
    uint32_t flags; /* 0: the place is empty */
} links_entry_t;

/* A zeroed one is empty and ready for use. Open addressing, at most 3/4 full. */
typedef struct links {
    links_entry_t *entries;
    uint32_t capacity; /* a power of two, or 0 */
    uint32_t count;
} links_t;

/* The flags of an entry; 0 when there is none. */
uint32_t links_find(const links_t *self, capstan_ref_t ref);
/* Growth that fails aborts, as in buffer.h. */
void links_add(links_t *self, capstan_ref_t ref, uint32_t flags);
/* Takes flags away, and the entry with its last one; returns what it had. */
uint32_t links_remove(links_t *self, capstan_ref_t ref, uint32_t flags);
/* Walks the entries: begin with `*position` 0; NULL at the end. No change meanwhile. */
const links_entry_t *links_next(const links_t *self, size_t *position);
void links_fini(links_t *self);

#endif
