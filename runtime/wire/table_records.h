/* Expands the table named by WIRE_TABLE into its descriptors and into `const wire_table_t
 * <WIRE_TABLE_NAME>_table`. Included by exactly one X_messages.c per table. */
#include "runtime/wire/codec.h"

#include <stddef.h>

#define REQUIRED true
#define OPTIONAL false

#define MESSAGE(id_, name_, kind_, since_, permission_, resource_key_, meaning_)                   \
    const wire_record_t *name_##_wire(void)                                                        \
    {                                                                                              \
        typedef name_##_t owner_t;                                                                 \
        static const wire_record_t head = {.id = (id_),                                            \
                                           .kind = WIRE_KIND_##kind_,                              \
                                           .since = (since_),                                      \
                                           .size = sizeof(owner_t),                                \
                                           .name = #name_,                                         \
                                           .permission = permission_,                              \
                                           .resource_key = resource_key_,                          \
                                           .meaning = meaning_};                                   \
        static const wire_field_t fields[] = {
#define RECORD(id_, name_, since_, meaning_)                                                       \
    const wire_record_t *name_##_wire(void)                                                        \
    {                                                                                              \
        typedef name_##_t owner_t;                                                                 \
        static const wire_record_t head = {.id = (id_),                                            \
                                           .kind = WIRE_KIND_RECORD,                               \
                                           .since = (since_),                                      \
                                           .size = sizeof(owner_t),                                \
                                           .name = #name_,                                         \
                                           .permission = "",                                       \
                                           .resource_key = "",                                     \
                                           .meaning = meaning_};                                   \
        static const wire_field_t fields[] = {
#define FIELD(key_, name_, type_, required_, since_, meaning_)                                     \
    {.key = (key_),                                                                                \
     .type = WIRE_##type_,                                                                         \
     .required = (required_),                                                                      \
     .since = (since_),                                                                            \
     .offset = offsetof(owner_t, name_),                                                           \
     .name = #name_,                                                                               \
     .meaning = meaning_},
#define LIST_FIELD(key_, name_, record_, required_, since_, meaning_)                              \
    {.key = (key_),                                                                                \
     .type = WIRE_LIST,                                                                            \
     .required = (required_),                                                                      \
     .since = (since_),                                                                            \
     .offset = offsetof(owner_t, name_),                                                           \
     .name = #name_,                                                                               \
     .meaning = meaning_,                                                                          \
     .record = record_##_wire},
#define END(name_)                                                                                 \
    {.key = 0}                                                                                     \
    }                                                                                              \
    ;                                                                                              \
    static wire_record_t record;                                                                   \
    static bool ready;                                                                             \
    return wire_record_once(&record, &ready, &head, fields, sizeof fields / sizeof fields[0] - 1); \
    }

#include WIRE_TABLE
#undef MESSAGE
#undef RECORD
#undef FIELD
#undef LIST_FIELD
#undef END
#undef REQUIRED
#undef OPTIONAL

#define FIELD(key, name, type, required, since, meaning)
#define LIST_FIELD(key, name, record, required, since, meaning)
#define END(name)
#define MESSAGE(id, name, kind, since, permission, resource_key, meaning) name##_wire,
#define RECORD(id, name, since, meaning)                                  name##_wire,
#define WIRE_PASTE_(name)  name##_table
#define WIRE_PASTE(name)   WIRE_PASTE_(name)
#define WIRE_STRING_(name) #name
#define WIRE_STRING(name)  WIRE_STRING_(name)
static const wire_record_t *(*const table_records[])(void) = {
#include WIRE_TABLE
};
extern const wire_table_t WIRE_PASTE(WIRE_TABLE_NAME);
const wire_table_t WIRE_PASTE(WIRE_TABLE_NAME) = {
    .concern = WIRE_STRING(WIRE_TABLE_NAME),
    .records = table_records,
    .count = sizeof table_records / sizeof table_records[0],
};
