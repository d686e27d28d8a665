/* The link header, the envelope and the failure reply; see wire_messages.def for their fields. */
#ifndef WIRE_WIRE_MESSAGES_H
#define WIRE_WIRE_MESSAGES_H

#include "runtime/wire/codec.h"

#define CAPSTAN_TABLE "runtime/wire/wire_messages.def"
#include <capstan/message_structs.h>

extern const wire_table_t wire_table;

#endif
