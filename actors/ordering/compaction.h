/* Compaction of a log to the last event of each key: what is known of the newest events, and what
 * becomes of a record. Pure.
 *
 *      clean                dirty               not yet
 *   |--------------------|-------------------|----------
 *   1                    mark                bound
 *                        '-- their keys -----'  compaction_note
 *   '----- older events of these keys ------'  compaction_clean
 *
 * A key is known by 128 bits of a keyed hash, so that its size does not matter: two keys of one
 * hash would cost the older one its last event, which nobody who does not know the seed brings
 * about. The number of keys is bounded; where they end the dirty part ends, and the rest is for the
 * next time.
 *
 * Events that were diverted stand outside their key's order: they remove nothing and stay. A
 * record of a held event was written again when it was released, and what is held still is in the
 * snapshot, so that nobody reads it where a snapshot covers the log. */
#ifndef ORDERING_COMPACTION_H
#define ORDERING_COMPACTION_H

#include "actors/ordering/ordering_messages.h"
#include "runtime/base/buffer.h"

typedef struct compaction_key {
    uint64_t hash[2];
    uint64_t offset; /* of its newest event; 0: the place is free */
} compaction_key_t;

typedef struct compaction_keys {
    compaction_key_t *list; /* a hash table with open addresses */
    size_t mask;
    size_t count;
    size_t count_max;
    uint8_t seed[16];
} compaction_keys_t;

void compaction_keys_init(compaction_keys_t *self, size_t count_max, const uint8_t seed[16]);
void compaction_keys_fini(compaction_keys_t *self);

/* A record of the dirty part, in the order of the log. False: there is no room for its key. */
bool compaction_note(compaction_keys_t *self, uint64_t kind, slice_t data);

typedef struct compaction_counts {
    uint64_t removed;    /* events */
    uint64_t kept_bytes; /* of events that stay */
} compaction_counts_t;

/* What is to stand in the place of a record: written to `out`, which stays empty when the record
 * stays. `tombstone_us`: a key's last event goes too if it says nothing (no payload) and was taken
 * before. */
void compaction_clean(const compaction_keys_t *self, uint64_t kind, slice_t data,
                      int64_t tombstone_us, buffer_t *out, compaction_counts_t *counts);

#endif
