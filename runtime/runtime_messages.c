#include "runtime/runtime_messages.h"

#define WIRE_TABLE      "runtime/runtime_messages.def"
#define WIRE_TABLE_NAME runtime
#include "runtime/wire/table_records.h"
