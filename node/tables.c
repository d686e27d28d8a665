#include "node/tables.h"

#include "actors/journal/journal_messages.h"
#include "actors/ordering/ordering_messages.h"
#include "actors/pool/pool_messages.h"
#include "actors/saga/saga_messages.h"
#include "brokers/gateway/gateway_messages.h"
#include "runtime/runtime_messages.h"
#include "runtime/wire/wire_messages.h"

const wire_table_t *const *node_tables(size_t *ret_count)
{
    static const wire_table_t *const tables[] = {
        &wire_table, &gateway_table, &ordering_table, &journal_table,
        &saga_table, &pool_table,    &runtime_table,
    };
    *ret_count = sizeof tables / sizeof tables[0];
    return tables;
}
