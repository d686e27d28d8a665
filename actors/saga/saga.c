/* A saga as a whole: what it hears, its states, and what is kept of it. */
#include "actors/saga/saga_internal.h"

#include <stdlib.h>

/* --- keeping --------------------------------------------------------------------------------- */

void saga_drop(saga_t *self, slice_t *owned)
{
    self->bytes -= owned->size;
    free((void *)(uintptr_t)owned->data);
    *owned = (slice_t){0};
}

void saga_keep(saga_t *self, slice_t *owned, slice_t value)
{
    void *copy = NULL;
    if (value.size > 0) {
        copy = malloc(value.size);
        ENSURE(copy);
        memcpy(copy, value.data, value.size);
    }
    saga_drop(self, owned);
    *owned = (slice_t){copy, value.size};
    self->bytes += value.size;
}

void saga_emit(saga_t *self, const saga_effect_t *effect)
{
    saga_effects_t *effects = self->effects;
    if (effects->count == effects->capacity) {
        effects->capacity = effects->capacity > 0 ? 2 * effects->capacity : 8;
        effects->list = realloc(effects->list, effects->capacity * sizeof *effects->list);
        ENSURE(effects->list);
    }
    effects->list[effects->count++] = *effect;
}

void saga_effects_fini(saga_effects_t *self)
{
    free(self->list);
    *self = (saga_effects_t){0};
}

/* --- beginning and end ----------------------------------------------------------------------- */

static void run(saga_t *self)
{
    task_open(self, 0, 0);
    saga_settle(self);
}

static void hear(saga_t *self, int64_t now_us, uint64_t dice, saga_effects_t *effects)
{
    self->effects = effects;
    self->now_us = now_us;
    self->dice = dice;
}

saga_t *saga_new(const plan_t *plan, const saga_begin_t *begin, saga_effects_t *effects)
{
    saga_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    buffer_t record = {0};
    codec_encode(saga_begin_wire(), begin, &record);
    self->plan = plan;
    saga_keep(self, &self->begin_record, buffer_slice(&record));
    buffer_fini(&record);
    capstan_err_t err = codec_decode(saga_begin_wire(), self->begin_record, &self->begin, NULL);
    ENSURE(err == CAPSTAN_OK);
    self->phase = SAGA_WAITING;
    hear(self, begin->at_us, 0, effects);
    if (begin->place.size > 0) {
        notice_take(self, &(saga_input_t){.kind = SAGA_INPUT_event, .place = begin->place});
    }
    if (!begin->waits && plan) {
        saga_move(self, SAGA_RUNNING);
        run(self);
    }
    return self;
}

static void apply_pending(saga_t *self, slice_t inputs, saga_effects_t *effects)
{
    codec_list_t list;
    saga_input_t input;
    capstan_err_t err = codec_list_open(saga_input_wire(), inputs, &list);
    ENSURE(err == CAPSTAN_OK);
    while (codec_list_next(&list, &input)) {
        if (saga_accepts(self, &input) == CAPSTAN_OK) {
            saga_apply(self, &input, effects);
        } else {
            self->sequence = input.sequence;
        }
        effects->count = 0; /* what is under way is sent again by who woke it */
    }
}

void saga_awake(saga_t *self, const plan_t *plan)
{
    saga_effects_t effects = {0};
    buffer_t inputs = {0};
    ENSURE(!self->plan);
    self->plan = plan;
    saga_save_pending(self, &inputs);
    self->sequence -= self->pending_count;
    self->pending_count = 0;
    buffer_fini(&self->pending);
    hear(self, self->begin.at_us, 0, &effects);
    if (self->phase == SAGA_WAITING && !self->begin.waits) {
        saga_move(self, SAGA_RUNNING);
        run(self);
    }
    apply_pending(self, buffer_slice(&inputs), &effects);
    buffer_fini(&inputs);
    saga_effects_fini(&effects);
}

static void drop_task(saga_t *self, task_t *task)
{
    saga_drop(self, &task->error);
    saga_drop(self, &task->text);
    saga_drop(self, &task->input);
    saga_drop(self, &task->result);
}

void saga_destroy(saga_t **self_p)
{
    saga_t *self = *self_p;
    if (!self) {
        return;
    }
    for (uint32_t i = 0; i < self->count; i++) {
        drop_task(self, &self->tasks[i]);
    }
    for (size_t i = 0; i < self->notice_count; i++) {
        saga_drop(self, &self->notices[i].name);
        saga_drop(self, &self->notices[i].value);
    }
    for (size_t i = 0; i < self->place_count; i++) {
        saga_drop(self, &self->places[i].topic);
    }
    saga_drop(self, &self->begin_record);
    saga_drop(self, &self->outcome);
    saga_drop(self, &self->reason);
    saga_drop(self, &self->tokens);
    free(self->tasks);
    free(self->notices);
    free(self->places);
    free(self->ended);
    buffer_fini(&self->pending);
    free(self);
    *self_p = NULL;
}

/* --- time ------------------------------------------------------------------------------------ */

static int64_t sooner(int64_t due_us, int64_t at_us)
{
    return at_us != 0 && at_us < due_us ? at_us : due_us;
}

static bool is_live(const saga_t *self)
{
    return self->phase == SAGA_WAITING || self->phase == SAGA_RUNNING ||
           self->phase == SAGA_COMPENSATING;
}

static int64_t deadline_us(const saga_t *self)
{
    if (self->phase == SAGA_COMPENSATING) {
        int64_t budget_us = self->plan->undo_deadline_us;
        return budget_us > 0 ? self->undo_us + budget_us : 0;
    }
    return self->late ? 0 : self->begin.deadline_us;
}

/* A step's own deadline ends its attempts too, as long as it goes forward. */
static int64_t task_due_us(const task_t *task)
{
    bool forward = task->state == TASK_CALLING || task->state == TASK_BACKOFF;
    return sooner(sooner(INT64_MAX, task->due_us), forward ? task->deadline_us : 0);
}

int64_t saga_due_us(const saga_t *self)
{
    if (!self->plan || !is_live(self) || self->paused) {
        return INT64_MAX;
    }
    int64_t due_us = sooner(INT64_MAX, deadline_us(self));
    for (uint32_t i = 0; i < self->count; i++) {
        due_us = sooner(due_us, task_due_us(&self->tasks[i]));
    }
    return due_us;
}

static void task_time(saga_t *self, task_t *task)
{
    plan_kind_t kind = task_node(self, task)->kind;
    if (task_is_action(self, task)) {
        step_time(self, task);
    } else if (kind == PLAN_AWAIT) {
        await_time(self, task);
    } else {
        task_succeed(self, task); /* it has slept */
    }
}

static void pass_deadline(saga_t *self)
{
    if (self->phase == SAGA_WAITING) {
        saga_keep(self, &self->reason, slice_text("its deadline passed before its turn came"));
        saga_move(self, SAGA_COMPENSATED);
    } else if (self->phase == SAGA_COMPENSATING) {
        saga_keep(self, &self->reason, slice_text("the time for its compensation is up"));
        saga_move(self, SAGA_PARKED);
    } else if (self->pivot) {
        self->late = true;
        saga_keep(self, &self->reason, slice_text("its deadline passed behind the pivot"));
        saga_move(self, SAGA_PARKED);
    } else {
        self->late = true;
        saga_fail(self, slice_text("its deadline passed"));
    }
}

static void take_time(saga_t *self)
{
    int64_t end_us = deadline_us(self);
    if (end_us != 0 && end_us <= self->now_us) {
        pass_deadline(self);
        saga_settle(self);
    }
    /* Tasks that these open are due later, or at once: then they are seen with the next input. */
    for (uint32_t i = 0, count = self->count; i < count; i++) {
        task_t *task = &self->tasks[i];
        if (is_live(self) && task_due_us(task) <= self->now_us) {
            task_time(self, task);
            saga_settle(self);
        }
    }
}

/* --- what people want ------------------------------------------------------------------------- */

static bool is_stuck(const task_t *task)
{
    return task->state == TASK_STUCK || task->state == TASK_UNDO_STUCK;
}

/* A task that is stuck; 0 means all of them. */
static bool names_stuck(const saga_t *self, uint64_t number)
{
    if (number > 0) {
        const task_t *task = saga_task(self, number);
        return task && is_stuck(task);
    }
    return true;
}

/* Whether a retry could do something: only actions are tried again. */
static bool names_retriable(const saga_t *self, uint64_t number)
{
    const task_t *task = saga_task(self, number);
    return number == 0 || (task && is_stuck(task) && task_is_action(self, task));
}

static void go_on(saga_t *self)
{
    saga_drop(self, &self->reason);
    if (self->undo_us != 0) {
        self->undo_us = self->now_us; /* a person gives it its time again */
    }
    saga_move(self, self->undo_us != 0 ? SAGA_COMPENSATING : SAGA_RUNNING);
    step_send_children(self);
}

static void take_retry(saga_t *self, uint64_t number)
{
    go_on(self);
    for (uint32_t i = 0; i < self->count; i++) {
        task_t *task = &self->tasks[i];
        if (is_stuck(task) && task_is_action(self, task) && (number == 0 || number == i + 1)) {
            bool undo = task->state == TASK_UNDO_STUCK;
            task->count = task->attempt; /* a participant knows a new try by its number */
            task->deadline_us = 0;
            step_dispatch(self, task, undo ? TASK_UNDO_CALLING : TASK_CALLING,
                          undo ? TASK_UNDO_BACKOFF : TASK_BACKOFF);
        }
    }
}

static void take_skip(saga_t *self, const saga_input_t *input)
{
    go_on(self);
    for (uint32_t i = 0; i < self->count; i++) {
        task_t *task = &self->tasks[i];
        if (is_stuck(task) && (input->task == 0 || input->task == i + 1)) {
            saga_keep(self, &task->text, input->text);
            if (task->state == TASK_UNDO_STUCK) {
                undo_done(self, task);
            } else {
                undo_drop_within(self, task);
                saga_keep(self, &task->result, input->value);
                task_succeed(self, task);
            }
        }
    }
}

/* What is still stuck keeps it parked. */
static void park_again(saga_t *self)
{
    for (uint32_t i = 0; i < self->count && is_live(self); i++) {
        if (is_stuck(&self->tasks[i])) {
            saga_move(self, SAGA_PARKED);
        }
    }
}

static void end_by_hand(saga_t *self, const saga_input_t *input, saga_phase_t to)
{
    self->paused = false;
    saga_keep(self, &self->reason, input->text);
    saga_keep(self, &self->outcome, input->error);
    for (uint32_t i = 0; i < self->count; i++) {
        self->tasks[i].due_us = 0;
    }
    saga_move(self, to);
}

static void cancel(saga_t *self, const saga_input_t *input)
{
    slice_t reason = input->text.size > 0 ? input->text : slice_text("cancelled by a person");
    self->paused = false;
    if (self->phase == SAGA_WAITING) {
        saga_keep(self, &self->reason, reason);
        saga_move(self, SAGA_COMPENSATED);
    } else {
        saga_fail(self, reason);
    }
}

/* --- hearing --------------------------------------------------------------------------------- */

static bool is_running(const saga_t *self)
{
    return self->phase == SAGA_RUNNING;
}

static capstan_err_t accepts_person(const saga_t *self, const saga_input_t *input)
{
    bool parked = self->phase == SAGA_PARKED;
    bool good = false;
    switch ((saga_input_kind_t)input->kind) {
    case SAGA_INPUT_cancel:
        if (is_running(self) && (self->pivot || self->failing)) {
            return self->pivot ? CAPSTAN_E_PIVOT_PASSED : CAPSTAN_E_SAGA_STATE;
        }
        good = is_running(self) || self->phase == SAGA_WAITING;
        break;
    case SAGA_INPUT_abandon:
        good = true;
        break;
    case SAGA_INPUT_pause:
        good = !self->paused && is_live(self) && !parked;
        break;
    case SAGA_INPUT_resume:
        good = self->paused;
        break;
    case SAGA_INPUT_retry:
        good = parked && names_retriable(self, input->task);
        break;
    case SAGA_INPUT_skip:
        good = parked && names_stuck(self, input->task);
        break;
    case SAGA_INPUT_complete:
        good = (parked || is_running(self)) && self->undo_us == 0;
        break;
    default:
        break;
    }
    return good ? CAPSTAN_OK : CAPSTAN_E_SAGA_STATE;
}

capstan_err_t saga_accepts(const saga_t *self, const saga_input_t *input)
{
    const task_t *task = saga_task(self, input->task);
    bool notice = input->kind == SAGA_INPUT_event || input->kind == SAGA_INPUT_signal;
    if (!self->plan) {
        return CAPSTAN_E_UNKNOWN_DEFINITION;
    }
    if (notice || saga_has_ended(self)) { /* the token of a signal is known after the end too */
        return notice ? notice_accepts(self, input) : CAPSTAN_E_SAGA_ENDED;
    }
    switch ((saga_input_kind_t)input->kind) {
    case SAGA_INPUT_turn:
        return self->phase == SAGA_WAITING ? CAPSTAN_OK : CAPSTAN_E_SAGA_STATE;
    case SAGA_INPUT_done:
    case SAGA_INPUT_failed:
    case SAGA_INPUT_refused:
    case SAGA_INPUT_never:
    case SAGA_INPUT_busy:
        return task && step_accepts(self, task, input) ? CAPSTAN_OK : CAPSTAN_E_SAGA_STATE;
    case SAGA_INPUT_time:
        return saga_due_us(self) <= input->at_us ? CAPSTAN_OK : CAPSTAN_E_SAGA_STATE;
    default:
        return accepts_person(self, input);
    }
}

static void take_person(saga_t *self, const saga_input_t *input)
{
    switch ((saga_input_kind_t)input->kind) {
    case SAGA_INPUT_cancel:
        cancel(self, input);
        break;
    case SAGA_INPUT_abandon:
        end_by_hand(self, input, SAGA_CANCELLED);
        break;
    case SAGA_INPUT_pause:
        self->paused = true;
        break;
    case SAGA_INPUT_resume:
        self->paused = false;
        step_send_children(self);
        break;
    case SAGA_INPUT_retry:
        take_retry(self, input->task);
        break;
    case SAGA_INPUT_skip:
        take_skip(self, input);
        break;
    case SAGA_INPUT_complete:
        end_by_hand(self, input, SAGA_COMPLETED);
        break;
    default:
        ENSURE(false);
    }
}

static void take(saga_t *self, const saga_input_t *input)
{
    switch ((saga_input_kind_t)input->kind) {
    case SAGA_INPUT_turn:
        saga_move(self, SAGA_RUNNING);
        run(self);
        break;
    case SAGA_INPUT_done:
    case SAGA_INPUT_failed:
    case SAGA_INPUT_refused:
    case SAGA_INPUT_never:
    case SAGA_INPUT_busy:
        step_reply(self, saga_task(self, input->task), input);
        break;
    case SAGA_INPUT_time:
        take_time(self);
        break;
    case SAGA_INPUT_event:
    case SAGA_INPUT_signal:
        notice_take(self, input);
        break;
    default:
        take_person(self, input);
        break;
    }
}

void saga_apply(saga_t *self, const saga_input_t *input, saga_effects_t *effects)
{
    ENSURE(input->sequence == self->sequence + 1);
    self->sequence = input->sequence;
    if (!self->plan) {
        codec_encode(saga_input_wire(), input, &self->pending);
        self->pending_count++;
        return;
    }
    hear(self, input->at_us, input->dice, effects);
    take(self, input);
    saga_settle(self);
    if (input->kind == SAGA_INPUT_retry || input->kind == SAGA_INPUT_skip) {
        park_again(self);
    }
    self->effects = NULL;
}

void saga_resend(saga_t *self, saga_effects_t *effects)
{
    self->effects = effects;
    bool silent = !self->plan || saga_is_held(self) || saga_has_ended(self);
    for (uint32_t i = 0; i < self->count && !silent; i++) {
        step_send(self, &self->tasks[i]);
    }
    self->effects = NULL;
}

/* --- what is known --------------------------------------------------------------------------- */

saga_phase_t saga_phase(const saga_t *self)
{
    return self->phase;
}

bool saga_has_ended(const saga_t *self)
{
    return self->phase == SAGA_COMPLETED || self->phase == SAGA_COMPENSATED ||
           self->phase == SAGA_CANCELLED;
}

const saga_begin_t *saga_begin_of(const saga_t *self)
{
    return &self->begin;
}

const plan_t *saga_plan(const saga_t *self)
{
    return self->plan;
}

uint64_t saga_sequence(const saga_t *self)
{
    return self->sequence;
}

size_t saga_bytes(const saga_t *self)
{
    return sizeof *self + self->bytes + self->capacity * sizeof *self->tasks;
}

bool saga_is_calling(const saga_t *self)
{
    for (uint32_t i = 0; i < self->count && !saga_has_ended(self); i++) {
        task_state_t state = self->tasks[i].state;
        if (state == TASK_CALLING || state == TASK_SETTLING || state == TASK_UNDO_CALLING) {
            return true;
        }
    }
    return false;
}

saga_row_t saga_row(const saga_t *self)
{
    return (saga_row_t){
        .id = self->begin.id,
        .number = self->begin.number,
        .definition = self->begin.definition,
        .version = self->begin.version,
        .state = self->phase,
        .outcome = self->outcome,
        .reason = self->reason,
        .key = self->begin.key,
        .started_us = self->begin.at_us,
        .ended_us = self->ended_us,
        .paused = self->paused,
        .absent = !self->plan,
    };
}
