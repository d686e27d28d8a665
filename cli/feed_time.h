/* Event times as text. */
#ifndef CLI_FEED_TIME_H
#define CLI_FEED_TIME_H

#include "runtime/base/slice.h"

#include <stdint.h>

/* Reads ISO 8601 in the extended format, years 0001 to 9999: a day (midnight UTC), or a day and a
 * time with `Z` or an offset, `2011-10-01T00:38:44.546+02:00`. A blank may stand for the T, seconds
 * may be absent, fractions beyond microseconds are cut off. Gives UTC microseconds since 1970.
 * Returns NULL, or what is wrong. */
const char *feed_time_parse(slice_t text, int64_t *ret_us);

enum { FEED_TIME_TEXT_SIZE = 72 };

/* Writes `2011-09-30T22:38:44.546000Z` with its terminator; any 64-bit value has a text. */
void feed_time_format(int64_t time_us, char text[FEED_TIME_TEXT_SIZE]);

#endif
