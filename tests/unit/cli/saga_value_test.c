/* Goal: what people write as JSON is the same value as msgpack and comes back as they wrote it,
 * and what cannot be exact, or is out of bounds, is refused with its place. */
#include "cli/saga_value.h"

#include "actors/saga/value.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static char wrong[512];

static bool take(const char *json, buffer_t *out)
{
    buffer_clear(out);
    return saga_value_from_json(slice_text(json), out, wrong, sizeof wrong);
}

static void expect_back(const char *json)
{
    buffer_t value = {0};
    buffer_t text = {0};
    cr_assert(take(json, &value), "%s: %s", json, wrong);
    cr_assert_eq(value_check(buffer_slice(&value)), CAPSTAN_OK, "%s", json);
    json_writer_t writer = json_writer(&text);
    saga_value_emit(&writer, buffer_slice(&value));
    buffer_append(&text, "", 1);
    cr_expect_str_eq((const char *)text.data, json);
    buffer_fini(&value);
    buffer_fini(&text);
}

Test(saga_value, comes_back_as_it_was_written)
{
    static const char *const values[] = {"{}",
                                         "[]",
                                         "null",
                                         "true",
                                         "false",
                                         "\"\"",
                                         "0",
                                         "-1",
                                         "127",
                                         "128",
                                         "-32",
                                         "-33",
                                         "65535",
                                         "65536",
                                         "4294967296",
                                         "9223372036854775807",
                                         "-9223372036854775808",
                                         "1.5",
                                         "-0.25",
                                         "1e+300",
                                         "\"\\u0000\"",
                                         "\"gr\xc3\xbc\xc3\x9f\"",
                                         "{\"b\":1,\"a\":[1,[2,{\"c\":null}]],\"\":false}",
                                         "[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        expect_back(values[i]);
    }
}

Test(saga_value, writes_the_shortest_form)
{
    static const struct {
        const char *json;
        const char *bytes;
        size_t size;
    } rows[] = {
        {"{\"a\":[1,-1,true]}", "\x81\xa1\x61\x93\x01\xff\xc3", 7},
        {"300", "\xcd\x01\x2c", 3},
        {"1.0", "\xcb\x3f\xf0\0\0\0\0\0\0", 9},
    };
    buffer_t value = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert(take(rows[i].json, &value));
        cr_expect(slice_equal(buffer_slice(&value), slice_of(rows[i].bytes, rows[i].size)), "%s",
                  rows[i].json);
    }
    buffer_fini(&value);
}

Test(saga_value, says_where_json_is_wrong)
{
    static const struct {
        const char *json;
        const char *says;
    } rows[] = {
        {"{\n  \"a\": 1,\n  b\n}", "line 3, column 3: "},
        {"{\"a\":1", "line 1, column 6: "},
        {"", "line 1, column 0: "},
        {"{} {}", "line 1, column 4: end of file expected"},
        {"{\"a\":1,\"a\":2}", "duplicate object key"},
        {"9223372036854775808", "line 1, column 19: "},
        {"18446744073709551616", "write what does not fit into 64 bits as a text"},
        {"1e999", "real number overflow"},
        {"\"\xff\"", "unable to decode byte 0xff"},
        {"[[[[[[[[[[[[[[[[\n \"[\\\"[\", [1]]]]]]]]]]]]]]]]]",
         "line 2, column 10: nested too deep; at most 16 levels are allowed"},
    };
    buffer_t value = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_expect_not(take(rows[i].json, &value), "%s", rows[i].json);
        cr_expect(strstr(wrong, rows[i].says), "%s: %s", rows[i].json, wrong);
        cr_expect_eq(value.size, 0);
    }
    buffer_fini(&value);
}

Test(saga_value, takes_values_as_deep_as_a_node_does)
{
    buffer_t value = {0};
    cr_assert(take("[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", &value), "%s", wrong);
    cr_assert_eq(value_check(buffer_slice(&value)), CAPSTAN_OK);
    buffer_fini(&value);
}

Test(saga_value, refuses_what_a_node_would_find_too_large)
{
    buffer_t value = {0};
    size_t size = VALUE_BYTES_MAX + 1;
    char *json = malloc(size + 3);
    cr_assert_not_null(json);
    memset(json, 'x', size + 2);
    json[0] = json[size + 1] = '"';
    json[size + 2] = '\0';
    cr_assert_not(take(json, &value));
    cr_assert(strstr(wrong, "at most 262144 are allowed"), "%s", wrong);
    json[VALUE_BYTES_MAX - 4] = '"';
    json[VALUE_BYTES_MAX - 3] = '\0';
    cr_assert(take(json, &value), "%s", wrong);
    free(json);
    buffer_fini(&value);
}

Test(saga_value, shows_bytes_of_any_origin)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *json;
    } rows[] = {
        {"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, "18446744073709551615"},
        {"\xca\x3f\xc0\0\0", 5, "1.5"},
        {"\xc4\x02\x01\x02", 4, "\"AQI=\""},
        {"\x82\x01\x02\xc3\x04", 5, "{\"1\":2,\"true\":4}"},
        {"\x81\xa1", 2, "\"gaE=\""}, /* it breaks off */
        {"", 0, "\"\""},
    };
    buffer_t text = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_writer_t writer = json_writer(&text);
        buffer_clear(&text);
        saga_value_emit(&writer, slice_of(rows[i].bytes, rows[i].size));
        cr_expect(slice_equal(buffer_slice(&text), slice_text(rows[i].json)), "%zu: %.*s", i,
                  (int)text.size, (const char *)text.data);
    }
    buffer_fini(&text);
}
