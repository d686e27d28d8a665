/* The messages of the journal; see journal_messages.def for their fields. */
#ifndef JOURNAL_MESSAGES_H
#define JOURNAL_MESSAGES_H

#include "runtime/wire/codec.h"

#define CAPSTAN_TABLE "actors/journal/journal_messages.def"
#include <capstan/message_structs.h>

extern const wire_table_t journal_table;

/* Each event is wrapped in one: compiled instead of walked, see inline_codec.h. */
void journal_record_add(codec_list_writer_t *list, const journal_record_t *record);

#endif
