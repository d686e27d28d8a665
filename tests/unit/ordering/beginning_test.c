/* What a subscription says about where it begins, and what each partition is asked then. */
#include "actors/ordering/beginning.h"

#include <criterion/criterion.h>

enum { PARTITIONS = 4, NOW_US = 1000 };

static const char *begin(const subscribe_t *request, const position_t *positions, size_t count,
                         buffer_t *out)
{
    buffer_t resume = {0};
    subscribe_t whole = *request;
    codec_list_writer_t list = codec_list_begin(&resume);
    for (size_t i = 0; i < count; i++) {
        codec_list_add(&list, position_wire(), &positions[i]);
    }
    codec_list_end(&list);
    whole.resume = buffer_slice(&resume);
    buffer_clear(out);
    const char *wrong = beginning_of(&whole, PARTITIONS, NOW_US, out);
    buffer_fini(&resume);
    return wrong;
}

static partition_find_t ask(const buffer_t *record, uint64_t partition, buffer_t *body)
{
    partition_find_t question;
    buffer_clear(body);
    beginning_ask(buffer_slice(record), partition, slice_text("g"), body);
    cr_assert_eq(codec_decode(partition_find_wire(), buffer_slice(body), &question, NULL),
                 CAPSTAN_OK);
    cr_assert(slice_equal(question.beginner, slice_text("g")));
    return question;
}

Test(beginning, is_nothing_for_the_usual_one)
{
    buffer_t record = {0};
    cr_assert_null(begin(&(subscribe_t){.from = 0}, NULL, 0, &record));
    cr_assert_eq(record.size, 0);
    cr_assert_null(begin(&(subscribe_t){.from = FROM_EARLIEST}, NULL, 0, &record));
    cr_assert_eq(record.size, 0);
    cr_assert_not(beginning_binds(buffer_slice(&record)));
    buffer_fini(&record);
}

Test(beginning, asks_each_partition_for_its_own_place)
{
    const position_t positions[] = {{.partition = 2, .offset = 7}, {.partition = 0, .offset = 0}};
    buffer_t record = {0};
    buffer_t body = {0};
    const subscribe_t request = {.from = FROM_TIME, .from_time_us = NOW_US};
    cr_assert_null(begin(&request, positions, 2, &record));
    cr_assert(beginning_binds(buffer_slice(&record)));
    partition_find_t question = ask(&record, 1, &body);
    cr_assert_eq(question.from, FROM_TIME);
    cr_assert_eq(question.time_us, NOW_US);
    question = ask(&record, 2, &body);
    cr_assert_eq(question.from, FROM_EARLIEST);
    cr_assert_eq(question.offset, 7);
    question = ask(&record, 0, &body);
    cr_assert_eq(question.from, FROM_EARLIEST);
    cr_assert_eq(question.offset, 0);

    cr_assert_null(begin(&(subscribe_t){.from = FROM_GROUP, .from_group = slice_text("other")},
                         NULL, 0, &record));
    cr_assert(beginning_is_of_group(buffer_slice(&record)));
    question = ask(&record, 3, &body);
    cr_assert_eq(question.from, FROM_GROUP);
    cr_assert(slice_equal(question.group, slice_text("other")));
    buffer_fini(&record);
    buffer_fini(&body);
}

Test(beginning, has_the_same_bytes_for_the_same_place)
{
    const position_t one[] = {{.partition = 2, .offset = 7}, {.partition = 1, .offset = 3}};
    const position_t other[] = {{.partition = 1, .offset = 3, .first = 2},
                                {.partition = 2, .offset = 7}};
    buffer_t first = {0};
    buffer_t second = {0};
    cr_assert_null(begin(&(subscribe_t){.from_time_us = 5}, one, 2, &first));
    cr_assert_null(
        begin(&(subscribe_t){.from = 1, .from_group = slice_text("x")}, other, 2, &second));
    cr_assert(slice_equal(buffer_slice(&first), buffer_slice(&second)));
    buffer_fini(&first);
    buffer_fini(&second);
}

Test(beginning, at_the_end_is_for_new_groups_only)
{
    const position_t position = {.partition = 1, .offset = 3};
    buffer_t record = {0};
    cr_assert_null(begin(&(subscribe_t){.from = FROM_LATEST}, NULL, 0, &record));
    cr_assert_gt(record.size, 0);
    cr_assert_not(beginning_binds(buffer_slice(&record)));
    cr_assert_null(begin(&(subscribe_t){.from = FROM_LATEST}, &position, 1, &record));
    cr_assert(beginning_binds(buffer_slice(&record)));
    buffer_fini(&record);
}

Test(beginning, says_what_is_wrong_with_a_request)
{
    const position_t twice[] = {{.partition = 1, .offset = 3}, {.partition = 1, .offset = 3}};
    const position_t outside = {.partition = PARTITIONS, .offset = 1};
    const position_t endless = {.partition = 1, .offset = UINT64_MAX};
    buffer_t record = {0};
    cr_assert_str_eq(begin(&(subscribe_t){.from = 5}, NULL, 0, &record),
                     "from: 1 earliest, 2 latest, 3 from_time_us, 4 from_group");
    cr_assert_str_eq(begin(&(subscribe_t){.from = FROM_GROUP}, NULL, 0, &record),
                     "from_group: a group of the topic");
    cr_assert_str_eq(
        begin(&(subscribe_t){.from = FROM_TIME, .from_time_us = NOW_US + 1}, NULL, 0, &record),
        "from_time_us: it is ahead of the node's clock");
    cr_assert_not_null(begin(&(subscribe_t){.from = 1}, twice, 2, &record));
    cr_assert_not_null(begin(&(subscribe_t){.from = 1}, &outside, 1, &record));
    cr_assert_not_null(begin(&(subscribe_t){.from = 1}, &endless, 1, &record));
    cr_assert_not_null(
        beginning_of(&(subscribe_t){.resume = slice_text("x")}, PARTITIONS, NOW_US, &record));
    cr_assert_eq(record.size, 0);
    buffer_fini(&record);
}
