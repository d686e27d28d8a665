/* Actions: the attempts of steps, of their compensations, and of settling a pivot; children. */
#include "actors/saga/saga_internal.h"

#include <xxhash.h>

static bool is_undo(const task_t *task)
{
    return task->state == TASK_UNDO_CALLING || task->state == TASK_UNDO_BACKOFF;
}

/* A child that has not said how it ended: to be undone it is cancelled first. */
static bool is_running_child(const saga_t *self, const task_t *task)
{
    return task_node(self, task)->kind == PLAN_CHILD && task->order == 0;
}

static const plan_retry_t *retry_of(const saga_t *self, const task_t *task)
{
    bool forward = task->state == TASK_CALLING || task->state == TASK_BACKOFF;
    return forward ? &task_node(self, task)->retry : &self->plan->undo_retry;
}

/* --- sending --------------------------------------------------------------------------------- */

/* A child's compensation is an action of its own at its participant, which never heard of one that
 * it would undo. */
static command_phase_t undo_phase(const saga_t *self, const task_t *task)
{
    return task_node(self, task)->kind == PLAN_CHILD ? PHASE_ACT : PHASE_UNDO;
}

static void call(saga_t *self, const task_t *task, command_phase_t phase)
{
    const plan_node_t *node = task_node(self, task);
    bool undo = task->state == TASK_UNDO_CALLING;
    saga_emit(self, &(saga_effect_t){
                        .kind = SAGA_CALL,
                        .task = task_number(self, task),
                        .phase = phase,
                        .attempt = task->attempt,
                        .participant = node->participant,
                        .action = undo ? node->compensation : node->action,
                        .input = node->input.size > 0 ? task->input : self->begin.input,
                        .result = undo ? task->result : (slice_t){0},
                        .timeout_us = node->attempt_us,
                    });
}

void step_send(saga_t *self, const task_t *task)
{
    const plan_node_t *node = task_node(self, task);
    bool child = is_running_child(self, task);
    saga_effect_t effect = {.task = task_number(self, task),
                            .attempt = task->attempt,
                            .definition = node->definition,
                            .version = node->version,
                            .input = node->input.size > 0 ? task->input : self->begin.input};
    if (task->state == TASK_CALLING && child) {
        effect.kind = SAGA_START_CHILD;
        saga_emit(self, &effect);
    } else if ((task->state == TASK_UNDO_CALLING || task->state == TASK_SETTLING) && child) {
        effect.kind = SAGA_CANCEL_CHILD;
        saga_emit(self, &effect);
    } else if (task->state == TASK_CALLING) {
        call(self, task, PHASE_ACT);
    } else if (task->state == TASK_UNDO_CALLING) {
        call(self, task, undo_phase(self, task));
    } else if (task->state == TASK_SETTLING && task->attempt > 0) { /* else it was held */
        call(self, task, PHASE_SETTLE);
    }
}

static int64_t wait_us(const saga_t *self, const task_t *task)
{
    const plan_retry_t *retry = retry_of(self, task);
    double wait = (double)retry->initial_us;
    for (uint64_t i = 1; i < task->attempt - task->count && wait < (double)retry->max_us; i++) {
        wait = wait * retry->factor_percent / 100.0;
    }
    wait = wait < (double)retry->max_us ? wait : (double)retry->max_us;
    uint64_t words[2] = {self->dice, task_number(self, task)};
    double share = (double)(XXH64(words, sizeof words, 0) >> 11) / (double)(UINT64_C(1) << 53);
    return (int64_t)(wait * (1.0 - share * retry->jitter_percent / 100.0)) + 1;
}

static void enter(saga_t *self, task_t *task, task_state_t state)
{
    if (task->state != state) {
        task_move(self, task, state);
    }
}

void step_dispatch(saga_t *self, task_t *task, task_state_t calling, task_state_t waiting)
{
    if (saga_is_held(self)) {
        enter(self, task, waiting);
        task->due_us = self->now_us;
        return;
    }
    task->attempt++;
    enter(self, task, calling);
    task->due_us =
        is_running_child(self, task) ? 0 : self->now_us + task_node(self, task)->attempt_us;
    if (calling == TASK_SETTLING && task->due_us != 0) {
        task->due_us += wait_us(self, task); /* it is asked again then: it has no other state */
    }
    step_send(self, task);
}

void step_open(saga_t *self, task_t *task)
{
    const plan_node_t *node = task_node(self, task);
    saga_taken_t taken;
    if (fork_has(self, task, &taken) && taken.branch == 0) {
        saga_keep(self, &task->result, taken.result);
        self->pivot = self->pivot || node->class == PLAN_RETRIABLE;
        task_succeed(self, task);
        return;
    }
    if (node->input.size > 0) {
        saga_scope_t scope = {.saga = self, .task = task};
        buffer_t input = {0};
        slice_t path = {0};
        capstan_err_t err =
            value_fill(node->input, &(value_scope_t){saga_document, &scope}, &input, &path);
        saga_keep(self, &task->input, buffer_slice(&input));
        buffer_fini(&input);
        if (err != CAPSTAN_OK) {
            task_fail(self, task, err == CAPSTAN_E_NOT_FOUND ? "VALUE_MISSING" : "TOO_LARGE", path);
            return;
        }
    }
    if (node->class == PLAN_RETRIABLE) { /* it has no compensation: there is no way back */
        self->pivot = true;
        self->failing = false;
    }
    task->deadline_us = node->step_us > 0 ? self->now_us + node->step_us : 0;
    step_dispatch(self, task, TASK_CALLING, TASK_BACKOFF);
}

/* What a child's task asked for may have been passed over while nothing new was begun. */
void step_send_children(saga_t *self)
{
    for (uint32_t i = 0; i < self->count && !saga_is_held(self); i++) {
        task_t *task = &self->tasks[i];
        if (task_is_action(self, task) && is_running_child(self, task)) {
            task->attempt += task->state == TASK_CALLING;
            step_send(self, task);
        }
    }
}

/* --- attempts that fail ----------------------------------------------------------------------- */

static bool is_final(const plan_retry_t *retry, slice_t error)
{
    codec_list_t list;
    saga_word_t word;
    bool found = false;
    if (codec_list_open(saga_word_wire(), retry->final, &list) == CAPSTAN_OK) {
        while (!found && codec_list_next(&list, &word)) {
            found = slice_equal(word.word, error);
        }
    }
    return found;
}

void step_stick(saga_t *self, task_t *task)
{
    task_move(self, task, is_undo(task) ? TASK_UNDO_STUCK : TASK_STUCK);
    if (self->phase != SAGA_PARKED) {
        slice_t name = task_node(self, task)->name;
        char reason[512];
        int size = snprintf(reason, sizeof reason, "%.*s is stuck: %.*s", (int)name.size,
                            (const char *)name.data, (int)task->error.size,
                            (const char *)task->error.data);
        saga_keep(self, &self->reason, slice_of(reason, (size_t)size));
        saga_move(self, SAGA_PARKED);
    }
}

/* No further attempt is made, and whether one of them had an effect is not known. */
static void exhaust(saga_t *self, task_t *task)
{
    const plan_node_t *node = task_node(self, task);
    if (is_undo(task) || task->state == TASK_SETTLING || self->pivot) {
        step_stick(self, task);
    } else if (node->class == PLAN_READ) {
        char error[128];
        int size = snprintf(error, sizeof error, "%.*s", (int)task->error.size,
                            (const char *)task->error.data);
        ENSURE(size >= 0);
        task_fail(self, task, error, task->text);
    } else {
        char reason[256];
        int size = snprintf(reason, sizeof reason, "%.*s: %.*s", (int)node->name.size,
                            (const char *)node->name.data, (int)task->error.size,
                            (const char *)task->error.data);
        task_give_up(self, task, slice_of(reason, (size_t)size));
    }
}

static void note(saga_t *self, task_t *task, slice_t error, slice_t text)
{
    enum { ERROR_BYTES_MAX = 64, TEXT_BYTES_MAX = 256 };
    error.size = error.size < ERROR_BYTES_MAX ? error.size : ERROR_BYTES_MAX;
    text.size = text.size < TEXT_BYTES_MAX ? text.size : TEXT_BYTES_MAX;
    saga_keep(self, &task->error, error);
    saga_keep(self, &task->text, text);
}

static void fail_attempt(saga_t *self, task_t *task, slice_t error, slice_t text)
{
    const plan_retry_t *retry = retry_of(self, task);
    note(self, task, error, text);
    if (task->attempt - task->count >= retry->attempts_max || is_final(retry, task->error)) {
        exhaust(self, task);
        return;
    }
    int64_t wait = wait_us(self, task);
    if (task->state != TASK_SETTLING) {
        enter(self, task, is_undo(task) ? TASK_UNDO_BACKOFF : TASK_BACKOFF);
    }
    task->due_us = self->now_us + wait;
}

/* --- answers --------------------------------------------------------------------------------- */

static bool is_attempt(const task_t *task, const saga_input_t *input)
{
    return input->attempt == 0 || input->attempt == task->attempt;
}

/* Whether an answer of that phase is waited for; one that says how it ended may be to an earlier
 * attempt. */
bool step_accepts(const saga_t *self, const task_t *task, const saga_input_t *input)
{
    bool ends = input->kind == SAGA_INPUT_done || input->kind == SAGA_INPUT_refused ||
                input->kind == SAGA_INPUT_never;
    bool calling = false;
    bool waiting = false;
    if (!task_is_action(self, task)) {
        return false;
    }
    if (is_running_child(self, task)) {
        return ends && input->phase == 0 &&
               (task->state == TASK_CALLING || task->state == TASK_SETTLING || is_undo(task));
    }
    command_phase_t phase = (command_phase_t)input->phase;
    if (is_undo(task) && phase == undo_phase(self, task)) {
        phase = PHASE_UNDO;
    }
    switch (phase) {
    case PHASE_ACT:
        calling = task->state == TASK_CALLING;
        waiting = (task->state == TASK_BACKOFF && task->attempt > 0) ||
                  (task->state == TASK_SETTLING && input->kind == SAGA_INPUT_done);
        break;
    case PHASE_UNDO:
        calling = task->state == TASK_UNDO_CALLING;
        waiting = task->state == TASK_UNDO_BACKOFF && task->attempt > 0;
        break;
    case PHASE_SETTLE:
        calling = task->state == TASK_SETTLING;
        break;
    }
    return (calling && (ends || is_attempt(task, input))) || (waiting && ends);
}

/* A child that was cancelled, and has ended otherwise. */
static void reply_of_cancelled(saga_t *self, task_t *task, const saga_input_t *input)
{
    if (input->kind != SAGA_INPUT_done) {
        undo_done(self, task);
        return;
    }
    saga_keep(self, &task->result, input->value);
    task->order = ++self->orders;
    task->attempt = task->count = 0;
    if (task_node(self, task)->compensation.size > 0) {
        step_dispatch(self, task, TASK_UNDO_CALLING, TASK_UNDO_BACKOFF);
    } else {
        note(self, task, slice_text("CHILD_COMPLETED"), (slice_t){0});
        step_stick(self, task);
    }
}

static void reply_to_undo(saga_t *self, task_t *task, const saga_input_t *input)
{
    if (input->kind == SAGA_INPUT_done || input->kind == SAGA_INPUT_never) {
        undo_done(self, task);
    } else if (input->kind == SAGA_INPUT_failed) {
        fail_attempt(self, task, input->error, input->text);
    } else {
        note(self, task, input->error, input->text);
        step_stick(self, task);
    }
}

static void reply_to_action(saga_t *self, task_t *task, const saga_input_t *input)
{
    char error[64];
    switch ((saga_input_kind_t)input->kind) {
    case SAGA_INPUT_done:
        saga_keep(self, &task->result, input->value);
        task_succeed(self, task);
        break;
    case SAGA_INPUT_failed:
        fail_attempt(self, task, input->error, input->text);
        break;
    case SAGA_INPUT_never:
        task_fail(self, task, "NEVER", (slice_t){0});
        break;
    default:
        snprintf(error, sizeof error, "%.*s",
                 (int)(input->error.size < sizeof error ? input->error.size : sizeof error - 1),
                 (const char *)input->error.data);
        task_fail(self, task, error[0] ? error : "REFUSED", input->text);
        break;
    }
}

void step_reply(saga_t *self, task_t *task, const saga_input_t *input)
{
    if (input->kind == SAGA_INPUT_busy) {
        bool settles = task->state == TASK_SETTLING;
        task->due_us =
            self->now_us + task_node(self, task)->attempt_us + (settles ? wait_us(self, task) : 0);
    } else if (is_undo(task) && is_running_child(self, task)) {
        reply_of_cancelled(self, task, input);
    } else if (is_undo(task)) {
        reply_to_undo(self, task, input);
    } else {
        reply_to_action(self, task, input);
    }
}

/* --- time ------------------------------------------------------------------------------------ */

void step_time(saga_t *self, task_t *task)
{
    bool forward = task->state == TASK_CALLING || task->state == TASK_BACKOFF;
    if (forward && task->deadline_us != 0 && task->deadline_us <= self->now_us) {
        task->deadline_us = 0;
        note(self, task, slice_text("STEP_TIMEOUT"), (slice_t){0});
        exhaust(self, task);
        return;
    }
    switch (task->state) {
    case TASK_BACKOFF:
        step_dispatch(self, task, TASK_CALLING, TASK_BACKOFF);
        break;
    case TASK_UNDO_BACKOFF:
        step_dispatch(self, task, TASK_UNDO_CALLING, TASK_UNDO_BACKOFF);
        break;
    case TASK_SETTLING:
        if (task->attempt - task->count >= retry_of(self, task)->attempts_max) {
            note(self, task, slice_text("IN_DOUBT"), (slice_t){0});
            step_stick(self, task);
        } else {
            step_dispatch(self, task, TASK_SETTLING, TASK_SETTLING);
        }
        break;
    default:
        fail_attempt(self, task, slice_text("ATTEMPT_TIMEOUT"), (slice_t){0});
        break;
    }
}
