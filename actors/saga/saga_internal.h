/* What the files of the saga's core share. */
#ifndef SAGA_INTERNAL_H
#define SAGA_INTERNAL_H

#include "actors/saga/saga.h"
#include "runtime/base/ensure.h"

/* A node of the plan that the saga has come to. Its slices are owned (keep, drop). */
typedef struct task {
    uint32_t node;
    uint32_t parent; /* number; 0: none */
    task_state_t state;
    uint64_t count; /* rounds, items or branches that were opened; of an action: attempts of the
                       phase before a person wanted more */
    uint64_t good;  /* items and parallel children that succeeded */
    uint64_t attempt;
    int64_t opened_us;
    int64_t due_us;      /* 0: nothing happens by itself */
    int64_t deadline_us; /* 0: none */
    int64_t ended_us;
    uint64_t order; /* how manieth to succeed */
    slice_t error;
    slice_t text;
    slice_t input;
    slice_t result;
} task_t;

typedef struct notice {
    plan_source_t source;
    slice_t name;
    slice_t value;
} notice_t;

typedef struct place {
    slice_t topic;
    uint64_t partition;
    uint64_t offset;
} place_t;

struct saga {
    const plan_t *plan;
    slice_t begin_record; /* owned; `begin` points into it */
    saga_begin_t begin;
    uint64_t sequence;
    saga_phase_t phase;
    bool paused;
    bool pivot;
    bool late;
    bool failing;
    slice_t outcome;
    slice_t reason;
    int64_t ended_us;
    int64_t undo_us;
    uint64_t orders;
    task_t *tasks; /* that of number n is tasks[n - 1] */
    uint32_t count;
    uint32_t capacity;
    notice_t *notices;
    size_t notice_count;
    size_t notice_bytes;
    place_t *places;
    size_t place_count;
    slice_t tokens;
    buffer_t pending; /* asleep: inputs (records `saga_input`, a LIST without its head) */
    uint32_t pending_count;
    size_t bytes; /* of everything owned */

    /* Of the input at hand. */
    saga_effects_t *effects;
    int64_t now_us;
    uint64_t dice;
    codec_list_t taken; /* of `begin`: where the last search ended */
    uint32_t *ended;    /* tasks whose parents have not heard of it */
    size_t ended_count;
    size_t ended_capacity;
};

/* --- saga.c: keeping ------------------------------------------------------------------------- */

/* Replaces an owned slice by a copy. */
void saga_keep(saga_t *self, slice_t *owned, slice_t value);
void saga_drop(saga_t *self, slice_t *owned);
void saga_emit(saga_t *self, const saga_effect_t *effect);
/* Moves the saga; every step is a row of saga_states.def. In saga_moves.c, as task_move is. */
void saga_move(saga_t *self, saga_phase_t to);
/* Nothing new is begun: it is paused, or parked. */
static inline bool saga_is_held(const saga_t *self)
{
    return self->paused || self->phase == SAGA_PARKED;
}

static inline task_t *saga_task(const saga_t *self, uint64_t number)
{
    return number > 0 && number <= self->count ? &self->tasks[number - 1] : NULL;
}

static inline uint32_t task_number(const saga_t *self, const task_t *task)
{
    return (uint32_t)(task - self->tasks) + 1;
}

static inline const plan_node_t *task_node(const saga_t *self, const task_t *task)
{
    return &self->plan->nodes[task->node];
}

/* An element of an each stands under the each's own task, with the same node. */
static inline bool task_is_item(const saga_t *self, const task_t *task)
{
    return task->parent > 0 && saga_task(self, task->parent)->node == task->node;
}

/* A step, or a child: what is done by others. */
static inline bool task_is_action(const saga_t *self, const task_t *task)
{
    plan_kind_t kind = task_node(self, task)->kind;
    return kind == PLAN_STEP || kind == PLAN_CHILD;
}

/* Moves a task; every step is a row of saga_states.def. */
void task_move(saga_t *self, task_t *task, task_state_t to);
bool task_is_within(const saga_t *self, const task_t *task, const task_t *scope);
static inline bool task_state_ended(task_state_t state)
{
    return state == TASK_DONE || state == TASK_FAILED || state == TASK_DROPPED ||
           state == TASK_UNDONE;
}

/* --- saga_forward.c: nodes ------------------------------------------------------------------- */

/* Opens the task of a node. It may move the array of tasks. */
void task_open(saga_t *self, uint32_t node, uint32_t parent);
/* A task has succeeded; its parent hears of it in saga_settle. */
void task_succeed(saga_t *self, task_t *task);
/* A task that no compensation stands for, or that has none, has failed for good. */
void task_fail(saga_t *self, task_t *task, const char *error, slice_t text);
/* What goes on around the task is given up: the element of an each that it is in, or the saga. */
void task_give_up(saga_t *self, task_t *task, slice_t reason);
/* Lets everything that follows from what has ended happen. */
void saga_settle(saga_t *self);

/* --- saga_step.c: attempts -------------------------------------------------------------------- */

void step_open(saga_t *self, task_t *task);
void step_reply(saga_t *self, task_t *task, const saga_input_t *input);
bool step_accepts(const saga_t *self, const task_t *task, const saga_input_t *input);
void step_time(saga_t *self, task_t *task);
/* Sends what the state says is under way. */
void step_send(saga_t *self, const task_t *task);
/* Begins an attempt of the phase that the state says, or waits until the saga goes on. */
void step_dispatch(saga_t *self, task_t *task, task_state_t calling, task_state_t waiting);
void step_stick(saga_t *self, task_t *task);
/* Asks for children once more, when the saga goes on. */
void step_send_children(saga_t *self);

/* --- saga_undo.c: compensation ---------------------------------------------------------------- */

/* The saga is to be compensated, for a reason in words. */
void saga_fail(saga_t *self, slice_t reason);
/* Gives up what is under way in the scope, and undoes what was done there. */
void undo_scope(saga_t *self, task_t *scope);
/* Undoes the next, if it is time. `saga_settle` calls it. */
void undo_next(saga_t *self, const task_t *scope);
bool undo_is_wanted(const saga_t *self, const task_t *task);
bool undo_is_under_way(const saga_t *self, const task_t *scope);
void undo_done(saga_t *self, task_t *task);
/* What is under way within the task is not waited for any more. */
void undo_drop_within(saga_t *self, const task_t *task);

/* --- saga_await.c: events and signals --------------------------------------------------------- */

void await_open(saga_t *self, task_t *task);
void await_time(saga_t *self, task_t *task);
capstan_err_t notice_accepts(const saga_t *self, const saga_input_t *input);
void notice_take(saga_t *self, const saga_input_t *input);

/* --- saga_fork.c ------------------------------------------------------------------------------ */

/* Whether the task that is being opened is taken over; `*ret_taken` lives as long as the saga. */
bool fork_has(saga_t *self, const task_t *task, saga_taken_t *ret_taken);
/* What makes an await take the branch: a topic, a signal, or nothing for its timeout. */
static inline slice_t fork_trigger(const plan_node_t *branch)
{
    return branch->source == PLAN_EVENT    ? branch->topic
           : branch->source == PLAN_SIGNAL ? branch->signal
                                           : (slice_t){0};
}

/* --- saga_store.c ----------------------------------------------------------------------------- */

/* Appends what is pending as a LIST of saga_input. */
void saga_save_pending(const saga_t *self, buffer_t *out);

/* --- saga_value.c ----------------------------------------------------------------------------- */

/* The documents that the task sees. */
typedef struct saga_scope {
    const saga_t *saga;
    const task_t *task; /* NULL: the whole saga */
    slice_t event;      /* payload; without data: there is none */
} saga_scope_t;
bool saga_document(const void *scope, slice_t word, slice_t *ret_document);

#endif
