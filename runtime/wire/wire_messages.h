/* The link header, the envelope and the failure reply; see wire_messages.def for their fields. */
#ifndef WIRE_WIRE_MESSAGES_H
#define WIRE_WIRE_MESSAGES_H

#include "runtime/wire/codec.h"

#define CAPSTAN_TABLE "runtime/wire/wire_messages.def"
#include <capstan/message_structs.h>

extern const wire_table_t wire_table;

/* There is an outcome for each event where the keys of neighbours lie in different partitions:
 * compiled instead of walked, see inline_codec.h. */
void outcome_add(codec_list_writer_t *list, const outcome_t *outcome);
bool outcome_next(codec_list_t *iterator, outcome_t *ret_outcome);

#endif
