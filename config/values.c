#include "config/values.h"

#include "runtime/base/json_writer.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* Longer words than this are compared by their beginning. */
#define WORD_MAX 96

bool value_parse_uint(const char *text, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (*text == '\0') {
        return false;
    }
    for (; *text; text++) {
        if (*text < '0' || *text > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(*text - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *ret_value = value;
    return true;
}

bool value_parse_share(const char *text, double *ret_value)
{
    /* strtod also takes blanks, signs, hexadecimal digits, "inf" and "nan". */
    if (*text == '\0' || strspn(text, "0123456789.eE-") != strlen(text) ||
        !(isdigit((unsigned char)*text) || *text == '.')) {
        return false;
    }
    char *end;
    double value = strtod(text, &end);
    if (*end != '\0' || !(value >= 0 && value <= 1)) {
        return false;
    }
    *ret_value = value;
    return true;
}

bool value_parse_duration(const char *text, int64_t *ret_us)
{
    static const struct {
        const char *name;
        int64_t us;
    } units[] = {
        {"ms", 1000},
        {"s", 1000000},
        {"m", INT64_C(60) * 1000000},
        {"h", INT64_C(3600) * 1000000},
        {"d", INT64_C(86400) * 1000000},
        {"w", INT64_C(7) * 86400 * 1000000},
    };
    const int64_t us_max = INT64_C(3650) * 86400 * 1000000;
    char digits[24];
    size_t size = strspn(text, "0123456789");
    uint64_t number;
    snprintf(digits, sizeof digits, "%.*s", (int)size, text);
    if (size >= sizeof digits || !value_parse_uint(digits, &number)) {
        return false;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(text + size, units[i].name) == 0 && number <= (uint64_t)(us_max / units[i].us)) {
            *ret_us = (int64_t)number * units[i].us;
            return true;
        }
    }
    return false;
}

bool value_is_utf8(const char *text)
{
    slice_t rest = slice_text(text);
    while (rest.size > 0) {
        size_t length = utf8_length(rest);
        if (length == 0) {
            return false;
        }
        rest = slice_of((const uint8_t *)rest.data + length, rest.size - length);
    }
    return true;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Damerau and Levenshtein's distance with adjacent swaps, by three rows of the usual table:
 * row i holds the distances from the first i letters of `a` to every beginning of `b`. */
static size_t word_distance(const char *a, const char *b)
{
    size_t a_size = smaller(strlen(a), WORD_MAX);
    size_t b_size = smaller(strlen(b), WORD_MAX);
    size_t rows[3][WORD_MAX + 1] = {0};
    for (size_t j = 0; j <= b_size; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a_size; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i - 1) % 3];
        const size_t *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
            row[j] = smaller(smaller(above[j] + 1, row[j - 1] + 1), above[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = smaller(row[j], above2[j - 2] + 1);
            }
        }
    }
    return rows[a_size % 3][b_size];
}

nearest_t nearest_to(const char *wanted)
{
    size_t allowed = smaller(strlen(wanted), WORD_MAX) / 3;
    return (nearest_t){.wanted = wanted, .distance = (allowed > 1 ? allowed : 1) + 1};
}

void nearest_offer(nearest_t *self, const char *candidate)
{
    size_t distance = word_distance(self->wanted, candidate);
    if (distance < self->distance) {
        self->best = candidate;
        self->distance = distance;
    }
}
