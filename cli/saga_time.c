#include "cli/saga_time.h"

#include "cli/feed_time.h"
#include "config/values.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *saga_time_parse(const char *text, int64_t now_us, int64_t *ret_us)
{
    int64_t age_us;
    if (value_parse_duration(text, &age_us)) {
        *ret_us = now_us - age_us;
        return NULL;
    }
    if (feed_time_parse(slice_text(text), ret_us) == NULL) {
        return NULL;
    }
    return "neither a time such as 2012-01-31T12:00:00Z nor an age such as 30m, 2h or 7d";
}

void saga_time_format(int64_t time_us, char text[SAGA_TIME_TEXT_SIZE])
{
    char whole[FEED_TIME_TEXT_SIZE];
    feed_time_format(time_us, whole);
    size_t size = strlen(whole);
    snprintf(text, SAGA_TIME_TEXT_SIZE, "%.*sZ", (int)(size > 4 ? size - 4 : 0), whole);
}

/* "5m12s": the lesser unit is left out when there is nothing of it. */
static void format_two(char text[SAGA_TIME_TEXT_SIZE], int64_t lesser, int64_t ratio,
                       const char *units)
{
    if (lesser % ratio == 0) {
        snprintf(text, SAGA_TIME_TEXT_SIZE, "%" PRId64 "%c", lesser / ratio, units[0]);
    } else {
        snprintf(text, SAGA_TIME_TEXT_SIZE, "%" PRId64 "%c%" PRId64 "%c", lesser / ratio, units[0],
                 lesser % ratio, units[1]);
    }
}

void saga_duration_format(int64_t us, char text[SAGA_TIME_TEXT_SIZE])
{
    int64_t ms = us > 0 ? us / 1000 : 0;
    if (ms < 1000) {
        snprintf(text, SAGA_TIME_TEXT_SIZE, "%" PRId64 "ms", ms);
    } else if (ms % 1000 >= 100 && ms < 60000) {
        snprintf(text, SAGA_TIME_TEXT_SIZE, "%" PRId64 ".%" PRId64 "s", ms / 1000, ms / 100 % 10);
    } else if (ms < 60000) {
        snprintf(text, SAGA_TIME_TEXT_SIZE, "%" PRId64 "s", ms / 1000);
    } else if (ms < 3600000) {
        format_two(text, ms / 1000, 60, "ms");
    } else if (ms < 86400000) {
        format_two(text, ms / 60000, 60, "hm");
    } else {
        format_two(text, ms / 3600000, 24, "dh");
    }
}
