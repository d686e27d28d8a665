/* The partition core, numbered by producers or, with the second bit of the first byte, by arrival.
 * An even first byte: the rest are events of a few producers and keys; after each the invariants
 * hold, and at the end the log alone gives the same state. An odd one: the rest are rows and
 * records of a damaged store, which must be refused or read, never more; with the third bit few
 * keys stay in memory. */
#include "actors/ordering/partition_cold.h"
#include "runtime/base/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    EVENT_BYTES = 4,
    PIECE_HEAD = 2,
};

static partition_t *make_bounded(sequence_mode_t mode, uint64_t resident_keys_max)
{
    return partition_new(&(partition_limits_t){.mode = mode,
                                               .held_items_max = 40,
                                               .held_bytes_max = 2000,
                                               .key_held_items_max = 12,
                                               .hold_us_max = 100,
                                               .id_window_us = 500,
                                               .ids_max = 30,
                                               .scheduled_items_max = 20,
                                               .scheduled_bytes_max = 1000,
                                               .resident_keys_max = resident_keys_max,
                                               .hash_seed = "fifteen bytes.."});
}

static partition_t *make(sequence_mode_t mode)
{
    return make_bounded(mode, 0);
}

static void add_row(void *context, slice_t key, slice_t value)
{
    codec_list_add(context, event_wire(), &(event_t){.key = key, .payload = value});
}

/* The complete snapshot of a log's state; equal logs give equal bytes. */
static void load_and_save(sequence_mode_t mode, const partition_effects_t *log, buffer_t *ret_rows)
{
    partition_t *self = make(mode);
    for (size_t i = 0; i < log->count; i++) {
        const partition_effect_t *effect = &log->list[i];
        if (effect->kind == PARTITION_APPEND) {
            slice_t record = slice_of(log->bytes.data + effect->data_at, effect->data_size);
            ENSURE(partition_load_record(self, effect->record, record) == CAPSTAN_OK);
        }
    }
    ENSURE(!partition_check(self));
    codec_list_writer_t writer = codec_list_begin(ret_rows);
    while (!partition_save(self, 100, add_row, &writer)) {
    }
    codec_list_end(&writer);
    partition_destroy(&self);
}

static void publish_all(sequence_mode_t mode, const uint8_t *data, size_t size)
{
    static const char names[] = "abcdefgh";
    partition_t *self = make(mode);
    partition_effects_t log = {0};
    int64_t now_us = INT64_C(1700000000000000);
    for (; size >= EVENT_BYTES; data += EVENT_BYTES, size -= EVENT_BYTES) {
        now_us += data[3] % 64;
        publish_t event = {.key = slice_of(&names[data[0] % 4], 1),
                           .producer = slice_of(&names[4 + data[0] / 4 % 4], 1),
                           .producer_epoch = data[3] / 64,
                           .sequence = data[1] % 32,
                           .payload = slice_of(data, data[2] % (EVENT_BYTES + 1)),
                           .not_before_us = mode == SEQUENCE_ARRIVAL && data[1] & 32
                                                ? now_us - 100 + data[2] * 4
                                                : 0};
        partition_publish(self, now_us, 1, &event, &log);
        ENSURE(log.list[log.count - 1].kind == PARTITION_ANSWER);
        ENSURE(!partition_check(self));
        if (data[1] & 64) {
            partition_expire(self, now_us, &log);
        }
    }
    partition_figures_t figures = partition_figures(self);
    buffer_t rows = {0};
    load_and_save(mode, &log, &rows);
    partition_t *copy = make(mode);
    codec_list_t list;
    ENSURE(codec_list_open(event_wire(), buffer_slice(&rows), &list) == CAPSTAN_OK);
    for (event_t row; codec_list_next(&list, &row);) {
        if (row.payload.size == 0) {
            continue; /* a row that is deleted */
        }
        ENSURE(partition_load_row(copy, row.key, row.payload) == CAPSTAN_OK);
    }
    partition_figures_t found = partition_figures(copy);
    ENSURE(!partition_check(copy));
    ENSURE(found.offset_next == figures.offset_next && found.held_items == figures.held_items &&
           found.held_bytes == figures.held_bytes && found.gaps == figures.gaps &&
           found.oldest_gap_us == figures.oldest_gap_us &&
           found.scheduled_items == figures.scheduled_items &&
           found.scheduled_bytes == figures.scheduled_bytes &&
           found.scheduled_due_us == figures.scheduled_due_us);
    partition_destroy(&copy);
    partition_destroy(&self);
    partition_effects_fini(&log);
    buffer_fini(&rows);
}

/* Pieces: a kind, a length, and that many bytes, of which a row's key are the first half. */
static void load_all(partition_t *self, const uint8_t *data, size_t size)
{
    capstan_err_t err = CAPSTAN_OK;
    while (size >= PIECE_HEAD && err == CAPSTAN_OK) {
        uint8_t kind = data[0];
        size_t length = data[1] < size - PIECE_HEAD ? data[1] : size - PIECE_HEAD;
        const uint8_t *piece = data + PIECE_HEAD;
        if (kind < 16) {
            err = partition_load_record(self, kind, slice_of(piece, length));
        } else {
            size_t middle = kind % (length + 1);
            slice_t name = slice_of(piece, middle);
            slice_t value = slice_of(piece + middle, length - middle);
            err = kind < 192 ? partition_load_row(self, name, value)
                             : partition_warm(self, name, value);
        }
        ENSURE(err == CAPSTAN_OK || err == CAPSTAN_E_STORE_CORRUPT);
        data = piece + length;
        size -= PIECE_HEAD + length;
    }
    (void)partition_check(self);
    partition_destroy(&self);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    sequence_mode_t mode = data[0] & 2 ? SEQUENCE_ARRIVAL : SEQUENCE_PRODUCER;
    if (data[0] % 2 == 0) {
        publish_all(mode, data + 1, size - 1);
    } else {
        load_all(make_bounded(mode, data[0] & 4 ? 2 : 0), data + 1, size - 1);
    }
    return 0;
}
