/* All message and record tables: those of this program, in the order in which they are documented,
 * and behind them what users registered with a node. */
#ifndef NODE_TABLES_H
#define NODE_TABLES_H

#include "runtime/wire/schema.h"

/* Those of this program. */
const wire_table_t *const *node_tables(size_t *ret_count);
/* Appends the description of all. Any thread. */
void node_schema(capstan_node_t *node, schema_format_t format, buffer_t *out);

#endif
