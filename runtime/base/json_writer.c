#include "runtime/base/json_writer.h"

#include "runtime/base/ensure.h"

#include <inttypes.h>
#include <math.h>

static void put(json_writer_t *self, const char *text)
{
    buffer_append(self->out, text, strlen(text));
}

static bool in_object(const json_writer_t *self)
{
    return self->depth > 0 && (self->objects >> (self->depth - 1) & 1) != 0;
}

/* The comma before the next item of the current level, where one is needed. */
static void separate(json_writer_t *self)
{
    if (self->depth == 0) {
        return;
    }
    uint32_t bit = UINT32_C(1) << (self->depth - 1);
    if ((self->filled & bit) != 0) {
        put(self, ",");
    }
    self->filled |= bit;
}

static void begin_value(json_writer_t *self)
{
    ENSURE(self->keyed == in_object(self));
    if (!self->keyed) {
        separate(self);
    }
    self->keyed = false;
}

static void begin_level(json_writer_t *self, bool object)
{
    begin_value(self);
    ENSURE(self->depth < JSON_DEPTH_MAX);
    uint32_t bit = UINT32_C(1) << self->depth;
    self->objects = object ? self->objects | bit : self->objects & ~bit;
    self->filled &= ~bit;
    self->depth++;
    put(self, object ? "{" : "[");
}

static void end_level(json_writer_t *self, bool object)
{
    ENSURE(self->depth > 0 && in_object(self) == object && !self->keyed);
    self->depth--;
    put(self, object ? "}" : "]");
}

void emit_object_begin(json_writer_t *self)
{
    begin_level(self, true);
}

void emit_object_end(json_writer_t *self)
{
    end_level(self, true);
}

void emit_array_begin(json_writer_t *self)
{
    begin_level(self, false);
}

void emit_array_end(json_writer_t *self)
{
    end_level(self, false);
}

void emit_key(json_writer_t *self, const char *name)
{
    emit_key_text(self, slice_text(name));
}

void emit_key_text(json_writer_t *self, slice_t name)
{
    ENSURE(in_object(self) && !self->keyed);
    separate(self);
    put(self, "\"");
    emit_escaped(self->out, name);
    put(self, "\":");
    self->keyed = true;
}

void emit_text(json_writer_t *self, slice_t value)
{
    begin_value(self);
    put(self, "\"");
    emit_escaped(self->out, value);
    put(self, "\"");
}

void emit_string(json_writer_t *self, const char *value)
{
    emit_text(self, slice_text(value));
}

void emit_uint(json_writer_t *self, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    begin_value(self);
    put(self, text);
}

void emit_int(json_writer_t *self, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    begin_value(self);
    put(self, text);
}

void emit_double(json_writer_t *self, double value)
{
    if (!isfinite(value)) {
        emit_null(self);
        return;
    }
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        double back = strtod(text, NULL);
        if (memcmp(&back, &value, sizeof value) == 0) {
            break;
        }
    }
    begin_value(self);
    put(self, text);
}

void emit_bool(json_writer_t *self, bool value)
{
    begin_value(self);
    put(self, value ? "true" : "false");
}

void emit_null(json_writer_t *self)
{
    begin_value(self);
    put(self, "null");
}

void emit_raw(json_writer_t *self, slice_t value)
{
    begin_value(self);
    buffer_append(self->out, value.data, value.size);
}

/* DEL and the C1 controls (U+0080 to U+009F, two bytes that begin with 0xc2) are legal in JSON but
 * can steer a terminal: they are escaped like the others. */
static void escape_one(buffer_t *out, const uint8_t *at, size_t length)
{
    unsigned code = length == 2 && at[0] == 0xc2 ? at[1] : at[0];
    bool control =
        length == 1 ? code < 0x20 || code == 0x7f : length == 2 && at[0] == 0xc2 && code < 0xa0;
    if (control) {
        static const char plain[] = "\b\t\n\f\r";
        static const char letter[] = "btnfr";
        const char *short_form = code > 0 ? strchr(plain, (int)code) : NULL;
        char text[8];
        if (short_form) {
            snprintf(text, sizeof text, "\\%c", letter[short_form - plain]);
        } else {
            snprintf(text, sizeof text, "\\u%04x", code);
        }
        buffer_append(out, text, strlen(text));
        return;
    }
    if (length == 1 && (at[0] == '"' || at[0] == '\\')) {
        buffer_append(out, "\\", 1);
    }
    buffer_append(out, at, length);
}

void emit_escaped(buffer_t *out, slice_t text)
{
    const uint8_t *at = text.data;
    size_t left = text.size;
    while (left > 0) {
        size_t length = utf8_length(slice_of(at, left));
        if (length == 0) {
            buffer_append(out, "\xef\xbf\xbd", 3);
            length = 1;
        } else {
            escape_one(out, at, length);
        }
        at += length;
        left -= length;
    }
}

size_t utf8_length(slice_t text)
{
    if (text.size == 0) {
        return 0;
    }
    const uint8_t *at = text.data;
    if (at[0] < 0x80) {
        return 1;
    }
    /* The second byte's range keeps out overlong forms (e0, f0), surrogates (ed) and what is
     * above U+10FFFF (f4): Unicode, table 3-7. */
    size_t length = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    uint8_t low = at[0] == 0xe0 ? 0xa0 : at[0] == 0xf0 ? 0x90 : 0x80;
    uint8_t high = at[0] == 0xed ? 0x9f : at[0] == 0xf4 ? 0x8f : 0xbf;
    if (at[0] < 0xc2 || at[0] > 0xf4 || text.size < length || at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return length;
}
