/* The messages of the journal; see journal_messages.def for their fields. */
#ifndef JOURNAL_MESSAGES_H
#define JOURNAL_MESSAGES_H

#include "runtime/wire/codec.h"

#define CAPSTAN_TABLE "actors/journal/journal_messages.def"
#include <capstan/message_structs.h>

extern const wire_table_t journal_table;

#endif
