/* The inside of a partition, shared by its core's files and by nobody else.
 *
 *   keys (map) ---> key_entry: accepted, state, key bytes -----> producer: epoch, name
 *                      |                                            ^
 *                      +--> hold: held events, ascending           producers (map)
 *                              ^
 *   gaps (heap, oldest first) -+          changed (list) --> row --> row
 *   skip_lists (map): what was given up of a key
 *   cold (filter): keys that are in the store only
 *
 * A key has a hold exactly while it has a gap; most keys never have one, so that an entry costs 36
 * bytes, its key, what malloc adds, and its share of the map (21 to 43 bytes). */
#ifndef ORDERING_PARTITION_STATE_H
#define ORDERING_PARTITION_STATE_H

#include "actors/ordering/key_phase.h"
#include "actors/ordering/partition.h"
#include "actors/ordering/partition_row.h"
#include "actors/ordering/watermark.h"
#include "runtime/base/key_filter.h"
#include "runtime/base/map.h"

enum {
    PRODUCER_BYTES_MAX = 128, /* as ordering_messages.def says */
    KEY_BYTES_MAX = 1024,
};

typedef struct producer {
    row_t row;
    uint32_t number; /* in this process, from 1; part of the hash of the producer's keys */
    uint64_t epoch;  /* 0: none was issued */
    watermark_source_t source;
    uint8_t name[];
} producer_t;

typedef struct held_event {
    uint64_t sequence;
    int64_t taken_us;
    uint8_t *data; /* its record, without an offset */
    size_t size;
} held_event_t;

typedef struct hold {
    struct key_entry *entry;
    int64_t since_us; /* when the first missing sequence was first seen to be missing */
    size_t heap_at;
    held_event_t *list; /* ascending sequence */
    size_t count;
    size_t capacity;
} hold_t;

typedef struct key_entry {
    row_t row;
    uint64_t accepted;
    hold_t *hold;      /* NULL: no gap */
    uint32_t producer; /* its number: half of what its address would take */
    uint8_t key[];
} key_entry_t;

struct partition {
    partition_limits_t limits;
    partition_limits_t
        found; /* what partition_check allows: a store may hold more than new limits */
    uint64_t offset_next;
    map_t keys;
    map_t producers;
    producer_t **producer_list; /* by number - 1 */
    size_t producer_capacity;
    map_t skip_lists;        /* by key entry */
    uint64_t skips;          /* rows of the ledger */
    uint64_t skip_stretches; /* of what came after all */
    map_t ids;               /* of an arrival topic */
    struct id_entry *id_oldest;
    struct id_entry *id_newest;
    bool ids_loaded; /* from rows, in the order of names */

    key_filter_t cold; /* all keys that were ever evicted, resident again or not */
    uint64_t cold_count;
    uint64_t cold_accepted; /* their sum */
    uint64_t evicted;
    size_t hand;         /* a position in `keys`: what may be evicted next */
    uint64_t hand_left;  /* so many keys on nothing can be evicted, unless a snapshot is stored */
    uint64_t keys_added; /* since it moved last */

    producer_t *producer_last; /* a batch is usually one producer's: saves a lookup per event */

    struct schedule *schedule; /* partition_schedule.h */

    hold_t **gaps; /* binary heap, oldest first */
    size_t gap_count;
    size_t gap_capacity;
    uint64_t held_items;
    uint64_t held_bytes;

    row_t row;            /* the partition's own */
    row_t *changed_first; /* rows to be saved, oldest change first */
    row_t *changed_last;
    uint64_t changed_count;
    uint8_t pass;          /* the number of the last snapshot that was begun, modulo 256 */
    bool pass_runs;        /* it is not complete */
    bool pass_stored;      /* it is on disk */
    uint64_t pass_left;    /* changed rows that it still owes */
    uint64_t pass_ordered; /* of them, first in the list, by name */
    buffer_t row_key;
    buffer_t row_value;
    buffer_t row_list;

    uint64_t accepted;
    uint64_t duplicates;
    uint64_t rejected;
    uint64_t diverted;
    uint64_t filled;
    uint64_t skipped;
    int64_t watermark_us; /* INT64_MIN: none */
    watermark_t sources;
    watermark_source_t arrivals; /* the one source of an arrival topic */
    bool sources_loaded;         /* some are known from the store, and not yet part of `sources` */
    uint64_t late[LATE_DROP + 1];
    bool inherits; /* keys count events that other partitions have */
    uint64_t steps[KEY_PHASE_COUNT][KEY_INPUT_COUNT]; /* how often each TRANSITION was taken */
};

/* partition_encode.c */
/* A held event's record once more, with its offset in front. */
void event_encode_released(slice_t held, uint64_t offset, buffer_t *out);
/* Whether event_encode_released can work on these bytes. */
bool event_releasable(slice_t held);

/* partition.c */
void partition_add_append(partition_effects_t *effects, uint32_t record, size_t data_at,
                          uint64_t offset);
uint64_t partition_take_offset(partition_t *self);
/* Appends the held events that follow what is accepted, and forgets them. The key takes the step
 * `all` when nothing is held any more, otherwise `some`. */
void partition_release(partition_t *self, key_entry_t *entry, partition_effects_t *effects,
                       key_input_t some, key_input_t all);

/* partition_key.c */
producer_t *producer_find(partition_t *self, slice_t name);
producer_t *producer_get(partition_t *self, slice_t name);
uint64_t key_hash(const partition_t *self, const producer_t *producer, slice_t key);
key_entry_t *key_find(const partition_t *self, const producer_t *producer, slice_t key);
/* The entry is made when there is none. */
key_entry_t *key_get(partition_t *self, producer_t *producer, slice_t key);
void row_changed(partition_t *self, row_t *row);
/* The only place where a key's phase changes. `entry` may be NULL for a key that is not known and
 * does not become so. */
void key_step(partition_t *self, key_entry_t *entry, key_input_t input);
static inline slice_t producer_name(const producer_t *producer)
{
    return slice_of(producer->name, producer->row.name_size);
}

static inline producer_t *producer_of(const partition_t *self, const key_entry_t *entry)
{
    return self->producer_list[entry->producer - 1];
}

static inline slice_t key_name(const key_entry_t *entry)
{
    return slice_of(entry->key, entry->row.name_size);
}

void keys_fini(partition_t *self);

/* partition_order.c: puts the first `count` of the changed rows, one at least, into the order in
 * which the store keeps them. */
void rows_put_in_order(partition_t *self, size_t count);

/* partition_store.c: rows of keys. */
bool key_row_parse(slice_t row_name, slice_t *ret_producer, slice_t *ret_key);
void key_row_name(slice_t producer, slice_t key, buffer_t *out);
/* What a row says of a key of which nothing is known but rows of the skip ledger. STORE_CORRUPT. */
CAPSTAN_MUST_CHECK capstan_err_t key_row_load(partition_t *self, key_entry_t *entry,
                                              const key_state_t *state);

/* partition_cold.c: a key that is in the store. True: it stays there. */
bool cold_keep(partition_t *self, const producer_t *producer, slice_t key,
               const key_state_t *state);

/* partition_hold.c */
bool hold_contains(const key_entry_t *entry, uint64_t sequence);
/* Copies the record. The sequence must not be held yet. */
void hold_add(partition_t *self, key_entry_t *entry, uint64_t sequence, int64_t taken_us,
              slice_t record);
/* Forgets the first `count` held events; the hold goes with its last one. */
void hold_forget(partition_t *self, key_entry_t *entry, size_t count);
void holds_fini(partition_t *self);

#endif
