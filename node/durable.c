#include "node/durable.h"

#include "actors/ordering/ordering.h"
#include "actors/ordering/ordering_messages.h"
#include "actors/saga/saga_actor.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum { RECOVERY_US = 600 * 1000000 };

static capstan_err_t explain(capstan_err_t err, const durable_t *self, char *ret_text,
                             size_t text_size)
{
    if (err != CAPSTAN_OK && ret_text) {
        snprintf(ret_text, text_size, "%s: %s. %s", self->journal_settings->path,
                 capstan_err_text(err), capstan_err_remedy(err));
    }
    return err;
}

capstan_err_t durable_open(durable_t *self, const char *node_name, char *ret_text, size_t text_size)
{
    store_options_t options = {.path = self->journal_settings->path,
                               .checkpoint_bytes = self->journal_settings->checkpoint_bytes};
    capstan_err_t err = store_open(&options, &self->store, ret_text, text_size);
    if (err != CAPSTAN_OK) {
        return err;
    }
    uint64_t random;
    randombytes_buf(&random, sizeof random);
    err = store_claim(self->store, random, slice_text(node_name), &self->identity);
    if (err != CAPSTAN_OK) {
        return explain(err, self, ret_text, text_size);
    }
    options.read_only = true;
    return store_open(&options, &self->reader_store, ret_text, text_size);
}

static capstan_err_t spawn(capstan_node_t *node, const capstan_behaviour_t *behaviour,
                           const char *cell, void *argument, capstan_ref_t *ret_ref)
{
    return capstan_node_spawn(
        node, behaviour,
        &(capstan_spawn_options_t){.name = behaviour->name, .cell = cell, .argument = argument},
        ret_ref);
}

static capstan_err_t start_journal(durable_t *self, capstan_node_t *node)
{
    journal_arguments_t writer = {.store = self->store,
                                  .commit_bytes_max = self->journal_settings->commit_bytes_max};
    journal_reader_arguments_t reader = {.store = self->reader_store};
    capstan_err_t err = spawn(node, &journal_behaviour, "journal", &writer, &self->journal);
    if (err != CAPSTAN_OK) {
        return err;
    }
    self->store = NULL;
    err = spawn(node, &journal_reader_behaviour, "journal-reader", &reader, &self->reader);
    if (err == CAPSTAN_OK) {
        self->reader_store = NULL;
    }
    return err;
}

static capstan_err_t start_ordering(durable_t *self, capstan_node_t *node)
{
    topics_arguments_t arguments = {.settings = self->ordering_settings,
                                    .journal = self->journal,
                                    .reader = self->reader,
                                    .boot = self->identity.boot};
    capstan_err_t err = spawn(node, &topics_behaviour, "ordering", &arguments, &self->topics);
    return err ? err
               : capstan_node_ask(node, self->topics, MESSAGE_topics_settle, (slice_t){0},
                                  RECOVERY_US, NULL, NULL);
}

/* Peers reach it by its name. */
static capstan_err_t start_sagas(durable_t *self, capstan_node_t *node)
{
    saga_arguments_t arguments = {.settings = self->saga_settings,
                                  .journal = self->journal,
                                  .reader = self->reader,
                                  .topics = self->topics};
    return capstan_node_spawn(
        node, &saga_behaviour,
        &(capstan_spawn_options_t){
            .name = saga_behaviour.name, .cell = "saga", .argument = &arguments, .external = true},
        &self->saga);
}

capstan_err_t durable_start(durable_t *self, capstan_node_t *node, char *ret_text, size_t text_size)
{
    capstan_err_t err = start_journal(self, node);
    err = err ? err : start_ordering(self, node);
    err = err ? err : start_sagas(self, node);
    return explain(err, self, ret_text, text_size);
}

void durable_fini(durable_t *self)
{
    store_close(&self->reader_store);
    store_close(&self->store);
}
