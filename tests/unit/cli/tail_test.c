#include "cli/tail_payload.h"
#include "cli/tail_print.h"

#include <criterion/criterion.h>

#define BYTES(text) slice_of(text, sizeof text - 1)

static void expect_text(const buffer_t *out, const char *text)
{
    cr_assert(slice_equal(buffer_slice(out), slice_text(text)), "%.*s instead of %s",
              (int)out->size, (const char *)out->data, text);
}

/* ---- Payloads. ---- */

Test(tail_payload, maps_become_objects_and_the_rest_base64)
{
    const struct {
        slice_t payload;
        const char *json;
    } cases[] = {
        {BYTES("\x80"), "{}"},
        {BYTES("\x82\xa1"
               "a\xa1x\xa1"
               "b\x01"),
         "{\"a\":\"x\",\"b\":1}"},
        {BYTES("\x81\xa1"
               "a\x93\xff\xc0\xc3"),
         "{\"a\":[-1,null,true]}"},
        {BYTES("\x81\xa1"
               "a\x82\xa1"
               "b\x80\xa1"
               "c\x90"),
         "{\"a\":{\"b\":{},\"c\":[]}}"},
        {BYTES("\x81\xa1\"\xa1\n"), "{\"\\\"\":\"\\n\"}"},
        {BYTES("\x81\xa1"
               "a\xcb\x3f\xf8\0\0\0\0\0\0"),
         "{\"a\":1.5}"},
        {BYTES("\x81\xa1"
               "a\xca\x3f\xc0\0\0"),
         "{\"a\":1.5}"},
        {BYTES("\x81\xa1"
               "a\xca\x7f\xc0\0\0"),
         "{\"a\":null}"},
        {BYTES("\x81\xa1"
               "a\xc4\x02\xff\xfe"),
         "{\"a\":\"//4=\"}"},
        {BYTES("\x81\xa1"
               "a\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
         "{\"a\":18446744073709551615}"},
        {BYTES(""), "\"\""},
        {BYTES("f"), "\"Zg==\""},
        {BYTES("fo"), "\"Zm8=\""},
        {BYTES("foo"), "\"Zm9v\""},
        {BYTES("\x81\x01\x01"), "\"gQEB\""}, /* a number as key */
        {BYTES("\x80\x80"), "\"gIA=\""},     /* bytes behind the map */
        {BYTES("\x81\xa1"
               "a"),
         "\"gaFh\""}, /* too short */
        {BYTES("\x81\xa1"
               "a\xd4\x01\x02"),
         "\"gaFh1AEC\""},                                /* an extension */
        {BYTES("\xdf\xff\xff\xff\xff"), "\"3/////8=\""}, /* a claim of 2^32 entries */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buffer_t out = {0};
        payload_write_json(cases[i].payload, &out);
        expect_text(&out, cases[i].json);
        buffer_fini(&out);
    }
}

/* Goal: nesting without end costs no stack and no memory. */
Test(tail_payload, deep_nesting_is_shown_as_base64)
{
    enum { DEPTH = 100000 };
    buffer_t payload = {0};
    buffer_t out = {0};
    buffer_append(&payload,
                  "\x81\xa1"
                  "a",
                  3);
    memset(buffer_reserve(&payload, DEPTH), 0x91, DEPTH);
    payload.size += DEPTH;
    payload_write_json(buffer_slice(&payload), &out);
    cr_assert_eq(out.data[0], '"');
    cr_assert_eq(out.size, (payload.size + 2) / 3 * 4 + 2);
    buffer_fini(&payload);
    buffer_fini(&out);
}

/* ---- Events. ---- */

Test(tail_print, csv_gives_the_rows_back_under_one_header)
{
    const event_t events[] = {
        {.offset = 1,
         .payload = BYTES("\x82\xa1k\xa1x\xa3"
                          "a,b\xa0")},
        {.offset = 2,
         .payload = BYTES("\x82\xd9\x01k\xa3p\"q\xa3"
                          "a,b\xa1 ")},
    };
    tail_printer_t *printer = tail_printer_new(TAIL_CSV, "t");
    buffer_t out = {0};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        cr_assert_null(tail_print(printer, 0, &events[i], &out));
    }
    expect_text(&out, "k,\"a,b\"\nx,\n\"p\"\"q\", \n");
    buffer_fini(&out);
    tail_printer_destroy(&printer);
}

/* Goal: what csv cannot show leaves no trace in the output, before and after the header. */
Test(tail_print, csv_refuses_other_events_and_goes_on)
{
    const slice_t wrong[] = {
        BYTES(""),
        BYTES("hello"),
        BYTES("\x80"),
        BYTES("\x81\xa1k\x01"),      /* a number */
        BYTES("\x81\xa1k\xa1x\xc0"), /* bytes behind the map */
        BYTES("\x81\xa1k\xa1\xff"),  /* not UTF-8 */
    };
    const slice_t other[] = {
        BYTES("\x81\xa1j\xa1x"),           /* another name */
        BYTES("\x82\xa1k\xa1x\xa1l\xa1x"), /* one more */
    };
    const event_t good = {.offset = 1, .payload = BYTES("\x81\xa1k\xa1x")};
    tail_printer_t *printer = tail_printer_new(TAIL_CSV, "t");
    buffer_t out = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const event_t event = {.offset = 1, .payload = wrong[i]};
        cr_assert_not_null(tail_print(printer, 0, &event, &out), "case %zu", i);
        cr_assert_eq(out.size, 0);
    }
    cr_assert_null(tail_print(printer, 0, &good, &out));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const event_t event = {.offset = 1, .payload = wrong[i]};
        cr_assert_not_null(tail_print(printer, 0, &event, &out), "case %zu", i);
    }
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        const event_t event = {.offset = 1, .payload = other[i]};
        cr_assert_str_eq(tail_print(printer, 0, &event, &out),
                         "its fields are not those of the header");
    }
    cr_assert_null(tail_print(printer, 0, &good, &out));
    expect_text(&out, "k\nx\nx\n");
    buffer_fini(&out);
    tail_printer_destroy(&printer);
}

Test(tail_print, json_shows_all_about_an_event)
{
    const event_t events[] = {
        {.offset = 5,
         .key = BYTES("k"),
         .producer = BYTES("p"),
         .sequence = 2,
         .time_us = INT64_C(1317422324546000),
         .content_type = BYTES("application/msgpack"),
         .payload = BYTES("\x81\xa1"
                          "a\xa1"
                          "1")},
        {.offset = 6, .key = BYTES("\xff"), .payload = BYTES("foo")},
    };
    tail_printer_t *printer = tail_printer_new(TAIL_JSON, "t");
    buffer_t out = {0};
    cr_assert_null(tail_print(printer, 3, &events[0], &out));
    cr_assert_null(tail_print(printer, 0, &events[1], &out));
    expect_text(&out,
                "{\"topic\":\"t\",\"partition\":3,\"offset\":5,\"key\":\"k\",\"producer\":\"p\","
                "\"sequence\":2,\"time\":\"2011-09-30T22:38:44.546000Z\","
                "\"content_type\":\"application/msgpack\",\"payload\":{\"a\":\"1\"}}\n"
                "{\"topic\":\"t\",\"partition\":0,\"offset\":6,\"key_base64\":\"/w==\","
                "\"payload\":\"Zm9v\"}\n");
    buffer_fini(&out);
    tail_printer_destroy(&printer);
}
