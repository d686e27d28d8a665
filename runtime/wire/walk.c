#include "runtime/wire/walk.h"

const uint8_t walk_nothing[1] = {0};

/* Big-endian load; compilers make one swapped load of each constant width. */
static uint64_t load_be(const uint8_t *from, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value = value << 8 | from[i];
    }
    return value;
}

/* Reads the `bytes` behind the type byte at `at`. */
static capstan_err_t load_number(const uint8_t *at, const uint8_t *end, size_t bytes,
                                 uint64_t *ret_value)
{
    if ((size_t)(end - at) < 1 + bytes) {
        return CAPSTAN_E_MALFORMED;
    }
    *ret_value = load_be(at + 1, bytes);
    return CAPSTAN_OK;
}

typedef struct integer {
    uint64_t bits;
    bool negative; /* the bits are those of an int64_t */
} integer_t;

static capstan_err_t walk_integer(const uint8_t **at, const uint8_t *end, integer_t *ret_value)
{
    if (*at == end) {
        return CAPSTAN_E_MALFORMED;
    }
    uint8_t head = **at;
    if (head < 0x80 || head >= 0xe0) {
        *ret_value = (integer_t){(uint64_t)(int64_t)(int8_t)head, head >= 0xe0};
        *at += 1;
        return CAPSTAN_OK;
    }
    if (head < 0xcc || head > 0xd3) {
        return CAPSTAN_E_FIELD_TYPE;
    }
    uint64_t bits = 0;
    size_t bytes = (size_t)1 << (head & 3);
    if (load_number(*at, end, bytes, &bits)) {
        return CAPSTAN_E_MALFORMED;
    }
    bool negative = head >= 0xd0 && bits >> (8 * bytes - 1);
    if (negative && bytes < 8) {
        bits |= ~UINT64_C(0) << (8 * bytes);
    }
    *ret_value = (integer_t){bits, negative};
    *at += 1 + bytes;
    return CAPSTAN_OK;
}

capstan_err_t walk_uint_wide(const uint8_t **at, const uint8_t *end, uint64_t *ret_value)
{
    integer_t value;
    const uint8_t *place = *at;
    capstan_err_t err = walk_integer(&place, end, &value);
    if (err || value.negative) {
        return err ? err : CAPSTAN_E_FIELD_TYPE;
    }
    *at = place;
    *ret_value = value.bits;
    return CAPSTAN_OK;
}

capstan_err_t walk_int(const uint8_t **at, const uint8_t *end, int64_t *ret_value)
{
    integer_t value;
    const uint8_t *place = *at;
    capstan_err_t err = walk_integer(&place, end, &value);
    if (err || (!value.negative && value.bits > INT64_MAX)) {
        return err ? err : CAPSTAN_E_FIELD_TYPE;
    }
    *at = place;
    *ret_value = (int64_t)value.bits;
    return CAPSTAN_OK;
}

capstan_err_t walk_bool(const uint8_t **at, const uint8_t *end, bool *ret_value)
{
    if (*at == end) {
        return CAPSTAN_E_MALFORMED;
    }
    if (**at != 0xc2 && **at != 0xc3) {
        return CAPSTAN_E_FIELD_TYPE;
    }
    *ret_value = *(*at)++ == 0xc3;
    return CAPSTAN_OK;
}

static capstan_err_t walk_u32(const uint8_t **at, const uint8_t *end, uint32_t *ret_value)
{
    uint64_t value = 0;
    capstan_err_t err = walk_uint(at, end, &value);
    if (err || value > UINT32_MAX) {
        return err ? err : CAPSTAN_E_FIELD_TYPE;
    }
    *ret_value = (uint32_t)value;
    return CAPSTAN_OK;
}

capstan_err_t walk_ref_wide(const uint8_t **at, const uint8_t *end, capstan_ref_t *ret_value)
{
    const uint8_t *place = *at;
    capstan_ref_t ref = {0};
    uint32_t count = 0;
    capstan_err_t err = walk_array(&place, end, &count);
    if (!err && count != 2 && count != 4) {
        err = CAPSTAN_E_FIELD_TYPE;
    }
    if (err || (err = walk_u32(&place, end, &ref.slot)) ||
        (err = walk_u32(&place, end, &ref.generation))) {
        return err;
    }
    if (count == 4 &&
        ((err = walk_uint(&place, end, &ref.node)) || (err = walk_u32(&place, end, &ref.boot)))) {
        return err;
    }
    *at = place;
    *ret_value = ref;
    return CAPSTAN_OK;
}

/* One character beyond ASCII; returns its length, or 0 when it is not legal (RFC 3629: no overlong
 * forms, no surrogates, nothing above U+10FFFF). */
static size_t utf8_length(const uint8_t *at, size_t left)
{
    uint8_t head = at[0];
    size_t length = head >= 0xc2 && head < 0xe0 ? 2 : head < 0xe0 ? 0 : head < 0xf0 ? 3 : 4;
    if (length == 0 || head > 0xf4 || left < length) {
        return 0;
    }
    uint8_t low = head == 0xe0 ? 0xa0 : head == 0xf0 ? 0x90 : 0x80;
    uint8_t high = head == 0xed ? 0x9f : head == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return length;
}

bool walk_is_utf8(slice_t text)
{
    const uint8_t *at = walk_begin(text);
    const uint8_t *end = at + text.size;
    while (at < end) {
        if (end - at >= 8) {
            uint64_t eight;
            memcpy(&eight, at, sizeof eight);
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                at += 8;
                continue;
            }
        }
        size_t length = *at < 0x80 ? 1 : utf8_length(at, (size_t)(end - at));
        if (length == 0) {
            return false;
        }
        at += length;
    }
    return true;
}

/* Reads the length of width `bytes` behind the type byte, and the bytes that it claims. */
static capstan_err_t take_bytes(const uint8_t **at, const uint8_t *end, size_t bytes,
                                slice_t *ret_value)
{
    uint64_t size = 0;
    if (load_number(*at, end, bytes, &size)) {
        return CAPSTAN_E_MALFORMED;
    }
    const uint8_t *content = *at + 1 + bytes;
    if (size > (size_t)(end - content)) {
        return CAPSTAN_E_MALFORMED;
    }
    *ret_value = slice_of(content, (size_t)size);
    *at = content + size;
    return CAPSTAN_OK;
}

capstan_err_t walk_bin(const uint8_t **at, const uint8_t *end, slice_t *ret_value)
{
    if (*at == end) {
        return CAPSTAN_E_MALFORMED;
    }
    uint8_t head = **at;
    if (head < 0xc4 || head > 0xc6) {
        return CAPSTAN_E_FIELD_TYPE;
    }
    return take_bytes(at, end, (size_t)1 << (head - 0xc4), ret_value);
}

capstan_err_t walk_str(const uint8_t **at, const uint8_t *end, slice_t *ret_value)
{
    if (*at == end) {
        return CAPSTAN_E_MALFORMED;
    }
    const uint8_t *place = *at;
    slice_t text = {0};
    uint8_t head = *place;
    if ((head & 0xe0) == 0xa0) {
        text = slice_of(place + 1, head & 0x1f);
        if (text.size > (size_t)(end - place - 1)) {
            return CAPSTAN_E_MALFORMED;
        }
        place += 1 + text.size;
    } else if (head < 0xd9 || head > 0xdb) {
        return CAPSTAN_E_FIELD_TYPE;
    } else if (take_bytes(&place, end, (size_t)1 << (head - 0xd9), &text)) {
        return CAPSTAN_E_MALFORMED;
    }
    if (!walk_is_utf8(text)) {
        return CAPSTAN_E_NOT_UTF8;
    }
    *at = place;
    *ret_value = text;
    return CAPSTAN_OK;
}

typedef struct container {
    uint8_t fix;         /* type byte of the short form, its count in the low 4 bits */
    uint8_t wide;        /* type byte of the form with 16 bits; 32 bits follow it */
    uint8_t element_log; /* the least an element takes, 2 to this power: it bounds the claim */
} container_t;

static capstan_err_t walk_count(const uint8_t **at, const uint8_t *end, container_t type,
                                uint32_t *ret_count)
{
    if (*at == end) {
        return CAPSTAN_E_MALFORMED;
    }
    uint8_t head = **at;
    uint64_t count = head & 0x0f;
    size_t bytes = 0;
    if ((head & 0xf0) != type.fix) {
        if (head != type.wide && head != type.wide + 1) {
            return CAPSTAN_E_FIELD_TYPE;
        }
        bytes = head == type.wide ? 2 : 4;
        if (load_number(*at, end, bytes, &count)) {
            return CAPSTAN_E_MALFORMED;
        }
    }
    const uint8_t *content = *at + 1 + bytes;
    if (count > (size_t)(end - content) >> type.element_log) {
        return CAPSTAN_E_MALFORMED;
    }
    *at = content;
    *ret_count = (uint32_t)count;
    return CAPSTAN_OK;
}

capstan_err_t walk_map(const uint8_t **at, const uint8_t *end, uint32_t *ret_count)
{
    return walk_count(at, end, (container_t){.fix = 0x80, .wide = 0xde, .element_log = 1},
                      ret_count);
}

capstan_err_t walk_array(const uint8_t **at, const uint8_t *end, uint32_t *ret_count)
{
    return walk_count(at, end, (container_t){.fix = 0x90, .wide = 0xdc, .element_log = 0},
                      ret_count);
}

/* The bytes of a value that contains no others, its type byte included; 0 when they are not all
 * there or the type byte has no meaning. */
static inline size_t leaf_bytes(const uint8_t *at, const uint8_t *end)
{
    /* Type bytes 0xc0 to 0xdb: bytes of a length that follows, and bytes of fixed content. */
    static const struct {
        uint8_t length;
        uint8_t content;
    } shape[] = {
        {0, 0}, {0, 0}, {0, 0}, {0, 0},          /* nil, never used, false, true */
        {1, 0}, {2, 0}, {4, 0},                  /* bin */
        {1, 1}, {2, 1}, {4, 1},                  /* ext: a type byte before the content */
        {0, 4}, {0, 8},                          /* float */
        {0, 1}, {0, 2}, {0, 4}, {0, 8},          /* uint */
        {0, 1}, {0, 2}, {0, 4}, {0, 8},          /* int */
        {0, 2}, {0, 3}, {0, 5}, {0, 9}, {0, 17}, /* fixext */
        {1, 0}, {2, 0}, {4, 0},                  /* str */
    };
    uint8_t head = *at;
    uint64_t size = 0;
    if (head < 0x80 || head >= 0xe0) {
        return 1;
    }
    if (head < 0xc0) {
        size = 1 + (uint64_t)(head & 0x1f);
    } else {
        size_t length = shape[head - 0xc0].length;
        if (head == 0xc1 || load_number(at, end, length, &size)) {
            return 0;
        }
        size += 1 + length + shape[head - 0xc0].content;
    }
    return size <= (size_t)(end - at) ? (size_t)size : 0;
}

static bool is_map(uint8_t head)
{
    return (head & 0xf0) == 0x80 || head == 0xde || head == 0xdf;
}

static bool is_array(uint8_t head)
{
    return (head & 0xf0) == 0x90 || head == 0xdc || head == 0xdd;
}

capstan_err_t walk_skip(const uint8_t **at, const uint8_t *end)
{
    uint64_t outer[WIRE_DEPTH_MAX]; /* values still to come, per level; zeroing it costs 10 ns */
    uint64_t left = 1;              /* at this one */
    size_t depth = 0;
    const uint8_t *place = *at;
    for (;;) {
        while (left == 0) {
            if (depth == 0) {
                *at = place;
                return CAPSTAN_OK;
            }
            left = outer[--depth];
        }
        left--;
        if (place == end) {
            return CAPSTAN_E_MALFORMED;
        }
        uint8_t head = *place;
        if (head < 0x80 || head >= 0xe0) { /* a key, as most are */
            place++;
            continue;
        }
        bool map = is_map(head);
        if (!map && !is_array(head)) {
            size_t bytes = leaf_bytes(place, end);
            if (bytes == 0) {
                return CAPSTAN_E_MALFORMED;
            }
            place += bytes;
            continue;
        }
        uint32_t count = 0;
        const uint8_t *content = place;
        if (map ? walk_map(&content, end, &count) : walk_array(&content, end, &count)) {
            return CAPSTAN_E_MALFORMED;
        }
        if (depth == WIRE_DEPTH_MAX) {
            return CAPSTAN_E_TOO_DEEP;
        }
        place = content;
        outer[depth++] = left;
        left = map ? 2 * (uint64_t)count : count;
    }
}

capstan_err_t walk_list(const uint8_t **at, const uint8_t *end, slice_t *ret_list)
{
    const uint8_t *begin = *at;
    const uint8_t *place = begin;
    uint32_t count = 0;
    capstan_err_t err = walk_array(&place, end, &count);
    place = begin;
    if (err || (err = walk_skip(&place, end))) {
        return err;
    }
    *ret_list = slice_of(begin, (size_t)(place - begin));
    *at = place;
    return CAPSTAN_OK;
}
