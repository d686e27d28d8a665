#include "node/assembly.h"

#include "brokers/gateway/endpoint.h"
#include "brokers/gateway/gateway.h"
#include "node/durable.h"
#include "node/schema_cache.h"
#include "node/node_events.h"
#include "node/status_actor.h"
#include "node/tables.h"
#include "runtime/base/ensure.h"
#include "runtime/registry.h"
#include "runtime/telemetry/log.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

struct assembly {
    assembly_settings_t settings;
    capstan_node_t *node;
    durable_t durable;
    schema_cache_t schema; /* the answers to `describe` */
    capstan_ref_t status;
    capstan_ref_t gateway;
    gateway_arguments_t gateway_arguments;
};

static capstan_err_t explain(capstan_err_t err, const char *what, char *ret_text, size_t text_size)
{
    if (err != CAPSTAN_OK && ret_text) {
        snprintf(ret_text, text_size, "%s: %s. %s", what, capstan_err_text(err),
                 capstan_err_remedy(err));
    }
    return err;
}

static capstan_err_t start_node(assembly_t *self)
{
    const runtime_settings_t *settings = self->settings.runtime;
    capstan_err_t err = capstan_node_new(
        &(capstan_node_options_t){
            .id = self->durable.identity.node,
            .boot = self->durable.identity.boot,
            .mailbox_messages = (uint32_t)settings->mailbox_messages,
            .mailbox_bytes = settings->mailbox_bytes,
            .spin_us = (uint32_t)settings->spin_us,
            .strict_wire = settings->strict_wire,
            .trace_sample = (uint32_t)settings->trace_sample,
            .turn_ms_max = (uint32_t)settings->turn_ms_max,
            .hung_ms = (uint32_t)settings->hung_ms,
            .hung_stays = settings->hung_stays,
            .stall_signal = settings->stall_backtrace ? 0 : -1,
            .stop = {.intake_us = (int64_t)settings->stop_intake_ms * 1000,
                     .drain_us = (int64_t)settings->stop_drain_ms * 1000,
                     .commit_us = (int64_t)settings->stop_commit_ms * 1000,
                     .close_us = (int64_t)settings->stop_close_ms * 1000},
        },
        &self->node);
    if (err == CAPSTAN_OK) {
        table_list_t built_in;
        built_in.tables = node_tables(&built_in.count);
        registry_know(node_registry(self->node), built_in);
    }
    return err;
}

static capstan_err_t spawn(assembly_t *self, const capstan_behaviour_t *behaviour, const char *cell,
                           void *argument, capstan_ref_t *ret_ref)
{
    return capstan_node_spawn(
        self->node, behaviour,
        &(capstan_spawn_options_t){.name = behaviour->name, .cell = cell, .argument = argument},
        ret_ref);
}

static capstan_err_t start_gateway(assembly_t *self, char *ret_text, size_t text_size)
{
    self->schema.node = self->node;
    status_arguments_t status = {.name = self->settings.node->name,
                                 .topics = self->durable.topics,
                                 .journal = self->durable.journal};
    capstan_err_t err = spawn(self, &status_behaviour, "gateway", &status, &self->status);
    if (err != CAPSTAN_OK) {
        return explain(err, "status", ret_text, text_size);
    }
    self->gateway_arguments = (gateway_arguments_t){
        .settings = self->settings.gateway,
        .event_bytes_max = self->settings.ordering->event_bytes_max,
        .topics = self->durable.topics,
        .status = self->status,
        .describe = schema_cache_text,
        .describe_context = &self->schema,
    };
    err = spawn(self, &gateway_behaviour, "gateway", &self->gateway_arguments, &self->gateway);
    if (self->gateway_arguments.error_text[0] == 0) {
        return explain(err, "gateway", ret_text, text_size);
    }
    if (err != CAPSTAN_OK && ret_text) {
        snprintf(ret_text, text_size, "%s", self->gateway_arguments.error_text);
    }
    return err;
}

static void free_assembly(assembly_t *self)
{
    durable_fini(&self->durable);
    schema_cache_fini(&self->schema);
    free(self);
}

capstan_err_t assembly_start(const assembly_settings_t *settings, assembly_t **ret_assembly,
                             char *ret_text, size_t text_size)
{
    if (sodium_init() < 0) {
        return explain(CAPSTAN_E_SYSTEM, "libsodium", ret_text, text_size);
    }
    /* Before the store: what is refused for its settings leaves no file behind. */
    char bind_to[ENDPOINT_SIZE];
    bool ipv6;
    capstan_err_t err =
        endpoint_check(settings->gateway->endpoint, bind_to, &ipv6, ret_text, text_size);
    if (err != CAPSTAN_OK) {
        return err;
    }
    assembly_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->settings = *settings;
    self->durable.journal_settings = settings->journal;
    self->durable.ordering_settings = settings->ordering;
    self->durable.saga_settings = settings->saga;
    err = durable_open(&self->durable, settings->node->name, ret_text, text_size);
    if (err == CAPSTAN_OK) {
        err = explain(start_node(self), "runtime", ret_text, text_size);
    }
    if (err == CAPSTAN_OK) {
        err = durable_start(&self->durable, self->node, ret_text, text_size);
    }
    if (err == CAPSTAN_OK) {
        err = start_gateway(self, ret_text, text_size);
    }
    if (err != CAPSTAN_OK) {
        (void)!assembly_stop(&self);
        return err;
    }
    *ret_assembly = self;
    return CAPSTAN_OK;
}

const char *assembly_endpoint(const assembly_t *self)
{
    return self->gateway_arguments.endpoint;
}

capstan_node_t *assembly_node(const assembly_t *self)
{
    return self->node;
}

static void log_late(void *context, const char *name)
{
    (void)context;
    LOG(node, stop_late, log_string("name", name));
}

capstan_err_t assembly_stop(assembly_t **self_p)
{
    assembly_t *self = *self_p;
    if (!self) {
        return CAPSTAN_OK;
    }
    int64_t timeout_us = (int64_t)self->settings.node->stop_timeout_ms * 1000;
    capstan_err_t err = capstan_node_stop(&self->node, timeout_us, log_late, NULL);
    if (err == CAPSTAN_OK) {
        free_assembly(self);
        *self_p = NULL;
    }
    return err;
}
