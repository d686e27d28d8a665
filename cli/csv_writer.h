/* Writes CSV (RFC 4180): a field is quoted only where it must be. */
#ifndef CLI_CSV_WRITER_H
#define CLI_CSV_WRITER_H

#include "runtime/base/buffer.h"

/* Appends one field, without a separator. An only field that is empty would read as a blank line:
 * the caller says so with `alone`. */
void csv_write_field(slice_t field, bool alone, buffer_t *out);

static inline void csv_write_byte(char byte, buffer_t *out)
{
    buffer_append(out, &byte, 1);
}

#endif
