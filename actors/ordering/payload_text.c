#include "actors/ordering/payload_text.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>

enum {
    UTF8_BYTES_MAX = 4,
    ESCAPE_BYTES = 6,       /* \uXXXX */
    NUMBER_BYTES_MAX = 128, /* of one that is not whole */
};

/* --- UTF-8 ----------------------------------------------------------------------------------- */

/* How many bytes the code point has that begins here; 0: none does. RFC 3629: no more than the
 * shortest form, no surrogates, nothing above U+10FFFF. */
static size_t point_size(const uint8_t *at, size_t left)
{
    if (at[0] < 0x80) {
        return 1;
    }
    size_t size = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4 || left < size) {
        return 0;
    }
    uint8_t least = at[0] == 0xe0 ? 0xa0 : at[0] == 0xf0 ? 0x90 : 0x80;
    uint8_t most = at[0] == 0xed ? 0x9f : at[0] == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < least || at[1] > most) {
        return 0;
    }
    for (size_t i = 2; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return size;
}

bool text_is_utf8(slice_t text)
{
    const uint8_t *bytes = text.data;
    for (size_t i = 0, size; i < text.size; i += size) {
        size = point_size(bytes + i, text.size - i);
        if (size == 0) {
            return false;
        }
    }
    return true;
}

static size_t put_point(uint32_t point, uint8_t out[UTF8_BYTES_MAX])
{
    if (point < 0x80) {
        out[0] = (uint8_t)point;
        return 1;
    }
    size_t size = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--) {
        out[i] = (uint8_t)(0x80 | (point & 0x3f));
        point >>= 6;
    }
    out[0] = (uint8_t)((size == 2 ? 0xc0 : size == 3 ? 0xe0 : 0xf0) | point);
    return size;
}

/* --- escapes --------------------------------------------------------------------------------- */

static bool hex(const uint8_t *at, size_t left, uint32_t *ret_value)
{
    uint32_t value = 0;
    if (left < ESCAPE_BYTES || at[0] != '\\' || at[1] != 'u') {
        return false;
    }
    for (size_t i = 2; i < ESCAPE_BYTES; i++) {
        uint8_t digit = at[i];
        uint8_t letter = (uint8_t)(digit | 0x20);
        if (digit >= '0' && digit <= '9') {
            value = value << 4 | (uint32_t)(digit - '0');
        } else if (letter >= 'a' && letter <= 'f') {
            value = value << 4 | (uint32_t)(letter - 'a' + 10);
        } else {
            return false;
        }
    }
    *ret_value = value;
    return true;
}

/* The escape that begins here becomes a code point. Returns how many bytes it has; 0: it is none.
 */
static size_t take_escape(const uint8_t *at, size_t left, uint32_t *ret_point)
{
    static const char names[] = "\"\\/bfnrt";
    static const char points[] = "\"\\/\b\f\n\r\t";
    uint32_t low;
    const char *name = left > 1 && at[1] != '\0' ? strchr(names, at[1]) : NULL;
    if (name) {
        *ret_point = (uint8_t)points[name - names];
        return 2;
    }
    if (!hex(at, left, ret_point)) {
        return 0;
    }
    if (*ret_point < 0xd800 || *ret_point > 0xdfff) {
        return ESCAPE_BYTES;
    }
    /* Two of them name one code point; one alone names none. */
    if (*ret_point > 0xdbff || !hex(at + ESCAPE_BYTES, left - ESCAPE_BYTES, &low) || low < 0xdc00 ||
        low > 0xdfff) {
        return 0;
    }
    *ret_point = 0x10000 + ((*ret_point - 0xd800) << 10) + (low - 0xdc00);
    return 2 * ESCAPE_BYTES;
}

bool text_escapes_are_valid(slice_t raw)
{
    const uint8_t *bytes = raw.data;
    uint32_t point;
    for (size_t i = 0, size; i < raw.size; i += size) {
        size = bytes[i] == '\\' ? take_escape(bytes + i, raw.size - i, &point) : 1;
        if (size == 0) {
            return false;
        }
    }
    return true;
}

/* The next code point as UTF-8; `rest` moves on. */
static size_t next_point(slice_t *rest, bool escaped, uint8_t out[UTF8_BYTES_MAX])
{
    const uint8_t *bytes = rest->data;
    uint32_t point;
    bool escape = escaped && bytes[0] == '\\';
    size_t taken = escape ? take_escape(bytes, rest->size, &point) : point_size(bytes, rest->size);
    size_t size = taken;
    if (escape) {
        size = put_point(point, out);
    } else {
        memcpy(out, bytes, size);
    }
    *rest = slice_of(bytes + taken, rest->size - taken);
    return size;
}

uint64_t payload_text_length(payload_text_t text)
{
    uint8_t point[UTF8_BYTES_MAX];
    const uint8_t *bytes = text.raw.data;
    uint64_t length = 0;
    if (text.escaped) {
        for (slice_t rest = text.raw; rest.size > 0; length++) {
            (void)next_point(&rest, true, point);
        }
        return length;
    }
    for (size_t i = 0; i < text.raw.size; i++) {
        length += (bytes[i] & 0xc0) != 0x80; /* each code point begins once */
    }
    return length;
}

bool payload_text_equals(payload_text_t text, slice_t plain)
{
    uint8_t point[UTF8_BYTES_MAX];
    const uint8_t *at = plain.data;
    size_t left = plain.size;
    if (!text.escaped) {
        return slice_equal(text.raw, plain);
    }
    for (slice_t rest = text.raw; rest.size > 0;) {
        size_t size = next_point(&rest, true, point);
        if (size > left || memcmp(at, point, size) != 0) {
            return false;
        }
        at += size;
        left -= size;
    }
    return left == 0;
}

size_t payload_text_copy(payload_text_t text, char *to, size_t size)
{
    uint8_t point[UTF8_BYTES_MAX];
    size_t written = 0;
    if (!text.escaped && text.raw.size <= size) {
        if (text.raw.size > 0) {
            memcpy(to, text.raw.data, text.raw.size);
        }
        return text.raw.size;
    }
    for (slice_t rest = text.raw; rest.size > 0;) {
        size_t bytes = next_point(&rest, text.escaped, point);
        if (written + bytes > size) {
            return size + 1;
        }
        memcpy(to + written, point, bytes);
        written += bytes;
    }
    return written;
}

/* --- numbers --------------------------------------------------------------------------------- */

static bool is_digit(const char *text, size_t size, size_t at)
{
    return at < size && text[at] >= '0' && text[at] <= '9';
}

static size_t skip_digits(const char *text, size_t size, size_t at)
{
    while (is_digit(text, size, at)) {
        at++;
    }
    return at;
}

/* False: it has more than 64 bits. */
static bool read_whole(const char *digits, size_t size, bool negative, payload_number_t *ret_number)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        uint64_t digit = (uint64_t)(digits[i] - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = 10 * value + digit;
    }
    if (negative && value > (uint64_t)INT64_MAX + 1) {
        return false;
    }
    *ret_number = negative && value > 0
                      ? (payload_number_t){NUMBER_NEGATIVE, {.negative = (int64_t)(0 - value)}}
                      : (payload_number_t){NUMBER_WHOLE, {.whole = value}};
    return true;
}

/* strtod wants an end, and its host's decimal point. */
static const char *read_real(const char *text, size_t size, payload_number_t *ret_number)
{
    char copy[NUMBER_BYTES_MAX + 1];
    if (size > NUMBER_BYTES_MAX) {
        return "a number has more than 128 characters";
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    char *point = memchr(copy, '.', size);
    if (point) {
        *point = *localeconv()->decimal_point;
    }
    *ret_number = (payload_number_t){NUMBER_REAL, {.real = strtod(copy, NULL)}};
    return isfinite(ret_number->as.real) ? NULL : "a number is too large";
}

const char *text_take_number(slice_t bytes, const uint8_t **ret_behind,
                             payload_number_t *ret_number)
{
    const char *text = bytes.data;
    bool negative = text[0] == '-';
    size_t first = negative;
    if (!is_digit(text, bytes.size, first)) {
        return "no JSON value begins here";
    }
    size_t whole = text[first] == '0' ? first + 1 : skip_digits(text, bytes.size, first);
    size_t at = whole;
    if (at < bytes.size && text[at] == '.') {
        size_t end = skip_digits(text, bytes.size, ++at);
        if (end == at) {
            return "digits are missing behind the point of a number";
        }
        at = end;
    }
    if (at < bytes.size && (text[at] == 'e' || text[at] == 'E')) {
        at++;
        at += at < bytes.size && (text[at] == '+' || text[at] == '-');
        size_t end = skip_digits(text, bytes.size, at);
        if (end == at) {
            return "the digits of a number's exponent are missing";
        }
        at = end;
    }
    *ret_behind += at;
    if (at == whole && read_whole(text + first, whole - first, negative, ret_number)) {
        return NULL;
    }
    return read_real(text, at, ret_number);
}
