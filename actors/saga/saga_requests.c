/* Requests about one saga, which is in memory if there is one. */
#include "actors/saga/saga_shell.h"

#include "actors/ordering/ordering_messages.h"
#include "runtime/base/ensure.h"

/* --- starting -------------------------------------------------------------------------------- */

static capstan_err_t start(saga_shell_t *self, coordinator_start_t start, const saga_t **ret_saga,
                           bool *ret_created)
{
    start.dice = shell_dice(self);
    capstan_err_t err = coordinator_start(self->core, capstan_utc_us(self->self), &start, ret_saga,
                                          ret_created, &self->effects);
    shell_take_effects(self);
    return err;
}

static const char *start_text(capstan_err_t err)
{
    switch (err) {
    case CAPSTAN_E_INVALID:
        return "key: at most 256 bytes; the definition wants one, and where it says there is none";
    case CAPSTAN_E_FIELD_TYPE:
        return "input: a msgpack map";
    default:
        return NULL;
    }
}

void requests_start(saga_shell_t *self, const capstan_message_t *message)
{
    saga_start_t request;
    const saga_t *saga;
    bool created;
    capstan_err_t err = codec_decode(saga_start_wire(), message->body, &request, NULL);
    if (err == CAPSTAN_OK && request.deadline_ms > PLAN_MS_MAX) {
        shell_refuse(self, message, CAPSTAN_E_INVALID, "deadline_ms: at most ten years");
        return;
    }
    err = err ? err
              : start(self,
                      (coordinator_start_t){.definition = request.definition,
                                            .version = request.version,
                                            .id = request.id,
                                            .input = request.input,
                                            .key = request.key,
                                            .deadline_us = (int64_t)request.deadline_ms * 1000},
                      &saga, &created);
    if (err != CAPSTAN_OK) {
        shell_refuse(self, message, err, start_text(err));
        return;
    }
    const saga_begin_t *begin = saga_begin_of(saga);
    shell_reply(self, message, saga_started_wire(),
                &(saga_started_t){.id = begin->id,
                                  .number = begin->number,
                                  .version = begin->version,
                                  .created = created});
}

void requests_reply_operation(saga_shell_t *self, const capstan_message_t *request,
                              const saga_operation_t *operation)
{
    buffer_t bytes = {0};
    codec_list_writer_t list = codec_list_begin(&bytes);
    codec_list_add(&list, saga_operation_wire(), operation);
    codec_list_end(&list);
    shell_reply(self, request, saga_operated_wire(),
                &(saga_operated_t){.sagas = buffer_slice(&bytes)});
    buffer_fini(&bytes);
}

void requests_start_fork(saga_shell_t *self, const capstan_message_t *request, slice_t body)
{
    saga_begin_t wanted;
    const saga_t *saga;
    bool created;
    capstan_err_t err = codec_decode(saga_begin_wire(), body, &wanted, NULL);
    ENSURE(err == CAPSTAN_OK);
    err = start(self,
                (coordinator_start_t){.definition = wanted.definition,
                                      .version = wanted.version,
                                      .id = wanted.id,
                                      .input = wanted.input,
                                      .key = wanted.key,
                                      .taken = wanted.taken,
                                      .origin = wanted.origin},
                &saga, &created);
    if (err != CAPSTAN_OK) {
        shell_refuse(self, request, err, start_text(err));
        return;
    }
    requests_reply_operation(self, request,
                             &(saga_operation_t){.id = wanted.id, .state = saga_phase(saga)});
}

/* --- the others ------------------------------------------------------------------------------ */

/* NULL, or what is wrong. */
static const char *check_signal(const saga_signal_t *request)
{
    enum { SIGNAL_MAX = 64, VALUE_MAX = 64 * 1024, TOKEN_MAX = 256 };
    if (request->signal.size == 0 || request->signal.size > SIGNAL_MAX) {
        return "signal: 1 to 64 bytes";
    }
    if (request->token.size > TOKEN_MAX) {
        return "token: at most 256 bytes";
    }
    if (request->value.size > VALUE_MAX ||
        (request->value.size > 0 && value_check(request->value) != CAPSTAN_OK)) {
        return "value: msgpack, at most 64 KiB";
    }
    return NULL;
}

void requests_signal(saga_shell_t *self, const capstan_message_t *message)
{
    saga_signal_t request;
    capstan_err_t err = codec_decode(saga_signal_wire(), message->body, &request, NULL);
    const char *wrong = err == CAPSTAN_OK ? check_signal(&request) : NULL;
    const saga_t *saga = err == CAPSTAN_OK ? coordinator_find(self->core, request.id) : NULL;
    err = err ? err : wrong ? CAPSTAN_E_INVALID : saga ? CAPSTAN_OK : CAPSTAN_E_UNKNOWN_SAGA;
    if (err == CAPSTAN_OK) {
        err = coordinator_input(self->core, capstan_utc_us(self->self),
                                &(saga_input_t){.number = saga_begin_of(saga)->number,
                                                .kind = SAGA_INPUT_signal,
                                                .value = request.value,
                                                .error = request.signal,
                                                .text = request.token,
                                                .dice = shell_dice(self)},
                                &self->effects);
        shell_take_effects(self);
    }
    if (err != CAPSTAN_OK && err != CAPSTAN_E_EXISTS) { /* its token is known: it was heard */
        shell_refuse(self, message, err, wrong);
        return;
    }
    shell_reply(self, message, done_wire(), &(done_t){0});
}

void requests_show(saga_shell_t *self, const capstan_message_t *message)
{
    saga_show_t request;
    buffer_t state = {0};
    capstan_err_t err = codec_decode(saga_show_wire(), message->body, &request, NULL);
    const saga_t *saga = err == CAPSTAN_OK ? coordinator_find(self->core, request.id) : NULL;
    if (!saga) {
        shell_refuse(self, message, err ? err : CAPSTAN_E_UNKNOWN_SAGA, NULL);
        return;
    }
    const plan_t *plan = saga_plan(saga);
    saga_save(saga, &state);
    shell_reply(self, message, saga_shown_wire(),
                &(saga_shown_t){.state = buffer_slice(&state),
                                .definition = plan ? plan->record : (slice_t){0}});
    buffer_fini(&state);
}
