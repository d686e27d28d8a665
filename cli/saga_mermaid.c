/* The picture in Mermaid's language. While the nodes are walked, `open` is a stack of edges that
 * have begun and lead to whatever comes next: a step takes all of its sequence's and leaves one, a
 * choice leaves those of all its branches.
 *
 *   open: [n2 "yes"] [n5]      --> n6 -->      open: [n6] */
#include "actors/saga/saga.h"
#include "cli/saga_label.h"
#include "cli/saga_picture.h"
#include "runtime/base/ensure.h"

#include <stdlib.h>

#define put saga_label_append_format

typedef struct edge {
    uint32_t from;
    bool join;      /* from the place where a parallel's children meet */
    uint32_t label; /* node whose label it bears; PLAN_NONE: `text` */
    const char *text;
} edge_t;

typedef struct drawing {
    const saga_picture_t *picture;
    buffer_t *out;
    edge_t *open;
    size_t count;
    size_t capacity;
} drawing_t;

static void push(drawing_t *self, edge_t edge)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity > 0 ? 2 * self->capacity : 64;
        self->open = realloc(self->open, self->capacity * sizeof *self->open);
        ENSURE(self->open);
    }
    self->open[self->count++] = edge;
}

static void push_plain(drawing_t *self, uint32_t from)
{
    push(self, (edge_t){.from = from, .label = PLAN_NONE, .text = ""});
}

/* Quotes, brackets and what begins an entity are written as entities; controls are blanks. */
static void put_escaped(buffer_t *out, slice_t text)
{
    const unsigned char *at = text.data;
    for (size_t i = 0; i < text.size; i++) {
        if (strchr("\"<>#;&`", at[i]) && at[i] != '\0') {
            put(out, "#%u;", at[i]);
        } else {
            put(out, "%c", at[i] < 0x20 || at[i] == 0x7f ? ' ' : at[i]);
        }
    }
}

static void put_label(drawing_t *self, uint32_t node)
{
    buffer_t label = {0};
    saga_label_append(self->picture->plan, node, &label);
    put_escaped(self->out, buffer_slice(&label));
    buffer_fini(&label);
}

/* All edges that are open from `base` on end at the node of that name. */
static void close_edges(drawing_t *self, size_t base, const char *kind, uint32_t node)
{
    for (size_t i = base; i < self->count; i++) {
        const edge_t *edge = &self->open[i];
        put(self->out, "  %s%u -->", edge->join ? "j" : "n", edge->from);
        if (edge->label != PLAN_NONE || *edge->text) {
            put(self->out, "|\"");
            if (edge->label != PLAN_NONE) {
                put_label(self, edge->label);
            }
            put(self->out, "%s\"|", edge->label == PLAN_NONE ? edge->text : "");
        }
        put(self->out, " %s%u\n", kind, node);
    }
    self->count = base;
}

static void put_box(drawing_t *self, uint32_t node, const char *left, const char *right)
{
    put(self->out, "  n%u%s\"", node, left);
    put_label(self, node);
    if (self->picture->marks && saga_marks_state(&self->picture->marks[node]) != 0) {
        put(self->out, "<br/>");
        saga_marks_append(&self->picture->marks[node], self->out);
    }
    put(self->out, "\"%s\n", right);
}

static void draw(drawing_t *self, uint32_t node, size_t base);

static void draw_children(drawing_t *self, uint32_t node, size_t base)
{
    const plan_node_t *nodes = self->picture->plan->nodes;
    for (uint32_t i = nodes[node].first; i != PLAN_NONE; i = nodes[i].next) {
        draw(self, i, base);
    }
}

static void draw_parallel(drawing_t *self, uint32_t node, size_t base)
{
    const plan_node_t *nodes = self->picture->plan->nodes;
    put_box(self, node, "{{", "}}");
    close_edges(self, base, "n", node);
    for (uint32_t i = nodes[node].first; i != PLAN_NONE; i = nodes[i].next) {
        size_t own = self->count;
        push_plain(self, node);
        draw(self, i, own);
    }
    put(self->out, "  j%u((\" \"))\n", node);
    close_edges(self, base, "j", node);
    push(self, (edge_t){.from = node, .join = true, .label = PLAN_NONE, .text = ""});
}

/* A choice or an await; a choice without a branch that always holds can go past all of them. */
static void draw_branches(drawing_t *self, uint32_t node, size_t base)
{
    const plan_node_t *nodes = self->picture->plan->nodes;
    bool await = nodes[node].kind == PLAN_AWAIT;
    bool always = await;
    put_box(self, node, await ? "[/" : "{", await ? "/]" : "}");
    close_edges(self, base, "n", node);
    for (uint32_t i = nodes[node].first; i != PLAN_NONE; i = nodes[i].next) {
        size_t own = self->count;
        push(self, (edge_t){.from = node, .label = i, .text = ""});
        draw_children(self, i, own);
        always = always || nodes[i].test.operator== 0;
    }
    if (!always) {
        push(self, (edge_t){.from = node, .label = PLAN_NONE, .text = "otherwise"});
    }
}

/* A loop or an each: its children lead back to it. */
static void draw_repeated(drawing_t *self, uint32_t node, size_t base)
{
    bool loop = self->picture->plan->nodes[node].kind == PLAN_LOOP;
    put_box(self, node, loop ? "{" : "{{", loop ? "}" : "}}");
    close_edges(self, base, "n", node);
    push(self, (edge_t){.from = node, .label = PLAN_NONE, .text = loop ? "yes" : "each item"});
    draw_children(self, node, base);
    close_edges(self, base, "n", node);
    push(self, (edge_t){.from = node, .label = PLAN_NONE, .text = loop ? "no" : "all"});
}

static void draw_leaf(drawing_t *self, uint32_t node, size_t base, const char *left,
                      const char *right)
{
    put_box(self, node, left, right);
    close_edges(self, base, "n", node);
    if (self->picture->plan->nodes[node].kind != PLAN_END) {
        push_plain(self, node);
    }
}

/* A plan is at most PLAN_DEPTH_MAX deep, and so is the recursion. */
static void draw(drawing_t *self, uint32_t node, size_t base)
{
    switch (self->picture->plan->nodes[node].kind) {
    case PLAN_SEQUENCE:
    case PLAN_BRANCH:
        draw_children(self, node, base);
        break;
    case PLAN_PARALLEL:
        draw_parallel(self, node, base);
        break;
    case PLAN_CHOICE:
    case PLAN_AWAIT:
        draw_branches(self, node, base);
        break;
    case PLAN_LOOP:
    case PLAN_EACH:
        draw_repeated(self, node, base);
        break;
    case PLAN_STEP:
        draw_leaf(self, node, base, "[", "]");
        break;
    case PLAN_CHILD:
        draw_leaf(self, node, base, "[[", "]]");
        break;
    case PLAN_SLEEP:
        draw_leaf(self, node, base, "(", ")");
        break;
    case PLAN_END:
        draw_leaf(self, node, base, "([", "])");
        break;
    }
}

static const char *class_of(uint64_t state)
{
    switch (state) {
    case TASK_DONE:
        return "done";
    case TASK_FAILED:
    case TASK_STUCK:
    case TASK_UNDO_STUCK:
        return "failed";
    case TASK_UNDONE:
    case TASK_DROPPED:
        return "undone";
    default:
        return "going";
    }
}

/* Sequences and branches have no box. */
static void put_classes(drawing_t *self)
{
    const saga_picture_t *picture = self->picture;
    put(self->out, "  classDef pivot stroke-width:3px\n");
    for (uint32_t i = 0; i < picture->plan->count; i++) {
        if (picture->plan->nodes[i].class == PLAN_PIVOT) {
            put(self->out, "  class n%u pivot\n", i);
        }
    }
    if (!picture->marks) {
        return;
    }
    put(self->out, "  classDef done fill:#c8e6c9\n  classDef failed fill:#ffcdd2\n"
                   "  classDef going fill:#fff9c4\n  classDef undone fill:#bbdefb\n");
    for (uint32_t i = 0; i < picture->plan->count; i++) {
        plan_kind_t kind = picture->plan->nodes[i].kind;
        uint64_t state = saga_marks_state(&picture->marks[i]);
        if (state != 0 && kind != PLAN_SEQUENCE && kind != PLAN_BRANCH) {
            put(self->out, "  class n%u %s\n", i, class_of(state));
        }
    }
}

void saga_picture_mermaid(const saga_picture_t *picture, buffer_t *out)
{
    const plan_t *plan = picture->plan;
    drawing_t self = {.picture = picture, .out = out};
    put(out, "flowchart TD\n  n0([\"");
    put_escaped(out, plan->name);
    put(out, " %u\"])\n", (unsigned)plan->version);
    push_plain(&self, 0);
    draw(&self, 0, 0);
    if (self.count > 0) {
        put(out, "  j0([\"end ");
        put_escaped(out, plan->outcome.size > 0 ? plan->outcome : slice_text("completed"));
        put(out, "\"])\n");
        close_edges(&self, 0, "j", 0);
    }
    put_classes(&self);
    free(self.open);
}
