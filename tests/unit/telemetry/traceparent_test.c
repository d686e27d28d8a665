/* Goal: the text of a trace context is read strictly, as the W3C recommendation says, and what is
 * written is read back. */
#include <capstan/trace.h>

#include <criterion/criterion.h>
#include <string.h>

#define GOOD "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static capstan_err_t parse(const char *text, capstan_trace_t *ret_trace)
{
    return capstan_trace_parse((capstan_slice_t){text, strlen(text)}, ret_trace);
}

Test(traceparent, is_read_into_its_parts)
{
    static const uint8_t trace_id[16] = {0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd,
                                         0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c};
    static const uint8_t span_id[8] = {0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31};
    capstan_trace_t trace;
    cr_assert_eq(parse(GOOD, &trace), CAPSTAN_OK);
    cr_assert_eq(memcmp(trace.trace_id, trace_id, sizeof trace_id), 0);
    cr_assert_eq(memcmp(trace.span_id, span_id, sizeof span_id), 0);
    cr_assert_eq(trace.flags, CAPSTAN_TRACE_SAMPLED);
}

Test(traceparent, that_is_printed_is_read_back)
{
    static const char *const texts[] = {
        GOOD,
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
        "00-00000000000000000000000000000001-0000000000000001-01",
        "00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-00",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        capstan_trace_t trace;
        char printed[CAPSTAN_TRACEPARENT_SIZE];
        cr_assert_eq(parse(texts[i], &trace), CAPSTAN_OK, "%s", texts[i]);
        capstan_trace_print(&trace, printed);
        cr_assert_str_eq(printed, texts[i]);
    }
}

Test(traceparent, flags_that_are_not_known_are_not_passed_on)
{
    capstan_trace_t trace;
    cr_assert_eq(parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-fe", &trace), 0);
    cr_assert_eq(trace.flags, 0);
    cr_assert_eq(parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff", &trace), 0);
    cr_assert_eq(trace.flags, CAPSTAN_TRACE_SAMPLED);
    char printed[CAPSTAN_TRACEPARENT_SIZE];
    trace.flags = 0xff;
    capstan_trace_print(&trace, printed);
    cr_assert_str_eq(printed, GOOD);
}

Test(traceparent, of_a_later_version_is_read_as_far_as_it_is_known)
{
    capstan_trace_t trace;
    cr_assert_eq(parse("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", &trace), 0);
    cr_assert_eq(parse("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", &trace), 0);
    cr_assert_eq(parse("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.more", &trace),
                 CAPSTAN_E_INVALID);
}

Test(traceparent, that_is_not_exactly_one_is_refused_and_leaves_the_result_alone)
{
    static const char *const texts[] = {
        "",
        "00",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-B7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
        "00 0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331 01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
        (GOOD "-"),
        (GOOD " "),
        (GOOD "0"),
        (" " GOOD),
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        capstan_trace_t trace = {.flags = 77};
        cr_assert_eq(parse(texts[i], &trace), CAPSTAN_E_INVALID, "%s", texts[i]);
        cr_assert_eq(trace.flags, 77);
    }
    for (size_t size = 0; size < sizeof GOOD - 1; size++) {
        capstan_trace_t trace;
        char *cut = memcpy(malloc(size + 1), GOOD, size); /* a sanitizer sees what is read beyond */
        cr_assert_eq(capstan_trace_parse((capstan_slice_t){cut, size}, &trace), CAPSTAN_E_INVALID);
        free(cut);
    }
    char with_zero[] = GOOD;
    with_zero[20] = '\0';
    capstan_trace_t trace;
    cr_assert_eq(capstan_trace_parse((capstan_slice_t){with_zero, sizeof GOOD - 1}, &trace),
                 CAPSTAN_E_INVALID);
}
