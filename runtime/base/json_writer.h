/* Writes one JSON value into a buffer, piece by piece, without blanks. The functions are called
 * emit_x because json_x is the namespace of the library that reads JSON.
 *
 *   json_writer_t json = json_writer(&out);
 *   emit_object_begin(&json);
 *   emit_key(&json, "sent");
 *   emit_uint(&json, 3);
 *   emit_object_end(&json);
 *
 * Commas are the writer's; that ends match beginnings and that each member has a key is the
 * caller's, and ENSUREd. Strings may be any bytes: control characters are escaped, each byte that
 * is not part of valid UTF-8 becomes U+FFFD. At most JSON_DEPTH_MAX levels. */
#ifndef BASE_JSON_WRITER_H
#define BASE_JSON_WRITER_H

#include "runtime/base/buffer.h"

#include <stdbool.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 32

typedef struct json_writer {
    buffer_t *out;
    uint32_t depth;
    uint32_t objects; /* bit per level: it is an object */
    uint32_t filled;  /* bit per level: it has an item, so the next needs a comma */
    bool keyed;       /* a key was written, its value was not */
} json_writer_t;

static inline json_writer_t json_writer(buffer_t *out)
{
    return (json_writer_t){.out = out};
}

void emit_object_begin(json_writer_t *self);
void emit_object_end(json_writer_t *self);
void emit_array_begin(json_writer_t *self);
void emit_array_end(json_writer_t *self);

void emit_key(json_writer_t *self, const char *name);
void emit_key_text(json_writer_t *self, slice_t name);
void emit_text(json_writer_t *self, slice_t value);
void emit_string(json_writer_t *self, const char *value);
void emit_uint(json_writer_t *self, uint64_t value);
void emit_int(json_writer_t *self, int64_t value);
/* The shortest text that reads back as the same number; null for NaN and infinity, which JSON has
 * no word for. */
void emit_double(json_writer_t *self, double value);
void emit_bool(json_writer_t *self, bool value);
void emit_null(json_writer_t *self);
/* One complete JSON value, written by someone else. */
void emit_raw(json_writer_t *self, slice_t value);

/* Appends the bytes as they stand between the quotes of a JSON string. */
void emit_escaped(buffer_t *out, slice_t text);

/* The length of the valid UTF-8 sequence that `text` begins with, 1 to 4; 0 when it begins with
 * none (also for overlong forms, surrogates and what is above U+10FFFF). */
size_t utf8_length(slice_t text);

#endif
