/* Writing single msgpack values in their shortest form. Internal to runtime/wire.
 *
 * Writers return the place behind what they wrote; the room is the caller's concern. */
#ifndef WIRE_PACK_H
#define WIRE_PACK_H

#include "runtime/base/slice.h"

#include <capstan/ref.h>
#include <stdint.h>

enum {
    PACK_UINT_MAX = 9,
    PACK_REF_MAX = 1 + 3 * 5 + PACK_UINT_MAX,
    PACK_HEAD_MAX = 5,                 /* of a str, bin or array */
    PACK_FIELD_MAX = 1 + PACK_REF_MAX, /* key and value of a field, a slice's content apart */
};

static inline uint8_t *pack_be(uint8_t *to, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        to[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
    }
    return to + bytes;
}

static inline uint8_t *pack_u32(uint8_t *to, uint32_t value)
{
    uint32_t big = __builtin_bswap32(value);
    memcpy(to, &big, sizeof big);
    return to + sizeof big;
}

static inline uint8_t *pack_u64(uint8_t *to, uint64_t value)
{
    uint64_t big = __builtin_bswap64(value);
    memcpy(to, &big, sizeof big);
    return to + sizeof big;
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "pack_u32 and pack_u64 swap bytes");

static inline uint8_t *pack_uint(uint8_t *to, uint64_t value)
{
    if (value < 0x80) {
        *to = (uint8_t)value;
        return to + 1;
    }
    if (value > UINT32_MAX) {
        *to = 0xcf;
        return pack_u64(to + 1, value);
    }
    if (value > UINT16_MAX) {
        *to = 0xce;
        return pack_u32(to + 1, (uint32_t)value);
    }
    bool one = value <= UINT8_MAX;
    *to = one ? 0xcc : 0xcd;
    return pack_be(to + 1, value, one ? 1 : 2);
}

static inline uint8_t *pack_int(uint8_t *to, int64_t value)
{
    if (value >= 0) {
        return pack_uint(to, (uint64_t)value);
    }
    if (value >= -32) {
        *to = (uint8_t)value;
        return to + 1;
    }
    unsigned log = value < INT32_MIN ? 3 : value < INT16_MIN ? 2 : value < INT8_MIN ? 1 : 0;
    *to = (uint8_t)(0xd0 + log);
    return pack_be(to + 1, (uint64_t)value, 1U << log);
}

static inline uint8_t *pack_ref(uint8_t *to, capstan_ref_t ref)
{
    bool local = ref.node == 0 && ref.boot == 0;
    *to = local ? 0x92 : 0x94;
    to = pack_uint(to + 1, ref.slot);
    to = pack_uint(to, ref.generation);
    return local ? to : pack_uint(pack_uint(to, ref.node), ref.boot);
}

static inline uint8_t *pack_bin(uint8_t *to, slice_t value)
{
    unsigned log = value.size > UINT16_MAX ? 2 : value.size > UINT8_MAX ? 1 : 0;
    *to = (uint8_t)(0xc4 + log);
    to = pack_be(to + 1, value.size, 1U << log);
    if (value.size > 0) {
        memcpy(to, value.data, value.size);
    }
    return to + value.size;
}

static inline uint8_t *pack_str(uint8_t *to, slice_t value)
{
    if (value.size < 32) {
        *to++ = (uint8_t)(0xa0 | value.size);
    } else {
        unsigned log = value.size > UINT16_MAX ? 2 : value.size > UINT8_MAX ? 1 : 0;
        *to = (uint8_t)(0xd9 + log);
        to = pack_be(to + 1, value.size, 1U << log);
    }
    if (value.size > 0) {
        memcpy(to, value.data, value.size);
    }
    return to + value.size;
}

#endif
