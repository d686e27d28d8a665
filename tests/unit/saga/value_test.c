/* Paths, templates and tests on msgpack documents. */
#include "actors/saga/value.h"

#include "tests/unit/saga/document_kit.h"

#include <criterion/criterion.h>

#define BYTES(text) slice_of(text, sizeof(text) - 1)
#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

/* A scope with one document, named `input`. */
static bool find_input(const void *context, slice_t word, slice_t *ret_document)
{
    *ret_document = *(const slice_t *)context;
    return slice_equal(word, slice_text("input"));
}

static value_scope_t scope_of(const slice_t *input)
{
    return (value_scope_t){.document = find_input, .context = input};
}

static bool knows_input(const void *context, slice_t word)
{
    (void)context;
    return slice_equal(word, slice_text("input"));
}

/* --- what a value is ------------------------------------------------------------------------- */

Test(value, is_one_complete_msgpack_value_without_extensions)
{
    const struct {
        slice_t bytes;
        capstan_err_t err;
    } rows[] = {
        {BYTES("\xc0"), CAPSTAN_OK},
        {BYTES("\x82\xa1"
               "a\x01\xa1"
               "b\x92\xc3\xcb\0\0\0\0\0\0\0\0"),
         CAPSTAN_OK},
        {BYTES("\x81\x01\xc4\x02\xff\xff"), CAPSTAN_OK}, /* no text, so that it may be any bytes */
        {BYTES(""), CAPSTAN_E_MALFORMED},
        {BYTES("\xc0\xc0"), CAPSTAN_E_MALFORMED},
        {BYTES("\x92\x01"), CAPSTAN_E_MALFORMED},
        {BYTES("\xc1"), CAPSTAN_E_MALFORMED},
        {BYTES("\x91\xd4\x01\x02"), CAPSTAN_E_MALFORMED},
        {BYTES("\xd8\x01"
               "0123456789abcdef"),
         CAPSTAN_E_MALFORMED},
        {BYTES("\xc7\x01\x01\x02"), CAPSTAN_E_MALFORMED},
        {BYTES("\x91\xa1\xff"), CAPSTAN_E_NOT_UTF8},
        {BYTES("\x81\xa1\xff\x01"), CAPSTAN_E_NOT_UTF8},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        cr_assert_eq(value_check(rows[i].bytes), rows[i].err, "row %zu", i);
    }
    cr_assert_eq(value_check_map(BYTES("\x80")), CAPSTAN_OK);
    cr_assert_eq(value_check_map(BYTES("\x90")), CAPSTAN_E_FIELD_TYPE);
    cr_assert_eq(value_check_map(BYTES("\x81\x01")), CAPSTAN_E_MALFORMED);
}

Test(value, is_refused_where_it_is_too_deep_or_too_large)
{
    uint8_t deep[VALUE_DEPTH_MAX + 2];
    memset(deep, 0x91, sizeof deep);
    deep[VALUE_DEPTH_MAX] = 0x01;
    cr_assert_eq(value_check(slice_of(deep, VALUE_DEPTH_MAX + 1)), CAPSTAN_OK);
    deep[VALUE_DEPTH_MAX] = 0x90;
    cr_assert_eq(value_check(slice_of(deep, VALUE_DEPTH_MAX + 1)), CAPSTAN_E_TOO_DEEP);

    static uint8_t large[VALUE_BYTES_MAX + 1];
    large[0] = 0xc6;
    pack_u32(large + 1, VALUE_BYTES_MAX - 5);
    cr_assert_eq(value_check(slice_of(large, VALUE_BYTES_MAX)), CAPSTAN_OK);
    pack_u32(large + 1, VALUE_BYTES_MAX - 4);
    cr_assert_eq(value_check(slice_of(large, VALUE_BYTES_MAX + 1)), CAPSTAN_E_TOO_LARGE);
}

/* --- paths ----------------------------------------------------------------------------------- */

Test(value_path, is_words_with_dots_between)
{
    static const char *const valid[] = {"input", "input.a.0.b-c_D",
                                        "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p"};
    static const char *const invalid[] = {
        "",         ".",   "input.", ".input",
        "a..b",     "a b", "$a",     "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q",
        "\xc3\xa9",
    };
    char longest[VALUE_PATH_MAX + 1];
    memset(longest, 'a', sizeof longest);
    for (size_t i = 0; i < COUNT(valid); i++) {
        cr_assert(value_path_valid(slice_text(valid[i])), "%s", valid[i]);
    }
    for (size_t i = 0; i < COUNT(invalid); i++) {
        cr_assert_not(value_path_valid(slice_text(invalid[i])), "%s", invalid[i]);
    }
    cr_assert(value_path_valid(slice_of(longest, VALUE_PATH_MAX)));
    cr_assert_not(value_path_valid(slice_of(longest, VALUE_PATH_MAX + 1)));
}

Test(value_path, leads_to_parts_of_maps_and_arrays)
{
    static const struct {
        const char *path;
        const char *found; /* as JSON; NULL: nothing */
    } rows[] = {
        {"input.order.lines.0.price", "7"},
        {"input.order.lines.1", "{\"price\":8}"},
        {"input.order.lines.2", NULL},
        {"input.order.lines.00", "{\"price\":7}"},
        {"input.order.lines.-1", NULL},
        {"input.order.lines.4294967296", NULL},
        {"input.order.lines.99999999999999999999999999", NULL},
        {"input.order.lines.price", NULL},
        {"input.order.absent", NULL},
        {"input.none", "null"},
        {"input.none.deeper", NULL},
        {"input.7", "\"seven\""}, /* digits are a key too */
        {"output.order", NULL},
    };
    buffer_t bytes = {0};
    buffer_t wanted = {0};
    slice_t input = document(&bytes, "{\"none\":null,\"7\":\"seven\","
                                     "\"order\":{\"lines\":[{\"price\":7},{\"price\":8}]}}");
    value_scope_t scope = scope_of(&input);
    for (size_t i = 0; i < COUNT(rows); i++) {
        slice_t value = {0};
        bool found = value_find(&scope, slice_text(rows[i].path), &value);
        cr_assert_eq(found, rows[i].found != NULL, "%s", rows[i].path);
        cr_assert(!found || slice_equal(value, document(&wanted, rows[i].found)), "%s",
                  rows[i].path);
    }
    slice_t whole = {0};
    cr_assert(value_find(&scope, slice_text("input"), &whole));
    cr_assert(slice_equal(whole, input));
    buffer_fini(&bytes);
    buffer_fini(&wanted);
}

Test(value_path, passes_over_keys_that_are_no_texts)
{
    slice_t value = {0};
    slice_t input = BYTES("\x83\x01\xa1x\x91\xa1"
                          "b\x02\xa1"
                          "b\x03");
    value_scope_t scope = scope_of(&input);
    cr_assert(value_find(&scope, slice_text("input.b"), &value));
    cr_assert(slice_equal(value, BYTES("\x03")));
    cr_assert_not(value_find(&scope, slice_text("input.1"), &value));
    input = slice_of(NULL, 0);
    cr_assert_not(value_find(&scope, slice_text("input"), &value));
}

/* --- templates ------------------------------------------------------------------------------- */

static const char input_text[] = "{\"a\":{\"b\":[1,\"x\"]},\"n\":null}";

Test(value_template, is_filled_with_what_its_paths_lead_to)
{
    static const struct {
        const char *template;
        const char *filled;
    } rows[] = {
        {"{\"one\":\"$input.a.b.0\",\"two\":[\"$input.a\",2]}",
         "{\"one\":1,\"two\":[{\"b\":[1,\"x\"]},2]}"},
        {"\"$input.n\"", "null"},
        {"{\"$input.n\":\"a$input\"}", "{\"$input.n\":\"a$input\"}"},
        {"[\"$$input\",\"$$\",\"$$$\",\"\"]", "[\"$input\",\"$\",\"$$\",\"\"]"},
        {"[[],{},[{\"k\":{}},\"$input.n\"],7.5]", "[[],{},[{\"k\":{}},null],7.5]"},
    };
    buffer_t bytes = {0};
    buffer_t template = {0};
    buffer_t wanted = {0};
    slice_t input = document(&bytes, input_text);
    value_scope_t scope = scope_of(&input);
    for (size_t i = 0; i < COUNT(rows); i++) {
        buffer_t out = {0};
        slice_t path = {0};
        buffer_append(&out, "before", 6);
        slice_t given = document(&template, rows[i].template);
        cr_assert(value_template_valid(given, knows_input, NULL, &path), "%s", rows[i].template);
        cr_assert_eq(value_fill(given, &scope, &out, &path), CAPSTAN_OK);
        cr_assert(
            slice_equal(slice_of(out.data + 6, out.size - 6), document(&wanted, rows[i].filled)),
            "%s", rows[i].template);
        buffer_fini(&out);
    }
    buffer_fini(&bytes);
    buffer_fini(&template);
    buffer_fini(&wanted);
}

Test(value_template, names_the_path_where_nothing_is)
{
    buffer_t bytes = {0};
    buffer_t template = {0};
    buffer_t out = {0};
    slice_t path = {0};
    slice_t input = document(&bytes, input_text);
    value_scope_t scope = scope_of(&input);
    buffer_append(&out, "before", 6);
    slice_t given = document(&template, "[\"$input.a\",\"$input.c\",\"$input.d\"]");
    cr_assert_eq(value_fill(given, &scope, &out, &path), CAPSTAN_E_NOT_FOUND);
    cr_assert(slice_equal(path, slice_text("input.c")));
    cr_assert(slice_equal(buffer_slice(&out), slice_text("before")));
    buffer_fini(&bytes);
    buffer_fini(&template);
    buffer_fini(&out);
}

Test(value_template, does_not_grow_beyond_what_a_value_may_be)
{
    static uint8_t large[VALUE_BYTES_MAX / 2 + 5];
    large[0] = 0xc6;
    pack_u32(large + 1, VALUE_BYTES_MAX / 2);
    buffer_t template = {0};
    buffer_t out = {0};
    slice_t path = {0};
    slice_t input = slice_of(large, sizeof large);
    value_scope_t scope = scope_of(&input);
    cr_assert_eq(value_fill(document(&template, "[\"$input\"]"), &scope, &out, &path), CAPSTAN_OK);
    out.size = 0;
    cr_assert_eq(value_fill(document(&template, "[\"$input\",\"$input\"]"), &scope, &out, &path),
                 CAPSTAN_E_TOO_LARGE);
    cr_assert_eq(out.size, 0);

    uint8_t deep[VALUE_DEPTH_MAX];
    memset(deep, 0x91, sizeof deep);
    deep[VALUE_DEPTH_MAX - 1] = 0x01;
    input = slice_of(deep, sizeof deep);
    cr_assert_eq(value_fill(document(&template, "[\"$input\"]"), &scope, &out, &path), CAPSTAN_OK);
    out.size = 0;
    cr_assert_eq(value_fill(document(&template, "[[\"$input\"]]"), &scope, &out, &path),
                 CAPSTAN_E_TOO_DEEP);
    cr_assert_eq(out.size, 0);
    buffer_fini(&template);
    buffer_fini(&out);
}

Test(value_template, refers_to_known_documents_by_good_paths)
{
    static const struct {
        const char *template;
        const char *path; /* of the fault */
    } rows[] = {
        {"[\"$input\",\"$other.a\"]", "other.a"},
        {"{\"a\":{\"b\":\"$input..a\"}}", "input..a"},
        {"\"$\"", ""},
        {"\"$ input\"", " input"},
    };
    buffer_t template = {0};
    for (size_t i = 0; i < COUNT(rows); i++) {
        slice_t path = {0};
        slice_t given = document(&template, rows[i].template);
        cr_assert_not(value_template_valid(given, knows_input, NULL, &path), "row %zu", i);
        cr_assert(slice_equal(path, slice_text(rows[i].path)), "row %zu", i);
    }
    buffer_fini(&template);
}

/* --- tests ----------------------------------------------------------------------------------- */

static bool holds(slice_t input, value_operator_t operator, slice_t operand)
{
    value_scope_t scope = scope_of(&input);
    value_test_t test = {.path = slice_text("input"), .operator= operator, .operand = operand };
    return value_test(&test, &scope);
}

/* What all six comparisons say: `<` less, `=` equal, `>` greater, `!` neither. */
static void expect_order(slice_t a, slice_t b, char order, const char *what)
{
    cr_assert_eq(holds(a, VALUE_EQUAL, b), order == '=', "%s", what);
    cr_assert_eq(holds(a, VALUE_NOT_EQUAL, b), order != '=', "%s", what);
    cr_assert_eq(holds(a, VALUE_LESS, b), order == '<', "%s", what);
    cr_assert_eq(holds(a, VALUE_AT_MOST, b), order == '<' || order == '=', "%s", what);
    cr_assert_eq(holds(a, VALUE_GREATER, b), order == '>', "%s", what);
    cr_assert_eq(holds(a, VALUE_AT_LEAST, b), order == '>' || order == '=', "%s", what);
}

#define UINT64_GREATEST "\xcf\xff\xff\xff\xff\xff\xff\xff\xff"
#define INT64_LEAST     "\xd3\x80\0\0\0\0\0\0\0"
#define TWO_TO_64       "\xcb\x43\xf0\0\0\0\0\0\0"
#define MINUS_2_TO_63   "\xcb\xc3\xe0\0\0\0\0\0\0"
#define TWO_TO_53       "\xcb\x43\x40\0\0\0\0\0\0"
#define NOT_A_NUMBER    "\xcb\x7f\xf8\0\0\0\0\0\0"
#define INFINITE        "\xcb\x7f\xf0\0\0\0\0\0\0"
#define MINUS_ZERO      "\xcb\x80\0\0\0\0\0\0\0"

Test(value_test, compares_numbers_of_any_width_exactly)
{
    const struct {
        slice_t a;
        char order;
        slice_t b;
    } rows[] = {
        {BYTES("\x07"), '=', BYTES("\xcc\x07")},
        {BYTES("\x07"), '=', BYTES("\xcf\0\0\0\0\0\0\0\x07")},
        {BYTES("\x07"), '=', BYTES("\xd0\x07")},
        {BYTES("\x07"), '=', BYTES("\xd3\0\0\0\0\0\0\0\x07")},
        {BYTES("\xff"), '=', BYTES("\xd1\xff\xff")},
        {BYTES("\xff"), '=', BYTES("\xd3\xff\xff\xff\xff\xff\xff\xff\xff")},
        {BYTES("\xff"), '<', BYTES("\x00")},
        {BYTES("\xff"), '<', BYTES(UINT64_GREATEST)},
        {BYTES(INT64_LEAST), '<', BYTES(UINT64_GREATEST)},
        {BYTES(INT64_LEAST), '<', BYTES("\xe0")},
        {BYTES("\xcf\x80\0\0\0\0\0\0\0"), '>', BYTES(INT64_LEAST)}, /* the same bits */
        {BYTES(UINT64_GREATEST), '<', BYTES(TWO_TO_64)},
        {BYTES(UINT64_GREATEST), '<', BYTES(INFINITE)},
        {BYTES(INT64_LEAST), '=', BYTES(MINUS_2_TO_63)},
        {BYTES("\xd3\x80\0\0\0\0\0\0\x01"), '>', BYTES(MINUS_2_TO_63)},
        {BYTES(INT64_LEAST), '>', BYTES("\xcb\xff\xf0\0\0\0\0\0\0")},
        {BYTES("\xcf\0\x20\0\0\0\0\0\0"), '=', BYTES(TWO_TO_53)},
        {BYTES("\xcf\0\x20\0\0\0\0\0\x01"), '>', BYTES(TWO_TO_53)}, /* equal as doubles */
        {BYTES("\xcf\0\x1f\xff\xff\xff\xff\xff\xff"), '<', BYTES(TWO_TO_53)},
        {BYTES("\x01"), '<', BYTES("\xcb\x3f\xf8\0\0\0\0\0\0")}, /* 1.5 */
        {BYTES("\x02"), '>', BYTES("\xca\x3f\xc0\0\0")},         /* 1.5 */
        {BYTES("\xff"), '>', BYTES("\xcb\xbf\xf8\0\0\0\0\0\0")}, /* -1.5 */
        {BYTES("\xfe"), '<', BYTES("\xca\xbf\xc0\0\0")},         /* -1.5 */
        {BYTES("\x00"), '>', BYTES("\xcb\xbf\xe0\0\0\0\0\0\0")}, /* -0.5 */
        {BYTES("\xff"), '<', BYTES("\xcb\xbf\xe0\0\0\0\0\0\0")},
        {BYTES("\x00"), '=', BYTES(MINUS_ZERO)},
        {BYTES("\xff"), '<', BYTES(MINUS_ZERO)},
        {BYTES("\xca\x3f\xc0\0\0"), '=', BYTES("\xcb\x3f\xf8\0\0\0\0\0\0")},
        {BYTES("\xca\x3d\xcc\xcc\xcd"), '>', BYTES("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a")},
        {BYTES(NOT_A_NUMBER), '!', BYTES(NOT_A_NUMBER)},
        {BYTES(NOT_A_NUMBER), '!', BYTES("\x00")},
        {BYTES("\xff"), '!', BYTES(NOT_A_NUMBER)},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char what[32];
        char order = rows[i].order;
        char reversed = order == '<' ? '>' : order == '>' ? '<' : order;
        snprintf(what, sizeof what, "row %zu", i);
        expect_order(rows[i].a, rows[i].b, order, what);
        expect_order(rows[i].b, rows[i].a, reversed, what);
    }
}

Test(value_test, compares_texts_byte_by_byte_and_no_type_with_another)
{
    static const char rows[][3][8] = {
        {"\"a\"", "=", "\"a\""}, {"\"a\"", "<", "\"b\""}, {"\"a\"", "<", "\"aa\""},
        {"\"\"", "<", "\"a\""},  {"\"Z\"", "<", "\"a\""}, {"\"a\"", "<", "\"\xc3\xa9\""},
        {"\"1\"", "!", "1"},     {"true", "=", "true"},   {"true", "!", "false"},
        {"null", "=", "null"},   {"null", "!", "false"},  {"1", "!", "true"},
        {"[]", "!", "null"},     {"{}", "!", "\"\""},
    };
    buffer_t a = {0};
    buffer_t b = {0};
    for (size_t i = 0; i < COUNT(rows); i++) {
        expect_order(document(&a, rows[i][0]), document(&b, rows[i][2]), *rows[i][1], rows[i][0]);
    }
    buffer_fini(&a);
    buffer_fini(&b);
}

Test(value_test, holds_where_nothing_is_only_when_that_is_meant)
{
    slice_t one = BYTES("\x01");
    slice_t nothing = {0};
    expect_order(nothing, one, '!', "nothing");
    cr_assert_not(holds(nothing, VALUE_EXISTS, nothing));
    cr_assert(holds(nothing, VALUE_EXISTS_NOT, nothing));
    cr_assert(holds(one, VALUE_EXISTS, nothing));
    cr_assert_not(holds(one, VALUE_EXISTS_NOT, nothing));
    cr_assert(holds(BYTES("\xc0"), VALUE_EXISTS, nothing)); /* a nil is something */
    cr_assert(holds(nothing, (value_operator_t)0, nothing));
}

/* --- lists and texts ------------------------------------------------------------------------- */

Test(value, gives_out_the_elements_of_an_array)
{
    buffer_t bytes = {0};
    buffer_t wanted = {0};
    slice_t element = {0};
    size_t position = 0;
    slice_t array = document(&bytes, "[1,[2,3],\"x\"]");
    static const char *const elements[] = {"1", "[2,3]", "\"x\""};
    cr_assert_eq(value_count(array), 3);
    for (size_t i = 0; i < COUNT(elements); i++) {
        cr_assert(value_element(array, &position, &element));
        cr_assert(slice_equal(element, document(&wanted, elements[i])));
    }
    cr_assert_not(value_element(array, &position, &element));
    cr_assert_not(value_element(array, &position, &element));
    position = 0;
    array = document(&bytes, "{\"a\":1}");
    cr_assert_eq(value_count(array), 0);
    cr_assert_not(value_element(array, &position, &element));
    position = 0;
    cr_assert_not(value_element(BYTES("\x90"), &position, &element));
    cr_assert_eq(value_count(slice_of(NULL, 0)), 0);
    buffer_fini(&bytes);
    buffer_fini(&wanted);
}

Test(value, is_written_as_the_text_of_a_key)
{
    const struct {
        slice_t value;
        const char *text; /* NULL: none */
    } rows[] = {
        {BYTES("\xa3"
               "abc"),
         "abc"},
        {BYTES("\xa0"), ""},
        {BYTES("\x07"), "7"},
        {BYTES("\xd3\xff\xff\xff\xff\xff\xff\xff\xff"), "-1"},
        {BYTES(UINT64_GREATEST), "18446744073709551615"},
        {BYTES(INT64_LEAST), "-9223372036854775808"},
        {BYTES("\xcb\x40\x1c\0\0\0\0\0\0"), "7"}, /* 7.0 */
        {BYTES("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a"), "0.1"},
        {BYTES(MINUS_ZERO), "0"},
        {BYTES(TWO_TO_64), "1.8446744073709552e+19"},
        {BYTES("\xc3"), "true"},
        {BYTES("\xc2"), "false"},
        {BYTES("\xc0"), NULL},
        {BYTES(NOT_A_NUMBER), NULL},
        {BYTES(INFINITE), NULL},
        {BYTES("\x90"), NULL},
        {BYTES("\xc4\x01x"), NULL},
        {BYTES(""), NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[32];
        size_t size = 0;
        bool written = value_text(rows[i].value, text, sizeof text, &size);
        cr_assert_eq(written, rows[i].text != NULL, "row %zu", i);
        cr_assert(!written || slice_equal(slice_of(text, size), slice_text(rows[i].text)),
                  "row %zu: %.*s", i, (int)size, text);
    }
    char small[2];
    size_t size = 0;
    cr_assert_not(value_text(BYTES("\xa3"
                                   "abc"),
                             small, sizeof small, &size));
    cr_assert_not(value_text(BYTES("\xcc\xc8"), small, sizeof small, &size)); /* 200 */
}
