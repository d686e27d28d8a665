/* Keys that are in the store only: which go there, and that nobody notices. */
#include "actors/ordering/partition_cold.h"
#include "tests/unit/ordering/partition_kit.h"

#include <malloc.h>
#include <stdio.h>

enum { RESIDENT_MAX = 4, KEYS = 20 };

typedef struct kit_cold {
    partition_t *core;
    partition_effects_t log;
    kit_rows_t rows; /* the snapshot in the store */
} kit_cold_t;

static partition_t *kit_bounded(uint64_t resident_keys_max)
{
    partition_limits_t limits = kit_limits(SEQUENCE_PRODUCER);
    limits.resident_keys_max = resident_keys_max;
    return partition_new(&limits);
}

static kit_cold_t *kit_cold(void)
{
    kit_cold_t *kit = calloc(1, sizeof *kit);
    kit->core = kit_bounded(RESIDENT_MAX);
    return kit;
}

static void kit_cold_destroy(kit_cold_t *kit)
{
    partition_destroy(&kit->core);
    partition_effects_fini(&kit->log);
    kit_rows_fini(&kit->rows);
    free(kit);
}

static void hand_out(kit_cold_t *kit)
{
    while (!partition_save(kit->core, 64, kit_add_row, &kit->rows)) {
    }
    qsort(kit->rows.list, kit->rows.count, sizeof kit->rows.list[0], kit_compare_rows);
}

/* More often than it takes. */
static void evict(partition_t *core)
{
    for (int i = 0; i < 10; i++) {
        (void)partition_evict(core);
    }
    const char *fault = partition_check(core);
    cr_assert_null(fault, "%s", fault);
}

static void store_and_evict(kit_cold_t *kit)
{
    hand_out(kit);
    partition_saved(kit->core);
    evict(kit->core);
}

static const char *name_of(size_t key)
{
    static char names[KEYS][24];
    snprintf(names[key], sizeof names[key], "key %zu", key);
    return names[key];
}

static bool wants(partition_t *core, const char *key)
{
    return partition_wants(core, slice_text("p"), slice_text(key));
}

/* Whether there was one. */
static bool look_up(partition_t *core, const kit_rows_t *rows, slice_t producer, slice_t key)
{
    buffer_t name = {0};
    bool found = false;
    partition_row_name(producer, key, &name);
    for (size_t i = 0; i < rows->count && !found; i++) {
        found = slice_equal(buffer_slice(&rows->list[i].key), buffer_slice(&name));
        if (found) {
            cr_assert_eq(
                partition_warm(core, buffer_slice(&name), buffer_slice(&rows->list[i].value)),
                CAPSTAN_OK);
        }
    }
    buffer_fini(&name);
    return found;
}

static event_result_t send(kit_cold_t *kit, size_t key, uint64_t sequence)
{
    const char *name = name_of(key);
    if (wants(kit->core, name)) {
        (void)look_up(kit->core, &kit->rows, slice_text("p"), slice_text(name));
        cr_assert_null(partition_check(kit->core));
    }
    return kit_send(kit->core, name, sequence, &kit->log);
}

static uint64_t resident(const partition_t *core)
{
    partition_figures_t figures = partition_figures(core);
    return figures.keys - figures.keys_cold;
}

static void send_first_of_each(kit_cold_t *kit)
{
    for (size_t i = 0; i < KEYS; i++) {
        cr_assert_eq(send(kit, i, 1), EVENT_STORED);
    }
}

Test(partition_cold, takes_out_of_memory_only_what_is_on_disk)
{
    kit_cold_t *kit = kit_cold();
    send_first_of_each(kit);
    evict(kit->core);
    cr_assert_eq(resident(kit->core), KEYS);
    hand_out(kit); /* may still be lost */
    evict(kit->core);
    cr_assert_eq(resident(kit->core), KEYS);
    cr_assert_eq(send(kit, 7, 2), EVENT_STORED); /* and this is newer */
    partition_saved(kit->core);
    evict(kit->core);
    cr_assert_eq(resident(kit->core), RESIDENT_MAX);
    cr_assert_eq(partition_figures(kit->core).keys, KEYS);
    cr_assert_eq(partition_figures(kit->core).evicted, KEYS - RESIDENT_MAX);
    cr_assert_not(wants(kit->core, name_of(7)));
    cr_assert_not(wants(kit->core, "another"));
    kit_cold_destroy(kit);
}

Test(partition_cold, keeps_a_key_whose_row_could_not_be_written)
{
    kit_cold_t *kit = kit_cold();
    send_first_of_each(kit);
    hand_out(kit);
    partition_touch_all(kit->core); /* refused */
    evict(kit->core);
    cr_assert_eq(resident(kit->core), KEYS);
    store_and_evict(kit);
    cr_assert_eq(resident(kit->core), RESIDENT_MAX);
    kit_cold_destroy(kit);
}

Test(partition_cold, keeps_what_has_a_gap_or_a_row_of_the_ledger)
{
    kit_cold_t *kit = kit_cold();
    skip_t skipped;
    for (size_t i = 0; i < KEYS; i++) {
        cr_assert_eq(send(kit, i, 1), EVENT_STORED);
        if (i < 6) {
            cr_assert_eq(send(kit, i, 3), EVENT_HELD);
        }
    }
    for (size_t i = 0; i < 3; i++) {
        skip_t skip = {.producer = slice_text("p"),
                       .key = slice_text(name_of(i)),
                       .verdict = GAP_FORCED,
                       .at_us = KIT_NOW};
        cr_assert_eq(partition_skip(kit->core, &skip, &skipped, &kit->log), CAPSTAN_OK);
    }
    store_and_evict(kit);
    cr_assert_eq(resident(kit->core), 6);
    for (size_t i = 0; i < KEYS; i++) {
        cr_assert_eq(wants(kit->core, name_of(i)), i >= 6);
    }
    kit_cold_destroy(kit);
}

Test(partition_cold, lets_what_was_used_stay_for_one_round)
{
    kit_cold_t *kit = kit_cold();
    send_first_of_each(kit);
    store_and_evict(kit);
    uint64_t before = resident(kit->core);
    cr_assert_eq(send(kit, 0, 2), EVENT_STORED);
    cr_assert_eq(send(kit, 1, 2), EVENT_STORED);
    hand_out(kit);
    partition_saved(kit->core);
    evict(kit->core);
    cr_assert_eq(resident(kit->core), before);
    cr_assert_not(wants(kit->core, name_of(0)));
    cr_assert_not(wants(kit->core, name_of(1)));
    kit_cold_destroy(kit);
}

Test(partition_cold, knows_a_duplicate_a_gap_and_what_is_next_of_a_cold_key)
{
    kit_cold_t *kit = kit_cold();
    send_first_of_each(kit);
    for (uint64_t round = 1; round <= 20; round += 2) {
        store_and_evict(kit);
        cr_assert_eq(resident(kit->core), RESIDENT_MAX);
        for (size_t i = 0; i < KEYS; i++) {
            cr_assert_eq(send(kit, i, round), EVENT_DUPLICATE);
        }
        evict(kit->core); /* what was only looked up goes as it came */
        cr_assert_eq(resident(kit->core), RESIDENT_MAX);
        for (size_t i = 0; i < KEYS; i++) {
            cr_assert_eq(send(kit, i, round + 2), EVENT_HELD);
            cr_assert_eq(send(kit, i, round + 1), EVENT_STORED);
            cr_assert_eq(send(kit, i, round + 1), EVENT_DUPLICATE);
        }
    }
    cr_assert_eq(partition_figures(kit->core).keys, KEYS);
    kit_cold_destroy(kit);
}

/* As the actor recovers: rows in the order of their names, then the log. */
static partition_t *recover(const kit_cold_t *kit, const kit_rows_t *rows, size_t log_from,
                            uint64_t resident_keys_max)
{
    partition_t *copy = kit_bounded(resident_keys_max);
    kit_load_rows(copy, rows);
    for (size_t i = log_from; i < kit->log.count; i++) {
        slice_t producer;
        slice_t key;
        if (kit->log.list[i].kind != PARTITION_APPEND) {
            continue;
        }
        uint32_t record = kit->log.list[i].record;
        slice_t data = kit_data(&kit->log, i);
        if (partition_record_key(record, data, &producer, &key) &&
            partition_wants(copy, producer, key)) {
            (void)look_up(copy, rows, producer, key);
        }
        cr_assert_eq(partition_load_record(copy, record, data), CAPSTAN_OK);
    }
    cr_assert_null(partition_check(copy));
    return copy;
}

static void warm_all(partition_t *core, const kit_rows_t *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        if (partition_owns_key_row(buffer_slice(&rows->list[i].key))) {
            cr_assert_eq(partition_warm(core, buffer_slice(&rows->list[i].key),
                                        buffer_slice(&rows->list[i].value)),
                         CAPSTAN_OK);
        }
    }
}

Test(partition_cold, recovers_with_as_many_keys_in_memory_as_there_may_be)
{
    kit_cold_t *kit = kit_cold();
    skip_t skipped;
    send_first_of_each(kit);
    cr_assert_eq(send(kit, 19, 3), EVENT_HELD);
    cr_assert_eq(send(kit, 18, 3), EVENT_HELD);
    skip_t skip = {.producer = slice_text("p"),
                   .key = slice_text(name_of(18)),
                   .verdict = GAP_FORCED,
                   .at_us = KIT_NOW};
    cr_assert_eq(partition_skip(kit->core, &skip, &skipped, &kit->log), CAPSTAN_OK);
    store_and_evict(kit);
    size_t from = kit->log.count;
    partition_t *copy = recover(kit, &kit->rows, from, RESIDENT_MAX);
    cr_assert_leq(resident(copy), RESIDENT_MAX + 2); /* of the gap and of the ledger */
    cr_assert_eq(partition_figures(copy).keys, KEYS);
    partition_destroy(&copy);

    cr_assert_eq(send(kit, 3, 2), EVENT_STORED); /* replayed: next, held, skipped, diverted */
    cr_assert_eq(send(kit, 4, 4), EVENT_HELD);
    cr_assert_eq(send(kit, 5, 3), EVENT_HELD);
    skip.key = slice_text(name_of(5));
    cr_assert_eq(partition_skip(kit->core, &skip, &skipped, &kit->log), CAPSTAN_OK);
    cr_assert_eq(send(kit, 5, 2), EVENT_DIVERTED);
    copy = recover(kit, &kit->rows, from, RESIDENT_MAX);
    cr_assert_leq(resident(copy), RESIDENT_MAX + 2 + 3);
    partition_t *all = recover(kit, &kit->rows, from, 0);
    warm_all(copy, &kit->rows);
    cr_assert_eq(partition_cold(copy), 0);
    kit_assert_same(copy, all);
    partition_destroy(&copy);
    partition_destroy(&all);
    kit_cold_destroy(kit);
}

static void load_inherited(void *context, slice_t data)
{
    cr_assert_eq(partition_load_record(context, RECORD_inherited, data), CAPSTAN_OK);
}

Test(partition_cold, goes_with_what_it_says_to_another_partition)
{
    kit_cold_t *kit = kit_cold();
    send_first_of_each(kit);
    cr_assert_eq(send(kit, 2, 2), EVENT_STORED);
    store_and_evict(kit);
    partition_t *other = kit_bounded(0);
    partition_share_t share = {.index = 0, .before = 1, .after = 2};
    uint64_t position = 0;
    while (!partition_give(kit->core, &share, &position, 64, load_inherited, other)) {
    }
    uint64_t given = partition_figures(other).keys;
    buffer_t record = {0};
    for (size_t i = 0; i < kit->rows.count; i++) {
        slice_t name = buffer_slice(&kit->rows.list[i].key);
        buffer_clear(&record);
        if (partition_owns_key_row(name)) {
            cr_assert_eq(partition_give_row(kit->core, &share, name,
                                            buffer_slice(&kit->rows.list[i].value), &record),
                         CAPSTAN_OK);
        }
        if (record.size > 0) {
            load_inherited(other, buffer_slice(&record));
            given++;
        }
    }
    buffer_fini(&record);
    cr_assert_gt(given, KEYS / 4);
    cr_assert_lt(given, KEYS);
    cr_assert_eq(partition_figures(other).keys, given); /* each once */
    partition_effects_t effects = {0};
    for (size_t i = 0; i < KEYS; i++) {
        publish_t event = kit_event(name_of(i), 1);
        partition_publish(other, KIT_NOW, 0, &event, &effects);
    }
    cr_assert_eq(partition_figures(other).duplicates, given);
    partition_effects_fini(&effects);
    partition_destroy(&other);
    kit_cold_destroy(kit);
}

Test(partition_cold, refuses_rows_that_cannot_be)
{
    kit_cold_t *kit = kit_cold();
    buffer_t name = {0};
    buffer_t value = {0};
    send_first_of_each(kit);
    store_and_evict(kit);
    size_t cold = 0;
    while (!wants(kit->core, name_of(cold))) {
        cold++;
    }
    partition_row_name(slice_text("p"), slice_text(name_of(cold)), &name);
    cr_assert_eq(partition_warm(kit->core, buffer_slice(&name), slice_text("x")),
                 CAPSTAN_E_STORE_CORRUPT);
    codec_encode(key_state_wire(), &(key_state_t){.accepted = 1000}, &value);
    cr_assert_eq(partition_warm(kit->core, buffer_slice(&name), buffer_slice(&value)),
                 CAPSTAN_E_STORE_CORRUPT);
    cr_assert_eq(partition_warm(kit->core, slice_text("k"), buffer_slice(&value)),
                 CAPSTAN_E_STORE_CORRUPT);
    buffer_clear(&value);
    codec_encode(key_state_wire(), &(key_state_t){.accepted = 1}, &value);
    cr_assert_eq(partition_warm(kit->core, buffer_slice(&name), buffer_slice(&value)), CAPSTAN_OK);
    uint64_t before = partition_cold(kit->core);
    cr_assert_eq(partition_warm(kit->core, buffer_slice(&name), buffer_slice(&value)), CAPSTAN_OK);
    cr_assert_eq(partition_cold(kit->core), before); /* it is in memory already */
    buffer_fini(&name);
    buffer_fini(&value);
    kit_cold_destroy(kit);
}

Test(partition_cold, wants_a_snapshot_when_half_of_the_bound_has_changed)
{
    kit_cold_t *kit = kit_cold();
    for (size_t i = 0; i < RESIDENT_MAX; i++) {
        cr_assert_eq(send(kit, i, 1), EVENT_STORED);
        cr_assert_not(partition_is_crowded(kit->core));
    }
    cr_assert_eq(send(kit, RESIDENT_MAX, 1), EVENT_STORED);
    cr_assert(partition_is_crowded(kit->core));
    store_and_evict(kit);
    cr_assert_not(partition_is_crowded(kit->core));
    kit_cold_destroy(kit);
}

/* --- what they cost ---- */

enum { MANY = 1000000 };

/* With the header of each block; a sanitizer's malloc has another one. */
static size_t bytes_of_keys(const partition_t *core)
{
    size_t bytes = core->keys.capacity * sizeof(map_slot_t);
    size_t position = 0;
    for (key_entry_t *entry; (entry = map_next(&core->keys, &position));) {
        bytes += malloc_usable_size(entry) + sizeof(size_t);
    }
    return bytes;
}

static void send_first_of_many(partition_t *core)
{
    partition_effects_t effects = {0};
    char key[32];
    for (int i = 0; i < MANY; i++) {
        snprintf(key, sizeof key, "shipment-%.*d", 11 - i % 11, i); /* of 10 to 20 bytes */
        publish_t event = kit_event(key, 1);
        partition_publish(core, KIT_NOW, 0, &event, &effects);
        partition_effects_clear(&effects);
    }
    partition_effects_fini(&effects);
}

static void forget_row(void *context, slice_t key, slice_t value)
{
    (void)context;
    (void)key;
    (void)value;
}

Test(partition_cold, costs_100_bytes_for_a_key_in_memory_and_four_for_another)
{
    partition_t *core = kit_bounded(1);
    send_first_of_many(core);
    uint64_t keys = partition_figures(core).keys;
    size_t bytes = bytes_of_keys(core);
    cr_assert_eq(keys, MANY);
    cr_assert_leq(bytes, 100 * keys, "%zu a key", bytes / keys);
    while (!partition_save(core, 1 << 20, forget_row, NULL)) {
    }
    partition_saved(core);
    while (partition_evict(core)) {
    }
    cr_assert_eq(resident(core), 1);
    cr_assert_leq(key_filter_bytes(&core->cold), 4 * keys);
    partition_destroy(&core);
}
