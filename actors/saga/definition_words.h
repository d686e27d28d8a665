/* What is written in the scalars of a definition: durations, shares, typed values, tests. */
#ifndef SAGA_DEFINITION_WORDS_H
#define SAGA_DEFINITION_WORDS_H

#include "runtime/base/buffer.h"
#include "runtime/base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/* Decimal digits and nothing else. */
bool words_number(slice_t text, uint64_t *ret_number);
/* 500ms, 10s, 5m, 2h, 7d; in milliseconds. */
bool words_duration(slice_t text, uint64_t *ret_ms);
/* 20%; the number before the sign. */
bool words_percent(slice_t text, uint64_t *ret_percent);
/* 2, 1.5, 1.25; in hundredths. */
bool words_factor(slice_t text, uint64_t *ret_percent);

/* Appends a scalar without quotes as msgpack, of the type that YAML 1.2 core gives it. False, and
 * nothing appended: a number that is too large. */
bool words_scalar(slice_t text, buffer_t *out);
void words_text(slice_t text, buffer_t *out);

/* `PATH OPERATOR VALUE`, `PATH exists` or `PATH missing`, appended as record `saga_test`. NULL, or
 * what is wrong with it. */
const char *words_test(slice_t text, buffer_t *out);

#endif
