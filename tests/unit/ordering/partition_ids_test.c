/* Ids of arrival topics: taken once within the window, through snapshots and logs. */
#include "actors/ordering/partition_ids.h"
#include "tests/unit/ordering/partition_kit.h"

enum { WINDOW = 1000 };

static partition_t *partition_with(uint64_t ids_max)
{
    partition_limits_t limits = kit_limits(SEQUENCE_ARRIVAL);
    limits.id_window_us = WINDOW;
    limits.ids_max = ids_max;
    return partition_new(&limits);
}

static partition_effect_t publish(partition_t *self, int64_t now_us, const char *producer,
                                  uint64_t number, partition_effects_t *effects)
{
    publish_t event = kit_event("a", number);
    event.producer = slice_text(producer);
    return kit_publish(self, now_us, &event, effects);
}

Test(partition_ids, an_id_is_taken_once_within_the_window)
{
    partition_t *self = partition_with(10);
    partition_effects_t effects = {0};
    cr_assert_eq(publish(self, 100, "p", 7, &effects).result, EVENT_STORED);
    cr_assert_eq(kit_record(&effects, 0).sequence, 7);
    cr_assert_eq(publish(self, 100, "p", 7, &effects).result, EVENT_DUPLICATE);
    cr_assert_eq(publish(self, 100, "q", 7, &effects).result, EVENT_STORED);
    cr_assert_eq(publish(self, 100, "p", 8, &effects).result, EVENT_STORED);
    cr_assert_eq(publish(self, 100 + WINDOW, "p", 7, &effects).result, EVENT_DUPLICATE);
    cr_assert_eq(publish(self, 101 + WINDOW, "p", 7, &effects).result, EVENT_STORED);
    cr_assert_eq(partition_figures(self).ids, 1);
    cr_assert_eq(publish(self, 101, "", 7, &effects).result, EVENT_STORED); /* it has none */
    cr_assert_eq(publish(self, 101, "p", 0, &effects).result, EVENT_STORED);
    cr_assert_eq(publish(self, 101, "p", 0, &effects).result, EVENT_STORED);
    partition_effects_fini(&effects);
    partition_destroy(&self);
}

Test(partition_ids, when_there_is_no_room_it_is_said_and_nothing_is_forgotten)
{
    partition_t *self = partition_with(2);
    partition_effects_t effects = {0};
    publish(self, 100, "p", 1, &effects);
    publish(self, 200, "p", 2, &effects);
    partition_effect_t answer = publish(self, 300, "p", 3, &effects);
    cr_assert_eq(answer.result, EVENT_REJECTED);
    cr_assert_eq(answer.err, CAPSTAN_E_LIMIT);
    cr_assert_eq(publish(self, 300, "p", 1, &effects).result, EVENT_DUPLICATE);
    cr_assert_eq(publish(self, 101 + WINDOW, "p", 3, &effects).result, EVENT_STORED);
    partition_effects_fini(&effects);
    partition_destroy(&self);
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

/* Rows that a snapshot deletes are gone from it. */
static void drop_deleted(kit_rows_t *rows)
{
    size_t kept = 0;
    for (size_t i = 0; i < rows->count; i++) {
        if (rows->list[i].value.size > 0) {
            rows->list[kept++] = rows->list[i];
        } else {
            buffer_fini(&rows->list[i].key);
            buffer_fini(&rows->list[i].value);
        }
    }
    rows->count = kept;
}

/* Against a plain table of what was taken when, with snapshots, and with restarts from them and the
 * log behind them. */
Test(partition_ids, agree_with_a_plain_table_through_restarts)
{
    enum { NUMBERS = 60, STEPS = 4000 };
    int64_t taken_us[NUMBERS + 1] = {0};
    kit_rows_t *rows = calloc(1, sizeof *rows);
    partition_effects_t log = {0};
    size_t log_from = 0;
    partition_t *self = partition_with(1000);
    uint32_t random = 7;
    int64_t now_us = 10000;
    for (int i = 0; i < STEPS; i++) {
        random = random * 1664525 + 1013904223;
        uint64_t number = 1 + (random >> 8) % NUMBERS;
        now_us += (random >> 16) % 40;
        bool known = taken_us[number] != 0 && now_us - taken_us[number] <= WINDOW;
        event_result_t result = publish(self, now_us, "p", number, &log).result;
        cr_assert_eq(result, known ? EVENT_DUPLICATE : EVENT_STORED, "step %d", i);
        taken_us[number] = known ? taken_us[number] : now_us;
        if ((random >> 4) % 64 == 0) {
            log_from = log.count;
            while (!partition_save(self, 100, kit_add_row, rows)) {
            }
            drop_deleted(rows);
        }
        if ((random >> 5) % 128 == 0) {
            partition_destroy(&self);
            self = partition_with(1000);
            kit_load_rows(self, rows);
            load_log(self, &log, log_from);
        }
    }
    partition_effects_fini(&log);
    kit_rows_fini(rows);
    free(rows);
    partition_destroy(&self);
}
