/* The messages and records of sagas; see saga_messages.def for their fields. */
#ifndef SAGA_MESSAGES_H
#define SAGA_MESSAGES_H

#include "runtime/wire/codec.h"

#define CAPSTAN_TABLE "actors/saga/saga_messages.def"
#include <capstan/message_structs.h>

extern const wire_table_t saga_table;

#endif
