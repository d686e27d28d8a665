/* What goes with a key to another partition when their number changes: what was accepted of it, and
 * its rows of the skip ledger. Everything only grows, so that it may be told twice, late, or in any
 * order: a key that comes back finds what it had left, and is told what has happened since. */
#include "actors/ordering/partition_ids.h"
#include "actors/ordering/partition_inherit.h"
#include "actors/ordering/partition_skip.h"
#include "actors/ordering/partition_time.h"

#include "runtime/base/ensure.h"
#include "runtime/base/key_partition.h"

#include <stdlib.h>

#define IDS_FROM (UINT64_C(1) << 63) /* of positions: first the keys, then the ids */

bool key_leaves(const partition_share_t *share, slice_t key)
{
    return key_partition(key, share->before) == share->index &&
           key_partition(key, share->after) != share->index;
}

static void encode_key(partition_t *self, const key_entry_t *entry, buffer_t *out)
{
    buffer_clear(&self->row_value);
    inherited_t key = {.producer = producer_name(producer_of(self, entry)),
                       .key = key_name(entry),
                       .accepted = entry->accepted};
    if (entry->row.skipped) {
        skips_encode(self, entry, &self->row_value);
        key.skips = buffer_slice(&self->row_value);
    }
    codec_encode(inherited_wire(), &key, out);
}

static size_t give_held(const key_entry_t *entry, buffer_t *record, partition_give_fn *add,
                        void *context)
{
    const hold_t *hold = entry->hold;
    size_t bytes = 0;
    for (size_t i = 0; hold && i < hold->count; i++) {
        buffer_clear(record);
        codec_encode(inherited_wire(),
                     &(inherited_t){.key = key_name(entry),
                                    .held = slice_of(hold->list[i].data, hold->list[i].size)},
                     record);
        add(context, buffer_slice(record));
        bytes += record->size;
    }
    return bytes;
}

/* True: all were handed out. */
static bool give_keys(partition_t *self, const partition_share_t *share, uint64_t *position,
                      size_t bytes_max, partition_give_fn *add, void *context)
{
    buffer_t record = {0};
    size_t at = (size_t)*position;
    const key_entry_t *entry = NULL;
    for (size_t bytes = 0; bytes < bytes_max && (entry = map_next(&self->keys, &at));) {
        if (key_leaves(share, key_name(entry))) {
            buffer_clear(&record);
            encode_key(self, entry, &record);
            add(context, buffer_slice(&record));
            bytes += record.size;
            bytes += give_held(entry, &record, add, context);
        }
    }
    buffer_fini(&record);
    *position = at;
    return !entry;
}

static bool give_ids(const partition_t *self, uint64_t *position, size_t bytes_max,
                     partition_give_fn *add, void *context)
{
    buffer_t record = {0};
    size_t at = (size_t)*position;
    const id_entry_t *id = NULL;
    for (size_t bytes = 0; bytes < bytes_max && (id = map_next(&self->ids, &at));) {
        buffer_clear(&record);
        codec_encode(inherited_wire(),
                     &(inherited_t){.producer = slice_of(id->producer, id->row.name_size),
                                    .number = id->sequence,
                                    .taken_us = id->taken_us},
                     &record);
        add(context, buffer_slice(&record));
        bytes += record.size;
    }
    buffer_fini(&record);
    *position = at;
    return !id;
}

bool partition_give(partition_t *self, const partition_share_t *share, uint64_t *position,
                    size_t bytes_max, partition_give_fn *add, void *context)
{
    if (*position < IDS_FROM) {
        bool all = give_keys(self, share, position, bytes_max, add, context);
        *position = all ? IDS_FROM : *position;
        return all && self->ids.count == 0;
    }
    uint64_t at = *position - IDS_FROM;
    bool all = give_ids(self, &at, bytes_max, add, context);
    *position = IDS_FROM + at;
    return all;
}

static void forget_hold(partition_t *self, key_entry_t *entry)
{
    key_step(self, entry, KEY_INPUT_leave);
    hold_forget(self, entry, entry->hold->count);
    row_changed(self, &entry->row);
}

/* Those that leave are taken out of the heap of gaps while it is walked: so they are listed first.
 */
void partition_leave(partition_t *self, uint64_t index, uint64_t partitions)
{
    size_t count = 0;
    key_entry_t **leaving = calloc(self->gap_count + 1, sizeof(key_entry_t *));
    ENSURE(leaving);
    for (size_t i = 0; i < self->gap_count; i++) {
        key_entry_t *entry = self->gaps[i]->entry;
        if (key_partition(key_name(entry), partitions) != index) {
            leaving[count++] = entry;
        }
    }
    for (size_t i = 0; i < count; i++) {
        forget_hold(self, leaving[i]);
    }
    free(leaving);
}

/* --- the other side -------------------------------------------------------------------------- */

static capstan_err_t load_skips(partition_t *self, slice_t skips)
{
    codec_list_t list;
    capstan_err_t err = codec_list_open(skip_wire(), skips, &list);
    for (slice_t record; err == CAPSTAN_OK && codec_list_next_raw(&list, &record);) {
        err = skip_merge(self, record);
    }
    return err || list.fault.err ? CAPSTAN_E_STORE_CORRUPT : CAPSTAN_OK;
}

/* What is held here is from a time when the key was here before. That the row of a snapshot is
 * newer shows in what is accepted; if it only holds more, the log behind says so again. */
static capstan_err_t load_key(partition_t *self, const inherited_t *from)
{
    if (from->key.size > KEY_BYTES_MAX) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    key_entry_t *entry = key_get(self, producer_get(self, from->producer), from->key);
    if (from->accepted >= entry->accepted && entry->hold) {
        forget_hold(self, entry);
    }
    if (from->accepted > entry->accepted) {
        entry->accepted = from->accepted;
        row_changed(self, &entry->row);
    }
    return from->skips.size > 0 ? load_skips(self, from->skips) : CAPSTAN_OK;
}

static void load_epoch(partition_t *self, const inherited_t *from)
{
    producer_t *producer = producer_get(self, from->producer);
    if (from->producer_epoch > producer->epoch) {
        producer->epoch = from->producer_epoch;
        row_changed(self, &producer->row);
    }
}

capstan_err_t inherited_load(partition_t *self, slice_t data)
{
    inherited_t from;
    self->inherits = true;
    row_changed(self, &self->row);
    if (codec_decode(inherited_wire(), data, &from, NULL) ||
        from.producer.size > PRODUCER_BYTES_MAX) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    if (from.watermark_known) {
        time_raise(self, from.watermark_us);
        return CAPSTAN_OK;
    }
    if (from.producer.size == 0) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    if (from.number > 0) {
        id_load(self, from.producer, from.number, from.taken_us);
        return CAPSTAN_OK;
    }
    if (from.key.size > 0) {
        return load_key(self, &from);
    }
    load_epoch(self, &from);
    return CAPSTAN_OK;
}
