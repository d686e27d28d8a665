/* The public functions around supervisors: they spawn one, or send it a message. */
#include "runtime/runtime.h"
#include "runtime/runtime_messages.h"

#include <capstan/supervisor.h>
#include <stdlib.h>

static capstan_spawn_options_t with_argument(const capstan_spawn_options_t *spawn,
                                             const capstan_supervisor_options_t *options)
{
    capstan_spawn_options_t copy = spawn ? *spawn : (capstan_spawn_options_t){0};
    copy.argument = (void *)(uintptr_t)options; /* the supervisor only reads it */
    return copy;
}

capstan_err_t capstan_supervisor_spawn(capstan_actor_t *self,
                                       const capstan_supervisor_options_t *options,
                                       const capstan_spawn_options_t *spawn, capstan_ref_t *ret_ref)
{
    capstan_spawn_options_t use = with_argument(spawn, options);
    return capstan_spawn(self, &capstan_supervisor_behaviour, &use, ret_ref);
}

capstan_err_t capstan_node_supervisor_spawn(capstan_node_t *self,
                                            const capstan_supervisor_options_t *options,
                                            const capstan_spawn_options_t *spawn,
                                            capstan_ref_t *ret_ref)
{
    capstan_spawn_options_t use = with_argument(spawn, options);
    return capstan_node_spawn(self, &capstan_supervisor_behaviour, &use, ret_ref);
}

static void encode_child(const capstan_child_t *child, buffer_t *out)
{
    const capstan_spawn_options_t *spawn = &child->spawn;
    codec_encode(child_start_wire(),
                 &(child_start_t){
                     .behaviour = (uintptr_t)child->behaviour,
                     .name = slice_text(spawn->name ? spawn->name : ""),
                     .argument = (uintptr_t)spawn->argument,
                     .cell = slice_text(spawn->cell ? spawn->cell : ""),
                     .placement = spawn->placement,
                     .mailbox_messages = spawn->mailbox_messages,
                     .mailbox_bytes = spawn->mailbox_bytes,
                     .overflow = spawn->overflow,
                     .external = spawn->external,
                     .restart = child->restart,
                     .restarts_max = child->restarts_max,
                     .window_us = child->window_us,
                     .backoff_us_min = child->backoff_us_min,
                     .backoff_us_max = child->backoff_us_max,
                     .stop_us = child->stop_us,
                 },
                 out);
}

capstan_err_t capstan_supervisor_start_child(capstan_actor_t *self, capstan_ref_t supervisor,
                                             const capstan_child_t *child, int64_t timeout_us,
                                             uint64_t *ret_correlation)
{
    buffer_t body = {0};
    encode_child(child, &body);
    capstan_err_t err = capstan_ask(self, supervisor, MESSAGE_child_start, buffer_slice(&body),
                                    timeout_us, ret_correlation);
    buffer_fini(&body);
    return err;
}

capstan_err_t capstan_node_supervisor_start_child(capstan_node_t *self, capstan_ref_t supervisor,
                                                  const capstan_child_t *child, int64_t timeout_us,
                                                  capstan_ref_t *ret_child)
{
    buffer_t body = {0};
    void *reply;
    size_t size;
    encode_child(child, &body);
    capstan_err_t err = capstan_node_ask(self, supervisor, MESSAGE_child_start, buffer_slice(&body),
                                         timeout_us, &reply, &size);
    buffer_fini(&body);
    if (err != CAPSTAN_OK) {
        return err;
    }
    child_started_t started;
    err = codec_decode(child_started_wire(), slice_of(reply, size), &started, NULL);
    free(reply);
    if (err == CAPSTAN_OK) {
        *ret_child = started.actor;
    }
    return err;
}

static void encode_name(const char *name, buffer_t *out)
{
    codec_encode(child_stop_wire(), &(child_stop_t){.name = slice_text(name)}, out);
}

capstan_err_t capstan_supervisor_stop_child(capstan_actor_t *self, capstan_ref_t supervisor,
                                            const char *name, int64_t timeout_us,
                                            uint64_t *ret_correlation)
{
    buffer_t body = {0};
    encode_name(name, &body);
    capstan_err_t err = capstan_ask(self, supervisor, MESSAGE_child_stop, buffer_slice(&body),
                                    timeout_us, ret_correlation);
    buffer_fini(&body);
    return err;
}

capstan_err_t capstan_node_supervisor_stop_child(capstan_node_t *self, capstan_ref_t supervisor,
                                                 const char *name, int64_t timeout_us)
{
    buffer_t body = {0};
    void *reply;
    size_t size;
    encode_name(name, &body);
    capstan_err_t err = capstan_node_ask(self, supervisor, MESSAGE_child_stop, buffer_slice(&body),
                                         timeout_us, &reply, &size);
    buffer_fini(&body);
    if (err == CAPSTAN_OK) {
        free(reply);
    }
    return err;
}

capstan_err_t capstan_supervisor_answer(const capstan_message_t *answer, capstan_ref_t *ret_child)
{
    if (answer->kind == CAPSTAN_KIND_ERROR) {
        return message_failure(answer);
    }
    child_started_t started;
    if (answer->message == MESSAGE_child_stopped) {
        return CAPSTAN_OK;
    }
    if (answer->message != MESSAGE_child_started) {
        return CAPSTAN_E_UNKNOWN_MESSAGE;
    }
    capstan_err_t err = codec_decode(child_started_wire(), answer->body, &started, NULL);
    if (err == CAPSTAN_OK && ret_child) {
        *ret_child = started.actor;
    }
    return err;
}
