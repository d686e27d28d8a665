/* What the printers of the schema share. Internal to runtime/wire. */
#ifndef WIRE_SCHEMA_PRINT_H
#define WIRE_SCHEMA_PRINT_H

#include "runtime/wire/schema.h"

typedef struct schema_row {
    const char *concern;
    const wire_record_t *record;
} schema_row_t;

/* All rows of all tables, in their order. */
typedef struct schema {
    schema_row_t *rows;
    size_t count;
} schema_t;

extern const char *const schema_kinds[]; /* by capstan_kind_t */
extern const char *const schema_types[]; /* by capstan_type_t */

void schema_put(buffer_t *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A message of peers, or a record that is part of one. */
bool schema_is_for_peers(const schema_t *schema, const schema_row_t *row);
/* Of peers' messages: "peer", "node" or "either"; "" of everything else. */
const char *schema_sender(const wire_record_t *record);
/* Who grants the credit that the message needs: "node", "peer", or "" when it needs none. */
const char *schema_credited(const wire_record_t *record);

void schema_print_markdown(const schema_t *schema, buffer_t *out);
void schema_print_cddl(const schema_t *schema, buffer_t *out);
void schema_print_json(const schema_t *schema, buffer_t *out);

#endif
