/* A schema as it is kept: arrays that refer to each other by index. Shared by the file that reads a
 * schema and the one that checks payloads, and by nobody else.
 *
 *   schemas   [ 0: itself | 1 | 2 ... ]
 *                 | members: a stretch of, ascending names    values: a stretch of
 *   members   [ name, schema, required | ... ]    values  [ kind, number or text | ... ]
 *                 |                                           |
 *   bytes     [ ... ]  <--------------------------------------+                        */
#ifndef ORDERING_PAYLOAD_TABLE_H
#define ORDERING_PAYLOAD_TABLE_H

#include "actors/ordering/payload_reader.h"
#include "actors/ordering/payload_schema.h"
#include "runtime/base/buffer.h"

enum {
    SCHEMA_ANY = PAYLOAD_SCHEMAS_MAX,        /* in place of an index: nothing is asked */
    SCHEMA_WHOLE = 1 << (PAYLOAD_BYTES + 1), /* of types: of numbers only whole ones */
    SCHEMA_ALL = (1 << (PAYLOAD_BYTES + 1)) - 1,
};

typedef struct schema_stretch {
    uint32_t first;
    uint32_t count;
} schema_stretch_t;

typedef struct schema_bound {
    payload_number_t number;
    bool given;
    bool open; /* the number itself is outside */
} schema_bound_t;

typedef struct schema_node {
    uint32_t types; /* a bit for each payload_kind_t, and SCHEMA_WHOLE */
    uint32_t items; /* schema */
    bool closed;    /* no other members than those that are named as properties */
    bool has_values;
    bool has_constant;
    schema_stretch_t members;
    uint32_t required; /* how many of them are */
    schema_stretch_t values;
    uint32_t constant; /* value */
    schema_bound_t least;
    schema_bound_t most;
    uint32_t length_min; /* those of 64 bits are cut to 32, which no payload reaches */
    uint32_t length_max;
    uint32_t items_min;
    uint32_t items_max;
} schema_node_t;

typedef struct schema_member {
    uint32_t name_at;
    uint32_t name_size;
    uint32_t schema;
    bool property; /* else it is only required */
    bool required;
} schema_member_t;

typedef struct schema_value {
    payload_kind_t kind;
    bool boolean;
    payload_number_t number;
    uint32_t text_at;
    uint32_t text_size;
} schema_value_t;

struct payload_schema {
    buffer_t nodes;   /* schema_node_t */
    buffer_t members; /* schema_member_t */
    buffer_t values;  /* schema_value_t */
    buffer_t bytes;   /* of names and texts */
};

static inline slice_t schema_bytes(const payload_schema_t *self, uint32_t at, uint32_t size)
{
    return slice_of(self->bytes.data + at, size);
}

#endif
