/* Expands the table named by CAPSTAN_TABLE into readers and writers that are compiled for each of
 * its records, where the codec walks the table at run time: for the few records that are read and
 * written for every event. Included by a source file that hands out what it wants of them; it has
 * no include guard because it is expanded once per table.
 *
 *   #define CAPSTAN_TABLE "actors/ordering/ordering_messages.def"
 *   #include "runtime/wire/inline_codec.h"
 *
 * For a record `event`: inline_encode_event(value, out), inline_decode_event(input, ret_value),
 * inline_next_event(iterator, ret_value). They do what codec_encode, codec_decode (without telling
 * where a fault is) and codec_list_next do, byte for byte: a reader takes what our own writers
 * produce, ascending keys and nothing else, and leaves the verdict on all other bytes to the codec.
 * The value may be written to even when that fails. */
#include "runtime/wire/inline_fields.h"

#define INLINE_BEGIN(name)                                                                         \
    static inline size_t inline_room_##name(const name##_t *value)                                 \
    {                                                                                              \
        size_t room = 1;                                                                           \
        (void)value;
#define MESSAGE(id, name, kind, since, permission, resource_key, meaning) INLINE_BEGIN(name)
#define RECORD(id, name, since, meaning)                                  INLINE_BEGIN(name)
#define FIELD(key, name, type, required, since, meaning)                                           \
    room += 1 + inline_room_##type(value->name);
#define LIST_FIELD(key, name, record, required, since, meaning)                                    \
    room += 1 + inline_room_LIST(value->name);
#define END(name)                                                                                  \
    return room;                                                                                   \
    }
#include CAPSTAN_TABLE
#undef INLINE_BEGIN
#undef FIELD
#undef LIST_FIELD
#undef END

#define INLINE_BEGIN(name)                                                                         \
    static inline void inline_encode_##name(const name##_t *value, buffer_t *out)                  \
    {                                                                                              \
        uint8_t *head = buffer_reserve(out, inline_room_##name(value));                            \
        uint8_t *at = head + 1;                                                                    \
        unsigned count = 0;
#define INLINE_REQUIRED true
#define INLINE_OPTIONAL false
#define INLINE_FIELD(key, name, type, required)                                                    \
    if (INLINE_##required || inline_present_##type(value->name)) {                                 \
        *at = (key);                                                                               \
        at = inline_pack_##type(at + 1, value->name);                                              \
        count++;                                                                                   \
    }
#define FIELD(key, name, type, required, since, meaning) INLINE_FIELD(key, name, type, required)
#define LIST_FIELD(key, name, record, required, since, meaning)                                    \
    INLINE_FIELD(key, name, LIST, required)
#define END(name)                                                                                  \
    if (count > INLINE_FIELDS_MAX) {                                                               \
        codec_encode(name##_wire(), value, out);                                                   \
        return;                                                                                    \
    }                                                                                              \
    *head = (uint8_t)(INLINE_MAP | count);                                                         \
    out->size += (size_t)(at - head);                                                              \
    }
#include CAPSTAN_TABLE
#undef INLINE_BEGIN
#undef INLINE_REQUIRED
#undef INLINE_OPTIONAL
#undef INLINE_FIELD
#undef FIELD
#undef LIST_FIELD
#undef END

/* Ascending keys cannot repeat. What is absent is zeroed by itself: zeroing all first took half of
 * the time. */
#define INLINE_BEGIN(name)                                                                         \
    static inline bool inline_read_##name(const uint8_t **at, const uint8_t *end, name##_t *value) \
    {                                                                                              \
        const uint8_t *place = *at;                                                                \
        bool complete = true;                                                                      \
        if (place == end || (*place & 0xf0) != INLINE_MAP) {                                       \
            return false;                                                                          \
        }                                                                                          \
        unsigned left = *place++ & 0x0f;                                                           \
        (void)value;
#define INLINE_REQUIRED false
#define INLINE_OPTIONAL true
#define INLINE_FIELD(key, name, type, required)                                                    \
    if (place == end || *place != (key) || left == 0) {                                            \
        complete = complete && INLINE_##required;                                                  \
        memset(&value->name, 0, sizeof value->name);                                               \
    } else {                                                                                       \
        place++;                                                                                   \
        left--;                                                                                    \
        if (inline_walk_##type(&place, end, &value->name)) {                                       \
            return false;                                                                          \
        }                                                                                          \
    }
#define FIELD(key, name, type, required, since, meaning) INLINE_FIELD(key, name, type, required)
#define LIST_FIELD(key, name, record, required, since, meaning)                                    \
    INLINE_FIELD(key, name, LIST, required)
#define END(name)                                                                                  \
    *at = place;                                                                                   \
    return complete && left == 0;                                                                  \
    }                                                                                              \
    static inline capstan_err_t inline_decode_##name(slice_t input, name##_t *ret_value)           \
    {                                                                                              \
        const uint8_t *at = walk_begin(input);                                                     \
        const uint8_t *end = at + input.size;                                                      \
        bool read = inline_read_##name(&at, end, ret_value) && at == end;                          \
        return read ? CAPSTAN_OK : codec_decode(name##_wire(), input, ret_value, NULL);            \
    }                                                                                              \
    static inline bool inline_next_##name(codec_list_t *iterator, name##_t *ret_value)             \
    {                                                                                              \
        const uint8_t *begin = walk_begin(iterator->input);                                        \
        const uint8_t *at = begin + iterator->position;                                            \
        const uint8_t *end = begin + iterator->input.size;                                         \
        if (iterator->left == 0 || iterator->fault.err ||                                          \
            !inline_read_##name(&at, end, ret_value)) {                                            \
            return codec_list_next(iterator, ret_value);                                           \
        }                                                                                          \
        iterator->position = (size_t)(at - begin);                                                 \
        iterator->left--;                                                                          \
        return true;                                                                               \
    }
#include CAPSTAN_TABLE
#undef INLINE_BEGIN
#undef INLINE_REQUIRED
#undef INLINE_OPTIONAL
#undef INLINE_FIELD
#undef FIELD
#undef LIST_FIELD
#undef END
#undef MESSAGE
#undef RECORD
#undef CAPSTAN_TABLE
