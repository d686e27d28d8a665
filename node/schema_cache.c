#include "node/schema_cache.h"

#include "node/tables.h"
#include "runtime/registry.h"

slice_t schema_cache_text(void *argument, slice_t format)
{
    schema_cache_t *self = argument;
    schema_format_t number;
    if (!schema_format_find(format, &number)) {
        return (slice_t){0};
    }
    buffer_t *text = &self->formats[number].text;
    size_t tables = registry_count(node_registry(self->node));
    if (text->size == 0 || tables != self->formats[number].tables) {
        buffer_clear(text);
        node_schema(self->node, number, text);
        self->formats[number].tables = tables;
    }
    return buffer_slice(text);
}

void schema_cache_fini(schema_cache_t *self)
{
    for (size_t i = 0; i < SCHEMA_FORMAT_COUNT; i++) {
        buffer_fini(&self->formats[i].text);
    }
}
