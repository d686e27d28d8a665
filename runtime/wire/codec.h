/* One codec for everything that is sent or stored. It walks the tables.
 *
 * A body or record is a msgpack map with integer keys 1 to 127. Each MESSAGE or RECORD row of a
 * `.def` table becomes a C struct `<name>_t` and a descriptor; encode and decode go between the
 * two. Unknown keys are skipped. Decoding allocates nothing: slices point into the input, which
 * must outlive the struct. A LIST stays encoded until it is walked with codec_list_next.
 *
 * The checks on a stranger's bytes are here and nowhere else: depth, every claimed count and
 * length against the bytes present, UTF-8, types, required fields. All functions are reentrant,
 * never block, and may be called from any thread. What users of the library call is message.c,
 * which adds the checks of what they hand in. */
#ifndef WIRE_CODEC_H
#define WIRE_CODEC_H

#include "runtime/base/buffer.h"
#include "runtime/base/slice.h"

#include <capstan/message.h>

enum {
    WIRE_KEY_MAX = CAPSTAN_KEY_MAX,
    WIRE_DEPTH_MAX = 16, /* nesting that is skipped over in unknown fields */
    /* Messages from here on go through sessions by reference, and their bodies unread: those of
     * Capstan's own concerns, and from CAPSTAN_USER_ID_MIN users'. */
    WIRE_REFERENCE_ID_MIN = 0x100,
};

/* The internal short names of what message.h describes. */
typedef capstan_field_t wire_field_t;
typedef capstan_record_t wire_record_t;
typedef capstan_table_t wire_table_t;
typedef capstan_fault_t codec_fault_t;
typedef capstan_list_t codec_list_t;

/* Appends the encoding of the struct at `value` to `out`. Text is not checked for UTF-8. */
void codec_encode(const wire_record_t *record, const void *value, buffer_t *out);

/* Reads one map that fills `input` exactly. `ret_fault` may be NULL. On failure `ret_value` is
 * untouched. Errors: MALFORMED, TOO_DEEP, FIELD_MISSING, FIELD_TYPE, NOT_UTF8. */
CAPSTAN_MUST_CHECK capstan_err_t codec_decode(const wire_record_t *record, slice_t input,
                                              void *ret_value, codec_fault_t *ret_fault);

/* Walking a LIST. `codec_list_open` accepts the empty slice as an empty list. `codec_list_next`
 * returns false at the end and on a fault; `iterator->fault.err` tells which. */
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
