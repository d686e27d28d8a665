#include "runtime/runtime_messages.h"

#define CAPSTAN_TABLE      "runtime/runtime_messages.def"
#define CAPSTAN_TABLE_NAME runtime
#include <capstan/message_descriptors.h>
