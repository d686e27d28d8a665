/* Prints the protocol from the tables: for people, for programs, and for schema.lock. */
#ifndef WIRE_SCHEMA_H
#define WIRE_SCHEMA_H

#include "runtime/wire/codec.h"

typedef enum schema_format {
    SCHEMA_MARKDOWN, /* docs/protocol.md */
    SCHEMA_JSON,     /* all that a peer in another language needs; the body of `description` */
    SCHEMA_LOCK,     /* one line per row, without prose: a changed line is a changed protocol */
} schema_format_t;

enum {
    SCHEMA_PEER_MESSAGE_MAX = 0x5f, /* messages above this number stay inside the node */
};

/* Appends the description of `tables` to `out`. The same tables give the same bytes. */
void schema_print(const wire_table_t *const *tables, size_t count, schema_format_t format,
                  buffer_t *out);

#endif
