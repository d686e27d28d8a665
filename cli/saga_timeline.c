#include "cli/saga_timeline.h"

#include "actors/saga/saga.h"
#include "cli/saga_label.h"
#include "cli/saga_time.h"
#include "cli/saga_words.h"
#include "cli/table.h"
#include "runtime/base/json_writer.h"

#include <inttypes.h>

enum { WAITS_MAX = 20 };

/* --- header ----------------------------------------------------------------------------------- */

static void print_line(FILE *out, const char *name, slice_t text)
{
    buffer_t escaped = {0};
    emit_escaped(&escaped, text);
    fprintf(out, "%-11s %.*s\n", name, SLICE_ARGUMENTS(buffer_slice(&escaped)));
    buffer_fini(&escaped);
}

static void print_time(FILE *out, const char *name, int64_t time_us, const char *remark)
{
    char text[SAGA_TIME_TEXT_SIZE];
    saga_time_format(time_us, text);
    fprintf(out, "%-11s %s%s\n", name, text, remark);
}

static void print_header(const saga_view_t *view, int64_t now_us, FILE *out)
{
    const saga_state_t *state = &view->state;
    const saga_begin_t *begin = &view->begin;
    char took[SAGA_TIME_TEXT_SIZE];
    char remark[SAGA_TIME_TEXT_SIZE + 16];
    print_line(out, "saga", begin->id);
    fprintf(out, "%-11s %.*s %" PRIu64 "%s\n", "definition", SLICE_ARGUMENTS(begin->definition),
            begin->version, view->plan ? "" : " (not known at this node: it does not go on)");
    fprintf(out, "%-11s %s: %s%s%s\n", "state", saga_state_word(state->state),
            saga_state_meaning(state->state), state->paused ? "; paused" : "",
            state->pivot ? "; its pivot has landed" : "");
    if (state->outcome.size > 0) {
        print_line(out, "outcome", state->outcome);
    }
    if (state->reason.size > 0) {
        print_line(out, "reason", state->reason);
    }
    if (begin->key.size > 0) {
        print_line(out, "key", begin->key);
    }
    if (begin->origin.size > 0) {
        print_line(out, "forked from", begin->origin);
    }
    print_time(out, "started", begin->at_us, "");
    int64_t end_us = state->ended_us > 0 ? state->ended_us : now_us;
    saga_duration_format(end_us - begin->at_us, took);
    snprintf(remark, sizeof remark, " (took %s)", took);
    if (state->ended_us > 0) {
        print_time(out, "ended", state->ended_us, remark);
    }
    if (begin->deadline_us > 0) {
        print_time(out, "deadline", begin->deadline_us, state->late ? " (has passed)" : "");
    }
}

/* --- tasks ------------------------------------------------------------------------------------ */

static const char *const columns[] = {"task",    "node", "state", "attempts",
                                      "started", "took", "error"};
enum { COLUMNS = sizeof columns / sizeof columns[0] };

/* The column of errors, the last one, is there when there is one. */
static size_t columns_of(const saga_view_t *view)
{
    for (uint32_t i = 0; i < view->count; i++) {
        if (view->tasks[i].task.error.size + view->tasks[i].task.text.size > 0) {
            return COLUMNS;
        }
    }
    return COLUMNS - 1;
}

static void add_node(const saga_view_t *view, const saga_task_t *task, size_t depth, table_t *table)
{
    buffer_t text = {0};
    saga_label_append_format(&text, "%*s", (int)(2 * depth), "");
    if (saga_view_node(view, task)) {
        saga_label_append_short(view->plan, (uint32_t)task->node, &text);
    } else {
        saga_label_append_format(&text, "node %" PRIu64, task->node);
    }
    table_cell(table, buffer_slice(&text));
    buffer_fini(&text);
}

static void add_time(const saga_view_t *view, const saga_task_t *task, int64_t now_us,
                     table_t *table)
{
    char text[SAGA_TIME_TEXT_SIZE];
    char cell[SAGA_TIME_TEXT_SIZE + 8];
    saga_duration_format(task->opened_us - view->begin.at_us, text);
    snprintf(cell, sizeof cell, "+%s", text);
    table_cell(table, slice_text(task->opened_us > 0 ? cell : ""));
    bool under_way = task->ended_us == 0 && !task_state_rests(task->state);
    int64_t end_us = task->ended_us > 0 ? task->ended_us : under_way ? now_us : 0;
    saga_duration_format(end_us - task->opened_us, text);
    snprintf(cell, sizeof cell, "%s%s", text, under_way ? " so far" : "");
    table_cell(table, slice_text(task->opened_us > 0 && end_us > 0 ? cell : ""));
}

/* Done without an attempt: by the saga that it was forked from. */
static bool is_taken(const saga_view_t *view, const saga_task_t *task)
{
    const plan_node_t *node = saga_view_node(view, task);
    return view->begin.taken.size > 0 && task->state == TASK_DONE && node &&
           (node->kind == PLAN_STEP || node->kind == PLAN_CHILD);
}

static void add_task(const saga_view_t *view, const saga_task_t *task, size_t depth, int64_t now_us,
                     table_t *table)
{
    buffer_t error = {0};
    table_number(table, task->number);
    add_node(view, task, depth, table);
    table_cell(table, slice_text(task_state_word(task->state)));
    if (task->attempt > 0) {
        table_number(table, task->attempt);
    } else {
        table_cell(table, slice_text(is_taken(view, task) ? "taken over" : ""));
    }
    add_time(view, task, now_us, table);
    if (table->columns < COLUMNS) {
        return;
    }
    saga_label_append_format(&error, "%.*s%s%.*s", SLICE_ARGUMENTS(task->error),
                             task->error.size > 0 && task->text.size > 0 ? ": " : "",
                             SLICE_ARGUMENTS(task->text));
    table_cell(table, buffer_slice(&error));
    buffer_fini(&error);
}

/* In the order of the tree: a task, its children, its next sibling. What is deeper than a plan can
 * be is of no plan, and not indented further. */
static void add_tasks(const saga_view_t *view, int64_t now_us, table_t *table)
{
    uint32_t path[PLAN_DEPTH_MAX + 2];
    size_t depth = 0;
    uint32_t at = view->first;
    while (at != SAGA_VIEW_NONE) {
        const saga_view_task_t *task = &view->tasks[at];
        add_task(view, &task->task, depth, now_us, table);
        if (task->first != SAGA_VIEW_NONE && depth < sizeof path / sizeof path[0]) {
            path[depth++] = at;
            at = task->first;
            continue;
        }
        while (view->tasks[at].next == SAGA_VIEW_NONE && depth > 0) {
            at = path[--depth];
        }
        at = view->tasks[at].next;
    }
}

void saga_timeline_print(const saga_view_t *view, int64_t now_us, FILE *out)
{
    table_t table = {.columns = columns_of(view)};
    print_header(view, now_us, out);
    saga_waits_print(view, WAITS_MAX, out);
    if (view->count == 0) {
        return;
    }
    for (size_t i = 0; i < table.columns; i++) {
        table_cell(&table, slice_text(columns[i]));
    }
    add_tasks(view, now_us, &table);
    fprintf(out, "\n");
    table_print(&table, 0, out);
    table_fini(&table);
}
