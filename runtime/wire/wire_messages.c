#include "runtime/wire/wire_messages.h"

#define CAPSTAN_TABLE      "runtime/wire/wire_messages.def"
#define CAPSTAN_TABLE_NAME wire
#include <capstan/message_descriptors.h>

#define CAPSTAN_TABLE "runtime/wire/wire_messages.def"
#include "runtime/wire/inline_codec.h"

void outcome_add(codec_list_writer_t *list, const outcome_t *outcome)
{
    inline_encode_outcome(outcome, list->out);
    list->count++;
}

bool outcome_next(codec_list_t *iterator, outcome_t *ret_outcome)
{
    return inline_next_outcome(iterator, ret_outcome);
}
