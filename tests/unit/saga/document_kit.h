/* msgpack documents for tests, written as JSON. */
#ifndef TESTS_DOCUMENT_KIT_H
#define TESTS_DOCUMENT_KIT_H

#include "runtime/base/buffer.h"
#include "runtime/base/ensure.h"
#include "runtime/wire/pack.h"

#include <jansson.h>

static inline void document_add_head(buffer_t *out, uint8_t type, size_t count)
{
    uint8_t *at = buffer_reserve(out, PACK_HEAD_MAX);
    *at = type;
    pack_u32(at + 1, (uint32_t)count);
    out->size += PACK_HEAD_MAX;
}

static inline void document_add_text(buffer_t *out, slice_t text)
{
    uint8_t *at = buffer_reserve(out, PACK_HEAD_MAX + text.size);
    out->size += (size_t)(pack_str(at, text) - at);
}

static inline void document_add_number(buffer_t *out, const json_t *json)
{
    uint8_t *at = buffer_reserve(out, PACK_UINT_MAX);
    uint8_t *end = at;
    if (json_is_integer(json)) {
        end = pack_int(at, json_integer_value(json));
    } else {
        uint64_t bits;
        double real = json_real_value(json);
        memcpy(&bits, &real, sizeof bits);
        *at = 0xcb;
        end = pack_u64(at + 1, bits);
    }
    out->size += (size_t)(end - at);
}

static inline void document_add(buffer_t *out, json_t *json)
{
    size_t i;
    const char *key;
    json_t *element;
    uint8_t word = json_is_true(json) ? 0xc3 : json_is_false(json) ? 0xc2 : 0xc0;
    if (json_is_object(json)) {
        document_add_head(out, 0xdf, json_object_size(json));
        json_object_foreach(json, key, element)
        {
            document_add_text(out, slice_text(key));
            document_add(out, element);
        }
    } else if (json_is_array(json)) {
        document_add_head(out, 0xdd, json_array_size(json));
        json_array_foreach(json, i, element)
        {
            document_add(out, element);
        }
    } else if (json_is_string(json)) {
        document_add_text(out, slice_of(json_string_value(json), json_string_length(json)));
    } else if (json_is_number(json)) {
        document_add_number(out, json);
    } else {
        buffer_append(out, &word, 1);
    }
}

/* Puts the document into the buffer, which is cleared first. */
static inline slice_t document(buffer_t *out, const char *text)
{
    json_error_t error;
    json_t *json = json_loads(text, JSON_DECODE_ANY, &error);
    ENSURE(json);
    buffer_clear(out);
    document_add(out, json);
    json_decref(json);
    return buffer_slice(out);
}

#endif
