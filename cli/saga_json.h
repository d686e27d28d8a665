/* Records of sagas as JSON, by their tables: a member per field, under its name. Numbers of states,
 * kinds and errors are words, values are JSON, records within are objects. What is absent is left
 * out, but for what is true or false. */
#ifndef CLI_SAGA_JSON_H
#define CLI_SAGA_JSON_H

#include "runtime/base/json_writer.h"
#include "runtime/wire/codec.h"

/* One object; null for bytes that are no such record. */
void saga_json_record(json_writer_t *json, const wire_record_t *record, slice_t bytes);
/* Its members only, of a struct that was decoded, for an object that has others too. */
void saga_json_members(json_writer_t *json, const wire_record_t *record, const void *value);
/* Prints what was written, and a line break. */
void saga_json_print(buffer_t *out);

#endif
