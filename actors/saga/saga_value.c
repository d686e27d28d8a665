/* The documents that a saga's tests and templates refer to, and the results as a whole. */
#include "actors/saga/saga_internal.h"
#include "runtime/wire/pack.h"

/* The innermost element of an each that the task is in, or is; NULL: none. */
static const task_t *item_around(const saga_t *self, const task_t *task)
{
    while (task && !task_is_item(self, task)) {
        task = saga_task(self, task->parent);
    }
    return task;
}

static bool has_result(const saga_t *self, const task_t *task)
{
    bool await = task_node(self, task)->kind == PLAN_AWAIT;
    return task->result.size > 0 && (task->state == TASK_DONE || await);
}

/* Results inside an element of an each are seen there alone. */
static bool is_visible(const saga_t *self, const task_t *result, const task_t *from)
{
    const task_t *item = item_around(self, result);
    return !item || (from && task_is_within(self, from, item));
}

bool saga_document(const void *context, slice_t word, slice_t *ret_document)
{
    const saga_scope_t *scope = context;
    const saga_t *self = scope->saga;
    if (slice_equal(word, slice_text("input"))) {
        *ret_document = self->begin.input;
        return self->begin.input.size > 0;
    }
    if (slice_equal(word, slice_text("event"))) {
        *ret_document = scope->event;
        return scope->event.size > 0;
    }
    if (slice_equal(word, slice_text("item"))) {
        const task_t *item = item_around(self, scope->task);
        *ret_document = item ? item->input : (slice_t){0};
        return item != NULL;
    }
    for (uint32_t i = self->plan ? self->count : 0; i-- > 0;) {
        const task_t *task = &self->tasks[i];
        if (slice_equal(task_node(self, task)->name, word) && has_result(self, task) &&
            is_visible(self, task, scope->task)) {
            *ret_document = task->result;
            return true;
        }
    }
    return false;
}

bool saga_value(const saga_t *self, slice_t path, slice_t *ret_value)
{
    saga_scope_t scope = {.saga = self};
    return value_find(&(value_scope_t){saga_document, &scope}, path, ret_value);
}

/* Whether a later task has a result of the same name. */
static bool is_covered(const saga_t *self, uint32_t index)
{
    slice_t name = task_node(self, &self->tasks[index])->name;
    for (uint32_t i = index + 1; i < self->count; i++) {
        const task_t *task = &self->tasks[i];
        if (has_result(self, task) && is_visible(self, task, NULL) &&
            slice_equal(task_node(self, task)->name, name)) {
            return true;
        }
    }
    return false;
}

void saga_values(const saga_t *self, buffer_t *out)
{
    size_t head = out->size;
    uint32_t count = 0;
    buffer_append(out, (uint8_t[]){0xdf, 0, 0, 0, 0}, 5); /* a map of 32 bits' width */
    for (uint32_t i = 0; i < self->count && self->plan; i++) {
        const task_t *task = &self->tasks[i];
        if (has_result(self, task) && is_visible(self, task, NULL) && !is_covered(self, i)) {
            slice_t name = task_node(self, task)->name;
            uint8_t *to = buffer_reserve(out, PACK_HEAD_MAX + name.size);
            out->size += (size_t)(pack_str(to, name) - to);
            buffer_append(out, task->result.data, task->result.size);
            count++;
        }
    }
    pack_be(out->data + head + 1, count, 4);
}
