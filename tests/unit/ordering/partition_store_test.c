/* Recovery of a partition: log, snapshot, and both together. */
#include "tests/unit/ordering/partition_kit.h"

/* Deterministic disorder; the sequence of a linear congruential generator. */
static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

static void publish_some(partition_t *self, uint32_t *random, partition_effects_t *effects)
{
    static const char *const keys[] = {"a", "b", "c", "d"};
    uint32_t key = next_random(random) % 4;
    key_entry_t *entry = NULL;
    producer_t *producer = producer_find(self, slice_text("p"));
    if (producer) {
        entry = key_find(self, producer, slice_text(keys[key]));
    }
    if (entry && next_random(random) % 8 == 0) {
        skip_t skipped;
        (void)!partition_skip(self,
                              &(skip_t){.producer = slice_text("p"),
                                        .key = slice_text(keys[key]),
                                        .verdict = GAP_FORCED,
                                        .at_us = KIT_NOW},
                              &skipped, effects);
    }
    uint64_t accepted = entry ? entry->accepted : 0;
    uint64_t back = next_random(random) % 3; /* now and then, what was given up */
    publish_t event = kit_event(keys[key], accepted > back ? accepted - back + 1 : 1);
    event.sequence += back > 0 ? 0 : next_random(random) % 5;
    event.producer_epoch = producer ? producer->epoch + (next_random(random) % 16 == 0) : 0;
    kit_publish(self, KIT_NOW + next_random(random) % 1000, &event, effects);
}

static void load_log(partition_t *self, const partition_effects_t *log, size_t from)
{
    for (size_t i = from; i < log->count; i++) {
        if (log->list[i].kind == PARTITION_APPEND) {
            cr_assert_eq(partition_load_record(self, log->list[i].record, kit_data(log, i)),
                         CAPSTAN_OK);
        }
    }
}

Test(partition_store, the_log_says_the_whole_state)
{
    partition_t *self = kit_partition();
    partition_effects_t log = {0};
    uint32_t random = 1;
    for (int i = 0; i < 500; i++) {
        publish_some(self, &random, &log);
    }
    partition_t *copy = kit_partition();
    load_log(copy, &log, 0);
    cr_assert_null(partition_check(copy));
    kit_assert_same(self, copy);
    cr_assert_eq(partition_figures(copy).oldest_gap_us, partition_figures(self).oldest_gap_us);
    load_log(copy, &log, 0);
    kit_assert_same(self, copy); /* applied twice, nothing changes */
    partition_destroy(&copy);
    partition_destroy(&self);
    partition_effects_fini(&log);
}

/* Rows are handed out in small chunks while events go on; the log is replayed from where the
 * snapshot began. */
Test(partition_store, a_snapshot_taken_while_work_goes_on_and_the_log_give_the_state)
{
    for (uint32_t seed = 1; seed <= 100; seed++) {
        partition_t *self = kit_partition();
        partition_effects_t log = {0};
        kit_rows_t *rows = calloc(1, sizeof *rows);
        uint32_t random = seed;
        size_t from = 0;
        for (int round = 0; round < 3; round++) {
            for (int i = 0; i < 30; i++) {
                publish_some(self, &random, &log);
            }
            from = log.count;
            while (!partition_save(self, 1, kit_add_row, rows)) {
                publish_some(self, &random, &log);
                publish_some(self, &random, &log);
            }
        }
        partition_t *copy = kit_partition();
        kit_load_rows(copy, rows);
        load_log(copy, &log, from);
        const char *fault = partition_check(copy);
        cr_assert_null(fault, "seed %u: %s", seed, fault);
        kit_assert_same(self, copy);
        kit_rows_fini(rows);
        free(rows);
        partition_destroy(&copy);
        partition_destroy(&self);
        partition_effects_fini(&log);
    }
}

Test(partition_store, saves_only_what_changed_and_ends_under_constant_change)
{
    partition_t *self = kit_partition();
    partition_effects_t effects = {0};
    kit_rows_t *rows = calloc(1, sizeof *rows);
    kit_send(self, "a", 1, &effects);
    kit_send(self, "b", 1, &effects);
    cr_assert_eq(partition_unsaved(self), 3); /* two keys and the partition's own */
    cr_assert(partition_save(self, 1000000, kit_add_row, rows));
    cr_assert_eq(rows->calls, 3);
    cr_assert_eq(partition_unsaved(self), 0);
    cr_assert(partition_save(self, 1000000, kit_add_row, rows));
    cr_assert_eq(rows->calls, 3);
    kit_send(self, "a", 2, &effects);
    kit_send(self, "b", 2, &effects);
    uint64_t sequence = 3;
    for (; !partition_save(self, 1, kit_add_row, rows); sequence++) {
        cr_assert_lt(sequence, 10);
        kit_send(self, "a", sequence, &effects);
        kit_send(self, "b", sequence, &effects);
    }
    kit_rows_fini(rows);
    free(rows);
    partition_destroy(&self);
    partition_effects_fini(&effects);
}

Test(partition_store, keeps_what_was_held_under_larger_limits)
{
    partition_t *self = kit_partition();
    partition_effects_t log = {0};
    for (uint64_t sequence = 2; sequence <= 6; sequence++) {
        cr_assert_eq(kit_send(self, "a", sequence, &log), EVENT_HELD);
    }
    partition_limits_t limits = kit_limits(SEQUENCE_PRODUCER);
    limits.held_items_max = 2;
    limits.key_held_items_max = 2;
    limits.held_bytes_max = 100;
    partition_t *copy = partition_new(&limits);
    load_log(copy, &log, 0);
    cr_assert_null(partition_check(copy));
    cr_assert_eq(partition_figures(copy).held_items, 5);
    cr_assert_eq(kit_send(copy, "a", 8, &log), EVENT_REJECTED);
    cr_assert_eq(kit_send(copy, "a", 1, &log), EVENT_STORED);
    cr_assert_eq(partition_figures(copy).offset_next, 7);
    partition_destroy(&copy);
    partition_destroy(&self);
    partition_effects_fini(&log);
}

static capstan_err_t load(partition_t *self, const event_t *event)
{
    buffer_t data = {0};
    event_encode(event, &data);
    capstan_err_t err = partition_load_record(self, RECORD_event, buffer_slice(&data));
    buffer_fini(&data);
    return err;
}

Test(partition_store, contradictions_are_a_damaged_store)
{
    partition_t *self = kit_partition();
    event_t event = {.key = slice_text("a"), .producer = slice_text("p"), .sequence = 1};
    event.offset = 2;
    cr_assert_eq(load(self, &event), CAPSTAN_E_STORE_CORRUPT, "an offset is missing");
    event.offset = 1;
    cr_assert_eq(load(self, &event), CAPSTAN_OK);
    cr_assert_eq(load(self, &event), CAPSTAN_OK, "a replay");
    event.offset = 2;
    event.sequence = 3;
    cr_assert_eq(load(self, &event), CAPSTAN_E_STORE_CORRUPT, "a sequence is missing");
    partition_destroy(&self);

    self = kit_partition();
    event.offset = 0;
    event.sequence = 1;
    cr_assert_eq(load(self, &event), CAPSTAN_E_STORE_CORRUPT, "held, but next");
    cr_assert_eq(partition_load_record(self, RECORD_event, slice_text("garbage")),
                 CAPSTAN_E_STORE_CORRUPT);
    cr_assert_eq(partition_load_record(self, 99, slice_text("")), CAPSTAN_E_STORE_CORRUPT);
    cr_assert_eq(partition_load_row(self, slice_text(""), slice_text("")), CAPSTAN_E_STORE_CORRUPT);
    cr_assert_eq(partition_load_row(self, slice_text("x"), slice_text("")),
                 CAPSTAN_E_STORE_CORRUPT);
    cr_assert_eq(partition_load_row(self, slice_text("k\0\5p"), slice_text("")),
                 CAPSTAN_E_STORE_CORRUPT);
    cr_assert_eq(partition_load_row(self, slice_text("zgroup"), slice_text("?")),
                 CAPSTAN_E_STORE_CORRUPT);
    partition_destroy(&self);
}

/* Rows with every byte changed in turn are refused or read as something else, never a crash. */
Test(partition_store, damaged_rows_do_no_harm)
{
    partition_t *self = kit_partition();
    partition_effects_t effects = {0};
    kit_rows_t *rows = calloc(1, sizeof *rows);
    kit_send(self, "a", 1, &effects);
    kit_send(self, "a", 3, &effects);
    kit_send(self, "a", 5, &effects);
    kit_save_all(self, rows);
    for (size_t row = 0; row < rows->count; row++) {
        buffer_t *value = &rows->list[row].value;
        for (size_t at = 0; at < value->size; at++) {
            for (unsigned change = 1; change < 256; change++) {
                partition_t *copy = kit_partition();
                value->data[at] ^= (uint8_t)change;
                capstan_err_t err = partition_load_row(copy, buffer_slice(&rows->list[row].key),
                                                       buffer_slice(value));
                cr_assert(err == CAPSTAN_OK || err == CAPSTAN_E_STORE_CORRUPT);
                value->data[at] ^= (uint8_t)change;
                partition_destroy(&copy);
            }
        }
    }
    kit_rows_fini(rows);
    free(rows);
    partition_destroy(&self);
    partition_effects_fini(&effects);
}
