/* The durable part of a node: its store, the journal, the topics, and the sagas. The program's node
 * has it, and an embedded one whose topics are opened. */
#ifndef NODE_DURABLE_H
#define NODE_DURABLE_H

#include "actors/journal/journal.h"
#include "actors/journal/journal_settings.h"
#include "actors/ordering/ordering_settings.h"
#include "actors/saga/saga_settings.h"

#include <capstan/node.h>

typedef struct durable {
    const journal_settings_t *journal_settings; /* outlive the node */
    const ordering_settings_t *ordering_settings;
    const saga_settings_t *saga_settings;
    store_t *store; /* until the journal takes it over */
    store_t *reader_store;
    store_identity_t identity;
    capstan_ref_t journal;
    capstan_ref_t reader;
    capstan_ref_t topics;
    capstan_ref_t saga;
} durable_t;

/* Opens the store, and takes it for a node of this name. `ret_text` says what failed, where, and
 * what to do; it may be NULL. */
CAPSTAN_MUST_CHECK capstan_err_t durable_open(durable_t *self, const char *node_name,
                                              char *ret_text, size_t text_size);
/* Starts the actors, and returns when all topics and sagas have recovered. */
CAPSTAN_MUST_CHECK capstan_err_t durable_start(durable_t *self, capstan_node_t *node,
                                               char *ret_text, size_t text_size);
/* Closes what no actor has taken over. */
void durable_fini(durable_t *self);

#endif
