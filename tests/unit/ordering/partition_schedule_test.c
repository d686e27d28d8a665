/* Events whose time has not come: order, time, bounds, ids, and what a restart keeps of them. */
#include "actors/ordering/partition_schedule.h"
#include "tests/unit/ordering/partition_kit.h"

#define NOW_US INT64_C(1700000000000000)

enum { WINDOW = 1000 };

static partition_limits_t limits_with(uint64_t items_max)
{
    partition_limits_t limits = kit_limits(SEQUENCE_ARRIVAL);
    limits.id_window_us = WINDOW;
    limits.ids_max = 10;
    limits.scheduled_items_max = items_max;
    limits.scheduled_bytes_max = 1000;
    limits.watermark_step_us = 1;
    limits.idle_us = 1000000000;
    return limits;
}

static partition_t *partition_with(uint64_t items_max)
{
    partition_limits_t limits = limits_with(items_max);
    return partition_new(&limits);
}

static partition_effect_t publish(partition_t *self, int64_t now_us, int64_t due_us,
                                  uint64_t number, partition_effects_t *effects)
{
    publish_t event = kit_event("a", number);
    event.not_before_us = due_us;
    return kit_publish(self, now_us, &event, effects);
}

/* Releases what is due and returns the sequences in the order in which they got their offsets. */
static size_t release(partition_t *self, int64_t now_us, partition_effects_t *effects,
                      event_t ret_events[16])
{
    size_t before = effects->count;
    size_t count = 0;
    partition_expire(self, now_us, effects);
    for (size_t i = before; i < effects->count; i += 2) {
        cr_assert_eq(effects->list[i].record, RECORD_scheduled_end);
        ret_events[count++] = kit_record(effects, i + 1);
    }
    cr_assert_null(partition_check(self));
    return count;
}

Test(partition_schedule, an_event_gets_its_offset_when_its_time_has_come)
{
    partition_t *self = partition_with(10);
    partition_effects_t effects = {0};
    event_t events[16];
    partition_effect_t answer = publish(self, NOW_US, NOW_US + 300, 1, &effects);
    cr_assert_eq(answer.result, EVENT_STORED);
    cr_assert(answer.scheduled);
    cr_assert_eq(effects.list[0].record, RECORD_scheduled_mark);
    cr_assert_eq(effects.list[0].offset, 0);
    answer = publish(self, NOW_US + 1, 0, 2, &effects);
    cr_assert(answer.result == EVENT_STORED && !answer.scheduled);
    cr_assert_eq(partition_due_us(self), NOW_US + 300);
    cr_assert_eq(partition_figures(self).scheduled_due_us, NOW_US + 300);
    cr_assert_eq(release(self, NOW_US + 299, &effects, events), 0);
    cr_assert_eq(release(self, NOW_US + 305, &effects, events), 1);
    cr_assert(events[0].offset == 2 && events[0].sequence == 1);
    cr_assert_eq(events[0].not_before_us, NOW_US + 300);
    cr_assert_eq(events[0].accepted_us, NOW_US + 305, "as if it came then");
    cr_assert(slice_equal(events[0].payload, slice_text("payload")));
    cr_assert_eq(partition_due_us(self), INT64_MAX);
    cr_assert_eq(release(self, NOW_US + 400, &effects, events), 0);
    partition_figures_t figures = partition_figures(self);
    cr_assert(figures.scheduled == 1 && figures.released == 1 && figures.scheduled_items == 0 &&
              figures.scheduled_bytes == 0);
    partition_effects_fini(&effects);
    partition_destroy(&self);
}

Test(partition_schedule, order_is_that_of_times_and_then_of_acceptance)
{
    static const int64_t after_us[] = {50, 20, 50, 10, 20, 30, 10};
    static const uint64_t wanted[] = {4, 7, 2, 5, 6, 1, 3};
    enum { COUNT = sizeof wanted / sizeof wanted[0] };
    partition_t *self = partition_with(10);
    partition_effects_t effects = {0};
    event_t events[16];
    for (uint64_t i = 0; i < COUNT; i++) {
        publish(self, NOW_US, NOW_US + after_us[i], i + 1, &effects);
    }
    cr_assert_eq(release(self, NOW_US + 1000, &effects, events), COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        cr_assert_eq(events[i].sequence, wanted[i], "place %zu", i);
        cr_assert_eq(events[i].offset, i + 1);
    }
    partition_effects_fini(&effects);
    partition_destroy(&self);
}

Test(partition_schedule, what_is_due_is_put_in_order_before_what_comes_later)
{
    partition_t *self = partition_with(10);
    partition_effects_t effects = {0};
    publish(self, NOW_US, NOW_US + 10, 1, &effects);
    size_t before = effects.count;
    cr_assert_eq(publish(self, NOW_US + 10, 0, 2, &effects).result, EVENT_STORED);
    cr_assert_eq(kit_record(&effects, before + 1).sequence, 1);
    cr_assert_eq(kit_record(&effects, before + 2).sequence, 2);
    partition_effects_fini(&effects);
    partition_destroy(&self);
}

Test(partition_schedule, a_time_that_has_come_delays_nothing_and_is_kept)
{
    partition_t *self = partition_with(10);
    partition_effects_t effects = {0};
    cr_assert_not(publish(self, NOW_US, NOW_US - 5, 1, &effects).scheduled);
    cr_assert_not(publish(self, NOW_US, NOW_US, 2, &effects).scheduled);
    cr_assert_eq(kit_record(&effects, 0).not_before_us, NOW_US - 5);
    cr_assert_eq(kit_record(&effects, 2).offset, 2);
    partition_effects_fini(&effects);
    partition_destroy(&self);
}

Test(partition_schedule, a_time_that_can_be_none_and_a_numbered_topic_are_refused)
{
    static const int64_t ten_years_us = INT64_C(3660) * 86400 * 1000000;
    const int64_t wrong[] = {-1,
                             INT64_MIN,
                             INT64_MAX,
                             NOW_US / 1000,
                             NOW_US / 1000000,
                             UINT32_MAX,
                             NOW_US + ten_years_us + 1};
    partition_t *self = partition_with(10);
    partition_effects_t effects = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        partition_effect_t answer = publish(self, NOW_US, wrong[i], i + 1, &effects);
        cr_assert_eq(answer.result, EVENT_REJECTED, "%ld", (long)wrong[i]);
        cr_assert_eq(answer.err, CAPSTAN_E_NOT_DELAYABLE);
    }
    cr_assert(publish(self, NOW_US, NOW_US + ten_years_us, 20, &effects).scheduled);
    partition_destroy(&self);
    self = kit_partition();
    cr_assert_eq(publish(self, NOW_US, NOW_US + 1, 1, &effects).err, CAPSTAN_E_NOT_DELAYABLE);
    cr_assert_eq(publish(self, NOW_US, 0, 1, &effects).result, EVENT_STORED);
    partition_effects_fini(&effects);
    partition_destroy(&self);
}

Test(partition_schedule, beyond_its_bounds_an_event_is_refused_until_there_is_room)
{
    partition_t *self = partition_with(2);
    partition_effects_t effects = {0};
    event_t events[16];
    publish(self, NOW_US, NOW_US + 10, 1, &effects);
    publish(self, NOW_US, NOW_US + 20, 2, &effects);
    cr_assert_eq(publish(self, NOW_US, NOW_US + 30, 3, &effects).err, CAPSTAN_E_LIMIT);
    cr_assert_eq(publish(self, NOW_US, 0, 3, &effects).result, EVENT_STORED);
    release(self, NOW_US + 10, &effects, events);
    char large[950];
    publish_t event = kit_event("a", 4);
    memset(large, 'x', sizeof large);
    event.not_before_us = NOW_US + 40;
    event.payload = slice_of(large, sizeof large);
    cr_assert_eq(kit_publish(self, NOW_US + 10, &event, &effects).err, CAPSTAN_E_LIMIT);
    cr_assert_eq(publish(self, NOW_US + 10, NOW_US + 30, 5, &effects).result, EVENT_STORED);
    partition_effects_fini(&effects);
    partition_destroy(&self);
}

Test(partition_schedule, an_id_is_known_while_its_event_waits_and_for_the_window_behind_that)
{
    partition_t *self = partition_with(10);
    partition_effects_t effects = {0};
    event_t events[16];
    int64_t due_us = NOW_US + 10 * WINDOW;
    publish(self, NOW_US, due_us, 7, &effects);
    cr_assert_eq(partition_figures(self).ids, 1);
    cr_assert_eq(publish(self, due_us - 1, due_us, 7, &effects).result, EVENT_DUPLICATE);
    cr_assert_eq(publish(self, due_us - 1, 0, 7, &effects).result, EVENT_DUPLICATE);
    release(self, due_us, &effects, events);
    cr_assert_eq(publish(self, due_us + WINDOW, 0, 7, &effects).result, EVENT_DUPLICATE);
    cr_assert_eq(publish(self, due_us + WINDOW + 1, 0, 7, &effects).result, EVENT_STORED);
    for (uint64_t i = 1; i <= 9; i++) {
        publish(self, due_us + WINDOW + 1, due_us + 2 * WINDOW, 100 + i, &effects);
    }
    cr_assert_eq(publish(self, due_us + WINDOW + 1, 0, 200, &effects).err, CAPSTAN_E_LIMIT,
                 "those that wait count among the ids");
    partition_effects_fini(&effects);
    partition_destroy(&self);
}

Test(partition_schedule, event_time_is_judged_when_an_event_is_put_in_order)
{
    partition_limits_t limits = limits_with(10);
    limits.late_policy = LATE_DELIVER;
    partition_t *self = partition_new(&limits);
    partition_effects_t effects = {0};
    publish_t event = kit_event("a", 1);
    event.time_us = NOW_US - 50;
    event.not_before_us = NOW_US + 10;
    kit_publish(self, NOW_US, &event, &effects);
    cr_assert_eq(partition_figures(self).watermark_us, INT64_MIN, "it moves nothing yet");
    event = kit_event("a", 2);
    event.time_us = NOW_US;
    kit_publish(self, NOW_US, &event, &effects);
    size_t before = effects.count;
    partition_expire(self, NOW_US + 10, &effects);
    cr_assert_eq(effects.count, before + 2);
    cr_assert(kit_record(&effects, before + 1).late);
    cr_assert_eq(partition_figures(self).late_delivered, 1);
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

Test(partition_schedule, a_restart_forgets_none_and_brings_none_back)
{
    partition_t *self = partition_with(10);
    partition_effects_t log = {0};
    kit_rows_t *rows = calloc(1, sizeof *rows);
    event_t events[16];
    for (uint64_t i = 1; i <= 6; i++) {
        publish(self, NOW_US, NOW_US + 10 * (int64_t)i, i, &log);
    }
    cr_assert(partition_save(self, 100000, kit_add_row, rows));
    partition_saved(self);
    size_t from = log.count;
    cr_assert_eq(release(self, NOW_US + 20, &log, events), 2);
    /* A pass whose rows the store refuses: the deletions are told again. */
    kit_rows_t *refused = calloc(1, sizeof *refused);
    cr_assert(partition_save(self, 100000, kit_add_row, refused));
    kit_rows_fini(refused);
    free(refused);
    partition_touch_all(self);
    cr_assert_eq(release(self, NOW_US + 30, &log, events), 1);
    partition_t *copy = partition_with(1); /* what was answered is kept, whatever the limits are */
    kit_load_rows(copy, rows);
    load_log(copy, &log, from);
    cr_assert_null(partition_check(copy));
    kit_assert_same(self, copy);
    partition_destroy(&copy);
    partition_touch_all(self);
    cr_assert(partition_save(self, 100000, kit_add_row, rows));
    partition_saved(self);
    drop_deleted(rows);
    copy = partition_with(10);
    kit_load_rows(copy, rows);
    load_log(copy, &log, 0); /* rows are newer than all of it */
    cr_assert_eq(partition_figures(copy).scheduled_items, 3);
    cr_assert_eq(release(copy, NOW_US + 100, &log, events), 3);
    cr_assert(events[0].offset == 4 && events[0].sequence == 4);
    kit_rows_fini(rows);
    free(rows);
    partition_effects_fini(&log);
    partition_destroy(&copy);
    partition_destroy(&self);
}

Test(partition_schedule, damaged_rows_and_records_are_seen)
{
    partition_t *self = partition_with(10);
    buffer_t event = {0};
    buffer_t held = {0};
    event_encode(&(event_t){.offset = 1, .key = slice_text("a"), .not_before_us = NOW_US}, &event);
    event_encode(&(event_t){.key = slice_text("a"), .not_before_us = NOW_US}, &held);
    slice_t key = slice_of("t\0\0\0\0\0\0\0\5", 9);
    cr_assert_eq(partition_load_row(self, key, buffer_slice(&event)), CAPSTAN_E_STORE_CORRUPT);
    cr_assert_eq(partition_load_row(self, slice_of("t\5", 2), buffer_slice(&held)),
                 CAPSTAN_E_STORE_CORRUPT);
    cr_assert_eq(partition_load_row(self, slice_of("t\0\0\0\0\0\0\0\0", 9), buffer_slice(&held)),
                 CAPSTAN_E_STORE_CORRUPT);
    cr_assert_eq(partition_load_row(self, key, buffer_slice(&held)), CAPSTAN_OK);
    cr_assert_eq(partition_load_row(self, key, buffer_slice(&held)), CAPSTAN_E_STORE_CORRUPT);
    cr_assert_eq(partition_load_record(self, RECORD_scheduled_mark, slice_text("garbage")),
                 CAPSTAN_E_STORE_CORRUPT);
    cr_assert_eq(partition_load_record(self, RECORD_scheduled_end, slice_text("garbage")),
                 CAPSTAN_E_STORE_CORRUPT);
    cr_assert_eq(partition_load_row(self, slice_of("t\xff\xff\xff\xff\xff\xff\xff\xff", 9),
                                    buffer_slice(&held)),
                 CAPSTAN_E_STORE_CORRUPT, "no number would be left");
    cr_assert_eq(partition_load_record(self, RECORD_scheduled_end, slice_of("\x81\x01\x63", 3)),
                 CAPSTAN_OK, "it ended before the rows were saved");
    buffer_fini(&event);
    buffer_fini(&held);
    partition_destroy(&self);
}

static uint64_t cancel(partition_t *self, int64_t now_us, const char *key, const char *producer,
                       uint64_t sequence, partition_effects_t *effects)
{
    const partition_cancel_t request = {
        .key = slice_text(key), .producer = slice_text(producer), .sequence = sequence};
    uint64_t count = partition_cancel_scheduled(self, now_us, &request, effects);
    cr_assert_null(partition_check(self));
    return count;
}

Test(partition_schedule, what_is_cancelled_is_never_put_in_order_and_its_id_stays_known)
{
    partition_t *self = partition_with(10);
    partition_effects_t log = {0};
    event_t events[16];
    int64_t due_us = NOW_US + 10 * WINDOW;
    for (uint64_t i = 1; i <= 5; i++) {
        publish(self, NOW_US, due_us - (int64_t)i, i, &log);
    }
    cr_assert_eq(cancel(self, NOW_US, "b", "", 0, &log), 0);
    cr_assert_eq(cancel(self, NOW_US, "a", "q", 2, &log), 0);
    cr_assert_eq(cancel(self, NOW_US, "a", "p", 2, &log), 1);
    cr_assert_eq(cancel(self, NOW_US, "a", "p", 2, &log), 0, "once");
    cr_assert_eq(publish(self, NOW_US + WINDOW, 0, 2, &log).result, EVENT_DUPLICATE);
    partition_t *copy = partition_with(10);
    load_log(copy, &log, 0);
    kit_assert_same(self, copy);
    cr_assert_eq(publish(copy, NOW_US + WINDOW, 0, 2, &log).result, EVENT_DUPLICATE);
    cr_assert_eq(publish(copy, NOW_US + WINDOW + 1, 0, 2, &log).result, EVENT_STORED);
    partition_destroy(&copy);
    cr_assert_eq(release(self, due_us - 5, &log, events), 1);
    cr_assert_eq(cancel(self, due_us - 5, "a", "", 0, &log), 3, "all that wait");
    cr_assert_eq(release(self, due_us, &log, events), 0);
    cr_assert_eq(partition_figures(self).cancelled, 4);
    partition_effects_fini(&log);
    partition_destroy(&self);
}

Test(partition_schedule, erasing_a_key_reaches_what_waits)
{
    partition_t *self = partition_with(10);
    partition_effects_t effects = {0};
    event_t events[16];
    publish(self, NOW_US, NOW_US + 10, 1, &effects);
    publish_t other = kit_event("b", 2);
    other.not_before_us = NOW_US + 10;
    kit_publish(self, NOW_US, &other, &effects);
    partition_erase_scheduled(self, slice_text("a"));
    cr_assert_null(partition_check(self));
    cr_assert_eq(release(self, NOW_US + 10, &effects, events), 2);
    cr_assert(events[0].erased == 1 && events[0].payload.size == 0);
    cr_assert(events[1].erased == 0 && events[1].payload.size > 0);
    partition_effects_fini(&effects);
    partition_destroy(&self);
}
