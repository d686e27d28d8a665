/* The answers to `describe`: the tables of a node, those that users registered too. A text is
 * printed once per format, and again when a table was registered since. For the gateway's cell. */
#ifndef NODE_SCHEMA_CACHE_H
#define NODE_SCHEMA_CACHE_H

#include "runtime/base/buffer.h"
#include "runtime/wire/schema.h"

typedef struct schema_cache {
    capstan_node_t *node;
    struct {
        buffer_t text;
        size_t tables; /* that were registered when it was printed */
    } formats[SCHEMA_FORMAT_COUNT];
} schema_cache_t;

/* `self` is a schema_cache_t. The text lives until the next call with that format; it is empty when
 * there is no such format. */
slice_t schema_cache_text(void *self, slice_t format);
void schema_cache_fini(schema_cache_t *self);

#endif
