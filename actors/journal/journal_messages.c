#include "actors/journal/journal_messages.h"

#define WIRE_TABLE      "actors/journal/journal_messages.def"
#define WIRE_TABLE_NAME journal
#include "runtime/wire/table_records.h"
