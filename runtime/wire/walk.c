#include "runtime/wire/walk.h"

/* Big-endian load; compilers make one swapped load of each constant width. */
static uint64_t load_be(const uint8_t *from, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value = value << 8 | from[i];
    }
    return value;
}

/* Reads the `bytes` behind the type byte. */
static capstan_err_t load_number(const walk_t *self, size_t bytes, uint64_t *ret_value)
{
    if (walk_left(self) < 1 + bytes) {
        return CAPSTAN_E_MALFORMED;
    }
    *ret_value = load_be(self->at + 1, bytes);
    return CAPSTAN_OK;
}

/* Any legal integer as its 64 bits; `ret_negative` tells how to read them. Does not move. */
static capstan_err_t peek_integer(const walk_t *self, uint64_t *ret_bits, bool *ret_negative,
                                  size_t *ret_bytes)
{
    if (self->at == self->end) {
        return CAPSTAN_E_MALFORMED;
    }
    uint8_t head = *self->at;
    if (head < 0x80 || head >= 0xe0) {
        *ret_bits = (uint64_t)(int64_t)(int8_t)head;
        *ret_negative = head >= 0xe0;
        *ret_bytes = 1;
        return CAPSTAN_OK;
    }
    if (head < 0xcc || head > 0xd3) {
        return CAPSTAN_E_FIELD_TYPE;
    }
    size_t bytes = (size_t)1 << (head & 3);
    if (walk_left(self) < 1 + bytes) {
        return CAPSTAN_E_MALFORMED;
    }
    uint64_t bits = load_be(self->at + 1, bytes);
    bool negative = head >= 0xd0 && bits >> (8 * bytes - 1);
    if (negative && bytes < 8) {
        bits |= ~UINT64_C(0) << (8 * bytes);
    }
    *ret_bits = bits;
    *ret_negative = negative;
    *ret_bytes = 1 + bytes;
    return CAPSTAN_OK;
}

capstan_err_t walk_uint_wide(walk_t *self, uint64_t *ret_value)
{
    uint64_t bits = 0;
    bool negative = false;
    size_t bytes = 0;
    capstan_err_t err = peek_integer(self, &bits, &negative, &bytes);
    if (err || negative) {
        return err ? err : CAPSTAN_E_FIELD_TYPE;
    }
    self->at += bytes;
    *ret_value = bits;
    return CAPSTAN_OK;
}

capstan_err_t walk_int(walk_t *self, int64_t *ret_value)
{
    uint64_t bits = 0;
    bool negative = false;
    size_t bytes = 0;
    capstan_err_t err = peek_integer(self, &bits, &negative, &bytes);
    if (err || (!negative && bits > INT64_MAX)) {
        return err ? err : CAPSTAN_E_FIELD_TYPE;
    }
    self->at += bytes;
    *ret_value = (int64_t)bits;
    return CAPSTAN_OK;
}

capstan_err_t walk_bool(walk_t *self, bool *ret_value)
{
    if (self->at == self->end) {
        return CAPSTAN_E_MALFORMED;
    }
    if (*self->at != 0xc2 && *self->at != 0xc3) {
        return CAPSTAN_E_FIELD_TYPE;
    }
    *ret_value = *self->at++ == 0xc3;
    return CAPSTAN_OK;
}

static capstan_err_t walk_u32(walk_t *self, uint32_t *ret_value)
{
    uint64_t value = 0;
    capstan_err_t err = walk_uint(self, &value);
    if (err || value > UINT32_MAX) {
        return err ? err : CAPSTAN_E_FIELD_TYPE;
    }
    *ret_value = (uint32_t)value;
    return CAPSTAN_OK;
}

capstan_err_t walk_ref_wide(walk_t *self, capstan_ref_t *ret_value)
{
    walk_t walk = *self;
    capstan_ref_t ref = {0};
    uint32_t count = 0;
    capstan_err_t err = walk_array(&walk, &count);
    if (!err && count != 2 && count != 4) {
        err = CAPSTAN_E_FIELD_TYPE;
    }
    if (err || (err = walk_u32(&walk, &ref.slot)) || (err = walk_u32(&walk, &ref.generation))) {
        return err;
    }
    if (count == 4 && ((err = walk_uint(&walk, &ref.node)) || (err = walk_u32(&walk, &ref.boot)))) {
        return err;
    }
    self->at = walk.at;
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

static bool is_utf8(const uint8_t *at, size_t size)
{
    const uint8_t *end = at + size;
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

/* Reads the length behind a type byte of width `bytes`, and the bytes that it claims. */
static capstan_err_t take_bytes(walk_t *self, size_t bytes, slice_t *ret_value)
{
    uint64_t size = 0;
    if (load_number(self, bytes, &size) || size > walk_left(self) - 1 - bytes) {
        return CAPSTAN_E_MALFORMED;
    }
    *ret_value = slice_of(self->at + 1 + bytes, (size_t)size);
    self->at += 1 + bytes + size;
    return CAPSTAN_OK;
}

capstan_err_t walk_bin(walk_t *self, slice_t *ret_value)
{
    if (self->at == self->end) {
        return CAPSTAN_E_MALFORMED;
    }
    uint8_t head = *self->at;
    if (head == 0xc4) {
        return take_bytes(self, 1, ret_value);
    }
    return head == 0xc5 || head == 0xc6 ? take_bytes(self, head == 0xc5 ? 2 : 4, ret_value)
                                        : CAPSTAN_E_FIELD_TYPE;
}

capstan_err_t walk_str(walk_t *self, slice_t *ret_value)
{
    walk_t walk = *self;
    slice_t text = {0};
    if (walk.at == walk.end) {
        return CAPSTAN_E_MALFORMED;
    }
    uint8_t head = *walk.at;
    if ((head & 0xe0) == 0xa0) {
        text = slice_of(walk.at + 1, head & 0x1f);
        if (text.size >= walk_left(&walk)) {
            return CAPSTAN_E_MALFORMED;
        }
        walk.at += 1 + text.size;
    } else if (head < 0xd9 || head > 0xdb) {
        return CAPSTAN_E_FIELD_TYPE;
    } else if (take_bytes(&walk, (size_t)1 << (head - 0xd9), &text)) {
        return CAPSTAN_E_MALFORMED;
    }
    if (!is_utf8(text.data, text.size)) {
        return CAPSTAN_E_NOT_UTF8;
    }
    self->at = walk.at;
    *ret_value = text;
    return CAPSTAN_OK;
}

/* A container's count: `fix` is the type byte of the short form, `wide` that of 16 bits. Each
 * element takes at least `element_bytes`, which bounds what can truthfully be claimed. */
static capstan_err_t walk_count(walk_t *self, uint8_t fix, uint8_t wide, size_t element_bytes,
                                uint32_t *ret_count)
{
    if (self->at == self->end) {
        return CAPSTAN_E_MALFORMED;
    }
    uint8_t head = *self->at;
    uint64_t count = head & 0x0f;
    size_t bytes = 0;
    if ((head & 0xf0) != fix) {
        if (head != wide && head != wide + 1) {
            return CAPSTAN_E_FIELD_TYPE;
        }
        bytes = head == wide ? 2 : 4;
        if (load_number(self, bytes, &count)) {
            return CAPSTAN_E_MALFORMED;
        }
    }
    if (count > (walk_left(self) - 1 - bytes) / element_bytes) {
        return CAPSTAN_E_MALFORMED;
    }
    self->at += 1 + bytes;
    *ret_count = (uint32_t)count;
    return CAPSTAN_OK;
}

capstan_err_t walk_map(walk_t *self, uint32_t *ret_count)
{
    return walk_count(self, 0x80, 0xde, 2, ret_count);
}

capstan_err_t walk_array(walk_t *self, uint32_t *ret_count)
{
    return walk_count(self, 0x90, 0xdc, 1, ret_count);
}

/* The bytes of a value that contains no others, its type byte included; 0 when they are not all
 * there or the type byte has no meaning. */
static size_t leaf_bytes(const walk_t *self)
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
    uint8_t head = *self->at;
    if (head < 0x80 || head >= 0xe0) {
        return 1;
    }
    uint64_t size = 0;
    if (head < 0xc0) {
        size = 1 + (uint64_t)(head & 0x1f);
    } else if (head == 0xc1) {
        return 0;
    } else {
        size_t length = shape[head - 0xc0].length;
        if (load_number(self, length, &size)) {
            return 0;
        }
        size += 1 + length + shape[head - 0xc0].content;
    }
    return size <= walk_left(self) ? (size_t)size : 0;
}

capstan_err_t walk_skip(walk_t *self)
{
    uint64_t left[WIRE_DEPTH_MAX + 1] = {1}; /* values still to come, per level */
    size_t depth = 0;
    walk_t walk = *self;
    for (;;) {
        while (left[depth] == 0) {
            if (depth == 0) {
                self->at = walk.at;
                return CAPSTAN_OK;
            }
            depth--;
        }
        left[depth]--;
        if (walk.at == walk.end) {
            return CAPSTAN_E_MALFORMED;
        }
        uint8_t head = *walk.at;
        bool map = (head & 0xf0) == 0x80 || head == 0xde || head == 0xdf;
        if (!map && (head & 0xf0) != 0x90 && head != 0xdc && head != 0xdd) {
            size_t bytes = leaf_bytes(&walk);
            if (bytes == 0) {
                return CAPSTAN_E_MALFORMED;
            }
            walk.at += bytes;
            continue;
        }
        uint32_t count = 0;
        if (map ? walk_map(&walk, &count) : walk_array(&walk, &count)) {
            return CAPSTAN_E_MALFORMED;
        }
        if (depth == WIRE_DEPTH_MAX) {
            return CAPSTAN_E_TOO_DEEP;
        }
        left[++depth] = map ? 2 * (uint64_t)count : count;
    }
}
