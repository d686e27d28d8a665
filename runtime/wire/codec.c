#include "runtime/wire/codec.h"

#include "runtime/base/ensure.h"
#include "runtime/wire/walk.h"

/* True when the field is written: it is required, or not zero (empty). */
static bool is_present(const wire_field_t *field, const uint8_t *place)
{
    if (field->required) {
        return true;
    }
    uint64_t number = 0;
    slice_t slice = {0};
    capstan_ref_t ref = {0};
    switch (field->type) {
    case CAPSTAN_TYPE_BOOL:
        return *place != 0;
    case CAPSTAN_TYPE_UINT:
    case CAPSTAN_TYPE_INT:
        memcpy(&number, place, sizeof number);
        return number != 0;
    case CAPSTAN_TYPE_REF:
        memcpy(&ref, place, sizeof ref);
        return !capstan_ref_is_null(ref);
    case CAPSTAN_TYPE_LIST:
        memcpy(&slice, place, sizeof slice);
        return slice.size > 0 && codec_list_count(slice) > 0;
    default:
        memcpy(&slice, place, sizeof slice);
        return slice.size > 0;
    }
}

static void encode_slice(capstan_type_t type, slice_t value, buffer_t *out)
{
    static const uint8_t empty_list = 0x90;
    if (type == CAPSTAN_TYPE_LIST) {
        buffer_append(out, value.size > 0 ? value.data : &empty_list,
                      value.size > 0 ? value.size : 1);
        return;
    }
    ENSURE(value.size <= UINT32_MAX);
    uint8_t *begin = buffer_reserve(out, PACK_HEAD_MAX + value.size);
    uint8_t *end = type == CAPSTAN_TYPE_STR ? pack_str(begin, value) : pack_bin(begin, value);
    out->size += (size_t)(end - begin);
}

static void encode_field(const wire_field_t *field, const uint8_t *place, buffer_t *out)
{
    uint8_t *begin = buffer_reserve(out, PACK_FIELD_MAX);
    uint8_t *end = begin;
    *end++ = field->key;
    uint64_t number = 0;
    capstan_ref_t ref;
    slice_t slice;
    switch (field->type) {
    case CAPSTAN_TYPE_UINT:
        memcpy(&number, place, sizeof number);
        end = pack_uint(end, number);
        break;
    case CAPSTAN_TYPE_INT:
        memcpy(&number, place, sizeof number);
        end = pack_int(end, (int64_t)number);
        break;
    case CAPSTAN_TYPE_BOOL:
        *end++ = *place ? 0xc3 : 0xc2;
        break;
    case CAPSTAN_TYPE_REF:
        memcpy(&ref, place, sizeof ref);
        end = pack_ref(end, ref);
        break;
    default:
        out->size++;
        memcpy(&slice, place, sizeof slice);
        encode_slice(field->type, slice, out);
        return;
    }
    out->size += (size_t)(end - begin);
}

void codec_encode(const wire_record_t *record, const void *value, buffer_t *out)
{
    const uint8_t *place = value;
    size_t head_bytes = record->field_count < 16 ? 1 : 3;
    size_t head = out->size;
    buffer_reserve(out, head_bytes);
    out->size += head_bytes;
    unsigned count = 0;
    for (size_t i = 0; i < record->field_count; i++) {
        const wire_field_t *field = &record->fields[i];
        if (is_present(field, place + field->offset)) {
            encode_field(field, place + field->offset, out);
            count++;
        }
    }
    if (head_bytes > 1 && count < 16) { /* the shortest form, as of every number */
        memmove(out->data + head + 1, out->data + head + head_bytes, out->size - head - head_bytes);
        out->size -= head_bytes - 1;
        head_bytes = 1;
    }
    if (head_bytes == 1) {
        out->data[head] = (uint8_t)(0x80 | count);
    } else {
        out->data[head] = 0xde;
        pack_be(out->data + head + 1, count, 2);
    }
}

/* Slices are read straight into the struct: a copy of one that was just written in two halves waits
 * for both, which cost a third of the time of a publish. */
static capstan_err_t decode_slice(const uint8_t **at, const uint8_t *end, capstan_type_t type,
                                  slice_t *slice)
{
    switch (type) {
    case CAPSTAN_TYPE_STR:
        return walk_str(at, end, slice);
    case CAPSTAN_TYPE_BIN:
        return walk_bin(at, end, slice);
    default:
        return walk_list(at, end, slice);
    }
}

static inline capstan_err_t decode_field(const uint8_t **at, const uint8_t *end,
                                         const wire_field_t *field, uint8_t *place)
{
    capstan_err_t err = CAPSTAN_OK;
    uint64_t number = 0;
    int64_t signed_number = 0;
    bool truth = false;
    capstan_ref_t ref = {0};
    switch (field->type) {
    case CAPSTAN_TYPE_UINT:
        err = walk_uint(at, end, &number);
        memcpy(place, &number, sizeof number);
        return err;
    case CAPSTAN_TYPE_INT:
        err = walk_int(at, end, &signed_number);
        memcpy(place, &signed_number, sizeof signed_number);
        return err;
    case CAPSTAN_TYPE_BOOL:
        err = walk_bool(at, end, &truth);
        memcpy(place, &truth, sizeof truth);
        return err;
    case CAPSTAN_TYPE_REF:
        err = walk_ref(at, end, &ref);
        memcpy(place, &ref, sizeof ref);
        return err;
    default:
        return decode_slice(at, end, field->type, (slice_t *)(void *)place);
    }
}

static const char *first_missing(const wire_record_t *record, const walk_keys_t *seen)
{
    for (size_t i = 0; i < record->field_count; i++) {
        const wire_field_t *field = &record->fields[i];
        if (field->required && !walk_seen(seen, field->key)) {
            return field->name;
        }
    }
    return NULL;
}

capstan_err_t walk_record(const uint8_t **at, slice_t input, const wire_record_t *record,
                          void *value, codec_fault_t *fault)
{
    const uint8_t *end = walk_begin(input) + input.size;
    const uint8_t *place = *at;
    const char *name = NULL;
    uint32_t count = 0;
    walk_keys_t seen = {{0}};
    capstan_err_t err = walk_map(&place, end, &count);
    for (; !err && count > 0; count--) {
        uint8_t key = 0;
        name = NULL;
        err = walk_key(&place, end, &seen, &key);
        if (!err) {
            const wire_field_t *field = record->by_key[key];
            name = field ? field->name : NULL;
            err = field ? decode_field(&place, end, field, (uint8_t *)value + field->offset)
                        : walk_skip(&place, end);
        }
    }
    if (!err &&
        ((record->required[0] & ~seen.bits[0]) | (record->required[1] & ~seen.bits[1])) != 0) {
        err = CAPSTAN_E_FIELD_MISSING;
        name = first_missing(record, &seen);
    }
    if (err) {
        size_t position = (size_t)(place - walk_begin(input));
        *fault = (codec_fault_t){.err = err, .position = position, .field = name};
        return err;
    }
    *at = place;
    return CAPSTAN_OK;
}

capstan_err_t codec_decode(const wire_record_t *record, slice_t input, void *ret_value,
                           codec_fault_t *ret_fault)
{
    codec_fault_t unwanted;
    codec_fault_t *fault = ret_fault ? ret_fault : &unwanted;
    codec_space_t space;
    memset(space.bytes, 0, record->size);
    const uint8_t *at = walk_begin(input);
    capstan_err_t err = walk_record(&at, input, record, space.bytes, fault);
    size_t position = (size_t)(at - walk_begin(input));
    if (!err && position != input.size) {
        err = CAPSTAN_E_MALFORMED;
        *fault = (codec_fault_t){.err = err, .position = position};
    }
    if (!err) {
        memcpy(ret_value, space.bytes, record->size);
    }
    return err;
}

/* Moves to the value of `key` in an encoded map. */
static bool find_key(const uint8_t **at, const uint8_t *end, uint8_t key)
{
    uint32_t count = 0;
    walk_keys_t seen = {{0}};
    if (walk_map(at, end, &count)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint8_t found = 0;
        if (walk_key(at, end, &seen, &found)) {
            return false;
        }
        if (found == key) {
            return true;
        }
        if (walk_skip(at, end)) {
            return false;
        }
    }
    return false;
}

bool codec_peek_slice(slice_t input, uint8_t key, slice_t *ret_value)
{
    const uint8_t *at = walk_begin(input);
    const uint8_t *end = at + input.size;
    return find_key(&at, end, key) &&
           (!walk_bin(&at, end, ret_value) || !walk_str(&at, end, ret_value));
}

bool codec_peek_uint(slice_t input, uint8_t key, uint64_t *ret_value)
{
    const uint8_t *at = walk_begin(input);
    const uint8_t *end = at + input.size;
    return find_key(&at, end, key) && !walk_uint(&at, end, ret_value);
}
