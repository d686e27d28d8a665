/* The runtime's own messages; see runtime_messages.def for their fields. */
#ifndef RUNTIME_RUNTIME_MESSAGES_H
#define RUNTIME_RUNTIME_MESSAGES_H

#define WIRE_TABLE "runtime/runtime_messages.def"
#include "runtime/wire/table_types.h"

extern const wire_table_t runtime_table;

#endif
