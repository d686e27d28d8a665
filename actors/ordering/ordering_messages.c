#include "actors/ordering/ordering_messages.h"

#define CAPSTAN_TABLE      "actors/ordering/ordering_messages.def"
#define CAPSTAN_TABLE_NAME ordering
#include <capstan/message_descriptors.h>
