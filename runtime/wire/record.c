/* The descriptors of messages and records: made on first use from what a table expands to. */
#include "runtime/wire/walk.h"

#include <pthread.h>

/* The C struct's part that a field takes. */
static size_t field_size(capstan_type_t type)
{
    static const size_t sizes[] = {
#define TYPE(name, c_type, wire, cddl, meaning) [CAPSTAN_TYPE_##name] = sizeof(c_type),
#include <capstan/field_types.def>
#undef TYPE
    };
    return sizes[type];
}

static const char *wrong_with_field(const wire_field_t *field, const wire_field_t *before,
                                    size_t struct_size)
{
    if (field->key < 1 || field->key > WIRE_KEY_MAX || (before && field->key <= before->key)) {
        return "keys must be 1 to 127 and ascend";
    }
    if ((unsigned)field->type >= CAPSTAN_TYPE_COUNT || !field->name || !field->meaning) {
        return "a field has no name, no meaning or no known type";
    }
    if ((field->type == CAPSTAN_TYPE_LIST) != (field->record != NULL)) {
        return "lists, and only lists, are LIST_FIELD rows";
    }
    if (field->offset > struct_size || struct_size - field->offset < field_size(field->type)) {
        return "a field lies outside its struct";
    }
    return NULL;
}

static const char *wrong_with(const wire_record_t *head, const wire_field_t *fields, size_t count)
{
    bool named = head->resource_key && *head->resource_key == '\0';
    const char *wrong = NULL;
    if (!head->name || !head->meaning || !head->permission || !head->resource_key ||
        head->id == 0 || (unsigned)head->kind > CAPSTAN_KIND_ERROR) {
        return "the row is not complete";
    }
    if (head->size > WIRE_STRUCT_BYTES_MAX || count > WIRE_KEY_MAX) {
        return "too many fields";
    }
    for (size_t i = 0; i < count && !wrong; i++) {
        wrong = wrong_with_field(&fields[i], i > 0 ? &fields[i - 1] : NULL, head->size);
        named = named || (!wrong && strcmp(fields[i].name, head->resource_key) == 0);
    }
    return wrong || named ? wrong : "resource_key names no field";
}

/* What is wrong keeps no fields, so that the codec, which relies on them, reads and writes none. */
static void fill_record(wire_record_t *record, const wire_record_t *head,
                        const wire_field_t *fields, size_t count)
{
    *record = *head;
    record->wrong = wrong_with(head, fields, count);
    if (record->wrong) {
        record->size = 0;
        return;
    }
    record->fields = fields;
    record->field_count = (uint16_t)count;
    for (size_t i = 0; i < count; i++) {
        const wire_field_t *field = &fields[i];
        record->by_key[field->key] = field;
        if (field->required) {
            record->required[field->key >> 6] |= UINT64_C(1) << (field->key & 63);
        }
    }
}

/* The record is written under the lock, before `ready` is stored with release. Whoever loads
 * `ready` as true with acquire (the expansion of the table does) therefore sees the whole record,
 * without a lock; whoever loads false takes the lock and looks again, so that the record is written
 * once and never changes afterwards. */
const wire_record_t *capstan_record_once(wire_record_t *record, bool *ready,
                                         const wire_record_t *head, const wire_field_t *fields,
                                         size_t count)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    if (!__atomic_load_n(ready, __ATOMIC_RELAXED)) {
        fill_record(record, head, fields, count);
        __atomic_store_n(ready, true, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&lock);
    return record;
}
