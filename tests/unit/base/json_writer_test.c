/* Goal: whatever is written reads back as the same value by another implementation of JSON. */
#include "runtime/base/json_writer.h"

#include <criterion/criterion.h>
#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

static void expect_text(const buffer_t *out, const char *text)
{
    cr_expect(slice_equal(buffer_slice(out), slice_text(text)), "%.*s instead of %s",
              (int)out->size, (const char *)out->data, text);
}

static json_t *read_back(const buffer_t *out)
{
    json_error_t error;
    json_t *root = json_loadb((const char *)out->data, out->size,
                              JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    cr_assert_not_null(root, "%s: %.*s", error.text, (int)out->size, (const char *)out->data);
    return root;
}

Test(json_writer, places_commas_at_every_depth)
{
    buffer_t out = {0};
    json_writer_t json = json_writer(&out);
    emit_object_begin(&json);
    emit_key(&json, "a");
    emit_array_begin(&json);
    emit_uint(&json, 1);
    emit_array_begin(&json);
    emit_array_end(&json);
    emit_object_begin(&json);
    emit_object_end(&json);
    emit_null(&json);
    emit_array_end(&json);
    emit_key(&json, "b");
    emit_bool(&json, true);
    emit_key(&json, "c\"");
    emit_raw(&json, slice_text("{\"x\":1}"));
    emit_key(&json, "d");
    emit_string(&json, "");
    emit_object_end(&json);
    expect_text(&out, "{\"a\":[1,[],{},null],\"b\":true,\"c\\\"\":{\"x\":1},\"d\":\"\"}");
    json_decref(read_back(&out));
    buffer_fini(&out);
}

Test(json_writer, reaches_its_greatest_depth)
{
    buffer_t out = {0};
    json_writer_t json = json_writer(&out);
    for (int i = 0; i < JSON_DEPTH_MAX; i++) {
        emit_array_begin(&json);
    }
    for (int i = 0; i < JSON_DEPTH_MAX; i++) {
        emit_array_end(&json);
    }
    cr_assert_eq(out.size, 2 * JSON_DEPTH_MAX);
    json_decref(read_back(&out));
    buffer_fini(&out);
}

Test(json_writer, writes_the_limits_of_numbers)
{
    buffer_t out = {0};
    json_writer_t json = json_writer(&out);
    emit_array_begin(&json);
    emit_uint(&json, UINT64_MAX);
    emit_int(&json, INT64_MIN);
    emit_int(&json, -1);
    emit_double(&json, 0.1);
    emit_double(&json, -1234567.5);
    emit_double(&json, NAN);
    emit_double(&json, -INFINITY);
    emit_array_end(&json);
    expect_text(&out, "[18446744073709551615,-9223372036854775808,-1,0.1,-1234567.5,null,null]");
    buffer_fini(&out);
}

Test(json_writer, writes_doubles_that_read_back_as_the_same)
{
    const double values[] = {1.0 / 3, DBL_MAX, DBL_MIN, 5e-324, 1e21, 123456789.123456789, 0.0};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        buffer_t out = {0};
        json_writer_t json = json_writer(&out);
        emit_double(&json, values[i]);
        json_t *root = read_back(&out);
        double back = json_number_value(root);
        cr_expect_eq(memcmp(&back, &values[i], sizeof back), 0, "%.*s", (int)out.size,
                     (const char *)out.data);
        json_decref(root);
        buffer_fini(&out);
    }
}

Test(json_writer, escapes_what_could_end_the_string_or_steer_a_terminal)
{
    const struct {
        const char *bytes;
        size_t size;
        const char *json;
    } cases[] = {
        {"plain \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 15,
         "\"plain \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\""},
        {"\"\\/", 3, "\"\\\"\\\\/\""},
        {"\b\t\n\f\r", 5, "\"\\b\\t\\n\\f\\r\""},
        {"\0\x1b[31m\x7f", 7, "\"\\u0000\\u001b[31m\\u007f\""},
        {"\xc2\x9b"
         "31m\xc2\xa0",
         7, "\"\\u009b31m\xc2\xa0\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buffer_t out = {0};
        json_writer_t json = json_writer(&out);
        emit_text(&json, slice_of(cases[i].bytes, cases[i].size));
        expect_text(&out, cases[i].json);
        json_t *root = read_back(&out);
        cr_expect(slice_equal(slice_of(json_string_value(root), json_string_length(root)),
                              slice_of(cases[i].bytes, cases[i].size)));
        json_decref(root);
        buffer_fini(&out);
    }
}

Test(json_writer, replaces_each_byte_that_is_not_utf8)
{
    const struct {
        const char *bytes;
        int replaced;
    } cases[] = {
        {"\xff", 1},
        {"\x80", 1},
        {"\xc3", 1},
        {"\xc0\x80", 2},
        {"\xe0\x80\x80", 3},
        {"\xed\xa0\x80", 3},
        {"\xe2\x82", 2},
        {"\xf0\x80\x80\x80", 4},
        {"\xf4\x90\x80\x80", 4},
        {"\xf8\x88\x80\x80\x80", 5},
        {"\xf0\x9f\x98", 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buffer_t out = {0};
        emit_escaped(&out, slice_text(cases[i].bytes));
        cr_expect_eq(out.size, (size_t)cases[i].replaced * 3, "case %zu", i);
        for (size_t j = 0; j + 3 <= out.size; j += 3) {
            cr_expect_eq(memcmp(out.data + j, "\xef\xbf\xbd", 3), 0);
        }
        buffer_fini(&out);
    }
}

Test(json_writer, makes_any_bytes_readable)
{
    uint32_t state = 12345;
    for (int round = 0; round < 2000; round++) {
        uint8_t bytes[24];
        for (size_t i = 0; i < sizeof bytes; i++) {
            state = state * 1664525 + 1013904223;
            bytes[i] = (uint8_t)(state >> 24);
        }
        buffer_t out = {0};
        json_writer_t json = json_writer(&out);
        emit_text(&json, slice_of(bytes, sizeof bytes));
        json_decref(read_back(&out));
        buffer_fini(&out);
    }
}

Test(json_writer, measures_utf8_sequences)
{
    cr_expect_eq(utf8_length(slice_of("", 0)), 0);
    cr_expect_eq(utf8_length(slice_of("\0", 1)), 1);
    cr_expect_eq(utf8_length(slice_text("\xc3\xa4x")), 2);
    cr_expect_eq(utf8_length(slice_text("\xed\x9f\xbf")), 3);
    cr_expect_eq(utf8_length(slice_text("\xee\x80\x80")), 3);
    cr_expect_eq(utf8_length(slice_text("\xf4\x8f\xbf\xbf")), 4);
}
