#include "actors/saga/definition_words.h"

#include "actors/saga/plan.h"
#include "runtime/wire/pack.h"

#include <math.h>
#include <stdlib.h>

enum { NUMBER_BYTES_MAX = 64 };

static bool is_digit(char letter)
{
    return letter >= '0' && letter <= '9';
}

static slice_t rest_of(slice_t text, size_t size)
{
    return slice_of((const char *)text.data + size, text.size - size);
}

static bool is_one_of(slice_t text, const char *const *words)
{
    while (*words && !slice_equal(text, slice_text(*words))) {
        words++;
    }
    return *words != NULL;
}

/* --- figures --------------------------------------------------------------------------------- */

/* Takes digits of a base, one at least. */
static bool take_digits(slice_t *text, uint64_t base, uint64_t *ret_number)
{
    uint64_t number = 0;
    const char *at = text->data;
    size_t size = 0;
    for (; size < text->size; size++) {
        char letter = at[size];
        uint64_t digit = is_digit(letter)                 ? (uint64_t)(letter - '0')
                         : letter >= 'a' && letter <= 'f' ? (uint64_t)(letter - 'a' + 10)
                         : letter >= 'A' && letter <= 'F' ? (uint64_t)(letter - 'A' + 10)
                                                          : base;
        if (digit >= base) {
            break;
        }
        if (number > (UINT64_MAX - digit) / base) {
            return false;
        }
        number = number * base + digit;
    }
    *text = rest_of(*text, size);
    *ret_number = number;
    return size > 0;
}

bool words_number(slice_t text, uint64_t *ret_number)
{
    return take_digits(&text, 10, ret_number) && text.size == 0;
}

bool words_duration(slice_t text, uint64_t *ret_ms)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    uint64_t number = 0;
    if (!take_digits(&text, 10, &number)) {
        return false;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (slice_equal(text, slice_text(units[i].unit)) && number <= UINT64_MAX / units[i].ms) {
            *ret_ms = number * units[i].ms;
            return true;
        }
    }
    return false;
}

bool words_percent(slice_t text, uint64_t *ret_percent)
{
    return take_digits(&text, 10, ret_percent) && slice_equal(text, slice_text("%"));
}

bool words_factor(slice_t text, uint64_t *ret_percent)
{
    uint64_t whole = 0;
    uint64_t hundredths = 0;
    if (!take_digits(&text, 10, &whole) || whole > 1000000) {
        return false;
    }
    if (text.size > 1 && *(const char *)text.data == '.') {
        size_t size = text.size - 1;
        text = rest_of(text, 1);
        if (size > 2 || !take_digits(&text, 10, &hundredths)) {
            return false;
        }
        hundredths *= size == 1 ? 10 : 1;
    }
    *ret_percent = whole * 100 + hundredths;
    return text.size == 0;
}

/* --- typed scalars --------------------------------------------------------------------------- */

static void append_byte(buffer_t *out, uint8_t byte)
{
    buffer_append(out, &byte, 1);
}

static void append_uint(buffer_t *out, uint64_t number)
{
    uint8_t *at = buffer_reserve(out, PACK_UINT_MAX);
    out->size += (size_t)(pack_uint(at, number) - at);
}

static void append_int(buffer_t *out, int64_t number)
{
    uint8_t *at = buffer_reserve(out, PACK_UINT_MAX);
    out->size += (size_t)(pack_int(at, number) - at);
}

static void append_real(buffer_t *out, double real)
{
    uint64_t bits;
    memcpy(&bits, &real, sizeof bits);
    uint8_t *at = buffer_reserve(out, PACK_UINT_MAX);
    *at = 0xcb;
    out->size += (size_t)(pack_u64(at + 1, bits) - at);
}

void words_text(slice_t text, buffer_t *out)
{
    uint8_t *at = buffer_reserve(out, PACK_HEAD_MAX + text.size);
    out->size += (size_t)(pack_str(at, text) - at);
}

static bool take_sign(slice_t *text, bool *ret_negative)
{
    char sign = text->size > 0 ? *(const char *)text->data : '\0';
    bool there = sign == '-' || sign == '+';
    *ret_negative = sign == '-';
    *text = there ? rest_of(*text, 1) : *text;
    return there;
}

static size_t count_digits(slice_t text)
{
    const char *at = text.data;
    size_t size = 0;
    while (size < text.size && is_digit(at[size])) {
        size++;
    }
    return size;
}

typedef enum number_form {
    FORM_NONE,
    FORM_WHOLE,
    FORM_REAL,
} number_form_t;

/* [-+]? ( . digits | digits ( . digits? )? ) ( [eE] [-+]? digits )? */
static number_form_t number_form(slice_t text)
{
    bool negative;
    (void)take_sign(&text, &negative);
    size_t whole = count_digits(text);
    text = rest_of(text, whole);
    if (text.size == 0) {
        return whole > 0 ? FORM_WHOLE : FORM_NONE;
    }
    size_t part = 0;
    if (*(const char *)text.data == '.') {
        part = count_digits(rest_of(text, 1));
        text = rest_of(text, 1 + part);
    }
    if (whole + part == 0) {
        return FORM_NONE;
    }
    if (text.size > 0 && (*(const char *)text.data == 'e' || *(const char *)text.data == 'E')) {
        text = rest_of(text, 1);
        (void)take_sign(&text, &negative);
        size_t power = count_digits(text);
        text = power > 0 ? rest_of(text, power) : text;
        return power > 0 && text.size == 0 ? FORM_REAL : FORM_NONE;
    }
    return text.size == 0 ? FORM_REAL : FORM_NONE;
}

static bool append_whole(slice_t text, uint64_t base, buffer_t *out)
{
    bool negative;
    uint64_t number = 0;
    (void)take_sign(&text, &negative);
    if (!take_digits(&text, base, &number) || (negative && number > (uint64_t)INT64_MAX + 1)) {
        return false;
    }
    if (negative) {
        append_int(out, number > INT64_MAX ? INT64_MIN : -(int64_t)number);
    } else {
        append_uint(out, number);
    }
    return true;
}

static bool append_number(slice_t text, buffer_t *out)
{
    char digits[NUMBER_BYTES_MAX + 1];
    if (text.size > NUMBER_BYTES_MAX) {
        return false;
    }
    memcpy(digits, text.data, text.size);
    digits[text.size] = '\0';
    double real = strtod(digits, NULL);
    if (!isfinite(real)) {
        return false;
    }
    append_real(out, real);
    return true;
}

/* 0x and 0o, with digits and nothing else behind it; 0: it is no such number. */
static uint64_t prefix_base(slice_t text)
{
    uint64_t number = 0;
    bool hex = text.size > 2 && memcmp(text.data, "0x", 2) == 0;
    bool octal = text.size > 2 && memcmp(text.data, "0o", 2) == 0;
    const char *at = text.data;
    for (size_t i = 2; (hex || octal) && i < text.size; i++) {
        slice_t one = slice_of(at + i, 1);
        if (!take_digits(&one, hex ? 16 : 8, &number)) {
            return 0;
        }
    }
    return hex ? 16 : octal ? 8 : 0;
}

bool words_scalar(slice_t text, buffer_t *out)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    static const char *const infinites[] = {".inf",  ".Inf",  ".INF", "+.inf",
                                            "+.Inf", "+.INF", NULL};
    static const char *const minus[] = {"-.inf", "-.Inf", "-.INF", NULL};
    static const char *const nans[] = {".nan", ".NaN", ".NAN", NULL};
    number_form_t form = number_form(text);
    uint64_t base = prefix_base(text);
    if (form == FORM_WHOLE) {
        return append_whole(text, 10, out);
    }
    if (base > 0) {
        return append_whole(rest_of(text, 2), base, out);
    }
    if (form == FORM_REAL) {
        return append_number(text, out);
    }
    if (is_one_of(text, nulls)) {
        append_byte(out, 0xc0);
    } else if (is_one_of(text, trues)) {
        append_byte(out, 0xc3);
    } else if (is_one_of(text, falses)) {
        append_byte(out, 0xc2);
    } else if (is_one_of(text, infinites)) {
        append_real(out, (double)INFINITY);
    } else if (is_one_of(text, minus)) {
        append_real(out, -(double)INFINITY);
    } else if (is_one_of(text, nans)) {
        append_real(out, (double)NAN);
    } else {
        words_text(text, out);
    }
    return true;
}

/* --- tests ----------------------------------------------------------------------------------- */

static const char test_form[] = "write PATH OPERATOR VALUE with == != < <= > >=, PATH exists, or "
                                "PATH missing";

static void skip_blanks(slice_t *text)
{
    while (text->size > 0 &&
           (*(const char *)text->data == ' ' || *(const char *)text->data == '\t')) {
        *text = rest_of(*text, 1);
    }
}

/* Takes letters up to a blank or an operator. */
static slice_t take_word(slice_t *text)
{
    const char *at = text->data;
    size_t size = 0;
    while (size < text->size && at[size] != '\0' && !strchr(" \t=!<>\"'", at[size])) {
        size++;
    }
    *text = rest_of(*text, size);
    return slice_of(at, size);
}

static value_operator_t take_operator(slice_t *text)
{
    static const struct {
        const char *sign; /* the longer ones first */
        value_operator_t operator;
    } signs[] = {
        {"==", VALUE_EQUAL},    {"!=", VALUE_NOT_EQUAL}, {"<=", VALUE_AT_MOST},
        {">=", VALUE_AT_LEAST}, {"<", VALUE_LESS},       {">", VALUE_GREATER},
    };
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        size_t size = strlen(signs[i].sign);
        if (text->size >= size && memcmp(text->data, signs[i].sign, size) == 0) {
            *text = rest_of(*text, size);
            return signs[i].operator;
        }
    }
    return (value_operator_t)0;
}

/* A text in quotes, in which the other quote may stand, or a word; nothing behind it. */
static const char *take_value(slice_t text, buffer_t *out)
{
    const char *begin = text.data;
    if (text.size == 0) {
        return test_form;
    }
    if (*begin == '"' || *begin == '\'') {
        const char *end = memchr(begin + 1, *begin, text.size - 1);
        if (!end) {
            return "the quote is not closed";
        }
        slice_t content = slice_of(begin + 1, (size_t)(end - begin - 1));
        text = rest_of(text, content.size + 2);
        skip_blanks(&text);
        words_text(content, out);
        return text.size == 0 ? NULL : "something stands behind the quoted text: leave it out";
    }
    slice_t word = take_word(&text);
    skip_blanks(&text);
    if (word.size == 0 || text.size > 0) {
        return "the value is more than one word: put it in quotes";
    }
    return words_scalar(word, out) ? NULL : "a number that is too large: put it in quotes";
}

const char *words_test(slice_t text, buffer_t *out)
{
    buffer_t operand = {0};
    saga_test_t test = {0};
    skip_blanks(&text);
    test.path = take_word(&text);
    skip_blanks(&text);
    if (!value_path_valid(test.path)) {
        return test_form;
    }
    const char *wrong = NULL;
    test.operator= take_operator(&text);
    if (test.operator> 0) {
        skip_blanks(&text);
        wrong = take_value(text, &operand);
    } else {
        slice_t word = take_word(&text);
        skip_blanks(&text);
        test.operator= slice_equal(word, slice_text("exists")) ? VALUE_EXISTS
        : slice_equal(word, slice_text("missing"))             ? VALUE_EXISTS_NOT
                                                               : 0;
        wrong = test.operator> 0 && text.size == 0 ? NULL : test_form;
    }
    if (!wrong) {
        test.operand = buffer_slice(&operand);
        codec_encode(saga_test_wire(), &test, out);
    }
    buffer_fini(&operand);
    return wrong;
}
