/* Every step of a saga and of its tasks: a row of saga_states.def, or a programming error. */
#include "actors/saga/saga_internal.h"

static bool may_move(saga_phase_t from, saga_phase_t to)
{
#define SAGA_TRANSITION(before, input, after, what)                                                \
    if (from == SAGA_##before && to == SAGA_##after) {                                             \
        return true;                                                                               \
    }
#include "actors/saga/saga_states.def"
    return false;
}

void saga_move(saga_t *self, saga_phase_t to)
{
    ENSURE(may_move(self->phase, to));
    self->phase = to;
    if (saga_has_ended(self)) {
        self->ended_us = self->now_us;
    }
}

static bool task_may_move(task_state_t from, task_state_t to)
{
#define TASK_TRANSITION(before, after, what)                                                       \
    if (from == TASK_##before && to == TASK_##after) {                                             \
        return true;                                                                               \
    }
#include "actors/saga/saga_states.def"
    return false;
}

void task_move(saga_t *self, task_t *task, task_state_t to)
{
    ENSURE(task_may_move(task->state, to));
    task->state = to;
    task->due_us = 0;
    if (task_state_ended(to) || to == TASK_IN_DOUBT) {
        task->ended_us = self->now_us;
    }
}

bool task_is_within(const saga_t *self, const task_t *task, const task_t *scope)
{
    while (task != scope && task->parent > 0) {
        task = saga_task(self, task->parent);
    }
    return task == scope;
}
