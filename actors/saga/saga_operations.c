/* What people do to sagas. Each operation is an input of its saga, with the reason that was given,
 * and a line of the log. */
#include "actors/saga/saga_shell.h"

#include "actors/saga/saga_events.h"
#include "actors/saga/saga_metrics.h"
#include "runtime/base/ensure.h"
#include "runtime/telemetry/log.h"

enum {
    OPERATION_RESUME = 3,
    OPERATION_FORK = 7,
    OPERATION_MAX = 8,
    REASON_MAX = 256,
    OUTCOME_MAX = 64
};

static const struct {
    const char *name;
    saga_input_kind_t input;
    bool wants_reason;
} operations[OPERATION_MAX + 1] = {
    [1] = {"cancel", SAGA_INPUT_cancel, false},
    [2] = {"pause", SAGA_INPUT_pause, false},
    [3] = {"resume", SAGA_INPUT_resume, false},
    [4] = {"retry", SAGA_INPUT_retry, false},
    [5] = {"skip", SAGA_INPUT_skip, true},
    [6] = {"complete", SAGA_INPUT_complete, true},
    [OPERATION_FORK] = {"fork", SAGA_INPUT_cancel, false},
    [8] = {"abandon", SAGA_INPUT_abandon, true},
};

const char *operation_fault(const saga_operate_t *request)
{
    uint64_t operation = request->operation;
    if (operation == 0 || operation > OPERATION_MAX) {
        return "operation: 1 to 8";
    }
    if (request->reason.size > REASON_MAX) {
        return "reason: at most 256 bytes";
    }
    if (operations[operation].wants_reason && request->reason.size == 0) {
        return "reason: say why; it is on record";
    }
    if (request->value.size > SAGA_RESULT_BYTES_MAX ||
        (request->value.size > 0 && value_check(request->value) != CAPSTAN_OK)) {
        return "value: msgpack, at most 64 KiB";
    }
    if (request->outcome.size > OUTCOME_MAX) {
        return "outcome: at most 64 bytes";
    }
    if (operation == OPERATION_FORK && request->id.size == 0) {
        return "id: which saga is to be forked";
    }
    if (operation == OPERATION_FORK && !coordinator_id_is_valid(request->id_new)) {
        return "id_new: the id of the new saga, 1 to 256 bytes without /";
    }
    return NULL;
}

static void tell(const saga_operate_t *request, const saga_t *saga)
{
    LOG(saga, operated, log_string("operation", operations[request->operation].name),
        log_text("id", saga_begin_of(saga)->id), log_text("reason", request->reason));
    METRIC_ADD(saga, operations, 1);
}

static capstan_err_t apply(saga_shell_t *self, const saga_operate_t *request, const saga_t *saga)
{
    saga_input_t input = {.number = saga_begin_of(saga)->number,
                          .kind = operations[request->operation].input,
                          .at_us = capstan_utc_us(self->self),
                          .task = request->task,
                          .value = request->value,
                          .error = request->outcome,
                          .text = request->reason,
                          .dice = shell_dice(self)};
    if (request->dry_run) {
        return saga_accepts(saga, &input);
    }
    capstan_err_t err = coordinator_input(self->core, input.at_us, &input, &self->effects);
    shell_take_effects(self);
    if (err == CAPSTAN_OK) {
        tell(request, saga);
        self->resend = self->resend || request->operation == OPERATION_RESUME;
    }
    return err;
}

void operations_apply(saga_shell_t *self, const saga_operate_t *request, const saga_t *saga,
                      codec_list_writer_t *list)
{
    capstan_err_t err = apply(self, request, saga);
    codec_list_add(list, saga_operation_wire(),
                   &(saga_operation_t){.id = saga_begin_of(saga)->id,
                                       .error = (uint64_t)err,
                                       .state = saga_phase(saga)});
}

static const char *fork_text(capstan_err_t err)
{
    switch (err) {
    case CAPSTAN_E_SAGA_STATE:
        return "task: of a saga that has ended and is no child; what others did may be undone";
    case CAPSTAN_E_INVALID:
        return "version: its definition lacks the task's node, or one that was done before it";
    case CAPSTAN_E_NOT_FOUND:
        return "task: the saga has none of that number";
    case CAPSTAN_E_LIMIT:
        return "task: more than 1000 tasks, or 256 KiB of results, are before it";
    default:
        return NULL;
    }
}

/* Under a new id, with the same input: from the beginning, or from a task, with what was done
 * before it taken over. */
static void fork_saga(saga_shell_t *self, const capstan_message_t *message,
                      const saga_operate_t *request, const saga_t *saga)
{
    buffer_t taken = {0};
    buffer_t body = {0};
    saga_begin_t begin = *saga_begin_of(saga);
    begin.origin = begin.id;
    begin.id = request->id_new;
    begin.version = request->version > 0 ? request->version : begin.version;
    const plan_t *plan = coordinator_plan(self->core, begin.definition, begin.version);
    capstan_err_t err = plan ? CAPSTAN_OK : CAPSTAN_E_UNKNOWN_DEFINITION;
    if (err == CAPSTAN_OK && request->task > 0) {
        err = saga_taken_before(saga, request->task, plan, &taken);
    }
    begin.taken = buffer_slice(&taken);
    if (err != CAPSTAN_OK) {
        shell_refuse(self, message, err, fork_text(err));
    } else if (request->dry_run) {
        requests_reply_operation(self, message,
                                 &(saga_operation_t){.id = begin.id, .state = SAGA_WAITING});
    } else {
        tell(request, saga);
        codec_encode(saga_begin_wire(), &begin, &body);
        lookup_park_fork(self, message, request->id_new, buffer_slice(&body));
    }
    buffer_fini(&taken);
    buffer_fini(&body);
}

void operations_one(saga_shell_t *self, const capstan_message_t *message)
{
    saga_operate_t request;
    buffer_t bytes = {0};
    capstan_err_t err = codec_decode(saga_operate_wire(), message->body, &request, NULL);
    const char *wrong = err == CAPSTAN_OK ? operation_fault(&request) : NULL;
    err = err == CAPSTAN_OK && wrong ? CAPSTAN_E_INVALID : err;
    const saga_t *saga = err == CAPSTAN_OK ? coordinator_find(self->core, request.id) : NULL;
    err = err == CAPSTAN_OK && !saga ? CAPSTAN_E_UNKNOWN_SAGA : err;
    if (err != CAPSTAN_OK) {
        shell_refuse(self, message, err, wrong);
        return;
    }
    if (request.operation == OPERATION_FORK) {
        fork_saga(self, message, &request, saga);
        return;
    }
    codec_list_writer_t list = codec_list_begin(&bytes);
    operations_apply(self, &request, saga, &list);
    codec_list_end(&list);
    shell_reply(self, message, saga_operated_wire(),
                &(saga_operated_t){.sagas = buffer_slice(&bytes)});
    buffer_fini(&bytes);
}
