/* What users register with a node, beside the tables that it has anyway. */
#include "node/tables.h"
#include "runtime/base/ensure.h"
#include "runtime/registry.h"
#include "runtime/runtime.h"

#include <stdlib.h>

static table_list_t own_tables(void)
{
    table_list_t list;
    list.tables = node_tables(&list.count);
    return list;
}

void node_schema(capstan_node_t *node, schema_format_t format, buffer_t *out)
{
    size_t count;
    const wire_table_t **tables = registry_all(node_registry(node), own_tables(), &count);
    schema_print(tables, count, format, out);
    free(tables);
}

capstan_err_t capstan_node_register(capstan_node_t *self, const capstan_table_t *table,
                                    char *ret_text, size_t text_size)
{
    if (!node_enter(self)) {
        return CAPSTAN_E_STOPPING;
    }
    capstan_err_t err = registry_add(node_registry(self), table, own_tables(), ret_text, text_size);
    node_leave(self);
    return err;
}

capstan_err_t capstan_node_schema(capstan_node_t *self, capstan_schema_format_t format,
                                  capstan_buffer_t *out)
{
    if ((unsigned)format >= CAPSTAN_SCHEMA_COUNT) {
        return CAPSTAN_E_INVALID;
    }
    if (!node_enter(self)) {
        return CAPSTAN_E_STOPPING;
    }
    buffer_t text = {0};
    node_schema(self, (schema_format_t)format, &text);
    node_leave(self);
    bool room = buffer_try_reserve(out, text.size);
    if (room) {
        buffer_append(out, text.data, text.size);
    }
    buffer_fini(&text);
    return room ? CAPSTAN_OK : out->borrowed ? CAPSTAN_E_TOO_LARGE : CAPSTAN_E_NO_MEMORY;
}
