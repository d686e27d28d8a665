/* Event time in a partition: what is late, and what becomes of it. */
#include "tests/unit/ordering/partition_kit.h"

static partition_t *partition_with(late_policy_t policy)
{
    partition_limits_t limits = kit_limits(SEQUENCE_PRODUCER);
    limits.late_policy = policy;
    limits.lateness_us = 10;
    limits.watermark_step_us = 1;
    limits.idle_us = 1000;
    return partition_new(&limits);
}

static publish_t event_at(const char *key, uint64_t sequence, int64_t time_us)
{
    publish_t event = kit_event(key, sequence);
    event.time_us = time_us;
    return event;
}

/* Publishes; returns the answer. `ret_event` gets the event as it is stored. */
static event_result_t publish(partition_t *self, const publish_t *event, event_t *ret_event)
{
    static partition_effects_t effects;
    partition_effects_clear(&effects);
    event_result_t result = kit_publish(self, KIT_NOW, event, &effects).result;
    *ret_event = kit_record(&effects, 0);
    return result;
}

Test(partition_time, a_late_event_gets_what_the_policy_says)
{
    static const struct {
        late_policy_t policy;
        event_result_t result;
        diversion_t diverted;
        bool late;
    } cases[] = {{LATE_OFF, EVENT_STORED, DIVERTED_NOT, false},
                 {LATE_DELIVER, EVENT_STORED, DIVERTED_NOT, true},
                 {LATE_DIVERT, EVENT_DIVERTED, DIVERTED_LATE, false},
                 {LATE_DROP, EVENT_DROPPED, DIVERTED_DROPPED, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        partition_t *self = partition_with(cases[i].policy);
        event_t event;
        publish_t first = event_at("a", 1, 100);
        publish_t near = event_at("a", 2, 90); /* as late as it may be */
        publish_t late = event_at("a", 3, 89);
        publish_t timeless = event_at("a", 4, 0);
        cr_assert_eq(publish(self, &first, &event), EVENT_STORED);
        cr_assert_eq(publish(self, &near, &event), EVENT_STORED);
        cr_assert_not(event.late);
        cr_assert_eq(publish(self, &late, &event), cases[i].result);
        cr_assert_eq(event.diverted, cases[i].diverted);
        cr_assert_eq(event.late, cases[i].late);
        cr_assert_eq(event.offset, 3);
        cr_assert_eq(event.payload.size == 0, cases[i].diverted == DIVERTED_DROPPED);
        cr_assert_eq(publish(self, &timeless, &event), EVENT_STORED);
        partition_figures_t figures = partition_figures(self);
        cr_assert_eq(figures.watermark_us, cases[i].policy == LATE_OFF ? INT64_MIN : 100);
        cr_assert_eq(figures.late_delivered, cases[i].policy == LATE_DELIVER);
        cr_assert_eq(figures.late_diverted, cases[i].policy == LATE_DIVERT);
        cr_assert_eq(figures.late_dropped, cases[i].policy == LATE_DROP);
        partition_destroy(&self);
    }
}

Test(partition_time, an_event_is_judged_when_it_is_taken_also_behind_a_gap)
{
    partition_t *self = partition_with(LATE_DIVERT);
    partition_effects_t effects = {0};
    publish_t early = event_at("a", 2, 50);
    publish_t ahead = event_at("b", 1, 100);
    publish_t first = event_at("a", 1, 95);
    cr_assert_eq(kit_publish(self, KIT_NOW, &early, &effects).result, EVENT_HELD);
    cr_assert_eq(kit_publish(self, KIT_NOW, &ahead, &effects).result, EVENT_STORED);
    partition_effects_clear(&effects);
    cr_assert_eq(kit_publish(self, KIT_NOW, &first, &effects).result, EVENT_STORED);
    cr_assert_eq(kit_record(&effects, 1).sequence, 2);
    cr_assert_eq(kit_record(&effects, 1).diverted, DIVERTED_NOT); /* it was not late then */
    partition_effects_fini(&effects);
    partition_destroy(&self);
}

Test(partition_time, a_time_of_the_future_counts_as_now)
{
    partition_t *self = partition_with(LATE_DROP);
    event_t event;
    publish_t wrong = event_at("a", 1, INT64_MAX);
    publish_t right = event_at("a", 2, KIT_NOW - 5);
    cr_assert_eq(publish(self, &wrong, &event), EVENT_STORED);
    cr_assert_eq(partition_figures(self).watermark_us, KIT_NOW);
    cr_assert_eq(publish(self, &right, &event), EVENT_STORED);
    partition_destroy(&self);
}

Test(partition_time, a_producer_that_lags_holds_the_watermark_back)
{
    partition_t *self = partition_with(LATE_DROP);
    event_t event;
    publish_t slow = event_at("a", 1, 10);
    publish_t quick = event_at("a", 1, 100);
    publish_t next = event_at("a", 2, 200);
    slow.producer = slice_text("slow");
    cr_assert_eq(publish(self, &slow, &event), EVENT_STORED);
    cr_assert_eq(publish(self, &quick, &event), EVENT_STORED);
    cr_assert_eq(partition_figures(self).watermark_us, 10);
    slow.sequence = 2;
    slow.time_us = 5;
    cr_assert_eq(publish(self, &slow, &event), EVENT_STORED);
    partition_effects_t effects = {0};
    kit_publish(self, KIT_NOW + 1001, &next, &effects); /* the slow one is idle now */
    cr_assert_eq(partition_figures(self).watermark_us, 200);
    partition_effects_fini(&effects);
    partition_destroy(&self);
}
