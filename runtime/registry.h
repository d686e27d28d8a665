/* The tables that users registered with a node, and the check of a table before it joins them.
 * Tables are only ever added. Any thread. */
#ifndef RUNTIME_REGISTRY_H
#define RUNTIME_REGISTRY_H

#include "runtime/wire/codec.h"

#include <capstan/actor.h>

#include <pthread.h>

/* Some tables: the ones that a registry's must not clash with. */
typedef struct table_list {
    const wire_table_t *const *tables;
    size_t count;
} table_list_t;

typedef struct registry {
    pthread_mutex_t mutex;
    const wire_table_t **tables;
    size_t count;
    table_list_t built_in; /* for registry_name */
} registry_t;

/* The registry of a node. */
registry_t *node_registry(capstan_node_t *self);

void registry_init(registry_t *self);
void registry_fini(registry_t *self);

/* Adds a table, which must outlive the registry. On failure nothing was added, and `ret_text` (may
 * be NULL) says which row, what is wrong, and what to do.
 * Errors: INVALID (an id below 0x8000, a row that cannot be used), EXISTS (an id or name that is
 * given twice, in the table itself or beside `built_in` and what is registered). */
CAPSTAN_MUST_CHECK capstan_err_t registry_add(registry_t *self, const wire_table_t *table,
                                              table_list_t built_in, char *ret_text,
                                              size_t text_size);

/* Beside the runtime's own tables, which it knows: those that registry_name is to know too. The
 * list outlives the registry. */
void registry_know(registry_t *self, table_list_t built_in);
/* That list; empty when it was not told. */
table_list_t registry_built_in(registry_t *self);
/* The name of a message's row; NULL when there is none. It lives as long as its table. */
const char *registry_name(registry_t *self, uint32_t message);

size_t registry_count(registry_t *self);
/* `built_in`, then what is registered; to be freed with free(). */
const wire_table_t **registry_all(registry_t *self, table_list_t built_in, size_t *ret_count);

#endif
