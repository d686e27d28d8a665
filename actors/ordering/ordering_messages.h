/* The messages and records of ordered events; see ordering_messages.def for their fields. */
#ifndef ORDERING_MESSAGES_H
#define ORDERING_MESSAGES_H

#include "runtime/wire/codec.h"

#define CAPSTAN_TABLE "actors/ordering/ordering_messages.def"
#include <capstan/message_structs.h>

extern const wire_table_t ordering_table;

/* What is written and read for each event does what the codec does, compiled instead of walked: see
 * inline_codec.h. */
void event_encode(const event_t *event, buffer_t *out);
CAPSTAN_MUST_CHECK capstan_err_t event_decode(slice_t record, event_t *ret_event);
bool event_next(codec_list_t *iterator, event_t *ret_event);
/* Offset and key alone; false when it has no offset, or is no event. */
bool event_place(slice_t record, uint64_t *ret_offset, slice_t *ret_key);
void publish_encode(const publish_t *publish, buffer_t *out);
CAPSTAN_MUST_CHECK capstan_err_t publish_decode(slice_t body, publish_t *ret_publish);
/* What picks the way of a publish, without reading the rest; false when that cannot be found. */
bool publish_way(slice_t body, slice_t *ret_topic, slice_t *ret_key);

/* The rows of a `publishes`. `sequence` is what a publish's outcome will name; `body` is copied. */
void publishes_add(buffer_t *rows, uint64_t sequence, slice_t body);
/* Takes the first one off; false at the end. The body points into `rows`. */
bool publishes_next(slice_t *rows, uint64_t *ret_sequence, slice_t *ret_body);

#endif
