/* What people type: strict numbers, and the nearest word to a misspelt one. */
#ifndef CONFIG_VALUES_H
#define CONFIG_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal digits and nothing else. False: not a number, or above UINT64_MAX. */
bool value_parse_uint(const char *text, uint64_t *ret_value);

/* A decimal number from 0 to 1. */
bool value_parse_share(const char *text, double *ret_value);

/* A duration: digits and a unit, one of ms, s, m (minutes), h, d, w; at most ten years. */
bool value_parse_duration(const char *text, int64_t *ret_us);

/* True for valid UTF-8. */
bool value_is_utf8(const char *text);

/* Keeps the best candidate seen so far. Distance is the number of letters to insert, remove,
 * replace or swap; only what is within a third of the word's length (at least 1) is near. */
typedef struct nearest {
    const char *wanted;
    const char *best; /* NULL: nothing is near */
    size_t distance;
} nearest_t;

nearest_t nearest_to(const char *wanted);
/* `candidate` must outlive the nearest. */
void nearest_offer(nearest_t *self, const char *candidate);

#endif
