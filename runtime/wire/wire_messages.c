#include "runtime/wire/wire_messages.h"

#define CAPSTAN_TABLE      "runtime/wire/wire_messages.def"
#define CAPSTAN_TABLE_NAME wire
#include <capstan/message_descriptors.h>
