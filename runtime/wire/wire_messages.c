#include "runtime/wire/wire_messages.h"

#define WIRE_TABLE      "runtime/wire/wire_messages.def"
#define WIRE_TABLE_NAME wire
#include "runtime/wire/table_records.h"
