/* What is done to the record of an event without reading it. */
#include "actors/ordering/partition_state.h"
#include "runtime/wire/pack.h"

enum {
    FIXMAP = 0x80,
    FIXMAP_MASK = 0xf0,
    FIXMAP_MAX = 15,
    UINT64_HEAD = 0xcf,
    DIVERTED_FIELD = 11,
    ERASED_FIELD = 13,
    NOT_BEFORE_FIELD = 14,
    NOT_BEFORE_SIZE = 1 + 9, /* publishing refuses those that would be shorter */
    OFFSET_FIELD_MAX = 1 + 9,
};

void event_encode_released(slice_t held, uint64_t offset, buffer_t *out)
{
    /* The offset has the smallest key, so it stands first; all other bytes stay as they are. */
    const uint8_t *from = held.data;
    uint8_t *head = buffer_reserve(out, OFFSET_FIELD_MAX + held.size);
    uint8_t *at = head;
    *at++ = (uint8_t)(from[0] + 1);
    *at++ = 1;
    at = pack_uint(at, offset);
    memcpy(at, from + 1, held.size - 1);
    out->size += (size_t)(at + held.size - 1 - head);
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
