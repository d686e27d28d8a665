/* Keys that are in the store only. A partition keeps at most `resident_keys_max` keys in memory, as
 * far as it can: beyond that, keys of which nothing is under way go to their row of the snapshot,
 * and leave some bits in a filter.
 *
 *      publish, a record of the log                          partition_evict, or the row of one
 *        |                                                   that is not read into memory
 *        v                                                        |
 *   resident -- saved by a pass that is on disk, no gap, no row of the skip ledger --> cold
 *        ^                                                                               |
 *        +---- partition_warm(row) <-- the row is looked up <-- partition_wants ---------+
 *
 * Who hands an event, a verdict or a record to the core asks first whether the core wants the row
 * of its key, and if so gives it the row, or finds that there is none: then the key is new, and the
 * filter was wrong. Between the question and what was asked for nothing may be evicted; the rest
 * may go on. A row must be looked up after the core has wanted it: the newest one is on disk then.
 * Producers are never cold. */
#ifndef ORDERING_PARTITION_COLD_H
#define ORDERING_PARTITION_COLD_H

#include "actors/ordering/partition.h"

/* How many keys are cold. With none, nothing is ever wanted. */
uint64_t partition_cold(const partition_t *self);

/* Whether the key's row of the snapshot has to be looked up. */
bool partition_wants(partition_t *self, slice_t producer, slice_t key);
/* Appends the name of that row. */
void partition_row_name(slice_t producer, slice_t key, buffer_t *out);
/* The row that was looked up. STORE_CORRUPT. */
CAPSTAN_MUST_CHECK capstan_err_t partition_warm(partition_t *self, slice_t name, slice_t value);

/* The (producer, key) that a record of the log is about; false: about none. */
bool partition_record_key(uint32_t record, slice_t data, slice_t *ret_producer, slice_t *ret_key);

/* Takes keys out of memory until there are no more than there may be, or none can go, or enough was
 * done for once: an amount in proportion to the keys that came since the last call. True: there is
 * more to do. */
bool partition_evict(partition_t *self);
/* A snapshot is wanted, since too few keys can be taken out before it. */
bool partition_is_crowded(const partition_t *self);

/* What others inherit of a cold key, from its row of the snapshot; other rows are passed over. To
 * be called with all of them behind partition_give, with nothing changing meanwhile. STORE_CORRUPT.
 */
CAPSTAN_MUST_CHECK capstan_err_t partition_give_row(partition_t *self,
                                                    const partition_share_t *share, slice_t name,
                                                    slice_t value, buffer_t *ret_record);
/* Whether a row with this name may be one of a key; those that may not be stand before or behind
 * them, in the order of names. The first of them is behind PARTITION_KEY_ROWS. */
bool partition_owns_key_row(slice_t name);
#define PARTITION_KEY_ROWS "k"

#endif
