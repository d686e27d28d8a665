#include "tests/kit/shop_messages.h"

#define CAPSTAN_TABLE      "tests/kit/shop_messages.def"
#define CAPSTAN_TABLE_NAME shop
#include <capstan/message_descriptors.h>
