#include "cli/saga_value.h"

#include "actors/saga/value.h"
#include "cli/tail_payload.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* A byte of msgpack can be six of JSON (\u0001), and blanks cost nothing. */
enum { JSON_BYTES_MAX = 8 * VALUE_BYTES_MAX };

/* --- msgpack from JSON ------------------------------------------------------------------------ */

static void put_byte(buffer_t *out, uint8_t byte)
{
    buffer_append(out, &byte, 1);
}

/* The head of an array or map; `wide` is its type with 16 bits, the next one that with 32. */
static void put_head(buffer_t *out, uint8_t fix, uint8_t wide, size_t count)
{
    if (count < 16) {
        put_byte(out, (uint8_t)(fix | count));
        return;
    }
    bool two = count <= UINT16_MAX;
    uint8_t *at = buffer_reserve(out, PACK_HEAD_MAX);
    *at = two ? wide : (uint8_t)(wide + 1);
    uint8_t *end = pack_be(at + 1, count, two ? 2 : 4);
    out->size += (size_t)(end - at);
}

static void put_text(buffer_t *out, slice_t text)
{
    uint8_t *at = buffer_reserve(out, PACK_HEAD_MAX + text.size);
    out->size += (size_t)(pack_str(at, text) - at);
}

static void put_integer(buffer_t *out, int64_t value)
{
    uint8_t *at = buffer_reserve(out, PACK_UINT_MAX);
    out->size += (size_t)(pack_int(at, value) - at);
}

static void put_real(buffer_t *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint8_t *at = buffer_reserve(out, PACK_UINT_MAX);
    *at = 0xcb;
    out->size += (size_t)(pack_u64(at + 1, bits) - at);
}

/* It recurses no deeper than saga_json_read lets it. */
static void put_json(buffer_t *out, const json_t *json)
{
    size_t i;
    const char *key;
    size_t key_size;
    json_t *item;
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        put_head(out, 0x80, 0xde, json_object_size(json));
        json_object_keylen_foreach((json_t *)json, key, key_size, item)
        {
            put_text(out, slice_of(key, key_size));
            put_json(out, item);
        }
        break;
    case JSON_ARRAY:
        put_head(out, 0x90, 0xdc, json_array_size(json));
        json_array_foreach((json_t *)json, i, item)
        {
            put_json(out, item);
        }
        break;
    case JSON_STRING:
        put_text(out, slice_of(json_string_value(json), json_string_length(json)));
        break;
    case JSON_INTEGER:
        put_integer(out, json_integer_value(json));
        break;
    case JSON_REAL:
        put_real(out, json_real_value(json));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        put_byte(out, json_is_true(json) ? 0xc3 : json_is_false(json) ? 0xc2 : 0xc0);
        break;
    }
}

bool saga_value_from_read(const json_t *json, buffer_t *out, char *ret_text, size_t text_size)
{
    size_t before = out->size;
    put_json(out, json);
    if (out->size - before > VALUE_BYTES_MAX) {
        snprintf(ret_text, text_size, "a value of %zu bytes; at most %d are allowed",
                 out->size - before, VALUE_BYTES_MAX);
        out->size = before;
        return false;
    }
    return true;
}

/* --- reading JSON ----------------------------------------------------------------------------- */

/* Where a text is, for messages. */
typedef struct place {
    size_t line;
    size_t column;
} place_t;

/* Finds the bracket that opens one level too many, before anything recurses. */
static bool is_too_deep(slice_t json, size_t depth_max, place_t *ret_place)
{
    const char *at = json.data;
    const char *end = at + json.size;
    place_t place = {1, 0};
    size_t depth = 0;
    bool text = false;
    for (; at < end; at++) {
        place =
            *at == '\n' ? (place_t){place.line + 1, 0} : (place_t){place.line, place.column + 1};
        if (text && *at == '\\' && at + 1 < end) {
            at++;
            place.column++;
        } else if (*at == '"') {
            text = !text;
        } else if (!text && (*at == '[' || *at == '{') && depth++ == depth_max) {
            *ret_place = place;
            return true;
        } else if (!text && (*at == ']' || *at == '}') && depth > 0) {
            depth--;
        }
    }
    return false;
}

json_t *saga_json_read(slice_t json, size_t levels_more, char *ret_text, size_t text_size)
{
    json_error_t error;
    place_t place;
    if (json.size > JSON_BYTES_MAX) {
        snprintf(ret_text, text_size, "JSON of %zu bytes; at most %d are allowed", json.size,
                 JSON_BYTES_MAX);
        return NULL;
    }
    if (is_too_deep(json, VALUE_DEPTH_MAX + levels_more, &place)) {
        snprintf(ret_text, text_size,
                 "line %zu, column %zu: nested too deep; at most %d levels are allowed", place.line,
                 place.column, VALUE_DEPTH_MAX);
        return NULL;
    }
    json_t *read = json_loadb(json.data ? json.data : "", json.size,
                              JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!read) {
        bool large = json_error_code(&error) == json_error_numeric_overflow;
        snprintf(ret_text, text_size, "line %d, column %d: %s%s", error.line, error.column,
                 error.text, large ? "; write what does not fit into 64 bits as a text" : "");
    }
    return read;
}

bool saga_value_from_json(slice_t json, buffer_t *out, char *ret_text, size_t text_size)
{
    json_t *read = saga_json_read(json, 0, ret_text, text_size);
    bool good = read && saga_value_from_read(read, out, ret_text, text_size);
    json_decref(read);
    return good;
}

bool saga_file_read(const char *path, size_t bytes_max, buffer_t *out, char *ret_text,
                    size_t text_size)
{
    enum { PIECE = 4096 };
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "rb");
    size_t before = out->size;
    size_t got = file ? PIECE : 0;
    while (got == PIECE && out->size - before <= bytes_max) {
        got = fread(buffer_reserve(out, PIECE), 1, PIECE, file);
        out->size += got;
    }
    bool good = file && !ferror(file);
    if (!good) {
        snprintf(ret_text, text_size, "%s: %s", path, strerror(errno));
    } else if (out->size - before > bytes_max) {
        snprintf(ret_text, text_size, "%s: more than %zu bytes", path, bytes_max);
        good = false;
    }
    if (file && !standard) {
        fclose(file);
    }
    return good;
}

bool saga_value_from_argument(const char *argument, buffer_t *out, char *ret_text, size_t text_size)
{
    bool file = argument[0] == '@' || strcmp(argument, "-") == 0;
    const char *path = argument[0] == '@' ? argument + 1 : argument;
    if (!file) {
        return saga_value_from_json(slice_text(argument), out, ret_text, text_size);
    }
    buffer_t text = {0};
    char what[512];
    bool good = saga_file_read(path, JSON_BYTES_MAX, &text, ret_text, text_size);
    if (good) {
        good = saga_value_from_json(buffer_slice(&text), out, what, sizeof what);
        if (!good) {
            snprintf(ret_text, text_size, "%s: %s",
                     strcmp(path, "-") == 0 ? "standard input" : path, what);
        }
    }
    buffer_fini(&text);
    return good;
}

/* --- JSON from msgpack ------------------------------------------------------------------------ */

static void emit_base64(json_writer_t *json, slice_t bytes)
{
    buffer_t text = {0};
    payload_write_base64(bytes, &text);
    emit_raw(json, buffer_slice(&text));
    buffer_fini(&text);
}

static double real_of(const uint8_t *at)
{
    double wide;
    float narrow;
    uint64_t bits = walk_load_u64(at + 1);
    if (*at == 0xcb) {
        memcpy(&wide, &bits, sizeof wide);
        return wide;
    }
    uint32_t half = (uint32_t)at[1] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 8 | at[4];
    memcpy(&narrow, &half, sizeof narrow);
    return (double)narrow;
}

static void emit_number(json_writer_t *json, payload_walk_t *walk)
{
    uint64_t positive;
    int64_t negative;
    if (*walk->at == 0xca || *walk->at == 0xcb) {
        /* walk_load_u64 reads 8 bytes; the value may have 4, at the end of the document. */
        uint8_t copy[1 + sizeof(uint64_t)] = {0};
        size_t size = *walk->at == 0xca ? 5 : 9;
        memcpy(copy, walk->at, size);
        walk->at += size;
        emit_double(json, real_of(copy));
    } else if (!walk_uint(&walk->at, walk->end, &positive)) {
        emit_uint(json, positive);
    } else if (!walk_int(&walk->at, walk->end, &negative)) {
        emit_int(json, negative);
    } else {
        walk->at = walk->end;
        emit_null(json);
    }
}

static void emit_any(json_writer_t *json, payload_walk_t *walk);

/* Keys are texts, nearly always; another value stands there as its own JSON. */
static void emit_map_key(json_writer_t *json, payload_walk_t *walk)
{
    slice_t key;
    if (!walk_str(&walk->at, walk->end, &key)) {
        emit_key_text(json, key);
        return;
    }
    buffer_t text = {0};
    json_writer_t inner = json_writer(&text);
    emit_any(&inner, walk);
    emit_key_text(json, buffer_slice(&text));
    buffer_fini(&text);
}

/* Of a value that value_check has accepted: it is complete, and not deeper than VALUE_DEPTH_MAX. */
static void emit_any(json_writer_t *json, payload_walk_t *walk)
{
    uint32_t count;
    slice_t bytes;
    bool truth;
    if (!walk_map(&walk->at, walk->end, &count)) {
        emit_object_begin(json);
        for (uint32_t i = 0; i < count; i++) {
            emit_map_key(json, walk);
            emit_any(json, walk);
        }
        emit_object_end(json);
    } else if (!walk_array(&walk->at, walk->end, &count)) {
        emit_array_begin(json);
        for (uint32_t i = 0; i < count; i++) {
            emit_any(json, walk);
        }
        emit_array_end(json);
    } else if (!walk_str(&walk->at, walk->end, &bytes)) {
        emit_text(json, bytes);
    } else if (!walk_bin(&walk->at, walk->end, &bytes)) {
        emit_base64(json, bytes);
    } else if (!walk_bool(&walk->at, walk->end, &truth)) {
        emit_bool(json, truth);
    } else if (*walk->at == 0xc0) {
        walk->at++;
        emit_null(json);
    } else {
        emit_number(json, walk);
    }
}

void saga_value_emit(json_writer_t *json, slice_t value)
{
    if (value_check(value) != CAPSTAN_OK) {
        emit_base64(json, value);
        return;
    }
    payload_walk_t walk = payload_walk(value);
    emit_any(json, &walk);
}
