/* Where in its log a partition has which events: a place for about every megabyte of them, in
 * memory and in the snapshot. Pure.
 *
 *   log    |---------|---------|---------|-----
 *          1         ^ place   ^ place   ^ place
 *                    offset: that of the event that follows, which is here or behind
 *                    time:   no event before was taken later
 *
 * Times need not ascend: a clock may step back, and an event that was held is released with the
 * time at which it was taken. A place knows the newest of all before it, so that a search by time
 * misses nothing. What is not indexed (a log that is older than the index) is read instead.
 *
 * What lies before `begin` was removed from the log, or is going to be; so much of it is left as
 * the store keeps together.
 *
 * Snapshot rows: 'O'                                log_place: `begin`
 *                'o' offset (8 bytes, big endian)   log_place */
#ifndef ORDERING_LOG_INDEX_H
#define ORDERING_LOG_INDEX_H

#include "actors/ordering/ordering_messages.h"
#include "runtime/base/buffer.h"

enum { LOG_INDEX_BYTES = 1 << 20 /* of events between two places */ };

/* A zeroed one is empty. */
typedef struct log_index {
    log_place_t begin; /* offset 0: nothing was removed */
    log_place_t *list; /* ascending in all that they say */
    size_t count;
    size_t capacity;
    size_t saved;         /* places that were handed out as rows */
    uint64_t bytes;       /* of all events there were */
    int64_t time_us;      /* the newest at which an event was taken */
    int64_t since_us;     /* that at the last place */
    uint64_t grain_bytes; /* between two places at least; 0: LOG_INDEX_BYTES */
    int64_t grain_us;     /* or so much time; 0: no matter how much */

    uint64_t *removed; /* offsets of places whose rows are to be deleted */
    size_t removed_count;
    size_t removed_saved; /* of them in the snapshot under way */
} log_index_t;

void log_index_fini(log_index_t *self);

/* An event was taken, whether it is held or accepted. */
void log_index_taken(log_index_t *self, int64_t time_us);

/* An event was accepted, in the order of offsets, and is the record `lsn`. */
void log_index_add(log_index_t *self, uint64_t offset, uint64_t lsn, size_t size);

/* Reading from here finds the event; 0: from the beginning. */
uint64_t log_index_lsn(const log_index_t *self, uint64_t offset);
/* Where to begin to look for the first event that was taken at this time or later: no event before
 * was, except those that were removed. */
log_place_t log_index_before(const log_index_t *self, int64_t time_us);

/* How fine it is from now on. */
static inline void log_index_refine(log_index_t *self, uint64_t bytes, int64_t us)
{
    self->grain_bytes = bytes;
    self->grain_us = us;
}

/* Up to which place events may be removed: the last one before which all were taken at `time_us` at
 * the latest, or behind which at least `bytes` lie; not behind `offset_max` and `lsn_max`. Offset
 * 0: none. */
typedef struct log_cut {
    int64_t time_us;
    uint64_t bytes;
    uint64_t offset_max;
    uint64_t lsn_max;
} log_cut_t;
log_place_t log_index_cut(const log_index_t *self, const log_cut_t *cut);
/* The log begins here from now on. Going back changes nothing. */
void log_index_begin(log_index_t *self, const log_place_t *place);
/* Offset of the oldest event that is kept. */
static inline uint64_t log_index_first(const log_index_t *self)
{
    return self->begin.offset > 0 ? self->begin.offset : 1;
}

bool log_index_owns_row(slice_t key);
/* Rows in the order of their keys. STORE_CORRUPT. */
CAPSTAN_MUST_CHECK capstan_err_t log_index_load_row(log_index_t *self, slice_t key, slice_t value);
/* Hands out the places that are new, and empty rows for those that were removed. The end of the log
 * becomes one, so that whoever recovers from the snapshot needs only what follows. */
typedef void log_index_row_fn(void *context, slice_t key, slice_t value);
void log_index_save(log_index_t *self, uint64_t offset_next, uint64_t lsn_next,
                    log_index_row_fn *add, void *context);
/* The snapshot is on disk. */
void log_index_saved(log_index_t *self);
/* A snapshot could not be written: all rows are handed out again. */
void log_index_touch(log_index_t *self);

#endif
