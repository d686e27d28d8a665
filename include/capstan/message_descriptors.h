/* Expands the table named by CAPSTAN_TABLE into its descriptors and into the constant
 * `<CAPSTAN_TABLE_NAME>_table`, which capstan_node_register takes. Included by exactly one source
 * file per table, after the header that expanded message_structs.h:
 *
 *   #include "shop_messages.h"
 *   #define CAPSTAN_TABLE      "shop_messages.def"
 *   #define CAPSTAN_TABLE_NAME shop
 *   #include <capstan/message_descriptors.h> */
#include <capstan/message.h>
#include <stddef.h>

#define REQUIRED true
#define OPTIONAL false

#define CAPSTAN_HEAD(id_, name_, kind_, since_, permission_, resource_key_, meaning_)              \
    const capstan_record_t *name_##_wire(void)                                                     \
    {                                                                                              \
        typedef name_##_t owner_t;                                                                 \
        static const capstan_record_t head = {.id = (id_),                                         \
                                              .kind = (kind_),                                     \
                                              .since = (since_),                                   \
                                              .size = sizeof(owner_t),                             \
                                              .name = #name_,                                      \
                                              .permission = permission_,                           \
                                              .resource_key = resource_key_,                       \
                                              .meaning = meaning_};                                \
        static const capstan_field_t fields[] = {
#define MESSAGE(id_, name_, kind_, since_, permission_, resource_key_, meaning_)                   \
    CAPSTAN_HEAD(id_, name_, CAPSTAN_KIND_##kind_, since_, permission_, resource_key_, meaning_)
#define RECORD(id_, name_, since_, meaning_)                                                       \
    CAPSTAN_HEAD(id_, name_, CAPSTAN_KIND_RECORD, since_, "", "", meaning_)
#define CAPSTAN_FIELD(key_, name_, type_, record_, required_, since_, meaning_)                    \
    {.key = (key_),                                                                                \
     .type = (type_),                                                                              \
     .required = (required_),                                                                      \
     .since = (since_),                                                                            \
     .offset = offsetof(owner_t, name_),                                                           \
     .name = #name_,                                                                               \
     .meaning = meaning_,                                                                          \
     .record = (record_)},
#define FIELD(key_, name_, type_, required_, since_, meaning_)                                     \
    CAPSTAN_FIELD(key_, name_, CAPSTAN_TYPE_##type_, NULL, required_, since_, meaning_)
#define LIST_FIELD(key_, name_, record_, required_, since_, meaning_)                              \
    CAPSTAN_FIELD(key_, name_, CAPSTAN_TYPE_LIST, record_##_wire, required_, since_, meaning_)
#define END(name_)                                                                                 \
    {                                                                                              \
        .key = 0                                                                                   \
    }                                                                                              \
    }                                                                                              \
    ;                                                                                              \
    static capstan_record_t record;                                                                \
    static bool ready;                                                                             \
    return __atomic_load_n(&ready, __ATOMIC_ACQUIRE)                                               \
               ? &record                                                                           \
               : capstan_record_once(&record, &ready, &head, fields,                               \
                                     sizeof fields / sizeof fields[0] - 1);                        \
    }

#include CAPSTAN_TABLE
#undef MESSAGE
#undef RECORD
#undef FIELD
#undef LIST_FIELD
#undef END
#undef REQUIRED
#undef OPTIONAL
#undef CAPSTAN_HEAD
#undef CAPSTAN_FIELD

#define FIELD(key, name, type, required, since, meaning)
#define LIST_FIELD(key, name, record, required, since, meaning)
#define END(name)
#define MESSAGE(id, name, kind, since, permission, resource_key, meaning) name##_wire,
#define RECORD(id, name, since, meaning)                                  name##_wire,
#define CAPSTAN_PASTE_(a, b)                                              a##b
#define CAPSTAN_PASTE(a, b)                                               CAPSTAN_PASTE_(a, b)
#define CAPSTAN_STRING_(name)                                             #name
#define CAPSTAN_STRING(name)                                              CAPSTAN_STRING_(name)
static const capstan_record_t *(*const CAPSTAN_PASTE(CAPSTAN_TABLE_NAME, _records)[])(void) = {
#include CAPSTAN_TABLE
};
extern const capstan_table_t CAPSTAN_PASTE(CAPSTAN_TABLE_NAME, _table);
const capstan_table_t CAPSTAN_PASTE(CAPSTAN_TABLE_NAME, _table) = {
    .concern = CAPSTAN_STRING(CAPSTAN_TABLE_NAME),
    .records = CAPSTAN_PASTE(CAPSTAN_TABLE_NAME, _records),
    .count = sizeof CAPSTAN_PASTE(CAPSTAN_TABLE_NAME, _records) /
             sizeof CAPSTAN_PASTE(CAPSTAN_TABLE_NAME, _records)[0],
};
#undef FIELD
#undef LIST_FIELD
#undef END
#undef MESSAGE
#undef RECORD
#undef CAPSTAN_PASTE_
#undef CAPSTAN_PASTE
#undef CAPSTAN_STRING_
#undef CAPSTAN_STRING
#undef CAPSTAN_TABLE
#undef CAPSTAN_TABLE_NAME
