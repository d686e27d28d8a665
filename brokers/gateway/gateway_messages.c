#include "brokers/gateway/gateway_messages.h"

#define WIRE_TABLE      "brokers/gateway/gateway_messages.def"
#define WIRE_TABLE_NAME gateway
#include "runtime/wire/table_records.h"
