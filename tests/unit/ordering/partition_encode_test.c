/* The hand-written encoder of the event record against the table's codec. */
#include "tests/unit/ordering/partition_kit.h"

static void assert_equal_encoding(const event_t *event)
{
    buffer_t fast = {0};
    buffer_t table = {0};
    event_encode(event, &fast);
    codec_encode(event_wire(), event, &table);
    cr_assert(slice_equal(buffer_slice(&fast), buffer_slice(&table)));

    /* And a held one, released, against the same event encoded with its offset. */
    if (event->offset == 0) {
        event_t with_offset = *event;
        with_offset.offset = UINT64_C(70000);
        cr_assert(event_releasable(buffer_slice(&fast)));
        buffer_t released = {0};
        event_encode_released(buffer_slice(&fast), with_offset.offset, &released);
        buffer_clear(&table);
        codec_encode(event_wire(), &with_offset, &table);
        cr_assert(slice_equal(buffer_slice(&released), buffer_slice(&table)));
        buffer_fini(&released);
    }
    buffer_fini(&fast);
    buffer_fini(&table);
}

Test(partition_encode, equals_the_codec_for_every_width_of_number)
{
    for (unsigned shift = 0; shift < 64; shift++) {
        for (int64_t around = -2; around <= 2; around++) {
            uint64_t number = (UINT64_C(1) << shift) + (uint64_t)around;
            event_t event = {.offset = number,
                             .key = slice_text("k"),
                             .producer_epoch = number,
                             .sequence = number,
                             .time_us = (int64_t)number,
                             .accepted_us = (int64_t)(0 - number),
                             .diverted = number,
                             .not_before_us = (int64_t)number};
            assert_equal_encoding(&event);
            event.offset = 0;
            assert_equal_encoding(&event);
        }
    }
}

Test(partition_encode, equals_the_codec_for_every_length)
{
    static const size_t sizes[] = {0, 1, 31, 32, 255, 256, 65535, 65536, 100000};
    static char bytes[100000];
    memset(bytes, 'x', sizeof bytes);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        slice_t slice = slice_of(bytes, sizes[i]);
        assert_equal_encoding(
            &(event_t){.key = slice, .producer = slice, .content_type = slice, .payload = slice});
    }
}

Test(partition_encode, keeps_headers_as_they_came)
{
    buffer_t list = {0};
    codec_list_writer_t writer = codec_list_begin(&list);
    header_t header = {.name = slice_text("a"), .value = slice_text("b")};
    codec_list_add(&writer, header_wire(), &header);
    codec_list_end(&writer);
    assert_equal_encoding(
        &(event_t){.key = slice_text("k"), .headers = buffer_slice(&list), .time_us = -1});
    buffer_fini(&list);
}

Test(partition_encode, a_diverted_event_is_known_by_its_end_also_when_it_was_erased_or_delayed)
{
    for (uint64_t diverted = DIVERTED_NOT; diverted <= DIVERTED_REMOVED; diverted++) {
        for (uint64_t bits = 0; bits < 4; bits++) {
            uint64_t erased = bits & 1;
            int64_t not_before_us = bits & 2 ? INT64_C(0x0b010b010b01) : 0;
            buffer_t record = {0};
            event_encode(&(event_t){.offset = 1,
                                    .key = slice_text("k"),
                                    .accepted_us = 0x0b010b01,
                                    .diverted = diverted,
                                    .late = diverted == DIVERTED_NOT,
                                    .erased = erased,
                                    .not_before_us = not_before_us},
                         &record);
            cr_assert_eq(event_diversion(buffer_slice(&record)), (diversion_t)diverted);
            buffer_fini(&record);
        }
    }
}
