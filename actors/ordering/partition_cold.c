/* Which keys a partition has in memory: see partition_cold.h.
 *
 * A hand goes round the keys (the clock of operating systems' page tables): what has changed since
 * it came by last is left for this time, what has a row on disk that says all goes. A key's row in
 * the store may be read back by whoever comes for the key at any time after that, so that it must
 * be there: a pass that was handed out is not, before partition_saved says so. */
#include "actors/ordering/partition_cold.h"

#include "actors/ordering/partition_inherit.h"

#include <stdlib.h>

enum {
    HAND_KEYS = 1024,        /* that the hand goes over at once, at most, */
    HAND_KEYS_PER_ADDED = 8, /* and for each key that came since it did so last */
};

uint64_t partition_cold(const partition_t *self)
{
    return self->cold_count;
}

bool partition_wants(partition_t *self, slice_t name, slice_t key)
{
    const producer_t *producer = self->cold_count > 0 ? producer_find(self, name) : NULL;
    return producer && !key_find(self, producer, key) &&
           key_filter_has(&self->cold, key_hash(self, producer, key));
}

void partition_row_name(slice_t producer, slice_t key, buffer_t *out)
{
    key_row_name(producer, key, out);
}

bool partition_record_key(uint32_t record, slice_t data, slice_t *ret_producer, slice_t *ret_key)
{
    enum {
        EVENT_KEY = 2,
        EVENT_PRODUCER = 3,
        SKIP_PRODUCER = 1,
        SKIP_KEY = 2,
        INHERITED_PRODUCER = 1,
        INHERITED_KEY = 3,
    };
    switch (record) {
    case RECORD_event:
        return codec_peek_slice(data, EVENT_PRODUCER, ret_producer) &&
               codec_peek_slice(data, EVENT_KEY, ret_key);
    case RECORD_skip:
        return codec_peek_slice(data, SKIP_PRODUCER, ret_producer) &&
               codec_peek_slice(data, SKIP_KEY, ret_key);
    case RECORD_inherited:
        return codec_peek_slice(data, INHERITED_PRODUCER, ret_producer) &&
               codec_peek_slice(data, INHERITED_KEY, ret_key);
    default:
        return false;
    }
}

/* --- out of memory --------------------------------------------------------------------------- */

static void add_cold(partition_t *self, uint64_t hash, uint64_t accepted)
{
    key_filter_add(&self->cold, hash);
    self->cold_count++;
    self->cold_accepted += accepted;
}

/* Only such a key goes out of memory. */
static bool is_idle(const key_state_t *state)
{
    return state->accepted > 0 && state->held.size == 0 && state->gap_since_us == 0;
}

bool cold_keep(partition_t *self, const producer_t *producer, slice_t key, const key_state_t *state)
{
    uint64_t max = self->limits.resident_keys_max;
    if (max == 0 || self->keys.count < max || !is_idle(state) || key_find(self, producer, key)) {
        return false; /* a row of the skip ledger may have made it known */
    }
    add_cold(self, key_hash(self, producer, key), state->accepted);
    return true;
}

static bool is_on_disk(const partition_t *self, const row_t *row)
{
    return !row->changed && (self->pass_stored || row->pass != self->pass);
}

/* One of which nothing was ever accepted may have no row. */
static bool may_go(const partition_t *self, const key_entry_t *entry)
{
    return is_on_disk(self, &entry->row) && entry->row.phase == KEY_IN_ORDER && !entry->hold &&
           !entry->row.skipped && entry->accepted > 0;
}

static void evict(partition_t *self, key_entry_t *entry)
{
    uint64_t hash = key_hash(self, producer_of(self, entry), key_name(entry));
    add_cold(self, hash, entry->accepted);
    map_remove(&self->keys, hash, entry);
    free(entry);
    self->evicted++;
}

bool partition_evict(partition_t *self)
{
    uint64_t max = self->limits.resident_keys_max;
    uint64_t left = HAND_KEYS + HAND_KEYS_PER_ADDED * self->keys_added;
    self->keys_added = 0;
    if (max == 0) {
        return false;
    }
    for (; left > 0 && self->hand_left > 0 && self->keys.count > max; left--) {
        key_entry_t *entry = map_next(&self->keys, &self->hand);
        if (!entry) {
            self->hand = 0; /* round again */
            continue;
        }
        self->hand_left--;
        if (entry->row.used && !entry->row.changed) {
            entry->row.used = false;
        } else if (may_go(self, entry)) {
            evict(self, entry);
            self->hand--; /* another one may have moved to its place */
        }
    }
    return self->hand_left > 0 && self->keys.count > max;
}

/* Half of them: so there are others that can go while a snapshot is written. */
bool partition_is_crowded(const partition_t *self)
{
    uint64_t max = self->limits.resident_keys_max;
    return max > 0 && self->keys.count + self->cold_count > max && self->changed_count > max / 2;
}

/* --- back ------------------------------------------------------------------------------------ */

static bool decode(slice_t name, slice_t value, inherited_t *ret_names, key_state_t *ret_state)
{
    return key_row_parse(name, &ret_names->producer, &ret_names->key) &&
           codec_decode(key_state_wire(), value, ret_state, NULL) == CAPSTAN_OK;
}

capstan_err_t partition_warm(partition_t *self, slice_t name, slice_t value)
{
    inherited_t names;
    key_state_t state;
    if (!decode(name, value, &names, &state)) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    producer_t *producer = producer_find(self, names.producer);
    if (!producer || key_find(self, producer, names.key)) {
        return producer ? CAPSTAN_OK : CAPSTAN_E_STORE_CORRUPT;
    }
    if (self->cold_count == 0 || state.accepted > self->cold_accepted || !is_idle(&state)) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    self->cold_count--;
    self->cold_accepted -= state.accepted;
    self->hand_left = 2 * (self->keys.count + 1); /* it can go as it came */
    return key_row_load(self, key_get(self, producer, names.key), &state);
}

/* --- to another partition -------------------------------------------------------------------- */

bool partition_owns_key_row(slice_t name)
{
    return name.size > 0 && *(const uint8_t *)name.data == PARTITION_KEY_ROWS[0];
}

capstan_err_t partition_give_row(partition_t *self, const partition_share_t *share, slice_t name,
                                 slice_t value, buffer_t *ret_record)
{
    inherited_t names = {0};
    key_state_t state;
    if (!decode(name, value, &names, &state)) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    const producer_t *producer = producer_find(self, names.producer);
    bool resident = !producer || key_find(self, producer, names.key);
    if (!resident && key_leaves(share, names.key)) {
        names.accepted = state.accepted;
        codec_encode(inherited_wire(), &names, ret_record);
    }
    return CAPSTAN_OK;
}
