/* The record of an event, as a program sees it. Internal to ordering/. */
#ifndef ORDERING_EVENT_VIEW_H
#define ORDERING_EVENT_VIEW_H

#include "actors/ordering/ordering_messages.h"

#include <capstan/topic.h>

/* The headers of one event or of several: a list that grows, and so moves, while they are read. */
typedef struct event_headers {
    capstan_header_t *list;
    size_t count;
    size_t capacity;
} event_headers_t;

/* Reads a record. The headers are appended; where they lie says event_headers_place, when all
 * events have been read. Slices point into the record. */
CAPSTAN_MUST_CHECK capstan_err_t event_view(slice_t record, event_headers_t *headers,
                                            event_t *ret_record, capstan_event_t *ret_event);
/* `first` is where the headers of this event begin; returns where those of the next one do. */
size_t event_headers_place(const event_headers_t *headers, size_t first, capstan_event_t *event);
void event_headers_fini(event_headers_t *self);

#endif
