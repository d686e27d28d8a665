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

bool fork_has(const saga_t *self, const task_t *task, saga_taken_t *ret_taken)
{
    codec_list_t list;
    buffer_t path = {0};
    bool found = false;
    if (self->begin.taken.size == 0 ||
        codec_list_open(saga_taken_wire(), self->begin.taken, &list) != CAPSTAN_OK) {
        return false;
    }
    write_path(self, task, &path);
    while (!found && codec_list_next(&list, ret_taken)) {
        found = slice_equal(ret_taken->path, buffer_slice(&path));
    }
    buffer_fini(&path);
    return found;
}

/* --- what there is to take -------------------------------------------------------------------- */

static bool had_succeeded(const task_t *task, const task_t *from)
{
    return task->state == TASK_DONE && task->ended_us <= from->opened_us;
}

/* The branch that an await had taken when `from` was opened; false: none. */
static bool branch_of(const saga_t *self, const task_t *await, const task_t *from,
                      saga_taken_t *taken)
{
    uint32_t number = task_number(self, await);
    const task_t *branch = await + 1;
    while (branch <= from && branch->parent != number) {
        branch++;
    }
    if (branch > from) {
        return false;
    }
    const plan_node_t *node = task_node(self, branch);
    taken->trigger = node->source == PLAN_EVENT    ? node->topic
                     : node->source == PLAN_SIGNAL ? node->signal
                                                   : (slice_t){0};
    taken->branch = 1;
    for (uint32_t i = task_node(self, await)->first; i != branch->node;
         i = self->plan->nodes[i].next) {
        taken->branch++;
    }
    return true;
}

static bool is_taken(const saga_t *self, const task_t *task, const task_t *from,
                     saga_taken_t *taken)
{
    *taken = (saga_taken_t){.result = task->result};
    switch (task_node(self, task)->kind) {
    case PLAN_STEP:
    case PLAN_CHILD:
    case PLAN_SLEEP:
        return had_succeeded(task, from);
    case PLAN_AWAIT:
        return branch_of(self, task, from, taken);
    default:
        return false; /* what contains others follows from them */
    }
}

capstan_err_t saga_taken_before(const saga_t *self, uint64_t task, buffer_t *out)
{
    const task_t *from = saga_task(self, task);
    if (!self->plan || !saga_has_ended(self)) {
        return self->plan ? CAPSTAN_E_SAGA_STATE : CAPSTAN_E_UNKNOWN_DEFINITION;
    }
    if (!from) {
        return CAPSTAN_E_NOT_FOUND;
    }
    buffer_t path = {0};
    size_t before = out->size;
    codec_list_writer_t list = codec_list_begin(out);
    for (const task_t *one = self->tasks; one < from; one++) {
        saga_taken_t taken;
        if (is_taken(self, one, from, &taken)) {
            buffer_clear(&path);
            write_path(self, one, &path);
            taken.path = buffer_slice(&path);
            codec_list_add(&list, saga_taken_wire(), &taken);
        }
    }
    codec_list_end(&list);
    buffer_fini(&path);
    bool much = list.count > SAGA_TAKEN_MAX || out->size - before > SAGA_TAKEN_BYTES_MAX;
    return much ? CAPSTAN_E_LIMIT : CAPSTAN_OK;
}
