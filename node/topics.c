/* The topics of a node that is embedded. */
#include "actors/ordering/publisher.h"
#include "node/durable.h"
#include "node/topics.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

static const char kept_name[] = "topics";

/* What the actors read as long as they live. */
typedef struct embedded_topics {
    settings_t *settings;
    durable_t durable;
} embedded_topics_t;

static void release(void *data)
{
    embedded_topics_t *self = data;
    durable_fini(&self->durable);
    settings_destroy(&self->settings);
    free(self);
}

static capstan_err_t set_number(embedded_topics_t *self, const char *name, uint64_t value,
                                char *ret_text, size_t text_size)
{
    char assignment[96];
    if (value == 0) {
        return CAPSTAN_OK;
    }
    snprintf(assignment, sizeof assignment, "ordering.%s=%" PRIu64, name, value);
    return settings_assign(self->settings, assignment, ret_text, text_size);
}

static capstan_err_t set_path(embedded_topics_t *self, const char *path, char *ret_text,
                              size_t text_size)
{
    buffer_t assignment = {0};
    if (!path) {
        return CAPSTAN_OK;
    }
    buffer_append(&assignment, "store.path=", strlen("store.path="));
    buffer_append(&assignment, path, strlen(path) + 1);
    capstan_err_t err =
        settings_assign(self->settings, (const char *)assignment.data, ret_text, text_size);
    buffer_fini(&assignment);
    return err;
}

static capstan_err_t take_options(embedded_topics_t *self, const capstan_topics_options_t *options,
                                  char *ret_text, size_t text_size)
{
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"topics_max", options->topics_max},
        {"event_bytes_max", options->event_bytes_max},
        {"hold_ms_max", options->hold_ms_max},
        {"group_attempts_max", options->group_attempts_max},
        {"group_retry_ms_min", options->group_retry_ms_min},
        {"group_retry_ms_max", options->group_retry_ms_max},
    };
    capstan_err_t err = set_path(self, options->path, ret_text, text_size);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && err == CAPSTAN_OK; i++) {
        err = set_number(self, numbers[i].name, numbers[i].value, ret_text, text_size);
    }
    return err;
}

/* Kept with the node as soon as an actor may use it. */
static capstan_err_t start(capstan_node_t *node, embedded_topics_t *self,
                           const capstan_topics_options_t *options, char *ret_text,
                           size_t text_size)
{
    if (node_kept(node, kept_name)) {
        snprintf(ret_text, text_size, "the node's topics are open already");
        release(self);
        return CAPSTAN_E_EXISTS;
    }
    capstan_err_t err = durable_open(&self->durable, "embedded", ret_text, text_size);
    if (err != CAPSTAN_OK) {
        release(self);
        return err;
    }
    if (node_keep(node, kept_name, self, release) != self) {
        snprintf(ret_text, text_size, "the node's topics are being opened already");
        release(self);
        return CAPSTAN_E_EXISTS;
    }
    err = durable_start(&self->durable, node, ret_text, text_size);
    if (err == CAPSTAN_OK) {
        err = publisher_open(node, self->durable.topics, options,
                             self->durable.ordering_settings->event_bytes_max);
        snprintf(ret_text, text_size, "%s", err == CAPSTAN_OK ? "" : capstan_err_text(err));
    }
    return err;
}

capstan_err_t capstan_topics_open(capstan_node_t *node, const capstan_topics_options_t *options,
                                  char *ret_text, size_t text_size)
{
    static const settings_section_t *const sections[] = {
        &ordering_settings_section, &journal_settings_section, &saga_settings_section};
    static const capstan_topics_options_t defaults = {0};
    char unwanted[1];
    char *text = ret_text ? ret_text : unwanted;
    size_t size = ret_text ? text_size : sizeof unwanted;
    if (sodium_init() < 0) {
        snprintf(text, size, "libsodium cannot be used");
        return CAPSTAN_E_SYSTEM;
    }
    if (!node_enter(node)) {
        snprintf(text, size, "%s", capstan_err_text(CAPSTAN_E_STOPPING));
        return CAPSTAN_E_STOPPING;
    }
    embedded_topics_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->settings = settings_new(sections, sizeof sections / sizeof sections[0]);
    capstan_err_t err = take_options(self, options ? options : &defaults, text, size);
    if (err == CAPSTAN_OK) {
        self->durable.journal_settings = settings_get(self->settings, &journal_settings_section);
        self->durable.ordering_settings = settings_get(self->settings, &ordering_settings_section);
        self->durable.saga_settings = settings_get(self->settings, &saga_settings_section);
        err = start(node, self, options ? options : &defaults, text, size);
    } else {
        release(self);
    }
    node_leave(node);
    return err;
}

const durable_t *topics_of(capstan_node_t *node)
{
    const embedded_topics_t *self = node_kept(node, kept_name);
    return self && publisher_of(node) ? &self->durable : NULL;
}
