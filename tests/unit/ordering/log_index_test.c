/* The sparse index of a partition's log, against the log itself. */
#include "actors/ordering/log_index.h"
#include "runtime/base/ensure.h"
#include "runtime/simulation/random.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { EVENTS = 4000, EVENT_BYTES = LOG_INDEX_BYTES / 50 };

/* The event of offset n is events[n - 1]. */
typedef struct logged {
    uint64_t lsn;
    int64_t time_us;
} logged_t;

typedef struct rows {
    buffer_t bytes; /* records log_place, each behind its size */
    size_t count;
    uint64_t last_key;
} rows_t;

static void keep_row(void *context, slice_t key, slice_t value)
{
    rows_t *rows = context;
    uint64_t offset = 0;
    cr_assert(log_index_owns_row(key));
    for (size_t i = 1; i < key.size; i++) {
        offset = offset << 8 | ((const uint8_t *)key.data)[i];
    }
    cr_assert_gt(offset, rows->last_key);
    rows->last_key = offset;
    buffer_append(&rows->bytes, &value.size, sizeof value.size);
    buffer_append(&rows->bytes, value.data, value.size);
    rows->count++;
}

static void load_rows(log_index_t *index, const rows_t *rows)
{
    size_t size;
    for (size_t at = 0; at < rows->bytes.size; at += sizeof size + size) {
        memcpy(&size, rows->bytes.data + at, sizeof size);
        cr_assert_eq(log_index_load_row(index, slice_text("o"),
                                        slice_of(rows->bytes.data + at + sizeof size, size)),
                     CAPSTAN_OK);
    }
}

/* Times jump to and fro; other records stand between the events. */
static void make_log(random_source_t *random, logged_t *events)
{
    uint64_t lsn = 1;
    int64_t time_us = 1000000;
    for (size_t i = 0; i < EVENTS; i++) {
        lsn += random_below(random, 3);
        time_us += random_between(random, -50, 100);
        events[i] = (logged_t){.lsn = lsn++, .time_us = time_us};
    }
}

static void add(log_index_t *index, const logged_t *events, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        log_index_taken(index, events[i].time_us);
        log_index_add(index, i + 1, events[i].lsn, EVENT_BYTES);
    }
}

/* The first event that a reader finds from a place in the log. */
static uint64_t first_from(const logged_t *events, uint64_t lsn)
{
    uint64_t offset = 1;
    while (offset <= EVENTS && events[offset - 1].lsn < lsn) {
        offset++;
    }
    return offset;
}

static void check_index(const log_index_t *index, const logged_t *events)
{
    enum { FAR = 3 * LOG_INDEX_BYTES / EVENT_BYTES };
    for (uint64_t offset = 1; offset <= EVENTS; offset++) {
        uint64_t first = first_from(events, log_index_lsn(index, offset));
        cr_assert_leq(first, offset);
        cr_assert_lt(offset - first, FAR, "much is read in vain");
    }
    for (size_t i = 0; i < EVENTS; i += 7) {
        int64_t time_us = events[i].time_us;
        uint64_t first = 1;
        while (events[first - 1].time_us < time_us) {
            first++;
        }
        log_place_t place = log_index_before(index, time_us);
        cr_assert_leq(place.offset, first);
        cr_assert_eq(first_from(events, place.lsn), place.offset);
        cr_assert_lt(first - place.offset, FAR, "much is read in vain");
    }
}

Test(log_index, finds_every_event_by_offset_and_by_time)
{
    random_source_t random = {.state = 3};
    logged_t *events = calloc(EVENTS, sizeof *events);
    ENSURE(events);
    for (int run = 0; run < 20; run++) {
        log_index_t index = {0};
        make_log(&random, events);
        add(&index, events, 0, EVENTS);
        cr_assert_gt(index.count, 50);
        check_index(&index, events);
        log_index_fini(&index);
    }
    free(events);
}

/* What a partition does that is saved now and then, and recovers from rows and the log behind. */
Test(log_index, is_the_same_after_a_snapshot_and_the_log_behind_it)
{
    random_source_t random = {.state = 4};
    logged_t *events = calloc(EVENTS, sizeof *events);
    ENSURE(events);
    for (int run = 0; run < 20; run++) {
        log_index_t index = {0};
        rows_t rows = {0};
        make_log(&random, events);
        size_t from = 0;
        size_t saved = 0;
        for (int part = 0; part < 4; part++) {
            size_t to = from + random_below(&random, EVENTS / 4);
            add(&index, events, from, to);
            log_index_save(&index, to + 1, to > 0 ? events[to - 1].lsn + 1 : 1, keep_row, &rows);
            saved = from; /* the rows are newer than the place that the snapshot names */
            from = to;
        }
        log_index_t other = {0};
        load_rows(&other, &rows);
        cr_assert_eq(other.count, rows.count);
        add(&other, events, saved, EVENTS);
        check_index(&other, events);
        rows_t again = {0};
        log_index_touch(&other);
        log_index_save(&other, EVENTS + 1, events[EVENTS - 1].lsn + 1, keep_row, &again);
        cr_assert_eq(again.count, other.count, "all rows, since the snapshot could not be written");
        buffer_fini(&rows.bytes);
        buffer_fini(&again.bytes);
        log_index_fini(&index);
        log_index_fini(&other);
    }
    free(events);
}

Test(log_index, refuses_rows_that_contradict_each_other)
{
    const log_place_t places[] = {
        {.offset = 0, .lsn = 4, .time_us = 5},   /* there is no such event */
        {.offset = 20, .lsn = 19, .time_us = 5}, /* the log would have fewer records than events */
        {.offset = 10, .lsn = 40, .time_us = 5}, /* not behind the one before */
        {.offset = 20, .lsn = 30, .time_us = 5}, {.offset = 20, .lsn = 40, .time_us = 4},
    };
    log_index_t index = {0};
    buffer_t row = {0};
    codec_encode(log_place_wire(), &(log_place_t){.offset = 10, .lsn = 30, .time_us = 5}, &row);
    cr_assert_eq(log_index_load_row(&index, slice_text("o"), buffer_slice(&row)), CAPSTAN_OK);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        buffer_clear(&row);
        codec_encode(log_place_wire(), &places[i], &row);
        cr_assert_eq(log_index_load_row(&index, slice_text("o"), buffer_slice(&row)),
                     CAPSTAN_E_STORE_CORRUPT);
    }
    cr_assert_eq(log_index_load_row(&index, slice_text("o"), slice_text("x")),
                 CAPSTAN_E_STORE_CORRUPT);
    cr_assert_eq(index.count, 1);
    buffer_fini(&row);
    log_index_fini(&index);
}

/* --- what is removed ------------------------------------------------------------------------- */

enum { STORED_MAX = 1024 };

/* The rows as the store has them: one per key, in the order of keys. */
typedef struct stored {
    struct stored_row {
        uint8_t key[9];
        size_t key_size;
        buffer_t value;
    } rows[STORED_MAX];
    size_t count;
} stored_t;

static int compare_keys(const struct stored_row *row, slice_t key)
{
    size_t size = row->key_size < key.size ? row->key_size : key.size;
    int order = memcmp(row->key, key.data, size);
    return order ? order : (int)row->key_size - (int)key.size;
}

static void store_row(void *context, slice_t key, slice_t value)
{
    stored_t *stored = context;
    size_t at = 0;
    while (at < stored->count && compare_keys(&stored->rows[at], key) < 0) {
        at++;
    }
    bool known = at < stored->count && compare_keys(&stored->rows[at], key) == 0;
    struct stored_row *row = &stored->rows[at];
    if (value.size == 0 && !known) {
        return; /* it was removed before it was saved */
    }
    if (value.size == 0) {
        buffer_fini(&row->value);
        memmove(row, row + 1, (stored->count - at - 1) * sizeof *row);
        stored->count--;
        return;
    }
    if (!known) {
        cr_assert_lt(stored->count, (size_t)STORED_MAX);
        memmove(row + 1, row, (stored->count - at) * sizeof *row);
        stored->count++;
        *row = (struct stored_row){.key_size = key.size};
        memcpy(row->key, key.data, key.size);
    }
    buffer_clear(&row->value);
    buffer_append(&row->value, value.data, value.size);
}

/* What is behind the place is enough, and what is before it may go. */
static void check_cut(const log_index_t *index, const logged_t *events, const log_cut_t *cut,
                      const log_place_t *place)
{
    uint64_t kept = (EVENTS - (place->offset - 1)) * EVENT_BYTES;
    bool old = true;
    for (uint64_t offset = 1; offset < place->offset; offset++) {
        old = old && events[offset - 1].time_us <= cut->time_us;
    }
    cr_assert(old || kept >= cut->bytes);
    cr_assert(place->offset <= cut->offset_max && place->lsn <= cut->lsn_max);
    cr_assert_eq(first_from(events, place->lsn), place->offset);
    cr_assert_eq(index->bytes, (uint64_t)EVENTS * EVENT_BYTES);
}

static void check_beginning(const log_index_t *index, const logged_t *events)
{
    uint64_t first = log_index_first(index);
    for (uint64_t offset = first; offset <= EVENTS; offset += 13) {
        uint64_t lsn = log_index_lsn(index, offset);
        cr_assert(first == 1 || lsn >= index->begin.lsn);
        cr_assert_leq(first_from(events, lsn), offset);
        log_place_t place = log_index_before(index, events[offset - 1].time_us);
        cr_assert(first == 1 || place.lsn >= index->begin.lsn);
        cr_assert_geq(place.offset, first);
    }
    cr_assert_eq(index->begin.offset > 0 ? index->begin.bytes : 0, (first - 1) * EVENT_BYTES);
}

static void recover(const stored_t *stored, const logged_t *events, log_index_t *ret_index)
{
    for (size_t i = 0; i < stored->count; i++) {
        cr_assert_eq(log_index_load_row(ret_index,
                                        slice_of(stored->rows[i].key, stored->rows[i].key_size),
                                        buffer_slice(&stored->rows[i].value)),
                     CAPSTAN_OK);
    }
    add(ret_index, events, 0, EVENTS);
}

Test(log_index, begins_later_when_what_is_old_or_too_much_is_removed, .timeout = 60)
{
    random_source_t random = {.state = 5};
    logged_t *events = calloc(EVENTS, sizeof *events);
    stored_t *stored = calloc(1, sizeof *stored);
    ENSURE(events && stored);
    for (int run = 0; run < 30; run++) {
        log_index_t index = {0};
        make_log(&random, events);
        add(&index, events, 0, EVENTS);
        for (int step = 0; step < 5; step++) {
            bool by_time = random_below(&random, 2) == 0;
            log_cut_t cut = {
                .time_us = by_time ? events[random_below(&random, EVENTS)].time_us : INT64_MIN,
                .bytes = by_time ? UINT64_MAX : random_below(&random, EVENTS) * EVENT_BYTES + 1,
                .offset_max = 1 + random_below(&random, 2 * EVENTS),
                .lsn_max = 1 + random_below(&random, 4 * EVENTS)};
            log_place_t place = log_index_cut(&index, &cut);
            uint64_t first = log_index_first(&index);
            if (place.offset > 0) {
                check_cut(&index, events, &cut, &place);
                log_index_begin(&index, &place);
                cr_assert_eq(log_index_first(&index), place.offset);
                cr_assert_geq(place.offset, first);
            }
            check_beginning(&index, events);
            log_index_save(&index, EVENTS + 1, events[EVENTS - 1].lsn + 1, store_row, stored);
            log_index_saved(&index);
            log_index_t other = {0};
            recover(stored, events, &other);
            cr_assert_eq(other.count, index.count);
            cr_assert_eq(other.bytes, index.bytes);
            cr_assert_eq(log_index_first(&other), log_index_first(&index));
            check_beginning(&other, events);
            log_index_fini(&other);
        }
        log_index_fini(&index);
        while (stored->count > 0) {
            buffer_fini(&stored->rows[--stored->count].value);
        }
    }
    free(events);
    free(stored);
}

Test(log_index, is_as_fine_as_what_is_kept_asks_for)
{
    log_index_t index = {0};
    log_index_refine(&index, 100, 0);
    for (uint64_t i = 1; i <= 100; i++) {
        log_index_taken(&index, (int64_t)i);
        log_index_add(&index, i, i, 10);
    }
    cr_assert_eq(index.count, 9);
    cr_assert_eq(index.list[8].bytes, 900);
    log_index_refine(&index, 0, 50);
    for (uint64_t i = 101; i <= 200; i++) {
        log_index_taken(&index, (int64_t)(i * 10));
        log_index_add(&index, i, i, 10);
    }
    cr_assert_eq(index.count, 9 + 20);
    log_index_fini(&index);
}
