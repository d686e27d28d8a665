/* Turns the rows of a CSV file with a header into rows for the node, and says what is wrong with
 * those that are bad. The payload is a msgpack map of all fields, as their original text, in the
 * input's order. Used by one thread. */
#ifndef CLI_FEED_INPUT_H
#define CLI_FEED_INPUT_H

#include "cli/feed_row.h"

enum {
    FEED_KEY_BYTES_MAX = 1024,
    FEED_TEXT_MAX = 4096, /* room for any message */
};

typedef struct feed_input_options {
    int fd;
    const char *file;       /* its name in messages */
    const char *key;        /* names of columns */
    const char *sequence;   /* NULL: none */
    const char *time;       /* NULL: none */
    const char *not_before; /* NULL: none */
} feed_input_options_t;

typedef enum feed_input_result {
    FEED_INPUT_ROW,
    FEED_INPUT_BAD,
    FEED_INPUT_WAIT,
    FEED_INPUT_END,
    FEED_INPUT_FAILED,
} feed_input_result_t;

/* A bad row: where it begins, its key and sequence as far as they are known, and what is wrong. */
typedef struct feed_bad {
    uint64_t line;
    slice_t key;
    slice_t sequence;
    char text[FEED_TEXT_MAX]; /* `field 'x': what` */
} feed_bad_t;

typedef struct feed_input feed_input_t;

feed_input_t *feed_input_new(const feed_input_options_t *options);
void feed_input_destroy(feed_input_t **self_p);

/* Reads the header: ROW when it has the columns wanted, WAIT when a signal came, else FAILED with
 * file, line and what is wrong in `ret_text` (of FEED_TEXT_MAX bytes). */
feed_input_result_t feed_input_open(feed_input_t *self, char *ret_text);

/* Waits at most `wait_ms` for input. ROW: the caller owns *ret_row. BAD: *ret_bad is filled and its
 * slices are valid until the next call. FAILED: the text says why. */
feed_input_result_t feed_input_next(feed_input_t *self, int wait_ms, feed_row_t **ret_row,
                                    feed_bad_t *ret_bad);

#endif
