/* A table for people: cells are gathered row by row, the first row is the heading, and columns are
 * made as wide as their widest cell. Columns of numbers stand to the right.
 *
 * Cells may hold a stranger's bytes: what could steer the terminal is escaped. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "runtime/base/buffer.h"

#include <stdio.h>

typedef struct table {
    size_t columns;
    size_t cells;
    buffer_t text; /* the cells, each with its terminating zero */
} table_t;

void table_cell(table_t *self, slice_t text);
void table_number(table_t *self, uint64_t number);
/* UTC, of microseconds since 1970. */
void table_date(table_t *self, int64_t us);
/* Prints `indent` blanks before each row. The last row must be complete. */
void table_print(const table_t *self, int indent, FILE *out);
void table_fini(table_t *self);

#endif
