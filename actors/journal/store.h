/* The store: one SQLite database, and in it the log of streams. Blocking: the journal actor calls
 * the writer on its own cell, the reader actor a read-only handle on another. A handle belongs to
 * one thread.
 *
 * Durability: `store_commit` returns after fsync (WAL, synchronous=FULL). A write set that is
 * refused (STALE_EPOCH, LSN_MISMATCH) refuses itself only; a failed commit (STORE_FULL, STORE_IO)
 * leaves the transaction's every write set undone. */
#ifndef JOURNAL_STORE_H
#define JOURNAL_STORE_H

#include "actors/journal/journal_messages.h"
#include "runtime/base/buffer.h"

enum { STORE_FORMAT = 2 };

typedef struct store store_t;

typedef struct store_options {
    const char *path;
    const char *vfs;      /* SQLite VFS by name; NULL: the default. Tests inject faults with it. */
    bool synchronous_off; /* tests only: shows that the power-loss suite can fail */
    bool read_only;       /* reader handle: no lock, no migration; the store must exist */
    uint64_t checkpoint_bytes; /* size of the write-ahead log at which it is copied; 0: 4 MiB */
} store_options_t;

/* Opens or makes the store, takes the lock beside it, migrates. `ret_text` (when not NULL) gets
 * what, where and what to do, for people, in the caller's buffer of `text_size` bytes.
 * Errors: STORE_LOCKED, STORE_NEWER, STORE_CORRUPT, STORE_PERMISSION, STORE_FULL, STORE_IO,
 * INVALID (the path). */
CAPSTAN_MUST_CHECK capstan_err_t store_open(const store_options_t *options, store_t **ret_store,
                                            char *ret_text, size_t text_size);
void store_close(store_t **self_p);

/* Node identity: the random id kept in the store; the boot counter is incremented and stored.
 * `random` is used when the store has no id yet. Claims all 256 shards with epoch + 1. */
typedef struct store_identity {
    uint64_t node;
    uint32_t boot;
} store_identity_t;
CAPSTAN_MUST_CHECK capstan_err_t store_claim(store_t *self, uint64_t random, slice_t node_name,
                                             store_identity_t *ret_identity);

CAPSTAN_MUST_CHECK capstan_err_t store_stream_open(store_t *self, slice_t concern, slice_t instance,
                                                   stream_opened_t *ret_stream);

/* One group commit: begin, any number of writes (store_stream_open may be one), commit. After a
 * failed commit the store is rolled back and usable. A write set is refused, without harm to the
 * others, with NOT_FOUND (the stream), STALE_EPOCH, LSN_MISMATCH, INVALID or the codec's errors;
 * any other error of a write comes from the disk and fails the commit too. What is written is used
 * before the function returns, not kept. */
CAPSTAN_MUST_CHECK capstan_err_t store_begin(store_t *self);
CAPSTAN_MUST_CHECK capstan_err_t store_append(store_t *self, const journal_append_t *append,
                                              uint64_t *ret_lsn_next);
CAPSTAN_MUST_CHECK capstan_err_t store_snapshot_write(store_t *self, const snapshot_write_t *chunk);
CAPSTAN_MUST_CHECK capstan_err_t store_truncate(store_t *self, const journal_truncate_t *truncate);
/* Removes a piece of a stream; `ret_more`: something is left of it, call again. */
CAPSTAN_MUST_CHECK capstan_err_t store_stream_remove(store_t *self, const stream_remove_t *request,
                                                     bool *ret_more);
/* Replaces records; LSN_MISMATCH: there is no such one. An error of it fails the commit. */
CAPSTAN_MUST_CHECK capstan_err_t store_rewrite(store_t *self, const journal_rewrite_t *rewrite);
CAPSTAN_MUST_CHECK capstan_err_t store_commit(store_t *self);
void store_rollback(store_t *self);

/* How the last checkpoint ended. A failed one loses nothing, but the write-ahead log grows. */
capstan_err_t store_checkpoint_result(const store_t *self);

/* Reads, of what is committed; LSN_MISMATCH: it was truncated away. Results are encoded lists
 * appended to `out`, whose slices are put into the reply. The transaction is short: it ends before
 * the function returns. */
CAPSTAN_MUST_CHECK capstan_err_t store_read(store_t *self, const journal_read_t *request,
                                            buffer_t *out, journal_records_t *ret_reply);
CAPSTAN_MUST_CHECK capstan_err_t store_snapshot_read(store_t *self, const snapshot_read_t *request,
                                                     buffer_t *out, snapshot_rows_t *ret_reply);
/* The rows that there are of those that are named. */
CAPSTAN_MUST_CHECK capstan_err_t store_snapshot_get(store_t *self, const snapshot_get_t *request,
                                                    buffer_t *out, snapshot_rows_t *ret_reply);

/* Rows by their terms (see store_find.c). INVALID: terms, or a count, that are not allowed. A reply
 * may end before all is found: it says where the next one goes on. */
CAPSTAN_MUST_CHECK capstan_err_t store_snapshot_find(store_t *self, const snapshot_find_t *request,
                                                     buffer_t *out, snapshot_rows_t *ret_reply);
CAPSTAN_MUST_CHECK capstan_err_t store_snapshot_range(store_t *self,
                                                      const snapshot_range_t *request,
                                                      buffer_t *out, snapshot_terms_t *ret_reply);
CAPSTAN_MUST_CHECK capstan_err_t store_snapshot_count(store_t *self,
                                                      const snapshot_count_t *request,
                                                      buffer_t *out, snapshot_counts_t *ret_reply);

/* Checks the whole database: SQLite's integrity check, every row's checksum, every list's
 * encoding, lsn without holes per stream, that rows and terms agree. `report` gets one line of text
 * per finding. One read transaction, so that while it runs beside a node the node's write-ahead log
 * grows. */
typedef struct store_check_result {
    uint64_t streams;
    uint64_t rows;
    uint64_t records;
    uint64_t bytes;
    uint64_t snapshot_rows;
    uint64_t terms; /* that rows have */
    uint64_t faults;
} store_check_result_t;
typedef void store_report_fn(void *context, const char *line);
CAPSTAN_MUST_CHECK capstan_err_t store_check(store_t *self, store_report_fn *report, void *context,
                                             store_check_result_t *ret_result);

#endif
