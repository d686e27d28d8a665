/* A whole node: runtime, journal, ordering, sagas and gateway, put together from their settings.
 * The only place that knows them all; the program and its tests start nodes through it. */
#ifndef NODE_ASSEMBLY_H
#define NODE_ASSEMBLY_H

#include "actors/journal/journal_settings.h"
#include "actors/ordering/ordering_settings.h"
#include "actors/saga/saga_settings.h"
#include "brokers/gateway/gateway_settings.h"
#include "node/node_settings.h"
#include "runtime/runtime_settings.h"

#include <capstan/node.h>

typedef struct assembly assembly_t;

/* The settings must outlive the assembly. */
typedef struct assembly_settings {
    const node_settings_t *node;
    const runtime_settings_t *runtime;
    const gateway_settings_t *gateway;
    const ordering_settings_t *ordering;
    const journal_settings_t *journal;
    const saga_settings_t *saga;
} assembly_settings_t;

/* Opens the store, recovers, and returns when peers can connect. On failure nothing is left
 * running, and `ret_text` says what failed, where, and what to do. */
CAPSTAN_MUST_CHECK capstan_err_t assembly_start(const assembly_settings_t *settings,
                                                assembly_t **ret_assembly, char *ret_text,
                                                size_t text_size);

/* Where peers connect, with the port that was really bound. */
const char *assembly_endpoint(const assembly_t *self);
capstan_node_t *assembly_node(const assembly_t *self);

/* Stops in order within node.stop_timeout_ms. STOP_TIMEOUT: each that was late has been logged as
 * node.stop_late; what it owns is still in use, and the process should end. Other errors do not
 * occur. NULL is accepted. */
CAPSTAN_MUST_CHECK capstan_err_t assembly_stop(assembly_t **self_p);

#endif
