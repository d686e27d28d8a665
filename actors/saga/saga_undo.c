/* Compensation: what is given up, and what is undone next. */
#include "actors/saga/saga_internal.h"

/* Whether the task stands for an effect that is, or may be, there and can be undone. Without an
 * attempt there is none: it was taken over, and is another saga's. */
bool undo_is_wanted(const saga_t *self, const task_t *task)
{
    const plan_node_t *node = task_node(self, task);
    bool landed = task->state == TASK_DONE && task_is_action(self, task) && task->attempt > 0;
    return task->state == TASK_IN_DOUBT || (landed && node->compensation.size > 0);
}

static bool is_being_undone(const task_t *task)
{
    return task->state == TASK_UNDO_CALLING || task->state == TASK_UNDO_BACKOFF ||
           task->state == TASK_UNDO_STUCK;
}

bool undo_is_under_way(const saga_t *self, const task_t *scope)
{
    for (uint32_t i = task_number(self, scope) - 1; i < self->count; i++) {
        const task_t *task = &self->tasks[i];
        if ((is_being_undone(task) || undo_is_wanted(self, task)) &&
            task_is_within(self, task, scope)) {
            return true;
        }
    }
    return false;
}

/* What never got an answer comes first, as if it had just succeeded; the newest of it. */
static uint64_t rank(const saga_t *self, const task_t *task)
{
    return task->state == TASK_IN_DOUBT ? self->orders + task_number(self, task) : task->order;
}

static void begin_undo(saga_t *self, task_t *task)
{
    task->attempt = task->count = 0;
    step_dispatch(self, task, TASK_UNDO_CALLING, TASK_UNDO_BACKOFF);
}

void undo_next(saga_t *self, const task_t *scope)
{
    bool parallel = self->plan->undo_order == PLAN_UNDO_PARALLEL;
    task_t *next = NULL;
    for (uint32_t i = task_number(self, scope) - 1; i < self->count; i++) {
        task_t *task = &self->tasks[i];
        if (!task_is_within(self, task, scope)) {
            continue;
        }
        if (is_being_undone(task) && !parallel) {
            return;
        }
        if (undo_is_wanted(self, task)) {
            if (parallel) {
                begin_undo(self, task);
            } else if (!next || rank(self, task) > rank(self, next)) {
                next = task;
            }
        }
    }
    if (next) {
        begin_undo(self, next);
    }
}

void undo_done(saga_t *self, task_t *task)
{
    task_move(self, task, TASK_UNDONE);
}

/* Takes a task out of what goes forward. A step whose command may have left is in doubt. */
static void give_up(saga_t *self, task_t *task)
{
    const plan_node_t *node = task_node(self, task);
    switch (task->state) {
    case TASK_CALLING:
    case TASK_BACKOFF:
        if (task_is_action(self, task) && node->class == PLAN_COMPENSATABLE && task->attempt > 0) {
            task_move(self, task, TASK_IN_DOUBT);
        } else {
            task_move(self, task, TASK_DROPPED);
        }
        break;
    case TASK_OPEN:
    case TASK_UNDOING:
        task_move(self, task, TASK_DROPPED);
        break;
    default:
        break;
    }
}

void undo_drop_within(saga_t *self, const task_t *task)
{
    for (uint32_t i = task_number(self, task); i < self->count; i++) {
        if (task_is_within(self, &self->tasks[i], task)) {
            give_up(self, &self->tasks[i]);
        }
    }
}

void undo_scope(saga_t *self, task_t *scope)
{
    undo_drop_within(self, scope);
    task_move(self, scope, TASK_UNDOING);
}

static void settle_pivot(saga_t *self, task_t *task)
{
    task->attempt = task->count = 0;
    step_dispatch(self, task, TASK_SETTLING, TASK_SETTLING);
}

/* A pivot that is under way decides first: it is asked what became of it. */
static bool wait_for_pivot(saga_t *self)
{
    bool waits = false;
    for (uint32_t i = 0; i < self->count; i++) {
        task_t *task = &self->tasks[i];
        if (task_node(self, task)->class != PLAN_PIVOT || !task_is_action(self, task)) {
            continue;
        }
        if (task->state == TASK_CALLING || task->state == TASK_BACKOFF) {
            settle_pivot(self, task);
        }
        waits = waits || task->state == TASK_SETTLING;
    }
    return waits;
}

void saga_fail(saga_t *self, slice_t reason)
{
    if (self->undo_us != 0 || self->pivot) {
        return;
    }
    if (!self->failing && self->reason.data != reason.data) {
        saga_keep(self, &self->reason, reason);
    }
    if (self->phase == SAGA_PARKED || wait_for_pivot(self)) {
        self->failing = true;
        return;
    }
    saga_move(self, SAGA_COMPENSATING);
    self->undo_us = self->now_us;
    for (uint32_t i = 0; i < self->count; i++) {
        give_up(self, &self->tasks[i]);
    }
}
