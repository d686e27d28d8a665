/* The invariants of a saga, for tests and the simulator. */
#include "actors/saga/saga_internal.h"

static bool is_effect(const saga_t *self, const task_t *task)
{
    return undo_is_wanted(self, task) || task->state == TASK_UNDO_CALLING ||
           task->state == TASK_UNDO_BACKOFF || task->state == TASK_UNDO_STUCK;
}

static bool is_under_way(const task_t *task)
{
    return task->state == TASK_CALLING || task->state == TASK_BACKOFF ||
           task->state == TASK_SETTLING || task->state == TASK_UNDO_CALLING ||
           task->state == TASK_UNDO_BACKOFF;
}

/* An item that was given up before may have its own order under way. */
static bool is_in_item(const saga_t *self, const task_t *task)
{
    while (task && !task_is_item(self, task)) {
        task = saga_task(self, task->parent);
    }
    return task != NULL;
}

/* In reverse order one compensation runs at a time, and nothing later waits for it. */
static const char *check_order(const saga_t *self)
{
    const task_t *running = NULL;
    for (uint32_t i = 0; i < self->count; i++) {
        const task_t *task = &self->tasks[i];
        bool under_way = task->state == TASK_UNDO_CALLING || task->state == TASK_UNDO_BACKOFF;
        if (under_way && !is_in_item(self, task)) {
            if (running && self->undo_us != 0) {
                return "S5: two compensations at a time";
            }
            running = task;
        }
    }
    for (uint32_t i = 0; i < self->count && running && self->undo_us != 0; i++) {
        const task_t *task = &self->tasks[i];
        if (undo_is_wanted(self, task) && running->order > 0 && task->order > running->order) {
            return "S5: something later is still to be undone";
        }
    }
    return NULL;
}

static const char *check_tree(const saga_t *self)
{
    for (uint32_t i = 0; i < self->count; i++) {
        const task_t *task = &self->tasks[i];
        if (task->parent > i || (task->parent == 0) != (i == 0)) {
            return "tree: a task has no place";
        }
        bool open = !task_state_ended(task->state) && !is_effect(self, task);
        if (open && self->phase == SAGA_RUNNING && task->parent > 0 &&
            task_state_ended(saga_task(self, task->parent)->state)) {
            return "tree: a task goes on in one that has ended";
        }
    }
    return NULL;
}

static const char *check_end(const saga_t *self)
{
    bool by_hand = self->reason.size > 0;
    for (uint32_t i = 0; i < self->count; i++) {
        const task_t *task = &self->tasks[i];
        if (self->phase == SAGA_COMPLETED && !by_hand && is_under_way(task)) {
            return "S1: completed, and something is under way";
        }
        if (self->phase == SAGA_COMPENSATED && is_effect(self, task)) {
            return "S1: compensated, and an effect is left";
        }
    }
    return NULL;
}

static const char *check_pivot(const saga_t *self)
{
    return self->pivot && self->undo_us != 0 ? "S7: compensation behind the pivot" : NULL;
}

const char *saga_check(const saga_t *self)
{
    if (!self->plan) {
        return NULL;
    }
    const char *fault = check_tree(self);
    if (!fault && self->plan->undo_order == PLAN_UNDO_REVERSE) {
        fault = check_order(self);
    }
    fault = fault ? fault : check_end(self);
    fault = fault ? fault : check_pivot(self);
    if (!fault && (self->count > SAGA_TASKS_MAX || self->notice_count > SAGA_NOTICES_MAX ||
                   self->notice_bytes > SAGA_NOTICE_BYTES_MAX)) {
        fault = "bounds: too much is kept";
    }
    return fault;
}
