/* The messages and records of pools; see pool_messages.def for their fields. */
#ifndef POOL_MESSAGES_H
#define POOL_MESSAGES_H

#include "runtime/wire/codec.h"

#define CAPSTAN_TABLE "actors/pool/pool_messages.def"
#include <capstan/message_structs.h>

extern const wire_table_t pool_table;

#endif
