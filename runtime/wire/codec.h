/* One codec for everything that is sent or stored. It walks the tables.
 *
 * A body or record is a msgpack map with integer keys 1 to 127. Each MESSAGE or RECORD row of a
 * `.def` table becomes a C struct `<name>_t` and a descriptor; encode and decode go between the
 * two. Unknown keys are skipped. Decoding allocates nothing: slices point into the input, which
 * must outlive the struct. A LIST stays encoded until it is walked with codec_list_next.
 *
 * The checks on a stranger's bytes are here and nowhere else: depth, every claimed count and
 * length against the bytes present, UTF-8, types, required fields. All functions are reentrant,
 * never block, and may be called from any thread. */
#ifndef WIRE_CODEC_H
#define WIRE_CODEC_H

#include "runtime/base/buffer.h"
#include "runtime/base/slice.h"

#include <capstan/error.h>
#include <capstan/ref.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum wire_type {
#define TYPE(name, c_type, wire, meaning) WIRE_##name,
#include "runtime/wire/types.def"
#undef TYPE
    WIRE_TYPE_COUNT
} wire_type_t;

enum {
    WIRE_KEY_MAX = 127,
    WIRE_DEPTH_MAX = 16, /* nesting that is skipped over in unknown fields */
};

typedef struct wire_record wire_record_t;

typedef struct wire_field {
    uint8_t key;
    wire_type_t type;
    bool required;
    uint16_t since; /* protocol version that brought it */
    uint32_t offset;
    const char *name;
    const char *meaning;
    const wire_record_t *(*record)(void); /* LIST: what it lists */
} wire_field_t;

typedef enum wire_kind {
    WIRE_KIND_RECORD = 0, /* nested or stored, never sent by itself */
    WIRE_KIND_REQUEST = 1,
    WIRE_KIND_REPLY = 2,
    WIRE_KIND_EVENT = 3,
    WIRE_KIND_ERROR = 4,
} wire_kind_t;

struct wire_record {
    uint16_t id; /* message number, or record number where it is stored */
    wire_kind_t kind;
    uint16_t since;
    uint16_t field_count;
    uint32_t size; /* of the C struct */
    const char *name;
    const char *permission;   /* messages: what a peer must be allowed; "" is internal only */
    const char *resource_key; /* messages: the field that names the resource, or "" */
    const char *meaning;
    const wire_field_t *fields;                   /* ascending keys */
    const wire_field_t *by_key[WIRE_KEY_MAX + 1]; /* NULL where there is no such key */
    uint64_t required[2];                         /* the keys of required fields, a bit each */
};

/* What the expansion of a table calls: fills `record` on first use; see codec.c. Any thread. */
const wire_record_t *wire_record_once(wire_record_t *record, bool *ready, const wire_record_t *head,
                                      const wire_field_t *fields, size_t count);

/* All rows of one .def file, in its order. */
typedef struct wire_table {
    const char *concern;
    const wire_record_t *(*const *records)(void);
    size_t count;
} wire_table_t;

/* Why decoding failed: the first offending place. */
typedef struct codec_fault {
    capstan_err_t err;
    size_t position;   /* byte in the input */
    const char *field; /* constant text, or NULL when it is not one field */
} codec_fault_t;

/* Appends the encoding of the struct at `value` to `out`. Text is not checked for UTF-8. */
void codec_encode(const wire_record_t *record, const void *value, buffer_t *out);

/* Reads one map that fills `input` exactly. `ret_fault` may be NULL. On failure `ret_value` is
 * untouched. Errors: MALFORMED, TOO_DEEP, FIELD_MISSING, FIELD_TYPE, NOT_UTF8. */
CAPSTAN_MUST_CHECK capstan_err_t codec_decode(const wire_record_t *record, slice_t input,
                                              void *ret_value, codec_fault_t *ret_fault);

/* Walking a LIST. `codec_list_open` accepts the empty slice as an empty list. `codec_list_next`
 * returns false at the end and on a fault; `iterator->fault.err` tells which. */
typedef struct codec_list {
    const wire_record_t *record;
    slice_t input;
    size_t position;
    uint32_t left;
    codec_fault_t fault;
} codec_list_t;

CAPSTAN_MUST_CHECK capstan_err_t codec_list_open(const wire_record_t *record, slice_t list,
                                                 codec_list_t *ret_iterator);
bool codec_list_next(codec_list_t *iterator, void *ret_value);
/* The same, handing out the element's encoded bytes instead of its struct. */
bool codec_list_next_raw(codec_list_t *iterator, slice_t *ret_element);

/* Building a LIST: begin, any number of adds (each a codec_encode of one element), end. The count
 * is written at a fixed width, so `end` patches it in place. One list at a time per writer. */
typedef struct codec_list_writer {
    buffer_t *out;
    size_t head;
    uint32_t count;
} codec_list_writer_t;

codec_list_writer_t codec_list_begin(buffer_t *out);
void codec_list_add(codec_list_writer_t *self, const wire_record_t *record, const void *value);
void codec_list_add_raw(codec_list_writer_t *self, slice_t element);
void codec_list_end(codec_list_writer_t *self);

/* The number of elements a list claims; 0 for the empty slice or bytes that are no list. */
uint32_t codec_list_count(slice_t list);

/* Finds one STR, BIN or UINT field of an encoded map without decoding the rest; used by the
 * gateway to route a body. Returns false when it is absent, malformed or of another type. */
bool codec_peek_slice(slice_t input, uint8_t key, slice_t *ret_value);
bool codec_peek_uint(slice_t input, uint8_t key, uint64_t *ret_value);

#endif
