/* The rules of a partition: what is accepted, held, recognised, refused and fenced. */
#include "tests/unit/ordering/partition_kit.h"

Test(partition, accepts_each_key_in_order_with_consecutive_offsets)
{
    partition_t *self = kit_partition();
    partition_effects_t effects = {0};
    for (uint64_t i = 1; i <= 20; i++) {
        cr_assert_eq(kit_send(self, i % 2 ? "a" : "b", (i + 1) / 2, &effects), EVENT_STORED);
        event_t event = kit_record(&effects, effects.count - 2);
        cr_assert_eq(event.offset, i);
        cr_assert_eq(event.sequence, (i + 1) / 2);
        cr_assert_eq(event.accepted_us, KIT_NOW);
    }
    partition_figures_t figures = partition_figures(self);
    cr_assert_eq(figures.offset_next, 21);
    cr_assert_eq(figures.keys, 2);
    cr_assert_eq(figures.accepted, 20);
    partition_effects_fini(&effects);
    partition_destroy(&self);
    cr_assert_null(self);
}

Test(partition, numbers_the_same_key_of_two_producers_apart)
{
    partition_t *self = kit_partition();
    partition_effects_t effects = {0};
    publish_t event = kit_event("a", 1);
    cr_assert_eq(kit_publish(self, KIT_NOW, &event, &effects).result, EVENT_STORED);
    event.producer = slice_text("q");
    cr_assert_eq(kit_publish(self, KIT_NOW, &event, &effects).result, EVENT_STORED);
    cr_assert_eq(kit_publish(self, KIT_NOW, &event, &effects).result, EVENT_DUPLICATE);
    partition_effects_fini(&effects);
    partition_destroy(&self);
}

Test(partition, holds_what_is_ahead_and_releases_it_in_order)
{
    partition_t *self = kit_partition();
    partition_effects_t effects = {0};
    cr_assert_eq(kit_send(self, "a", 3, &effects), EVENT_HELD);
    cr_assert_eq(kit_record(&effects, 0).offset, 0);
    cr_assert_eq(kit_send(self, "a", 2, &effects), EVENT_HELD);
    cr_assert_eq(kit_send(self, "a", 5, &effects), EVENT_HELD);
    cr_assert_eq(kit_send(self, "a", 3, &effects), EVENT_DUPLICATE);
    cr_assert_eq(partition_figures(self).held_items, 3);
    cr_assert_eq(partition_figures(self).gaps, 1);

    partition_effects_clear(&effects);
    cr_assert_eq(kit_send(self, "a", 1, &effects), EVENT_STORED);
    cr_assert_eq(effects.count, 4);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(kit_record(&effects, i).sequence, i + 1);
        cr_assert_eq(kit_record(&effects, i).offset, i + 1);
    }
    cr_assert_eq(partition_figures(self).gaps, 1);
    cr_assert_eq(kit_send(self, "a", 4, &effects), EVENT_STORED);
    cr_assert_eq(partition_figures(self).gaps, 0);
    cr_assert_eq(partition_figures(self).held_bytes, 0);
    cr_assert_eq(partition_figures(self).offset_next, 6);
    partition_effects_fini(&effects);
    partition_destroy(&self);
}

Test(partition, recognises_duplicates_for_ever)
{
    partition_t *self = kit_partition();
    partition_effects_t effects = {0};
    for (uint64_t i = 1; i <= 1000; i++) {
        cr_assert_eq(kit_send(self, "a", i, &effects), EVENT_STORED);
    }
    partition_effects_clear(&effects);
    for (uint64_t i = 1; i <= 1000; i++) {
        cr_assert_eq(kit_send(self, "a", i, &effects), EVENT_DUPLICATE);
    }
    cr_assert_eq(effects.count, 1000); /* answers only */
    partition_effects_fini(&effects);
    partition_destroy(&self);
}

Test(partition, refuses_what_does_not_fit_but_always_takes_the_filler)
{
    partition_limits_t limits = kit_limits(SEQUENCE_PRODUCER);
    limits.key_held_items_max = 3;
    limits.held_items_max = 4;
    partition_t *self = partition_new(&limits);
    partition_effects_t effects = {0};
    for (uint64_t i = 2; i <= 4; i++) {
        cr_assert_eq(kit_send(self, "a", i, &effects), EVENT_HELD);
    }
    publish_t beyond = kit_event("a", 5);
    partition_effect_t answer = kit_publish(self, KIT_NOW, &beyond, &effects);
    cr_assert_eq(answer.result, EVENT_REJECTED);
    cr_assert_eq(answer.err, CAPSTAN_E_OUT_OF_ORDER);
    cr_assert_eq(kit_send(self, "b", 2, &effects), EVENT_HELD);
    cr_assert_eq(kit_send(self, "c", 2, &effects), EVENT_REJECTED);
    cr_assert_eq(partition_figures(self).keys, 2, "a rejected event makes no key");
    cr_assert_eq(kit_send(self, "a", 1, &effects), EVENT_STORED);
    cr_assert_eq(kit_send(self, "a", 5, &effects), EVENT_STORED);
    partition_effects_fini(&effects);
    partition_destroy(&self);
}

Test(partition, bounds_the_bytes_it_holds)
{
    partition_limits_t limits = kit_limits(SEQUENCE_PRODUCER);
    partition_effects_t effects = {0};
    partition_t *probe = partition_new(&limits);
    cr_assert_eq(kit_send(probe, "a", 2, &effects), EVENT_HELD);
    limits.held_bytes_max = partition_figures(probe).held_bytes * 2;
    partition_t *self = partition_new(&limits);
    cr_assert_eq(kit_send(self, "a", 2, &effects), EVENT_HELD);
    cr_assert_eq(kit_send(self, "b", 2, &effects), EVENT_HELD);
    size_t bytes = effects.bytes.size;
    cr_assert_eq(kit_send(self, "c", 2, &effects), EVENT_REJECTED);
    cr_assert_eq(effects.bytes.size, bytes);
    partition_effects_fini(&effects);
    partition_destroy(&probe);
    partition_destroy(&self);
}

Test(partition, holds_nothing_more_behind_a_gap_that_is_too_old)
{
    partition_t *self = kit_partition();
    partition_effects_t effects = {0};
    publish_t early = kit_event("a", 2);
    publish_t later = kit_event("a", 4);
    cr_assert_eq(kit_publish(self, 10, &early, &effects).result, EVENT_HELD);
    cr_assert_eq(kit_publish(self, 10 + 1000001, &later, &effects).err, CAPSTAN_E_OUT_OF_ORDER);
    cr_assert_eq(kit_publish(self, 10 + 1000002, &later, &effects).err, CAPSTAN_E_OUT_OF_ORDER);
    cr_assert_eq(kit_publish(self, 20, &later, &effects).err, CAPSTAN_E_OUT_OF_ORDER,
                 "also when the clock steps back");
    cr_assert_eq(partition_figures(self).oldest_gap_us, 10);
    cr_assert_eq(self->steps[KEY_GAP][KEY_INPUT_expire], 1);
    cr_assert_eq(self->steps[KEY_BLOCKED][KEY_INPUT_refuse], 2);
    publish_t filler = kit_event("a", 1);
    cr_assert_eq(kit_publish(self, 10 + 1000003, &filler, &effects).result, EVENT_STORED);
    cr_assert_eq(kit_publish(self, 10 + 1000004, &later, &effects).result, EVENT_HELD);
    partition_effects_fini(&effects);
    partition_destroy(&self);
}

Test(partition, gives_a_later_gap_its_own_age)
{
    partition_t *self = kit_partition();
    partition_effects_t effects = {0};
    static const struct {
        int64_t now_us;
        uint64_t sequence;
        int64_t oldest_us;
    } steps[] = {{100, 2, 100}, {200, 6, 100}, {300, 4, 100},
                 {400, 1, 200}, {500, 3, 200}, {600, 5, 0}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        publish_t event = kit_event("a", steps[i].sequence);
        kit_publish(self, steps[i].now_us, &event, &effects);
        cr_assert_eq(partition_figures(self).oldest_gap_us, steps[i].oldest_us, "step %zu", i);
    }
    partition_effects_fini(&effects);
    partition_destroy(&self);
}

Test(partition, lists_the_oldest_gaps_first)
{
    partition_t *self = kit_partition();
    partition_effects_t effects = {0};
    for (int64_t i = 0; i < 40; i++) {
        char name[3] = {'k', (char)('A' + i), 0};
        publish_t event = kit_event(name, 3);
        int64_t now_us = 1 + (i * 17) % 40; /* every age once, in no order */
        cr_assert_eq(kit_publish(self, now_us, &event, &effects).result, EVENT_HELD);
    }
    gap_t gaps[64];
    cr_assert_eq(partition_gaps(self, gaps, 16), 16);
    for (int64_t i = 0; i < 16; i++) {
        cr_assert_eq(gaps[i].since_us, i + 1);
        cr_assert_eq(gaps[i].missing, 1);
        cr_assert_eq(gaps[i].held, 1);
    }
    cr_assert_eq(partition_gaps(self, gaps, 64), 40);
    cr_assert_eq(partition_gaps(self, gaps, 0), 0);
    partition_effects_fini(&effects);
    partition_destroy(&self);
}

Test(partition, fences_a_smaller_epoch_and_goes_on_numbering_under_a_new_one)
{
    partition_t *self = kit_partition();
    partition_effects_t effects = {0};
    publish_t event = kit_event("a", 1);
    event.producer_epoch = 5;
    cr_assert_eq(kit_publish(self, KIT_NOW, &event, &effects).result, EVENT_STORED);
    cr_assert_eq(effects.count, 3);
    cr_assert_eq(effects.list[0].record, RECORD_producer_mark);

    event = kit_event("a", 2);
    event.producer_epoch = 4;
    cr_assert_eq(kit_publish(self, KIT_NOW, &event, &effects).err, CAPSTAN_E_FENCED);
    event.producer_epoch = 0;
    cr_assert_eq(kit_publish(self, KIT_NOW, &event, &effects).err, CAPSTAN_E_FENCED);
    event.sequence = 1;
    cr_assert_eq(kit_publish(self, KIT_NOW, &event, &effects).err, CAPSTAN_E_FENCED,
                 "an old epoch's duplicate hears that it is a zombie");
    event.producer_epoch = 6;
    cr_assert_eq(kit_publish(self, KIT_NOW, &event, &effects).result, EVENT_DUPLICATE);
    event.sequence = 2;
    cr_assert_eq(kit_publish(self, KIT_NOW, &event, &effects).result, EVENT_STORED);

    partition_effects_clear(&effects);
    partition_fence(self, slice_text("p"), 6, &effects);
    cr_assert_eq(effects.count, 0);
    partition_fence(self, slice_text("p"), 7, &effects);
    cr_assert_eq(effects.count, 1);
    event.sequence = 3;
    cr_assert_eq(kit_publish(self, KIT_NOW, &event, &effects).err, CAPSTAN_E_FENCED);
    size_t count = effects.count;
    partition_fence(self, slice_text(""), 9, &effects);
    cr_assert_eq(effects.count, count);
    partition_effects_fini(&effects);
    partition_destroy(&self);
}

Test(partition, refuses_what_cannot_be_numbered)
{
    static char bytes[2000];
    memset(bytes, 'x', sizeof bytes);
    partition_t *self = kit_partition();
    partition_effects_t effects = {0};
    publish_t event = kit_event("a", 0);
    cr_assert_eq(kit_publish(self, KIT_NOW, &event, &effects).err, CAPSTAN_E_SEQUENCE_MISSING);
    event = kit_event("", 1);
    cr_assert_eq(kit_publish(self, KIT_NOW, &event, &effects).err, CAPSTAN_E_FIELD_MISSING);
    event = kit_event("a", 1);
    event.producer = slice_of(NULL, 0);
    cr_assert_eq(kit_publish(self, KIT_NOW, &event, &effects).err, CAPSTAN_E_FIELD_MISSING);
    event.producer = slice_of(bytes, 129);
    cr_assert_eq(kit_publish(self, KIT_NOW, &event, &effects).err, CAPSTAN_E_TOO_LARGE);
    event = kit_event("a", 1);
    event.key = slice_of(bytes, 1025);
    cr_assert_eq(kit_publish(self, KIT_NOW, &event, &effects).err, CAPSTAN_E_TOO_LARGE);
    cr_assert_eq(partition_figures(self).rejected, 5);
    cr_assert_eq(partition_figures(self).offset_next, 1);
    event = kit_event("a", UINT64_MAX);
    cr_assert_eq(kit_publish(self, KIT_NOW, &event, &effects).result, EVENT_HELD);
    partition_effects_fini(&effects);
    partition_destroy(&self);
}

Test(partition, takes_everything_in_order_of_arrival)
{
    partition_limits_t limits = kit_limits(SEQUENCE_ARRIVAL);
    partition_t *self = partition_new(&limits);
    partition_effects_t effects = {0};
    publish_t event = kit_event("a", 9);
    for (uint64_t i = 1; i <= 3; i++) {
        cr_assert_eq(kit_publish(self, KIT_NOW, &event, &effects).result, EVENT_STORED);
        event_t record = kit_record(&effects, effects.count - 2);
        cr_assert_eq(record.offset, i);
        cr_assert_eq(record.sequence, 0);
        event.producer = slice_of(NULL, 0);
    }
    partition_effects_fini(&effects);
    partition_destroy(&self);
}
