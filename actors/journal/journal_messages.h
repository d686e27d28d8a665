/* The messages of the journal; see journal_messages.def for their fields. */
#ifndef JOURNAL_MESSAGES_H
#define JOURNAL_MESSAGES_H

#define WIRE_TABLE "actors/journal/journal_messages.def"
#include "runtime/wire/table_types.h"

extern const wire_table_t journal_table;

#endif
