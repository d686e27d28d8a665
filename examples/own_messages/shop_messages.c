#include "shop_messages.h"

#define CAPSTAN_TABLE      "shop_messages.def"
#define CAPSTAN_TABLE_NAME shop
#include <capstan/message_descriptors.h>
