/* A payload of any origin: walking it, and showing it as JSON. */
#ifndef CLI_TAIL_PAYLOAD_H
#define CLI_TAIL_PAYLOAD_H

#include "runtime/base/buffer.h"
#include "runtime/wire/walk.h"

/* Where a reader is in a payload; `&walk.at, walk.end` are the first arguments of walk_str ... */
typedef struct payload_walk {
    const uint8_t *at;
    const uint8_t *end;
} payload_walk_t;

static inline payload_walk_t payload_walk(slice_t payload)
{
    const uint8_t *at = walk_begin(payload);
    return (payload_walk_t){.at = at, .end = at + payload.size};
}

static inline size_t payload_left(const payload_walk_t *walk)
{
    return (size_t)(walk->end - walk->at);
}

/* Appends the payload as one JSON value: a msgpack map with texts as keys as an object, in which
 * binary values are base64; anything else as a string of base64. */
void payload_write_json(slice_t payload, buffer_t *out);

/* Appends the bytes in base64 (RFC 4648, section 4), in quotes. */
void payload_write_base64(slice_t bytes, buffer_t *out);

/* True for UTF-8. */
bool payload_is_text(slice_t bytes);

#endif
