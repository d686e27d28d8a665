/* The compiled readers and writers against the codec: the same bytes, the same values, the same
 * verdicts, on good bytes and on damaged ones. */
#include "actors/ordering/ordering_messages.h"
#include "runtime/simulation/random.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static slice_t some_text(random_source_t *random, uint8_t *space, size_t size_max)
{
    size_t size = random_below(random, 4) == 0 ? 0 : random_below(random, size_max);
    for (size_t i = 0; i < size; i++) {
        space[i] = (uint8_t)('a' + random_below(random, 26));
    }
    return slice_of(space, size);
}

static uint64_t some_number(random_source_t *random)
{
    return random_below(random, 3) == 0 ? 0 : random_next(random) >> random_below(random, 64);
}

static void some_publish(random_source_t *random, uint8_t space[4][400], buffer_t *headers,
                         publish_t *ret_publish)
{
    buffer_clear(headers);
    codec_list_writer_t list = codec_list_begin(headers);
    for (uint64_t i = random_below(random, 3); i > 0; i--) {
        codec_list_add(&list, header_wire(),
                       &(header_t){.name = slice_text("n"), .value = slice_text("value")});
    }
    codec_list_end(&list);
    *ret_publish = (publish_t){.topic = some_text(random, space[0], 40),
                               .key = some_text(random, space[1], 300),
                               .producer = some_text(random, space[2], 40),
                               .producer_epoch = some_number(random),
                               .sequence = some_number(random),
                               .time_us = (int64_t)some_number(random),
                               .content_type = slice_text("text/plain"),
                               .headers = buffer_slice(headers),
                               .payload = some_text(random, space[3], 400),
                               .not_before_us = -(int64_t)random_below(random, 300)};
}

/* Damages a byte, cuts the end off, or leaves the bytes as they are. */
static slice_t damage(random_source_t *random, buffer_t *bytes)
{
    size_t size = bytes->size;
    switch (random_below(random, 4)) {
    case 0:
        bytes->data[random_below(random, size)] = (uint8_t)random_next(random);
        break;
    case 1: /* keys and types stand at the beginning */
        bytes->data[random_below(random, size < 12 ? size : 12)] ^=
            (uint8_t)(1U << random_below(random, 8));
        break;
    case 2:
        size = random_below(random, size);
        break;
    default:
        break;
    }
    return slice_of(bytes->data, size);
}

static bool publish_equal(const publish_t *a, const publish_t *b)
{
    return slice_equal(a->topic, b->topic) && slice_equal(a->key, b->key) &&
           slice_equal(a->producer, b->producer) && a->producer_epoch == b->producer_epoch &&
           a->sequence == b->sequence && a->time_us == b->time_us &&
           slice_equal(a->content_type, b->content_type) && slice_equal(a->headers, b->headers) &&
           slice_equal(a->payload, b->payload) && a->not_before_us == b->not_before_us;
}

static void compare_reading(slice_t input, const buffer_t *whole)
{
    publish_t fast;
    publish_t table;
    /* Exactly as large as the input, so that a sanitizer sees what is read behind it. */
    uint8_t *copy = malloc(input.size > 0 ? input.size : 1);
    memcpy(copy, input.data, input.size);
    slice_t bytes = slice_of(copy, input.size);
    capstan_err_t err = codec_decode(publish_wire(), bytes, &table, NULL);
    cr_assert_eq(publish_decode(bytes, &fast), err);
    cr_assert(err != CAPSTAN_OK || publish_equal(&fast, &table));
    slice_t topic = {0};
    slice_t key = {0};
    bool found = publish_way(bytes, &topic, &key);
    slice_t peeked[2] = {{0}, {0}};
    bool peeks = codec_peek_slice(bytes, 1, &peeked[0]) && codec_peek_slice(bytes, 2, &peeked[1]);
    cr_assert_eq(found, peeks);
    cr_assert(!found || (slice_equal(topic, peeked[0]) && slice_equal(key, peeked[1])));
    cr_assert(err != CAPSTAN_OK || found);
    cr_assert_leq(input.size, whole->size);
    free(copy);
}

Test(event_codec, a_publish_reads_and_is_written_as_by_the_codec)
{
    random_source_t random = {.state = 4711};
    uint8_t space[4][400];
    buffer_t headers = {0};
    buffer_t fast = {0};
    buffer_t table = {0};
    for (int i = 0; i < 200000; i++) {
        publish_t publish;
        some_publish(&random, space, &headers, &publish);
        buffer_clear(&fast);
        buffer_clear(&table);
        publish_encode(&publish, &fast);
        codec_encode(publish_wire(), &publish, &table);
        cr_assert(slice_equal(buffer_slice(&fast), buffer_slice(&table)));
        compare_reading(damage(&random, &fast), &table);
    }
    buffer_fini(&headers);
    buffer_fini(&fast);
    buffer_fini(&table);
}

/* A head that claims fewer fields than follow, or more than can: the way is that of nobody. */
Test(event_codec, the_way_of_a_publish_is_found_where_the_codec_finds_it)
{
    uint8_t body[] = {0x80, 1, 0xa1, 't', 2, 0xc4, 1, 'k'};
    slice_t topic;
    slice_t key;
    for (uint8_t fields = 0; fields < 16; fields++) {
        body[0] = (uint8_t)(0x80 | fields);
        bool sound = fields >= 2 && 2 * fields < (int)sizeof body;
        cr_assert_eq(publish_way(slice_of(body, sizeof body), &topic, &key), sound, "%u", fields);
    }
}

Test(event_codec, events_of_a_list_are_read_as_by_the_codec)
{
    random_source_t random = {.state = 4712};
    buffer_t bytes = {0};
    for (int i = 0; i < 20000; i++) {
        buffer_clear(&bytes);
        codec_list_writer_t writer = codec_list_begin(&bytes);
        for (uint64_t k = random_below(&random, 5); k > 0; k--) {
            codec_list_add(&writer, event_wire(),
                           &(event_t){.offset = some_number(&random),
                                      .key = slice_text("key"),
                                      .sequence = some_number(&random),
                                      .accepted_us = (int64_t)some_number(&random),
                                      .late = random_below(&random, 2) == 1});
        }
        codec_list_end(&writer);
        slice_t input = damage(&random, &bytes);
        codec_list_t fast;
        codec_list_t table;
        event_t a;
        event_t b;
        if (codec_list_open(event_wire(), input, &fast) != CAPSTAN_OK) {
            continue;
        }
        cr_assert_eq(codec_list_open(event_wire(), input, &table), CAPSTAN_OK);
        bool more;
        do {
            more = codec_list_next(&table, &b);
            cr_assert_eq(event_next(&fast, &a), more);
            cr_assert(!more || (a.offset == b.offset && slice_equal(a.key, b.key) &&
                                a.sequence == b.sequence && a.accepted_us == b.accepted_us &&
                                a.late == b.late && a.diverted == b.diverted));
        } while (more);
        cr_assert_eq(fast.fault.err, table.fault.err);
    }
    buffer_fini(&bytes);
}

Test(event_codec, the_place_of_an_event_is_what_the_codec_reads)
{
    random_source_t random = {.state = 4713};
    uint8_t space[300];
    buffer_t bytes = {0};
    int places = 0;
    for (int i = 0; i < 100000; i++) {
        buffer_clear(&bytes);
        event_encode(&(event_t){.offset = some_number(&random),
                                .key = some_text(&random, space, sizeof space),
                                .sequence = some_number(&random)},
                     &bytes);
        slice_t record = damage(&random, &bytes);
        event_t event;
        uint64_t offset;
        slice_t key;
        bool found = event_place(record, &offset, &key);
        if (event_decode(record, &event) == CAPSTAN_OK) {
            cr_assert(found || event.offset == 0);
            cr_assert(!found || (offset == event.offset && slice_equal(key, event.key)));
            places += found;
        }
    }
    cr_assert_gt(places, 10000);
    buffer_fini(&bytes);
}
