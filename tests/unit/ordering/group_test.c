/* The rules of a consumer group: who gets what, in which order, and what is done. */
#include "actors/ordering/group.h"

#include "actors/ordering/partition.h"

#include <criterion/criterion.h>
#include <stdio.h>

static const group_limits_t usual = {.mode = GROUP_BY_KEY,
                                     .while_retried = WHILE_RETRIED_WAIT,
                                     .when_exhausted = WHEN_EXHAUSTED_WAIT,
                                     .attempts_max = 3,
                                     .retry_us_min = 100,
                                     .retry_us_max = 1000,
                                     .partitions = 2,
                                     .events_max = 1000,
                                     .bytes_max = 1 << 20,
                                     .ranges_max = 100,
                                     .parked_max = 10,
                                     .parked_bytes_max = 1 << 16};

static const member_limits_t one_at_a_time = {
    .events_max = 1, .key_events_max = 1, .concurrency = 1};
static const member_limits_t many = {.events_max = 100, .key_events_max = 100, .concurrency = 100};

/* Events of partition 0, named by their keys: "abA" are offsets 1, 2, 3 of keys a, b, A; a dot
 * stands for one that compaction removed. */
static capstan_err_t try_keys(group_t *group, uint64_t first, const char *keys,
                              group_effects_t *effects)
{
    buffer_t bytes = {0};
    buffer_t sizes = {0};
    codec_list_writer_t list = codec_list_begin(&bytes);
    uint64_t offset = first;
    for (; *keys; keys++, offset++) {
        size_t before = bytes.size;
        event_t removed = {.offset = offset, .diverted = DIVERTED_REMOVED};
        event_t event = {.offset = offset, .key = {keys, 1}};
        codec_list_add(&list, event_wire(), *keys == '.' ? &removed : &event);
        buffer_append(&sizes, &(uint32_t){(uint32_t)(bytes.size - before)}, sizeof(uint32_t));
    }
    codec_list_end(&list);
    group_stretch_t stretch = {
        .events = buffer_slice(&bytes), .sizes = buffer_slice(&sizes), .lsn_next = offset};
    capstan_err_t err = group_read(group, &stretch, effects);
    buffer_fini(&bytes);
    buffer_fini(&sizes);
    return err;
}

static void read_keys(group_t *group, uint64_t first, const char *keys, group_effects_t *effects)
{
    cr_assert_eq(try_keys(group, first, keys, effects), CAPSTAN_OK);
}

/* What the effects are, as text: "1:3 " member 1 gets offset 3; "P3 " parked, "p4 " behind it,
 * "u3 " no longer parked. */
static void expect(group_t *group, group_effects_t *effects, const char *wanted)
{
    char text[1024] = "";
    size_t size = 0;
    for (size_t i = 0; i < effects->count; i++) {
        const group_effect_t *effect = &effects->list[i];
        if (effect->kind == GROUP_DELIVER) {
            size += (size_t)snprintf(text + size, sizeof text - size, "%lu:%lu ",
                                     (unsigned long)effect->member, (unsigned long)effect->offset);
        } else {
            size +=
                (size_t)snprintf(text + size, sizeof text - size, "%c%lu ",
                                 effect->kind == GROUP_UNPARK ? 'u' : (effect->behind ? 'p' : 'P'),
                                 (unsigned long)effect->offset);
        }
    }
    cr_assert_str_eq(text, wanted);
    cr_assert_null(group_check(group), "%s", group_check(group));
    group_effects_clear(effects);
}

static void dispatch(group_t *group, int64_t now_us, group_effects_t *effects, const char *wanted)
{
    group_dispatch(group, now_us, effects);
    expect(group, effects, wanted);
}

static capstan_err_t acknowledge(group_t *group, uint64_t member, uint64_t first, uint64_t last,
                                 group_effects_t *effects)
{
    uint64_t count;
    return group_acknowledge(group, member, 0, first, last, &count, effects);
}

static capstan_err_t reject(group_t *group, int64_t now_us, uint64_t member, uint64_t offset,
                            group_effects_t *effects)
{
    group_rejection_t rejection = {.member = member, .offset = offset};
    return group_reject(group, now_us, &rejection, effects);
}

Test(group, gives_each_key_to_one_member_at_a_time)
{
    group_effects_t effects = {0};
    group_t *group = group_new(&usual);
    group_join(group, 1, &one_at_a_time);
    group_join(group, 2, &one_at_a_time);
    read_keys(group, 1, "aab", &effects);
    dispatch(group, 0, &effects, "1:1 2:3 ");
    cr_assert_eq(acknowledge(group, 2, 0, 3, &effects), CAPSTAN_OK);
    dispatch(group, 0, &effects, "");
    cr_assert_eq(acknowledge(group, 1, 0, 1, &effects), CAPSTAN_OK);
    dispatch(group, 0, &effects, "2:2 ");
    cr_assert_eq(acknowledge(group, 2, 2, 2, &effects), CAPSTAN_OK);
    cr_assert_eq(group_frontier(group, 0), 3);
    cr_assert_eq(group_figures(group).keys, 0, "nothing is remembered of what is done");
    group_effects_fini(&effects);
    group_destroy(&group);
}

/* Whoever holds something may be at it for long; the other one could begin at once. */
Test(group, gives_a_key_to_a_member_that_has_nothing_rather_than_to_one_that_is_busy)
{
    group_effects_t effects = {0};
    group_t *group = group_new(&usual);
    group_join(group, 1, &many);
    group_join(group, 2, &many);
    read_keys(group, 1, "ab", &effects);
    expect(group, &effects, "1:1 2:2 ");
    cr_assert_eq(acknowledge(group, 2, 2, 2, &effects), CAPSTAN_OK);
    read_keys(group, 3, "c", &effects);
    expect(group, &effects, "2:3 ");
    group_join(group, 3, &many);
    read_keys(group, 4, "d", &effects);
    expect(group, &effects, "3:4 ");
    cr_assert_eq(acknowledge(group, 2, 3, 3, &effects), CAPSTAN_OK);
    group_leave(group, 0, 3, false, &effects);
    dispatch(group, 0, &effects, "2:4 ");
    group_effects_fini(&effects);
    group_destroy(&group);
}

Test(group, passes_over_what_compaction_removed)
{
    for (group_events_t events = GROUP_EVENTS_IN_ORDER; events <= GROUP_EVENTS_DIVERTED; events++) {
        group_effects_t effects = {0};
        group_limits_t limits = usual;
        limits.events = events;
        group_t *group = group_new(&limits);
        group_join(group, 1, &many);
        read_keys(group, 1, "..", &effects);
        cr_assert_eq(group_frontier(group, 0), 2);
        read_keys(group, 3, "a.", &effects);
        dispatch(group, 0, &effects, events == GROUP_EVENTS_IN_ORDER ? "1:3 " : "");
        cr_assert_eq(group_figures(group).passed_over, events == GROUP_EVENTS_IN_ORDER ? 3 : 4);
        group_effects_fini(&effects);
        group_destroy(&group);
    }
}

Test(group, goes_on_with_the_longest_backlog)
{
    group_effects_t effects = {0};
    group_t *group = group_new(&usual);
    read_keys(group, 1, "abbccb", &effects);
    group_join(group, 1, &one_at_a_time);
    dispatch(group, 0, &effects, "1:2 ");
    cr_assert_eq(acknowledge(group, 1, 0, 2, &effects), CAPSTAN_OK);
    dispatch(group, 0, &effects, "1:4 ");
    group_effects_fini(&effects);
    group_destroy(&group);
}

/* With fewer ready keys than members, a key that is held behind another's events is missing. */
Test(group, gives_a_busy_member_no_further_key_while_keys_are_few)
{
    static const member_limits_t three = {.events_max = 3, .key_events_max = 3, .concurrency = 1};
    group_effects_t effects = {0};
    group_t *group = group_new(&usual);
    read_keys(group, 1, "cccccaaaabbbb", &effects);
    group_join(group, 1, &three);
    group_join(group, 2, &three);
    dispatch(group, 0, &effects, "1:1 1:2 1:3 2:6 2:7 2:8 ");
    cr_assert_eq(acknowledge(group, 1, 1, 1, &effects), CAPSTAN_OK);
    dispatch(group, 0, &effects, "");
    cr_assert_eq(acknowledge(group, 1, 2, 2, &effects), CAPSTAN_OK);
    dispatch(group, 0, &effects, "1:10 1:11 ");
    read_keys(group, 14, "dddddeeeee", &effects);
    cr_assert_eq(acknowledge(group, 2, 6, 6, &effects), CAPSTAN_OK);
    dispatch(group, 0, &effects, "2:14 ");
    group_effects_fini(&effects);
    group_destroy(&group);
}

/* What it works on at a time, it is given; and it is not left with more keys than that. */
Test(group, gives_a_member_few_keys_while_it_works_on_fewer_at_a_time)
{
    static const member_limits_t two = {.events_max = 5, .key_events_max = 2, .concurrency = 2};
    group_effects_t effects = {0};
    group_t *group = group_new(&usual);
    read_keys(group, 1, "aaabbbccc", &effects);
    group_join(group, 1, &two);
    dispatch(group, 0, &effects, "1:1 1:2 1:4 1:5 1:7 ");
    group_join(group, 2, &two);
    cr_assert_eq(acknowledge(group, 1, 1, 1, &effects), CAPSTAN_OK);
    dispatch(group, 0, &effects, ""); /* it has three keys, and the other one none */
    cr_assert_eq(acknowledge(group, 1, 2, 2, &effects), CAPSTAN_OK);
    dispatch(group, 0, &effects, "2:3 1:8 ");
    group_effects_fini(&effects);
    group_destroy(&group);
}

/* Also of members whose hands are always full. */
Test(group, lets_no_key_wait_behind_keys_that_never_end)
{
    static const member_limits_t three = {.events_max = 3, .key_events_max = 3, .concurrency = 1};
    group_effects_t effects = {0};
    group_t *group = group_new(&usual);
    read_keys(group, 1, "aaaabbbbc", &effects);
    group_join(group, 1, &three);
    group_join(group, 2, &three);
    dispatch(group, 0, &effects, "1:1 1:2 1:3 2:5 2:6 2:7 ");
    uint64_t next = 1;
    bool served = false;
    for (uint64_t offset = 10; offset < 600 && !served; offset++) { /* one for each that is done */
        read_keys(group, offset, "a", &effects);
        group_effects_clear(&effects);
        cr_assert_eq(acknowledge(group, 1, next, next, &effects), CAPSTAN_OK);
        next = next == 4 ? 10 : next + 1;
        group_dispatch(group, 0, &effects);
        for (size_t i = 0; i < effects.count; i++) {
            served = served || effects.list[i].offset == 9;
        }
        group_effects_clear(&effects);
    }
    cr_assert(served);
    group_effects_fini(&effects);
    group_destroy(&group);
}

Test(group, lets_no_key_wait_for_ever)
{
    group_effects_t effects = {0};
    group_t *group = group_new(&usual);
    read_keys(group, 1, "abbbbbbbbb", &effects);
    group_join(group, 1, &one_at_a_time);
    uint64_t offset = 10;
    bool served = false;
    for (int i = 0; i < 40 && !served; i++) { /* b gets two for each that is done */
        read_keys(group, offset + 1, "bb", &effects);
        offset += 2;
        group_dispatch(group, 0, &effects);
        cr_assert_eq(effects.count, 1);
        uint64_t given = effects.list[0].offset;
        served = given == 1;
        group_effects_clear(&effects);
        cr_assert_eq(acknowledge(group, 1, given, given, &effects), CAPSTAN_OK);
    }
    cr_assert(served);
    group_effects_fini(&effects);
    group_destroy(&group);
}

Test(group, takes_acknowledgements_in_any_order_and_keeps_what_is_above_the_frontier)
{
    group_effects_t effects = {0};
    group_t *group = group_new(&usual);
    const completed_t *done;
    uint64_t lsn;
    group_join(group, 1, &many);
    read_keys(group, 1, "abcdef", &effects);
    group_dispatch(group, 0, &effects);
    group_effects_clear(&effects);
    cr_assert_eq(acknowledge(group, 1, 5, 5, &effects), CAPSTAN_OK);
    cr_assert_eq(acknowledge(group, 1, 2, 3, &effects), CAPSTAN_OK);
    cr_assert_eq(group_frontier(group, 0), 0);
    cr_assert_eq(group_figures(group).ranges, 2);
    cr_assert(group_take_mark(group, 0, true, &done, &lsn));
    cr_assert_eq(done->count, 2);
    cr_assert_not(group_take_mark(group, 0, true, &done, &lsn));
    cr_assert_eq(acknowledge(group, 1, 0, 4, &effects), CAPSTAN_OK);
    cr_assert_eq(group_frontier(group, 0), 5);
    group_forget_mark(group, 0);
    cr_assert(group_take_mark(group, 0, true, &done, &lsn));
    cr_assert_eq(done->frontier, 5, "a mark that was lost is said again");
    expect(group, &effects, "");
    group_effects_fini(&effects);
    group_destroy(&group);
}

/* It gets one key's backlog after the other, which lie in each other's gaps. */
Test(group, takes_stretches_of_what_was_given_in_the_order_of_keys)
{
    group_effects_t effects = {0};
    group_t *group = group_new(&usual);
    read_keys(group, 1, "abcabdabcdcccccc", &effects);
    group_join(group, 1, &many);
    dispatch(group, 0, &effects,
             "1:3 1:9 1:11 1:12 1:13 1:14 1:15 1:16 1:1 1:4 1:7 1:2 1:5 1:8 1:6 1:10 ");
    uint64_t count;
    cr_assert_eq(group_acknowledge(group, 1, 0, 4, 9, &count, &effects), CAPSTAN_OK);
    cr_assert_eq(count, 6);
    cr_assert_eq(group_acknowledge(group, 1, 0, 0, 10, &count, &effects), CAPSTAN_OK);
    cr_assert_eq(count, 4);
    cr_assert_eq(group_frontier(group, 0), 10);
    cr_assert_null(group_check(group), "%s", group_check(group));
    group_effects_fini(&effects);
    group_destroy(&group);
}

Test(group, delivers_again_what_a_lost_member_held_before_anything_that_follows)
{
    group_effects_t effects = {0};
    group_t *group = group_new(&usual);
    group_join(group, 1, &many);
    read_keys(group, 1, "aaa", &effects);
    dispatch(group, 0, &effects, "1:1 1:2 1:3 ");
    cr_assert_eq(acknowledge(group, 1, 0, 1, &effects), CAPSTAN_OK);
    group_leave(group, 0, 1, true, &effects);
    read_keys(group, 4, "a", &effects);
    group_join(group, 2, &many);
    dispatch(group, 0, &effects, "2:2 2:3 2:4 ");
    cr_assert_eq(acknowledge(group, 1, 0, 2, &effects), CAPSTAN_E_FENCED);
    cr_assert_eq(acknowledge(group, 2, 0, 1, &effects), CAPSTAN_E_NOT_HELD);
    cr_assert_eq(acknowledge(group, 2, 0, 2, &effects), CAPSTAN_OK);
    cr_assert_eq(acknowledge(group, 2, 0, 2, &effects), CAPSTAN_E_NOT_HELD);
    cr_assert_eq(group_figures(group).refused, 3);
    group_effects_fini(&effects);
    group_destroy(&group);
}

Test(group, blames_a_lost_member_on_the_event_it_held_longest)
{
    group_effects_t effects = {0};
    group_t *group = group_new(&usual);
    read_keys(group, 1, "ab", &effects);
    for (uint64_t member = 1; member < 3; member++) {
        group_join(group, member, &many);
        group_dispatch(group, 0, &effects);
        group_effects_clear(&effects);
        group_leave(group, 0, member, true, &effects);
        expect(group, &effects, "");
    }
    group_join(group, 3, &one_at_a_time);
    dispatch(group, 0, &effects, "3:1 ");
    group_leave(group, 0, 3, true, &effects);
    expect(group, &effects, "P1 ");
    group_effects_fini(&effects);
    group_destroy(&group);
}

Test(group, retries_a_rejected_event_before_its_successors)
{
    group_effects_t effects = {0};
    group_t *group = group_new(&usual);
    group_join(group, 1, &many);
    read_keys(group, 1, "aab", &effects);
    group_dispatch(group, 0, &effects);
    group_effects_clear(&effects);
    cr_assert_eq(reject(group, 0, 1, 1, &effects), CAPSTAN_OK);
    cr_assert_eq(acknowledge(group, 1, 2, 2, &effects), CAPSTAN_E_NOT_HELD, "taken back");
    read_keys(group, 4, "a", &effects);
    dispatch(group, 99, &effects, "");
    cr_assert_eq(group_due_us(group), 100);
    dispatch(group, 100, &effects, "1:1 1:2 1:4 ");
    cr_assert_eq(reject(group, 100, 1, 1, &effects), CAPSTAN_OK);
    cr_assert_eq(group_due_us(group), 300, "the delay doubles");
    group_effects_fini(&effects);
    group_destroy(&group);
}

Test(group, lets_successors_overtake_a_rejected_event_when_the_limits_say_so)
{
    group_effects_t effects = {0};
    group_limits_t limits = usual;
    limits.while_retried = WHILE_RETRIED_GO_ON;
    group_t *group = group_new(&limits);
    group_join(group, 1, &one_at_a_time);
    read_keys(group, 1, "aa", &effects);
    dispatch(group, 0, &effects, "1:1 ");
    cr_assert_eq(reject(group, 0, 1, 1, &effects), CAPSTAN_OK);
    dispatch(group, 0, &effects, "1:2 ");
    dispatch(group, 100, &effects, "");
    cr_assert_eq(acknowledge(group, 1, 0, 2, &effects), CAPSTAN_OK);
    dispatch(group, 100, &effects, "1:1 ");
    group_effects_fini(&effects);
    group_destroy(&group);
}

Test(group, parks_what_was_tried_often_enough_and_what_follows_it)
{
    group_effects_t effects = {0};
    group_t *group = group_new(&usual);
    group_join(group, 1, &many);
    read_keys(group, 1, "aba", &effects);
    for (int64_t now_us = 0; now_us < 30000; now_us += 10000) {
        group_dispatch(group, now_us, &effects);
        group_effects_clear(&effects);
        cr_assert_eq(reject(group, now_us, 1, 1, &effects), CAPSTAN_OK);
    }
    expect(group, &effects, "P1 p3 ");
    read_keys(group, 4, "aa", &effects);
    expect(group, &effects, "p4 p5 ");
    cr_assert_eq(acknowledge(group, 1, 2, 2, &effects), CAPSTAN_OK);
    cr_assert_eq(group_frontier(group, 0), 5, "parked events do not hold the others up");
    cr_assert_eq(group_figures(group).parked, 4);
    group_effects_fini(&effects);
    group_destroy(&group);
}

static void discard(group_t *group, uint64_t offset, const char *key)
{
    buffer_t bytes = {0};
    codec_encode(event_wire(), &(event_t){.offset = offset, .key = slice_text(key)}, &bytes);
    cr_assert_eq(group_discard(group, 0, buffer_slice(&bytes)), CAPSTAN_OK);
    buffer_fini(&bytes);
}

/* An event as it was parked. */
static void replay(group_t *group, uint64_t offset, const char *key, group_effects_t *effects)
{
    buffer_t bytes = {0};
    codec_encode(event_wire(), &(event_t){.offset = offset, .key = slice_text(key)}, &bytes);
    cr_assert_eq(group_replay(group, 0, buffer_slice(&bytes), effects), CAPSTAN_OK);
    cr_assert_eq(group_replay(group, 0, buffer_slice(&bytes), effects), CAPSTAN_E_EXISTS);
    buffer_fini(&bytes);
}

Test(group, delivers_parked_events_again_in_order)
{
    group_effects_t effects = {0};
    group_t *group = group_new(&usual);
    completed_t completed = {.frontier = 9};
    group_place(group, 0, &completed, 10);
    group_place_parked(group, 0, 2, 200);
    group_place_waiting(group, 0, slice_text("a"));
    group_place_waiting(group, 0, slice_text("a"));
    group_join(group, 1, &one_at_a_time);
    read_keys(group, 10, "a", &effects);
    expect(group, &effects, "p10 ");
    replay(group, 3, "a", &effects);
    replay(group, 7, "a", &effects);
    dispatch(group, 0, &effects, ""); /* not before all of it is back */
    read_keys(group, 11, "a", &effects);
    replay(group, 10, "a", &effects);
    dispatch(group, 0, &effects, "1:3 ");
    cr_assert_eq(acknowledge(group, 1, 0, 3, &effects), CAPSTAN_OK);
    dispatch(group, 0, &effects, "u3 1:7 ");
    group_rejection_t rejection = {.member = 1, .offset = 7, .final = true};
    cr_assert_eq(group_reject(group, 0, &rejection, &effects), CAPSTAN_OK);
    expect(group, &effects, "p11 "); /* what is on record already stays there */
    cr_assert_eq(group_figures(group).parked, 3);
    discard(group, 7, "a");
    replay(group, 10, "a", &effects);
    dispatch(group, 0, &effects, "");
    replay(group, 11, "a", &effects);
    dispatch(group, 0, &effects, "1:10 ");
    group_effects_fini(&effects);
    group_destroy(&group);
}

/* Otherwise a parked event would be on record before what was acknowledged ahead of it. */
Test(group, says_what_was_acknowledged_while_parked_events_wait_for_their_record)
{
    group_effects_t effects = {0};
    group_t *group = group_new(&usual);
    const completed_t *done;
    uint64_t lsn;
    group_join(group, 1, &many);
    read_keys(group, 1, "abc", &effects);
    group_dispatch(group, 0, &effects);
    group_effects_clear(&effects);
    cr_assert_eq(acknowledge(group, 1, 0, 1, &effects), CAPSTAN_OK);
    group_rejection_t rejection = {.member = 1, .offset = 2, .final = true};
    cr_assert_eq(group_reject(group, 0, &rejection, &effects), CAPSTAN_OK);
    expect(group, &effects, "P2 ");
    cr_assert_eq(group_frontier(group, 0), 2);
    cr_assert(group_take_mark(group, 0, false, &done, &lsn));
    cr_assert_eq(done->frontier, 1, "the record of what is parked completes it");
    group_forget_mark(group, 0);
    group_wait_for_record(group, 0, 2);
    cr_assert(group_take_mark(group, 0, false, &done, &lsn));
    cr_assert_eq(done->frontier, 1);
    group_effects_fini(&effects);
    group_destroy(&group);
}

Test(group, tries_on_while_there_is_no_room_to_park)
{
    group_effects_t effects = {0};
    group_limits_t limits = usual;
    limits.parked_max = 1;
    group_t *group = group_new(&limits);
    group_join(group, 1, &many);
    read_keys(group, 1, "aab", &effects);
    group_dispatch(group, 0, &effects);
    group_effects_clear(&effects);
    group_rejection_t rejection = {.member = 1, .offset = 1, .final = true};
    cr_assert_eq(group_reject(group, 0, &rejection, &effects), CAPSTAN_OK);
    expect(group, &effects, "P1 "); /* a's second event waits in memory */
    rejection.offset = 3;
    cr_assert_eq(group_reject(group, 0, &rejection, &effects), CAPSTAN_OK);
    dispatch(group, 100, &effects, "1:3 ");
    discard(group, 1, "a");
    dispatch(group, 100, &effects, "1:2 ");
    group_effects_fini(&effects);
    group_destroy(&group);
}

Test(group, wants_no_more_than_it_may_keep)
{
    group_effects_t effects = {0};
    group_limits_t limits = usual;
    limits.events_max = 4;
    group_t *group = group_new(&limits);
    cr_assert_not(group_wants(group, 0), "without members there is no use for events");
    group_join(group, 1, &many);
    cr_assert(group_wants(group, 0));
    group_set_open(group, 1, false);
    cr_assert_not(group_wants(group, 0), "nor for members that take nothing");
    group_set_open(group, 1, true);
    read_keys(group, 1, "aaaa", &effects);
    cr_assert_not(group_wants(group, 0));
    group_dispatch(group, 0, &effects);
    cr_assert_not(group_wants(group, 1), "what is at members is not done");
    cr_assert_eq(acknowledge(group, 1, 0, 1, &effects), CAPSTAN_OK);
    cr_assert(group_wants(group, 0));
    group_effects_fini(&effects);
    group_destroy(&group);
}

/* Reads one stretch after the other while the group wants it; returns how many events that were. */
static uint64_t read_all_wanted(group_t *group, uint64_t offset, group_effects_t *effects)
{
    enum { STRETCH = 100, STRETCHES_MAX = 1000 };
    char keys[STRETCH + 1] = "";
    uint64_t count = 0;
    memset(keys, 'a', STRETCH);
    for (; group_wants(group, 0) && count < STRETCH * STRETCHES_MAX; count += STRETCH) {
        read_keys(group, offset + count, keys, effects);
    }
    return count;
}

Test(group, reads_ahead_for_full_members_as_far_as_they_get_things_done)
{
    enum { AHEAD = 4096, ROOM = 1000, STRETCH = 100 };
    group_effects_t effects = {0};
    group_limits_t limits = usual;
    limits.events_max = 50000;
    limits.bytes_max = 1 << 30;
    group_t *group = group_new(&limits);
    group_join(group, 1,
               &(member_limits_t){.events_max = ROOM, .key_events_max = ROOM, .concurrency = ROOM});
    uint64_t read = read_all_wanted(group, 1, &effects);
    cr_assert_geq(read, ROOM + AHEAD);
    cr_assert_lt(read, ROOM + AHEAD + STRETCH, "nothing is done yet, and the member is full");
    cr_assert_eq(acknowledge(group, 1, 0, ROOM, &effects), CAPSTAN_OK);
    group_dispatch(group, 0, &effects);
    cr_assert_eq(group_figures(group).held, ROOM);
    read += read_all_wanted(group, read + 1, &effects);
    cr_assert_geq(read, 2 * ROOM + AHEAD + ROOM);
    cr_assert_lt(read, 2 * ROOM + AHEAD + ROOM + STRETCH, "as many more as were done");
    group_join(group, 2, &many);
    cr_assert(group_wants(group, 0), "somebody has room");
    group_effects_fini(&effects);
    group_destroy(&group);
}

Test(group, passes_over_what_was_completed_before_a_restart_and_over_no_hole)
{
    group_effects_t effects = {0};
    group_t *group = group_new(&usual);
    completed_t completed = {0};
    completed_add(&completed, 1, 2);
    completed_add(&completed, 5, 5);
    group_place(group, 0, &completed, 1);
    group_join(group, 1, &many);
    read_keys(group, 1, "abcdef", &effects);
    dispatch(group, 0, &effects, "1:3 1:4 1:6 ");
    cr_assert_eq(try_keys(group, 9, "g", &effects), CAPSTAN_E_MALFORMED, "7 and 8 would be lost");
    read_keys(group, 5, "efg", &effects); /* 5 and 6 once more */
    dispatch(group, 0, &effects, "1:7 ");
    cr_assert_eq(acknowledge(group, 1, 0, 7, &effects), CAPSTAN_OK);
    cr_assert_eq(group_frontier(group, 0), 7);
    completed_fini(&completed);
    group_effects_fini(&effects);
    group_destroy(&group);
}

Test(group, keeps_partitions_or_nothing_apart_in_its_other_modes)
{
    group_effects_t effects = {0};
    group_limits_t limits = usual;
    limits.mode = GROUP_BY_PARTITION;
    group_t *group = group_new(&limits);
    group_join(group, 1, &one_at_a_time);
    group_join(group, 2, &one_at_a_time);
    read_keys(group, 1, "ab", &effects);
    dispatch(group, 0, &effects, "1:1 ");
    group_destroy(&group);
    limits.mode = GROUP_UNORDERED;
    group = group_new(&limits);
    group_join(group, 1, &one_at_a_time);
    group_join(group, 2, &one_at_a_time);
    read_keys(group, 1, "aa", &effects);
    dispatch(group, 0, &effects, "1:1 2:2 ");
    group_effects_fini(&effects);
    group_destroy(&group);
}
