/* A saga as a record `saga_state`, and back. */
#include "actors/saga/saga_internal.h"

#include <stdlib.h>

/* --- saving ---------------------------------------------------------------------------------- */

static saga_task_t record_of(uint32_t number, const task_t *task)
{
    return (saga_task_t){
        .number = number,
        .node = task->node,
        .parent = task->parent,
        .state = task->state,
        .count = task->count,
        .good = task->good,
        .attempt = task->attempt,
        .opened_us = task->opened_us,
        .due_us = task->due_us,
        .deadline_us = task->deadline_us,
        .ended_us = task->ended_us,
        .order = task->order,
        .error = task->error,
        .text = task->text,
        .input = task->input,
        .result = task->result,
    };
}

static void save_tasks(const saga_t *self, buffer_t *out)
{
    codec_list_writer_t list = codec_list_begin(out);
    for (uint32_t i = 0; i < self->count; i++) {
        saga_task_t record = record_of(i + 1, &self->tasks[i]);
        codec_list_add(&list, saga_task_wire(), &record);
    }
    codec_list_end(&list);
}

static void save_notices(const saga_t *self, buffer_t *out)
{
    codec_list_writer_t list = codec_list_begin(out);
    for (size_t i = 0; i < self->notice_count; i++) {
        const notice_t *notice = &self->notices[i];
        codec_list_add(&list, saga_notice_wire(),
                       &(saga_notice_t){
                           .source = notice->source, .name = notice->name, .value = notice->value});
    }
    codec_list_end(&list);
}

static void save_places(const saga_t *self, buffer_t *out)
{
    codec_list_writer_t list = codec_list_begin(out);
    for (size_t i = 0; i < self->place_count; i++) {
        const place_t *place = &self->places[i];
        codec_list_add(&list, saga_place_wire(),
                       &(saga_place_t){.topic = place->topic,
                                       .partition = place->partition,
                                       .offset = place->offset});
    }
    codec_list_end(&list);
}

void saga_save_pending(const saga_t *self, buffer_t *out)
{
    codec_list_writer_t list = codec_list_begin(out);
    buffer_append(out, self->pending.data, self->pending.size);
    list.count = self->pending_count;
    codec_list_end(&list);
}

void saga_save(const saga_t *self, buffer_t *out)
{
    buffer_t tasks = {0};
    buffer_t notices = {0};
    buffer_t places = {0};
    buffer_t pending = {0};
    save_tasks(self, &tasks);
    save_notices(self, &notices);
    save_places(self, &places);
    saga_save_pending(self, &pending);
    codec_encode(saga_state_wire(),
                 &(saga_state_t){
                     .begin = self->begin_record,
                     .sequence = self->sequence,
                     .state = self->phase,
                     .paused = self->paused,
                     .pivot = self->pivot,
                     .outcome = self->outcome,
                     .reason = self->reason,
                     .ended_us = self->ended_us,
                     .undo_us = self->undo_us,
                     .orders = self->orders,
                     .tasks = buffer_slice(&tasks),
                     .late = self->late,
                     .notices = self->notice_count > 0 ? buffer_slice(&notices) : (slice_t){0},
                     .places = self->place_count > 0 ? buffer_slice(&places) : (slice_t){0},
                     .tokens = self->tokens,
                     .failing = self->failing,
                     .pending = self->pending_count > 0 ? buffer_slice(&pending) : (slice_t){0},
                 },
                 out);
    buffer_fini(&tasks);
    buffer_fini(&notices);
    buffer_fini(&places);
    buffer_fini(&pending);
}

/* --- loading --------------------------------------------------------------------------------- */

static bool task_is_possible(const saga_t *self, const saga_task_t *record)
{
    return record->number == self->count + 1 && (!self->plan || record->node < self->plan->count) &&
           record->parent < record->number && record->state >= TASK_OPEN &&
           record->state <= TASK_UNDOING && self->count < SAGA_TASKS_MAX &&
           (record->parent > 0 || record->node == 0);
}

static void load_task(saga_t *self, const saga_task_t *record)
{
    task_t *task = &self->tasks[self->count++];
    *task = (task_t){
        .node = (uint32_t)record->node,
        .parent = (uint32_t)record->parent,
        .state = (task_state_t)record->state,
        .count = record->count,
        .good = record->good,
        .attempt = record->attempt,
        .opened_us = record->opened_us,
        .due_us = record->due_us,
        .deadline_us = record->deadline_us,
        .ended_us = record->ended_us,
        .order = record->order,
    };
    saga_keep(self, &task->error, record->error);
    saga_keep(self, &task->text, record->text);
    saga_keep(self, &task->input, record->input);
    saga_keep(self, &task->result, record->result);
}

static capstan_err_t load_tasks(saga_t *self, slice_t tasks)
{
    codec_list_t list;
    saga_task_t record;
    capstan_err_t err = codec_list_open(saga_task_wire(), tasks, &list);
    if (err != CAPSTAN_OK) {
        return err;
    }
    self->capacity =
        codec_list_count(tasks) < SAGA_TASKS_MAX ? codec_list_count(tasks) : SAGA_TASKS_MAX;
    self->tasks = calloc(self->capacity + 1, sizeof *self->tasks);
    ENSURE(self->tasks);
    while (codec_list_next(&list, &record)) {
        if (!task_is_possible(self, &record)) {
            return CAPSTAN_E_STORE_CORRUPT;
        }
        load_task(self, &record);
    }
    return list.fault.err;
}

static capstan_err_t load_notices(saga_t *self, slice_t notices)
{
    codec_list_t list;
    saga_notice_t record;
    capstan_err_t err = codec_list_open(saga_notice_wire(), notices, &list);
    if (err != CAPSTAN_OK || codec_list_count(notices) > SAGA_NOTICES_MAX) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    self->notices = calloc(codec_list_count(notices) + 1, sizeof *self->notices);
    ENSURE(self->notices);
    while (codec_list_next(&list, &record)) {
        notice_t *notice = &self->notices[self->notice_count++];
        notice->source = (plan_source_t)record.source;
        saga_keep(self, &notice->name, record.name);
        saga_keep(self, &notice->value, record.value);
        self->notice_bytes += record.name.size + record.value.size;
    }
    return list.fault.err;
}

static capstan_err_t load_places(saga_t *self, slice_t places)
{
    codec_list_t list;
    saga_place_t record;
    capstan_err_t err = codec_list_open(saga_place_wire(), places, &list);
    if (err != CAPSTAN_OK) {
        return err;
    }
    self->places = calloc(codec_list_count(places) + 1, sizeof *self->places);
    ENSURE(self->places);
    while (codec_list_next(&list, &record)) {
        place_t *place = &self->places[self->place_count++];
        place->partition = record.partition;
        place->offset = record.offset;
        saga_keep(self, &place->topic, record.topic);
    }
    return list.fault.err;
}

static capstan_err_t load_pending(saga_t *self, slice_t pending)
{
    codec_list_t list;
    saga_input_t input;
    capstan_err_t err = codec_list_open(saga_input_wire(), pending, &list);
    while (!err && codec_list_next(&list, &input)) {
        codec_encode(saga_input_wire(), &input, &self->pending);
        self->pending_count++;
    }
    return err ? err : list.fault.err;
}

static capstan_err_t load(saga_t *self, const saga_state_t *state)
{
    saga_keep(self, &self->begin_record, state->begin);
    capstan_err_t err = codec_decode(saga_begin_wire(), self->begin_record, &self->begin, NULL);
    if (err != CAPSTAN_OK || state->state < SAGA_WAITING || state->state > SAGA_CANCELLED) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    self->sequence = state->sequence;
    self->phase = (saga_phase_t)state->state;
    self->paused = state->paused;
    self->pivot = state->pivot;
    self->late = state->late;
    self->failing = state->failing;
    self->ended_us = state->ended_us;
    self->undo_us = state->undo_us;
    self->orders = state->orders;
    saga_keep(self, &self->outcome, state->outcome);
    saga_keep(self, &self->reason, state->reason);
    saga_keep(self, &self->tokens, state->tokens);
    err = load_tasks(self, state->tasks);
    err = err ? err : load_notices(self, state->notices);
    err = err ? err : load_places(self, state->places);
    err = err ? err : load_pending(self, state->pending);
    return err ? CAPSTAN_E_STORE_CORRUPT : CAPSTAN_OK;
}

capstan_err_t saga_load(const plan_t *plan, slice_t record, saga_t **ret_saga)
{
    saga_state_t state;
    if (codec_decode(saga_state_wire(), record, &state, NULL) != CAPSTAN_OK) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    saga_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->plan = plan;
    capstan_err_t err = load(self, &state);
    bool sleeps = self->pending_count > 0 ||
                  (self->phase == SAGA_WAITING && !self->begin.waits && state.begin.size > 0);
    if (err == CAPSTAN_OK && plan && sleeps) {
        self->plan = NULL;
        saga_awake(self, plan);
    }
    if (err == CAPSTAN_OK) {
        *ret_saga = self;
    } else {
        saga_destroy(&self);
    }
    return err;
}
