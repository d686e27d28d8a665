/* The messages and records of ordered events; see ordering_messages.def for their fields. */
#ifndef ORDERING_MESSAGES_H
#define ORDERING_MESSAGES_H

#include "runtime/wire/codec.h"

#define CAPSTAN_TABLE "actors/ordering/ordering_messages.def"
#include <capstan/message_structs.h>

extern const wire_table_t ordering_table;

#endif
