/* Times as a crontab has them, in UTC: five fields with lists, ranges and steps. As there, a day is
 * meant when both its fields fit; where both are restricted, which is to say that neither begins
 * with `*`, when one of them does. */
#include "actors/saga/plan.h"

#include <time.h>

#define MINUTE_US INT64_C(60000000)

enum {
    MINUTES_PER_DAY = 24 * 60,
    DAYS_MAX = 146097, /* after 400 years the calendar begins anew, weekdays too */
};

typedef enum field {
    FIELD_MINUTE,
    FIELD_HOUR,
    FIELD_DAY,
    FIELD_MONTH,
    FIELD_WEEKDAY,
    FIELD_COUNT,
} field_t;

static const struct {
    uint32_t minimum;
    uint32_t maximum;
} bounds[FIELD_COUNT] = {{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 7}};

typedef struct times {
    uint64_t bits[FIELD_COUNT]; /* one per number that fits */
    bool any[FIELD_COUNT];      /* begins with `*` */
} times_t;

typedef struct text {
    const char *at;
    const char *end;
} text_t;

static bool take(text_t *text, char wanted)
{
    bool there = text->at < text->end && *text->at == wanted;
    text->at += there;
    return there;
}

/* One or two digits. */
static bool take_number(text_t *text, uint32_t *ret_number)
{
    uint32_t number = 0;
    int digits = 0;
    for (; text->at < text->end && *text->at >= '0' && *text->at <= '9'; text->at++) {
        number = number * 10 + (uint32_t)(*text->at - '0');
        if (++digits > 2) {
            return false;
        }
    }
    *ret_number = number;
    return digits > 0;
}

/* `*`, a number, or a range; the first and last may have a step. */
static bool take_item(text_t *text, field_t field, uint64_t *bits)
{
    uint32_t first = bounds[field].minimum;
    uint32_t last = bounds[field].maximum;
    uint32_t step = 1;
    bool many = take(text, '*');
    if (!many) {
        if (!take_number(text, &first)) {
            return false;
        }
        last = first;
        many = take(text, '-');
        if (many && !take_number(text, &last)) {
            return false;
        }
    }
    if (take(text, '/') && (!many || !take_number(text, &step))) {
        return false;
    }
    if (first < bounds[field].minimum || last > bounds[field].maximum || first > last ||
        step == 0) {
        return false;
    }
    for (uint32_t i = first; i <= last; i += step) {
        *bits |= UINT64_C(1) << i;
    }
    return true;
}

static bool is_blank(const text_t *text)
{
    return text->at < text->end && (*text->at == ' ' || *text->at == '\t');
}

static bool parse(slice_t schedule, times_t *ret_times)
{
    times_t times = {0};
    text_t text = {schedule.data, (const char *)schedule.data + schedule.size};
    for (field_t field = 0; field < FIELD_COUNT; field++) {
        if (field > 0 && !is_blank(&text)) {
            return false;
        }
        while (is_blank(&text)) {
            text.at++;
        }
        times.any[field] = text.at < text.end && *text.at == '*';
        do {
            if (!take_item(&text, field, &times.bits[field])) {
                return false;
            }
        } while (take(&text, ','));
    }
    while (is_blank(&text)) {
        text.at++;
    }
    if (times.bits[FIELD_WEEKDAY] >> 7 & 1) { /* 7 is a Sunday too */
        times.bits[FIELD_WEEKDAY] |= 1;
    }
    *ret_times = times;
    return text.at == text.end;
}

static bool fits(const times_t *times, field_t field, int number)
{
    return times->bits[field] >> number & 1;
}

static bool fits_day(const times_t *times, int64_t day)
{
    struct tm date;
    time_t seconds = (time_t)(day * MINUTES_PER_DAY * 60);
    if (!gmtime_r(&seconds, &date) || !fits(times, FIELD_MONTH, date.tm_mon + 1)) {
        return false;
    }
    bool in_month = fits(times, FIELD_DAY, date.tm_mday);
    bool in_week = fits(times, FIELD_WEEKDAY, date.tm_wday);
    return times->any[FIELD_DAY] || times->any[FIELD_WEEKDAY] ? in_month && in_week
                                                              : in_month || in_week;
}

/* The first minute of a day from `minute` on; MINUTES_PER_DAY: none. */
static int64_t find_minute(const times_t *times, int64_t minute)
{
    for (; minute < MINUTES_PER_DAY; minute++) {
        if (fits(times, FIELD_HOUR, (int)(minute / 60)) &&
            fits(times, FIELD_MINUTE, (int)(minute % 60))) {
            break;
        }
    }
    return minute;
}

static int64_t next_time(const times_t *times, int64_t after_us)
{
    int64_t minutes = after_us / MINUTE_US - (after_us % MINUTE_US < 0) + 1;
    int64_t day = minutes / MINUTES_PER_DAY - (minutes % MINUTES_PER_DAY < 0);
    int64_t minute = minutes - day * MINUTES_PER_DAY;
    int64_t day_end = day + DAYS_MAX + 1;
    if (day_end > INT64_MAX / MINUTE_US / MINUTES_PER_DAY) {
        return INT64_MAX;
    }
    for (; day < day_end; day++, minute = 0) {
        if (fits_day(times, day) && (minute = find_minute(times, minute)) < MINUTES_PER_DAY) {
            return (day * MINUTES_PER_DAY + minute) * MINUTE_US;
        }
    }
    return INT64_MAX;
}

int64_t schedule_next(slice_t schedule, int64_t after_us)
{
    times_t times;
    return parse(schedule, &times) ? next_time(&times, after_us) : INT64_MAX;
}

bool schedule_valid(slice_t schedule)
{
    return schedule_next(schedule, 0) < INT64_MAX;
}
