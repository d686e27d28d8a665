/* What goes with keys to another partition when their number changes: nothing is taken twice
 * there, no number is asked for again, and what is told twice or in another order is the same. */
#include "partition_kit.h"

#include "actors/ordering/partition_ids.h"
#include "runtime/base/key_partition.h"

#include <stdio.h>

enum { KEYS = 200, BEFORE = 3, AFTER = 5 };

/* By their target. */
typedef struct handed {
    codec_list_writer_t lists[AFTER];
    buffer_t records[AFTER];
    size_t count;
} handed_t;

static void hand_out(void *context, slice_t data)
{
    handed_t *handed = context;
    slice_t key;
    handed->count++;
    for (size_t i = 0; i < AFTER; i++) {
        if (!codec_peek_slice(data, 3, &key) || key_partition(key, AFTER) == i) {
            codec_list_add_raw(&handed->lists[i], data);
        }
    }
}

static handed_t give(partition_t *from, uint64_t index, size_t bytes_max)
{
    handed_t handed = {0};
    uint64_t position = 0;
    partition_share_t share = {.index = index, .before = BEFORE, .after = AFTER};
    for (size_t i = 0; i < AFTER; i++) {
        handed.lists[i] = codec_list_begin(&handed.records[i]);
    }
    while (!partition_give(from, &share, &position, bytes_max, hand_out, &handed)) {
    }
    for (size_t i = 0; i < AFTER; i++) {
        codec_list_end(&handed.lists[i]);
    }
    return handed;
}

static void take(partition_t *to, const handed_t *handed, size_t index)
{
    codec_list_t list;
    cr_assert_eq(codec_list_open(inherited_wire(), buffer_slice(&handed->records[index]), &list),
                 CAPSTAN_OK);
    for (slice_t record; codec_list_next_raw(&list, &record);) {
        uint32_t kind = codec_peek_slice(record, 10, &record) ? RECORD_event : RECORD_inherited;
        cr_assert_eq(partition_load_record(to, kind, record), CAPSTAN_OK);
    }
    const char *fault = partition_check(to);
    cr_assert_null(fault, "%s", fault);
}

static void handed_fini(handed_t *handed)
{
    for (size_t i = 0; i < AFTER; i++) {
        buffer_fini(&handed->records[i]);
    }
}

static const char *key_of(int number)
{
    static char text[16];
    snprintf(text, sizeof text, "key-%d", number);
    return text;
}

static uint64_t place_of(int number, uint64_t partitions)
{
    return key_partition(slice_text(key_of(number)), partitions);
}

Test(partition_inherit, numbers_go_on_where_the_key_goes)
{
    partition_effects_t effects = {0};
    partition_t *old[BEFORE];
    partition_t *target[AFTER];
    for (size_t i = 0; i < AFTER; i++) {
        target[i] = kit_partition();
        if (i < BEFORE) {
            old[i] = target[i];
        }
    }
    for (int key = 0; key < KEYS; key++) {
        for (uint64_t sequence = 1; sequence <= 3; sequence++) {
            kit_send(old[place_of(key, BEFORE)], key_of(key), sequence, &effects);
        }
    }
    size_t given = 0;
    for (uint64_t i = 0; i < BEFORE; i++) {
        handed_t handed = give(old[i], i, 100); /* page by page */
        for (int twice = 0; twice < 2; twice++) {
            for (size_t to = 0; to < AFTER; to++) {
                take(target[to], &handed, to);
            }
        }
        given += handed.count;
        handed_fini(&handed);
    }
    size_t leave = 0;
    for (int key = 0; key < KEYS; key++) {
        partition_t *now = target[place_of(key, AFTER)];
        leave += place_of(key, AFTER) != place_of(key, BEFORE);
        cr_assert_eq(kit_send(now, key_of(key), 3, &effects), EVENT_DUPLICATE);
        cr_assert_eq(kit_send(now, key_of(key), 4, &effects), EVENT_STORED);
    }
    cr_assert_eq(given, leave, "what stays is not handed out");
    for (size_t i = 0; i < AFTER; i++) {
        partition_destroy(&target[i]);
    }
    partition_effects_fini(&effects);
}

/* Key "key-0" has a row of the ledger, of which one came after all. */
static partition_t *with_skips(partition_effects_t *effects)
{
    partition_t *self = kit_partition();
    skip_t skipped;
    kit_send(self, "key-0", 1, effects);
    cr_assert_eq(partition_skip(self,
                                &(skip_t){.producer = slice_text("p"),
                                          .key = slice_text("key-0"),
                                          .first = 2,
                                          .last = 4,
                                          .verdict = GAP_DEAD,
                                          .reason = slice_text("lost")},
                                &skipped, effects),
                 CAPSTAN_OK);
    cr_assert_eq(kit_send(self, "key-0", 3, effects), EVENT_DIVERTED);
    return self;
}

Test(partition_inherit, what_was_given_up_is_known_and_comes_once)
{
    partition_effects_t effects = {0};
    partition_t *from = with_skips(&effects);
    partition_t *to = kit_partition();
    handed_t handed = give(from, place_of(0, BEFORE), 1000);
    cr_assert_eq(handed.count, 1);
    take(to, &handed, place_of(0, AFTER));
    take(to, &handed, place_of(0, AFTER));
    cr_assert_eq(kit_send(to, "key-0", 3, &effects), EVENT_DUPLICATE);
    cr_assert_eq(kit_send(to, "key-0", 2, &effects), EVENT_DIVERTED);
    cr_assert_eq(kit_send(to, "key-0", 5, &effects), EVENT_STORED);
    cr_assert_eq(partition_figures(to).skips, 1);

    /* It had been told before, and is told again, of what it knows more about by now. */
    take(to, &handed, place_of(0, AFTER));
    cr_assert_eq(kit_send(to, "key-0", 2, &effects), EVENT_DUPLICATE);
    cr_assert_eq(kit_send(to, "key-0", 6, &effects), EVENT_STORED);
    handed_fini(&handed);
    partition_destroy(&from);
    partition_destroy(&to);
    partition_effects_fini(&effects);
}

Test(partition_inherit, ids_epochs_and_event_time_go_along)
{
    partition_effects_t effects = {0};
    partition_limits_t limits = kit_limits(SEQUENCE_ARRIVAL);
    limits.id_window_us = 1000000;
    limits.ids_max = 100;
    partition_t *from = partition_new(&limits);
    partition_t *to = partition_new(&limits);
    kit_send(from, "key-0", 7, &effects);
    handed_t handed = give(from, place_of(0, BEFORE), 1);
    take(to, &handed, place_of(0, AFTER));
    cr_assert_eq(kit_send(to, "key-0", 7, &effects), EVENT_DUPLICATE);
    cr_assert_eq(kit_send(to, "key-0", 8, &effects), EVENT_STORED);
    handed_fini(&handed);

    buffer_t record = {0};
    codec_encode(inherited_wire(), &(inherited_t){.producer = slice_text("q"), .producer_epoch = 5},
                 &record);
    cr_assert_eq(partition_load_record(to, RECORD_inherited, buffer_slice(&record)), CAPSTAN_OK);
    cr_assert_eq(partition_epoch_known(to, slice_text("q")), 5);
    for (int64_t time_us = 500; time_us >= 400; time_us -= 100) {
        buffer_clear(&record);
        codec_encode(inherited_wire(),
                     &(inherited_t){.watermark_us = time_us, .watermark_known = true}, &record);
        cr_assert_eq(partition_load_record(to, RECORD_inherited, buffer_slice(&record)),
                     CAPSTAN_OK);
        cr_assert_eq(partition_figures(to).watermark_us, 500, "it never goes back");
    }
    buffer_fini(&record);
    partition_destroy(&from);
    partition_destroy(&to);
    partition_effects_fini(&effects);
}

Test(partition_inherit, nothing_that_makes_no_sense_is_taken)
{
    partition_t *self = kit_partition();
    const inherited_t wrong[] = {
        {0},
        {.key = slice_text("x"), .accepted = 7},
        {.producer = slice_text("p"),
         .key = slice_text("x"),
         .accepted = 7,
         .skips = slice_of("\x91\x80", 2)},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        buffer_t record = {0};
        codec_encode(inherited_wire(), &wrong[i], &record);
        cr_assert_eq(partition_load_record(self, RECORD_inherited, buffer_slice(&record)),
                     CAPSTAN_E_STORE_CORRUPT, "%zu", i);
        buffer_fini(&record);
    }
    partition_destroy(&self);
}

Test(partition_inherit, what_is_held_goes_along_and_is_forgotten_behind)
{
    partition_effects_t effects = {0};
    partition_t *from = kit_partition();
    partition_t *to = kit_partition();
    kit_send(from, "key-0", 1, &effects);
    kit_send(from, "key-0", 3, &effects);
    kit_send(from, "key-0", 5, &effects);
    handed_t handed = give(from, place_of(0, BEFORE), 1000);
    cr_assert_eq(handed.count, 3);
    take(to, &handed, place_of(0, AFTER));
    partition_leave(to, place_of(0, AFTER), BEFORE);
    cr_assert_eq(partition_figures(to).gaps, 0, "it was called off");

    take(to, &handed, place_of(0, AFTER));
    take(to, &handed, place_of(0, AFTER));
    partition_leave(to, place_of(0, AFTER), AFTER);
    partition_leave(from, place_of(0, BEFORE), AFTER);
    cr_assert_eq(partition_figures(from).gaps, 0);
    cr_assert_eq(partition_figures(from).held_items, 0);
    cr_assert_eq(partition_figures(to).held_items, 2);
    cr_assert_eq(kit_send(to, "key-0", 3, &effects), EVENT_DUPLICATE);
    partition_effects_clear(&effects);
    cr_assert_eq(kit_send(to, "key-0", 2, &effects), EVENT_STORED);
    cr_assert_eq(effects.count, 3, "two that are appended, and the answer");
    cr_assert_eq(kit_record(&effects, 0).offset, 1);
    cr_assert_eq(kit_record(&effects, 1).sequence, 3);
    cr_assert_eq(kit_send(to, "key-0", 4, &effects), EVENT_STORED);
    cr_assert_eq(kit_send(to, "key-0", 6, &effects), EVENT_STORED);
    handed_fini(&handed);
    partition_destroy(&from);
    partition_destroy(&to);
    partition_effects_fini(&effects);
}

Test(partition_inherit, a_snapshot_and_the_log_behind_it_tell_the_same)
{
    partition_effects_t effects = {0};
    partition_t *from = with_skips(&effects);
    partition_t *to = kit_partition();
    handed_t handed = give(from, place_of(0, BEFORE), 1000);
    take(to, &handed, place_of(0, AFTER));
    cr_assert_eq(kit_send(to, "key-0", 5, &effects), EVENT_STORED);
    kit_rows_t rows = {0};
    kit_save_all(to, &rows);
    partition_t *again = kit_partition();
    kit_load_rows(again, &rows);
    take(again, &handed, place_of(0, AFTER)); /* rows may be newer than the log */
    cr_assert_eq(kit_send(again, "key-0", 3, &effects), EVENT_DUPLICATE);
    cr_assert_eq(kit_send(again, "key-0", 5, &effects), EVENT_DUPLICATE);
    cr_assert_eq(kit_send(again, "key-0", 6, &effects), EVENT_STORED);
    kit_rows_fini(&rows);
    handed_fini(&handed);
    partition_destroy(&from);
    partition_destroy(&to);
    partition_destroy(&again);
    partition_effects_fini(&effects);
}
