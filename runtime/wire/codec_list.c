#include "runtime/base/ensure.h"
#include "runtime/wire/codec.h"
#include "runtime/wire/walk.h"

enum { LIST_HEAD_BYTES = 5 }; /* array with a count of 32 bits, so that it can be patched */

capstan_err_t codec_list_open(const wire_record_t *record, slice_t list, codec_list_t *ret_iterator)
{
    const uint8_t *begin = walk_begin(list);
    const uint8_t *at = begin;
    uint32_t count = 0;
    if (list.size > 0) {
        capstan_err_t err = walk_array(&at, begin + list.size, &count);
        if (err) {
            return err;
        }
    }
    *ret_iterator = (codec_list_t){
        .record = record, .input = list, .position = (size_t)(at - begin), .left = count};
    return CAPSTAN_OK;
}

/* False at the end, where bytes that belong to no element are a fault. */
static bool has_next(codec_list_t *iterator)
{
    if (iterator->left == 0 && !iterator->fault.err && iterator->position != iterator->input.size) {
        iterator->fault =
            (codec_fault_t){.err = CAPSTAN_E_MALFORMED, .position = iterator->position};
    }
    return iterator->left > 0 && !iterator->fault.err;
}

bool codec_list_next_raw(codec_list_t *iterator, slice_t *ret_element)
{
    if (!has_next(iterator)) {
        return false;
    }
    const uint8_t *end = walk_begin(iterator->input) + iterator->input.size;
    const uint8_t *begin = walk_begin(iterator->input) + iterator->position;
    const uint8_t *at = begin;
    uint32_t count = 0;
    capstan_err_t err = walk_map(&at, end, &count);
    at = begin;
    if (err || (err = walk_skip(&at, end))) {
        iterator->fault = (codec_fault_t){.err = err, .position = iterator->position};
        return false;
    }
    *ret_element = slice_of(begin, (size_t)(at - begin));
    iterator->position += ret_element->size;
    iterator->left--;
    return true;
}

bool codec_list_next(codec_list_t *iterator, void *ret_value)
{
    if (!has_next(iterator)) {
        return false;
    }
    codec_space_t space;
    memset(space.bytes, 0, iterator->record->size);
    const uint8_t *at = walk_begin(iterator->input) + iterator->position;
    if (walk_record(&at, iterator->input, iterator->record, space.bytes, &iterator->fault)) {
        return false;
    }
    memcpy(ret_value, space.bytes, iterator->record->size);
    iterator->position = (size_t)(at - walk_begin(iterator->input));
    iterator->left--;
    return true;
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
    const uint8_t *at = walk_begin(list);
    uint32_t count = 0;
    return walk_array(&at, at + list.size, &count) ? 0 : count;
}
