#include "actors/ordering/compaction.h"

#include "actors/ordering/partition.h"
#include "runtime/base/ensure.h"
#include "runtime/base/map.h"

#include <stdlib.h>

enum {
    FIELD_OFFSET = 1, /* of record `event` */
    FIELD_PAYLOAD = 9,
    FIELD_ACCEPTED_US = 10,
    FIELD_ERASED = 13,
    SLOTS_FIRST = 1024,
};

void compaction_keys_init(compaction_keys_t *self, size_t count_max, const uint8_t seed[16])
{
    *self = (compaction_keys_t){.count_max = count_max, .mask = SLOTS_FIRST - 1};
    memcpy(self->seed, seed, sizeof self->seed);
    self->list = calloc(SLOTS_FIRST, sizeof *self->list);
    ENSURE(self->list);
}

void compaction_keys_fini(compaction_keys_t *self)
{
    free(self->list);
    *self = (compaction_keys_t){0};
}

/* The key's place, or the free one where it belongs. */
static compaction_key_t *place_of(const compaction_keys_t *self, const uint64_t hash[2])
{
    size_t at = (size_t)hash[0] & self->mask;
    compaction_key_t *key = &self->list[at];
    while (key->offset > 0 && (key->hash[0] != hash[0] || key->hash[1] != hash[1])) {
        at = (at + 1) & self->mask;
        key = &self->list[at];
    }
    return key;
}

static compaction_key_t *find(const compaction_keys_t *self, slice_t name, uint64_t ret_hash[2])
{
    ret_hash[0] = siphash24(self->seed, 0, name);
    ret_hash[1] = siphash24(self->seed, 1, name);
    return place_of(self, ret_hash);
}

/* At most half of the places are taken. */
static void grow(compaction_keys_t *self)
{
    compaction_keys_t old = *self;
    self->mask = 2 * old.mask + 1;
    self->list = calloc(self->mask + 1, sizeof *self->list);
    ENSURE(self->list);
    for (size_t i = 0; i <= old.mask; i++) {
        if (old.list[i].offset > 0) {
            *place_of(self, old.list[i].hash) = old.list[i];
        }
    }
    free(old.list);
}

/* An accepted event that is in its key's order. */
static bool is_in_order(uint64_t kind, slice_t data, uint64_t *ret_offset, slice_t *ret_name)
{
    return kind == RECORD_event && event_diversion(data) == DIVERTED_NOT &&
           event_place(data, ret_offset, ret_name);
}

bool compaction_note(compaction_keys_t *self, uint64_t kind, slice_t data)
{
    uint64_t offset;
    uint64_t hash[2];
    slice_t name;
    if (!is_in_order(kind, data, &offset, &name)) {
        return true;
    }
    compaction_key_t *key = find(self, name, hash);
    if (key->offset == 0) {
        if (self->count == self->count_max) {
            return false;
        }
        self->count++;
        *key = (compaction_key_t){.hash = {hash[0], hash[1]}};
    }
    key->offset = offset > key->offset ? offset : key->offset;
    if (2 * self->count > self->mask) {
        grow(self);
    }
    return true;
}

static bool is_tombstone(slice_t data, int64_t before_us)
{
    uint64_t number = 0;
    slice_t payload;
    return !codec_peek_slice(data, FIELD_PAYLOAD, &payload) &&
           !codec_peek_uint(data, FIELD_ERASED, &number) &&
           codec_peek_uint(data, FIELD_ACCEPTED_US, &number) && (int64_t)number < before_us;
}

void compaction_clean(const compaction_keys_t *self, uint64_t kind, slice_t data,
                      int64_t tombstone_us, buffer_t *out, compaction_counts_t *counts)
{
    uint64_t offset = 0;
    uint64_t hash[2];
    slice_t name;
    bool removed = event_diversion(data) == DIVERTED_REMOVED;
    if (kind != RECORD_event || removed) {
        return;
    }
    bool held = !codec_peek_uint(data, FIELD_OFFSET, &offset);
    bool goes = held;
    if (!held && is_in_order(kind, data, &offset, &name)) {
        /* Behind a tombstone nothing of its key is left before it: this very pass, or the one that
         * noted it, has removed that first. */
        goes = offset < find(self, name, hash)->offset || is_tombstone(data, tombstone_us);
    }
    if (goes) {
        codec_encode(event_wire(), &(event_t){.offset = offset, .diverted = DIVERTED_REMOVED}, out);
        counts->removed += !held;
    } else {
        counts->kept_bytes += data.size;
    }
}
