#include "actors/saga/value.h"

#include "runtime/wire/walk.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

_Static_assert((int)VALUE_DEPTH_MAX <= (int)WIRE_DEPTH_MAX, "walk_skip gets past every value");

enum {
    PATH_WORDS_MAX = 16,
    NUMBER_TEXT_MAX = 32,
    TYPE_FLOAT32 = 0xca,
    TYPE_FLOAT64 = 0xcb,
    TYPE_NIL = 0xc0,
    TYPE_FALSE = 0xc2,
    TYPE_TRUE = 0xc3,
};

static const uint8_t *end_of(slice_t value)
{
    return walk_begin(value) + value.size;
}

static bool is_extension(uint8_t head)
{
    return (head >= 0xc7 && head <= 0xc9) || (head >= 0xd4 && head <= 0xd8);
}

/* Moves behind a container's head, or behind a value that contains no others. Of values whose
 * structure is known to be right, so that one goes through them without counting. */
static capstan_err_t pass_one(const uint8_t **at, const uint8_t *end)
{
    uint32_t count = 0;
    slice_t text = {0};
    if (*at < end && is_extension(**at)) {
        return CAPSTAN_E_MALFORMED;
    }
    if (!walk_map(at, end, &count) || !walk_array(at, end, &count)) {
        return CAPSTAN_OK;
    }
    capstan_err_t err = walk_str(at, end, &text);
    return err == CAPSTAN_E_FIELD_TYPE ? walk_skip(at, end) : err;
}

capstan_err_t value_check(slice_t value)
{
    if (value.size > VALUE_BYTES_MAX) {
        return CAPSTAN_E_TOO_LARGE;
    }
    const uint8_t *at = walk_begin(value);
    capstan_err_t err = walk_skip(&at, end_of(value));
    if (!err && at != end_of(value)) {
        err = CAPSTAN_E_MALFORMED;
    }
    at = walk_begin(value);
    while (!err && at < end_of(value)) {
        err = pass_one(&at, end_of(value));
    }
    return err;
}

capstan_err_t value_check_map(slice_t value)
{
    uint32_t count = 0;
    const uint8_t *at = walk_begin(value);
    capstan_err_t err = value_check(value);
    return err ? err : walk_map(&at, end_of(value), &count);
}

/* --- paths ----------------------------------------------------------------------------------- */

static bool is_word_byte(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_' || byte == '-';
}

/* Takes the next word off the path; false: there is none left. */
static bool next_word(slice_t *path, slice_t *ret_word)
{
    if (path->size == 0) {
        return false;
    }
    const char *begin = path->data;
    const char *dot = memchr(begin, '.', path->size);
    size_t size = dot ? (size_t)(dot - begin) : path->size;
    *ret_word = slice_of(begin, size);
    *path = dot ? slice_of(dot + 1, path->size - size - 1) : slice_of(begin + size, 0);
    return true;
}

bool value_path_valid(slice_t path)
{
    const uint8_t *bytes = path.data;
    size_t words = 1;
    size_t length = 0; /* of the word so far */
    if (path.size > VALUE_PATH_MAX) {
        return false;
    }
    for (size_t i = 0; i < path.size; i++) {
        bool dot = bytes[i] == '.';
        if (dot ? length == 0 : !is_word_byte(bytes[i])) {
            return false;
        }
        words += dot;
        length = dot ? 0 : length + 1;
    }
    return length > 0 && words <= PATH_WORDS_MAX;
}

/* The value of a key in a map whose head `at` is behind. */
static bool find_key(const uint8_t *at, const uint8_t *end, uint32_t count, slice_t word,
                     slice_t *ret_value)
{
    for (; count > 0; count--) {
        slice_t key = {0};
        bool text = walk_str(&at, end, &key) == CAPSTAN_OK;
        if (!text && walk_skip(&at, end)) {
            return false;
        }
        const uint8_t *begin = at;
        if (walk_skip(&at, end)) {
            return false;
        }
        if (text && slice_equal(key, word)) {
            *ret_value = slice_of(begin, (size_t)(at - begin));
            return true;
        }
    }
    return false;
}

/* The element of an array, whose head `at` is behind, that the word's digits name. */
static bool find_place(const uint8_t *at, const uint8_t *end, uint32_t count, slice_t word,
                       slice_t *ret_value)
{
    const uint8_t *digits = word.data;
    uint64_t place = 0;
    for (size_t i = 0; i < word.size; i++) {
        if (digits[i] < '0' || digits[i] > '9' || place >= count) {
            return false;
        }
        place = place * 10 + (uint64_t)(digits[i] - '0');
    }
    const uint8_t *begin = at;
    for (uint64_t i = 0; i <= place; i++) {
        begin = at;
        if (place >= count || walk_skip(&at, end)) {
            return false;
        }
    }
    *ret_value = slice_of(begin, (size_t)(at - begin));
    return true;
}

bool value_find(const value_scope_t *scope, slice_t path, slice_t *ret_value)
{
    slice_t word = {0};
    slice_t value = {0};
    if (!next_word(&path, &word) || !scope->document(scope->context, word, &value) ||
        value.size == 0) {
        return false;
    }
    while (next_word(&path, &word)) {
        uint32_t count = 0;
        const uint8_t *end = end_of(value);
        const uint8_t *at = walk_begin(value);
        bool found = !walk_map(&at, end, &count)     ? find_key(at, end, count, word, &value)
                     : !walk_array(&at, end, &count) ? find_place(at, end, count, word, &value)
                                                     : false;
        if (!found) {
            return false;
        }
    }
    *ret_value = value;
    return true;
}

/* --- templates ------------------------------------------------------------------------------- */

/* Goes through a checked value, piece by piece: heads of containers and values without parts. */
typedef struct pieces {
    const uint8_t *at;
    const uint8_t *end;
    unsigned depth;
    struct {
        uint64_t left; /* pieces still to come, keys among them */
        bool map;
    } levels[VALUE_DEPTH_MAX + 1];
} pieces_t;

typedef struct piece {
    slice_t bytes;
    bool text;       /* it is one, and no key of a map */
    slice_t content; /* of the text */
} piece_t;

static pieces_t pieces_of(slice_t value)
{
    pieces_t self = {.at = walk_begin(value), .end = end_of(value)};
    self.levels[0].left = 1;
    return self;
}

static bool open_level(pieces_t *self, bool map, uint32_t count)
{
    if (self->depth == VALUE_DEPTH_MAX) {
        return false;
    }
    self->depth++;
    self->levels[self->depth].map = map;
    self->levels[self->depth].left = map ? 2 * (uint64_t)count : count;
    return true;
}

/* False at the end, or where the value breaks off. */
static bool next_piece(pieces_t *self, piece_t *ret_piece)
{
    while (self->depth > 0 && self->levels[self->depth].left == 0) {
        self->depth--;
    }
    if (self->levels[self->depth].left == 0) {
        return false;
    }
    bool key = self->levels[self->depth].map && self->levels[self->depth].left % 2 == 0;
    self->levels[self->depth].left--;

    uint32_t count = 0;
    piece_t piece = {0};
    const uint8_t *begin = self->at;
    bool good = true;
    if (!walk_map(&self->at, self->end, &count)) {
        good = open_level(self, true, count);
    } else if (!walk_array(&self->at, self->end, &count)) {
        good = open_level(self, false, count);
    } else if (!walk_str(&self->at, self->end, &piece.content)) {
        piece.text = !key;
    } else {
        good = walk_skip(&self->at, self->end) == CAPSTAN_OK;
    }
    piece.bytes = slice_of(begin, (size_t)(self->at - begin));
    *ret_piece = piece;
    return good;
}

static bool begins_with(slice_t text, const char *prefix)
{
    size_t size = strlen(prefix);
    return text.size >= size && memcmp(text.data, prefix, size) == 0;
}

static slice_t without_first(slice_t text)
{
    return slice_of((const char *)text.data + 1, text.size - 1);
}

static void append_text(buffer_t *out, slice_t text)
{
    uint8_t *begin = buffer_reserve(out, PACK_HEAD_MAX + text.size);
    out->size += (size_t)(pack_str(begin, text) - begin);
}

/* Appends a piece; NOT_FOUND: there is nothing at its path. */
static capstan_err_t fill_piece(const piece_t *piece, const value_scope_t *scope, buffer_t *out,
                                slice_t *ret_path)
{
    slice_t value = piece->bytes;
    if (piece->text && begins_with(piece->content, "$$")) {
        append_text(out, without_first(piece->content));
        return CAPSTAN_OK;
    }
    if (piece->text && begins_with(piece->content, "$")) {
        slice_t path = without_first(piece->content);
        if (!value_find(scope, path, &value)) {
            *ret_path = path;
            return CAPSTAN_E_NOT_FOUND;
        }
    }
    buffer_append(out, value.data, value.size);
    return CAPSTAN_OK;
}

capstan_err_t value_fill(slice_t template, const value_scope_t *scope, buffer_t *out,
                         slice_t *ret_path)
{
    pieces_t pieces = pieces_of(template);
    piece_t piece;
    size_t before = out->size;
    capstan_err_t err = CAPSTAN_OK;
    while (!err && next_piece(&pieces, &piece)) {
        err = fill_piece(&piece, scope, out, ret_path);
        if (!err && out->size - before > VALUE_BYTES_MAX) {
            err = CAPSTAN_E_TOO_LARGE;
        }
    }
    if (!err) { /* what was filled in is as deep as it was, but lies deeper */
        const uint8_t *at = walk_begin(buffer_slice(out)) + before;
        err = walk_skip(&at, end_of(buffer_slice(out)));
    }
    if (err) {
        out->size = before;
    }
    return err;
}

bool value_template_valid(slice_t template, value_known_fn *known, const void *context,
                          slice_t *ret_path)
{
    pieces_t pieces = pieces_of(template);
    piece_t piece;
    while (next_piece(&pieces, &piece)) {
        if (!piece.text || !begins_with(piece.content, "$") || begins_with(piece.content, "$$")) {
            continue;
        }
        slice_t word = {0};
        slice_t path = without_first(piece.content);
        slice_t rest = path;
        if (!value_path_valid(path) || !next_word(&rest, &word) || !known(context, word)) {
            *ret_path = path;
            return false;
        }
    }
    return true;
}

/* --- comparing ------------------------------------------------------------------------------- */

typedef enum order {
    ORDER_LESS,
    ORDER_EQUAL,
    ORDER_GREATER,
    ORDER_NONE, /* they cannot be compared, and are not equal */
} order_t;

/* A number as it is: each integer fits one of the first two. */
typedef struct number {
    enum { NUMBER_WHOLE, NUMBER_NEGATIVE, NUMBER_REAL } kind;
    uint64_t whole;
    int64_t negative;
    double real;
} number_t;

static bool read_real(slice_t value, double *ret_real)
{
    const uint8_t *bytes = value.data;
    if (value.size == 5 && bytes[0] == TYPE_FLOAT32) {
        float narrow;
        uint32_t bits = (uint32_t)bytes[1] << 24 | (uint32_t)bytes[2] << 16 |
                        (uint32_t)bytes[3] << 8 | bytes[4];
        memcpy(&narrow, &bits, sizeof narrow);
        *ret_real = (double)narrow;
        return true;
    }
    if (value.size == 9 && bytes[0] == TYPE_FLOAT64) {
        uint64_t bits = walk_load_u64(bytes + 1);
        memcpy(ret_real, &bits, sizeof bits);
        return true;
    }
    return false;
}

static bool read_number(slice_t value, number_t *ret_number)
{
    number_t number = {.kind = NUMBER_WHOLE};
    const uint8_t *at = walk_begin(value);
    if (!walk_uint(&at, end_of(value), &number.whole)) {
        number.kind = NUMBER_WHOLE;
    } else if (!walk_int(&at, end_of(value), &number.negative)) {
        number.kind = NUMBER_NEGATIVE;
    } else if (read_real(value, &number.real)) {
        number.kind = NUMBER_REAL;
    } else {
        return false;
    }
    *ret_number = number;
    return true;
}

#define ORDER(a, b) ((a) < (b) ? ORDER_LESS : (a) > (b) ? ORDER_GREATER : ORDER_EQUAL)

static order_t reversed(order_t order)
{
    return order == ORDER_LESS ? ORDER_GREATER : order == ORDER_GREATER ? ORDER_LESS : order;
}

/* A double that has as large an integer as its whole part holds that exactly, so that the rest, and
 * the comparisons, are exact too. */
static order_t compare_whole(uint64_t whole, double real)
{
    if (real < 0) {
        return ORDER_GREATER;
    }
    if (real >= 0x1p64) {
        return ORDER_LESS;
    }
    uint64_t cut = (uint64_t)real;
    return whole != cut ? ORDER(whole, cut) : real > (double)cut ? ORDER_LESS : ORDER_EQUAL;
}

static order_t compare_negative(int64_t negative, double real)
{
    if (real >= 0) {
        return ORDER_LESS;
    }
    if (real < -0x1p63) {
        return ORDER_GREATER;
    }
    int64_t cut = (int64_t)real;
    return negative != cut      ? ORDER(negative, cut)
           : real < (double)cut ? ORDER_GREATER
                                : ORDER_EQUAL;
}

static order_t compare_numbers(const number_t *a, const number_t *b)
{
    if ((a->kind == NUMBER_REAL && isnan(a->real)) || (b->kind == NUMBER_REAL && isnan(b->real))) {
        return ORDER_NONE;
    }
    if (a->kind == NUMBER_REAL && b->kind != NUMBER_REAL) {
        return reversed(compare_numbers(b, a));
    }
    if (b->kind == NUMBER_REAL) {
        return a->kind == NUMBER_REAL    ? ORDER(a->real, b->real)
               : a->kind == NUMBER_WHOLE ? compare_whole(a->whole, b->real)
                                         : compare_negative(a->negative, b->real);
    }
    if (a->kind != b->kind) {
        return a->kind == NUMBER_NEGATIVE ? ORDER_LESS : ORDER_GREATER;
    }
    return a->kind == NUMBER_WHOLE ? ORDER(a->whole, b->whole) : ORDER(a->negative, b->negative);
}

static order_t compare_texts(slice_t a, slice_t b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int difference = common > 0 ? memcmp(a.data, b.data, common) : 0;
    return difference != 0 ? ORDER(difference, 0) : ORDER(a.size, b.size);
}

static bool read_text(slice_t value, slice_t *ret_text)
{
    const uint8_t *at = walk_begin(value);
    return walk_str(&at, end_of(value), ret_text) == CAPSTAN_OK;
}

/* Nil, true or false. */
static bool is_word(slice_t value)
{
    const uint8_t *head = value.data;
    return value.size == 1 && (*head == TYPE_NIL || *head == TYPE_FALSE || *head == TYPE_TRUE);
}

static order_t compare(slice_t a, slice_t b)
{
    number_t a_number;
    number_t b_number;
    slice_t a_text = {0};
    slice_t b_text = {0};
    if (read_number(a, &a_number) && read_number(b, &b_number)) {
        return compare_numbers(&a_number, &b_number);
    }
    if (read_text(a, &a_text) && read_text(b, &b_text)) {
        return compare_texts(a_text, b_text);
    }
    return is_word(a) && slice_equal(a, b) ? ORDER_EQUAL : ORDER_NONE;
}

bool value_test(const value_test_t *test, const value_scope_t *scope)
{
    slice_t value = {0};
    if (test->operator== 0) {
        return true;
    }
    bool found = value_find(scope, test->path, &value);
    order_t order = found ? compare(value, test->operand) : ORDER_NONE;
    switch (test->operator) {
    case VALUE_EQUAL:
        return order == ORDER_EQUAL;
    case VALUE_NOT_EQUAL:
        return order != ORDER_EQUAL;
    case VALUE_LESS:
        return order == ORDER_LESS;
    case VALUE_AT_MOST:
        return order == ORDER_LESS || order == ORDER_EQUAL;
    case VALUE_GREATER:
        return order == ORDER_GREATER;
    case VALUE_AT_LEAST:
        return order == ORDER_GREATER || order == ORDER_EQUAL;
    case VALUE_EXISTS:
        return found;
    case VALUE_EXISTS_NOT:
        return !found;
    default:
        return false;
    }
}

/* --- lists and texts ------------------------------------------------------------------------- */

bool value_element(slice_t array, size_t *position, slice_t *ret_element)
{
    uint32_t count = 0;
    const uint8_t *at = walk_begin(array);
    const uint8_t *end = end_of(array);
    if (walk_array(&at, end, &count)) {
        return false;
    }
    if (*position > 0) {
        at = walk_begin(array) + *position;
    }
    const uint8_t *begin = at;
    if (walk_skip(&at, end)) {
        return false;
    }
    *ret_element = slice_of(begin, (size_t)(at - begin));
    *position = (size_t)(at - walk_begin(array));
    return true;
}

uint64_t value_count(slice_t array)
{
    uint32_t count = 0;
    const uint8_t *at = walk_begin(array);
    return walk_array(&at, end_of(array), &count) ? 0 : count;
}

/* Whole numbers are written alike, whatever type they came as: a key is one key. */
static int write_real(double real, char *text, size_t size)
{
    if (real == trunc(real) && fabs(real) < 0x1p63) {
        return snprintf(text, size, "%" PRId64, (int64_t)real);
    }
    int length = 0;
    for (int digits = 15; digits <= 17; digits++) {
        length = snprintf(text, size, "%.*g", digits, real);
        if (strtod(text, NULL) == real) {
            break;
        }
    }
    return length;
}

static slice_t number_text(const number_t *number, char *text, size_t size)
{
    int length = 0;
    if (number->kind == NUMBER_WHOLE) {
        length = snprintf(text, size, "%" PRIu64, number->whole);
    } else if (number->kind == NUMBER_NEGATIVE) {
        length = snprintf(text, size, "%" PRId64, number->negative);
    } else if (isfinite(number->real)) {
        length = write_real(number->real, text, size);
    }
    return slice_of(text, (size_t)length);
}

bool value_text(slice_t value, char *ret_text, size_t size, size_t *ret_size)
{
    char digits[NUMBER_TEXT_MAX];
    number_t number;
    slice_t text = {0};
    if (!read_text(value, &text)) {
        if (read_number(value, &number)) {
            text = number_text(&number, digits, sizeof digits);
        } else if (is_word(value) && *(const uint8_t *)value.data != TYPE_NIL) {
            text = slice_text(*(const uint8_t *)value.data == TYPE_TRUE ? "true" : "false");
        }
        if (text.size == 0) {
            return false;
        }
    }
    if (text.size > size) {
        return false;
    }
    if (text.size > 0) {
        memcpy(ret_text, text.data, text.size);
    }
    *ret_size = text.size;
    return true;
}
