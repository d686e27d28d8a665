#include "runtime/supervision.h"

#include "runtime/base/ensure.h"

/* The state that follows, plus one; 0: not a row of the table. */
static const uint8_t child_after[CHILD_STATE_COUNT][CHILD_INPUT_COUNT] = {
#define CHILD_TRANSITION(from, input, to, what)                                                    \
    [CHILD_##from][CHILD_INPUT_##input] = CHILD_##to + 1,
#include "runtime/supervision_states.def"
};

static const uint8_t supervisor_after[SUPERVISOR_STATE_COUNT][SUPERVISOR_INPUT_COUNT] = {
#define SUPERVISOR_TRANSITION(from, input, to, what)                                               \
    [SUPERVISOR_##from][SUPERVISOR_INPUT_##input] = SUPERVISOR_##to + 1,
#include "runtime/supervision_states.def"
};

/* What one step works with. */
typedef struct step {
    supervision_t *self;
    int64_t now_us;
    uint64_t random;
    supervision_effects_t *effects;
} step_t;

static void child_step(step_t *step, supervision_child_t *child, child_input_t input)
{
    uint8_t after = child_after[child->state][input];
    ENSURE(after != 0);
    step->self->child_steps[child->state][input]++;
    child->state = (child_state_t)(after - 1);
}

static void supervisor_step(step_t *step, supervisor_input_t input)
{
    supervision_t *self = step->self;
    uint8_t after = supervisor_after[self->state][input];
    ENSURE(after != 0);
    self->supervisor_steps[self->state][input]++;
    self->state = (supervisor_state_t)(after - 1);
}

static void emit(step_t *step, supervision_effect_t effect)
{
    supervision_effects_t *effects = step->effects;
    if (effects->count == effects->capacity) {
        effects->capacity = effects->capacity > 0 ? effects->capacity * 2 : 16;
        effects->list = realloc(effects->list, effects->capacity * sizeof *effects->list);
        ENSURE(effects->list);
    }
    effects->list[effects->count++] = effect;
}

static bool is_ending(const supervision_t *self)
{
    return self->state == SUPERVISOR_STOPPING || self->state == SUPERVISOR_ESCALATING;
}

static bool is_alive(const supervision_child_t *child)
{
    return child->state == CHILD_STARTING || child->state == CHILD_RUNNING ||
           child->state == CHILD_STOPPING;
}

/* --- the list of children -------------------------------------------------------------------- */

static void link_child(supervision_t *self, supervision_child_t *child)
{
    child->order = ++self->order_last;
    child->previous = self->tail;
    child->next = NULL;
    if (self->tail) {
        self->tail->next = child;
    } else {
        self->head = child;
    }
    self->tail = child;
}

static void unlink_child(supervision_t *self, supervision_child_t *child)
{
    if (self->opening == child) {
        self->opening = child->next;
    }
    if (self->halting == child) {
        self->halting = child->previous;
    }
    if (child->previous) {
        child->previous->next = child->next;
    } else {
        self->head = child->next;
    }
    if (child->next) {
        child->next->previous = child->previous;
    } else {
        self->tail = child->previous;
    }
}

static void forget(step_t *step, supervision_child_t *child, capstan_err_t reason)
{
    unlink_child(step->self, child);
    emit(step, (supervision_effect_t){.kind = EFFECT_FORGET, .child = child, .reason = reason});
}

/* --- starting -------------------------------------------------------------------------------- */

static void start_or_wait(step_t *step, supervision_child_t *child)
{
    if (child->due_us > step->now_us) {
        emit(step, (supervision_effect_t){.kind = EFFECT_WAIT,
                                          .child = child,
                                          .wait_us = child->due_us - step->now_us});
        return;
    }
    if (child->restarting) {
        child->restarting = false;
        child->restarts[child->restart_count++ % child->limits.restarts_max] = step->now_us;
    }
    child->starts++;
    child->up_us = INT64_MAX;
    child_step(step, child, CHILD_INPUT_start);
    emit(step, (supervision_effect_t){.kind = EFFECT_START, .child = child});
}

/* The first that is not up though all before it are, or were once in the case of one_for_one. */
static supervision_child_t *next_to_start(supervision_t *self)
{
    if (self->strategy == CAPSTAN_ONE_FOR_ONE) {
        while (self->opening && (self->opening->was_up || self->opening->asked_for)) {
            self->opening = self->opening->next;
        }
        return self->opening;
    }
    supervision_child_t *child = self->head;
    while (child && (child->state == CHILD_RUNNING || child->state == CHILD_OVER)) {
        child = child->next;
    }
    return child;
}

static void start_next(step_t *step)
{
    supervision_t *self = step->self;
    supervision_child_t *child = next_to_start(self);
    if (!child && !self->ready) {
        self->ready = true;
        emit(step, (supervision_effect_t){.kind = EFFECT_READY});
    }
    if (child && child->state == CHILD_WAITING) {
        start_or_wait(step, child);
    }
}

/* A child whose start depends on no other's. */
static bool is_independent(const supervision_t *self, const supervision_child_t *child)
{
    return self->strategy == CAPSTAN_ONE_FOR_ONE && self->state == SUPERVISOR_RUNNING &&
           (child->was_up || child->asked_for);
}

/* --- stopping -------------------------------------------------------------------------------- */

static void stop_child(step_t *step, supervision_child_t *child)
{
    child_step(step, child, CHILD_INPUT_stop);
    emit(step, (supervision_effect_t){.kind = EFFECT_STOP, .child = child});
}

/* Lets the last of those that are to stop hear it; true when all have ended. */
static bool halt_next(step_t *step, uint64_t from)
{
    supervision_t *self = step->self;
    while (self->halting && self->halting->order >= from) {
        supervision_child_t *child = self->halting;
        if (is_alive(child)) {
            if (child->state != CHILD_STOPPING) {
                stop_child(step, child);
            }
            return false;
        }
        self->halting = child->previous;
        if (is_ending(self)) {
            if (child->state == CHILD_WAITING) {
                child_step(step, child, CHILD_INPUT_stop);
            }
            forget(step, child, CAPSTAN_E_STOPPING);
        }
    }
    return true;
}

/* All children from the first of the group on are to stop, and to start again at `due_us`. */
static void regroup(step_t *step, const supervision_child_t *failed)
{
    supervision_t *self = step->self;
    uint64_t from = self->strategy == CAPSTAN_ONE_FOR_ALL ? 0 : failed->order;
    if (self->state == SUPERVISOR_RUNNING) {
        self->regroup_from = from;
        self->halting = self->tail;
    } else if (from < self->regroup_from) {
        self->regroup_from = from;
    }
    supervisor_step(step, SUPERVISOR_INPUT_regroup);
    for (supervision_child_t *child = self->tail; child && child->order >= self->regroup_from;
         child = child->previous) {
        if (child->due_us < failed->due_us) {
            child->due_us = failed->due_us;
        }
        if (child->state == CHILD_OVER) {
            child_step(step, child, CHILD_INPUT_again);
        }
    }
}

/* --- the end of a child ---------------------------------------------------------------------- */

int64_t supervision_delay_us(const supervision_limits_t *limits, uint32_t failures, uint64_t random)
{
    int64_t high = limits->backoff_us_min;
    for (uint32_t i = 0; i < failures && high < limits->backoff_us_max; i++) {
        high = high > limits->backoff_us_max / 2 ? limits->backoff_us_max : high * 2;
    }
    int64_t low = high / 2 > limits->backoff_us_min ? high / 2 : limits->backoff_us_min;
    return low + (int64_t)(random % (uint64_t)(high - low + 1));
}

static bool has_budget(const supervision_child_t *child, int64_t now_us)
{
    uint32_t max = child->limits.restarts_max;
    return max > 0 &&
           (child->restart_count < max ||
            now_us - child->restarts[child->restart_count % max] >= child->limits.window_us);
}

static void plan_restart(step_t *step, supervision_child_t *child, capstan_err_t reason)
{
    if (!child->restarts) {
        child->restarts = calloc(child->limits.restarts_max, sizeof *child->restarts);
        ENSURE(child->restarts);
    }
    child->failures += child->failures < UINT32_MAX;
    child->restarting = true;
    int64_t wait_us = supervision_delay_us(&child->limits, child->failures, step->random);
    child->due_us = step->now_us + wait_us;
    if (child->failures <= 2) {
        emit(step,
             (supervision_effect_t){.kind = child->failures == 1 ? EFFECT_FAILED : EFFECT_LOOP,
                                    .child = child,
                                    .reason = reason,
                                    .wait_us = wait_us});
    }
    child_step(step, child, CHILD_INPUT_lost);
    if (step->self->strategy != CAPSTAN_ONE_FOR_ONE) {
        regroup(step, child);
    } else if (is_independent(step->self, child)) {
        start_or_wait(step, child);
    }
}

static void give_up(step_t *step, supervision_child_t *child, supervision_effect_t told)
{
    supervision_t *self = step->self;
    bool first = told.kind == EFFECT_UNSTARTED;
    child_step(step, child, CHILD_INPUT_finished);
    emit(step, told);
    supervisor_step(step, first ? SUPERVISOR_INPUT_unstarted : SUPERVISOR_INPUT_limit);
    self->reason = first ? told.reason : CAPSTAN_E_RESTART_LIMIT;
    self->halting = self->tail;
}

/* Who asked for it is told why it did not come up. */
static bool is_refused(const supervision_child_t *child)
{
    return child->asked_for && !child->was_up;
}

/* It has ended, and is not wanted again for its own sake. */
static void let_go(step_t *step, supervision_child_t *child, capstan_err_t reason)
{
    const supervision_t *self = step->self;
    bool returns = child->limits.restart == CAPSTAN_RESTART_TRANSIENT && !is_refused(child) &&
                   self->strategy != CAPSTAN_ONE_FOR_ONE && !is_ending(self);
    if (returns && self->state == SUPERVISOR_REGROUPING && child->order >= self->regroup_from) {
        child_step(step, child, CHILD_INPUT_lost);
        return;
    }
    child_step(step, child, CHILD_INPUT_finished);
    if (!returns) {
        forget(step, child, reason);
    }
}

static void on_ended(step_t *step, supervision_child_t *child, capstan_err_t reason)
{
    const supervision_t *self = step->self;
    capstan_restart_t restart = child->limits.restart;
    if (step->now_us - child->up_us >= child->limits.window_us) {
        child->failures = 0;
    }
    if (child->state == CHILD_STOPPING) {
        bool returns = self->state == SUPERVISOR_REGROUPING && !child->leaving &&
                       restart != CAPSTAN_RESTART_TEMPORARY;
        child_step(step, child, returns ? CHILD_INPUT_lost : CHILD_INPUT_finished);
        if (!returns) {
            forget(step, child, reason);
        }
        return;
    }
    bool wanted = restart == CAPSTAN_RESTART_PERMANENT ||
                  (restart == CAPSTAN_RESTART_TRANSIENT && reason != CAPSTAN_OK);
    if (!is_ending(self) && reason != CAPSTAN_OK && !child->was_up && !child->asked_for) {
        give_up(step, child,
                (supervision_effect_t){.kind = EFFECT_UNSTARTED, .child = child, .reason = reason});
    } else if (is_ending(self) || is_refused(child) || !wanted) {
        if (!is_ending(self) && !is_refused(child) && reason != CAPSTAN_OK) {
            emit(step,
                 (supervision_effect_t){.kind = EFFECT_FAILED, .child = child, .reason = reason});
        }
        let_go(step, child, reason);
    } else if (has_budget(child, step->now_us)) {
        plan_restart(step, child, reason);
    } else {
        give_up(step, child,
                (supervision_effect_t){.kind = EFFECT_LIMIT, .child = child, .reason = reason});
    }
}

/* --- the inputs ------------------------------------------------------------------------------ */

static void on_started(step_t *step, supervision_child_t *child)
{
    child_step(step, child, CHILD_INPUT_started);
    child->was_up = true;
    child->up_us = step->now_us;
}

static void on_add(step_t *step, supervision_child_t *child)
{
    if (is_ending(step->self)) {
        emit(step, (supervision_effect_t){
                       .kind = EFFECT_FORGET, .child = child, .reason = CAPSTAN_E_STOPPING});
        return;
    }
    child->asked_for = true;
    link_child(step->self, child);
    if (is_independent(step->self, child)) {
        start_or_wait(step, child);
    }
}

static void on_remove(step_t *step, supervision_child_t *child)
{
    child->leaving = true;
    if (child->state == CHILD_STARTING || child->state == CHILD_RUNNING) {
        stop_child(step, child);
    } else if (!is_alive(child)) {
        if (child->state == CHILD_WAITING) {
            child_step(step, child, CHILD_INPUT_stop);
        }
        forget(step, child, CAPSTAN_OK);
    }
}

static void on_stop(step_t *step)
{
    supervision_t *self = step->self;
    if (!is_ending(self)) {
        self->halting = self->tail;
    }
    supervisor_step(step, SUPERVISOR_INPUT_stop);
}

/* Goes on with what is under way: a group's stop, the end, or the next start. */
static void advance(step_t *step)
{
    supervision_t *self = step->self;
    if (is_ending(self) && halt_next(step, 0)) {
        supervisor_step(step, SUPERVISOR_INPUT_emptied);
        emit(step, (supervision_effect_t){.kind = EFFECT_END, .reason = self->reason});
    }
    if (self->state == SUPERVISOR_REGROUPING && halt_next(step, self->regroup_from)) {
        supervisor_step(step, SUPERVISOR_INPUT_regrouped);
    }
    if (self->state == SUPERVISOR_RUNNING) {
        start_next(step);
    }
}

void supervision_add(supervision_t *self, supervision_child_t *child)
{
    link_child(self, child);
    self->opening = self->head;
}

void supervision_step(supervision_t *self, const supervision_input_t *input,
                      supervision_effects_t *effects)
{
    step_t step = {
        .self = self, .now_us = input->now_us, .random = input->random, .effects = effects};
    supervision_child_t *child = input->child;
    switch (input->kind) {
    case SUPERVISION_BEGIN:
        break;
    case SUPERVISION_ADD:
        on_add(&step, child);
        break;
    case SUPERVISION_STARTED:
        on_started(&step, child);
        break;
    case SUPERVISION_ENDED:
        on_ended(&step, child, input->reason);
        break;
    case SUPERVISION_DUE:
        if (child->state == CHILD_WAITING && is_independent(self, child)) {
            start_or_wait(&step, child);
        }
        break;
    case SUPERVISION_REMOVE:
        on_remove(&step, child);
        break;
    case SUPERVISION_STOP:
        on_stop(&step);
        break;
    }
    advance(&step);
}

void supervision_child_fini(supervision_child_t *child)
{
    free(child->restarts);
    child->restarts = NULL;
}
