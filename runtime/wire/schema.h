/* Prints the protocol from the tables: for people, for programs, and for schema.lock. */
#ifndef WIRE_SCHEMA_H
#define WIRE_SCHEMA_H

#include "runtime/wire/codec.h"

typedef enum schema_format {
    SCHEMA_MARKDOWN, /* docs/protocol.md */
    SCHEMA_JSON,     /* all that a peer in another language needs; the body of `description` */
    SCHEMA_LOCK,     /* one line per row, without prose: a changed line is a changed protocol */
} schema_format_t;

/* Ranges of message numbers that stay inside the node; all others are for peers. */
enum {
    SCHEMA_GATEWAY_INTERNAL_FIRST = 0x30,
    SCHEMA_GATEWAY_INTERNAL_LAST = 0x3f,
    SCHEMA_INTERNAL_FIRST = 0x60,
};

/* Appends the description of `tables` to `out`. The same tables give the same bytes. */
void schema_print(const wire_table_t *const *tables, size_t count, schema_format_t format,
                  buffer_t *out);

#endif
