#include "consumer_messages.h"

#define CAPSTAN_TABLE      "consumer_messages.def"
#define CAPSTAN_TABLE_NAME consumer
#include <capstan/message_descriptors.h>
