/* Reads the event time of a row. */
#ifndef CLI_FEED_TIME_H
#define CLI_FEED_TIME_H

#include "runtime/base/slice.h"

#include <stdint.h>

/* Reads ISO 8601 in the extended format, years 0001 to 9999: a day (midnight UTC), or a day and a
 * time with `Z` or an offset, `2011-10-01T00:38:44.546+02:00`. A blank may stand for the T, seconds
 * may be absent, fractions beyond microseconds are cut off. Gives UTC microseconds since 1970.
 * Returns NULL, or what is wrong. */
const char *feed_time_parse(slice_t text, int64_t *ret_us);

#endif
