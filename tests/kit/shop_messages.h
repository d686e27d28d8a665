/* The messages of a user of the library, made with the public headers alone. */
#ifndef TESTS_SHOP_MESSAGES_H
#define TESTS_SHOP_MESSAGES_H

#define CAPSTAN_TABLE "tests/kit/shop_messages.def"
#include <capstan/message_structs.h>

extern const capstan_table_t shop_table;

#endif
