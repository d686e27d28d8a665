/* Forks: what a new saga takes over from one that has ended, so that it begins at a task of it. A
 * task is known again by its path: names are unique in a definition, and with the numbers of the
 * rounds and items around it a path is unique in a saga, whatever the order of opening. */
#include "actors/saga/saga_internal.h"

/* --- paths ----------------------------------------------------------------------------------- */

static bool is_round(const saga_t *self, const task_t *task)
{
    const task_t *parent = saga_task(self, task->parent);
    return parent && task_node(self, parent)->kind == PLAN_LOOP;
}

/* How many rounds of the loop, or items of the each, have begun with the task. */
static uint32_t turn_of(const saga_t *self, const task_t *task)
{
    uint32_t first = task_is_item(self, task)
                         ? task->node
                         : task_node(self, saga_task(self, task->parent))->first;
    uint32_t turns = 0;
    for (uint32_t i = task->parent; i < task_number(self, task); i++) {
        turns += self->tasks[i].parent == task->parent && self->tasks[i].node == first;
    }
    return turns;
}

static void write_path(const saga_t *self, const task_t *task, buffer_t *out)
{
    char text[16];
    slice_t name = task_node(self, task)->name;
    int size = snprintf(text, sizeof text, "#%u", task->node);
    buffer_append(out, name.size > 0 ? name.data : text, name.size > 0 ? name.size : (size_t)size);
    for (; task; task = saga_task(self, task->parent)) {
        if (task_is_item(self, task) || is_round(self, task)) {
            size = snprintf(text, sizeof text, "/%u", turn_of(self, task));
            buffer_append(out, text, (size_t)size);
        }
    }
}

/* --- taking over ------------------------------------------------------------------------------ */

/* What was taken over mostly comes in the order in which it is asked for: the search goes on where
 * the last one ended. */
bool fork_has(saga_t *self, const task_t *task, saga_taken_t *ret_taken)
{
    buffer_t path = {0};
    bool found = false;
    if (self->begin.taken.size == 0) {
        return false;
    }
    write_path(self, task, &path);
    for (int pass = 0; pass < 2 && !found; pass++) {
        while (!found && codec_list_next(&self->taken, ret_taken)) {
            found = slice_equal(ret_taken->path, buffer_slice(&path));
        }
        if (!found && codec_list_open(saga_taken_wire(), self->begin.taken, &self->taken)) {
            break;
        }
    }
    buffer_fini(&path);
    return found;
}

/* --- what there is to take -------------------------------------------------------------------- */

/* Whether what is in the container is done side by side, in no order. */
static bool is_abreast(const saga_t *self, const task_t *container)
{
    plan_kind_t kind = task_node(self, container)->kind;
    return kind == PLAN_PARALLEL || (kind == PLAN_EACH && !task_is_item(self, container));
}

/* Whether a fork that begins at `from` has the task behind it: it stood before `from`, or beside
 * it, or `from` stands in it. */
static bool is_behind(const saga_t *self, const task_t *task, const task_t *from)
{
    const task_t *around = task;
    while (around && !task_is_within(self, from, around) && around != from) {
        around = saga_task(self, around->parent);
    }
    return around == task || (around != from && (task < from || is_abreast(self, around)));
}

/* The branch that an await has taken; false: none. */
static bool branch_of(const saga_t *self, const task_t *await, saga_taken_t *taken)
{
    uint32_t number = task_number(self, await);
    uint32_t i = number;
    while (i < self->count && self->tasks[i].parent != number) {
        i++;
    }
    if (i == self->count) {
        return false;
    }
    uint32_t branch = self->tasks[i].node;
    taken->trigger = fork_trigger(&self->plan->nodes[branch]);
    taken->branch = 1;
    for (uint32_t node = task_node(self, await)->first; node != branch;
         node = self->plan->nodes[node].next) {
        taken->branch++;
    }
    return true;
}

static bool is_taken(const saga_t *self, const task_t *task, const task_t *from,
                     saga_taken_t *taken)
{
    *taken = (saga_taken_t){.result = task->result};
    if (task == from || !is_behind(self, task, from)) {
        return false;
    }
    switch (task_node(self, task)->kind) {
    case PLAN_STEP:
    case PLAN_CHILD:
    case PLAN_SLEEP:
        return task->state == TASK_DONE;
    case PLAN_AWAIT:
        return branch_of(self, task, taken);
    default:
        return false; /* what contains others follows from them */
    }
}

/* A node without a name is known in its own definition alone. */
static bool has_node(const plan_t *plan, const plan_t *own, const plan_node_t *node)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        if (node->name.size > 0 && slice_equal(plan->nodes[i].name, node->name)) {
            return plan->nodes[i].kind == node->kind;
        }
    }
    return plan == own;
}

static capstan_err_t take(const saga_t *self, const task_t *from, const plan_t *plan, buffer_t *out)
{
    buffer_t path = {0};
    size_t before = out->size;
    capstan_err_t err =
        has_node(plan, self->plan, task_node(self, from)) ? CAPSTAN_OK : CAPSTAN_E_INVALID;
    codec_list_writer_t list = codec_list_begin(out);
    for (uint32_t i = 0; i < self->count && err == CAPSTAN_OK; i++) {
        const task_t *task = &self->tasks[i];
        const plan_node_t *node = task_node(self, task);
        saga_taken_t taken;
        if (!is_taken(self, task, from, &taken)) {
            continue;
        }
        if (has_node(plan, self->plan, node)) {
            buffer_clear(&path);
            write_path(self, task, &path);
            taken.path = buffer_slice(&path);
            codec_list_add(&list, saga_taken_wire(), &taken);
        } else if (node->kind != PLAN_SLEEP) {
            err = CAPSTAN_E_INVALID;
        }
        if (list.count > SAGA_TAKEN_MAX || out->size - before > SAGA_TAKEN_BYTES_MAX) {
            err = CAPSTAN_E_LIMIT;
        }
    }
    codec_list_end(&list);
    out->size = list.count > 0 && err == CAPSTAN_OK ? out->size : before;
    buffer_fini(&path);
    return err;
}

capstan_err_t saga_taken_before(const saga_t *self, uint64_t task, const plan_t *plan,
                                buffer_t *out)
{
    const task_t *from = saga_task(self, task);
    if (!self->plan) {
        return CAPSTAN_E_UNKNOWN_DEFINITION;
    }
    /* What a child did is undone by its parent, of which the child hears nothing. */
    if (!saga_has_ended(self) || self->begin.parent > 0) {
        return CAPSTAN_E_SAGA_STATE;
    }
    return from ? take(self, from, plan, out) : CAPSTAN_E_NOT_FOUND;
}
