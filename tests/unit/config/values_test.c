/* Goal: numbers are read strictly, and only near words are offered. */
#include "config/values.h"

#include <criterion/criterion.h>
#include <string.h>

Test(values, parse_whole_numbers_strictly)
{
    static const char *const wrong[] = {"",    "-1",  "+1",  " 1",  "1 ",
                                        "1.0", "0x1", "1e3", "1_0", "18446744073709551616"};
    uint64_t value = 77;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_expect_not(value_parse_uint(wrong[i], &value), "%s", wrong[i]);
    }
    cr_assert_eq(value, 77, "untouched by a failure");
    cr_assert(value_parse_uint("18446744073709551615", &value) && value == UINT64_MAX);
    cr_assert(value_parse_uint("007", &value) && value == 7);
}

Test(values, parse_shares_from_0_to_1_only)
{
    static const char *const wrong[] = {"",    "-0.1", "1.1", "nan", "inf", "0x0.8",
                                        "0,5", " 0.5", "1e1", "5%",  ".",   "e"};
    double value = 7;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_expect_not(value_parse_share(wrong[i], &value), "%s", wrong[i]);
    }
    cr_assert(value == 7);
    cr_assert(value_parse_share("0.05", &value) && value > 0.049 && value < 0.051);
    cr_assert(value_parse_share("0", &value) && value_parse_share("1", &value));
    cr_assert(value_parse_share(".5", &value) && value_parse_share("5e-2", &value));
}

static const char *nearest_of(const char *wanted)
{
    static const char *const words[] = {"node", "feed", "tail", "status", "store", "bench"};
    nearest_t nearest = nearest_to(wanted);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        nearest_offer(&nearest, words[i]);
    }
    return nearest.best;
}

Test(values, offer_the_nearest_word_and_none_that_is_far)
{
    cr_expect_str_eq(nearest_of("ndoe"), "node");
    cr_expect_str_eq(nearest_of("stat us"), "status");
    cr_expect_str_eq(nearest_of("stor"), "store");
    cr_expect_str_eq(nearest_of("bnech"), "bench");
    cr_expect_null(nearest_of("publish"));
    cr_expect_null(nearest_of("x"));
    cr_expect_null(nearest_of(""));
}

Test(values, compare_words_of_any_length)
{
    char longest[4096];
    memset(longest, 'n', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    cr_expect_null(nearest_of(longest));
}

Test(values, parse_durations_with_their_unit)
{
    static const struct {
        const char *text;
        int64_t us;
    } rows[] = {{"0ms", 0},
                {"500ms", 500000},
                {"30s", 30000000},
                {"5m", 300000000},
                {"2h", INT64_C(7200000000)},
                {"1d", INT64_C(86400000000)},
                {"521w", INT64_C(521) * 7 * 86400000000},
                {"3650d", INT64_C(3650) * 86400000000}};
    static const char *const wrong[] = {"",      "5",    "m",   "-5m",
                                        "5 m",   "1.5h", "5M",  "1h5m",
                                        "3651d", "522w", "5us", "99999999999999999999s"};
    int64_t us = 77;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_expect_not(value_parse_duration(wrong[i], &us), "%s", wrong[i]);
    }
    cr_assert_eq(us, 77, "untouched by a failure");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_expect(value_parse_duration(rows[i].text, &us) && us == rows[i].us, "%s", rows[i].text);
    }
}
