/* Verdicts on gaps: what may be given up, what becomes of what was held, and of what comes after
 * all. */
#include "tests/unit/ordering/partition_kit.h"

static skip_t asked(const char *key, gap_verdict_t verdict, uint64_t first, uint64_t last)
{
    return (skip_t){.producer = slice_text("p"),
                    .key = slice_text(key),
                    .first = first,
                    .last = last,
                    .verdict = verdict,
                    .at_us = KIT_NOW,
                    .reason = slice_text("lost")};
}

static capstan_err_t give_up(partition_t *self, const char *key, gap_verdict_t verdict,
                             uint64_t first, uint64_t last, partition_effects_t *effects)
{
    skip_t skipped;
    skip_t request = asked(key, verdict, first, last);
    capstan_err_t err = partition_skip(self, &request, &skipped, effects);
    const char *fault = partition_check(self);
    cr_assert_null(fault, "%s", fault);
    return err;
}

Test(partition_skip, what_was_held_goes_on_behind_a_row_of_the_ledger)
{
    partition_t *self = kit_partition();
    partition_effects_t effects = {0};
    kit_send(self, "a", 1, &effects);
    kit_send(self, "a", 4, &effects);
    kit_send(self, "a", 5, &effects);
    kit_send(self, "a", 7, &effects);
    partition_effects_clear(&effects);
    cr_assert_eq(give_up(self, "a", GAP_FORCED, 0, 0, &effects), CAPSTAN_OK);
    cr_assert_eq(effects.count, 3);
    skip_t row;
    cr_assert_eq(effects.list[0].record, RECORD_skip);
    cr_assert_eq(codec_decode(skip_wire(), kit_data(&effects, 0), &row, NULL), CAPSTAN_OK);
    cr_assert_eq(row.first, 2);
    cr_assert_eq(row.last, 3);
    cr_assert_eq(row.verdict, GAP_FORCED);
    cr_assert_eq(row.since_us, KIT_NOW);
    cr_assert(slice_equal(row.reason, slice_text("lost")));
    cr_assert_eq(kit_record(&effects, 1).sequence, 4);
    cr_assert_eq(kit_record(&effects, 1).offset, 2);
    cr_assert_eq(kit_record(&effects, 2).sequence, 5);
    cr_assert_eq(partition_figures(self).gaps, 1); /* 6 */
    cr_assert_eq(kit_send(self, "a", 6, &effects), EVENT_STORED);
    cr_assert_eq(partition_figures(self).gaps, 0);
    cr_assert_eq(partition_figures(self).filled, 1);
    cr_assert_eq(partition_figures(self).skipped, 2);
    partition_effects_fini(&effects);
    partition_destroy(&self);
}

Test(partition_skip, what_comes_after_all_is_diverted_once)
{
    partition_t *self = kit_partition();
    partition_effects_t effects = {0};
    kit_send(self, "a", 4, &effects);
    cr_assert_eq(give_up(self, "a", GAP_FORCED, 1, 3, &effects), CAPSTAN_OK);
    cr_assert_eq(kit_send(self, "a", 2, &effects), EVENT_DIVERTED);
    event_t event = kit_record(&effects, effects.count - 2);
    cr_assert_eq(event.diverted, 1);
    cr_assert_eq(event.offset, 2);
    cr_assert_eq(event_diversion(kit_data(&effects, effects.count - 2)), DIVERTED_SKIPPED);
    cr_assert_eq(kit_send(self, "a", 2, &effects), EVENT_DUPLICATE);
    cr_assert_eq(kit_send(self, "a", 3, &effects), EVENT_DIVERTED);
    cr_assert_eq(kit_send(self, "a", 4, &effects), EVENT_DUPLICATE);
    cr_assert_eq(kit_send(self, "a", 5, &effects), EVENT_STORED);
    cr_assert_eq(event_diversion(kit_data(&effects, effects.count - 2)), DIVERTED_NOT);
    cr_assert_eq(partition_figures(self).diverted, 2);
    partition_effects_fini(&effects);
    partition_destroy(&self);
}

Test(partition_skip, only_what_is_missing_can_be_given_up)
{
    partition_t *self = kit_partition();
    partition_effects_t effects = {0};
    kit_send(self, "a", 1, &effects);
    cr_assert_eq(give_up(self, "a", GAP_FORCED, 0, 0, &effects), CAPSTAN_E_NOT_MISSING);
    cr_assert_eq(give_up(self, "a", GAP_FORCED, 2, 2, &effects), CAPSTAN_E_NOT_MISSING);
    cr_assert_eq(give_up(self, "b", GAP_FORCED, 0, 0, &effects), CAPSTAN_E_NOT_MISSING);
    kit_send(self, "a", 4, &effects);
    cr_assert_eq(give_up(self, "a", GAP_FORCED, 1, 2, &effects), CAPSTAN_E_NOT_MISSING);
    cr_assert_eq(give_up(self, "a", GAP_FORCED, 1, 1, &effects), CAPSTAN_E_NOT_MISSING);
    cr_assert_eq(give_up(self, "a", GAP_FORCED, 2, 4, &effects), CAPSTAN_E_NOT_MISSING);
    cr_assert_eq(give_up(self, "a", GAP_FORCED, 3, 3, &effects), CAPSTAN_E_OUT_OF_ORDER);
    cr_assert_eq(give_up(self, "a", GAP_FORCED, 3, 2, &effects), CAPSTAN_E_INVALID);
    cr_assert_eq(give_up(self, "a", GAP_DEAD, 2, UINT64_MAX, &effects), CAPSTAN_E_INVALID);
    cr_assert_eq(give_up(self, "", GAP_FORCED, 0, 0, &effects), CAPSTAN_E_INVALID);
    cr_assert_eq(partition_figures(self).skips, 0);
    cr_assert_eq(give_up(self, "a", GAP_FORCED, 2, 2, &effects), CAPSTAN_OK);
    size_t count = effects.count;
    cr_assert_eq(give_up(self, "a", GAP_FORCED, 2, 2, &effects), CAPSTAN_OK); /* said twice */
    cr_assert_eq(effects.count, count);
    cr_assert_eq(give_up(self, "a", GAP_FORCED, 2, 3, &effects), CAPSTAN_E_NOT_MISSING);
    partition_effects_fini(&effects);
    partition_destroy(&self);
    partition_limits_t limits = kit_limits(SEQUENCE_ARRIVAL);
    self = partition_new(&limits);
    cr_assert_eq(give_up(self, "a", GAP_DEAD, 1, 1, &effects), CAPSTAN_E_INVALID);
    partition_destroy(&self);
}

Test(partition_skip, a_producer_may_declare_what_nothing_has_come_behind)
{
    partition_t *self = kit_partition();
    partition_effects_t effects = {0};
    cr_assert_eq(give_up(self, "a", GAP_DEAD, 1, 3, &effects), CAPSTAN_OK);
    cr_assert_eq(kit_send(self, "a", 4, &effects), EVENT_STORED);
    partition_fence(self, slice_text("p"), 2, &effects);
    cr_assert_eq(give_up(self, "a", GAP_DEAD, 5, 5, &effects), CAPSTAN_E_FENCED);
    skip_t newer = asked("a", GAP_DEAD, 5, 5);
    skip_t skipped;
    newer.producer_epoch = 3;
    cr_assert_eq(partition_skip(self, &newer, &skipped, &effects), CAPSTAN_OK);
    cr_assert_eq(skipped.producer_epoch, 3);
    cr_assert_eq(partition_epoch_known(self, slice_text("p")), 3);
    partition_effects_fini(&effects);
    partition_destroy(&self);
}

Test(partition_skip, a_gap_is_given_up_when_its_time_is_over)
{
    partition_limits_t limits = kit_limits(SEQUENCE_PRODUCER);
    limits.gap_timeout_us = 1000;
    partition_t *self = partition_new(&limits);
    partition_effects_t effects = {0};
    cr_assert_eq(partition_due_us(self), INT64_MAX);
    publish_t event = kit_event("a", 3);
    kit_publish(self, 100, &event, &effects);
    event.sequence = 5;
    kit_publish(self, 600, &event, &effects);
    cr_assert_eq(partition_due_us(self), 1100);
    size_t count = effects.count;
    partition_expire(self, 1099, &effects);
    cr_assert_eq(effects.count, count);
    partition_expire(self, 1100, &effects);
    cr_assert_eq(effects.count, count + 2);
    cr_assert_null(partition_check(self));
    cr_assert_eq(partition_due_us(self), 1600); /* the timer belongs to the gap */
    partition_expire(self, 1600, &effects);
    cr_assert_eq(partition_figures(self).gaps, 0);
    skip_t rows[3];
    cr_assert_eq(partition_skips(self, rows, 3), 2);
    cr_assert_eq(rows[0].first, 4); /* newest first */
    cr_assert_eq(rows[1].first, 1);
    cr_assert_eq(rows[1].last, 2);
    partition_effects_fini(&effects);
    partition_destroy(&self);
}

Test(partition_skip, a_full_ledger_refuses_and_loses_nothing)
{
    partition_limits_t limits = kit_limits(SEQUENCE_PRODUCER);
    limits.skips_max = 1;
    limits.gap_timeout_us = 1000;
    partition_t *self = partition_new(&limits);
    partition_effects_t effects = {0};
    kit_send(self, "a", 2, &effects);
    cr_assert_eq(give_up(self, "a", GAP_FORCED, 0, 0, &effects), CAPSTAN_OK);
    kit_send(self, "b", 2, &effects);
    cr_assert_eq(give_up(self, "b", GAP_FORCED, 0, 0, &effects), CAPSTAN_E_LIMIT);
    cr_assert_eq(partition_due_us(self), INT64_MAX);
    cr_assert(partition_figures(self).skips_full);
    publish_t event = kit_event("a", 1);
    partition_effect_t answer = kit_publish(self, KIT_NOW, &event, &effects);
    cr_assert_eq(answer.result, EVENT_REJECTED);
    cr_assert_eq(answer.err, CAPSTAN_E_LIMIT);
    partition_effects_fini(&effects);
    partition_destroy(&self);
}
