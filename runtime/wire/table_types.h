/* Expands the table named by WIRE_TABLE into structs, numbers and descriptor declarations. Included
 * by each X_messages.h; it has no include guard because it is expanded once per table.
 *
 *   MESSAGE(id, name, KIND, since, permission, resource_key, "what it does")
 *   RECORD(id, name, since, "what it is")
 *   FIELD(key, name, TYPE, REQUIRED|OPTIONAL, since, "meaning, unit")
 *   LIST_FIELD(key, name, record, REQUIRED|OPTIONAL, since, "meaning")
 *   END(name)
 *
 * A row `MESSAGE(1, hello, ...)` gives the struct hello_t, the number MESSAGE_hello (records:
 * RECORD_name) and the descriptor function hello_wire(). */
#include "runtime/wire/codec.h"

#define WIRE_C_UINT uint64_t
#define WIRE_C_INT  int64_t
#define WIRE_C_BOOL bool
#define WIRE_C_STR  slice_t
#define WIRE_C_BIN  slice_t
#define WIRE_C_REF  capstan_ref_t

/* ISO C has no empty struct: a byte stands first, for messages without fields. */
#define MESSAGE(id, name, kind, since, permission, resource_key, meaning)                          \
    typedef struct name {                                                                          \
        char empty_;
#define RECORD(id, name, since, meaning)                                                           \
    typedef struct name {                                                                          \
        char empty_;
#define FIELD(key, name, type, required, since, meaning)                  WIRE_C_##type name;
#define LIST_FIELD(key, name, record, required, since, meaning)           slice_t name;
#define END(name)                                                                                  \
    }                                                                                              \
    name##_t;
#include WIRE_TABLE
#undef MESSAGE
#undef RECORD
#undef END
#undef FIELD
#undef LIST_FIELD

#define FIELD(key, name, type, required, since, meaning)
#define LIST_FIELD(key, name, record, required, since, meaning)
#define MESSAGE(id, name, kind, since, permission, resource_key, meaning)                          \
    enum { MESSAGE_##name = (id) };                                                                \
    const wire_record_t *name##_wire(void);
#define RECORD(id, name, since, meaning)                                                           \
    enum { RECORD_##name = (id) };                                                                 \
    const wire_record_t *name##_wire(void);
#define END(name)
#include WIRE_TABLE
#undef MESSAGE
#undef RECORD
#undef END
#undef FIELD
#undef LIST_FIELD
#undef WIRE_TABLE
