/* Reading and writing a field of each type of field_types.def, for inline_codec.h. A reader hands a
 * copy of the place to what is not inlined, see walk.h. */
#ifndef WIRE_INLINE_FIELDS_H
#define WIRE_INLINE_FIELDS_H

#include "runtime/wire/walk.h"

enum {
    INLINE_MAP = 0x80,
    INLINE_FIELDS_MAX = 15, /* in a map of the short form */
};

/* Whether bytes begin as a map of so many fields at least, and as no more than they can hold. */
static inline bool inline_may_hold(slice_t input, unsigned fields)
{
    unsigned head = input.size > 1 ? *(const uint8_t *)input.data : 0;
    unsigned count = head & 0x0f;
    return (head & 0xf0) == INLINE_MAP && count >= fields && count <= (input.size - 1) / 2;
}

static inline size_t inline_room_UINT(uint64_t value)
{
    (void)value;
    return PACK_UINT_MAX;
}

static inline size_t inline_room_INT(int64_t value)
{
    (void)value;
    return PACK_UINT_MAX;
}

static inline size_t inline_room_BOOL(bool value)
{
    (void)value;
    return 1;
}

static inline size_t inline_room_REF(capstan_ref_t value)
{
    (void)value;
    return PACK_REF_MAX;
}

static inline size_t inline_room_STR(slice_t value)
{
    return PACK_HEAD_MAX + value.size;
}

static inline size_t inline_room_BIN(slice_t value)
{
    return PACK_HEAD_MAX + value.size;
}

static inline size_t inline_room_LIST(slice_t value)
{
    return PACK_HEAD_MAX + value.size;
}

static inline bool inline_present_UINT(uint64_t value)
{
    return value != 0;
}

static inline bool inline_present_INT(int64_t value)
{
    return value != 0;
}

static inline bool inline_present_BOOL(bool value)
{
    return value;
}

static inline bool inline_present_REF(capstan_ref_t value)
{
    return !capstan_ref_is_null(value);
}

static inline bool inline_present_STR(slice_t value)
{
    return value.size > 0;
}

static inline bool inline_present_BIN(slice_t value)
{
    return value.size > 0;
}

static inline bool inline_present_LIST(slice_t value)
{
    return value.size > 0 && codec_list_count(value) > 0; /* most have none at all */
}

#define inline_pack_UINT pack_uint
#define inline_pack_INT  pack_int
#define inline_pack_REF  pack_ref
#define inline_pack_STR  pack_str
#define inline_pack_BIN  pack_bin

static inline uint8_t *inline_pack_BOOL(uint8_t *to, bool value)
{
    *to = value ? 0xc3 : 0xc2;
    return to + 1;
}

static inline uint8_t *inline_pack_LIST(uint8_t *to, slice_t value)
{
    if (value.size == 0) {
        *to = 0x90;
        return to + 1;
    }
    memcpy(to, value.data, value.size);
    return to + value.size;
}

#define inline_walk_UINT walk_uint
#define inline_walk_REF  walk_ref

static inline capstan_err_t inline_walk_INT(const uint8_t **at, const uint8_t *end,
                                            int64_t *ret_value)
{
    const uint8_t *place = *at;
    if (end - place > 8 && *place == 0xcf && place[1] < 0x80) { /* a time */
        *ret_value = (int64_t)walk_load_u64(place + 1);
        *at = place + 9;
        return CAPSTAN_OK;
    }
    capstan_err_t err = walk_int(&place, end, ret_value);
    *at = place;
    return err;
}

static inline capstan_err_t inline_walk_BOOL(const uint8_t **at, const uint8_t *end,
                                             bool *ret_value)
{
    const uint8_t *place = *at;
    capstan_err_t err = walk_bool(&place, end, ret_value);
    *at = place;
    return err;
}

static inline capstan_err_t inline_walk_STR(const uint8_t **at, const uint8_t *end,
                                            slice_t *ret_value)
{
    const uint8_t *place = *at;
    capstan_err_t err = walk_str(&place, end, ret_value);
    *at = place;
    return err;
}

static inline capstan_err_t inline_walk_BIN(const uint8_t **at, const uint8_t *end,
                                            slice_t *ret_value)
{
    const uint8_t *place = *at;
    if (end - place > 1 && *place == 0xc4 && end - place >= 2 + place[1]) {
        *ret_value = slice_of(place + 2, place[1]);
        *at = place + 2 + place[1];
        return CAPSTAN_OK;
    }
    capstan_err_t err = walk_bin(&place, end, ret_value);
    *at = place;
    return err;
}

static inline capstan_err_t inline_walk_LIST(const uint8_t **at, const uint8_t *end,
                                             slice_t *ret_value)
{
    const uint8_t *place = *at;
    capstan_err_t err = walk_list(&place, end, ret_value);
    *at = place;
    return err;
}

#endif
