/* The session messages; see gateway_messages.def for their fields. */
#ifndef GATEWAY_MESSAGES_H
#define GATEWAY_MESSAGES_H

#define WIRE_TABLE "brokers/gateway/gateway_messages.def"
#include "runtime/wire/table_types.h"

extern const wire_table_t gateway_table;

#endif
