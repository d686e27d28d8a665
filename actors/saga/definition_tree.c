#include "actors/saga/definition_tree.h"

#include "runtime/base/ensure.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <yaml.h>

/* The containers that are open. */
typedef struct builder {
    tree_t *tree;
    yaml_parser_t parser;
    uint32_t depth;
    struct {
        uint32_t node;
        uint32_t last; /* child so far */
        uint32_t count;
    } open[TREE_DEPTH_MAX];
} builder_t;

void tree_refuse(tree_t *self, uint64_t line, const char *format, ...)
{
    plan_fault_t *fault = self->fault;
    if (self->failed) {
        return;
    }
    self->failed = true;
    fault->line = line;
    int length =
        snprintf(fault->text, sizeof fault->text, "%.200s:%" PRIu64 ": ", self->file, line);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fault->text + length, sizeof fault->text - (size_t)length, format, arguments);
    va_end(arguments);
}

const tree_node_t *tree_at(const tree_t *self, uint32_t index)
{
    return (const tree_node_t *)(const void *)self->nodes.data + index;
}

static tree_node_t *node_at(tree_t *self, uint32_t index)
{
    return (tree_node_t *)(void *)self->nodes.data + index;
}

slice_t tree_text(const tree_t *self, uint32_t index)
{
    const tree_node_t *node = tree_at(self, index);
    return node->text_size > 0 ? slice_of(self->texts.data + node->text_at, node->text_size)
                               : slice_of("", 0);
}

uint32_t tree_find(const tree_t *self, uint32_t map, const char *key)
{
    if (tree_at(self, map)->kind != TREE_MAP) {
        return TREE_NONE;
    }
    uint32_t at = tree_at(self, map)->first;
    while (at != TREE_NONE && !slice_equal(tree_text(self, at), slice_text(key))) {
        at = tree_at(self, tree_at(self, at)->next)->next;
    }
    return at == TREE_NONE ? TREE_NONE : tree_at(self, at)->next;
}

/* --- building -------------------------------------------------------------------------------- */

static void refuse_yaml(builder_t *self)
{
    const yaml_parser_t *parser = &self->parser;
    const char *problem = parser->problem ? parser->problem : "cannot be read";
    /* What libyaml says of a tab names neither the tab nor what to do. */
    bool tab = strstr(problem, "cannot start any token") != NULL;
    tree_refuse(self->tree, parser->problem_mark.line + 1, "not YAML: %s%s%s%s", problem,
                parser->context ? ", " : "", parser->context ? parser->context : "",
                tab ? "; indent with blanks, not tabs, and quote texts that begin with @ or `"
                    : "");
}

static void refuse_unused(builder_t *self, const yaml_event_t *event)
{
    bool anchored = event->type == YAML_ALIAS_EVENT;
    bool tagged = false;
    if (event->type == YAML_SCALAR_EVENT) {
        anchored = event->data.scalar.anchor != NULL;
        tagged = event->data.scalar.tag != NULL;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchored = event->data.mapping_start.anchor != NULL;
        tagged = event->data.mapping_start.tag != NULL;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchored = event->data.sequence_start.anchor != NULL;
        tagged = event->data.sequence_start.tag != NULL;
    }
    if (anchored || tagged) {
        tree_refuse(self->tree, event->start_mark.line + 1,
                    "%s are not used in definitions: write the value itself",
                    anchored ? "anchors and aliases" : "tags");
    }
}

/* Whether what comes next is a key of a map. */
static bool wants_key(const builder_t *self)
{
    return self->depth > 0 && self->open[self->depth - 1].count % 2 == 0 &&
           tree_at(self->tree, self->open[self->depth - 1].node)->kind == TREE_MAP;
}

/* The keys of the open map, without the one that is being added. */
static void refuse_again(builder_t *self, uint32_t key)
{
    const tree_t *tree = self->tree;
    slice_t text = tree_text(tree, key);
    uint32_t at = tree_at(tree, self->open[self->depth - 1].node)->first;
    if (self->open[self->depth - 1].count >= 2 * TREE_KEYS_MAX) {
        tree_refuse(self->tree, tree_at(tree, key)->line, "more than %d keys in one map",
                    TREE_KEYS_MAX);
    }
    for (; at != key && at != TREE_NONE; at = tree_at(tree, tree_at(tree, at)->next)->next) {
        if (slice_equal(tree_text(tree, at), text)) {
            tree_refuse(self->tree, tree_at(tree, key)->line,
                        "%.*s: given twice, first in line %" PRIu64, (int)text.size,
                        (const char *)text.data, tree_at(tree, at)->line);
        }
    }
}

static void hang(builder_t *self, uint32_t index)
{
    if (self->depth == 0) {
        return;
    }
    uint32_t top = self->depth - 1;
    if (self->open[top].last == TREE_NONE) {
        node_at(self->tree, self->open[top].node)->first = index;
    } else {
        node_at(self->tree, self->open[top].last)->next = index;
    }
    self->open[top].last = index;
    self->open[top].count++;
}

static void add(builder_t *self, tree_node_t node, slice_t text)
{
    tree_t *tree = self->tree;
    uint32_t index = (uint32_t)(tree->nodes.size / sizeof node);
    bool key = wants_key(self);
    if (key && node.kind != TREE_TEXT) {
        tree_refuse(tree, node.line, "a key must be a plain word");
    }
    if (index == TREE_NODES_MAX) {
        tree_refuse(tree, node.line, "more than %d values: this is no definition", TREE_NODES_MAX);
    }
    if (node.kind != TREE_TEXT && self->depth == TREE_DEPTH_MAX) {
        tree_refuse(tree, node.line, "deeper than %d: make a child of it", TREE_DEPTH_MAX);
    }
    if (tree->failed) {
        return;
    }
    node.text_at = tree->texts.size;
    node.text_size = text.size;
    node.first = node.next = TREE_NONE;
    buffer_append(&tree->texts, text.data, text.size);
    buffer_append(&tree->nodes, &node, sizeof node);
    if (key) {
        refuse_again(self, index);
    }
    hang(self, index);
    if (node.kind != TREE_TEXT) {
        self->open[self->depth].node = index;
        self->open[self->depth].last = TREE_NONE;
        self->open[self->depth].count = 0;
        self->depth++;
    }
}

static void take_event(builder_t *self, const yaml_event_t *event)
{
    const uint64_t line = event->start_mark.line + 1;
    refuse_unused(self, event);
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (self->tree->nodes.size > 0) {
            tree_refuse(self->tree, line, "a second document: a file has one definition");
        }
        break;
    case YAML_SCALAR_EVENT:
        add(self,
            (tree_node_t){.kind = TREE_TEXT,
                          .plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE,
                          .line = line},
            slice_of(event->data.scalar.value, event->data.scalar.length));
        break;
    case YAML_SEQUENCE_START_EVENT:
        add(self, (tree_node_t){.kind = TREE_LIST, .line = line}, slice_of(NULL, 0));
        break;
    case YAML_MAPPING_START_EVENT:
        add(self, (tree_node_t){.kind = TREE_MAP, .line = line}, slice_of(NULL, 0));
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        self->depth--;
        break;
    default:
        break;
    }
}

void tree_read(tree_t *self, slice_t text)
{
    builder_t builder = {.tree = self};
    bool end = false;
    if (text.size > PLAN_BYTES_MAX) {
        tree_refuse(self, 1, "%zu bytes: a definition has at most %d", text.size, PLAN_BYTES_MAX);
        return;
    }
    bool ready = yaml_parser_initialize(&builder.parser);
    ENSURE(ready);
    yaml_parser_set_encoding(&builder.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&builder.parser, text.size > 0 ? text.data : (const uint8_t *)"",
                                 text.size);
    while (!end && !self->failed) {
        yaml_event_t event;
        if (!yaml_parser_parse(&builder.parser, &event)) {
            refuse_yaml(&builder);
            break;
        }
        end = event.type == YAML_STREAM_END_EVENT;
        take_event(&builder, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&builder.parser);
    if (self->nodes.size == 0) {
        tree_refuse(self, 1, "empty: a definition begins with `saga: NAME`");
    }
}

void tree_fini(tree_t *self)
{
    buffer_fini(&self->nodes);
    buffer_fini(&self->texts);
}
