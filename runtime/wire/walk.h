/* Reading and writing single msgpack values, checked byte by byte. Internal to runtime/wire.
 *
 * Readers move `at` behind the value and fill their output; on failure both stay as they are, so
 * that `at` is the offending place. MALFORMED: the bytes end too early or a claim cannot be true;
 * FIELD_TYPE: a legal value of another type. No reader allocates or recurses. */
#ifndef WIRE_WALK_H
#define WIRE_WALK_H

#include "runtime/wire/codec.h"

#include <stddef.h>

typedef struct walk {
    const uint8_t *at;
    const uint8_t *end;
    const uint8_t *begin;
} walk_t;

static inline walk_t walk_begin(slice_t input)
{
    const uint8_t *data = input.data ? input.data : (const uint8_t *)""; /* no sums with NULL */
    return (walk_t){.at = data, .end = data + input.size, .begin = data};
}

static inline size_t walk_left(const walk_t *self)
{
    return (size_t)(self->end - self->at);
}

static inline size_t walk_position(const walk_t *self)
{
    return (size_t)(self->at - self->begin);
}

/* Where a struct is decoded to before all of it is known to be good. */
enum { WIRE_STRUCT_BYTES_MAX = (WIRE_KEY_MAX + 1) * sizeof(capstan_ref_t) };
typedef union codec_space {
    max_align_t align;
    uint8_t bytes[WIRE_STRUCT_BYTES_MAX];
} codec_space_t;

/* The general readers, for every legal width. */
capstan_err_t walk_uint_wide(walk_t *self, uint64_t *ret_value);
capstan_err_t walk_int(walk_t *self, int64_t *ret_value);
capstan_err_t walk_bool(walk_t *self, bool *ret_value);
capstan_err_t walk_ref_wide(walk_t *self, capstan_ref_t *ret_value);
/* Text is checked to be UTF-8 (NOT_UTF8). */
capstan_err_t walk_str(walk_t *self, slice_t *ret_value);
capstan_err_t walk_bin(walk_t *self, slice_t *ret_value);
/* Headers: the claimed count is at most what the bytes left can hold. */
capstan_err_t walk_map(walk_t *self, uint32_t *ret_count);
capstan_err_t walk_array(walk_t *self, uint32_t *ret_count);
/* Moves behind one value of any type, at most WIRE_DEPTH_MAX deep (TOO_DEEP). */
capstan_err_t walk_skip(walk_t *self);

/* Loads the 8 bytes at `from`, big-endian. */
static inline uint64_t walk_load_u64(const uint8_t *from)
{
    uint64_t big;
    memcpy(&big, from, sizeof big);
    return __builtin_bswap64(big);
}

/* The fast paths: what our own writers produce, away from the end of the bytes. Whatever they do
 * not recognise goes to the general reader, so that they decide nothing by themselves. It gets a
 * copy of the walk: an address that escapes would keep `at` out of a register for the whole loop,
 * which doubled the time of a message. */
static inline capstan_err_t walk_uint(walk_t *self, uint64_t *ret_value)
{
    const uint8_t *at = self->at;
    size_t left = walk_left(self);
    if (__builtin_expect(left > 0 && *at < 0x80, 1)) {
        *ret_value = *at;
        self->at = at + 1;
        return CAPSTAN_OK;
    }
    if (__builtin_expect(left > 8 && (*at & 0xfc) == 0xcc, 1)) {
        unsigned bytes = 1U << (*at & 3);
        *ret_value = walk_load_u64(at + 1) >> (64 - 8 * bytes);
        self->at = at + 1 + bytes;
        return CAPSTAN_OK;
    }
    walk_t walk = *self;
    uint64_t value = 0;
    capstan_err_t err = walk_uint_wide(&walk, &value);
    if (!err) {
        *ret_value = value;
        self->at = walk.at;
    }
    return err;
}

static inline capstan_err_t walk_ref(walk_t *self, capstan_ref_t *ret_value)
{
    walk_t walk = *self;
    if (__builtin_expect(walk_left(self) > 0 && *self->at == 0x92, 1)) {
        uint64_t slot = 0;
        uint64_t generation = 0;
        walk.at++;
        if (!walk_uint(&walk, &slot) && !walk_uint(&walk, &generation) &&
            (slot | generation) <= UINT32_MAX) {
            ret_value->slot = (uint32_t)slot;
            ret_value->generation = (uint32_t)generation;
            self->at = walk.at;
            return CAPSTAN_OK;
        }
    }
    walk_t general = *self;
    capstan_ref_t ref = {0};
    capstan_err_t err = walk_ref_wide(&general, &ref);
    if (!err) {
        *ret_value = ref;
        self->at = general.at;
    }
    return err;
}

/* The keys a map has shown so far, a bit each. */
typedef struct walk_keys {
    uint64_t bits[2];
} walk_keys_t;

static inline bool walk_seen(const walk_keys_t *keys, uint64_t key)
{
    return keys->bits[key >> 6] >> (key & 63) & 1;
}

/* Reads a map's next key, 1 to 127, which must not have been seen before. */
static inline capstan_err_t walk_key(walk_t *self, walk_keys_t *keys, uint8_t *ret_key)
{
    uint64_t key = 0;
    walk_t walk = *self;
    if (walk_uint(&walk, &key) || key == 0 || key > WIRE_KEY_MAX || walk_seen(keys, key)) {
        return CAPSTAN_E_MALFORMED;
    }
    self->at = walk.at;
    keys->bits[key >> 6] |= UINT64_C(1) << (key & 63);
    *ret_key = (uint8_t)key;
    return CAPSTAN_OK;
}

/* Reads a map of `record` into the struct at `value`, which is zeroed beforehand. */
capstan_err_t walk_record(walk_t *self, const wire_record_t *record, void *value,
                          codec_fault_t *fault);

/* Writers return the place behind what they wrote; the room is the caller's concern. */
enum {
    PACK_UINT_MAX = 9,
    PACK_REF_MAX = 1 + 3 * 5 + PACK_UINT_MAX,
    PACK_HEAD_MAX = 5, /* of a str, bin or array */
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
