#include "actors/ordering/ordering_messages.h"

#define WIRE_TABLE      "actors/ordering/ordering_messages.def"
#define WIRE_TABLE_NAME ordering
#include "runtime/wire/table_records.h"
