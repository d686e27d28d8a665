#include "runtime/base/ensure.h"
#include "runtime/wire/codec.h"
#include "runtime/wire/walk.h"

enum { LIST_HEAD_BYTES = 5 }; /* array with a count of 32 bits, so that it can be patched */

capstan_err_t codec_list_open(const wire_record_t *record, slice_t list, codec_list_t *ret_iterator)
{
    walk_t walk = walk_begin(list);
    uint32_t count = 0;
    if (list.size > 0) {
        capstan_err_t err = walk_array(&walk, &count);
        if (err) {
            return err;
        }
    }
    *ret_iterator = (codec_list_t){
        .record = record, .input = list, .position = walk_position(&walk), .left = count};
    return CAPSTAN_OK;
}

/* False at the end, where bytes that belong to no element are a fault. */
static bool has_next(codec_list_t *iterator, walk_t *ret_walk)
{
    if (iterator->fault.err) {
        return false;
    }
    if (iterator->left == 0) {
        if (iterator->position != iterator->input.size) {
            iterator->fault =
                (codec_fault_t){.err = CAPSTAN_E_MALFORMED, .position = iterator->position};
        }
        return false;
    }
    *ret_walk = walk_begin(iterator->input);
    ret_walk->at += iterator->position;
    return true;
}

static bool step(codec_list_t *iterator, const walk_t *walk)
{
    iterator->position = walk_position(walk);
    iterator->left--;
    return true;
}

bool codec_list_next_raw(codec_list_t *iterator, slice_t *ret_element)
{
    walk_t walk;
    if (!has_next(iterator, &walk)) {
        return false;
    }
    walk_t head = walk;
    uint32_t count = 0;
    capstan_err_t err = walk_map(&head, &count);
    const uint8_t *begin = walk.at;
    if (err || (err = walk_skip(&walk))) {
        iterator->fault = (codec_fault_t){.err = err, .position = iterator->position};
        return false;
    }
    *ret_element = slice_of(begin, (size_t)(walk.at - begin));
    return step(iterator, &walk);
}

bool codec_list_next(codec_list_t *iterator, void *ret_value)
{
    walk_t walk;
    if (!has_next(iterator, &walk)) {
        return false;
    }
    codec_space_t space;
    memset(space.bytes, 0, iterator->record->size);
    if (walk_record(&walk, iterator->record, space.bytes, &iterator->fault)) {
        return false;
    }
    memcpy(ret_value, space.bytes, iterator->record->size);
    return step(iterator, &walk);
}

codec_list_writer_t codec_list_begin(buffer_t *out)
{
    codec_list_writer_t writer = {.out = out, .head = out->size};
    *buffer_reserve(out, LIST_HEAD_BYTES) = 0xdd;
    out->size += LIST_HEAD_BYTES;
    return writer;
}

void codec_list_add(codec_list_writer_t *self, const wire_record_t *record, const void *value)
{
    codec_encode(record, value, self->out);
    self->count++;
}

void codec_list_add_raw(codec_list_writer_t *self, slice_t element)
{
    buffer_append(self->out, element.data, element.size);
    self->count++;
}

void codec_list_end(codec_list_writer_t *self)
{
    pack_u32(self->out->data + self->head + 1, self->count);
}

uint32_t codec_list_count(slice_t list)
{
    walk_t walk = walk_begin(list);
    uint32_t count = 0;
    return walk_array(&walk, &count) ? 0 : count;
}
