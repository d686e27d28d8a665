/* The ids that an arrival topic remembers for a while, so that what is sent again is taken once. An
 * id is the producer's name and a number of its choice. Internal to the partition's core.
 *
 *   oldest --> id --> id --> id (newest)      and all of them in a map */
#ifndef ORDERING_PARTITION_IDS_H
#define ORDERING_PARTITION_IDS_H

#include "actors/ordering/partition_state.h"

typedef struct id_entry {
    row_t row; /* its name is the producer's */
    struct id_entry *next;
    int64_t taken_us;
    uint64_t sequence;
    bool gone; /* it is forgotten, and its row is still to be deleted */
    uint8_t producer[];
} id_entry_t;

/* Whether events with these two are remembered: the topic wants it, and they are there. */
bool id_is_wanted(const partition_t *self, slice_t producer, uint64_t sequence);
/* Forgets what is older than the window. */
void ids_expire(partition_t *self, int64_t now_us);
bool id_is_known(const partition_t *self, slice_t producer, uint64_t sequence);
void id_add(partition_t *self, slice_t producer, uint64_t sequence, int64_t taken_us);

/* An event of the log has it. */
void id_load(partition_t *self, slice_t producer, uint64_t sequence, int64_t taken_us);
/* A row of the snapshot, without the byte of its kind. STORE_CORRUPT. */
CAPSTAN_MUST_CHECK capstan_err_t id_load_row(partition_t *self, slice_t key, slice_t value);
/* Key and value of its row; no value deletes it. */
void id_save(const id_entry_t *id, uint8_t kind, buffer_t *row_key, buffer_t *row_value);
void ids_touch(partition_t *self);
void ids_fini(partition_t *self);

#endif
