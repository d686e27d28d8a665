/* What the payloads of a topic must be like: a JSON Schema, read once into a table that does not
 * change, and payloads checked against it where they lie. Pure; a check allocates nothing.
 *
 * Of JSON Schema (draft 2020-12) it has what tells one value from another by itself:
 *
 *   type (one, or a list), enum, const (of texts, numbers, booleans and null)
 *   minimum, maximum, exclusiveMinimum, exclusiveMaximum
 *   minLength, maxLength (in code points), minItems, maxItems, items (one schema)
 *   properties, required, additionalProperties (true or false)
 *   a schema that is `true` or `false`
 *
 * and $schema, $id, $comment, title, description, default and examples, which say nothing about
 * values. Every other keyword is refused, since a schema that is only half obeyed lets pass what
 * its author thinks it stops. Schemas are nested at most 32 deep, payloads 64. */
#ifndef ORDERING_PAYLOAD_SCHEMA_H
#define ORDERING_PAYLOAD_SCHEMA_H

#include "runtime/base/slice.h"

#include <capstan/error.h>

enum {
    PAYLOAD_FAULT_BYTES = 160,
    PAYLOAD_SCHEMAS_MAX = 2048, /* within one, itself and those below it */
    PAYLOAD_ENUM_MAX = 256,     /* which are looked at one by one */
    PAYLOAD_NAMES_MAX = 1024,   /* of members that one object is asked for */
    PAYLOAD_NAME_BYTES_MAX = 256,
};

/* What is wrong, and where: a JSON pointer (RFC 6901), or a line of what is no JSON. */
typedef struct payload_fault {
    char where[PAYLOAD_FAULT_BYTES];
    char what[PAYLOAD_FAULT_BYTES];
} payload_fault_t;

typedef struct payload_schema payload_schema_t;

/* SCHEMA_INVALID. */
CAPSTAN_MUST_CHECK capstan_err_t payload_schema_parse(slice_t text, payload_schema_t **ret_schema,
                                                      payload_fault_t *ret_fault);
void payload_schema_destroy(payload_schema_t **self_p);

/* PAYLOAD_INVALID; also when the content type is neither JSON (application/json, ...+json) nor
 * MessagePack (application/msgpack, ...+msgpack). */
CAPSTAN_MUST_CHECK capstan_err_t payload_schema_check(const payload_schema_t *self,
                                                      slice_t content_type, slice_t payload,
                                                      payload_fault_t *ret_fault);

#endif
