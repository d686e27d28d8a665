/* Payloads against schemas: what is let pass, what is not, and what is said about it. */
#include "actors/ordering/payload_schema.h"

#include "runtime/base/buffer.h"

#include <criterion/criterion.h>
#include <stdio.h>

static payload_fault_t fault;

static payload_schema_t *parse(const char *text)
{
    payload_schema_t *schema = NULL;
    cr_assert_eq(payload_schema_parse(slice_text(text), &schema, &fault), CAPSTAN_OK,
                 "%s: at %s: %s", text, fault.where, fault.what);
    return schema;
}

typedef struct example {
    const char *schema;
    const char *payload; /* JSON */
    const char *where;   /* NULL: it is let pass */
    const char *what;
} example_t;

static void try_json(const example_t *example)
{
    payload_schema_t *schema = parse(example->schema);
    capstan_err_t err = payload_schema_check(schema, slice_text("application/json"),
                                             slice_text(example->payload), &fault);
    if (!example->where) {
        cr_assert_eq(err, CAPSTAN_OK, "%s, %s: at %s: %s", example->schema, example->payload,
                     fault.where, fault.what);
    } else {
        cr_assert_eq(err, CAPSTAN_E_PAYLOAD_INVALID, "%s, %s", example->schema, example->payload);
        cr_assert_str_eq(fault.where, example->where, "%s, %s", example->schema, example->payload);
        cr_assert(strstr(fault.what, example->what), "%s, %s: %s", example->schema,
                  example->payload, fault.what);
    }
    payload_schema_destroy(&schema);
}

#define TRY_ALL(examples)                                                                          \
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples)[0]; i++) {                          \
        try_json(&(examples)[i]);                                                                  \
    }

Test(payload_schema, tells_types_apart)
{
    static const example_t examples[] = {
        {"{}", "null", NULL, NULL},
        {"true", "[1, {}]", NULL, NULL},
        {"false", "1", "the top", "a number is not of the type"},
        {"{\"type\":\"null\"}", "null", NULL, NULL},
        {"{\"type\":\"null\"}", "false", "the top", "a boolean"},
        {"{\"type\":\"boolean\"}", "true", NULL, NULL},
        {"{\"type\":\"string\"}", "\"\"", NULL, NULL},
        {"{\"type\":\"string\"}", "7", "the top", "a number"},
        {"{\"type\":\"number\"}", "7", NULL, NULL},
        {"{\"type\":\"number\"}", "7.5", NULL, NULL},
        {"{\"type\":\"integer\"}", "7", NULL, NULL},
        {"{\"type\":\"integer\"}", "-7", NULL, NULL},
        {"{\"type\":\"integer\"}", "7.0", NULL, NULL},
        {"{\"type\":\"integer\"}", "7e2", NULL, NULL},
        {"{\"type\":\"integer\"}", "7.5", "the top", "a number"},
        {"{\"type\":[\"integer\",\"null\"]}", "null", NULL, NULL},
        {"{\"type\":[\"integer\",\"null\"]}", "1", NULL, NULL},
        {"{\"type\":[\"integer\",\"null\"]}", "\"1\"", "the top", "a text"},
        {"{\"type\":\"array\"}", "[]", NULL, NULL},
        {"{\"type\":\"array\"}", "{}", "the top", "an object"},
        {"{\"type\":\"object\"}", "[]", "the top", "an array"},
    };
    TRY_ALL(examples)
}

Test(payload_schema, compares_numbers_exactly)
{
    static const example_t examples[] = {
        {"{\"minimum\":3}", "3", NULL, NULL},
        {"{\"minimum\":3}", "2.999", "the top", "below its minimum"},
        {"{\"minimum\":3}", "\"a\"", NULL, NULL}, /* says nothing about texts */
        {"{\"exclusiveMinimum\":3}", "3", "the top", "below"},
        {"{\"exclusiveMinimum\":3}", "3.0", "the top", "below"},
        {"{\"exclusiveMinimum\":3}", "3.1", NULL, NULL},
        {"{\"maximum\":-3}", "-3", NULL, NULL},
        {"{\"maximum\":-3}", "-2", "the top", "above its maximum"},
        {"{\"exclusiveMaximum\":0.5}", "0.5", "the top", "above"},
        {"{\"exclusiveMaximum\":0.5}", "0.25", NULL, NULL},
        {"{\"minimum\":1,\"exclusiveMinimum\":1}", "1", "the top", "below"},
        {"{\"minimum\":2,\"exclusiveMinimum\":1}", "2", NULL, NULL},
        {"{\"minimum\":1,\"exclusiveMinimum\":2}", "2", "the top", "below"},
        {"{\"maximum\":9223372036854775806}", "9223372036854775806", NULL, NULL},
        {"{\"maximum\":9223372036854775806}", "9223372036854775807", "the top", "above"},
        {"{\"maximum\":9223372036854775807}", "9223372036854775808.0", "the top", "above"},
        {"{\"minimum\":0}", "18446744073709551615", NULL, NULL},
        {"{\"minimum\":0}", "-9223372036854775808", "the top", "below"},
        {"{\"maximum\":1e30}", "100000000000000000000000000000", NULL, NULL},
        {"{\"const\":1}", "1.0", NULL, NULL},
        {"{\"const\":0}", "-0", NULL, NULL},
        {"{\"const\":9007199254740993}", "9007199254740992.0", "the top", "const"},
        {"{\"enum\":[1,2.5,null,true,\"a\\u00e9\"]}", "2.5", NULL, NULL},
        {"{\"enum\":[1,2.5,null,true,\"a\\u00e9\"]}", "null", NULL, NULL},
        {"{\"enum\":[1,2.5,null,true,\"a\\u00e9\"]}", "true", NULL, NULL},
        {"{\"enum\":[1,2.5,null,true,\"a\\u00e9\"]}", "\"a\\u00E9\"", NULL, NULL},
        {"{\"enum\":[1,2.5,null,true,\"a\\u00e9\"]}", "false", "the top", "enum"},
        {"{\"enum\":[1,2.5,null,true,\"a\\u00e9\"]}", "[]", "the top", "enum"},
    };
    TRY_ALL(examples)
}

Test(payload_schema, measures_texts_in_code_points_and_arrays_in_elements)
{
    static const example_t examples[] = {
        {"{\"maxLength\":2}", "\"\xc3\xa9\xf0\x9f\x98\x80\"", NULL, NULL},
        {"{\"maxLength\":2}", "\"\\u00e9\\ud83d\\ude00\"", NULL, NULL},
        {"{\"maxLength\":2}", "\"abc\"", "the top", "has 3 characters, and may have 2"},
        {"{\"minLength\":2}", "\"\\n\"", "the top", "has 1 characters, and needs 2"},
        {"{\"minItems\":1,\"maxItems\":2}", "[1,2]", NULL, NULL},
        {"{\"minItems\":1,\"maxItems\":2}", "[]", "the top", "has 0 elements, and needs 1"},
        {"{\"minItems\":1,\"maxItems\":2}", "[1,2,3]", "the top", "and may have 2"},
        {"{\"items\":{\"type\":\"integer\"}}", "[1, 2 ,3]", NULL, NULL},
        {"{\"items\":{\"items\":{\"maximum\":5}}}", "[[],[1,6]]", "/1/1", "above"},
        {"{\"items\":false}", "[]", NULL, NULL},
        {"{\"items\":false}", "[null]", "/0", "type"},
    };
    TRY_ALL(examples)
}

#define ORDER                                                                                      \
    "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"o\","               \
    "\"type\":\"object\",\"required\":[\"id\",\"extra\"],\"additionalProperties\":false,"          \
    "\"properties\":{\"id\":{\"type\":\"string\",\"description\":\"d\"},\"extra\":true,"           \
    "\"a/b~c\":{\"properties\":{\"n\":{\"minimum\":0}}}}}"

Test(payload_schema, knows_the_members_of_objects)
{
    static const example_t examples[] = {
        {ORDER, "{\"id\":\"1\",\"extra\":[{\"x\":1}]}", NULL, NULL},
        {ORDER, "{\"extra\":null,\"\\u0069d\":\"1\"}", NULL, NULL},
        {ORDER, "{\"id\":\"1\"}", "the top", "\"extra\" is missing"},
        {ORDER, "{\"id\":1,\"extra\":0}", "/id", "a number"},
        {ORDER, "{\"id\":\"1\",\"extra\":0,\"idd\":0}", "/idd", "additionalProperties"},
        {ORDER, "{\"a/b~c\":{\"n\":-1}}", "/a~1b~0c/n", "below"},
        {"{\"required\":[\"x\"]}", "{\"x\":0,\"y\":0}", NULL, NULL},
        {"{\"required\":[\"x\"]}", "{}", "the top", "\"x\" is missing"},
        {"{\"required\":[\"x\"]}", "[]", NULL, NULL},
        {"{\"required\":[\"x\"],\"additionalProperties\":false}", "{\"x\":0}", "/x", "additional"},
        {"{\"properties\":{\"x\":{\"type\":\"null\"}}}", "{\"x\":null,\"x\":1}", "/x", "number"},
    };
    TRY_ALL(examples)
}

Test(payload_schema, refuses_what_is_no_json)
{
    static const char *const bytes[] = {
        "",
        " ",
        "nul",
        "[1,]",
        "[1 2]",
        "[,1]",
        "[",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1",
        "{a:1}",
        "{,\"a\":1}",
        "{\"a\":1,}",
        "01",
        "1.",
        ".5",
        "-",
        "1e",
        "+1",
        "1e999",
        "0x1",
        "NaN",
        "1 1",
        "\"a",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\n\"",
        "\"\\",
        "\"\xff\"",
        "'a'",
        "[1]]",
        "\"\\udc00\"",
        "truee",
        ("\xef\xbb\xbf"
         "1"),
    };
    payload_schema_t *schema = parse("{}");
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
        cr_assert_eq(payload_schema_check(schema, slice_text("application/json"),
                                          slice_text(bytes[i]), &fault),
                     CAPSTAN_E_PAYLOAD_INVALID, "%s", bytes[i]);
        cr_assert_neq(fault.what[0], '\0');
    }
    payload_schema_destroy(&schema);
}

/* A literal with its size: MessagePack has zero bytes. */
#define BYTES(literal)                                                                             \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

Test(payload_schema, reads_messagepack_as_it_reads_json)
{
    static const struct {
        const char *schema;
        slice_t payload;
        const char *where; /* NULL: it is let pass */
    } examples[] = {
        {"{\"type\":\"null\"}", BYTES("\xc0"), NULL},
        {"{\"const\":true}", BYTES("\xc3"), NULL},
        {"{\"const\":-32}", BYTES("\xe0"), NULL},
        {"{\"const\":127}", BYTES("\x7f"), NULL},
        {"{\"const\":200}", BYTES("\xcc\xc8"), NULL},
        {"{\"const\":-2}", BYTES("\xd0\xfe"), NULL},
        {"{\"const\":-129}", BYTES("\xd1\xff\x7f"), NULL},
        {"{\"const\":65536}", BYTES("\xce\x00\x01\x00\x00"), NULL},
        {"{\"const\":-9223372036854775808}", BYTES("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"), NULL},
        {"{\"const\":1.5}", BYTES("\xca\x3f\xc0\x00\x00"), NULL},
        {"{\"const\":1.5}", BYTES("\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00"), NULL},
        {"{\"minimum\":0}", BYTES("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"), "the top"}, /* NaN */
        {"{\"const\":\"ab\"}",
         BYTES("\xa2"
               "ab"),
         NULL},
        {"{\"const\":\"ab\"}",
         BYTES("\xd9\x02"
               "ab"),
         NULL},
        {"{\"const\":\"ab\"}",
         BYTES("\xda\x00\x02"
               "ab"),
         NULL},
        {"{\"const\":\"a\\\\n\"}",
         BYTES("\xa3"
               "a\\n"),
         NULL}, /* no escapes here */
        {"{}", BYTES("\xa1\xff"), "the top"},
        {"{}", BYTES("\xc4\x01\xff"), NULL},
        {"{\"type\":\"string\"}", BYTES("\xc4\x01\xff"), "the top"},
        {"{}", BYTES("\xd6\xff\x01\x02\x03\x04"), NULL}, /* a timestamp */
        {"{}", BYTES("\xc7\x02\x01\x01\x02"), NULL},
        {"{\"items\":{\"type\":\"integer\"}}",
         BYTES("\x92\x01\xa1"
               "a"),
         "/1"},
        {"{\"minItems\":2}", BYTES("\xdc\x00\x02\x01\x02"), NULL},
        {"{\"properties\":{\"k\":{\"maximum\":5}}}", BYTES("\x81\xa1k\x06"), "/k"},
        {"{\"required\":[\"k\"]}", BYTES("\xde\x00\x01\xa1k\x06"), NULL},
        {"{}", BYTES("\x81\x01\x06"), "the top"}, /* the name of a member is a number */
        {"{}", BYTES("\xdd\xff\xff\xff\xff\x01"), "/1"},
        {"{}", BYTES("\xdf\xff\xff\xff\xff"), "the top"},
        {"{}", BYTES("\xdb\xff\xff\xff\xff"), "the top"},
        {"{}", BYTES("\xc6\xff\xff\xff\xff"), "the top"},
        {"{}", BYTES("\xc1"), "the top"},
        {"{}", BYTES("\x01\x01"), "the top"},
        {"{}", BYTES(""), "the top"},
    };
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        payload_schema_t *schema = parse(examples[i].schema);
        capstan_err_t err = payload_schema_check(schema, slice_text("application/msgpack"),
                                                 examples[i].payload, &fault);
        cr_assert_eq(err, examples[i].where ? CAPSTAN_E_PAYLOAD_INVALID : CAPSTAN_OK, "%zu, %s: %s",
                     i, examples[i].schema, fault.what);
        cr_assert(!examples[i].where || strcmp(examples[i].where, fault.where) == 0, "%zu: %s", i,
                  fault.where);
        payload_schema_destroy(&schema);
    }
}

Test(payload_schema, goes_by_the_content_type)
{
    static const struct {
        const char *type;
        bool json, msgpack;
    } types[] = {
        {"application/json", true, false},
        {"Application/JSON; charset=utf-8", true, false},
        {"application/vnd.acme.order+json", true, false},
        {"application/msgpack", false, true},
        {"application/x-msgpack", false, true},
        {"application/vnd.msgpack", false, true},
        {"application/order+msgpack", false, true},
        {"text/plain", false, false},
        {"json", false, false},
        {"", false, false},
    };
    payload_schema_t *schema = parse("{\"const\":5}");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        slice_t type = slice_text(types[i].type);
        cr_assert_eq(payload_schema_check(schema, type, slice_text("5"), &fault) == CAPSTAN_OK,
                     types[i].json, "%s", types[i].type);
        cr_assert_eq(payload_schema_check(schema, type, slice_of("\x05", 1), &fault) == CAPSTAN_OK,
                     types[i].msgpack, "%s", types[i].type);
    }
    cr_assert_eq(payload_schema_check(schema, (slice_t){0}, (slice_t){0}, &fault),
                 CAPSTAN_E_PAYLOAD_INVALID);
    cr_assert(strstr(fault.what, "neither JSON nor MessagePack"), "%s", fault.what);
    payload_schema_destroy(&schema);
}

Test(payload_schema, says_what_is_wrong_with_a_schema_and_where)
{
    static const struct {
        const char *schema, *where, *what;
    } wrong[] = {
        {"", "line 1", ""},
        {"{\"type\":\"object\",\n \"type\":1}", "line 2", "duplicate"},
        {"{\n \"type\": }", "line 2", ""},
        {"7", "the top", "a schema is an object"},
        {"{\"pattern\":\"a\"}", "/pattern", "pattern is not supported"},
        {"{\"$ref\":\"#\"}", "/$ref", "$ref is not supported"},
        {"{\"properties\":{\"a/b\":{\"items\":{\"format\":\"x\"}}}}",
         "/properties/a~1b/items/format", "format is not supported"},
        {"{\"type\":\"int\"}", "/type", "a type is one of"},
        {"{\"type\":[]}", "/type", "empty"},
        {"{\"type\":5}", "/type", "a type is one of"},
        {"{\"enum\":[]}", "/enum", "1 to 256 values"},
        {"{\"enum\":[[]]}", "/enum", "not supported here"},
        {"{\"const\":{}}", "/const", "not supported here"},
        {"{\"minimum\":\"1\"}", "/minimum", "a number"},
        {"{\"minLength\":-1}", "/minLength", "whole number"},
        {"{\"maxItems\":1.5}", "/maxItems", "whole number"},
        {"{\"items\":[{}]}", "/items", "a schema is an object"},
        {"{\"additionalProperties\":{}}", "/additionalProperties", "true and false"},
        {"{\"properties\":[]}", "/properties", "an object"},
        {"{\"required\":\"a\"}", "/required", "list of names"},
        {"{\"required\":[1]}", "/required", "list of names"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        payload_schema_t *schema = NULL;
        cr_assert_eq(payload_schema_parse(slice_text(wrong[i].schema), &schema, &fault),
                     CAPSTAN_E_SCHEMA_INVALID, "%s", wrong[i].schema);
        cr_assert_eq(strncmp(fault.where, wrong[i].where, strlen(wrong[i].where)), 0, "%s: %s",
                     wrong[i].schema, fault.where);
        cr_assert(strstr(fault.what, wrong[i].what), "%s: %s", wrong[i].schema, fault.what);
    }
}

static void repeat(buffer_t *out, const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buffer_append(out, text, strlen(text));
    }
}

static bool is_schema(const buffer_t *text)
{
    payload_schema_t *schema = NULL;
    capstan_err_t err = payload_schema_parse(buffer_slice(text), &schema, &fault);
    payload_schema_destroy(&schema);
    return err == CAPSTAN_OK;
}

Test(payload_schema, bounds_what_a_schema_asks_for)
{
    buffer_t text = {0};
    static const size_t depths[] = {31, 32, 10000};
    for (size_t i = 0; i < sizeof depths / sizeof depths[0]; i++) {
        buffer_clear(&text);
        repeat(&text, "{\"items\":", depths[i]);
        repeat(&text, "{}", 1);
        repeat(&text, "}", depths[i]);
        cr_assert_eq(is_schema(&text), depths[i] == 31, "%zu: %s", depths[i], fault.what);
    }
    cr_assert(strstr(fault.what, "more than 32 deep"), "%s", fault.what);

    static const size_t counts[] = {1024, 1025};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        buffer_clear(&text);
        repeat(&text, "{\"required\":[\"0\"", 1);
        for (size_t name = 1; name < counts[i]; name++) {
            char piece[32];
            snprintf(piece, sizeof piece, ",\"%zu\"", name);
            repeat(&text, piece, 1);
        }
        repeat(&text, "]}", 1);
        cr_assert_eq(is_schema(&text), counts[i] == 1024, "%s", fault.what);
    }
    buffer_fini(&text);
}

Test(payload_schema, bounds_the_depth_of_payloads)
{
    payload_schema_t *schema = parse("{}");
    static const size_t depths[] = {64, 65, 100000};
    for (size_t i = 0; i < sizeof depths / sizeof depths[0]; i++) {
        buffer_t json = {0};
        buffer_t msgpack = {0};
        repeat(&json, "[", depths[i]);
        repeat(&json, "]", depths[i]);
        repeat(&msgpack, "\x91", depths[i]);
        repeat(&msgpack, "\x01", 1);
        capstan_err_t wanted = depths[i] == 64 ? CAPSTAN_OK : CAPSTAN_E_PAYLOAD_INVALID;
        cr_assert_eq(payload_schema_check(schema, slice_text("application/json"),
                                          buffer_slice(&json), &fault),
                     wanted);
        cr_assert_eq(payload_schema_check(schema, slice_text("application/msgpack"),
                                          buffer_slice(&msgpack), &fault),
                     wanted);
        buffer_fini(&json);
        buffer_fini(&msgpack);
    }
    cr_assert(strstr(fault.what, "more than 64 deep"), "%s", fault.what);
    cr_assert_eq(strncmp(fault.where, "/0/0/0", 6), 0);
    payload_schema_destroy(&schema);
}

Test(payload_schema, cuts_places_that_are_long)
{
    payload_schema_t *schema = parse("{\"additionalProperties\":false}");
    buffer_t json = {0};
    repeat(&json, "{\"", 1);
    repeat(&json, "name", 100);
    repeat(&json, "\":1}", 1);
    cr_assert_eq(
        payload_schema_check(schema, slice_text("application/json"), buffer_slice(&json), &fault),
        CAPSTAN_E_PAYLOAD_INVALID);
    cr_assert_str_eq(fault.where, "/...");
    buffer_fini(&json);
    payload_schema_destroy(&schema);
}
