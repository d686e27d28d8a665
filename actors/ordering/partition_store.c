/* Recovery and snapshot of a partition.
 *
 * Keys of snapshot rows begin with a byte that tells their kind:
 *   's'                                              partition_state
 *   'p' producer                                     producer_mark
 *   'k' producer's size (two bytes, big endian) producer key     key_state
 *   'g' producer's size (two bytes, big endian) producer key first (8 bytes, big endian)   skip
 *   'i' producer number (8 bytes, big endian)        id_mark
 *   't' number (8 bytes, big endian)                 event, whose time has not come
 *   'f', 'q'                                         groups: see partition_groups.h
 *   'o', 'O'                                         places in the log: see log_index.h
 *   'c'                                              compaction_mark
 *
 * A row may be newer than the position the log is replayed from, each by another amount. So a
 * record of the log says one thing to the partition (its offset) and another to its key (its
 * sequence), and each of the two is judged by itself: behind the state it is a replay and changes
 * nothing, next to it it is applied, ahead of it the store is damaged. */
#include "actors/ordering/partition_ids.h"
#include "actors/ordering/partition_inherit.h"
#include "actors/ordering/partition_schedule.h"
#include "actors/ordering/partition_skip.h"
#include "actors/ordering/partition_time.h"

#include "runtime/base/ensure.h"

enum {
    ROW_KEY_PARTITION = 's',
    ROW_KEY_PRODUCER = 'p',
    ROW_KEY_KEY = 'k',
    ROW_KEY_SKIP = 'g',
    ROW_KEY_ID = 'i',
    ROW_KEY_SCHEDULED = 't',
    ROW_KEY_KEY_HEAD = 3,       /* kind and size of the producer */
    ROWS_ORDERED_MAX = 1 << 16, /* at once, which takes a few milliseconds */
};

static capstan_err_t load_partition_state(partition_t *self, slice_t value)
{
    partition_state_t state;
    if (codec_decode(partition_state_wire(), value, &state, NULL) || state.offset_next == 0) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    self->offset_next = state.offset_next;
    if (state.watermark_known) {
        self->watermark_us = state.watermark_us;
    }
    self->inherits = state.inherits;
    time_load(self, NULL, state.time_us, state.seen_us, false);
    return CAPSTAN_OK;
}

static capstan_err_t load_producer_mark(partition_t *self, slice_t value, bool from_log)
{
    producer_mark_t mark;
    if (codec_decode(producer_mark_wire(), value, &mark, NULL) || mark.producer.size == 0) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    producer_t *producer = producer_get(self, mark.producer);
    time_load(self, producer, mark.time_us, mark.seen_us, from_log);
    if (mark.producer_epoch > producer->epoch) {
        producer->epoch = mark.producer_epoch;
        if (from_log) {
            row_changed(self, &producer->row);
        }
    }
    return CAPSTAN_OK;
}

static void raise_to(uint64_t *bound, uint64_t value)
{
    *bound = value > *bound ? value : *bound;
}

/* What was acknowledged as held is kept, whatever the limits are now. */
static void load_one_held(partition_t *self, key_entry_t *entry, const event_t *event,
                          slice_t record)
{
    hold_add(self, entry, event->sequence, event->accepted_us, record);
    key_step(self, entry, KEY_INPUT_ahead);
    raise_to(&self->found.held_items_max, self->held_items);
    raise_to(&self->found.held_bytes_max, self->held_bytes);
    raise_to(&self->found.key_held_items_max, entry->hold->count);
}

/* Held events of a row: of this key, behind the accepted ones and a gap, ascending. */
static capstan_err_t load_held(partition_t *self, key_entry_t *entry, slice_t list)
{
    codec_list_t iterator;
    if (codec_list_open(event_wire(), list, &iterator)) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    uint64_t last = entry->accepted + 1;
    for (slice_t record; codec_list_next_raw(&iterator, &record);) {
        event_t event;
        if (event_decode(record, &event) || !event_releasable(record) || event.offset != 0 ||
            event.sequence <= last || !slice_equal(event.key, key_name(entry)) ||
            !slice_equal(event.producer, producer_name(producer_of(self, entry)))) {
            return CAPSTAN_E_STORE_CORRUPT;
        }
        last = event.sequence;
        load_one_held(self, entry, &event, record);
    }
    return iterator.fault.err ? CAPSTAN_E_STORE_CORRUPT : CAPSTAN_OK;
}

bool key_row_parse(slice_t row_name, slice_t *ret_producer, slice_t *ret_key)
{
    const uint8_t *bytes = row_name.data;
    if (row_name.size < ROW_KEY_KEY_HEAD || bytes[0] != ROW_KEY_KEY) {
        return false;
    }
    size_t producer_size = (size_t)bytes[1] << 8 | bytes[2];
    if (producer_size == 0 || row_name.size <= ROW_KEY_KEY_HEAD + producer_size) {
        return false;
    }
    *ret_producer = slice_of(bytes + ROW_KEY_KEY_HEAD, producer_size);
    *ret_key = slice_of(bytes + ROW_KEY_KEY_HEAD + producer_size,
                        row_name.size - ROW_KEY_KEY_HEAD - producer_size);
    return true;
}

capstan_err_t key_row_load(partition_t *self, key_entry_t *entry, const key_state_t *state)
{
    if (entry->accepted > 0 || entry->hold) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    entry->accepted = state->accepted;
    capstan_err_t err = load_held(self, entry, state->held);
    if (err) {
        return err;
    }
    int64_t since_us = entry->hold ? entry->hold->since_us : 0;
    return since_us == state->gap_since_us ? CAPSTAN_OK : CAPSTAN_E_STORE_CORRUPT;
}

static capstan_err_t load_key_state(partition_t *self, slice_t row_key, slice_t value)
{
    slice_t name;
    slice_t key;
    key_state_t state;
    if (!key_row_parse(row_key, &name, &key) ||
        codec_decode(key_state_wire(), value, &state, NULL)) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    producer_t *producer = producer_get(self, name);
    if (cold_keep(self, producer, key, &state)) {
        return CAPSTAN_OK;
    }
    return key_row_load(self, key_get(self, producer, key), &state); /* of a skip's row, perhaps */
}

capstan_err_t partition_load_row(partition_t *self, slice_t key, slice_t value)
{
    if (key.size == 0) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    switch (*(const uint8_t *)key.data) {
    case ROW_KEY_PARTITION:
        return load_partition_state(self, value);
    case ROW_KEY_PRODUCER:
        return load_producer_mark(self, value, false);
    case ROW_KEY_KEY:
        return load_key_state(self, key, value);
    case ROW_KEY_SKIP:
        return skip_load(self, value, false);
    case ROW_KEY_ID:
        return id_load_row(self, slice_of((const uint8_t *)key.data + 1, key.size - 1), value);
    case ROW_KEY_SCHEDULED:
        return schedule_load_row(self, slice_of((const uint8_t *)key.data + 1, key.size - 1),
                                 value);
    default:
        return CAPSTAN_E_STORE_CORRUPT;
    }
}

/* An accepted event, seen by its key. */
static capstan_err_t load_accepted(partition_t *self, key_entry_t *entry, uint64_t sequence)
{
    if (sequence <= entry->accepted) {
        return CAPSTAN_OK;
    }
    if (sequence != entry->accepted + 1) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    entry->accepted = sequence;
    row_changed(self, &entry->row);
    hold_t *hold = entry->hold;
    if (!hold) {
        key_step(self, entry, KEY_INPUT_next);
        return CAPSTAN_OK;
    }
    bool was_held = hold->list[0].sequence == sequence;
    key_step(self, entry, was_held && hold->count == 1 ? KEY_INPUT_fill_last : KEY_INPUT_fill);
    if (was_held) {
        hold_forget(self, entry, 1);
    }
    return CAPSTAN_OK;
}

/* Its skip came before it, in the log or in the snapshot. */
static capstan_err_t load_diverted(partition_t *self, const key_entry_t *entry, uint64_t sequence)
{
    skip_entry_t *skip = skip_find(self, entry, sequence);
    if (skip && !skip_is_filled(skip, sequence)) {
        skip_fill(self, skip, sequence);
    }
    return skip ? CAPSTAN_OK : CAPSTAN_E_STORE_CORRUPT;
}

static capstan_err_t load_held_record(partition_t *self, key_entry_t *entry, const event_t *event,
                                      slice_t data)
{
    if (event->sequence <= entry->accepted || hold_contains(entry, event->sequence)) {
        return CAPSTAN_OK;
    }
    if (event->sequence == entry->accepted + 1 || !event_releasable(data)) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    load_one_held(self, entry, event, data);
    row_changed(self, &entry->row);
    return CAPSTAN_OK;
}

static capstan_err_t load_event(partition_t *self, slice_t data)
{
    event_t event;
    if (event_decode(data, &event) || event.key.size == 0 || event.offset > self->offset_next) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    if (event.offset == self->offset_next) {
        self->offset_next++;
        row_changed(self, &self->row);
    }
    if (self->limits.mode == SEQUENCE_ARRIVAL) {
        time_load(self, NULL, event.time_us, event.accepted_us, true);
        if (id_is_wanted(self, event.producer, event.sequence)) {
            id_load(self, event.producer, event.sequence, event.accepted_us);
        }
        return event.offset > 0 ? CAPSTAN_OK : CAPSTAN_E_STORE_CORRUPT;
    }
    if (event.producer.size == 0 || event.sequence == 0) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    key_entry_t *entry = key_get(self, producer_get(self, event.producer), event.key);
    time_load(self, producer_of(self, entry), event.time_us, event.accepted_us, true);
    if (event.diverted == DIVERTED_SKIPPED) {
        return event.offset > 0 ? load_diverted(self, entry, event.sequence)
                                : CAPSTAN_E_STORE_CORRUPT;
    }
    return event.offset > 0 ? load_accepted(self, entry, event.sequence)
                            : load_held_record(self, entry, &event, data);
}

capstan_err_t partition_load_record(partition_t *self, uint32_t record, slice_t data)
{
    switch (record) {
    case RECORD_event:
        return load_event(self, data);
    case RECORD_producer_mark:
        return load_producer_mark(self, data, true);
    case RECORD_skip:
        return skip_load(self, data, true);
    case RECORD_watermark_mark:
        return time_load_mark(self, data);
    case RECORD_scheduled_mark:
        return schedule_load(self, data);
    case RECORD_scheduled_end:
        return schedule_load_end(self, data);
    case RECORD_inherited:
        return inherited_load(self, data);
    default:
        return CAPSTAN_E_STORE_CORRUPT;
    }
}

static void save_partition_state(partition_t *self)
{
    static const uint8_t kind = ROW_KEY_PARTITION;
    buffer_append(&self->row_key, &kind, 1);
    bool known = self->watermark_us != INT64_MIN;
    partition_state_t state = {.offset_next = self->offset_next,
                               .watermark_us = known ? self->watermark_us : 0,
                               .watermark_known = known,
                               .time_us = self->arrivals.time_us,
                               .seen_us = self->arrivals.seen_us,
                               .inherits = self->inherits};
    codec_encode(partition_state_wire(), &state, &self->row_value);
}

static void save_producer(partition_t *self, const producer_t *producer)
{
    static const uint8_t kind = ROW_KEY_PRODUCER;
    buffer_append(&self->row_key, &kind, 1);
    buffer_append(&self->row_key, producer->name, producer->row.name_size);
    producer_mark_t mark = {.producer = producer_name(producer),
                            .producer_epoch = producer->epoch,
                            .time_us = producer->source.time_us,
                            .seen_us = producer->source.seen_us};
    codec_encode(producer_mark_wire(), &mark, &self->row_value);
}

static void add_key_name(uint8_t kind, slice_t producer, slice_t key, buffer_t *out)
{
    ENSURE(producer.size <= UINT16_MAX);
    const uint8_t head[ROW_KEY_KEY_HEAD] = {kind, (uint8_t)(producer.size >> 8),
                                            (uint8_t)producer.size};
    buffer_append(out, head, sizeof head);
    buffer_append(out, producer.data, producer.size);
    buffer_append(out, key.data, key.size);
}

void key_row_name(slice_t producer, slice_t key, buffer_t *out)
{
    add_key_name(ROW_KEY_KEY, producer, key, out);
}

static void save_key_name(partition_t *self, const key_entry_t *entry, uint8_t kind)
{
    add_key_name(kind, producer_name(producer_of(self, entry)), key_name(entry), &self->row_key);
}

static void save_skip(partition_t *self, const skip_entry_t *skip)
{
    save_key_name(self, skip->entry, ROW_KEY_SKIP);
    for (int shift = 56; shift >= 0; shift -= 8) {
        buffer_append(&self->row_key, &(uint8_t){(uint8_t)(skip->first >> shift)}, 1);
    }
    skip_encode(self, skip, &self->row_value);
}

static void save_key(partition_t *self, const key_entry_t *entry)
{
    save_key_name(self, entry, ROW_KEY_KEY);
    key_state_t state = {.accepted = entry->accepted};
    const hold_t *hold = entry->hold;
    if (hold) {
        buffer_clear(&self->row_list);
        codec_list_writer_t writer = codec_list_begin(&self->row_list);
        for (size_t i = 0; i < hold->count; i++) {
            codec_list_add_raw(&writer, slice_of(hold->list[i].data, hold->list[i].size));
        }
        codec_list_end(&writer);
        state.gap_since_us = hold->since_us;
        state.held = buffer_slice(&self->row_list);
    }
    codec_encode(key_state_wire(), &state, &self->row_value);
}

static void save_row(partition_t *self, row_t *row)
{
    buffer_clear(&self->row_key);
    buffer_clear(&self->row_value);
    /* A row is the first member of what it opens. */
    switch ((row_kind_t)row->kind) {
    case ROW_PARTITION:
        save_partition_state(self);
        break;
    case ROW_PRODUCER:
        save_producer(self, (const producer_t *)row);
        break;
    case ROW_KEY:
        save_key(self, (const key_entry_t *)row);
        break;
    case ROW_SKIP:
        save_skip(self, (const skip_entry_t *)row);
        break;
    case ROW_ID:
        id_save((const id_entry_t *)row, ROW_KEY_ID, &self->row_key, &self->row_value);
        break;
    case ROW_SCHEDULED:
        schedule_save((scheduled_t *)row, ROW_KEY_SCHEDULED, &self->row_key, &self->row_value);
        break;
    }
}

bool partition_save(partition_t *self, size_t bytes_max, partition_row_fn *add, void *context)
{
    if (!self->pass_runs) {
        self->pass_runs = true;
        self->pass++;
        self->pass_stored = false;
        self->pass_left = self->changed_count;
        self->pass_ordered = 0;
    }
    for (size_t bytes = 0; self->pass_left > 0 && bytes < bytes_max; self->pass_left--) {
        if (self->pass_ordered == 0) {
            self->pass_ordered =
                self->pass_left < ROWS_ORDERED_MAX ? self->pass_left : ROWS_ORDERED_MAX;
            rows_put_in_order(self, self->pass_ordered);
        }
        self->pass_ordered--;
        row_t *row = self->changed_first;
        self->changed_first = row->changed_next;
        if (!self->changed_first) {
            self->changed_last = NULL;
        }
        __builtin_prefetch(self->changed_first, 1); /* keys lie where they were made */
        self->changed_count--;
        row->changed = false;
        row->pass = self->pass;
        save_row(self, row);
        add(context, buffer_slice(&self->row_key), buffer_slice(&self->row_value));
        bytes += self->row_key.size + self->row_value.size;
        if (row->kind == ROW_ID && ((id_entry_t *)row)->gone) {
            free(row);
        }
    }
    self->pass_runs = self->pass_left > 0;
    return !self->pass_runs;
}

void partition_saved(partition_t *self)
{
    schedule_saved(self);
    self->pass_stored = true;
    self->hand_left = 2 * self->keys.count;
}

uint64_t partition_unsaved(const partition_t *self)
{
    return self->changed_count;
}

void partition_touch_all(partition_t *self)
{
    self->pass_runs = false;
    row_changed(self, &self->row);
    size_t position = 0;
    for (producer_t *producer; (producer = map_next(&self->producers, &position));) {
        row_changed(self, &producer->row);
    }
    position = 0;
    for (key_entry_t *entry; (entry = map_next(&self->keys, &position));) {
        row_changed(self, &entry->row);
    }
    ids_touch(self);
    skips_touch(self);
    schedule_touch(self);
}
