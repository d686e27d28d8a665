/* Prints events as CSV or as JSON lines into a buffer. Used by one thread. */
#ifndef CLI_TAIL_PRINT_H
#define CLI_TAIL_PRINT_H

#include "actors/ordering/ordering_messages.h"

typedef enum tail_format {
    TAIL_CSV,
    TAIL_JSON,
} tail_format_t;

typedef struct tail_printer tail_printer_t;

tail_printer_t *tail_printer_new(tail_format_t format, const char *topic);
void tail_printer_destroy(tail_printer_t **self_p);

/* Appends one event. csv: the first event's fields become the header line, and each later event
 * must have the same fields in the same order. Returns NULL, or why csv cannot show this event;
 * nothing was appended then. */
const char *tail_print(tail_printer_t *self, uint64_t partition, const event_t *event,
                       buffer_t *out);

#endif
