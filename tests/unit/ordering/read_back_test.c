/* A stretch that was read back: whom it serves with what, and when it goes. */
#include "actors/ordering/read_back.h"

#include <criterion/criterion.h>

/* The events (before, last], of growing sizes. */
static read_back_t stretch_of(uint64_t before, uint64_t last)
{
    static const char padding[256];
    read_back_t stretch = {.offset_before = before, .offset_last = last, .lsn_next = last * 10};
    codec_list_writer_t writer = codec_list_begin(&stretch.events);
    for (uint64_t offset = before + 1; offset <= last; offset++) {
        size_t begin = stretch.events.size;
        codec_list_add(&writer, event_wire(),
                       &(event_t){.offset = offset,
                                  .key = slice_text("k"),
                                  .payload = {padding, (size_t)offset % sizeof padding}});
        uint32_t size = (uint32_t)(stretch.events.size - begin);
        buffer_append(&stretch.sizes, &size, sizeof size);
    }
    codec_list_end(&writer);
    return stretch;
}

/* Checks that the offsets behind `offset` follow each other, each where its size says; returns how
 * many they are. */
static uint64_t check_from(read_back_t *back, uint64_t offset)
{
    slice_t events;
    slice_t sizes;
    codec_list_t list;
    uint64_t count = 0;
    read_back_from(back, offset, &events, &sizes);
    cr_assert_eq(codec_list_open(event_wire(), events, &list), CAPSTAN_OK);
    cr_assert_eq(sizes.size, list.left * sizeof(uint32_t));
    for (slice_t record; codec_list_next_raw(&list, &record); count++) {
        event_t event;
        uint32_t size;
        memcpy(&size, (const uint8_t *)sizes.data + count * sizeof size, sizeof size);
        cr_assert_eq(codec_decode(event_wire(), record, &event, NULL), CAPSTAN_OK);
        cr_assert_eq(event.offset, offset + count + 1);
        cr_assert_eq(record.size, size);
    }
    cr_assert_eq(list.fault.err, CAPSTAN_OK);
    return count;
}

Test(read_back, serves_whoever_stands_within_it)
{
    read_back_t back = {0};
    read_back_t stretch = stretch_of(100, 300);
    cr_assert(!read_back_covers(&back, 0), "nothing was read yet");
    read_back_keep(&back, &stretch);
    cr_assert(stretch.events.data == NULL, "it belongs to who keeps it");
    cr_assert(!read_back_covers(&back, 99));
    cr_assert(!read_back_covers(&back, 300));
    cr_assert_eq(check_from(&back, 100), 200);
    cr_assert_eq(check_from(&back, 100), 200, "also the one after");
    cr_assert_eq(check_from(&back, 250), 50, "and one further on");
    cr_assert(!read_back_covers(&back, 100), "what is before that one is gone");
    cr_assert_eq(check_from(&back, 299), 1);
    stretch = stretch_of(300, 310);
    read_back_keep(&back, &stretch);
    cr_assert_eq(check_from(&back, 300), 10, "the newest stretch replaces the one before");
    cr_assert(!read_back_covers(&back, 299));
    read_back_fini(&back);
}

Test(read_back, lets_go_when_nobody_wanted_it_for_a_while)
{
    read_back_t back = {0};
    read_back_t stretch = stretch_of(0, 10);
    read_back_pass_over(&back);
    read_back_keep(&back, &stretch);
    for (int i = 0; i < 63; i++) {
        read_back_pass_over(&back);
    }
    cr_assert_eq(check_from(&back, 0), 10, "being used makes it young again");
    for (int i = 0; i < 63; i++) {
        read_back_pass_over(&back);
    }
    cr_assert(read_back_covers(&back, 0));
    read_back_pass_over(&back);
    cr_assert(!read_back_covers(&back, 0));
    cr_assert(back.events.data == NULL);
    read_back_fini(&back);
}
