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
 * Snapshot rows: 'o' offset (8 bytes, big endian)   log_place */
#ifndef ORDERING_LOG_INDEX_H
#define ORDERING_LOG_INDEX_H

#include "actors/ordering/ordering_messages.h"
#include "runtime/base/buffer.h"

enum { LOG_INDEX_BYTES = 1 << 20 /* of events between two places */ };

/* A zeroed one is empty. */
typedef struct log_index {
    log_place_t *list; /* ascending in all that they say */
    size_t count;
    size_t capacity;
    size_t saved;    /* places that were handed out as rows */
    size_t bytes;    /* of events since the last place */
    int64_t time_us; /* the newest at which an event was taken */
} log_index_t;

void log_index_fini(log_index_t *self);

/* An event was taken, whether it is held or accepted. */
void log_index_taken(log_index_t *self, int64_t time_us);

/* An event was accepted, in the order of offsets, and is the record `lsn`. */
void log_index_add(log_index_t *self, uint64_t offset, uint64_t lsn, size_t size);

/* Reading from here finds the event; 0: from the beginning. */
uint64_t log_index_lsn(const log_index_t *self, uint64_t offset);
/* Where to begin to look for the first event that was taken at this time or later: no event before
 * was. */
log_place_t log_index_before(const log_index_t *self, int64_t time_us);

bool log_index_owns_row(slice_t key);
/* Rows in the order of their keys. STORE_CORRUPT. */
CAPSTAN_MUST_CHECK capstan_err_t log_index_load_row(log_index_t *self, slice_t value);
/* Hands out the places that are new. The end of the log becomes one, so that whoever recovers from
 * the snapshot needs only what follows. */
typedef void log_index_row_fn(void *context, slice_t key, slice_t value);
void log_index_save(log_index_t *self, uint64_t offset_next, uint64_t lsn_next,
                    log_index_row_fn *add, void *context);
/* A snapshot could not be written: all rows are handed out again. */
void log_index_touch(log_index_t *self);

#endif
