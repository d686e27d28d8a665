/* All message and record tables of this program, in the order in which they are documented. */
#ifndef NODE_TABLES_H
#define NODE_TABLES_H

#include "runtime/wire/codec.h"

const wire_table_t *const *node_tables(size_t *ret_count);

#endif
