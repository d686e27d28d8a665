/* A group at a barrier, where the number of partitions changed: what is behind it waits until
 * everything up to it is completed, and a key keeps its order from one partition to the other. */
#include "actors/ordering/group.h"

#include <criterion/criterion.h>
#include <stdio.h>

static const group_limits_t usual = {.mode = GROUP_BY_KEY,
                                     .while_retried = WHILE_RETRIED_WAIT,
                                     .when_exhausted = WHEN_EXHAUSTED_WAIT,
                                     .attempts_max = 1,
                                     .retry_us_min = 100,
                                     .retry_us_max = 1000,
                                     .partitions = 3,
                                     .events_max = 1000,
                                     .bytes_max = 1 << 20,
                                     .ranges_max = 100,
                                     .parked_max = 10,
                                     .parked_bytes_max = 1 << 16};

static const member_limits_t many = {.events_max = 100, .key_events_max = 100, .concurrency = 100};

/* Partitions 0 and 1 ended at these offsets when a third one came. */
static const uint64_t barrier[] = {3, 2, 0};

static void encode_event(const char *key, uint64_t offset, buffer_t *out)
{
    codec_encode(event_wire(), &(event_t){.offset = offset, .key = slice_text(key)}, out);
}

/* Events of a partition from an offset on, named by their keys of one letter. */
static void read_keys(group_t *group, uint32_t partition, uint64_t first, const char *keys,
                      group_effects_t *effects)
{
    buffer_t bytes = {0};
    buffer_t sizes = {0};
    codec_list_writer_t list = codec_list_begin(&bytes);
    uint64_t offset = first;
    for (; *keys; keys++, offset++) {
        size_t before = bytes.size;
        codec_list_add(&list, event_wire(), &(event_t){.offset = offset, .key = {keys, 1}});
        buffer_append(&sizes, &(uint32_t){(uint32_t)(bytes.size - before)}, sizeof(uint32_t));
    }
    codec_list_end(&list);
    cr_assert_eq(group_read(group,
                            &(group_stretch_t){.partition = partition,
                                               .events = buffer_slice(&bytes),
                                               .sizes = buffer_slice(&sizes),
                                               .lsn_next = 10 * offset},
                            effects),
                 CAPSTAN_OK);
    buffer_fini(&bytes);
    buffer_fini(&sizes);
}

/* The effects as text, "0:3 " for a delivery of partition 0's offset 3, "P0:3 " where it is parked,
 * "p0:3 " behind another. */
static void expect(group_t *group, group_effects_t *effects, const char *wanted)
{
    char text[512] = "";
    size_t size = 0;
    for (size_t i = 0; i < effects->count; i++) {
        const group_effect_t *effect = &effects->list[i];
        const char *kind = effect->kind == GROUP_PARK     ? effect->behind ? "p" : "P"
                           : effect->kind == GROUP_UNPARK ? "u"
                                                          : "";
        size += (size_t)snprintf(text + size, sizeof text - size, "%s%u:%lu ", kind,
                                 effect->partition, (unsigned long)effect->offset);
    }
    group_effects_clear(effects);
    cr_assert_str_eq(text, wanted);
    const char *fault = group_check(group);
    cr_assert_null(fault, "%s", fault);
}

static void acknowledge(group_t *group, uint32_t partition, uint64_t last, group_effects_t *effects)
{
    uint64_t count;
    cr_assert_eq(group_acknowledge(group, 1, partition, 0, last, &count, effects), CAPSTAN_OK);
}

static void store(group_t *group, uint32_t partition)
{
    const completed_t *done;
    uint64_t lsn;
    (void)group_take_mark(group, partition, true, &done, &lsn); /* nothing, if all is parked */
    group_mark_stored(group, partition);
}

static group_t *start(const group_limits_t *limits)
{
    group_t *group = group_new(limits);
    const completed_t nothing = {0};
    group_add_barrier(group, barrier);
    for (uint32_t i = 0; i < limits->partitions; i++) {
        group_place(group, i, &nothing, 0);
    }
    group_join(group, 1, &many);
    return group;
}

Test(group_barrier, lets_nothing_behind_it_be_read_before_all_up_to_it_is_stored)
{
    group_effects_t effects = {0};
    group_t *group = start(&usual);
    cr_assert(group_wants(group, 0));
    cr_assert(group_wants(group, 1));
    cr_assert_not(group_wants(group, 2), "all of it is behind the barrier");

    read_keys(group, 0, 1, "aaaxx", &effects);
    expect(group, &effects, "0:1 0:2 0:3 ");
    cr_assert_not(group_wants(group, 0));
    cr_assert_eq(group_read_place(group, 0).offset, 3);
    cr_assert_eq(group_read_place(group, 0).lsn, 0, "the rest of the stretch is read again");
    read_keys(group, 1, 1, "bb", &effects);
    expect(group, &effects, "1:1 1:2 ");

    acknowledge(group, 0, 3, &effects);
    acknowledge(group, 1, 2, &effects);
    cr_assert_not(group_wants(group, 2), "a crash would deliver them again, behind what followed");
    store(group, 0);
    cr_assert_not(group_wants(group, 2));
    store(group, 1);
    cr_assert(group_wants(group, 2));
    cr_assert(group_wants(group, 0));
    read_keys(group, 2, 1, "aab", &effects);
    read_keys(group, 0, 1, "aaaxx", &effects);
    expect(group, &effects, "2:1 2:2 2:3 0:4 0:5 ");
    group_effects_fini(&effects);
    group_destroy(&group);
}

Test(group_barrier, is_passed_already_where_a_group_that_comes_back_stands_behind_it)
{
    group_t *group = group_new(&usual);
    group_add_barrier(group, barrier);
    group_add_barrier(group, (const uint64_t[]){5, 2, 4});
    completed_t completed = {.frontier = 3};
    group_place(group, 0, &completed, 0);
    completed.frontier = 2;
    group_place(group, 1, &completed, 0);
    completed.frontier = 1;
    group_place(group, 2, &completed, 0);
    group_join(group, 1, &many);
    cr_assert(group_wants(group, 2));
    cr_assert(group_wants(group, 0));
    cr_assert_not(group_wants(group, 1), "it has come to the second one");
    group_destroy(&group);
}

Test(group_barrier, is_passed_by_a_key_that_waits_and_goes_on_waiting_in_its_new_partition)
{
    group_effects_t effects = {0};
    group_t *group = start(&usual);
    read_keys(group, 0, 1, "aab", &effects);
    read_keys(group, 1, 1, "cc", &effects);
    expect(group, &effects, "0:1 0:2 0:3 1:1 1:2 ");
    cr_assert_eq(group_reject(group, 0, &(group_rejection_t){.member = 1, .offset = 1}, &effects),
                 CAPSTAN_OK);
    expect(group, &effects, "P0:1 p0:2 ");
    acknowledge(group, 0, 3, &effects);
    acknowledge(group, 1, 2, &effects);
    store(group, 0);
    store(group, 1);
    cr_assert(group_wants(group, 2));
    read_keys(group, 2, 1, "ab", &effects);
    expect(group, &effects, "p2:1 2:2 ");

    /* They come back from the partitions in any order, and go out in theirs. */
    static const struct {
        uint32_t partition;
        uint64_t offset;
    } parked[] = {{2, 1}, {0, 2}, {0, 1}};
    for (size_t i = 0; i < 3; i++) {
        buffer_t event = {0};
        encode_event("a", parked[i].offset, &event);
        cr_assert_eq(group_replay(group, parked[i].partition, buffer_slice(&event), &effects),
                     CAPSTAN_OK);
        buffer_fini(&event);
    }
    group_dispatch(group, 0, &effects);
    expect(group, &effects, "0:1 0:2 2:1 ");
    group_effects_fini(&effects);
    group_destroy(&group);
}

Test(group_barrier, is_not_passed_by_a_whole_partition_that_waits)
{
    group_effects_t effects = {0};
    group_limits_t limits = usual;
    limits.mode = GROUP_BY_PARTITION;
    group_t *group = start(&limits);
    read_keys(group, 0, 1, "aab", &effects);
    read_keys(group, 1, 1, "cc", &effects);
    cr_assert_eq(group_reject(group, 0, &(group_rejection_t){.member = 1, .offset = 1}, &effects),
                 CAPSTAN_OK);
    acknowledge(group, 1, 2, &effects);
    store(group, 0);
    store(group, 1);
    group_effects_clear(&effects);
    cr_assert_not(group_wants(group, 2), "the keys of partition 0 would overtake");

    group_destroy(&group); /* it had been passed before something came to wait */
    group = group_new(&limits);
    group_add_barrier(group, barrier);
    group_place(group, 0, &(completed_t){.frontier = 4}, 0);
    group_place_waiting(group, 0, slice_text("a"));
    group_place(group, 1, &(completed_t){.frontier = 2}, 0);
    group_place(group, 2, &(completed_t){0}, 0);
    group_join(group, 1, &many);
    cr_assert(group_wants(group, 2));
    group_effects_fini(&effects);
    group_destroy(&group);
}

Test(group_barrier, is_none_to_a_group_without_order)
{
    group_limits_t limits = usual;
    limits.mode = GROUP_UNORDERED;
    group_t *group = start(&limits);
    cr_assert(group_wants(group, 2));
    group_destroy(&group);
}
