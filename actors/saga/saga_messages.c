#include "actors/saga/saga_messages.h"

#define CAPSTAN_TABLE      "actors/saga/saga_messages.def"
#define CAPSTAN_TABLE_NAME saga
#include <capstan/message_descriptors.h>
