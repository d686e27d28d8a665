#include "actors/journal/journal_messages.h"

#define CAPSTAN_TABLE      "actors/journal/journal_messages.def"
#define CAPSTAN_TABLE_NAME journal
#include <capstan/message_descriptors.h>
