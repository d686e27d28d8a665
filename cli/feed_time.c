#include "cli/feed_time.h"

#include <inttypes.h>
#include <stdio.h>

static const char no_time[] = "is no ISO 8601 time such as 2011-10-01T00:38:44.546+02:00";

typedef struct cursor {
    const char *at;
    const char *end;
} cursor_t;

static bool take(cursor_t *self, char c)
{
    if (self->at < self->end && *self->at == c) {
        self->at++;
        return true;
    }
    return false;
}

/* Takes exactly `digits` digits whose value is at most `maximum`. */
static bool take_number(cursor_t *self, int digits, int64_t maximum, int64_t *ret_number)
{
    int64_t number = 0;
    if (self->end - self->at < digits) {
        return false;
    }
    for (int i = 0; i < digits; i++, self->at++) {
        if (*self->at < '0' || *self->at > '9') {
            return false;
        }
        number = 10 * number + (*self->at - '0');
    }
    *ret_number = number;
    return number <= maximum;
}

static int64_t month_days(int64_t year, int64_t month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

/* Days from 1970-01-01 in the Gregorian calendar, counted in years that begin in March, so that
 * the leap day is the last day of its year. */
static int64_t days_since_1970(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t m = month > 2 ? month - 3 : month + 9;
    int64_t from_march_of_year_0 =
        365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1;
    return from_march_of_year_0 - 719468;
}

static bool take_day(cursor_t *self, int64_t *ret_us)
{
    int64_t year;
    int64_t month;
    int64_t day;
    bool good = take_number(self, 4, 9999, &year) && take(self, '-') &&
                take_number(self, 2, 12, &month) && take(self, '-') &&
                take_number(self, 2, 31, &day) && year > 0 && month > 0 && day > 0 &&
                day <= month_days(year, month);
    if (good) {
        *ret_us = days_since_1970(year, month, day) * 86400 * 1000000;
    }
    return good;
}

static bool take_fraction(cursor_t *self, int64_t *ret_us)
{
    int64_t us = 0;
    int64_t unit = 100000;
    const char *begin = self->at;
    for (; self->at < self->end && *self->at >= '0' && *self->at <= '9'; self->at++) {
        us += unit * (*self->at - '0');
        unit /= 10;
    }
    *ret_us = us;
    return self->at > begin;
}

/* hh:mm[:ss[.fraction]]; a leap second is the first one of the next minute. */
static bool take_clock(cursor_t *self, int64_t *ret_us)
{
    int64_t hour;
    int64_t minute;
    int64_t second = 0;
    int64_t fraction = 0;
    bool good =
        take_number(self, 2, 23, &hour) && take(self, ':') && take_number(self, 2, 59, &minute);
    if (good && take(self, ':')) {
        good = take_number(self, 2, 60, &second);
        if (good && (take(self, '.') || take(self, ','))) {
            good = take_fraction(self, &fraction);
        }
    }
    if (good) {
        *ret_us = ((hour * 60 + minute) * 60 + second) * 1000000 + fraction;
    }
    return good;
}

/* +hh:mm, +hhmm or +hh, or with a minus. */
static bool take_offset(cursor_t *self, int64_t *ret_us)
{
    int64_t hour;
    int64_t minute = 0;
    bool west = take(self, '-');
    if ((!west && !take(self, '+')) || !take_number(self, 2, 23, &hour)) {
        return false;
    }
    bool colon = take(self, ':');
    if ((colon || self->at < self->end) && !take_number(self, 2, 59, &minute)) {
        return false;
    }
    int64_t us = (hour * 60 + minute) * 60 * 1000000;
    *ret_us = west ? -us : us;
    return true;
}

const char *feed_time_parse(slice_t text, int64_t *ret_us)
{
    cursor_t cursor = {.at = text.data, .end = (const char *)text.data + text.size};
    int64_t day;
    int64_t clock = 0;
    int64_t offset = 0;
    if (!take_day(&cursor, &day)) {
        return no_time;
    }
    if (cursor.at < cursor.end) {
        bool parted = take(&cursor, 'T') || take(&cursor, ' ') || take(&cursor, 't');
        if (!parted || !take_clock(&cursor, &clock)) {
            return no_time;
        }
        if (cursor.at == cursor.end) {
            return "has no time zone: append Z or an offset such as +02:00";
        }
        if (!take(&cursor, 'Z') && !take(&cursor, 'z') && !take_offset(&cursor, &offset)) {
            return no_time;
        }
        if (cursor.at != cursor.end) {
            return no_time;
        }
    }
    *ret_us = day + clock - offset;
    return NULL;
}

void feed_time_format(int64_t time_us, char text[FEED_TIME_TEXT_SIZE])
{
    const int64_t day_us = INT64_C(86400) * 1000000;
    bool before_midnight = time_us % day_us < 0;
    int64_t days = time_us / day_us - before_midnight;
    int64_t rest = time_us % day_us + (before_midnight ? day_us : 0);
    /* The inverse of days_since_1970: eras of 400 years, years that begin in March. */
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day = shifted - era * 146097;
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= 365 * year + year / 4 - year / 100;
    int64_t month = (5 * day + 2) / 153;
    day -= (153 * month + 2) / 5;
    snprintf(text, FEED_TIME_TEXT_SIZE,
             "%04" PRId64 "-%02" PRId64 "-%02" PRId64 "T%02" PRId64 ":%02" PRId64 ":%02" PRId64
             ".%06" PRId64 "Z",
             era * 400 + year + (month >= 10), month < 10 ? month + 3 : month - 9, day + 1,
             rest / 3600000000, rest / 60000000 % 60, rest / 1000000 % 60, rest % 1000000);
}
