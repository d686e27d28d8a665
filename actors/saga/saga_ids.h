/* Which ids are surely not in the store, so that a saga that is new is not looked for there.
 *
 * A filter has the ids of all rows whose sagas are not in memory: those that the store had when the
 * coordinator opened it are read in pages, in the background, and whoever leaves memory is added.
 * Until the last page has come everything is looked up. What is forgotten stays in the filter. It
 * costs two to four bytes per id. Internal to saga/. */
#ifndef SAGA_SAGA_IDS_H
#define SAGA_SAGA_IDS_H

#include "runtime/base/buffer.h"
#include "runtime/base/key_filter.h"

#include <capstan/actor.h>

enum { IDS_PAGE = 4096 };

typedef struct stored_ids {
    key_filter_t filter;
    bool complete;   /* it has the ids of all rows */
    uint64_t ask;    /* the page under way */
    int64_t next_us; /* monotonic: not before, since the last one failed */
    buffer_t term;   /* of the last entry that was read; empty: of none */
    buffer_t after;  /* its row's key */
} stored_ids_t;

struct saga_shell;

/* Whether a row of this id may be in the store, of a saga that is not in memory. */
bool stored_ids_may_have(const struct saga_shell *self, slice_t id);
/* A saga leaves memory. */
void stored_ids_add(struct saga_shell *self, slice_t id);
void stored_ids_tick(struct saga_shell *self);
bool stored_ids_answer(struct saga_shell *self, const capstan_message_t *message);
/* The core was thrown away: what was in memory may now be in the store only. */
void stored_ids_forget(struct saga_shell *self);
void stored_ids_fini(stored_ids_t *self);

#endif
