/* Reads CSV (RFC 4180) as a stream: rows of slices, with the line each row begins on.
 *
 * Memory is bounded whatever comes in: a field or row over its limit is thrown away while it is
 * read, and the row is handed out with a fault, as are rows with broken quotes. Rows end at LF or
 * CRLF; blank lines are skipped; a quote inside an unquoted field is an ordinary character.
 * A byte order mark of UTF-8 at the beginning is skipped. Used by one thread. */
#ifndef CLI_CSV_READER_H
#define CLI_CSV_READER_H

#include "runtime/base/slice.h"

#include <stdint.h>

enum {
    CSV_FIELD_BYTES_MAX = 1 << 20, /* as the largest event */
    CSV_ROW_BYTES_MAX = 2 << 20,
    CSV_FIELDS_MAX = 4096,
};

typedef enum csv_result {
    CSV_ROW,
    CSV_END,
    CSV_WAIT,   /* nothing came within the time given, or a signal did */
    CSV_BROKEN, /* reading failed; errno says why */
} csv_result_t;

typedef struct csv_row {
    uint64_t line; /* from 1 */
    const slice_t *fields;
    size_t count;       /* of fields in the input; those from CSV_FIELDS_MAX on are not kept */
    const char *fault;  /* NULL, or what is wrong with the text; the fields are then incomplete */
    size_t fault_field; /* the field in which the fault is, from 0 */
} csv_row_t;

typedef struct csv_reader csv_reader_t;

/* Reads from `fd`, which stays the caller's. */
csv_reader_t *csv_reader_new(int fd);
void csv_reader_destroy(csv_reader_t **self_p);

/* Waits at most `wait_ms` for input. The row is valid until the next call. */
csv_result_t csv_reader_next(csv_reader_t *self, int wait_ms, csv_row_t *ret_row);

/* The input's first bytes, at most 4: enough to recognise what is no text. Empty before the first
 * row was asked for, and for an empty input. */
slice_t csv_reader_magic(const csv_reader_t *self);

#endif
