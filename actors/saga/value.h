/* Values: the inputs and results of sagas are msgpack documents, and these are the ways in which a
 * definition refers to them. Pure; nothing here allocates but the buffer it appends to.
 *
 * A path is words with dots between: `input.order.lines.0.price`. Its first word picks a document
 * (whoever asks knows which there are), each further one a key of a map (a text) or the place in an
 * array (digits). */
#ifndef SAGA_VALUE_H
#define SAGA_VALUE_H

#include "runtime/base/buffer.h"
#include "runtime/base/slice.h"

#include <capstan/error.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    VALUE_BYTES_MAX = 256 * 1024, /* of one document */
    VALUE_DEPTH_MAX = 16,
    VALUE_PATH_MAX = 256, /* bytes of a path */
};

/* Whether the bytes are one msgpack value, complete, not too large or deep, and without extension
 * types. Errors: TOO_LARGE, TOO_DEEP, MALFORMED, NOT_UTF8 (a text). */
CAPSTAN_MUST_CHECK capstan_err_t value_check(slice_t value);
/* The same, and a map. FIELD_TYPE: another type. */
CAPSTAN_MUST_CHECK capstan_err_t value_check_map(slice_t value);

/* The document that a path's first word names; false: there is none. */
typedef bool value_document_fn(const void *context, slice_t word, slice_t *ret_document);

typedef struct value_scope {
    value_document_fn *document;
    const void *context;
} value_scope_t;

/* Whether the path is well formed: words of letters, digits and _ - , 1 to 16 of them. */
bool value_path_valid(slice_t path);
/* The value at the path, as bytes of its document; false: there is nothing there. */
bool value_find(const value_scope_t *scope, slice_t path, slice_t *ret_value);

/* Appends `template`, a checked value, with every text that begins with `$` replaced by the value
 * of the path behind it; `$$` stands for a `$`. In keys of maps nothing is replaced.
 * Errors: NOT_FOUND (`ret_path` says where nothing is), TOO_LARGE, TOO_DEEP; then nothing was
 * appended. */
CAPSTAN_MUST_CHECK capstan_err_t value_fill(slice_t template, const value_scope_t *scope,
                                            buffer_t *out, slice_t *ret_path);
/* Whether all paths in a template are well formed and begin with a word for which `known` says
 * true; the first that does not otherwise. */
typedef bool value_known_fn(const void *context, slice_t word);
bool value_template_valid(slice_t template, value_known_fn *known, const void *context,
                          slice_t *ret_path);

typedef enum value_operator {
    VALUE_EQUAL = 1,
    VALUE_NOT_EQUAL = 2,
    VALUE_LESS = 3,
    VALUE_AT_MOST = 4,
    VALUE_GREATER = 5,
    VALUE_AT_LEAST = 6,
    VALUE_EXISTS = 7,
    VALUE_EXISTS_NOT = 8,
} value_operator_t;

typedef struct value_test {
    slice_t path;
    value_operator_t operator; /* 0: there is no test, and it holds */
    slice_t operand;           /* a number, a text, a boolean or nil */
} value_test_t;

/* Numbers are compared as numbers, whatever their widths, texts byte by byte; values of different
 * types are not equal, and neither less nor greater. A path with nothing there holds only for
 * EXISTS_NOT and NOT_EQUAL. */
bool value_test(const value_test_t *test, const value_scope_t *scope);

/* The elements of an array; false at the end. `*position` is 0 at first. Not an array: none. */
bool value_element(slice_t array, size_t *position, slice_t *ret_element);
uint64_t value_count(slice_t array);

/* The value as the text by which a business key or an attribute is known: a text as it is, a number
 * or boolean as people write it. False: another type, or longer than `size`. */
bool value_text(slice_t value, char *ret_text, size_t size, size_t *ret_size);

#endif
