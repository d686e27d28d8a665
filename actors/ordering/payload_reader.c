#include "actors/ordering/payload_reader.h"

#include "actors/ordering/payload_text.h"

#include <math.h>

payload_reader_t payload_reader(slice_t bytes, bool json)
{
    const uint8_t *data = bytes.data;
    return (payload_reader_t){.at = data, .end = data ? data + bytes.size : data, .json = json};
}

static bool fail(payload_reader_t *self, const char *fault)
{
    self->fault = fault;
    return false;
}

static size_t left(const payload_reader_t *self)
{
    return (size_t)(self->end - self->at);
}

/* --- MessagePack ----------------------------------------------------------------------------- */

static const char cut_off[] = "the bytes end in the middle of a value";

static bool take_big_endian(payload_reader_t *self, size_t size, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (left(self) < size) {
        return fail(self, cut_off);
    }
    for (size_t i = 0; i < size; i++) {
        value = value << 8 | *self->at++;
    }
    *ret_value = value;
    return true;
}

static bool take_bytes(payload_reader_t *self, uint64_t size, slice_t *ret_bytes)
{
    if (left(self) < size) {
        return fail(self, cut_off);
    }
    *ret_bytes = slice_of(self->at, size);
    self->at += size;
    return true;
}

static payload_number_t signed_number(int64_t value)
{
    return value < 0 ? (payload_number_t){NUMBER_NEGATIVE, {.negative = value}}
                     : (payload_number_t){NUMBER_WHOLE, {.whole = (uint64_t)value}};
}

static bool take_text(payload_reader_t *self, uint64_t size, payload_value_t *ret_value)
{
    ret_value->kind = PAYLOAD_TEXT;
    if (!take_bytes(self, size, &ret_value->text.raw)) {
        return false;
    }
    return text_is_utf8(ret_value->text.raw) || fail(self, "a text is not UTF-8");
}

/* 0xca to 0xd3. */
static bool take_number(payload_reader_t *self, uint8_t head, payload_value_t *ret_value)
{
    uint64_t bits;
    size_t size = head <= 0xcb ? (size_t)4 << (head & 1) : (size_t)1 << (head & 3);
    ret_value->kind = PAYLOAD_NUMBER;
    if (!take_big_endian(self, size, &bits)) {
        return false;
    }
    if (head == 0xca) {
        uint32_t half = (uint32_t)bits;
        float real;
        memcpy(&real, &half, sizeof real);
        ret_value->number = (payload_number_t){NUMBER_REAL, {.real = (double)real}};
    } else if (head == 0xcb) {
        ret_value->number.kind = NUMBER_REAL;
        memcpy(&ret_value->number.as.real, &bits, sizeof bits);
    } else if (head <= 0xcf) {
        ret_value->number = (payload_number_t){NUMBER_WHOLE, {.whole = bits}};
    } else {
        /* The sign's place is that of its own width. */
        unsigned shift = 64 - 8 * (unsigned)size;
        ret_value->number = signed_number((int64_t)(bits << shift) >> shift);
    }
    return true;
}

/* A length of 1, 2 or 4 bytes, and bytes; of an extension its type, too. */
static bool take_opaque(payload_reader_t *self, size_t length_size, size_t type_size,
                        payload_value_t *ret_value)
{
    uint64_t size;
    slice_t bytes;
    ret_value->kind = PAYLOAD_BYTES;
    return take_big_endian(self, length_size, &size) && take_bytes(self, size + type_size, &bytes);
}

static bool take_fixed(payload_reader_t *self, uint8_t head, payload_value_t *ret_value)
{
    if (head < 0x80 || head >= 0xe0) {
        ret_value->kind = PAYLOAD_NUMBER;
        ret_value->number = signed_number((int8_t)head);
        return true;
    }
    if (head >= 0xa0) {
        return take_text(self, head & 0x1f, ret_value);
    }
    ret_value->kind = head >= 0x90 ? PAYLOAD_ARRAY : PAYLOAD_OBJECT;
    ret_value->count = head & 0x0f;
    return true;
}

static bool read_msgpack(payload_reader_t *self, payload_value_t *ret_value)
{
    uint64_t size;
    slice_t bytes;
    if (self->at == self->end) {
        return fail(self, cut_off);
    }
    uint8_t head = *self->at++;
    if (head < 0xc0 || head >= 0xe0) {
        return take_fixed(self, head, ret_value);
    }
    switch (head) {
    case 0xc0:
        return true; /* a zeroed value is null */
    case 0xc1:
        return fail(self, "0xc1 begins no MessagePack value");
    case 0xc2:
    case 0xc3:
        ret_value->kind = PAYLOAD_BOOL;
        ret_value->boolean = head == 0xc3;
        return true;
    case 0xc4:
    case 0xc5:
    case 0xc6:
        return take_opaque(self, (size_t)1 << (head - 0xc4), 0, ret_value);
    case 0xc7:
    case 0xc8:
    case 0xc9:
        return take_opaque(self, (size_t)1 << (head - 0xc7), 1, ret_value);
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
        ret_value->kind = PAYLOAD_BYTES;
        return take_bytes(self, 1 + (UINT64_C(1) << (head - 0xd4)), &bytes);
    case 0xd9:
    case 0xda:
    case 0xdb:
        return take_big_endian(self, (size_t)1 << (head - 0xd9), &size) &&
               take_text(self, size, ret_value);
    case 0xdc:
    case 0xdd:
    case 0xde:
    case 0xdf:
        ret_value->kind = head <= 0xdd ? PAYLOAD_ARRAY : PAYLOAD_OBJECT;
        return take_big_endian(self, (size_t)2 << (head & 1), &ret_value->count);
    default:
        return take_number(self, head, ret_value);
    }
}

/* --- JSON ------------------------------------------------------------------------------------ */

static void skip_blanks(payload_reader_t *self)
{
    while (self->at < self->end &&
           (*self->at == ' ' || *self->at == '\t' || *self->at == '\n' || *self->at == '\r')) {
        self->at++;
    }
}

static bool take_word(payload_reader_t *self, const char *word)
{
    size_t size = strlen(word);
    if (left(self) < size || memcmp(self->at, word, size) != 0) {
        return fail(self, "no JSON value begins here");
    }
    self->at += size;
    return true;
}

static bool take_json_text(payload_reader_t *self, payload_text_t *ret_text)
{
    const uint8_t *begin = ++self->at;
    ret_text->escaped = false;
    while (self->at < self->end && *self->at != '"') {
        if (*self->at < 0x20) {
            return fail(self, "a control character in a text is not escaped");
        }
        ret_text->escaped = ret_text->escaped || *self->at == '\\';
        self->at += *self->at == '\\' && left(self) > 1 ? 2 : 1;
    }
    if (self->at >= self->end) {
        return fail(self, "a text does not end");
    }
    ret_text->raw = slice_of(begin, (size_t)(self->at++ - begin));
    if (!text_is_utf8(ret_text->raw)) {
        return fail(self, "a text is not UTF-8");
    }
    return !ret_text->escaped || text_escapes_are_valid(ret_text->raw) ||
           fail(self, "a text has an escape that JSON does not have");
}

static bool read_json(payload_reader_t *self, payload_value_t *ret_value)
{
    skip_blanks(self);
    if (self->at == self->end) {
        return fail(self, cut_off);
    }
    switch (*self->at) {
    case 'n':
        return take_word(self, "null"); /* a zeroed value is null */
    case 't':
    case 'f':
        ret_value->kind = PAYLOAD_BOOL;
        ret_value->boolean = *self->at == 't';
        return take_word(self, ret_value->boolean ? "true" : "false");
    case '"':
        ret_value->kind = PAYLOAD_TEXT;
        return take_json_text(self, &ret_value->text);
    case '[':
    case '{':
        ret_value->kind = *self->at++ == '[' ? PAYLOAD_ARRAY : PAYLOAD_OBJECT;
        return true;
    default:
        ret_value->kind = PAYLOAD_NUMBER;
        self->fault =
            text_take_number(slice_of(self->at, left(self)), &self->at, &ret_value->number);
        return self->fault == NULL;
    }
}

/* Behind the bracket, a value or a comma; true when a child follows. */
static bool next_json(payload_reader_t *self, payload_children_t *children, char bracket)
{
    skip_blanks(self);
    bool ends = self->at < self->end && *self->at == bracket;
    bool comma = self->at < self->end && *self->at == ',';
    if (ends) {
        self->at++;
    } else if (children->begun && !comma) {
        fail(self, "a comma or a closing bracket is missing");
    } else if (comma && !children->begun) {
        fail(self, "a comma stands before the first value");
    } else {
        self->at += comma;
        children->begun = true;
        return true;
    }
    return false;
}

/* --- both ------------------------------------------------------------------------------------ */

bool payload_read(payload_reader_t *self, payload_value_t *ret_value)
{
    *ret_value = (payload_value_t){0};
    return self->json ? read_json(self, ret_value) : read_msgpack(self, ret_value);
}

bool payload_at_end(payload_reader_t *self)
{
    if (self->json) {
        skip_blanks(self);
    }
    return self->at == self->end || fail(self, "something stands behind the value");
}

bool payload_next_element(payload_reader_t *self, payload_children_t *children)
{
    if (self->fault) {
        return false;
    }
    return self->json ? next_json(self, children, ']') : children->left-- > 0;
}

bool payload_next_member(payload_reader_t *self, payload_children_t *children,
                         payload_text_t *ret_name)
{
    payload_value_t name = {0};
    if (self->fault) {
        return false;
    }
    if (!self->json) {
        if (children->left-- == 0 || !read_msgpack(self, &name)) {
            return false;
        }
        *ret_name = name.text;
        return name.kind == PAYLOAD_TEXT || fail(self, "the name of a member is not a text");
    }
    if (!next_json(self, children, '}')) {
        return false;
    }
    skip_blanks(self);
    if (self->at == self->end || *self->at != '"') {
        return fail(self, "the name of a member is missing");
    }
    if (!take_json_text(self, ret_name)) {
        return false;
    }
    skip_blanks(self);
    if (self->at == self->end || *self->at != ':') {
        return fail(self, "the colon behind the name of a member is missing");
    }
    self->at++;
    return true;
}

/* --- numbers --------------------------------------------------------------------------------- */

static int compare_whole(payload_number_t a, payload_number_t b)
{
    if (a.kind != b.kind) {
        return a.kind == NUMBER_NEGATIVE ? -1 : 1;
    }
    if (a.kind == NUMBER_NEGATIVE) {
        return (a.as.negative > b.as.negative) - (a.as.negative < b.as.negative);
    }
    return (a.as.whole > b.as.whole) - (a.as.whole < b.as.whole);
}

/* By the whole part first, since a double does not hold every whole number. */
static int compare_with_real(payload_number_t whole, double real)
{
    static const double two_to_63 = 9223372036854775808.0;
    if (isnan(real)) {
        return 2;
    }
    if (real >= 2 * two_to_63) {
        return -1;
    }
    if (real < -two_to_63) {
        return 1;
    }
    double part = trunc(real);
    payload_number_t other = part < 0
                                 ? (payload_number_t){NUMBER_NEGATIVE, {.negative = (int64_t)part}}
                                 : (payload_number_t){NUMBER_WHOLE, {.whole = (uint64_t)part}};
    int order = compare_whole(whole, other);
    return order != 0 ? order : (part > real) - (part < real);
}

int payload_number_compare(payload_number_t a, payload_number_t b)
{
    if (a.kind == NUMBER_REAL && b.kind == NUMBER_REAL) {
        bool none = isnan(a.as.real) || isnan(b.as.real);
        return none ? 2 : (a.as.real > b.as.real) - (a.as.real < b.as.real);
    }
    if (b.kind == NUMBER_REAL) {
        return compare_with_real(a, b.as.real);
    }
    if (a.kind == NUMBER_REAL) {
        int order = compare_with_real(b, a.as.real);
        return order == 2 ? 2 : -order;
    }
    return compare_whole(a, b);
}

bool payload_number_is_whole(payload_number_t number)
{
    return number.kind != NUMBER_REAL ||
           (isfinite(number.as.real) && trunc(number.as.real) == number.as.real);
}
