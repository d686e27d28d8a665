/* What a saga waits for: participants, children, times, events, signals, and people. */
#include "cli/saga_timeline.h"

#include "actors/saga/saga.h"
#include "cli/saga_label.h"
#include "cli/saga_time.h"
#include "runtime/base/json_writer.h"

#include <inttypes.h>

#define put saga_label_append_format

static void put_until(buffer_t *out, const char *before, int64_t us)
{
    char text[SAGA_TIME_TEXT_SIZE];
    if (us > 0) {
        saga_time_format(us, text);
        put(out, "%s%s", before, text);
    }
}

static void put_participant(buffer_t *out, const plan_node_t *node, const char *before,
                            slice_t action, const char *behind)
{
    if (node) {
        put(out, "participant %.*s %s%.*s%s", SLICE_ARGUMENTS(node->participant), before,
            SLICE_ARGUMENTS(action), behind);
    } else {
        put(out, "its participant");
    }
}

static void put_calling(const saga_view_t *view, const plan_node_t *node, const saga_task_t *task,
                        buffer_t *out)
{
    if (node && node->kind == PLAN_CHILD) {
        put(out, "saga %.*s/%" PRIu64, SLICE_ARGUMENTS(view->begin.id), task->number);
        return;
    }
    put_participant(out, node, "to do ", node ? node->action : (slice_t){0}, "");
    put(out, ", attempt %" PRIu64, task->attempt);
    put_until(out, ", until ", task->due_us);
}

static void put_branches(const saga_view_t *view, const plan_node_t *node, const saga_task_t *task,
                         buffer_t *out)
{
    const plan_node_t *nodes = view->plan->nodes;
    const char *before = "";
    for (uint32_t i = node->first; i != PLAN_NONE; i = nodes[i].next) {
        put(out, "%s", before);
        if (nodes[i].source == PLAN_TIMEOUT) {
            put_until(out, "", task->due_us);
        } else {
            saga_label_append(view->plan, i, out);
        }
        if (nodes[i].source == PLAN_EVENT && view->begin.key.size > 0) {
            put(out, ", key %.*s", SLICE_ARGUMENTS(view->begin.key));
        }
        before = ", or ";
    }
}

/* Of a container nothing: its children wait. */
static void put_open(const saga_view_t *view, const plan_node_t *node, const saga_task_t *task,
                     buffer_t *out)
{
    if (node && node->kind == PLAN_SLEEP) {
        put_until(out, "its time: ", task->due_us);
    } else if (node && node->kind == PLAN_AWAIT && task->count == 0) {
        put_branches(view, node, task, out);
    }
}

static void put_stuck(const saga_view_t *view, const saga_task_t *task, buffer_t *out)
{
    put(out, "a person: `capstan saga retry %.*s --task %" PRIu64 "`, or skip",
        SLICE_ARGUMENTS(view->begin.id), task->number);
}

/* Nothing when the task waits for nothing of its own. */
static void put_task(const saga_view_t *view, const plan_node_t *node, const saga_task_t *task,
                     buffer_t *out)
{
    slice_t undo = node ? node->compensation : (slice_t){0};
    switch (task->state) {
    case TASK_OPEN:
        put_open(view, node, task, out);
        break;
    case TASK_CALLING:
        put_calling(view, node, task, out);
        break;
    case TASK_BACKOFF:
    case TASK_UNDO_BACKOFF:
        put(out, "its %s attempt", task->state == TASK_BACKOFF ? "next" : "compensation's next");
        put_until(out, ", at ", task->due_us);
        break;
    case TASK_SETTLING:
        put_participant(out, node, "to say what became of ", node ? node->action : undo, "");
        break;
    case TASK_UNDO_CALLING:
        put_participant(out, node, "to undo it by ", undo, "");
        put_until(out, ", until ", task->due_us);
        break;
    case TASK_STUCK:
    case TASK_UNDO_STUCK:
        put_stuck(view, task, out);
        break;
    default:
        break;
    }
}

/* --- lines ------------------------------------------------------------------------------------ */

typedef struct lines {
    size_t count;
    size_t max;
    FILE *out;
} lines_t;

static void print(lines_t *self, buffer_t *text)
{
    buffer_t escaped = {0};
    if (text->size > 0 && self->count++ < self->max) {
        emit_escaped(&escaped, buffer_slice(text));
        fprintf(self->out, "%-11s %.*s\n", self->count == 1 ? "waits for" : "",
                SLICE_ARGUMENTS(buffer_slice(&escaped)));
    }
    buffer_fini(&escaped);
    buffer_clear(text);
}

static void print_whole(const saga_view_t *view, lines_t *lines, buffer_t *text)
{
    if (view->state.state == SAGA_WAITING) {
        put(text, "the lock of its key, or its turn");
        print(lines, text);
    }
    if (view->state.paused) {
        put(text, "a person: `capstan saga resume %.*s`", SLICE_ARGUMENTS(view->begin.id));
        print(lines, text);
    }
}

void saga_waits_print(const saga_view_t *view, size_t lines_max, FILE *out)
{
    lines_t lines = {.max = lines_max, .out = out};
    buffer_t text = {0};
    buffer_t what = {0};
    if (view->state.ended_us > 0) {
        return;
    }
    print_whole(view, &lines, &text);
    for (uint32_t i = 0; i < view->count; i++) {
        const saga_task_t *task = &view->tasks[i].task;
        const plan_node_t *node = saga_view_node(view, task);
        buffer_clear(&what);
        put_task(view, node, task, &what);
        if (what.size > 0) {
            put(&text, "task %" PRIu64 " ", task->number);
            if (node) {
                saga_label_append_short(view->plan, (uint32_t)task->node, &text);
                put(&text, ": ");
            }
            buffer_append(&text, what.data, what.size);
            print(&lines, &text);
        }
    }
    if (lines.count > lines.max) {
        fprintf(out, "%-11s and %zu more\n", "", lines.count - lines.max);
    }
    buffer_fini(&text);
    buffer_fini(&what);
}
