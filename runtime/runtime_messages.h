/* The runtime's own messages; see runtime_messages.def for their fields. */
#ifndef RUNTIME_RUNTIME_MESSAGES_H
#define RUNTIME_RUNTIME_MESSAGES_H

#include "runtime/wire/codec.h"

enum { RUNTIME_MESSAGES_FIRST = 0xc0, RUNTIME_MESSAGES_LAST = 0xdf };

#define CAPSTAN_TABLE "runtime/runtime_messages.def"
#include <capstan/message_structs.h>

extern const wire_table_t runtime_table;

#endif
