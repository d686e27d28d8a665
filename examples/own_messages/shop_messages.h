/* shop_messages.def as C: shop_order_t, MESSAGE_shop_order, shop_order_wire() and so on. */
#ifndef SHOP_MESSAGES_H
#define SHOP_MESSAGES_H

#define CAPSTAN_TABLE "shop_messages.def"
#include <capstan/message_structs.h>

extern const capstan_table_t shop_table;

#endif
