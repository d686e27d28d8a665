/* Prints the protocol from the tables: for people, for programs, and for schema.lock. */
#ifndef WIRE_SCHEMA_H
#define WIRE_SCHEMA_H

#include "runtime/wire/codec.h"

#include <capstan/node.h>

/* The public formats, and one for the house. */
typedef enum schema_format {
    SCHEMA_MARKDOWN = CAPSTAN_SCHEMA_MARKDOWN,
    SCHEMA_JSON = CAPSTAN_SCHEMA_JSON,
    SCHEMA_CDDL = CAPSTAN_SCHEMA_CDDL,
    SCHEMA_LOCK = CAPSTAN_SCHEMA_COUNT, /* a line per row, without prose: what may not change */
    SCHEMA_FORMAT_COUNT
} schema_format_t;

/* The format of that name: "json" (also the empty slice), "markdown", "cddl" or "lock". */
bool schema_format_find(slice_t name, schema_format_t *ret_format);

/* Ranges of message numbers that stay inside the node; all others are for peers. */
enum {
    SCHEMA_GATEWAY_INTERNAL_FIRST = 0x30,
    SCHEMA_GATEWAY_INTERNAL_LAST = 0x3f,
    SCHEMA_TOPICS_INTERNAL_FIRST = 0x60,
    SCHEMA_TOPICS_INTERNAL_LAST = 0x63,
    SCHEMA_INTERNAL_FIRST = 0x66,
    SCHEMA_INTERNAL_LAST = WIRE_REFERENCE_ID_MIN - 1,
    SCHEMA_SAGA_INTERNAL_FIRST = 0x130,
    SCHEMA_SAGA_INTERNAL_LAST = 0x13f,
};

/* Appends the description of `tables` to `out`. The same tables give the same bytes. */
void schema_print(const wire_table_t *const *tables, size_t count, schema_format_t format,
                  buffer_t *out);

#endif
