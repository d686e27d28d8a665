/* The session messages; see gateway_messages.def for their fields. */
#ifndef GATEWAY_MESSAGES_H
#define GATEWAY_MESSAGES_H

#include "runtime/wire/codec.h"

#define CAPSTAN_TABLE "brokers/gateway/gateway_messages.def"
#include <capstan/message_structs.h>

extern const wire_table_t gateway_table;

#endif
