/* The codec over every row of every table, and the promises of its header one by one. */
#include "actors/ordering/ordering_messages.h"
#include "tests/kit/wire_compare.h"
#include "tests/kit/wire_sample.h"

#include <criterion/criterion.h>
#include <pthread.h>

static sample_t sample = {.random = 20250101};

static void check_round_trip(const wire_record_t *record, buffer_t *bytes, buffer_t *again)
{
    codec_space_t value;
    codec_space_t read;
    codec_fault_t fault = {.err = CAPSTAN_OK};
    sample_fill(&sample, record, value.bytes);
    buffer_clear(bytes);
    buffer_clear(again);
    codec_encode(record, value.bytes, bytes);
    cr_assert_eq(codec_decode(record, buffer_slice(bytes), read.bytes, &fault), CAPSTAN_OK,
                 "%s: error %d at byte %zu, field %s", record->name, fault.err, fault.position,
                 fault.field ? fault.field : "-");
    cr_assert(sample_equal(record, value.bytes, read.bytes), "%s", record->name);
    codec_encode(record, read.bytes, again);
    cr_assert(slice_equal(buffer_slice(bytes), buffer_slice(again)), "%s", record->name);
}

static void round_trips(const wire_record_t *record)
{
    buffer_t bytes = {0};
    buffer_t again = {0};
    for (sample.mode = SAMPLE_ALL; sample.mode < SAMPLE_MODES; sample.mode++) {
        for (int i = 0; i < (sample.mode == SAMPLE_RANDOM ? 200 : 1); i++) {
            sample.used = 0;
            check_round_trip(record, &bytes, &again);
        }
    }
    buffer_fini(&bytes);
    buffer_fini(&again);
}

Test(codec, gives_back_every_row_of_every_table)
{
    sample_each_row(round_trips);
}

static void truncations(const wire_record_t *record)
{
    codec_space_t value;
    codec_space_t read;
    codec_space_t before;
    buffer_t bytes = {0};
    sample.mode = SAMPLE_ALL;
    sample.used = 0;
    sample_fill(&sample, record, value.bytes);
    codec_encode(record, value.bytes, &bytes);
    memset(read.bytes, 0x5a, sizeof read.bytes);
    before = read;
    for (size_t size = 0; size < bytes.size; size++) {
        /* A heap copy of the exact size lets the address sanitizer see a byte too many. */
        uint8_t *copy = malloc(size > 0 ? size : 1);
        memcpy(copy, bytes.data, size);
        codec_fault_t fault;
        cr_assert_eq(codec_decode(record, slice_of(copy, size), read.bytes, &fault),
                     CAPSTAN_E_MALFORMED, "%s cut to %zu of %zu bytes", record->name, size,
                     bytes.size);
        cr_assert_leq(fault.position, size);
        free(copy);
    }
    cr_assert_eq(memcmp(&read, &before, sizeof read), 0, "the output was touched");
    buffer_append(&bytes, "", 1);
    cr_assert_eq(codec_decode(record, buffer_slice(&bytes), read.bytes, NULL), CAPSTAN_E_MALFORMED);
    buffer_fini(&bytes);
}

Test(codec, refuses_every_truncation_and_a_byte_too_many)
{
    sample_each_row(truncations);
}

static void missing_fields(const wire_record_t *record)
{
    codec_space_t read;
    codec_fault_t fault = {.err = CAPSTAN_OK};
    const char *missing = NULL;
    for (size_t i = record->field_count; i > 0; i--) {
        missing = record->fields[i - 1].required ? record->fields[i - 1].name : missing;
    }
    capstan_err_t err = codec_decode(record, slice_of("\x80", 1), read.bytes, &fault);
    cr_assert_eq(err, missing ? CAPSTAN_E_FIELD_MISSING : CAPSTAN_OK, "%s", record->name);
    cr_assert(!missing || strcmp(fault.field, missing) == 0, "%s", record->name);
}

Test(codec, names_the_first_required_field_that_is_missing)
{
    sample_each_row(missing_fields);
}

/* Writes {key: value} with the value's bytes as they are. */
static slice_t one_field(const wire_field_t *field, slice_t value)
{
    static uint8_t bytes[64];
    bytes[0] = 0x81;
    bytes[1] = field->key;
    memcpy(bytes + 2, value.data, value.size);
    return slice_of(bytes, 2 + value.size);
}

static bool fits(const wire_field_t *field, uint8_t head)
{
    switch (field->type) {
    case CAPSTAN_TYPE_UINT:
        return head == 0x05;
    case CAPSTAN_TYPE_INT:
        return head == 0x05 || head == 0xff;
    case CAPSTAN_TYPE_BOOL:
        return head == 0xc3;
    case CAPSTAN_TYPE_STR:
        return head == 0xa1;
    case CAPSTAN_TYPE_BIN:
        return head == 0xc4;
    default:
        return head == 0x90 && field->type == CAPSTAN_TYPE_LIST;
    }
}

static void wrong_types(const wire_record_t *record)
{
    static const slice_t values[] = {
        {"\x05", 1},      {"\xff", 1}, {"\xc0", 1}, {"\xc3", 1},         {"\xa1x", 2},
        {"\xc4\x01x", 3}, {"\x90", 1}, {"\x80", 1}, {"\xca\0\0\0\0", 5}, {"\xd4\x01x", 3}};
    for (size_t i = 0; i < record->field_count; i++) {
        const wire_field_t *field = &record->fields[i];
        for (size_t j = 0; j < sizeof values / sizeof values[0]; j++) {
            codec_space_t read;
            codec_fault_t fault = {.err = CAPSTAN_OK};
            capstan_err_t err =
                codec_decode(record, one_field(field, values[j]), read.bytes, &fault);
            bool fit = fits(field, *(const uint8_t *)values[j].data);
            cr_assert_eq(err == CAPSTAN_E_FIELD_TYPE, !fit, "%s.%s with value %zu: error %d",
                         record->name, field->name, j, err);
            cr_assert(fit || strcmp(fault.field, field->name) == 0);
        }
    }
}

Test(codec, refuses_a_field_of_another_type_by_name)
{
    sample_each_row(wrong_types);
}

static capstan_err_t decode_status(const char *bytes, size_t size, publish_t *ret_value)
{
    return codec_decode(publish_wire(), slice_of(bytes, size), ret_value, NULL);
}
#define DECODE(bytes, ret_value) decode_status(bytes, sizeof(bytes) - 1, ret_value)
/* A publish with topic "t" and key "k" in a map of n fields. */
#define PUBLISH(map) map "\x01\xa1t\x02\xc4\x01k"

Test(codec, reads_unsigned_integers_of_every_width)
{
    publish_t publish;
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x05\xcc\x07", &publish), CAPSTAN_OK);
    cr_assert_eq(publish.sequence, 7);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x05\xcd\x00\x07", &publish), CAPSTAN_OK);
    cr_assert_eq(publish.sequence, 7);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x05\xce\0\0\0\x07", &publish), CAPSTAN_OK);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x05\xcf\0\0\0\0\0\0\0\x07", &publish), CAPSTAN_OK);
    cr_assert_eq(publish.sequence, 7);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x05\xd0\x07", &publish), CAPSTAN_OK);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x05\xd1\0\x07", &publish), CAPSTAN_OK);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x05\xd2\0\0\0\x07", &publish), CAPSTAN_OK);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x05\xd3\0\0\0\0\0\0\0\x07", &publish), CAPSTAN_OK);
    cr_assert_eq(publish.sequence, 7);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x05\xcf\xff\xff\xff\xff\xff\xff\xff\xff", &publish), 0);
    cr_assert_eq(publish.sequence, UINT64_MAX);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x05\xd0\xf9", &publish), CAPSTAN_E_FIELD_TYPE);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x05\xff", &publish), CAPSTAN_E_FIELD_TYPE);
}

Test(codec, reads_signed_integers_of_every_width)
{
    publish_t publish;
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x06\xff", &publish), CAPSTAN_OK);
    cr_assert_eq(publish.time_us, -1);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x06\xd0\xf9", &publish), CAPSTAN_OK);
    cr_assert_eq(publish.time_us, -7);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x06\xd1\xff\xf9", &publish), CAPSTAN_OK);
    cr_assert_eq(publish.time_us, -7);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x06\xd2\xff\xff\xff\xf9", &publish), CAPSTAN_OK);
    cr_assert_eq(publish.time_us, -7);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x06\xd3\x80\0\0\0\0\0\0\0", &publish), CAPSTAN_OK);
    cr_assert_eq(publish.time_us, INT64_MIN);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x06\xcf\x80\0\0\0\0\0\0\0", &publish),
                 CAPSTAN_E_FIELD_TYPE);
}

Test(codec, takes_keys_in_any_order_but_never_twice)
{
    publish_t publish;
    cr_assert_eq(DECODE("\x83\x02\xc4\x01k\x05\x07\x01\xa1t", &publish), CAPSTAN_OK);
    cr_assert_eq(publish.sequence, 7);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x01\xa1t", &publish), CAPSTAN_E_MALFORMED);
    cr_assert_eq(DECODE(PUBLISH("\x84") "\x7f\x01\x7f\x01", &publish), CAPSTAN_E_MALFORMED,
                 "an unknown key twice");
}

Test(codec, skips_unknown_keys_of_every_type)
{
    static const slice_t values[] = {
        {"\xc0", 1},
        {"\xc2", 1},
        {"\x07", 1},
        {"\xe0", 1},
        {"\xca\1\2\3\4", 5},
        {"\xa2xy", 3},
        {"\xd9\x01x", 3},
        {"\xda\0\1x", 4},
        {"\xc5\0\1x", 4},
        {"\x92\1\2", 3},
        {"\x81\1\x91\2", 4},
        {"\xdc\0\1\xc0", 4},
        {"\xde\0\1\1\2", 5},
        {"\xd4\1\2", 3},
        {"\xc7\2\1ab", 5},
        {"\xcb\1\2\3\4\5\6\7\x08", 9},
        {"\xc6\0\0\0\1x", 6},
        {"\xdb\0\0\0\1x", 6},
        {"\xd8\1abcdefghijklmnop", 18},
        {"\xdd\0\0\0\1\xc0", 6},
        {"\xdf\0\0\0\1\1\xc0", 7},
        {"\xc9\0\0\0\2\1ab", 8},
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        buffer_t bytes = {0};
        publish_t publish;
        buffer_append(&bytes, "\x83\x01\xa1t\x7e", 5);
        buffer_append(&bytes, values[i].data, values[i].size);
        buffer_append(&bytes, "\x02\xc4\x01k", 4);
        cr_assert_eq(codec_decode(publish_wire(), buffer_slice(&bytes), &publish, NULL), CAPSTAN_OK,
                     "value %zu", i);
        cr_assert_eq(publish.key.size, 1);
        buffer_fini(&bytes);
    }
}

Test(codec, refuses_keys_outside_1_to_127)
{
    publish_t publish;
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x00\x01", &publish), CAPSTAN_E_MALFORMED);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\xcc\x80\x01", &publish), CAPSTAN_E_MALFORMED);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\xff\x01", &publish), CAPSTAN_E_MALFORMED);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\xa1x\x01", &publish), CAPSTAN_E_MALFORMED);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\xcc\x7f\x01", &publish), CAPSTAN_OK, "a wide key");
}

Test(codec, checks_text_for_utf8)
{
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc3",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xe2\x82",
                                      "abcdefgh\xff",
                                      "abcdefghijk\xc3x"};
    static const char *const good[] = {"",
                                       "plain text that is longer than eight",
                                       "é",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "12345678é12345678€",
                                       "\xf0\x90\x80\x80"};
    topic_ensure_t value = {.partitions = 1};
    topic_ensure_t read;
    buffer_t bytes = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        value.topic = slice_text(bad[i]);
        buffer_clear(&bytes);
        codec_encode(topic_ensure_wire(), &value, &bytes);
        cr_assert_eq(codec_decode(topic_ensure_wire(), buffer_slice(&bytes), &read, NULL),
                     CAPSTAN_E_NOT_UTF8, "text %zu", i);
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        value.topic = slice_text(good[i]);
        buffer_clear(&bytes);
        codec_encode(topic_ensure_wire(), &value, &bytes);
        cr_assert_eq(codec_decode(topic_ensure_wire(), buffer_slice(&bytes), &read, NULL),
                     CAPSTAN_OK, "text %zu", i);
    }
    buffer_fini(&bytes);
}

Test(codec, refuses_claims_that_the_bytes_cannot_hold)
{
    publish_t publish;
    cr_assert_eq(DECODE("\xdf\xff\xff\xff\xff", &publish), CAPSTAN_E_MALFORMED);
    cr_assert_eq(DECODE("\xde\xff\xff\x01\xa1t", &publish), CAPSTAN_E_MALFORMED);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x08\xdd\xff\xff\xff\xff", &publish), CAPSTAN_E_MALFORMED);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x09\xc6\xff\xff\xff\xff", &publish), CAPSTAN_E_MALFORMED);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x07\xdb\xff\xff\xff\xff", &publish), CAPSTAN_E_MALFORMED);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x7e\xc9\xff\xff\xff\xff\1", &publish),
                 CAPSTAN_E_MALFORMED);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x7e\xdf\x80\0\0\1\1\1", &publish), CAPSTAN_E_MALFORMED);
    cr_assert_eq(DECODE(PUBLISH("\x83") "\x7e\xc1", &publish), CAPSTAN_E_MALFORMED);

    /* A map of two needs four bytes: it is refused at its head, before a field is read. */
    codec_fault_t fault = {.err = CAPSTAN_OK, .position = 99};
    cr_assert_eq(codec_decode(publish_wire(), slice_of("\x82\x01\xa1t", 4), &publish, &fault),
                 CAPSTAN_E_MALFORMED);
    cr_assert_eq(fault.position, 0);
}

Test(codec, skips_what_is_nested_16_deep_and_no_deeper)
{
    for (size_t depth = 1; depth < 2000; depth += depth < 20 ? 1 : 500) {
        buffer_t bytes = {0};
        publish_t publish;
        buffer_append(&bytes, PUBLISH("\x83") "\x7e", 9);
        for (size_t i = 0; i < depth; i++) {
            buffer_append(&bytes, "\x91", 1);
        }
        buffer_append(&bytes, "\xc0", 1);
        cr_assert_eq(codec_decode(publish_wire(), buffer_slice(&bytes), &publish, NULL),
                     depth <= WIRE_DEPTH_MAX ? CAPSTAN_OK : CAPSTAN_E_TOO_DEEP, "depth %zu", depth);
        buffer_fini(&bytes);
    }
}

Test(codec, writes_the_shortest_form)
{
    buffer_t bytes = {0};
    codec_encode(topic_info_wire(),
                 &(topic_info_t){.topic = slice_text("t"), .partitions = 0, .sequence = 128},
                 &bytes);
    cr_assert(slice_equal(buffer_slice(&bytes), slice_of("\x83\x01\xa1t\x02\x00\x03\xcc\x80", 9)));
    buffer_fini(&bytes);
}

Test(codec, walks_a_list_that_was_built_in_place)
{
    buffer_t bytes = {0};
    codec_list_writer_t writer = codec_list_begin(&bytes);
    for (uint64_t i = 0; i < 100; i++) {
        codec_list_add(&writer, position_wire(), &(position_t){.partition = i, .offset = i * i});
    }
    codec_list_end(&writer);
    cr_assert_eq(codec_list_count(buffer_slice(&bytes)), 100);

    codec_list_t list;
    position_t position;
    uint64_t count = 0;
    cr_assert_eq(codec_list_open(position_wire(), buffer_slice(&bytes), &list), CAPSTAN_OK);
    for (; codec_list_next(&list, &position); count++) {
        cr_assert(position.partition == count && position.offset == count * count);
    }
    cr_assert(list.fault.err == CAPSTAN_OK && count == 100);

    buffer_t copy = {0};
    slice_t element;
    codec_list_writer_t copier = codec_list_begin(&copy);
    cr_assert_eq(codec_list_open(position_wire(), buffer_slice(&bytes), &list), CAPSTAN_OK);
    while (codec_list_next_raw(&list, &element)) {
        codec_list_add_raw(&copier, element);
    }
    codec_list_end(&copier);
    cr_assert(slice_equal(buffer_slice(&bytes), buffer_slice(&copy)));
    buffer_fini(&bytes);
    buffer_fini(&copy);
}

Test(codec, tells_the_end_of_a_list_from_a_fault)
{
    static const slice_t bad[] = {{"\x92\x80\x01", 3},
                                  {"\x91\x81\x03\x01\x01", 5},
                                  {"\x91\x81\x01\xa1x", 5},
                                  {"\x90\x80", 2}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        codec_list_t list;
        position_t position;
        cr_assert_eq(codec_list_open(position_wire(), bad[i], &list), CAPSTAN_OK);
        while (codec_list_next(&list, &position)) {
        }
        cr_assert_neq(list.fault.err, CAPSTAN_OK, "list %zu", i);
        cr_assert_not(codec_list_next(&list, &position), "a fault lasts");
    }
    codec_list_t list;
    position_t position;
    cr_assert_eq(codec_list_open(position_wire(), (slice_t){0}, &list), CAPSTAN_OK);
    cr_assert_not(codec_list_next(&list, &position));
    cr_assert_eq(list.fault.err, CAPSTAN_OK, "the empty slice is an empty list");
    cr_assert_eq(codec_list_open(position_wire(), slice_of("\xdd\xff\xff\xff\xff", 5), &list),
                 CAPSTAN_E_MALFORMED);
    cr_assert_eq(codec_list_open(position_wire(), slice_of("\x01", 1), &list),
                 CAPSTAN_E_FIELD_TYPE);
}

Test(codec, peeks_at_one_field)
{
    buffer_t bytes = {0};
    slice_t slice;
    uint64_t number = 0;
    codec_encode(publish_wire(),
                 &(publish_t){.topic = slice_text("loans"),
                              .key = slice_text("case 1"),
                              .sequence = 300,
                              .payload = slice_text("x")},
                 &bytes);
    slice_t body = buffer_slice(&bytes);
    cr_assert(codec_peek_slice(body, 1, &slice) && slice_equal(slice, slice_text("loans")));
    cr_assert(codec_peek_slice(body, 2, &slice) && slice_equal(slice, slice_text("case 1")));
    cr_assert(codec_peek_uint(body, 5, &number) && number == 300);
    cr_assert_not(codec_peek_slice(body, 3, &slice), "absent");
    cr_assert_not(codec_peek_slice(body, 5, &slice), "a number");
    cr_assert_not(codec_peek_uint(body, 1, &number), "text");
    cr_assert_not(codec_peek_slice((slice_t){0}, 1, &slice), "no bytes");
    cr_assert_not(codec_peek_slice(slice_of("\x92\1\2", 3), 1, &slice), "no map");
    for (size_t size = 0; size < 12; size++) {
        cr_assert_not(codec_peek_slice(slice_of(body.data, size), 2, &slice), "cut to %zu", size);
    }
    buffer_fini(&bytes);
}

static void *describe(void *unused)
{
    (void)unused;
    const wire_record_t *record = partition_report_wire();
    return record->by_key[11] == &record->fields[10] && record->field_count > 10
               ? (void *)(uintptr_t)record
               : NULL;
}

Test(codec, makes_a_descriptor_once_for_all_threads)
{
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, describe, NULL), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        void *record = NULL;
        pthread_join(threads[i], &record);
        cr_assert_eq(record, partition_report_wire());
    }
}
