/* Definitions as people write them. docs/sagas.md has the form; here each of its keys is read into
 * a field of the record, and the record is checked by plan_read as any other is. */
#include "actors/saga/definition_form.h"
#include "actors/saga/plan_internal.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const classes[] = {"compensatable", "pivot", "retriable", "read", NULL};

/* The nodes so far. */
typedef struct form {
    tree_t tree;
    codec_list_writer_t nodes;
    buffer_t node_bytes;
    buffer_t attribute_bytes;
} form_t;

/* --- nodes ----------------------------------------------------------------------------------- */

/* Returns what its children name as their parent. */
static uint64_t add_node(form_t *self, saga_node_t node)
{
    if (self->nodes.count == PLAN_NODES_MAX) {
        tree_refuse(&self->tree, node.line, "more than %d nodes: make children of some",
                    PLAN_NODES_MAX);
    } else {
        codec_list_add(&self->nodes, saga_node_wire(), &node);
    }
    return self->nodes.count;
}

static saga_node_t begin_node(const form_t *self, uint32_t at, plan_kind_t kind, uint64_t parent)
{
    return (saga_node_t){.kind = kind, .parent = parent, .line = tree_at(&self->tree, at)->line};
}

static void read_node(form_t *self, uint32_t at, uint64_t parent);

/* The nodes of a list; what may be absent was looked for. */
static void read_nodes(form_t *self, uint32_t list, const char *key, uint64_t parent)
{
    uint32_t at = form_list(&self->tree, list, key);
    for (; at != TREE_NONE && !self->tree.failed; at = tree_at(&self->tree, at)->next) {
        read_node(self, at, parent);
    }
}

static void read_steps(form_t *self, uint32_t map, uint64_t parent)
{
    read_nodes(self, form_need(&self->tree, map, "steps"), "steps", parent);
}

/* What steps and children have in common. Adds the node, whose buffers live as long. */
static void read_acting(form_t *self, uint32_t at, saga_node_t node)
{
    tree_t *tree = &self->tree;
    buffer_t input = {0};
    buffer_t retry = {0};
    uint32_t template = tree_find(tree, at, "input");
    form_name(tree, at, "participant", &node.participant);
    form_name(tree, at, "compensation", &node.compensation);
    form_choice(tree, at, "class", classes, &node.class);
    form_duration(tree, at, "attempt_timeout", &node.attempt_timeout_ms);
    form_duration(tree, at, "timeout", &node.step_timeout_ms);
    form_retry(tree, at, "retry", &retry);
    if (template != TREE_NONE) {
        form_value(tree, template, "input", &input);
    }
    node.input = buffer_slice(&input);
    node.retry = buffer_slice(&retry);
    (void)add_node(self, node);
    buffer_fini(&input);
    buffer_fini(&retry);
}

static void read_step(form_t *self, uint32_t at, uint64_t parent)
{
    saga_node_t node = begin_node(self, at, PLAN_STEP, parent);
    form_name(&self->tree, at, "step", &node.name);
    (void)form_need(&self->tree, at, "participant");
    (void)form_need(&self->tree, at, "action");
    form_name(&self->tree, at, "action", &node.action);
    read_acting(self, at, node);
}

static void read_child(form_t *self, uint32_t at, uint64_t parent)
{
    saga_node_t node = begin_node(self, at, PLAN_CHILD, parent);
    form_name(&self->tree, at, "child", &node.name);
    (void)form_need(&self->tree, at, "saga");
    form_name(&self->tree, at, "saga", &node.definition);
    form_number(&self->tree, at, "version", (form_range_t){1, UINT32_MAX}, &node.version);
    read_acting(self, at, node);
}

static void read_sequence(form_t *self, uint32_t at, uint64_t parent)
{
    uint64_t number = add_node(self, begin_node(self, at, PLAN_SEQUENCE, parent));
    read_nodes(self, tree_find(&self->tree, at, "sequence"), "sequence", number);
}

static void read_parallel(form_t *self, uint32_t at, uint64_t parent)
{
    uint64_t number = add_node(self, begin_node(self, at, PLAN_PARALLEL, parent));
    read_nodes(self, tree_find(&self->tree, at, "parallel"), "parallel", number);
}

static void read_loop(form_t *self, uint32_t at, uint64_t parent)
{
    static const char *const keys[] = {"while", "maximum", "steps", NULL};
    buffer_t test = {0};
    saga_node_t node = begin_node(self, at, PLAN_LOOP, parent);
    uint32_t loop = tree_find(&self->tree, at, "loop");
    if (!form_keys(&self->tree, loop, "loop", keys)) {
        return;
    }
    (void)form_need(&self->tree, loop, "while");
    (void)form_need(&self->tree, loop, "maximum");
    form_test(&self->tree, loop, "while", &test);
    form_number(&self->tree, loop, "maximum", (form_range_t){1, 10000}, &node.count_max);
    node.test = buffer_slice(&test);
    uint64_t number = add_node(self, node);
    buffer_fini(&test);
    read_steps(self, loop, number);
}

static void read_sleep(form_t *self, uint32_t at, uint64_t parent)
{
    saga_node_t node = begin_node(self, at, PLAN_SLEEP, parent);
    form_duration(&self->tree, at, "sleep", &node.sleep_ms);
    (void)add_node(self, node);
}

static void read_each(form_t *self, uint32_t at, uint64_t parent)
{
    tree_t *tree = &self->tree;
    saga_node_t node = begin_node(self, at, PLAN_EACH, parent);
    form_name(tree, at, "each", &node.name);
    (void)form_need(tree, at, "list");
    (void)form_need(tree, at, "maximum");
    form_path(tree, at, "list", &node.list);
    form_number(tree, at, "maximum", (form_range_t){1, 10000}, &node.count_max);
    form_number(tree, at, "needed", (form_range_t){1, 10000}, &node.needed);
    form_number(tree, at, "at_once", (form_range_t){1, 10000}, &node.width_max);
    read_steps(self, at, add_node(self, node));
}

static void read_end(form_t *self, uint32_t at, uint64_t parent)
{
    static const char *const keys[] = {"outcome", "undo", NULL};
    saga_node_t node = begin_node(self, at, PLAN_END, parent);
    uint32_t end = tree_find(&self->tree, at, "end");
    if (!form_keys(&self->tree, end, "end", keys)) {
        return;
    }
    (void)form_need(&self->tree, end, "outcome");
    form_name(&self->tree, end, "outcome", &node.outcome);
    form_bool(&self->tree, end, "undo", &node.undo);
    (void)add_node(self, node);
}

/* --- branches -------------------------------------------------------------------------------- */

static void read_option(form_t *self, uint32_t at, uint64_t parent)
{
    static const char *const keys[] = {"when", "steps", NULL};
    static const char *const last_keys[] = {"otherwise", NULL};
    buffer_t test = {0};
    saga_node_t node = begin_node(self, at, PLAN_BRANCH, parent);
    uint32_t otherwise = tree_find(&self->tree, at, "otherwise");
    bool last = otherwise != TREE_NONE;
    if (!form_keys(&self->tree, at, "choice", last ? last_keys : keys)) {
        return;
    }
    if (!last) {
        (void)form_need(&self->tree, at, "when");
        form_test(&self->tree, at, "when", &test);
    }
    node.test = buffer_slice(&test);
    uint64_t number = add_node(self, node);
    buffer_fini(&test);
    if (last) {
        read_nodes(self, otherwise, "otherwise", number);
    } else {
        read_steps(self, at, number);
    }
}

static void read_choice(form_t *self, uint32_t at, uint64_t parent)
{
    uint64_t number = add_node(self, begin_node(self, at, PLAN_CHOICE, parent));
    uint32_t option = form_list(&self->tree, tree_find(&self->tree, at, "choice"), "choice");
    for (; option != TREE_NONE; option = tree_at(&self->tree, option)->next) {
        read_option(self, option, number);
    }
}

static void read_topic(tree_t *tree, uint32_t map, slice_t *ret_topic)
{
    uint32_t node = form_need(tree, map, "topic");
    if (node == TREE_NONE) {
        return;
    }
    slice_t topic = form_text(tree, node, "topic");
    if (!plan_topic_valid(topic)) {
        tree_refuse(tree, tree_at(tree, node)->line,
                    "topic: `%.*s` is no name: take 1 to %d letters, digits and . _ -",
                    PLAN_TEXT(topic), PLAN_TOPIC_MAX);
    }
    *ret_topic = topic;
}

/* An event's topic and test. */
static void read_event(tree_t *tree, uint32_t event, saga_node_t *node, buffer_t *test)
{
    static const char *const keys[] = {"topic", "when", NULL};
    if (form_keys(tree, event, "event", keys)) {
        read_topic(tree, event, &node->topic);
        form_test(tree, event, "when", test);
        node->test = buffer_slice(test);
    }
}

static void read_awaited(form_t *self, uint32_t at, uint64_t parent)
{
    static const char *const keys[] = {"event", "signal", "timeout", "steps", NULL};
    tree_t *tree = &self->tree;
    buffer_t test = {0};
    saga_node_t node = begin_node(self, at, PLAN_BRANCH, parent);
    if (!form_keys(tree, at, "any", keys)) {
        return;
    }
    uint32_t event = tree_find(tree, at, "event");
    bool signal = tree_find(tree, at, "signal") != TREE_NONE;
    bool timeout = tree_find(tree, at, "timeout") != TREE_NONE;
    if ((event != TREE_NONE) + signal + timeout != 1) {
        tree_refuse(tree, node.line, "any: each element has one of event, signal, timeout");
        return;
    }
    node.source = event != TREE_NONE ? PLAN_EVENT : signal ? PLAN_SIGNAL : PLAN_TIMEOUT;
    if (event != TREE_NONE) {
        read_event(tree, event, &node, &test);
    }
    form_name(tree, at, "signal", &node.signal);
    form_duration(tree, at, "timeout", &node.sleep_ms);
    uint64_t number = add_node(self, node);
    buffer_fini(&test);
    read_nodes(self, tree_find(tree, at, "steps"), "steps", number);
}

static void read_await(form_t *self, uint32_t at, uint64_t parent)
{
    saga_node_t node = begin_node(self, at, PLAN_AWAIT, parent);
    form_name(&self->tree, at, "await", &node.name);
    uint64_t number = add_node(self, node);
    uint32_t branch = form_list(&self->tree, form_need(&self->tree, at, "any"), "any");
    for (; branch != TREE_NONE; branch = tree_at(&self->tree, branch)->next) {
        read_awaited(self, branch, number);
    }
}

/* --- kinds ----------------------------------------------------------------------------------- */

enum { KEYS_MAX = 12 };

/* The first key is the one that says the kind. */
static const struct {
    const char *keys[KEYS_MAX];
    void (*read)(form_t *self, uint32_t at, uint64_t parent);
} kinds[] = {
    {{"step", "participant", "action", "compensation", "class", "input", "retry", "attempt_timeout",
      "timeout"},
     read_step},
    {{"parallel"}, read_parallel},
    {{"sequence"}, read_sequence},
    {{"choice"}, read_choice},
    {{"loop"}, read_loop},
    {{"sleep"}, read_sleep},
    {{"await", "any"}, read_await},
    {{"each", "list", "maximum", "needed", "at_once", "steps"}, read_each},
    {{"child", "saga", "version", "input", "participant", "compensation", "class", "retry",
      "attempt_timeout", "timeout"},
     read_child},
    {{"end"}, read_end},
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void refuse_kind(tree_t *tree, uint32_t at)
{
    uint32_t key = tree_at(tree, at)->kind == TREE_MAP ? tree_at(tree, at)->first : TREE_NONE;
    slice_t text = key != TREE_NONE ? tree_text(tree, key) : slice_of("", 0);
    tree_refuse(tree, tree_at(tree, at)->line,
                "%.*s%sno node: each has one of step, parallel, sequence, choice, loop, sleep, "
                "await, each, child, end",
                PLAN_TEXT(text), text.size > 0 ? ": " : "");
}

static void read_node(form_t *self, uint32_t at, uint64_t parent)
{
    size_t kind = KINDS;
    for (size_t i = 0; i < KINDS; i++) {
        if (tree_find(&self->tree, at, kinds[i].keys[0]) == TREE_NONE) {
            continue;
        }
        if (kind < KINDS) {
            tree_refuse(&self->tree, tree_at(&self->tree, at)->line,
                        "%s and %s: make two nodes of them", kinds[kind].keys[0], kinds[i].keys[0]);
            return;
        }
        kind = i;
    }
    if (kind == KINDS) {
        refuse_kind(&self->tree, at);
    } else if (form_keys(&self->tree, at, kinds[kind].keys[0], kinds[kind].keys)) {
        kinds[kind].read(self, at, parent);
    }
}

/* --- the whole ------------------------------------------------------------------------------- */

static void read_attributes(form_t *self, uint32_t root)
{
    tree_t *tree = &self->tree;
    uint32_t map = tree_find(tree, root, "attributes");
    codec_list_writer_t list = codec_list_begin(&self->attribute_bytes);
    if (map != TREE_NONE && tree_at(tree, map)->kind != TREE_MAP) {
        tree_refuse(tree, tree_at(tree, map)->line,
                    "attributes: lines `NAME: PATH` are wanted, at most %d", PLAN_ATTRIBUTES_MAX);
    }
    uint32_t key = map == TREE_NONE ? TREE_NONE : tree_at(tree, map)->first;
    while (key != TREE_NONE && !tree->failed) {
        char name[PLAN_NAME_MAX + 1];
        saga_attribute_t attribute = {.name = tree_text(tree, key)};
        if (!plan_name_valid(attribute.name) || list.count == PLAN_ATTRIBUTES_MAX) {
            tree_refuse(tree, tree_at(tree, key)->line,
                        "attributes: at most %d are possible, with names of 1 to %d letters, "
                        "digits and . _ -",
                        PLAN_ATTRIBUTES_MAX, PLAN_NAME_MAX);
            break;
        }
        snprintf(name, sizeof name, "%.*s", PLAN_TEXT(attribute.name));
        form_path(tree, map, name, &attribute.path);
        codec_list_add(&list, saga_attribute_wire(), &attribute);
        key = tree_at(tree, tree_at(tree, key)->next)->next;
    }
    codec_list_end(&list);
}

static void read_compensation(tree_t *tree, uint32_t root, saga_definition_t *whole,
                              buffer_t *retry)
{
    static const char *const keys[] = {"order", "deadline", "retry", NULL};
    static const char *const orders[] = {"reverse", "parallel", NULL};
    uint32_t map = tree_find(tree, root, "compensation");
    if (map != TREE_NONE && form_keys(tree, map, "compensation", keys)) {
        form_choice(tree, map, "order", orders, &whole->undo_order);
        form_duration(tree, map, "deadline", &whole->undo_deadline_ms);
        form_retry(tree, map, "retry", retry);
        whole->undo_retry = buffer_slice(retry);
    }
}

static void read_start(tree_t *tree, uint32_t root, saga_definition_t *whole, buffer_t *test)
{
    static const char *const keys[] = {"topic", "when", NULL};
    uint32_t schedule = tree_find(tree, root, "schedule");
    uint32_t start = tree_find(tree, root, "start");
    if (start != TREE_NONE && form_keys(tree, start, "start", keys)) {
        read_topic(tree, start, &whole->start_topic);
        form_test(tree, start, "when", test);
        whole->start_test = buffer_slice(test);
    }
    if (schedule != TREE_NONE) {
        whole->schedule = form_text(tree, schedule, "schedule");
        if (!schedule_valid(whole->schedule)) {
            tree_refuse(tree, tree_at(tree, schedule)->line,
                        "schedule: `%.*s` is none: write minute hour day month weekday, for "
                        "example \"*/5 * * * *\"",
                        PLAN_TEXT(whole->schedule));
        }
    }
}

static void read_figures(tree_t *tree, uint32_t root, saga_definition_t *whole)
{
    form_name(tree, root, "saga", &whole->name);
    form_number(tree, root, "version", (form_range_t){1, UINT32_MAX}, &whole->version);
    form_path(tree, root, "key", &whole->key);
    form_duration(tree, root, "deadline", &whole->deadline_ms);
    form_bool(tree, root, "lock", &whole->lock);
    form_number(tree, root, "waiting_maximum", (form_range_t){1, 1000000}, &whole->waiting_max);
    form_number(tree, root, "running_maximum", (form_range_t){1, 1000000}, &whole->running_max);
    form_number(tree, root, "starts_per_minute", (form_range_t){1, 1000000},
                &whole->starts_per_minute);
    form_number(tree, root, "priority", (form_range_t){1, 9}, &whole->priority);
    form_duration(tree, root, "retention", &whole->retention_ms);
    form_name(tree, root, "outcome", &whole->outcome);
}

static void read_whole(form_t *self, buffer_t *record)
{
    static const char *const keys[] = {"saga",
                                       "version",
                                       "key",
                                       "deadline",
                                       "compensation",
                                       "lock",
                                       "start",
                                       "schedule",
                                       "running_maximum",
                                       "waiting_maximum",
                                       "starts_per_minute",
                                       "priority",
                                       "attributes",
                                       "retention",
                                       "outcome",
                                       "steps",
                                       NULL};
    tree_t *tree = &self->tree;
    buffer_t retry = {0};
    buffer_t test = {0};
    saga_definition_t whole = {0};
    if (!form_keys(tree, 0, "definition", keys)) {
        return;
    }
    (void)form_need(tree, 0, "saga");
    (void)form_need(tree, 0, "version");
    read_figures(tree, 0, &whole);
    read_compensation(tree, 0, &whole, &retry);
    read_start(tree, 0, &whole, &test);
    read_attributes(self, 0);
    uint32_t steps = form_need(tree, 0, "steps");
    self->nodes = codec_list_begin(&self->node_bytes);
    if (steps != TREE_NONE) {
        read_nodes(self, steps, "steps", add_node(self, begin_node(self, steps, PLAN_SEQUENCE, 0)));
    }
    codec_list_end(&self->nodes);
    whole.nodes = buffer_slice(&self->node_bytes);
    whole.attributes = buffer_slice(&self->attribute_bytes);
    codec_encode(saga_definition_wire(), &whole, record);
    buffer_fini(&retry);
    buffer_fini(&test);
}

/* The line of what is wrong with the whole; where that is no single key, the definition's first. */
static uint64_t line_of_field(const tree_t *tree, const char *field)
{
    const char *key = field && strcmp(field, "start_test") == 0 ? "start" : field;
    uint32_t node = key ? tree_find(tree, 0, key) : TREE_NONE;
    return tree_at(tree, node == TREE_NONE ? 0 : node)->line;
}

static capstan_err_t check_record(tree_t *tree, slice_t record)
{
    plan_fault_t fault = {0};
    plan_t *plan = NULL;
    capstan_err_t err = plan_read(record, &plan, &fault);
    if (err) {
        uint64_t line = fault.line > 0 ? fault.line : line_of_field(tree, fault.field);
        tree_refuse(tree, line, "%s", fault.text);
        return CAPSTAN_E_SAGA_DEFINITION;
    }
    plan_destroy(&plan);
    return CAPSTAN_OK;
}

capstan_err_t definition_from_yaml(slice_t text, const char *file, buffer_t *out,
                                   plan_fault_t *ret_fault)
{
    form_t form = {.tree = {.file = file, .fault = ret_fault}};
    buffer_t record = {0};
    tree_read(&form.tree, text);
    if (!form.tree.failed) {
        read_whole(&form, &record);
    }
    capstan_err_t err = form.tree.failed ? CAPSTAN_E_SAGA_DEFINITION
                                         : check_record(&form.tree, buffer_slice(&record));
    if (!err) {
        buffer_append(out, record.data, record.size);
    }
    tree_fini(&form.tree);
    buffer_fini(&form.node_bytes);
    buffer_fini(&form.attribute_bytes);
    buffer_fini(&record);
    return err;
}
