/* The picture for terminals.
 *
 *   order 1
 *   ├─ reserve: stock/reserve, undone by stock/release  [DONE]
 *   └─ approval: await  [OPEN]
 *      ├─ signal approve
 *      └─ after 1d
 *         └─ end rejected, what was done is undone */
#include "cli/saga_picture.h"

#include "actors/saga/saga.h"
#include "cli/saga_label.h"
#include "runtime/base/json_writer.h"

#include <inttypes.h>

/* What stands before a node, by its ancestors: whether each has a sibling below. */
typedef struct rails {
    bool more[PLAN_DEPTH_MAX + 1];
    size_t depth;
} rails_t;

static const char *colour_of(uint64_t state)
{
    switch (state) {
    case TASK_DONE:
        return "\x1b[32m"; /* green */
    case TASK_FAILED:
    case TASK_STUCK:
    case TASK_UNDO_STUCK:
        return "\x1b[31m"; /* red */
    case TASK_UNDONE:
    case TASK_DROPPED:
        return "\x1b[34m"; /* blue */
    default:
        return "\x1b[33m"; /* yellow */
    }
}

static void put_rails(const saga_picture_t *self, const rails_t *rails, buffer_t *out)
{
    for (size_t i = 0; i < rails->depth; i++) {
        bool own = i + 1 == rails->depth;
        bool more = rails->more[i];
        const char *text = self->ascii ? own    ? more ? "|- " : "`- "
                                         : more ? "|  "
                                                : "   "
                           : own       ? more ? "├─ " : "└─ "
                           : more      ? "│  "
                                       : "   ";
        saga_label_append_format(out, "%s", text);
    }
}

static void put_marks(const saga_picture_t *self, uint32_t node, buffer_t *out)
{
    uint64_t state = self->marks ? saga_marks_state(&self->marks[node]) : 0;
    if (state == 0) {
        return;
    }
    saga_label_append_format(out, "  %s[", self->colours ? colour_of(state) : "");
    saga_marks_append(&self->marks[node], out);
    saga_label_append_format(out, "]%s", self->colours ? "\x1b[0m" : "");
}

static void put_node(const saga_picture_t *self, const rails_t *rails, uint32_t node, buffer_t *out)
{
    buffer_t label = {0};
    put_rails(self, rails, out);
    if (rails->depth == 0) {
        saga_label_append_format(&label, "%.*s %" PRIu64, SLICE_ARGUMENTS(self->plan->name),
                                 self->plan->version);
    } else {
        saga_label_append(self->plan, node, &label);
    }
    emit_escaped(out, buffer_slice(&label));
    put_marks(self, node, out);
    saga_label_append_format(out, "\n");
    buffer_fini(&label);
}

/* The nodes in their order, which is the order of the lines: no recursion is needed. */
void saga_picture_text(const saga_picture_t *self, buffer_t *out)
{
    const plan_node_t *nodes = self->plan->nodes;
    uint32_t node = 0;
    rails_t rails = {.depth = 0};
    for (;;) {
        put_node(self, &rails, node, out);
        if (nodes[node].first != PLAN_NONE && rails.depth <= PLAN_DEPTH_MAX) {
            node = nodes[node].first;
            rails.more[rails.depth++] = nodes[node].next != PLAN_NONE;
            continue;
        }
        while (rails.depth > 0 && nodes[node].next == PLAN_NONE) {
            node = nodes[node].parent;
            rails.depth--;
        }
        if (rails.depth == 0) {
            return;
        }
        node = nodes[node].next;
        rails.more[rails.depth - 1] = nodes[node].next != PLAN_NONE;
    }
}
