#include "actors/pool/pool_messages.h"

#define CAPSTAN_TABLE      "actors/pool/pool_messages.def"
#define CAPSTAN_TABLE_NAME pool
#include <capstan/message_descriptors.h>
