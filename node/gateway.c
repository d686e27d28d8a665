/* The gateway of a node that is embedded: with the tables of its program, and with its topics if
 * they are open. */
#include "brokers/gateway/gateway.h"
#include "node/schema_cache.h"
#include "node/status_actor.h"
#include "node/tables.h"
#include "node/topics.h"
#include "runtime/base/ensure.h"
#include "runtime/registry.h"
#include "runtime/runtime.h"

#include <capstan/gateway.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { BODY_BYTES_MAX = 1 << 20 }; /* what a batch holds */

static const char status_name[] = "capstan.status";

/* What the gateway reads as long as it lives. */
typedef struct embedded {
    settings_t *settings;
    schema_cache_t schema;
} embedded_t;

static void destroy(void *context)
{
    embedded_t *self = context;
    settings_destroy(&self->settings);
    schema_cache_fini(&self->schema);
    free(self);
}

static capstan_err_t set_number(embedded_t *self, const char *name, uint64_t value, char *ret_text,
                                size_t text_size)
{
    char assignment[96];
    if (value == 0) {
        return CAPSTAN_OK;
    }
    snprintf(assignment, sizeof assignment, "gateway.%s=%" PRIu64, name, value);
    return settings_assign(self->settings, assignment, ret_text, text_size);
}

static capstan_err_t take_options(embedded_t *self, const capstan_gateway_options_t *options,
                                  char *ret_text, size_t text_size)
{
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"sessions_max", options->sessions_max},
        {"heartbeat_ms", options->heartbeat_ms},
        {"credit_messages", options->credit_messages},
        {"credit_bytes", options->credit_bytes},
        {"outbox_bytes", options->outbox_bytes},
        {"memory_bytes_max", options->memory_bytes_max},
    };
    char assignment[512];
    capstan_err_t err = CAPSTAN_OK;
    if (options->endpoint) {
        snprintf(assignment, sizeof assignment, "gateway.endpoint=%s", options->endpoint);
        err = settings_assign(self->settings, assignment, ret_text, text_size);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && err == CAPSTAN_OK; i++) {
        err = set_number(self, numbers[i].name, numbers[i].value, ret_text, text_size);
    }
    return err;
}

/* It stays when the gateway cannot be opened, for the next try. */
static capstan_err_t start_status(capstan_node_t *node, capstan_ref_t *ret_ref)
{
    const durable_t *durable = topics_of(node);
    status_arguments_t arguments = {.name = "embedded",
                                    .topics = durable ? durable->topics : (capstan_ref_t){0},
                                    .journal = durable ? durable->journal : (capstan_ref_t){0}};
    if (capstan_node_resolve(node, status_name, ret_ref) == CAPSTAN_OK) {
        return CAPSTAN_OK;
    }
    return capstan_node_spawn(
        node, &status_behaviour,
        &(capstan_spawn_options_t){.name = status_name, .cell = "gateway", .argument = &arguments},
        ret_ref);
}

static capstan_err_t start(capstan_node_t *node, embedded_t *self, char *ret_text, size_t text_size)
{
    table_list_t built_in;
    built_in.tables = node_tables(&built_in.count);
    registry_know(node_registry(node), built_in);
    const durable_t *durable = topics_of(node);
    gateway_arguments_t arguments = {
        .settings = settings_get(self->settings, &gateway_settings_section),
        .event_bytes_max = durable ? durable->ordering_settings->event_bytes_max : BODY_BYTES_MAX,
        .topics = durable ? durable->topics : (capstan_ref_t){0},
        .describe = schema_cache_text,
        .describe_context = &self->schema,
        .release = destroy,
        .release_context = self,
    };
    capstan_ref_t gateway;
    capstan_err_t err = start_status(node, &arguments.status);
    if (err == CAPSTAN_OK) {
        err = capstan_node_spawn(node, &gateway_behaviour,
                                 &(capstan_spawn_options_t){.name = gateway_behaviour.name,
                                                            .cell = gateway_behaviour.name,
                                                            .argument = &arguments},
                                 &gateway);
    }
    bool said = arguments.error_text[0] != 0;
    snprintf(ret_text, text_size, "%s",
             err == CAPSTAN_OK ? arguments.endpoint
             : said            ? arguments.error_text
                               : capstan_err_text(err));
    if (!arguments.begun) {
        destroy(self);
    }
    return err;
}

capstan_err_t capstan_gateway_open(capstan_node_t *node, const capstan_gateway_options_t *options,
                                   char *ret_text, size_t text_size)
{
    static const settings_section_t *const sections[] = {&gateway_settings_section};
    static const capstan_gateway_options_t defaults = {0};
    char unwanted[1];
    char *text = ret_text ? ret_text : unwanted;
    size_t size = ret_text ? text_size : sizeof unwanted;
    if (!node_enter(node)) {
        snprintf(text, size, "%s", capstan_err_text(CAPSTAN_E_STOPPING));
        return CAPSTAN_E_STOPPING;
    }
    embedded_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->settings = settings_new(sections, 1);
    self->schema.node = node;
    capstan_err_t err = take_options(self, options ? options : &defaults, text, size);
    if (err == CAPSTAN_OK) {
        err = start(node, self, text, size);
    } else {
        destroy(self);
    }
    node_leave(node);
    return err;
}
