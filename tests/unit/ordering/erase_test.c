/* What is left of events, of parked ones and of a group's marks when a key is erased. */
#include "actors/ordering/erase.h"
#include "actors/ordering/tail.h"

#include <criterion/criterion.h>
#include <string.h>

static void encode(uint64_t offset, const char *key, buffer_t *out)
{
    codec_encode(event_wire(),
                 &(event_t){.offset = offset,
                            .key = slice_text(key),
                            .producer = slice_text("p"),
                            .sequence = 7,
                            .time_us = 1,
                            .content_type = slice_text("text/plain"),
                            .payload = slice_text("secret"),
                            .accepted_us = 2},
                 out);
}

static bool says(const buffer_t *bytes, const char *word)
{
    return memmem(bytes->data, bytes->size, word, strlen(word)) != NULL;
}

Test(erase, leaves_what_orders_an_event_and_nothing_else)
{
    buffer_t event = {0};
    buffer_t left = {0};
    event_t read;
    uint64_t count = 0;
    encode(5, "k", &event);
    cr_assert_eq(
        erase_record(RECORD_event, buffer_slice(&event), slice_text("other"), &left, &count),
        CAPSTAN_OK);
    cr_assert(left.size == 0 && count == 0);
    cr_assert_eq(erase_record(RECORD_event, buffer_slice(&event), slice_text("k"), &left, &count),
                 CAPSTAN_OK);
    cr_assert_eq(count, 1);
    cr_assert_eq(codec_decode(event_wire(), buffer_slice(&left), &read, NULL), CAPSTAN_OK);
    cr_assert(read.offset == 5 && read.sequence == 7 && read.time_us == 1 && read.accepted_us == 2);
    cr_assert(slice_equal(read.key, slice_text("k")) &&
              slice_equal(read.producer, slice_text("p")));
    cr_assert(read.payload.size == 0 && read.content_type.size == 0 && read.erased == 1);
    cr_assert_not(erase_concerns(buffer_slice(&left), slice_text("k")), "once is enough");
    cr_assert_neq(erase_record(RECORD_event, slice_of(event.data, event.size - 1), slice_text("k"),
                               &left, &count),
                  CAPSTAN_OK);
    buffer_fini(&event);
    buffer_fini(&left);
}

Test(erase, reaches_an_event_that_waits_for_its_time)
{
    buffer_t event = {0};
    buffer_t record = {0};
    buffer_t left = {0};
    scheduled_mark_t mark;
    uint64_t count = 0;
    encode(0, "k", &event);
    codec_encode(scheduled_mark_wire(),
                 &(scheduled_mark_t){.number = 9, .event = buffer_slice(&event)}, &record);
    cr_assert_eq(erase_record(RECORD_scheduled_mark, buffer_slice(&record), slice_text("other"),
                              &left, &count),
                 CAPSTAN_OK);
    cr_assert(left.size == 0 && count == 0);
    cr_assert_eq(
        erase_record(RECORD_scheduled_mark, buffer_slice(&record), slice_text("k"), &left, &count),
        CAPSTAN_OK);
    cr_assert_eq(codec_decode(scheduled_mark_wire(), buffer_slice(&left), &mark, NULL), CAPSTAN_OK);
    cr_assert(count == 1 && mark.number == 9 && !says(&left, "secret"));
    cr_assert_not(erase_concerns(mark.event, slice_text("k")), "once is enough");
    buffer_fini(&event);
    buffer_fini(&record);
    buffer_fini(&left);
}

Test(erase, goes_through_what_groups_have_parked)
{
    buffer_t parked = {0};
    buffer_t mark = {0};
    buffer_t left = {0};
    uint64_t count = 0;
    codec_list_writer_t list = codec_list_begin(&parked);
    for (uint64_t i = 1; i <= 4; i++) {
        buffer_t event = {0};
        encode(i, i == 3 ? "k" : "other", &event);
        codec_list_add(&list, parked_wire(),
                       &(parked_t){.event = buffer_slice(&event),
                                   .attempts = i,
                                   .reason = slice_text("secret"),
                                   .since_us = 9});
        buffer_fini(&event);
    }
    codec_list_end(&list);
    codec_encode(group_mark_wire(),
                 &(group_mark_t){.group = slice_text("g"), .parked = buffer_slice(&parked)}, &mark);
    cr_assert_eq(
        erase_record(RECORD_group_mark, buffer_slice(&mark), slice_text("x"), &left, &count),
        CAPSTAN_OK);
    cr_assert_eq(left.size, 0);
    cr_assert_eq(
        erase_record(RECORD_group_mark, buffer_slice(&mark), slice_text("k"), &left, &count),
        CAPSTAN_OK);
    group_mark_t read;
    codec_list_t iterator;
    parked_t one;
    cr_assert_eq(codec_decode(group_mark_wire(), buffer_slice(&left), &read, NULL), CAPSTAN_OK);
    cr_assert_eq(codec_list_open(parked_wire(), read.parked, &iterator), CAPSTAN_OK);
    for (uint64_t i = 1; i <= 4; i++) {
        cr_assert(codec_list_next(&iterator, &one));
        cr_assert_eq(one.attempts, i);
        buffer_t bytes = {.data = (uint8_t *)(uintptr_t)one.event.data, .size = one.event.size};
        cr_assert_eq(says(&bytes, "secret"), i != 3);
        cr_assert_eq(one.reason.size == 0, i == 3);
    }
    cr_assert_eq(count, 0, "those of the log are counted");
    buffer_fini(&parked);
    buffer_fini(&mark);
    buffer_fini(&left);
}

Test(erase, takes_a_key_out_of_the_newest_events_in_memory)
{
    tail_t tail;
    buffer_t event = {0};
    tail_init(&tail, 1, 1 << 20);
    for (uint64_t i = 1; i <= 6; i++) {
        buffer_clear(&event);
        encode(i, i % 2 ? "k" : "other", &event);
        tail_add(&tail, i, buffer_slice(&event));
        if (i == 4) {
            tail_seal(&tail, 1, 5);
        }
    }
    tail_erase(&tail, slice_text("k"));
    tail_seal(&tail, 5, 7);
    tail_commit(&tail, 7);
    buffer_t events = {0};
    buffer_t sizes = {0};
    codec_list_t iterator;
    slice_t one;
    tail_cursor_t cursor = {0};
    codec_list_writer_t list = codec_list_begin(&events);
    cr_assert_eq(tail_read(&tail, &cursor, 1 << 20, &list, &sizes), 6);
    codec_list_end(&list);
    cr_assert_eq(codec_list_open(event_wire(), buffer_slice(&events), &iterator), CAPSTAN_OK);
    for (uint64_t i = 1; codec_list_next_raw(&iterator, &one); i++) {
        buffer_t bytes = {.data = (uint8_t *)(uintptr_t)one.data, .size = one.size};
        uint64_t offset = 0;
        cr_assert(codec_peek_uint(one, 1, &offset) && offset == i);
        cr_assert_eq(says(&bytes, "secret"), i % 2 == 0);
    }
    tail_fini(&tail);
    buffer_fini(&events);
    buffer_fini(&sizes);
    buffer_fini(&event);
}
