/* The skip ledger of a partition: what was given up of a key, and what of that came after all.
 * Internal to the partition's core.
 *
 *   skip_lists (map) ---> list of a key: [2 .. 3] [7 .. 7]      ascending sequences
 *                                           |
 *                                           +--> filled: which of them came, counted from 1 */
#ifndef ORDERING_PARTITION_SKIP_H
#define ORDERING_PARTITION_SKIP_H

#include "actors/ordering/completed.h"
#include "actors/ordering/partition_state.h"

/* A row of the ledger. */
typedef struct skip_entry {
    row_t row;
    key_entry_t *entry;
    uint64_t first;
    uint64_t last;
    int64_t at_us;
    int64_t since_us;
    uint64_t producer_epoch;
    completed_t filled; /* counted from `first` as 1 */
    uint64_t filled_count;
    gap_verdict_t verdict;
    size_t reason_size;
    char reason[];
} skip_entry_t;

/* Those of a key. */
typedef struct skip_list {
    key_entry_t *entry;
    skip_entry_t **list; /* ascending sequences */
    size_t count;
    size_t capacity;
} skip_list_t;

/* The row of the ledger that has the sequence; NULL: none. */
skip_entry_t *skip_find(const partition_t *self, const key_entry_t *entry, uint64_t sequence);
/* An event comes for one of its sequences, for which none has come before. */
void skip_fill(partition_t *self, skip_entry_t *skip, uint64_t sequence);
bool skip_is_filled(const skip_entry_t *skip, uint64_t sequence);
bool skips_are_full(const partition_t *self);
/* How many sequences of the key are given up and did not come. */
uint64_t skip_left(const partition_t *self, const key_entry_t *entry);

/* A row of the ledger from the store: of the log, or of the snapshot. STORE_CORRUPT. */
CAPSTAN_MUST_CHECK capstan_err_t skip_load(partition_t *self, slice_t value, bool from_log);
/* A row that another partition had of the key: to be added to what is known. STORE_CORRUPT. */
CAPSTAN_MUST_CHECK capstan_err_t skip_merge(partition_t *self, slice_t value);
/* The key's rows, a LIST of skip. */
void skips_encode(partition_t *self, const key_entry_t *entry, buffer_t *out);
/* The record `skip`. */
void skip_encode(partition_t *self, const skip_entry_t *skip, buffer_t *out);
void skips_touch(partition_t *self);
void skips_fini(partition_t *self);

#endif
