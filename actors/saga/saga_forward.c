/* The nodes of a plan, as a saga goes through them. */
#include "actors/saga/saga_internal.h"

#include <stdlib.h>

static task_t *add_task(saga_t *self, uint32_t node, uint32_t parent)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity > 0 ? 2 * self->capacity : 4;
        self->tasks = realloc(self->tasks, self->capacity * sizeof *self->tasks);
        ENSURE(self->tasks);
    }
    task_t *task = &self->tasks[self->count++];
    *task = (task_t){.node = node, .parent = parent, .state = TASK_OPEN, .opened_us = self->now_us};
    return task;
}

/* --- ends of tasks --------------------------------------------------------------------------- */

static void tell_parent(saga_t *self, const task_t *task)
{
    if (self->ended_count == self->ended_capacity) {
        self->ended_capacity = self->ended_capacity > 0 ? 2 * self->ended_capacity : 8;
        self->ended = realloc(self->ended, self->ended_capacity * sizeof *self->ended);
        ENSURE(self->ended);
    }
    self->ended[self->ended_count++] = task_number(self, task);
}

void task_succeed(saga_t *self, task_t *task)
{
    task_move(self, task, TASK_DONE);
    task->order = ++self->orders;
    if (task_node(self, task)->class == PLAN_PIVOT && task_is_action(self, task)) {
        self->pivot = true;
        self->failing = false; /* it came too late */
    }
    tell_parent(self, task);
}

/* The innermost each's element that the task is in; NULL: none. */
static task_t *item_of(const saga_t *self, task_t *task)
{
    while (task && !task_is_item(self, task)) {
        task = saga_task(self, task->parent);
    }
    return task;
}

/* What fails inside an element of an each gives up that element alone. */
void task_give_up(saga_t *self, task_t *task, slice_t reason)
{
    task_t *item = self->undo_us == 0 ? item_of(self, task) : NULL;
    if (item && item->state == TASK_OPEN) {
        saga_keep(self, &item->text, reason);
        undo_scope(self, item);
    } else if (!item) {
        saga_fail(self, reason);
    }
}

void task_fail(saga_t *self, task_t *task, const char *error, slice_t text)
{
    slice_t name = task_node(self, task)->name;
    char reason[512];
    int size =
        snprintf(reason, sizeof reason, "%.*s: %s%s%.*s", (int)name.size, (const char *)name.data,
                 error, text.size > 0 ? ": " : "", (int)text.size, (const char *)text.data);
    slice_t whole = {reason, (size_t)size < sizeof reason ? (size_t)size : sizeof reason - 1};
    saga_keep(self, &task->error, slice_text(error));
    saga_keep(self, &task->text, text);
    if (self->pivot) {
        step_stick(self, task);
        return;
    }
    task_move(self, task, TASK_FAILED);
    task_give_up(self, task, whole);
}

/* --- opening --------------------------------------------------------------------------------- */

static bool test_holds(const saga_t *self, const task_t *task, const plan_node_t *node)
{
    saga_scope_t scope = {.saga = self, .task = task};
    return value_test(&node->test, &(value_scope_t){saga_document, &scope});
}

static void open_choice(saga_t *self, task_t *task)
{
    uint32_t branch = task_node(self, task)->first;
    while (branch != PLAN_NONE && !test_holds(self, task, &self->plan->nodes[branch])) {
        branch = self->plan->nodes[branch].next;
    }
    if (branch == PLAN_NONE) {
        task_succeed(self, task);
    } else {
        task_open(self, branch, task_number(self, task));
    }
}

static void open_children(saga_t *self, task_t *task)
{
    uint32_t number = task_number(self, task);
    uint32_t i = task_node(self, task)->first;
    /* One of them may fail at once, and with it what is around them. */
    for (; i != PLAN_NONE && task->state == TASK_OPEN; i = self->plan->nodes[i].next) {
        task->count++;
        task_open(self, i, number);
        task = saga_task(self, number);
    }
    if (task->count == 0) {
        task_succeed(self, task);
    }
}

static void open_first(saga_t *self, task_t *task)
{
    uint32_t first = task_node(self, task)->first;
    if (first == PLAN_NONE) {
        task_succeed(self, task);
    } else {
        task_open(self, first, task_number(self, task));
    }
}

static void next_round(saga_t *self, task_t *task)
{
    const plan_node_t *node = task_node(self, task);
    if (!test_holds(self, task, node)) {
        task_succeed(self, task);
    } else if (task->count == node->count_max) {
        task_fail(self, task, "LOOP_EXHAUSTED", (slice_t){0});
    } else {
        task->count++;
        open_first(self, task);
    }
}

/* --- each ------------------------------------------------------------------------------------ */

static uint64_t needed_of(const saga_t *self, const task_t *each)
{
    uint64_t items = value_count(each->input);
    uint64_t needed = task_node(self, each)->needed;
    return needed > 0 && needed < items ? needed : items;
}

static uint64_t items_in(const saga_t *self, const task_t *each, task_state_t state)
{
    uint64_t count = 0;
    for (uint32_t i = task_number(self, each); i < self->count; i++) {
        const task_t *task = &self->tasks[i];
        count += task->parent == task_number(self, each) && task->state == state;
    }
    return count;
}

static slice_t element(const task_t *each, uint64_t index)
{
    size_t position = 0;
    slice_t value = {0};
    for (uint64_t i = 0; i <= index; i++) {
        bool more = value_element(each->input, &position, &value);
        ENSURE(more);
    }
    return value;
}

static void open_item(saga_t *self, uint32_t number)
{
    task_t *each = saga_task(self, number);
    uint32_t node = each->node;
    slice_t value = element(each, each->count++);
    task_t *item = add_task(self, node, number);
    saga_keep(self, &item->input, value);
    open_first(self, item);
}

static void give_up_items(saga_t *self, uint32_t number)
{
    for (uint32_t i = number; i < self->count; i++) {
        task_t *task = &self->tasks[i];
        if (task->parent == number && task->state == TASK_OPEN) {
            undo_scope(self, task);
        }
    }
}

/* An each opens what it may, and ends when enough have succeeded, or no longer can. */
static void go_on_each(saga_t *self, uint32_t number)
{
    task_t *each = saga_task(self, number);
    uint64_t items = value_count(each->input);
    uint64_t needed = needed_of(self, each);
    uint64_t lost = items_in(self, each, TASK_DROPPED) + items_in(self, each, TASK_UNDOING);
    if (each->good >= needed) {
        if (!self->pivot) { /* behind it nothing is undone: what is under way ends by itself */
            give_up_items(self, number);
        }
        each = saga_task(self, number);
        if (items_in(self, each, TASK_UNDOING) + items_in(self, each, TASK_OPEN) == 0) {
            task_succeed(self, each);
        }
        return;
    }
    if (items - lost < needed) {
        task_fail(self, each, "TOO_FEW_SUCCEEDED", (slice_t){0});
        return;
    }
    while (each->count < items && each->state == TASK_OPEN && self->phase != SAGA_COMPENSATING &&
           items_in(self, each, TASK_OPEN) < task_node(self, each)->width_max) {
        open_item(self, number);
        each = saga_task(self, number);
    }
}

static void open_each(saga_t *self, task_t *task)
{
    const plan_node_t *node = task_node(self, task);
    saga_scope_t scope = {.saga = self, .task = task};
    slice_t list;
    if (!value_find(&(value_scope_t){saga_document, &scope}, node->list, &list)) {
        task_fail(self, task, "VALUE_MISSING", node->list);
    } else if (value_count(list) > node->count_max) {
        task_fail(self, task, "TOO_MANY_ITEMS", (slice_t){0});
    } else {
        saga_keep(self, &task->input, list);
        go_on_each(self, task_number(self, task));
    }
}

/* --- end ------------------------------------------------------------------------------------- */

static void end_here(saga_t *self, task_t *task)
{
    const plan_node_t *node = task_node(self, task);
    saga_keep(self, &self->outcome, node->outcome);
    if (node->undo && !self->pivot) {
        task_move(self, task, TASK_DROPPED);
        saga_fail(self, node->outcome);
        return;
    }
    task_move(self, task, TASK_DONE);
    for (uint32_t i = 0; i < self->count; i++) { /* what it stands in */
        if (self->tasks[i].state == TASK_OPEN) {
            task_move(self, &self->tasks[i], TASK_DONE);
        }
    }
    saga_move(self, SAGA_COMPLETED);
}

static void open_sleep(saga_t *self, task_t *task)
{
    saga_taken_t taken;
    if (fork_has(self, task, &taken)) {
        task_succeed(self, task);
    } else {
        task->due_us = self->now_us + task_node(self, task)->sleep_us;
    }
}

void task_open(saga_t *self, uint32_t node, uint32_t parent)
{
    if (self->count == SAGA_TASKS_MAX) {
        task_t *within = saga_task(self, parent);
        saga_keep(self, &self->reason, slice_text("it has come to too many nodes"));
        if (self->pivot) {
            saga_move(self, SAGA_PARKED);
        } else if (within->state == TASK_OPEN) {
            saga_fail(self, self->reason);
        }
        return;
    }
    task_t *task = add_task(self, node, parent);
    switch (self->plan->nodes[node].kind) {
    case PLAN_STEP:
    case PLAN_CHILD:
        step_open(self, task);
        break;
    case PLAN_SEQUENCE:
    case PLAN_BRANCH:
        open_first(self, task);
        break;
    case PLAN_PARALLEL:
        open_children(self, task);
        break;
    case PLAN_CHOICE:
        open_choice(self, task);
        break;
    case PLAN_LOOP:
        next_round(self, task);
        break;
    case PLAN_SLEEP:
        open_sleep(self, task);
        break;
    case PLAN_AWAIT:
        await_open(self, task);
        break;
    case PLAN_EACH:
        open_each(self, task);
        break;
    case PLAN_END:
        end_here(self, task);
        break;
    }
}

/* --- what follows from an end ----------------------------------------------------------------- */

static void complete(saga_t *self)
{
    if (self->outcome.size == 0) {
        slice_t label = self->plan->outcome;
        saga_keep(self, &self->outcome, label.size > 0 ? label : slice_text("completed"));
    }
    saga_move(self, SAGA_COMPLETED);
}

/* A child of a node whose children come one after another. */
static void go_on_behind(saga_t *self, uint32_t number, uint32_t child)
{
    task_t *task = saga_task(self, number);
    uint32_t next = self->plan->nodes[child].next;
    if (next != PLAN_NONE) {
        task_open(self, next, number);
    } else if (task_node(self, task)->kind == PLAN_LOOP) {
        next_round(self, task);
    } else {
        task_succeed(self, task);
    }
}

static void go_on(saga_t *self, const task_t *child)
{
    task_t *task = saga_task(self, child->parent);
    if (!task) {
        complete(self);
        return;
    }
    if (task->state != TASK_OPEN) {
        return; /* it was given up meanwhile */
    }
    if (task_is_item(self, child)) {
        task->good++;
        go_on_each(self, child->parent);
        return;
    }
    switch (task_node(self, task)->kind) {
    case PLAN_PARALLEL:
        if (++task->good == task->count) {
            task_succeed(self, task);
        }
        break;
    case PLAN_CHOICE:
    case PLAN_AWAIT:
        task_succeed(self, task);
        break;
    default:
        go_on_behind(self, child->parent, child->node);
        break;
    }
}

static bool is_forward(const saga_t *self)
{
    return self->phase == SAGA_RUNNING || (self->phase == SAGA_PARKED && self->undo_us == 0);
}

/* Elements that are given up end when nothing of them is left to undo. */
static bool end_items(saga_t *self)
{
    for (uint32_t i = 0; i < self->count; i++) {
        task_t *item = &self->tasks[i];
        if (item->state == TASK_UNDOING) {
            undo_next(self, item);
            if (!undo_is_under_way(self, item)) {
                task_move(self, item, TASK_DROPPED);
                if (is_forward(self) && saga_task(self, item->parent)->state == TASK_OPEN) {
                    go_on_each(self, item->parent);
                }
                return true;
            }
        }
    }
    return false;
}

static bool pivot_is_under_way(const saga_t *self)
{
    for (uint32_t i = 0; i < self->count; i++) {
        const task_t *task = &self->tasks[i];
        task_state_t state = task->state;
        if (task_node(self, task)->class == PLAN_PIVOT && task_is_action(self, task) &&
            (state == TASK_CALLING || state == TASK_BACKOFF || state == TASK_SETTLING ||
             state == TASK_STUCK)) {
            return true;
        }
    }
    return false;
}

void saga_settle(saga_t *self)
{
    do {
        while (self->ended_count > 0) {
            task_t *task = saga_task(self, self->ended[--self->ended_count]);
            if (is_forward(self)) {
                go_on(self, task);
            }
        }
        if (self->failing && self->phase == SAGA_RUNNING && !pivot_is_under_way(self)) {
            self->failing = false;
            saga_fail(self, self->reason);
        }
    } while (end_items(self) || self->ended_count > 0);
    if (self->undo_us != 0 && !saga_has_ended(self)) {
        undo_next(self, saga_task(self, 1));
        if (!undo_is_under_way(self, saga_task(self, 1))) {
            if (self->outcome.size == 0) {
                saga_keep(self, &self->outcome, slice_text("compensated"));
            }
            saga_move(self, SAGA_COMPENSATED);
        }
    }
}
