/* Values of sagas as people write them: JSON to msgpack, and back.
 *
 * JSON in: integers are exact from -2^63 to 2^63-1, and refused beyond, where a double would change
 * them; the shortest msgpack form is written, so that the same text is always the same bytes. At
 * most VALUE_DEPTH_MAX levels, VALUE_BYTES_MAX bytes of msgpack, no key twice.
 * JSON out: all integers exact, binary values as base64, keys that are no text as the text of their
 * value. */
#ifndef CLI_SAGA_VALUE_H
#define CLI_SAGA_VALUE_H

#include "runtime/base/buffer.h"
#include "runtime/base/json_writer.h"

#include <jansson.h>
#include <stdbool.h>

/* Appends the value of the text. False: `ret_text` says where ("line 2, column 7: ") and what;
 * nothing was appended. */
bool saga_value_from_json(slice_t json, buffer_t *out, char *ret_text, size_t text_size);
/* The same of one that jansson has read; it is not deeper than VALUE_DEPTH_MAX. */
bool saga_value_from_read(const json_t *json, buffer_t *out, char *ret_text, size_t text_size);

/* As one writes it on the command line: JSON itself, @FILE, or - for standard input. */
bool saga_value_from_argument(const char *argument, buffer_t *out, char *ret_text,
                              size_t text_size);

/* Reads text with at most VALUE_DEPTH_MAX levels, the outermost `levels_more` not counted. NULL:
 * `ret_text` says where and what. */
json_t *saga_json_read(slice_t json, size_t levels_more, char *ret_text, size_t text_size);

/* Writes a value; what is no good one as base64. */
void saga_value_emit(json_writer_t *json, slice_t value);

/* Reads a whole file, - is standard input, of at most `bytes_max`. False: `ret_text` says why. */
bool saga_file_read(const char *path, size_t bytes_max, buffer_t *out, char *ret_text,
                    size_t text_size);

#endif
