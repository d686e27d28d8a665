/* Reading the clocks, and adding to what they say. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_ns(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static inline int64_t clock_us(clockid_t clock)
{
    return clock_ns(clock) / 1000;
}

/* `after_us` >= 0 later; a time that does not fit is the end of time. */
static inline int64_t clock_add_us(int64_t time_us, int64_t after_us)
{
    return time_us > INT64_MAX - after_us ? INT64_MAX : time_us + after_us;
}

#endif
