/* Times as a crontab has them. */
#include "actors/saga/plan.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <time.h>

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

static int64_t time_of(const char *text)
{
    struct tm date = {0};
    int count = sscanf(text, "%d-%d-%d %d:%d:%d", &date.tm_year, &date.tm_mon, &date.tm_mday,
                       &date.tm_hour, &date.tm_min, &date.tm_sec);
    cr_assert_eq(count, 6, "%s", text);
    date.tm_year -= 1900;
    date.tm_mon -= 1;
    return (int64_t)timegm(&date) * 1000000;
}

Test(schedule, finds_the_next_time_that_fits)
{
    static const struct {
        const char *schedule;
        const char *after;
        const char *next;
    } rows[] = {
        {"* * * * *", "2024-02-28 23:58:59", "2024-02-28 23:59:00"},
        {"* * * * *", "2024-02-28 23:59:00", "2024-02-29 00:00:00"}, /* after, not at */
        {"*/5 * * * *", "2024-01-01 00:56:00", "2024-01-01 01:00:00"},
        {"3-59/20 * * * *", "2024-01-01 00:04:00", "2024-01-01 00:23:00"},
        {"0 12 * * *", "2024-12-31 12:00:00", "2025-01-01 12:00:00"},
        {"30 8,17-18 * * *", "2024-01-01 08:30:00", "2024-01-01 17:30:00"},
        {"30 8,17-18 * * *", "2024-01-01 17:30:01", "2024-01-01 18:30:00"},
        {"0 0 1 * *", "2024-01-01 00:00:00", "2024-02-01 00:00:00"},
        {"0 0 31 * *", "2024-03-31 00:00:00", "2024-05-31 00:00:00"},
        {"0 0 29 2 *", "2096-02-29 00:00:00", "2104-02-29 00:00:00"}, /* 2100 has none */
        {"0 0 * 6 1", "2024-01-01 00:00:00", "2024-06-03 00:00:00"},
        {"0 0 * * 0", "2024-01-01 00:00:00", "2024-01-07 00:00:00"},
        {"0 0 * * 7", "2024-01-01 00:00:00", "2024-01-07 00:00:00"},
        {"0 0 * * 5-7", "2024-01-06 00:00:00", "2024-01-07 00:00:00"},
        {"0 0 13 * 5", "2024-01-01 00:00:00", "2024-01-05 00:00:00"}, /* either */
        {"0 0 13 * 5", "2024-01-12 00:00:00", "2024-01-13 00:00:00"},
        {"0 0 */2 * 5", "2024-01-05 00:00:00", "2024-01-19 00:00:00"}, /* both: 12 is even */
        {"0 0 13 * *", "2024-01-13 00:00:00", "2024-02-13 00:00:00"},
        {"\t0   0 1 1  * ", "2024-01-01 00:00:00", "2025-01-01 00:00:00"},
        {"0 0 1 1 *", "1969-06-01 00:00:30", "1970-01-01 00:00:00"},
        {"59 23 31 12 *", "1960-01-01 00:00:30", "1960-12-31 23:59:00"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        cr_assert(schedule_valid(slice_text(rows[i].schedule)), "%s", rows[i].schedule);
        cr_assert_eq(schedule_next(slice_text(rows[i].schedule), time_of(rows[i].after)),
                     time_of(rows[i].next), "%s after %s", rows[i].schedule, rows[i].after);
    }
}

Test(schedule, goes_on_within_microseconds_and_to_the_end_of_time)
{
    slice_t minutely = slice_text("* * * * *");
    cr_assert_eq(schedule_next(minutely, 59999999), 60000000);
    cr_assert_eq(schedule_next(minutely, 60000000), 120000000);
    cr_assert_eq(schedule_next(minutely, -1), 0);
    cr_assert_eq(schedule_next(minutely, -60000000), 0);
    cr_assert_eq(schedule_next(minutely, -60000001), -60000000);
    cr_assert_eq(schedule_next(minutely, INT64_MAX), INT64_MAX);
    cr_assert_eq(schedule_next(minutely, INT64_MIN), INT64_C(-9223372036800000000));
}

Test(schedule, never_comes_where_no_day_fits)
{
    cr_assert_eq(schedule_next(slice_text("0 0 30 2 *"), 0), INT64_MAX);
    cr_assert_not(schedule_valid(slice_text("0 0 30 2 *")));
    cr_assert_not(schedule_valid(slice_text("0 0 31 4,6,9,11 *")));
    cr_assert(schedule_valid(slice_text("0 0 30 2 1"))); /* or a Monday */
}

Test(schedule, is_five_fields_within_their_bounds)
{
    static const char *const rows[] = {
        "",
        " ",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 0 *",
        "* * * 13 *",
        "* * * * 8",
        "a * * * *",
        "1- * * * *",
        "5-1 * * * *",
        "*/0 * * * *",
        "5/2 * * * *",
        "1,,2 * * * *",
        ", * * * *",
        "1, * * * *",
        "-1 * * * *",
        "** * * * *",
        "*/ * * * *",
        "001 * * * *",
        "99999999999 * * * *",
        "* * * JAN *",
        "*\n* * * *",
        "* * * * *x",
        "@daily",
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        cr_assert_not(schedule_valid(slice_text(rows[i])), "%s", rows[i]);
    }
}
