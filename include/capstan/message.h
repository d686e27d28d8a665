/* Messages of one's own: tables of messages, and the codec that walks them.
 *
 * A message's body is a msgpack map with integer keys 1 to 127. A table says which keys it has, of
 * which type, and what they mean. It is a file of rows, of the same form as Capstan's own, for
 * example shop_messages.def:
 *
 *   RECORD(0x8001, shop_item, 1, "One line of an order.")
 *   FIELD(1, article, STR, REQUIRED, 1, "the article's number")
 *   FIELD(2, pieces, UINT, OPTIONAL, 1, "how many")
 *   END(shop_item)
 *
 *   MESSAGE(0x8002, shop_order, REQUEST, 1, "", "", "Orders articles.")
 *   FIELD(1, customer, STR, REQUIRED, 1, "who orders")
 *   LIST_FIELD(2, items, shop_item, REQUIRED, 1, "what is ordered")
 *   END(shop_order)
 *
 *   MESSAGE(id, name, KIND, since, permission, resource_key, "what it does")
 *     id            0x8000 to 0xffff; what is below belongs to Capstan. Each id is given once, to a
 *                   message or a record
 *     KIND          REQUEST, REPLY or EVENT
 *     since         version of your protocol that brought it, 1 and up
 *     permission    what a peer must be allowed to send it; "": actors of the node only
 *     resource_key  name of the field that names the resource it is about, or ""
 *   RECORD(id, name, since, "what it is")
 *     what is part of a message (see LIST_FIELD) or is stored, but never sent by itself
 *   FIELD(key, name, TYPE, REQUIRED|OPTIONAL, since, "meaning, unit")
 *     key           1 to 127, ascending within a message, and never given to another field later
 *     TYPE          UINT, INT, BOOL, STR, BIN or REF; see field_types.def
 *   LIST_FIELD(key, name, record, REQUIRED|OPTIONAL, since, "meaning")
 *     a list of records, of this table or another
 *   END(name)
 *
 * message_structs.h expands the table to C structs, in a header of yours; message_descriptors.h to
 * what the codec needs, in one source file of yours. Then:
 *
 *   shop_order_t order = {.customer = capstan_slice_text("Ada"), .items = items};
 *   capstan_buffer_t body = {0};
 *   err = capstan_encode(shop_order_wire(), &order, &body, NULL);
 *   ... capstan_tell(self, shop, MESSAGE_shop_order, capstan_buffer_slice(&body)) ...
 *   capstan_buffer_fini(&body);
 *
 * and in the receiver:
 *
 *   shop_order_t order;
 *   capstan_fault_t fault;
 *   err = capstan_decode(shop_order_wire(), message->body, &order, &fault);
 *
 * A field that is not REQUIRED and is absent reads as zero (empty, false), and is left out when it
 * is zero: absent fields cost no bytes. Keys that a reader does not know are skipped, and enums may
 * have values that it does not know, so that old and new programs understand each other as long as
 * no REQUIRED field is added to a message that is in use.
 *
 * capstan_node_register (node.h) makes a table known to a node, whose `describe` then shows it. The
 * functions here need no node. All are reentrant, never block, and may be called from any thread.
 */
#ifndef CAPSTAN_MESSAGE_H
#define CAPSTAN_MESSAGE_H

#include <capstan/buffer.h>
#include <capstan/error.h>
#include <capstan/ref.h>
#include <capstan/slice.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    CAPSTAN_KEY_MAX = 127,        /* keys of fields are 1 to this */
    CAPSTAN_USER_ID_MIN = 0x8000, /* ids of users' messages and records are this to 0xffff */
};

typedef enum capstan_kind {
    CAPSTAN_KIND_RECORD = 0,  /* in a table: no message, but a part of some */
    CAPSTAN_KIND_REQUEST = 1, /* wants one reply or error */
    CAPSTAN_KIND_REPLY = 2,
    CAPSTAN_KIND_EVENT = 3, /* wants no answer */
    CAPSTAN_KIND_ERROR = 4, /* body: message `failure` */
} capstan_kind_t;

/* --- what a table expands to -------------------------------------------------------------------
 * Read by the codec; written only by the expansion of a table. */

typedef enum capstan_type {
#define TYPE(name, c_type, wire, cddl, meaning) CAPSTAN_TYPE_##name,
#include <capstan/field_types.def>
#undef TYPE
    CAPSTAN_TYPE_COUNT
} capstan_type_t;

/* The C type of a field of each type: capstan_field_UINT_t and so on. */
#define TYPE(name, c_type, wire, cddl, meaning) typedef c_type capstan_field_##name##_t;
#include <capstan/field_types.def>
#undef TYPE

typedef struct capstan_record capstan_record_t;

typedef struct capstan_field {
    uint8_t key;
    capstan_type_t type;
    bool required;
    uint16_t since;  /* protocol version that brought it */
    uint32_t offset; /* in the C struct */
    const char *name;
    const char *meaning;
    const capstan_record_t *(*record)(void); /* LIST: what it lists */
} capstan_field_t;

/* The descriptor of a message or record. */
struct capstan_record {
    uint16_t id;         /* message number, or record number where it is stored */
    capstan_kind_t kind; /* CAPSTAN_KIND_RECORD: no message */
    uint16_t since;
    uint16_t field_count;
    uint32_t size; /* of the C struct */
    const char *name;
    const char *permission;   /* messages: what a peer must be allowed; "" is internal only */
    const char *resource_key; /* messages: the field that names the resource, or "" */
    const char *meaning;
    const capstan_field_t *fields;                      /* ascending keys */
    const capstan_field_t *by_key[CAPSTAN_KEY_MAX + 1]; /* NULL where there is no such key */
    uint64_t required[2]; /* the keys of required fields, a bit each */
    const char *wrong;    /* why the rows cannot be used; NULL when they can */
};

/* All rows of one table, in its order. */
typedef struct capstan_table {
    const char *concern; /* its name, CAPSTAN_TABLE_NAME */
    const capstan_record_t *(*const *records)(void);
    size_t count;
} capstan_table_t;

/* What the expansion calls: fills `record` on first use. Any thread. */
CAPSTAN_API const capstan_record_t *capstan_record_once(capstan_record_t *record, bool *ready,
                                                        const capstan_record_t *head,
                                                        const capstan_field_t *fields,
                                                        size_t count);

/* --- encode and decode ----------------------------------------------------------------------- */

/* Why a value or its bytes were refused: the first offending place. */
typedef struct capstan_fault {
    capstan_err_t err;
    size_t position;   /* decoding: byte in the input; encoding a list: place in the array */
    const char *field; /* the field's name, constant text; NULL when it is not one field */
} capstan_fault_t;

/* Writes "field pieces: a field has the wrong type (at byte 12)" to `text`, cut to `size` bytes
 * with its terminator; made for capstan_reply_error and logs. Returns `text`. */
CAPSTAN_API const char *capstan_fault_text(const capstan_fault_t *fault, char *text, size_t size);

/* Appends the encoding of the struct at `value` to `out`. The struct's slices are copied; they must
 * not lie in `out` itself. On failure `out` is unchanged, and `ret_fault` (may be NULL) names the
 * field. Errors: NOT_UTF8 (a STR), MALFORMED or TOO_DEEP (a list that was not made by
 * capstan_encode_list), INVALID (a slice in `out`; a row whose table is wrong, see
 * capstan_node_register), TOO_LARGE (4 GiB, or more than a borrowed buffer holds), NO_MEMORY. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_encode(const capstan_record_t *record,
                                                            const void *value,
                                                            capstan_buffer_t *out,
                                                            capstan_fault_t *ret_fault);

/* Appends a list of `count` structs of `record`, an array that begins at `values`. Each list has a
 * buffer of its own, whose capstan_buffer_slice is the value of the LIST_FIELD until the struct
 * with the field is encoded. Errors as in capstan_encode; the fault's `position` is the place in
 * the array. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_encode_list(const capstan_record_t *record,
                                                                 const void *values, size_t count,
                                                                 capstan_buffer_t *out,
                                                                 capstan_fault_t *ret_fault);

/* Reads one body, which fills `input` exactly, into the struct at `ret_value`. It allocates
 * nothing: the struct's slices point into `input`, which must outlive it. A list stays encoded
 * until it is walked. Whatever the bytes are, the call is safe. On failure `ret_value` is
 * untouched, and `ret_fault` (may be NULL) names the field. Errors: MALFORMED, TOO_DEEP,
 * FIELD_MISSING, FIELD_TYPE, NOT_UTF8; INVALID (a row whose table is wrong). */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_decode(const capstan_record_t *record,
                                                            capstan_slice_t input, void *ret_value,
                                                            capstan_fault_t *ret_fault);

/* Walks the list in a decoded struct:
 *
 *   capstan_list_t list;
 *   shop_item_t item;
 *   err = capstan_list_open(shop_item_wire(), order.items, &list);
 *   while (!err && capstan_list_next(&list, &item)) { ... }
 *   err = err ? err : list.fault.err;
 *
 * `capstan_list_open` takes the empty slice as an empty list. `capstan_list_next` returns false at
 * the end and on a fault; `fault.err` tells which. `left` is the number of elements still to come;
 * a stranger may claim more than there are, but never more than bytes. */
typedef struct capstan_list {
    const capstan_record_t *record;
    capstan_slice_t input;
    size_t position; /* of the next element in the input */
    uint32_t left;
    capstan_fault_t fault;
} capstan_list_t;

CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_list_open(const capstan_record_t *record,
                                                               capstan_slice_t list,
                                                               capstan_list_t *ret_list);
CAPSTAN_API bool capstan_list_next(capstan_list_t *self, void *ret_value);

#endif
