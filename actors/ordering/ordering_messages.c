#include "actors/ordering/ordering_messages.h"

#define CAPSTAN_TABLE      "actors/ordering/ordering_messages.def"
#define CAPSTAN_TABLE_NAME ordering
#include <capstan/message_descriptors.h>

#define CAPSTAN_TABLE "actors/ordering/ordering_messages.def"
#include "runtime/wire/inline_codec.h"

void event_encode(const event_t *event, buffer_t *out)
{
    inline_encode_event(event, out);
}

capstan_err_t event_decode(slice_t record, event_t *ret_event)
{
    return inline_decode_event(record, ret_event);
}

bool event_next(codec_list_t *iterator, event_t *ret_event)
{
    return inline_next_event(iterator, ret_event);
}

void publish_encode(const publish_t *publish, buffer_t *out)
{
    inline_encode_publish(publish, out);
}

capstan_err_t publish_decode(slice_t body, publish_t *ret_publish)
{
    return inline_decode_publish(body, ret_publish);
}

bool event_place(slice_t record, uint64_t *ret_offset, slice_t *ret_key)
{
    enum { OFFSET = 1, KEY = 2 };
    const uint8_t *at = walk_begin(record);
    const uint8_t *end = at + record.size;
    if (inline_may_hold(record, 2) && at[1] == OFFSET) {
        at += 2;
        if (!walk_uint(&at, end, ret_offset) && at < end && *at++ == KEY &&
            !inline_walk_BIN(&at, end, ret_key)) {
            return true;
        }
    }
    return codec_peek_uint(record, OFFSET, ret_offset) && codec_peek_slice(record, KEY, ret_key);
}

bool publish_way(slice_t body, slice_t *ret_topic, slice_t *ret_key)
{
    enum { TOPIC = 1, KEY = 2 };
    const uint8_t *at = walk_begin(body);
    const uint8_t *end = at + body.size;
    if (inline_may_hold(body, 2) && at[1] == TOPIC) {
        at += 2;
        if (!inline_walk_STR(&at, end, ret_topic) && at < end && *at++ == KEY &&
            !inline_walk_BIN(&at, end, ret_key)) {
            return true;
        }
    }
    return codec_peek_slice(body, TOPIC, ret_topic) && codec_peek_slice(body, KEY, ret_key);
}

/* What stands before each body. It stays in this process, as the machine writes it. */
typedef struct row_head {
    uint64_t sequence;
    uint64_t size;
} row_head_t;

void publishes_add(buffer_t *rows, uint64_t sequence, slice_t body)
{
    row_head_t head = {.sequence = sequence, .size = body.size};
    buffer_append(rows, &head, sizeof head);
    buffer_append(rows, body.data, body.size);
}

bool publishes_next(slice_t *rows, uint64_t *ret_sequence, slice_t *ret_body)
{
    row_head_t head;
    if (rows->size < sizeof head) {
        return false;
    }
    memcpy(&head, rows->data, sizeof head);
    if (rows->size - sizeof head < head.size) {
        return false;
    }
    const uint8_t *body = (const uint8_t *)rows->data + sizeof head;
    *ret_sequence = head.sequence;
    *ret_body = slice_of(body, (size_t)head.size);
    *rows = slice_of(body + head.size, rows->size - sizeof head - (size_t)head.size);
    return true;
}
