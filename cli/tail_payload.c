#include "cli/tail_payload.h"

#include "runtime/base/json_writer.h"

#include <inttypes.h>
#include <stdio.h>

/* Below JSON_DEPTH_MAX; what is deeper is shown as base64. */
enum { DEPTH_MAX = 16 };

bool payload_is_text(slice_t bytes)
{
    const uint8_t *at = bytes.data;
    for (size_t left = bytes.size; left > 0;) {
        size_t length = utf8_length(slice_of(at, left));
        if (length == 0) {
            return false;
        }
        at += length;
        left -= length;
    }
    return true;
}

void payload_write_base64(slice_t bytes, buffer_t *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *from = bytes.data;
    uint8_t *to = buffer_reserve(out, (bytes.size + 2) / 3 * 4 + 2);
    uint8_t *start = to;
    *to++ = '"';
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = bytes.size - i;
        uint32_t group = (uint32_t)from[i] << 16;
        group |= left > 1 ? (uint32_t)from[i + 1] << 8 : 0;
        group |= left > 2 ? from[i + 2] : 0;
        *to++ = (uint8_t)digits[group >> 18];
        *to++ = (uint8_t)digits[group >> 12 & 63];
        *to++ = left > 1 ? (uint8_t)digits[group >> 6 & 63] : '=';
        *to++ = left > 2 ? (uint8_t)digits[group & 63] : '=';
    }
    *to++ = '"';
    out->size += (size_t)(to - start);
}

static void put(buffer_t *out, const char *text)
{
    buffer_append(out, text, strlen(text));
}

static void put_text(buffer_t *out, slice_t text)
{
    put(out, "\"");
    emit_escaped(out, text);
    put(out, "\"");
}

/* A float of 4 or 8 bytes. */
static bool write_float(payload_walk_t *walk, buffer_t *out)
{
    size_t size = *walk->at == 0xca ? 4 : 8;
    if (payload_left(walk) < 1 + size) {
        return false;
    }
    uint64_t bits = 0;
    for (size_t i = 1; i <= size; i++) {
        bits = bits << 8 | walk->at[i];
    }
    walk->at += 1 + size;
    double value;
    if (size == 4) {
        uint32_t narrow_bits = (uint32_t)bits;
        float narrow;
        memcpy(&narrow, &narrow_bits, sizeof narrow);
        value = (double)narrow;
    } else {
        memcpy(&value, &bits, sizeof value);
    }
    json_writer_t json = json_writer(out);
    emit_double(&json, value);
    return true;
}

static bool write_number(payload_walk_t *walk, buffer_t *out)
{
    char text[24];
    uint64_t positive;
    int64_t negative;
    if (!walk_uint(&walk->at, walk->end, &positive)) {
        snprintf(text, sizeof text, "%" PRIu64, positive);
    } else if (!walk_int(&walk->at, walk->end, &negative)) {
        snprintf(text, sizeof text, "%" PRId64, negative);
    } else {
        return false;
    }
    put(out, text);
    return true;
}

static bool write_scalar(payload_walk_t *walk, buffer_t *out)
{
    slice_t bytes;
    bool truth;
    if (payload_left(walk) == 0) {
        return false;
    }
    if (*walk->at == 0xc0) {
        walk->at++;
        put(out, "null");
        return true;
    }
    if (*walk->at == 0xca || *walk->at == 0xcb) {
        return write_float(walk, out);
    }
    if (!walk_str(&walk->at, walk->end, &bytes)) {
        put_text(out, bytes);
        return true;
    }
    if (!walk_bin(&walk->at, walk->end, &bytes)) {
        payload_write_base64(bytes, out);
        return true;
    }
    if (!walk_bool(&walk->at, walk->end, &truth)) {
        put(out, truth ? "true" : "false");
        return true;
    }
    return write_number(walk, out);
}

/* The containers that are open, so that no input can make us recurse. */
typedef struct level {
    uint32_t left;
    bool map;
} level_t;

static bool write_map_key(payload_walk_t *walk, buffer_t *out)
{
    slice_t key;
    if (walk_str(&walk->at, walk->end, &key)) {
        return false;
    }
    put_text(out, key);
    put(out, ":");
    return true;
}

/* Opens a container; its count was checked against the bytes present. */
static bool open_level(payload_walk_t *walk, level_t *ret_level, buffer_t *out)
{
    uint32_t count;
    bool map = walk_map(&walk->at, walk->end, &count) == CAPSTAN_OK;
    if (!map && walk_array(&walk->at, walk->end, &count)) {
        return false;
    }
    *ret_level = (level_t){.left = count, .map = map};
    put(out, map ? "{" : "[");
    return true;
}

static bool write_map(payload_walk_t *walk, buffer_t *out)
{
    level_t levels[DEPTH_MAX];
    size_t depth = 1;
    if (!open_level(walk, &levels[0], out) || !levels[0].map) {
        return false;
    }
    for (bool first = true; depth > 0;) {
        level_t *level = &levels[depth - 1];
        if (level->left == 0) {
            put(out, level->map ? "}" : "]");
            depth--;
            first = false;
            continue;
        }
        level->left--;
        put(out, first ? "" : ",");
        first = false;
        if (level->map && !write_map_key(walk, out)) {
            return false;
        }
        if (depth < DEPTH_MAX && open_level(walk, &levels[depth], out)) {
            depth++;
            first = true;
        } else if (!write_scalar(walk, out)) {
            return false;
        }
    }
    return payload_left(walk) == 0;
}

void payload_write_json(slice_t payload, buffer_t *out)
{
    size_t before = out->size;
    payload_walk_t walk = payload_walk(payload);
    if (!write_map(&walk, out)) {
        out->size = before;
        payload_write_base64(payload, out);
    }
}
