#ifndef CONSUMER_MESSAGES_H
#define CONSUMER_MESSAGES_H

#define CAPSTAN_TABLE "consumer_messages.def"
#include <capstan/message_structs.h>

extern const capstan_table_t consumer_table;

#endif
