#include "runtime/wire/codec.h"

#include "runtime/base/ensure.h"
#include "runtime/wire/walk.h"

#include <pthread.h>

enum {
    FIELD_BYTES_MAX = 1 + PACK_REF_MAX, /* key and value of a field, a slice's content apart */
};

static void fill_record(wire_record_t *record, const wire_record_t *head,
                        const wire_field_t *fields, size_t count)
{
    ENSURE(head->size <= WIRE_STRUCT_BYTES_MAX);
    *record = *head;
    record->fields = fields;
    record->field_count = (uint16_t)count;
    uint8_t last = 0;
    for (size_t i = 0; i < count; i++) {
        const wire_field_t *field = &fields[i];
        ENSURE(field->key > last && field->key <= WIRE_KEY_MAX && field->type < WIRE_TYPE_COUNT);
        last = field->key;
        record->by_key[field->key] = field;
        if (field->required) {
            record->required[field->key >> 6] |= UINT64_C(1) << (field->key & 63);
        }
    }
}

/* The record is written under the lock, before `ready` is stored with release. Whoever loads
 * `ready` as true with acquire therefore sees the whole record, without a lock; whoever loads
 * false takes the lock and looks again, so that the record is written once and never changes
 * afterwards. */
const wire_record_t *wire_record_once(wire_record_t *record, bool *ready, const wire_record_t *head,
                                      const wire_field_t *fields, size_t count)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    if (__builtin_expect(!__atomic_load_n(ready, __ATOMIC_ACQUIRE), 0)) {
        pthread_mutex_lock(&lock);
        if (!__atomic_load_n(ready, __ATOMIC_RELAXED)) {
            fill_record(record, head, fields, count);
            __atomic_store_n(ready, true, __ATOMIC_RELEASE);
        }
        pthread_mutex_unlock(&lock);
    }
    return record;
}

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
    case WIRE_BOOL:
        return *place != 0;
    case WIRE_UINT:
    case WIRE_INT:
        memcpy(&number, place, sizeof number);
        return number != 0;
    case WIRE_REF:
        memcpy(&ref, place, sizeof ref);
        return !capstan_ref_is_null(ref);
    case WIRE_LIST:
        memcpy(&slice, place, sizeof slice);
        return codec_list_count(slice) > 0;
    default:
        memcpy(&slice, place, sizeof slice);
        return slice.size > 0;
    }
}

static void encode_slice(wire_type_t type, slice_t value, buffer_t *out)
{
    static const uint8_t empty_list = 0x90;
    if (type == WIRE_LIST) {
        buffer_append(out, value.size > 0 ? value.data : &empty_list,
                      value.size > 0 ? value.size : 1);
        return;
    }
    ENSURE(value.size <= UINT32_MAX);
    uint8_t *begin = buffer_reserve(out, PACK_HEAD_MAX + value.size);
    uint8_t *end = type == WIRE_STR ? pack_str(begin, value) : pack_bin(begin, value);
    out->size += (size_t)(end - begin);
}

static void encode_field(const wire_field_t *field, const uint8_t *place, buffer_t *out)
{
    uint8_t *begin = buffer_reserve(out, FIELD_BYTES_MAX);
    uint8_t *end = begin;
    *end++ = field->key;
    uint64_t number = 0;
    capstan_ref_t ref;
    slice_t slice;
    switch (field->type) {
    case WIRE_UINT:
        memcpy(&number, place, sizeof number);
        end = pack_uint(end, number);
        break;
    case WIRE_INT:
        memcpy(&number, place, sizeof number);
        end = pack_int(end, (int64_t)number);
        break;
    case WIRE_BOOL:
        *end++ = *place ? 0xc3 : 0xc2;
        break;
    case WIRE_REF:
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
    if (head_bytes == 1) {
        out->data[head] = (uint8_t)(0x80 | count);
    } else {
        out->data[head] = 0xde;
        pack_be(out->data + head + 1, count, 2);
    }
}

static capstan_err_t fail(codec_fault_t *fault, capstan_err_t err, const walk_t *walk,
                          const char *field)
{
    *fault = (codec_fault_t){.err = err, .position = walk_position(walk), .field = field};
    return err;
}

/* A list is stepped over here; its elements are looked at when it is walked. */
static capstan_err_t walk_list(walk_t *walk, slice_t *ret_list)
{
    const uint8_t *begin = walk->at;
    walk_t head = *walk;
    uint32_t count = 0;
    capstan_err_t err = walk_array(&head, &count);
    if (!err) {
        err = walk_skip(walk);
    }
    if (!err) {
        *ret_list = slice_of(begin, (size_t)(walk->at - begin));
    }
    return err;
}

static capstan_err_t decode_field(walk_t *walk, const wire_field_t *field, uint8_t *place)
{
    capstan_err_t err = CAPSTAN_OK;
    union {
        uint64_t number;
        int64_t signed_number;
        bool truth;
        slice_t slice;
        capstan_ref_t ref;
    } value;
    switch (field->type) {
    case WIRE_UINT:
        err = walk_uint(walk, &value.number);
        memcpy(place, &value, err ? 0 : sizeof value.number);
        break;
    case WIRE_INT:
        err = walk_int(walk, &value.signed_number);
        memcpy(place, &value, err ? 0 : sizeof value.signed_number);
        break;
    case WIRE_BOOL:
        err = walk_bool(walk, &value.truth);
        memcpy(place, &value, err ? 0 : sizeof value.truth);
        break;
    case WIRE_REF:
        err = walk_ref(walk, &value.ref);
        memcpy(place, &value, err ? 0 : sizeof value.ref);
        break;
    default:
        err = field->type == WIRE_STR   ? walk_str(walk, &value.slice)
              : field->type == WIRE_BIN ? walk_bin(walk, &value.slice)
                                        : walk_list(walk, &value.slice);
        memcpy(place, &value, err ? 0 : sizeof value.slice);
        break;
    }
    return err;
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

capstan_err_t walk_record(walk_t *self, const wire_record_t *record, void *value,
                          codec_fault_t *fault)
{
    uint32_t count = 0;
    capstan_err_t err = walk_map(self, &count);
    if (err) {
        return fail(fault, err, self, NULL);
    }
    walk_keys_t seen = {{0}};
    for (uint32_t i = 0; i < count; i++) {
        uint8_t key = 0;
        if (walk_key(self, &seen, &key)) {
            return fail(fault, CAPSTAN_E_MALFORMED, self, NULL);
        }
        const wire_field_t *field = record->by_key[key];
        err = field ? decode_field(self, field, (uint8_t *)value + field->offset) : walk_skip(self);
        if (err) {
            return fail(fault, err, self, field ? field->name : NULL);
        }
    }
    if ((record->required[0] & ~seen.bits[0]) | (record->required[1] & ~seen.bits[1])) {
        return fail(fault, CAPSTAN_E_FIELD_MISSING, self, first_missing(record, &seen));
    }
    return CAPSTAN_OK;
}

capstan_err_t codec_decode(const wire_record_t *record, slice_t input, void *ret_value,
                           codec_fault_t *ret_fault)
{
    codec_fault_t unwanted;
    codec_fault_t *fault = ret_fault ? ret_fault : &unwanted;
    codec_space_t space;
    memset(space.bytes, 0, record->size);
    walk_t walk = walk_begin(input);
    capstan_err_t err = walk_record(&walk, record, space.bytes, fault);
    if (!err && walk.at != walk.end) {
        err = fail(fault, CAPSTAN_E_MALFORMED, &walk, NULL);
    }
    if (!err) {
        memcpy(ret_value, space.bytes, record->size);
    }
    return err;
}

/* Moves to the value of `key` in an encoded map. */
static bool find_key(walk_t *walk, uint8_t key)
{
    uint32_t count = 0;
    walk_keys_t seen = {{0}};
    if (walk_map(walk, &count)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint8_t found = 0;
        if (walk_key(walk, &seen, &found)) {
            return false;
        }
        if (found == key) {
            return true;
        }
        if (walk_skip(walk)) {
            return false;
        }
    }
    return false;
}

bool codec_peek_slice(slice_t input, uint8_t key, slice_t *ret_value)
{
    walk_t walk = walk_begin(input);
    return find_key(&walk, key) && (!walk_bin(&walk, ret_value) || !walk_str(&walk, ret_value));
}

bool codec_peek_uint(slice_t input, uint8_t key, uint64_t *ret_value)
{
    walk_t walk = walk_begin(input);
    return find_key(&walk, key) && !walk_uint(&walk, ret_value);
}
