/* The internal short name of capstan_slice_t, with the comparisons that internal code needs. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <capstan/slice.h>
#include <stdbool.h>
#include <string.h>

typedef capstan_slice_t slice_t;

static inline slice_t slice_of(const void *data, size_t size)
{
    return (slice_t){data, size};
}

static inline slice_t slice_text(const char *text)
{
    return capstan_slice_text(text);
}

static inline bool slice_equal(slice_t a, slice_t b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

#endif
