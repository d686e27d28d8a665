/* The newest events in memory: what a reader sees at the seams between segments, the disk and the
 * bound. */
#include "actors/ordering/tail.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* An event's encoding, of `size` bytes at least. */
static void add(tail_t *tail, uint64_t offset, size_t size)
{
    static const char padding[256];
    buffer_t bytes = {0};
    codec_encode(event_wire(),
                 &(event_t){.offset = offset, .key = slice_text("k"), .payload = {padding, size}},
                 &bytes);
    tail_add(tail, offset, buffer_slice(&bytes));
    buffer_fini(&bytes);
}

/* Reads behind the cursor and checks that the offsets follow each other; returns how many. */
static uint64_t read_on(const tail_t *tail, tail_cursor_t *cursor, size_t bytes_max)
{
    buffer_t bytes = {0};
    codec_list_t list;
    event_t event;
    uint64_t last = cursor->offset;
    codec_list_writer_t writer = codec_list_begin(&bytes);
    buffer_t sizes = {0};
    uint64_t count = tail_read(tail, cursor, bytes_max, &writer, &sizes);
    cr_assert_eq(sizes.size, count * sizeof(uint32_t));
    buffer_fini(&sizes);
    codec_list_end(&writer);
    cr_assert_eq(codec_list_open(event_wire(), buffer_slice(&bytes), &list), CAPSTAN_OK);
    while (codec_list_next(&list, &event)) {
        cr_assert_eq(event.offset, ++last);
    }
    cr_assert_eq(last, cursor->offset);
    cr_assert_eq(writer.count, count);
    buffer_fini(&bytes);
    return count;
}

Test(tail, shows_what_is_under_way_if_it_is_revealed_and_keeps_it_until_it_is_on_disk)
{
    tail_t tail;
    tail_cursor_t cursor = {0};
    tail_init(&tail, 1, 1);
    add(&tail, 1, 10);
    tail_seal(&tail, 1, 2);
    tail_reveal(&tail);
    add(&tail, 2, 10);
    tail_reveal(&tail);
    cr_assert_eq(read_on(&tail, &cursor, 1000), 1, "the open segment is not readable");
    tail_seal(&tail, 2, 3);
    tail_reveal(&tail);
    tail_commit(&tail, 1);
    cr_assert_eq(tail.offset_committed, 2, "what was shown stays");
    cr_assert(tail_covers(&tail, 0), "nothing is on disk, and the tail is over its bound");
    cr_assert_eq(read_on(&tail, &cursor, 1000), 1);
    tail_commit(&tail, 2);
    cr_assert_not(tail_covers(&tail, 0));
    cr_assert(tail_covers(&tail, 1));
    tail_commit(&tail, 3);
    cr_assert_not(tail_covers(&tail, 1));
    cr_assert_eq(tail.offset_stored, 2);
    tail_fini(&tail);
}

Test(tail, shows_an_event_only_once_its_append_is_on_disk)
{
    tail_t tail;
    tail_cursor_t cursor = {0};
    tail_init(&tail, 1, 1 << 20);
    add(&tail, 1, 10);
    add(&tail, 2, 10);
    cr_assert_eq(read_on(&tail, &cursor, 1000), 0, "the open segment is not readable");
    tail_seal(&tail, 1, 4);
    add(&tail, 3, 10);
    cr_assert_eq(read_on(&tail, &cursor, 1000), 0, "a segment under way is not readable");
    tail_commit(&tail, 3);
    cr_assert_eq(read_on(&tail, &cursor, 1000), 0, "nor one of which a part is on disk");
    tail_commit(&tail, 4);
    cr_assert_eq(read_on(&tail, &cursor, 1000), 2);
    cr_assert_eq(cursor.lsn, 4);
    tail_fini(&tail);
}

Test(tail, hands_out_every_event_once_whatever_the_size_of_the_reads)
{
    for (size_t bytes_max = 1; bytes_max < 400; bytes_max += 13) {
        tail_t tail;
        tail_cursor_t cursor = {0};
        uint64_t lsn = 1;
        uint64_t count = 0;
        tail_init(&tail, 1, 1 << 20);
        for (uint64_t offset = 1; offset <= 60; offset++) {
            add(&tail, offset, offset % 7 * 10);
            if (offset % 6 == 0) {
                tail_seal(&tail, lsn, lsn + 7);
                lsn += 7;
            }
        }
        tail_commit(&tail, lsn);
        for (uint64_t got; (got = read_on(&tail, &cursor, bytes_max)) > 0;) {
            count += got;
        }
        cr_assert_eq(count, 60);
        cr_assert_eq(cursor.lsn, lsn);
        tail_fini(&tail);
    }
}

/* Reading the log from the cursor's lsn must find the next event: never a later place. */
Test(tail, leaves_a_cursor_from_which_the_log_finds_the_next_event)
{
    tail_t tail;
    tail_init(&tail, 1, 1 << 20);
    for (uint64_t offset = 1; offset <= 40; offset++) {
        add(&tail, offset, 20);
        if (offset % 10 == 0) {
            tail_seal(&tail, offset - 9, offset + 1); /* lsn and offset are the same here */
        }
    }
    tail_commit(&tail, 41);
    tail_cursor_t cursor = {0};
    while (read_on(&tail, &cursor, 100) > 0) {
        cr_assert_leq(cursor.lsn, cursor.offset + 1);
    }
    cr_assert_eq(cursor.offset, 40);
    tail_fini(&tail);
}

Test(tail, lets_go_of_the_oldest_committed_events_only)
{
    tail_t tail;
    tail_init(&tail, 1, 500);
    for (uint64_t offset = 1; offset <= 40; offset++) {
        add(&tail, offset, 50);
        tail_seal(&tail, offset, offset + 1);
    }
    tail_commit(&tail, 11);
    cr_assert(!tail_covers(&tail, 0));
    cr_assert(tail_covers(&tail, 10), "what is not on disk stays");
    tail_commit(&tail, 41);
    cr_assert(!tail_covers(&tail, 20));
    cr_assert(tail_covers(&tail, 40), "a reader at the end waits for the next commit");
    tail_fini(&tail);
}

Test(tail, lets_go_of_what_was_compacted_as_far_as_it_is_on_disk)
{
    tail_t tail;
    tail_init(&tail, 1, 100000);
    for (uint64_t offset = 1; offset <= 9; offset += 3) {
        add(&tail, offset, 50);
        add(&tail, offset + 1, 50);
        add(&tail, offset + 2, 50);
        tail_seal(&tail, offset, offset + 3);
    }
    tail_commit(&tail, 7);
    tail_let_go(&tail, 5);
    cr_assert(!tail_covers(&tail, 2) && tail_covers(&tail, 3), "a segment goes as a whole");
    tail_let_go(&tail, 9);
    cr_assert(!tail_covers(&tail, 5) && tail_covers(&tail, 6), "what is not on disk stays");
    tail_commit(&tail, 10);
    tail_let_go(&tail, 9);
    cr_assert(!tail_covers(&tail, 8) && tail_covers(&tail, 9));
    add(&tail, 10, 50);
    tail_seal(&tail, 10, 11);
    tail_commit(&tail, 11);
    tail_cursor_t cursor = {.offset = 9};
    cr_assert_eq(read_on(&tail, &cursor, 1000), 1);
    tail_fini(&tail);
}

Test(tail, begins_empty_behind_what_was_recovered)
{
    tail_t tail;
    tail_cursor_t cursor = {.offset = 99};
    tail_init(&tail, 100, 1000);
    cr_assert(!tail_covers(&tail, 98));
    cr_assert(tail_covers(&tail, 99));
    cr_assert_eq(read_on(&tail, &cursor, 1000), 0);
    tail_fini(&tail);
}
