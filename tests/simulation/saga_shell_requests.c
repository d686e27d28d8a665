/* What clients and topics ask of the shell. An answer waits for the disk; one that says how a saga
 * ended, for that end. */
#include "tests/simulation/saga_predicates.h"

enum { OPERATION_FORK = 7 };

static uint64_t dice(const sim_shell_t *self)
{
    return random_next(core_world_random(self->world->simulation));
}

static void fail(sim_shell_t *self, const capstan_message_t *request, capstan_err_t err)
{
    buffer_clear(&self->body);
    codec_encode(failure_wire(), &(failure_t){.number = (uint64_t)err}, &self->body);
    sim_shell_answer(self, request, MESSAGE_failure);
}

/* --- definitions and starts --------------------------------------------------------------------
 */

static void on_define(sim_shell_t *self, const capstan_message_t *request)
{
    saga_define_t define;
    plan_t *plan;
    plan_fault_t fault;
    bool created;
    ENSURE(codec_decode(saga_define_wire(), request->body, &define, NULL) == CAPSTAN_OK);
    ENSURE(plan_read(define.definition, &plan, &fault) == CAPSTAN_OK);
    saga_defined_t defined = {.name = define.name, .version = plan->version};
    capstan_err_t err =
        coordinator_define(self->core, sim_shell_utc(self), plan, &created, &self->effects);
    sim_shell_take_effects(self);
    if (err) {
        fail(self, request, err);
        return;
    }
    defined.created = created;
    buffer_clear(&self->body);
    codec_encode(saga_defined_wire(), &defined, &self->body);
    sim_shell_answer(self, request, MESSAGE_saga_defined);
}

static void on_start(sim_shell_t *self, const capstan_message_t *request)
{
    saga_start_t start;
    const saga_t *saga = NULL;
    bool created = false;
    ENSURE(codec_decode(saga_start_wire(), request->body, &start, NULL) == CAPSTAN_OK);
    rows_wake(self, NULL, &start.id, NULL);
    capstan_err_t err =
        coordinator_start(self->core, sim_shell_utc(self),
                          &(coordinator_start_t){.definition = start.definition,
                                                 .version = start.version,
                                                 .id = start.id,
                                                 .input = start.input,
                                                 .key = start.key,
                                                 .deadline_us = (int64_t)start.deadline_ms * 1000,
                                                 .dice = dice(self)},
                          &saga, &created, &self->effects);
    sim_shell_take_effects(self);
    world_trace(self->world, "start of %.*s: %s", (int)start.id.size, (const char *)start.id.data,
                capstan_err_name(err));
    if (err) {
        fail(self, request, err);
        return;
    }
    const saga_begin_t *begin = saga_begin_of(saga);
    buffer_clear(&self->body);
    codec_encode(saga_started_wire(),
                 &(saga_started_t){.id = begin->id,
                                   .number = begin->number,
                                   .version = begin->version,
                                   .created = created},
                 &self->body);
    sim_shell_answer(self, request, MESSAGE_saga_started);
}

/* --- results --------------------------------------------------------------------------------- */

static const saga_t *find(sim_shell_t *self, slice_t id)
{
    rows_wake(self, NULL, &id, NULL);
    return coordinator_find(self->core, id);
}

static void on_result(sim_shell_t *self, const capstan_message_t *request)
{
    saga_result_t result;
    ENSURE(codec_decode(saga_result_wire(), request->body, &result, NULL) == CAPSTAN_OK);
    const saga_t *saga = find(self, result.id);
    if (!saga) {
        fail(self, request, CAPSTAN_E_UNKNOWN_SAGA);
    } else if (result.now || saga_has_ended(saga)) {
        buffer_t row = {0};
        saga_row_t record = saga_row(saga);
        codec_encode(saga_row_wire(), &record, &row);
        buffer_clear(&self->body);
        codec_encode(saga_summary_wire(), &(saga_summary_t){.saga = buffer_slice(&row)},
                     &self->body);
        sim_shell_answer(self, request, MESSAGE_saga_summary);
        buffer_fini(&row);
    } else {
        self->askings = realloc(self->askings, (self->asking_count + 1) * sizeof *self->askings);
        ENSURE(self->askings);
        self->askings[self->asking_count++] = (asking_t){.number = saga_begin_of(saga)->number,
                                                         .from = request->sender,
                                                         .correlation = request->correlation};
    }
}

void requests_tell_rest(sim_shell_t *self, uint64_t number, slice_t summary)
{
    for (size_t i = 0; i < self->asking_count; i++) {
        asking_t asking = self->askings[i];
        if (asking.number == number) {
            core_send_t send = {.from = self->slot,
                                .target = asking.from,
                                .message = MESSAGE_saga_summary,
                                .correlation = asking.correlation};
            ENSURE(core_world_send(self->world->simulation, &send, summary));
            self->askings[i--] = self->askings[--self->asking_count];
        }
    }
}

/* --- what people want --------------------------------------------------------------------------
 */

static void answer_operation(sim_shell_t *self, const capstan_message_t *request,
                             const saga_operation_t *operation)
{
    buffer_clear(&self->part);
    codec_list_writer_t list = codec_list_begin(&self->part);
    codec_list_add(&list, saga_operation_wire(), operation);
    codec_list_end(&list);
    buffer_clear(&self->body);
    codec_encode(saga_operated_wire(), &(saga_operated_t){.sagas = buffer_slice(&self->part)},
                 &self->body);
    sim_shell_answer(self, request, MESSAGE_saga_operated);
}

static void input(sim_shell_t *self, const capstan_message_t *request, slice_t id,
                  saga_input_t input)
{
    const saga_t *saga = find(self, id);
    saga_operation_t operation = {.id = id};
    capstan_err_t err = CAPSTAN_E_UNKNOWN_SAGA;
    if (saga) {
        input.number = saga_begin_of(saga)->number;
        input.dice = dice(self);
        err = coordinator_input(self->core, sim_shell_utc(self), &input, &self->effects);
        operation.state = saga_phase(saga);
        sim_shell_take_effects(self);
    }
    world_trace(self->world, "input %d for %.*s: %s", (int)input.kind, (int)id.size,
                (const char *)id.data, capstan_err_name(err));
    if (err) {
        fail(self, request, err);
        return;
    }
    answer_operation(self, request, &operation);
}

static void on_signal(sim_shell_t *self, const capstan_message_t *request)
{
    saga_signal_t signal;
    ENSURE(codec_decode(saga_signal_wire(), request->body, &signal, NULL) == CAPSTAN_OK);
    input(self, request, signal.id,
          (saga_input_t){.kind = SAGA_INPUT_signal,
                         .error = signal.signal,
                         .value = signal.value,
                         .text = signal.token});
}

/* The new id is looked for behind the other, which may leave memory then: what is needed of it is
 * copied first. */
static void on_fork(sim_shell_t *self, const capstan_message_t *request,
                    const saga_operate_t *operate)
{
    const saga_t *saga = find(self, operate->id);
    bool created = false;
    buffer_t taken = {0};
    buffer_t record = {0};
    saga_begin_t begin;
    capstan_err_t err = saga ? CAPSTAN_OK : CAPSTAN_E_UNKNOWN_SAGA;
    err = !err && operate->task > 0
              ? saga_taken_before(saga, operate->task, saga_plan(saga), &taken)
              : err;
    if (!err) {
        codec_encode(saga_begin_wire(), saga_begin_of(saga), &record);
        ENSURE(codec_decode(saga_begin_wire(), buffer_slice(&record), &begin, NULL) == CAPSTAN_OK);
        rows_wake(self, NULL, &operate->id_new, NULL);
        err = coordinator_start(self->core, sim_shell_utc(self),
                                &(coordinator_start_t){.definition = begin.definition,
                                                       .version = begin.version,
                                                       .id = operate->id_new,
                                                       .input = begin.input,
                                                       .key = begin.key,
                                                       .taken = buffer_slice(&taken),
                                                       .origin = operate->id,
                                                       .dice = dice(self)},
                                &saga, &created, &self->effects);
        sim_shell_take_effects(self);
    }
    world_trace(self->world, "fork of %.*s from %llu: %s", (int)operate->id.size,
                (const char *)operate->id.data, (unsigned long long)operate->task,
                capstan_err_name(err));
    if (err) {
        fail(self, request, err);
    } else {
        answer_operation(self, request, &(saga_operation_t){.id = operate->id_new});
    }
    buffer_fini(&taken);
    buffer_fini(&record);
}

static void on_operate(sim_shell_t *self, const capstan_message_t *request)
{
    static const saga_input_kind_t kinds[] = {
        0,
        SAGA_INPUT_cancel,
        SAGA_INPUT_pause,
        SAGA_INPUT_resume,
        SAGA_INPUT_retry,
        SAGA_INPUT_skip,
        SAGA_INPUT_complete,
        0,
        SAGA_INPUT_abandon,
    };
    saga_operate_t operate;
    ENSURE(codec_decode(saga_operate_wire(), request->body, &operate, NULL) == CAPSTAN_OK);
    if (operate.operation == OPERATION_FORK) {
        on_fork(self, request, &operate);
        return;
    }
    input(self, request, operate.id,
          (saga_input_t){.kind = kinds[operate.operation],
                         .task = operate.task,
                         .value = operate.value,
                         .error = operate.outcome,
                         .text = operate.reason});
}

/* --- topics ---------------------------------------------------------------------------------- */

/* Those of the key that are not in memory are looked for first. */
static void on_event(sim_shell_t *self, const capstan_message_t *request)
{
    saga_input_t event;
    saga_place_t place;
    ENSURE(codec_decode(saga_input_wire(), request->body, &event, NULL) == CAPSTAN_OK);
    ENSURE(codec_decode(saga_place_wire(), event.place, &place, NULL) == CAPSTAN_OK);
    rows_wake(self, NULL, NULL, &event.error);
    capstan_err_t err = coordinator_event(self->core, sim_shell_utc(self),
                                          &(coordinator_event_t){.topic = place.topic,
                                                                 .partition = place.partition,
                                                                 .offset = place.offset,
                                                                 .key = event.error,
                                                                 .payload = event.value,
                                                                 .dice = dice(self)},
                                          &self->effects);
    sim_shell_take_effects(self);
    if (err) {
        fail(self, request, err);
    } else {
        buffer_clear(&self->body);
        sim_shell_answer(self, request, SIM_EVENT);
    }
}

void requests_handle(sim_shell_t *self, const capstan_message_t *message)
{
    switch (message->message) {
    case MESSAGE_saga_define:
        on_define(self, message);
        break;
    case MESSAGE_saga_start:
        on_start(self, message);
        break;
    case MESSAGE_saga_result:
        on_result(self, message);
        break;
    case MESSAGE_saga_signal:
        on_signal(self, message);
        break;
    case MESSAGE_saga_operate:
        on_operate(self, message);
        break;
    case SIM_EVENT:
        on_event(self, message);
        break;
    default:
        ENSURE(false);
    }
}
