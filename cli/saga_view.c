#include "cli/saga_view.h"

#include "actors/saga/saga.h"
#include "cli/saga_label.h"
#include "cli/saga_words.h"
#include "runtime/base/ensure.h"

#include <stdlib.h>

/* --- reading ---------------------------------------------------------------------------------- */

static uint32_t find(const saga_view_t *self, uint64_t number)
{
    uint32_t low = 0;
    uint32_t high = self->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (self->tasks[middle].task.number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < self->count && self->tasks[low].task.number == number ? low : SAGA_VIEW_NONE;
}

/* A task behind its parent, which was opened before it; one whose parent is not there stands at the
 * top. */
static void link_tasks(saga_view_t *self)
{
    uint32_t last = SAGA_VIEW_NONE;
    self->first = SAGA_VIEW_NONE;
    for (uint32_t i = 0; i < self->count; i++) {
        uint64_t number = self->tasks[i].task.parent;
        uint32_t parent =
            number > 0 && number < self->tasks[i].task.number ? find(self, number) : SAGA_VIEW_NONE;
        bool top = parent == SAGA_VIEW_NONE;
        uint32_t *head = top ? &self->first : &self->tasks[parent].first;
        uint32_t *tail = top ? &last : &self->tasks[parent].last;
        if (*tail == SAGA_VIEW_NONE) {
            *head = i;
        } else {
            self->tasks[*tail].next = i;
        }
        *tail = i;
    }
}

static capstan_err_t read_tasks(saga_view_t *self)
{
    codec_list_t list;
    saga_task_t task;
    capstan_err_t err = codec_list_open(saga_task_wire(), self->state.tasks, &list);
    if (err != CAPSTAN_OK) {
        return err;
    }
    self->tasks = calloc(codec_list_count(self->state.tasks) + 1, sizeof *self->tasks);
    ENSURE(self->tasks);
    while (codec_list_next(&list, &task)) {
        if (self->count > 0 && task.number <= self->tasks[self->count - 1].task.number) {
            return CAPSTAN_E_MALFORMED;
        }
        self->tasks[self->count++] = (saga_view_task_t){
            .task = task, .first = SAGA_VIEW_NONE, .next = SAGA_VIEW_NONE, .last = SAGA_VIEW_NONE};
    }
    return list.fault.err;
}

capstan_err_t saga_view_read(slice_t body, saga_view_t *ret_view)
{
    saga_shown_t shown;
    saga_view_t view = {.count = 0};
    plan_fault_t fault;
    capstan_err_t err = codec_decode(saga_shown_wire(), body, &shown, NULL);
    err = err ? err : codec_decode(saga_state_wire(), shown.state, &view.state, NULL);
    err = err ? err : codec_decode(saga_begin_wire(), view.state.begin, &view.begin, NULL);
    err = err ? err : read_tasks(&view);
    if (err != CAPSTAN_OK) {
        saga_view_fini(&view);
        return err;
    }
    link_tasks(&view);
    view.definition = shown.definition;
    if (shown.definition.size > 0 &&
        plan_read(shown.definition, &view.plan, &fault) != CAPSTAN_OK) {
        view.plan = NULL; /* of a newer node: shown without names */
    }
    *ret_view = view;
    return CAPSTAN_OK;
}

capstan_err_t saga_view_ask(saga_client_t *client, slice_t id, saga_view_t *ret_view)
{
    slice_t body;
    capstan_err_t err = saga_client_ask_body(client, saga_show_wire(), &(saga_show_t){.id = id},
                                             saga_shown_wire(), SAGA_ANSWER_US, &body);
    return err ? err : saga_view_read(body, ret_view);
}

void saga_view_fini(saga_view_t *self)
{
    if (self->plan) {
        plan_destroy(&self->plan);
    }
    free(self->tasks);
    *self = (saga_view_t){.count = 0};
}

const plan_node_t *saga_view_node(const saga_view_t *self, const saga_task_t *task)
{
    return self->plan && task->node < self->plan->count ? &self->plan->nodes[task->node] : NULL;
}

/* --- marks ------------------------------------------------------------------------------------ */

saga_marks_t *saga_view_marks(const saga_view_t *self)
{
    if (!self->plan) {
        return NULL;
    }
    saga_marks_t *marks = calloc(self->plan->count, sizeof *marks);
    ENSURE(marks);
    for (uint32_t i = 0; i < self->count; i++) {
        const saga_task_t *task = &self->tasks[i].task;
        if (task->node < self->plan->count) {
            marks[task->node].of[task->state < SAGA_VIEW_STATES ? task->state : 0]++;
        }
    }
    return marks;
}

void saga_marks_append(const saga_marks_t *marks, buffer_t *out)
{
    uint32_t all = 0;
    bool first = true;
    for (size_t i = 0; i < SAGA_VIEW_STATES; i++) {
        all += marks->of[i];
    }
    for (size_t i = 0; i < SAGA_VIEW_STATES; i++) {
        if (marks->of[i] > 0 && all == 1) {
            saga_label_append_format(out, "%s", task_state_word(i));
        } else if (marks->of[i] > 0) {
            saga_label_append_format(out, "%s%u %s", first ? "" : ", ", marks->of[i],
                                     task_state_word(i));
            first = false;
        }
    }
}

uint64_t saga_marks_state(const saga_marks_t *marks)
{
    static const uint8_t states[] = {
        TASK_STUCK,    TASK_UNDO_STUCK,   TASK_FAILED,       TASK_CALLING, TASK_BACKOFF,
        TASK_SETTLING, TASK_UNDO_CALLING, TASK_UNDO_BACKOFF, TASK_UNDOING, TASK_IN_DOUBT,
        TASK_OPEN,     TASK_DONE,         TASK_UNDONE,       TASK_DROPPED,
    };
    for (size_t i = 0; i < sizeof states; i++) {
        if (marks->of[states[i]] > 0) {
            return states[i];
        }
    }
    return 0;
}
