/* Reading and writing single msgpack values, checked byte by byte. For runtime/wire, and
 * for the payloads that the program itself writes and shows.
 *
 * A reader gets the place and the end of the bytes, moves `at` behind the value and fills its
 * output; on failure both stay as they are, so that `at` is the offending place. MALFORMED: the
 * bytes end too early or a claim cannot be true; FIELD_TYPE: a legal value of another type. No
 * reader allocates or recurses. */
#ifndef WIRE_WALK_H
#define WIRE_WALK_H

#include "runtime/wire/codec.h"
#include "runtime/wire/pack.h"

#include <stddef.h>

/* The first byte of a slice; never NULL, so that sums with it are defined, and for all callers the
 * same, so that differences are. */
extern const uint8_t walk_nothing[1];
static inline const uint8_t *walk_begin(slice_t input)
{
    return input.data ? input.data : walk_nothing;
}

/* Where a struct is decoded to before all of it is known to be good. */
enum { WIRE_STRUCT_BYTES_MAX = (WIRE_KEY_MAX + 1) * sizeof(capstan_ref_t) };
typedef union codec_space {
    max_align_t align;
    slice_t slices[WIRE_STRUCT_BYTES_MAX / sizeof(slice_t)]; /* may be written as such */
    uint8_t bytes[WIRE_STRUCT_BYTES_MAX];
} codec_space_t;

/* The general readers, for every legal width. */
capstan_err_t walk_uint_wide(const uint8_t **at, const uint8_t *end, uint64_t *ret_value);
capstan_err_t walk_int(const uint8_t **at, const uint8_t *end, int64_t *ret_value);
capstan_err_t walk_bool(const uint8_t **at, const uint8_t *end, bool *ret_value);
capstan_err_t walk_ref_wide(const uint8_t **at, const uint8_t *end, capstan_ref_t *ret_value);
/* Text is checked to be UTF-8 (NOT_UTF8). */
capstan_err_t walk_str(const uint8_t **at, const uint8_t *end, slice_t *ret_value);
bool walk_is_utf8(slice_t text);
capstan_err_t walk_bin(const uint8_t **at, const uint8_t *end, slice_t *ret_value);
/* Headers: the claimed count is at most what the bytes left can hold. */
capstan_err_t walk_map(const uint8_t **at, const uint8_t *end, uint32_t *ret_count);
capstan_err_t walk_array(const uint8_t **at, const uint8_t *end, uint32_t *ret_count);
/* Moves behind one value of any type, at most WIRE_DEPTH_MAX deep (TOO_DEEP). */
capstan_err_t walk_skip(const uint8_t **at, const uint8_t *end);
/* Steps over a list: its elements are looked at when it is walked. */
capstan_err_t walk_list(const uint8_t **at, const uint8_t *end, slice_t *ret_list);

/* Loads the 8 bytes at `from`, big-endian. */
static inline uint64_t walk_load_u64(const uint8_t *from)
{
    uint64_t big;
    memcpy(&big, from, sizeof big);
    return __builtin_bswap64(big);
}

/* The fast paths: what our own writers produce, away from the end of the bytes. Whatever they do
 * not recognise goes to the general reader, so that they decide nothing by themselves. It gets a
 * copy of the place: an address that escapes would keep the place out of a register for a whole
 * message, which doubled its time. */
static inline capstan_err_t walk_uint(const uint8_t **at, const uint8_t *end, uint64_t *ret_value)
{
    const uint8_t *place = *at;
    if (__builtin_expect(place < end && *place < 0x80, 1)) {
        *ret_value = *place;
        *at = place + 1;
        return CAPSTAN_OK;
    }
    if (__builtin_expect(end - place > 8 && (*place & 0xfc) == 0xcc, 1)) {
        unsigned bytes = 1U << (*place & 3);
        *ret_value = walk_load_u64(place + 1) >> (64 - 8 * bytes);
        *at = place + 1 + bytes;
        return CAPSTAN_OK;
    }
    uint64_t value = 0;
    capstan_err_t err = walk_uint_wide(&place, end, &value);
    if (!err) {
        *ret_value = value;
        *at = place;
    }
    return err;
}

static inline capstan_err_t walk_ref(const uint8_t **at, const uint8_t *end,
                                     capstan_ref_t *ret_value)
{
    const uint8_t *place = *at;
    if (__builtin_expect(place < end && *place == 0x92, 1)) {
        uint64_t slot = 0;
        uint64_t generation = 0;
        place++;
        if (!walk_uint(&place, end, &slot) && !walk_uint(&place, end, &generation) &&
            (slot | generation) <= UINT32_MAX) {
            *ret_value =
                (capstan_ref_t){.slot = (uint32_t)slot, .generation = (uint32_t)generation};
            *at = place;
            return CAPSTAN_OK;
        }
    }
    const uint8_t *general = *at;
    capstan_ref_t ref = {0};
    capstan_err_t err = walk_ref_wide(&general, end, &ref);
    if (!err) {
        *ret_value = ref;
        *at = general;
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
static inline capstan_err_t walk_key(const uint8_t **at, const uint8_t *end, walk_keys_t *keys,
                                     uint8_t *ret_key)
{
    const uint8_t *place = *at;
    uint64_t key = 0;
    if (walk_uint(&place, end, &key) || key == 0 || key > WIRE_KEY_MAX || walk_seen(keys, key)) {
        return CAPSTAN_E_MALFORMED;
    }
    *at = place;
    keys->bits[key >> 6] |= UINT64_C(1) << (key & 63);
    *ret_key = (uint8_t)key;
    return CAPSTAN_OK;
}

/* Reads a map of `record` from `*at` into the struct at `value`, which is zeroed beforehand. A
 * fault's position counts from the beginning of `input`, in which `*at` is. */
capstan_err_t walk_record(const uint8_t **at, slice_t input, const wire_record_t *record,
                          void *value, codec_fault_t *fault);

#endif
