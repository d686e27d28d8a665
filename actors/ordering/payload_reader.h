/* Reads a payload value by value, where it lies: MessagePack or JSON (RFC 8259) become the same
 * values. Pure, without allocation; whatever the bytes are, each step goes forward or ends in a
 * fault, and nothing that they claim is believed.
 *
 *   payload_value_t value;
 *   payload_children_t children;
 *   if (payload_read(&reader, &value) && value.kind == PAYLOAD_OBJECT) {
 *       children = payload_enter(&value);
 *       while (payload_next_member(&reader, &children, &name)) { ... read the member's value ... }
 *   }
 *
 * The caller bounds the depth: a reader keeps nothing but its place. */
#ifndef ORDERING_PAYLOAD_READER_H
#define ORDERING_PAYLOAD_READER_H

#include "runtime/base/slice.h"

#include <stdint.h>

typedef enum payload_kind {
    PAYLOAD_NULL,
    PAYLOAD_BOOL,
    PAYLOAD_NUMBER,
    PAYLOAD_TEXT,
    PAYLOAD_ARRAY,
    PAYLOAD_OBJECT,
    PAYLOAD_BYTES, /* MessagePack's, and its extensions; JSON has no such thing */
} payload_kind_t;

/* Whole numbers keep their 64 bits. */
typedef struct payload_number {
    enum { NUMBER_NEGATIVE, NUMBER_WHOLE, NUMBER_REAL } kind;
    union {
        int64_t negative; /* below 0 */
        uint64_t whole;
        double real;
    } as;
} payload_number_t;

/* -1, 0 or 1, exact; 2: one of them is no number (NaN). */
int payload_number_compare(payload_number_t a, payload_number_t b);
bool payload_number_is_whole(payload_number_t number);

/* Valid UTF-8; with JSON's escapes, if it has some. */
typedef struct payload_text {
    slice_t raw;
    bool escaped;
} payload_text_t;

uint64_t payload_text_length(payload_text_t text); /* in code points */
bool payload_text_equals(payload_text_t text, slice_t plain);
/* Writes it without escapes; what does not fit is left out. Returns how many bytes it wrote, and
 * more than `size` when something was left out. */
size_t payload_text_copy(payload_text_t text, char *to, size_t size);

typedef struct payload_value {
    payload_kind_t kind;
    bool boolean;
    payload_number_t number;
    payload_text_t text;
    uint64_t count; /* MessagePack: of children that are claimed */
} payload_value_t;

typedef struct payload_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool json;
    const char *fault; /* what is wrong with the bytes; NULL: nothing so far */
} payload_reader_t;

payload_reader_t payload_reader(slice_t bytes, bool json);

/* The next value; of an array or object only its beginning: its children are read next. */
bool payload_read(payload_reader_t *self, payload_value_t *ret_value);
/* Nothing follows the value that was read. */
bool payload_at_end(payload_reader_t *self);

typedef struct payload_children {
    uint64_t left; /* MessagePack */
    bool begun;    /* JSON */
} payload_children_t;

static inline payload_children_t payload_enter(const payload_value_t *value)
{
    return (payload_children_t){.left = value->count};
}

/* False: there is no further one, or a fault. */
bool payload_next_element(payload_reader_t *self, payload_children_t *children);
bool payload_next_member(payload_reader_t *self, payload_children_t *children,
                         payload_text_t *ret_name);

#endif
