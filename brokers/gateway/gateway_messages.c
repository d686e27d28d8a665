#include "brokers/gateway/gateway_messages.h"

#define CAPSTAN_TABLE      "brokers/gateway/gateway_messages.def"
#define CAPSTAN_TABLE_NAME gateway
#include <capstan/message_descriptors.h>
