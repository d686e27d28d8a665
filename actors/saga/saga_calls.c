/* How a program of a node makes definitions known, and starts and looks after sagas: the requests
 * of peers, sent to the actor `saga`. */
#include "actors/saga/plan.h"
#include "actors/saga/saga.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"

#include <capstan/saga.h>
#include <stdio.h>
#include <stdlib.h>

#define CALL_US INT64_C(60000000)

_Static_assert((int)CAPSTAN_SAGA_CANCELLED == (int)SAGA_CANCELLED, "states are those of the core");
_Static_assert((int)CAPSTAN_STEP_READ == (int)PLAN_READ, "kinds are the plan's classes");

typedef struct call {
    const wire_record_t *request;
    const void *value;
    const wire_record_t *reply;
    int64_t timeout_us; /* 0: CALL_US */
} call_t;

static slice_t text_or_none(const char *text)
{
    return text ? slice_text(text) : (slice_t){0};
}

/* `ret_body` (may be NULL) is where the slices of the reply point, to be freed. */
static capstan_err_t ask(capstan_node_t *node, const call_t *call, void *ret_value, void **ret_body)
{
    buffer_t body = {0};
    capstan_ref_t saga;
    void *answer;
    size_t size;
    capstan_err_t err = capstan_node_resolve(node, "saga", &saga);
    err = err == CAPSTAN_E_NOT_FOUND ? CAPSTAN_E_UNSUPPORTED : err;
    err = err ? err : capstan_encode(call->request, call->value, &body, NULL);
    if (err == CAPSTAN_OK) {
        err = capstan_node_ask(node, saga, call->request->id, buffer_slice(&body),
                               call->timeout_us > 0 ? call->timeout_us : CALL_US, &answer, &size);
    }
    buffer_fini(&body);
    if (err != CAPSTAN_OK) {
        return err;
    }
    if (call->reply) {
        err = codec_decode(call->reply, slice_of(answer, size), ret_value, NULL);
    }
    if (err == CAPSTAN_OK && ret_body) {
        *ret_body = answer;
    } else {
        free(answer);
    }
    return err;
}

/* --- definitions ----------------------------------------------------------------------------- */

static capstan_err_t say(char *ret_text, size_t text_size, capstan_err_t err, const char *text)
{
    if (ret_text && text_size > 0) {
        snprintf(ret_text, text_size, "%s", err == CAPSTAN_OK ? "" : text);
    }
    return err;
}

static capstan_err_t define(capstan_node_t *node, slice_t record, char *ret_text, size_t text_size)
{
    saga_definition_t definition;
    saga_defined_t defined;
    capstan_err_t err = codec_decode(saga_definition_wire(), record, &definition, NULL);
    if (err == CAPSTAN_OK) {
        saga_define_t request = {.name = definition.name, .definition = record};
        err =
            ask(node,
                &(call_t){
                    .request = saga_define_wire(), .value = &request, .reply = saga_defined_wire()},
                &defined, NULL);
    }
    return say(ret_text, text_size, err, capstan_err_text(err));
}

static void add_step(codec_list_writer_t *nodes, const capstan_saga_step_t *step)
{
    buffer_t retry = {0};
    if (step->attempts_max > 0) {
        codec_encode(saga_retry_wire(), &(saga_retry_t){.attempts_max = step->attempts_max},
                     &retry);
    }
    codec_list_add(nodes, saga_node_wire(),
                   &(saga_node_t){.kind = PLAN_STEP,
                                  .parent = 1,
                                  .name = text_or_none(step->name),
                                  .class = (uint64_t)step->kind,
                                  .participant = text_or_none(step->participant),
                                  .action = text_or_none(step->action),
                                  .compensation = text_or_none(step->compensation),
                                  .input = step->input,
                                  .retry = buffer_slice(&retry),
                                  .attempt_timeout_ms = (uint64_t)step->attempt_timeout_us / 1000});
    buffer_fini(&retry);
}

static void encode_steps(const char *name, uint64_t version, const capstan_saga_step_t *steps,
                         size_t count, buffer_t *out)
{
    buffer_t nodes = {0};
    codec_list_writer_t list = codec_list_begin(&nodes);
    codec_list_add(&list, saga_node_wire(), &(saga_node_t){.kind = PLAN_SEQUENCE});
    for (size_t i = 0; i < count; i++) {
        add_step(&list, &steps[i]);
    }
    codec_list_end(&list);
    codec_encode(saga_definition_wire(),
                 &(saga_definition_t){
                     .name = text_or_none(name), .version = version, .nodes = buffer_slice(&nodes)},
                 out);
    buffer_fini(&nodes);
}

capstan_err_t capstan_saga_define_steps(capstan_node_t *node, const char *name, uint64_t version,
                                        const capstan_saga_step_t *steps, size_t count,
                                        char *ret_text, size_t text_size)
{
    buffer_t record = {0};
    plan_t *plan = NULL;
    plan_fault_t fault = {0};
    encode_steps(name, version, steps, count, &record);
    /* Looked at here, so that the text says what is wrong. */
    capstan_err_t err = plan_read(buffer_slice(&record), &plan, &fault);
    if (err != CAPSTAN_OK) {
        const char *text = fault.text[0] ? fault.text : capstan_err_text(err);
        buffer_fini(&record);
        return say(ret_text, text_size, err, text);
    }
    plan_destroy(&plan);
    err = define(node, buffer_slice(&record), ret_text, text_size);
    buffer_fini(&record);
    return err;
}

capstan_err_t capstan_saga_define(capstan_node_t *node, const char *yaml, const char *file,
                                  char *ret_text, size_t text_size)
{
    buffer_t record = {0};
    plan_fault_t fault = {0};
    capstan_err_t err = definition_from_yaml(slice_text(yaml), file, &record, &fault);
    err = err ? say(ret_text, text_size, err, fault.text[0] ? fault.text : capstan_err_text(err))
              : define(node, buffer_slice(&record), ret_text, text_size);
    buffer_fini(&record);
    return err;
}

/* --- sagas ----------------------------------------------------------------------------------- */

capstan_err_t capstan_saga_start(capstan_node_t *node, const capstan_saga_start_t *start,
                                 bool *ret_created)
{
    if (!start->definition || !start->id || start->deadline_us < 0) {
        return CAPSTAN_E_INVALID;
    }
    saga_start_t request = {.definition = slice_text(start->definition),
                            .id = slice_text(start->id),
                            .version = start->version,
                            .input = start->input,
                            .key = text_or_none(start->key),
                            .deadline_ms = (uint64_t)start->deadline_us / 1000};
    saga_started_t started;
    capstan_err_t err = ask(
        node,
        &(call_t){.request = saga_start_wire(), .value = &request, .reply = saga_started_wire()},
        &started, NULL);
    if (err == CAPSTAN_OK && ret_created) {
        *ret_created = started.created;
    }
    return err;
}

static void copy_text(char *to, size_t size, slice_t text)
{
    snprintf(to, size, "%.*s", (int)text.size, text.size > 0 ? (const char *)text.data : "");
}

static capstan_err_t read_summary(const saga_summary_t *summary, capstan_saga_end_t *ret_end)
{
    saga_row_t row;
    capstan_err_t err = codec_decode(saga_row_wire(), summary->saga, &row, NULL);
    if (err != CAPSTAN_OK) {
        return err;
    }
    *ret_end = (capstan_saga_end_t){.state = (capstan_saga_state_t)row.state,
                                    .values = malloc(summary->values.size + 1),
                                    .values_size = summary->values.size};
    ENSURE(ret_end->values);
    if (summary->values.size > 0) {
        memcpy(ret_end->values, summary->values.data, summary->values.size);
    }
    copy_text(ret_end->outcome, sizeof ret_end->outcome, row.outcome);
    copy_text(ret_end->reason, sizeof ret_end->reason, row.reason);
    return CAPSTAN_OK;
}

capstan_err_t capstan_saga_result(capstan_node_t *node, const char *id, int64_t timeout_us,
                                  capstan_saga_end_t *ret_end)
{
    saga_result_t request = {.id = slice_text(id), .now = timeout_us == 0};
    saga_summary_t summary;
    void *body;
    capstan_err_t err = ask(node,
                            &(call_t){.request = saga_result_wire(),
                                      .value = &request,
                                      .reply = saga_summary_wire(),
                                      .timeout_us = timeout_us},
                            &summary, &body);
    if (err == CAPSTAN_OK) {
        err = read_summary(&summary, ret_end);
        free(body);
    }
    return err;
}

void capstan_saga_end_fini(capstan_saga_end_t *self)
{
    free(self->values);
    *self = (capstan_saga_end_t){0};
}

capstan_err_t capstan_saga_signal(capstan_node_t *node, const char *id, const char *signal,
                                  capstan_slice_t value, const char *token)
{
    saga_signal_t request = {.id = slice_text(id),
                             .signal = slice_text(signal),
                             .value = value,
                             .token = text_or_none(token)};
    return ask(node, &(call_t){.request = saga_signal_wire(), .value = &request}, NULL, NULL);
}

capstan_err_t capstan_saga_operate(capstan_node_t *node, const char *id,
                                   capstan_saga_operation_t operation, const char *reason)
{
    saga_operate_t request = {
        .operation = (uint64_t)operation, .id = slice_text(id), .reason = text_or_none(reason)};
    saga_operated_t operated;
    saga_operation_t one = {0};
    codec_list_t list;
    void *body;
    capstan_err_t err = ask(
        node,
        &(call_t){.request = saga_operate_wire(), .value = &request, .reply = saga_operated_wire()},
        &operated, &body);
    if (err != CAPSTAN_OK) {
        return err;
    }
    err = codec_list_open(saga_operation_wire(), operated.sagas, &list);
    if (err == CAPSTAN_OK && codec_list_next(&list, &one)) {
        err = (capstan_err_t)one.error;
    }
    free(body);
    return err;
}

capstan_err_t capstan_saga_cancel(capstan_node_t *node, const char *id, const char *reason)
{
    return capstan_saga_operate(node, id, CAPSTAN_SAGA_CANCEL, reason);
}
