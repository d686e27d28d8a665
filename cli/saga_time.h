/* Times and durations as people write and read them. */
#ifndef CLI_SAGA_TIME_H
#define CLI_SAGA_TIME_H

#include <stdbool.h>
#include <stdint.h>

enum { SAGA_TIME_TEXT_SIZE = 32 };

/* A time (2012-01-31T12:00:00Z, or a day) or an age (2h: so long ago). Returns NULL, or what is
 * wrong. */
const char *saga_time_parse(const char *text, int64_t now_us, int64_t *ret_us);

/* UTC, with milliseconds: 2012-01-31T12:00:00.500Z. */
void saga_time_format(int64_t time_us, char text[SAGA_TIME_TEXT_SIZE]);
/* In two units at most, rounded down: 350ms, 1.5s, 5m12s, 2h5m, 3d4h. */
void saga_duration_format(int64_t us, char text[SAGA_TIME_TEXT_SIZE]);

#endif
