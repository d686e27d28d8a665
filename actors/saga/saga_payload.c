/* The payload of an event as a value. JSON is what says so, or begins with a brace; everything else
 * has to be msgpack. Nothing at all is an empty map. */
#include "actors/saga/saga_topics.h"

#include "actors/saga/value.h"
#include "runtime/wire/pack.h"

#include <jansson.h>

static void write_text(buffer_t *out, slice_t text)
{
    uint8_t *to = buffer_reserve(out, PACK_HEAD_MAX + text.size);
    out->size += (size_t)(pack_str(to, text) - to);
}

static void write_head(buffer_t *out, uint8_t kind, size_t count)
{
    uint8_t head[5] = {kind};
    pack_be(head + 1, count, 4);
    buffer_append(out, head, sizeof head);
}

static void write_real(buffer_t *out, double value)
{
    uint64_t bits;
    uint8_t number[9] = {0xcb};
    memcpy(&bits, &value, sizeof bits);
    pack_be(number + 1, bits, 8);
    buffer_append(out, number, sizeof number);
}

static void write_integer(buffer_t *out, json_int_t value)
{
    uint8_t *to = buffer_reserve(out, PACK_UINT_MAX);
    out->size += (size_t)(pack_int(to, value) - to);
}

static bool write_value(buffer_t *out, json_t *value, unsigned depth);

static bool write_map(buffer_t *out, json_t *map, unsigned depth)
{
    const char *name;
    json_t *value;
    write_head(out, 0xdf, json_object_size(map));
    json_object_foreach(map, name, value)
    {
        write_text(out, slice_text(name));
        if (!write_value(out, value, depth + 1)) {
            return false;
        }
    }
    return true;
}

static bool write_array(buffer_t *out, json_t *array, unsigned depth)
{
    size_t index;
    json_t *value;
    write_head(out, 0xdd, json_array_size(array));
    json_array_foreach(array, index, value)
    {
        if (!write_value(out, value, depth + 1)) {
            return false;
        }
    }
    return true;
}

/* False: it is nested too deeply. */
static bool write_value(buffer_t *out, json_t *value, unsigned depth)
{
    if (depth > VALUE_DEPTH_MAX) {
        return false;
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return write_map(out, value, depth);
    case JSON_ARRAY:
        return write_array(out, value, depth);
    case JSON_STRING:
        write_text(out, slice_of(json_string_value(value), json_string_length(value)));
        return true;
    case JSON_INTEGER:
        write_integer(out, json_integer_value(value));
        return true;
    case JSON_REAL:
        write_real(out, json_real_value(value));
        return true;
    default:
        buffer_append(out,
                      json_is_true(value)    ? "\xc3"
                      : json_is_false(value) ? "\xc2"
                                             : "\xc0",
                      1);
        return true;
    }
}

static const char *read_json(slice_t payload, buffer_t *out)
{
    json_t *json =
        json_loadb(payload.data, payload.size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    if (!json) {
        return "its payload is no JSON, though it says so or begins with a brace";
    }
    bool good = write_value(out, json, 1);
    json_decref(json);
    return good ? NULL : "its payload is nested too deeply";
}

static bool is_json(slice_t content_type, slice_t payload)
{
    static const char json[] = "application/json";
    size_t size = sizeof json - 1;
    bool says = content_type.size >= size && memcmp(content_type.data, json, size) == 0 &&
                (content_type.size == size || ((const char *)content_type.data)[size] == ';');
    return says || (payload.size > 0 && *(const char *)payload.data == '{');
}

const char *payload_value(slice_t content_type, slice_t payload, buffer_t *out, slice_t *ret_value)
{
    const char *wrong = NULL;
    *ret_value = payload;
    if (payload.size == 0) {
        *ret_value = slice_of("\x80", 1);
    } else if (payload.size > VALUE_BYTES_MAX) {
        wrong = "its payload is larger than 256 KiB";
    } else if (is_json(content_type, payload)) {
        wrong = read_json(payload, out);
        *ret_value = buffer_slice(out);
    }
    if (!wrong && value_check(*ret_value) != CAPSTAN_OK) {
        wrong = "its payload is neither JSON nor msgpack, or too large or deep";
    }
    return wrong;
}
