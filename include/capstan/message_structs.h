/* Expands the table named by CAPSTAN_TABLE into structs, numbers and declarations. Included by the
 * header of each table; it has no include guard because it is expanded once per table.
 *
 *   #define CAPSTAN_TABLE "shop_messages.def"
 *   #include <capstan/message_structs.h>
 *
 * A row `MESSAGE(0x8001, shop_order, ...)` gives the struct shop_order_t with a member per field,
 * the number MESSAGE_shop_order (records: RECORD_shop_order) and the function shop_order_wire(),
 * which returns the descriptor that the codec walks. See message.h for the rows.
 *
 * The path in CAPSTAN_TABLE is looked up as an include from this folder: it is written from one of
 * the compiler's include folders (-I), not from the file that names it. */
#include <capstan/message.h>

#define CAPSTAN_KEY(key, name)                                                                     \
    _Static_assert((key) >= 1 && (key) <= CAPSTAN_KEY_MAX,                                         \
                   "the key of field " #name " must be 1 to 127");
#define CAPSTAN_ID(id, name)                                                                       \
    _Static_assert((id) >= 1 && (id) <= UINT16_MAX, "the id of " #name " must be 1 to 0xffff");    \
    const capstan_record_t *name##_wire(void);

/* ISO C has no empty struct: a byte stands first, for messages without fields. */
#define MESSAGE(id, name, kind, since, permission, resource_key, meaning)                          \
    CAPSTAN_ID(id, name)                                                                           \
    enum { MESSAGE_##name = (id) };                                                                \
    typedef struct name {                                                                          \
        char empty_;
#define RECORD(id, name, since, meaning)                                                           \
    CAPSTAN_ID(id, name)                                                                           \
    enum { RECORD_##name = (id) };                                                                 \
    typedef struct name {                                                                          \
        char empty_;
#define FIELD(key, name, type, required, since, meaning)                                           \
    CAPSTAN_KEY(key, name)                                                                         \
    capstan_field_##type##_t name;
#define LIST_FIELD(key, name, record, required, since, meaning)                                    \
    CAPSTAN_KEY(key, name)                                                                         \
    capstan_field_LIST_t name;
#define END(name)                                                                                  \
    }                                                                                              \
    name##_t;

#include CAPSTAN_TABLE

#undef CAPSTAN_KEY
#undef CAPSTAN_ID
#undef MESSAGE
#undef RECORD
#undef FIELD
#undef LIST_FIELD
#undef END
#undef CAPSTAN_TABLE
