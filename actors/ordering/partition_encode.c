/* The event record, written by hand: the hot path of every publish. A test compares it with the
 * table's codec byte for byte. */
#include "actors/ordering/partition_state.h"

enum {
    FIXMAP = 0x80,
    FIXMAP_MASK = 0xf0,
    FIXMAP_MAX = 15,
    UINT64_HEAD = 0xcf,
    /* Keys of a byte, and for each field at most a type byte and eight of number or length. */
    EVENT_OVERHEAD_MAX = 1 + 14 * (1 + 9),
    DIVERTED_FIELD = 11,
    ERASED_FIELD = 13,
    NOT_BEFORE_FIELD = 14,
    NOT_BEFORE_SIZE = 1 + 9, /* publishing refuses those that would be shorter */
    OFFSET_FIELD_MAX = 1 + 9,
};

static uint8_t *put_big_endian(uint8_t *at, uint64_t value, int bytes)
{
    for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) {
        *at++ = (uint8_t)(value >> shift);
    }
    return at;
}

static uint8_t *put_uint(uint8_t *at, uint64_t value)
{
    if (value < 0x80) {
        *at++ = (uint8_t)value;
        return at;
    }
    if (value <= UINT8_MAX) {
        *at++ = 0xcc;
        return put_big_endian(at, value, 1);
    }
    if (value <= UINT16_MAX) {
        *at++ = 0xcd;
        return put_big_endian(at, value, 2);
    }
    if (value <= UINT32_MAX) {
        *at++ = 0xce;
        return put_big_endian(at, value, 4);
    }
    *at++ = UINT64_HEAD;
    return put_big_endian(at, value, 8);
}

static uint8_t *put_int(uint8_t *at, int64_t value)
{
    if (value >= 0) {
        return put_uint(at, (uint64_t)value);
    }
    if (value >= -32) {
        *at++ = (uint8_t)value;
        return at;
    }
    if (value >= INT8_MIN) {
        *at++ = 0xd0;
        return put_big_endian(at, (uint64_t)value, 1);
    }
    if (value >= INT16_MIN) {
        *at++ = 0xd1;
        return put_big_endian(at, (uint64_t)value, 2);
    }
    if (value >= INT32_MIN) {
        *at++ = 0xd2;
        return put_big_endian(at, (uint64_t)value, 4);
    }
    *at++ = 0xd3;
    return put_big_endian(at, (uint64_t)value, 8);
}

static uint8_t *put_bytes(uint8_t *at, slice_t bytes)
{
    if (bytes.size > 0) {
        memcpy(at, bytes.data, bytes.size);
    }
    return at + bytes.size;
}

static uint8_t *put_bin(uint8_t *at, slice_t bytes)
{
    if (bytes.size <= UINT8_MAX) {
        *at++ = 0xc4;
        at = put_big_endian(at, bytes.size, 1);
    } else if (bytes.size <= UINT16_MAX) {
        *at++ = 0xc5;
        at = put_big_endian(at, bytes.size, 2);
    } else {
        *at++ = 0xc6;
        at = put_big_endian(at, bytes.size, 4);
    }
    return put_bytes(at, bytes);
}

static uint8_t *put_str(uint8_t *at, slice_t text)
{
    if (text.size < 32) {
        *at++ = (uint8_t)(0xa0 | text.size);
    } else if (text.size <= UINT8_MAX) {
        *at++ = 0xd9;
        at = put_big_endian(at, text.size, 1);
    } else if (text.size <= UINT16_MAX) {
        *at++ = 0xda;
        at = put_big_endian(at, text.size, 2);
    } else {
        *at++ = 0xdb;
        at = put_big_endian(at, text.size, 4);
    }
    return put_bytes(at, text);
}

static uint8_t *put_true(uint8_t *at, bool value)
{
    (void)value;
    *at++ = 0xc3;
    return at;
}

void event_encode(const event_t *event, buffer_t *out)
{
    size_t bytes = event->key.size + event->producer.size + event->content_type.size +
                   event->headers.size + event->payload.size;
    uint8_t *head = buffer_reserve(out, EVENT_OVERHEAD_MAX + bytes);
    uint8_t *at = head + 1;
    uint8_t fields = 0;
    /* A field that is zero or empty is left out, except the required key. */
#define PUT(number, present, put, value)                                                           \
    if (present) {                                                                                 \
        *at++ = (number);                                                                          \
        at = put(at, (value));                                                                     \
        fields++;                                                                                  \
    }
    PUT(1, event->offset != 0, put_uint, event->offset)
    PUT(2, true, put_bin, event->key)
    PUT(3, event->producer.size > 0, put_str, event->producer)
    PUT(4, event->producer_epoch != 0, put_uint, event->producer_epoch)
    PUT(5, event->sequence != 0, put_uint, event->sequence)
    PUT(6, event->time_us != 0, put_int, event->time_us)
    PUT(7, event->content_type.size > 0, put_str, event->content_type)
    PUT(8, event->headers.size > 0, put_bytes, event->headers)
    PUT(9, event->payload.size > 0, put_bin, event->payload)
    PUT(10, event->accepted_us != 0, put_int, event->accepted_us)
    PUT(DIVERTED_FIELD, event->diverted != 0, put_uint, event->diverted)
    PUT(12, event->late, put_true, true)
    PUT(ERASED_FIELD, event->erased != 0, put_uint, event->erased)
    PUT(NOT_BEFORE_FIELD, event->not_before_us != 0, put_int, event->not_before_us)
#undef PUT
    *head = (uint8_t)(FIXMAP | fields);
    out->size += (size_t)(at - head);
}

void event_encode_released(slice_t held, uint64_t offset, buffer_t *out)
{
    /* The offset has the smallest key, so it stands first; all other bytes stay as they are. */
    const uint8_t *from = held.data;
    uint8_t *head = buffer_reserve(out, OFFSET_FIELD_MAX + held.size);
    uint8_t *at = head;
    *at++ = (uint8_t)(from[0] + 1);
    *at++ = 1;
    at = put_uint(at, offset);
    at = put_bytes(at, slice_of(from + 1, held.size - 1));
    out->size += (size_t)(at - head);
}

bool event_releasable(slice_t held)
{
    const uint8_t *bytes = held.data;
    return held.size > 1 && (bytes[0] & FIXMAP_MASK) == FIXMAP &&
           (bytes[0] & FIXMAP_MAX) < FIXMAP_MAX;
}

/* Its value is a byte. Only the mark of an erased event, which is as short, and the time of a
 * delayed one follow it. */
diversion_t event_diversion(slice_t event)
{
    const uint8_t *bytes = event.data;
    size_t end = event.size;
    uint64_t diverted;
    bool delayed = end > NOT_BEFORE_SIZE && bytes[end - NOT_BEFORE_SIZE] == NOT_BEFORE_FIELD &&
                   bytes[end - NOT_BEFORE_SIZE + 1] == UINT64_HEAD;
    end -= delayed ? NOT_BEFORE_SIZE : 0;
    end -= end > 4 && bytes[end - 2] == ERASED_FIELD ? 2 : 0;
    bool may_be = end > 2 && bytes[end - 2] == DIVERTED_FIELD;
    return may_be && codec_peek_uint(event, DIVERTED_FIELD, &diverted) ? (diversion_t)diverted
                                                                       : DIVERTED_NOT;
}
