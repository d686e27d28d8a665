#include "actors/journal/journal_messages.h"

#define CAPSTAN_TABLE      "actors/journal/journal_messages.def"
#define CAPSTAN_TABLE_NAME journal
#include <capstan/message_descriptors.h>

#define CAPSTAN_TABLE "actors/journal/journal_messages.def"
#include "runtime/wire/inline_codec.h"

void journal_record_add(codec_list_writer_t *list, const journal_record_t *record)
{
    inline_encode_journal_record(record, list->out);
    list->count++;
}
