/* What users of the library call to encode and decode: the codec, behind checks of what they hand
 * in. A message that its receiver would refuse is refused here, where its maker can be told. */
#include "runtime/wire/codec.h"
#include "runtime/wire/walk.h"

#include <stdio.h>

/* What is to be written, and how many bytes it takes at most. */
typedef struct source {
    const wire_record_t *record;
    const uint8_t *values;
    size_t count;
    bool is_list;
    size_t bound;
} source_t;

static bool lies_in(slice_t slice, const buffer_t *out)
{
    uintptr_t begin = (uintptr_t)slice.data;
    return out->capacity > 0 && slice.size > 0 && begin < (uintptr_t)out->data + out->capacity &&
           begin + slice.size > (uintptr_t)out->data;
}

static capstan_err_t check_list(const wire_record_t *record, slice_t slice)
{
    codec_list_t list;
    slice_t element;
    capstan_err_t err = codec_list_open(record, slice, &list);
    if (err) {
        return err;
    }
    while (codec_list_next_raw(&list, &element)) {
    }
    return list.fault.err;
}

static capstan_err_t check_slice(const wire_field_t *field, slice_t slice, const buffer_t *out)
{
    if (slice.size > UINT32_MAX) {
        return CAPSTAN_E_TOO_LARGE;
    }
    if ((slice.size > 0 && !slice.data) || lies_in(slice, out)) {
        return CAPSTAN_E_INVALID;
    }
    switch (field->type) {
    case CAPSTAN_TYPE_STR:
        return walk_is_utf8(slice) ? CAPSTAN_OK : CAPSTAN_E_NOT_UTF8;
    case CAPSTAN_TYPE_LIST:
        return check_list(field->record(), slice);
    default:
        return CAPSTAN_OK;
    }
}

/* One struct; adds to the source's bound. */
static capstan_err_t check_value(source_t *source, size_t index, const buffer_t *out,
                                 capstan_fault_t *fault)
{
    const wire_record_t *record = source->record;
    const uint8_t *value = source->values + index * record->size;
    source->bound += PACK_HEAD_MAX;
    for (size_t i = 0; i < record->field_count; i++) {
        const wire_field_t *field = &record->fields[i];
        slice_t slice = {0};
        if (field->type == CAPSTAN_TYPE_STR || field->type == CAPSTAN_TYPE_BIN ||
            field->type == CAPSTAN_TYPE_LIST) {
            memcpy(&slice, value + field->offset, sizeof slice);
        }
        capstan_err_t err = check_slice(field, slice, out);
        if (err) {
            *fault = (capstan_fault_t){.err = err, .position = index, .field = field->name};
            return err;
        }
        source->bound += PACK_FIELD_MAX + PACK_HEAD_MAX + slice.size;
    }
    return CAPSTAN_OK;
}

static void write_source(const source_t *source, buffer_t *out)
{
    if (!source->is_list) {
        codec_encode(source->record, source->values, out);
        return;
    }
    codec_list_writer_t list = codec_list_begin(out);
    for (size_t i = 0; i < source->count; i++) {
        codec_list_add(&list, source->record, source->values + i * source->record->size);
    }
    codec_list_end(&list);
}

/* The bound is more than what is written, so a borrowed buffer that is small but large enough gets
 * its bytes by way of another one. */
static capstan_err_t append(const source_t *source, buffer_t *out)
{
    if (buffer_try_reserve(out, source->bound)) {
        write_source(source, out);
        return CAPSTAN_OK;
    }
    buffer_t exact = {0};
    if (!out->borrowed || !buffer_try_reserve(&exact, source->bound)) {
        return CAPSTAN_E_NO_MEMORY;
    }
    write_source(source, &exact);
    bool fits = exact.size <= out->capacity - out->size;
    if (fits) {
        buffer_append(out, exact.data, exact.size);
    }
    buffer_fini(&exact);
    return fits ? CAPSTAN_OK : CAPSTAN_E_TOO_LARGE;
}

static capstan_err_t encode(source_t *source, buffer_t *out, capstan_fault_t *ret_fault)
{
    capstan_fault_t unwanted;
    capstan_fault_t *fault = ret_fault ? ret_fault : &unwanted;
    capstan_err_t err = source->record->wrong        ? CAPSTAN_E_INVALID
                        : source->count > UINT32_MAX ? CAPSTAN_E_TOO_LARGE
                                                     : CAPSTAN_OK;
    *fault = (capstan_fault_t){.err = err};
    for (size_t i = 0; i < source->count && !err; i++) {
        err = check_value(source, i, out, fault);
    }
    if (!err) {
        err = append(source, out);
        *fault = (capstan_fault_t){.err = err};
    }
    return err;
}

capstan_err_t capstan_encode(const capstan_record_t *record, const void *value,
                             capstan_buffer_t *out, capstan_fault_t *ret_fault)
{
    source_t source = {.record = record, .values = value, .count = 1};
    return encode(&source, out, ret_fault);
}

capstan_err_t capstan_encode_list(const capstan_record_t *record, const void *values, size_t count,
                                  capstan_buffer_t *out, capstan_fault_t *ret_fault)
{
    source_t source = {.record = record,
                       .values = values,
                       .count = count,
                       .is_list = true,
                       .bound = PACK_HEAD_MAX};
    return encode(&source, out, ret_fault);
}

capstan_err_t capstan_decode(const capstan_record_t *record, capstan_slice_t input, void *ret_value,
                             capstan_fault_t *ret_fault)
{
    if (record->wrong) {
        if (ret_fault) {
            *ret_fault = (capstan_fault_t){.err = CAPSTAN_E_INVALID};
        }
        return CAPSTAN_E_INVALID;
    }
    return codec_decode(record, input, ret_value, ret_fault);
}

capstan_err_t capstan_list_open(const capstan_record_t *record, capstan_slice_t list,
                                capstan_list_t *ret_list)
{
    return record->wrong ? CAPSTAN_E_INVALID : codec_list_open(record, list, ret_list);
}

bool capstan_list_next(capstan_list_t *self, void *ret_value)
{
    return codec_list_next(self, ret_value);
}

const char *capstan_fault_text(const capstan_fault_t *fault, char *text, size_t size)
{
    char place[32] = "";
    if (fault->position > 0) {
        snprintf(place, sizeof place, ", at %zu", fault->position);
    }
    snprintf(text, size, "%s%s%s%s%s", fault->field ? "field " : "",
             fault->field ? fault->field : "", fault->field ? ": " : "",
             fault->err ? capstan_err_text(fault->err) : "no fault", place);
    return text;
}
