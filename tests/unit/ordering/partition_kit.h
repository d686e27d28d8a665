/* What the tests of the partition core share: short ways to publish and to look at effects. */
#ifndef TESTS_PARTITION_KIT_H
#define TESTS_PARTITION_KIT_H

#include "actors/ordering/partition_state.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { KIT_NOW = 1000 };

static inline partition_limits_t kit_limits(sequence_mode_t mode)
{
    return (partition_limits_t){.mode = mode,
                                .held_items_max = 100,
                                .held_bytes_max = 100000,
                                .key_held_items_max = 50,
                                .hold_us_max = 1000000,
                                .skips_max = 1000,
                                .hash_seed = "fifteen bytes.."};
}

static inline partition_t *kit_partition(void)
{
    partition_limits_t limits = kit_limits(SEQUENCE_PRODUCER);
    return partition_new(&limits);
}

static inline publish_t kit_event(const char *key, uint64_t sequence)
{
    return (publish_t){.topic = slice_text("t"),
                       .key = slice_text(key),
                       .producer = slice_text("p"),
                       .sequence = sequence,
                       .payload = slice_text("payload")};
}

/* Publishes and returns the answer, which must be the last effect and the only one of its kind. */
static inline partition_effect_t kit_publish(partition_t *self, int64_t now_us,
                                             const publish_t *event, partition_effects_t *effects)
{
    size_t before = effects->count;
    partition_publish(self, now_us, 77, event, effects);
    cr_assert_gt(effects->count, before);
    for (size_t i = before; i + 1 < effects->count; i++) {
        cr_assert_eq(effects->list[i].kind, PARTITION_APPEND);
    }
    partition_effect_t answer = effects->list[effects->count - 1];
    cr_assert_eq(answer.kind, PARTITION_ANSWER);
    cr_assert_eq(answer.token, 77);
    const char *fault = partition_check(self);
    cr_assert_null(fault, "%s", fault);
    return answer;
}

static inline event_result_t kit_send(partition_t *self, const char *key, uint64_t sequence,
                                      partition_effects_t *effects)
{
    publish_t event = kit_event(key, sequence);
    return kit_publish(self, KIT_NOW, &event, effects).result;
}

static inline slice_t kit_data(const partition_effects_t *effects, size_t at)
{
    return slice_of(effects->bytes.data + effects->list[at].data_at, effects->list[at].data_size);
}

static inline event_t kit_record(const partition_effects_t *effects, size_t at)
{
    event_t event;
    cr_assert_eq(effects->list[at].kind, PARTITION_APPEND);
    cr_assert_eq(effects->list[at].record, RECORD_event);
    cr_assert_eq(codec_decode(event_wire(), kit_data(effects, at), &event, NULL), CAPSTAN_OK);
    cr_assert_eq(event.offset, effects->list[at].offset);
    return event;
}

/* A snapshot in memory: rows by key, the newest value wins. */
typedef struct kit_row {
    buffer_t key;
    buffer_t value;
} kit_row_t;

typedef struct kit_rows {
    kit_row_t list[256];
    size_t count;
    size_t calls;
} kit_rows_t;

static inline void kit_add_row(void *context, slice_t key, slice_t value)
{
    kit_rows_t *rows = context;
    size_t at = 0;
    while (at < rows->count && !slice_equal(buffer_slice(&rows->list[at].key), key)) {
        at++;
    }
    if (at == rows->count) {
        cr_assert_lt(rows->count, 256);
        rows->list[rows->count++] = (kit_row_t){0};
        buffer_append(&rows->list[at].key, key.data, key.size);
    }
    buffer_clear(&rows->list[at].value);
    buffer_append(&rows->list[at].value, value.data, value.size);
    rows->calls++;
}

static inline int kit_compare_rows(const void *a, const void *b)
{
    slice_t x = buffer_slice(&((const kit_row_t *)a)->key);
    slice_t y = buffer_slice(&((const kit_row_t *)b)->key);
    int order = memcmp(x.data, y.data, x.size < y.size ? x.size : y.size);
    return order != 0 ? order : (x.size > y.size) - (x.size < y.size);
}

static inline void kit_save_all(partition_t *self, kit_rows_t *rows)
{
    partition_touch_all(self);
    while (!partition_save(self, 64, kit_add_row, rows)) {
    }
    qsort(rows->list, rows->count, sizeof rows->list[0], kit_compare_rows);
}

static inline void kit_load_rows(partition_t *self, const kit_rows_t *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        cr_assert_eq(partition_load_row(self, buffer_slice(&rows->list[i].key),
                                        buffer_slice(&rows->list[i].value)),
                     CAPSTAN_OK);
    }
}

static inline void kit_rows_fini(kit_rows_t *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        buffer_fini(&rows->list[i].key);
        buffer_fini(&rows->list[i].value);
    }
    rows->count = 0;
}

/* Two partitions hold the same when their complete snapshots are equal. */
static inline void kit_assert_same(partition_t *a, partition_t *b)
{
    kit_rows_t *x = calloc(1, sizeof *x);
    kit_rows_t *y = calloc(1, sizeof *y);
    kit_save_all(a, x);
    kit_save_all(b, y);
    cr_assert_eq(x->count, y->count);
    for (size_t i = 0; i < x->count; i++) {
        cr_assert(slice_equal(buffer_slice(&x->list[i].key), buffer_slice(&y->list[i].key)));
        cr_assert(slice_equal(buffer_slice(&x->list[i].value), buffer_slice(&y->list[i].value)));
    }
    kit_rows_fini(x);
    kit_rows_fini(y);
    free(x);
    free(y);
}

#endif
