#include "actors/saga/plan.h"

#include "actors/saga/plan_internal.h"
#include "runtime/base/ensure.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    US_PER_MS = 1000,
    RETRY_ATTEMPTS = 10,
    UNDO_ATTEMPTS = 100,
};

static const char *const kind_words[] = {
    [PLAN_SEQUENCE] = "sequence", [PLAN_PARALLEL] = "parallel", [PLAN_STEP] = "step",
    [PLAN_CHOICE] = "choice",     [PLAN_LOOP] = "loop",         [PLAN_SLEEP] = "sleep",
    [PLAN_AWAIT] = "await",       [PLAN_EACH] = "each",         [PLAN_CHILD] = "child",
    [PLAN_BRANCH] = "branch",     [PLAN_END] = "end",
};

const char *plan_kind_word(plan_kind_t kind)
{
    return kind_words[kind];
}

/* --- what is wrong --------------------------------------------------------------------------- */

/* "saga order", "step reserve", "loop (node 4)". */
static void name_place(const plan_place_t *at, char *text, size_t size)
{
    const plan_node_t *node = at->node == PLAN_NONE ? NULL : &at->plan->nodes[at->node];
    const char *word = node && node->kind ? kind_words[node->kind] : "node";
    if (!node) {
        snprintf(text, size, "saga %.*s", PLAN_TEXT(at->plan->name));
    } else if (node->name.size > 0) {
        snprintf(text, size, "%s %.*s", word, PLAN_TEXT(node->name));
    } else {
        snprintf(text, size, "%s (node %" PRIu32 ")", word, at->node);
    }
}

capstan_err_t plan_refuse(const plan_place_t *at, const char *format, ...)
{
    char place[2 * PLAN_NAME_MAX];
    plan_fault_t *fault = at->fault;
    fault->field = at->node == PLAN_NONE ? at->field : NULL;
    fault->line = at->node == PLAN_NONE ? 0 : at->plan->nodes[at->node].line;
    name_place(at, place, sizeof place);
    int length = snprintf(fault->text, sizeof fault->text, "%s: ", place);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fault->text + length, sizeof fault->text - (size_t)length, format, arguments);
    va_end(arguments);
    return CAPSTAN_E_SAGA_DEFINITION;
}

/* Bytes that are no record. */
static capstan_err_t refuse_bytes(const plan_place_t *at, const char *record,
                                  const codec_fault_t *fault)
{
    char text[128];
    (void)plan_refuse(at, "no record `%s`: %s", record,
                      capstan_fault_text(fault, text, sizeof text));
    return fault->err;
}

static capstan_err_t decode(const plan_place_t *at, const wire_record_t *record, slice_t bytes,
                            void *ret_value)
{
    codec_fault_t fault = {0};
    capstan_err_t err = codec_decode(record, bytes, ret_value, &fault);
    return err ? refuse_bytes(at, record->name, &fault) : CAPSTAN_OK;
}

/* --- figures --------------------------------------------------------------------------------- */

typedef struct figure {
    const char *name;
    uint64_t value; /* 0: absent */
    uint64_t minimum;
    uint64_t maximum;
    uint64_t initial;
} figure_t;

static capstan_err_t read_figure(const plan_place_t *at, figure_t figure, uint64_t *ret_value)
{
    uint64_t value = figure.value == 0 ? figure.initial : figure.value;
    if (value > 0 && (value < figure.minimum || value > figure.maximum)) {
        return plan_refuse(at, "%s is %" PRIu64 ": make it %" PRIu64 " to %" PRIu64, figure.name,
                           value, figure.minimum, figure.maximum);
    }
    *ret_value = value;
    return CAPSTAN_OK;
}

/* A duration of milliseconds, 0: none. */
static capstan_err_t read_time(const plan_place_t *at, figure_t figure, int64_t *ret_us)
{
    uint64_t value = 0;
    figure.minimum = 1;
    figure.maximum = PLAN_MS_MAX;
    capstan_err_t err = read_figure(at, figure, &value);
    if (!err) {
        *ret_us = (int64_t)value * US_PER_MS;
    }
    return err;
}

static capstan_err_t read_percent(const plan_place_t *at, figure_t figure, uint32_t *ret_percent)
{
    uint64_t value = 0;
    capstan_err_t err = read_figure(at, figure, &value);
    if (!err) {
        *ret_percent = (uint32_t)value;
    }
    return err;
}

/* --- records within the definition ----------------------------------------------------------- */

static capstan_err_t read_final(const plan_place_t *at, slice_t words)
{
    codec_list_t list;
    saga_word_t word;
    capstan_err_t err = codec_list_open(saga_word_wire(), words, &list);
    while (!err && codec_list_next(&list, &word)) {
        if (!plan_name_valid(word.word)) {
            err = plan_refuse(at,
                              "retry: `%.*s` is no error: name each by 1 to %d letters, digits "
                              "and . _ -",
                              PLAN_TEXT(word.word), PLAN_NAME_MAX);
        }
    }
    if (!err && list.fault.err) {
        err = refuse_bytes(at, "saga_word", &list.fault);
    }
    return err;
}

static capstan_err_t read_retry(const plan_place_t *at, slice_t bytes, uint64_t attempts,
                                plan_retry_t *ret_retry)
{
    saga_retry_t record = {0};
    plan_retry_t retry = {0};
    capstan_err_t err = CAPSTAN_OK;
    if (bytes.size > 0) {
        err = decode(at, saga_retry_wire(), bytes, &record);
    }
    if (err ||
        (err = read_time(at,
                         (figure_t){"retry.initial_ms", .value = record.initial_ms, .initial = 100},
                         &retry.initial_us)) ||
        (err = read_time(at, (figure_t){"retry.max_ms", .value = record.max_ms, .initial = 60000},
                         &retry.max_us)) ||
        (err = read_percent(
             at, (figure_t){"retry.factor_percent", record.factor_percent, 100, 1000, 200},
             &retry.factor_percent)) ||
        (err = read_figure(at,
                           (figure_t){"retry.attempts_max", record.attempts_max, 1, 1000, attempts},
                           &retry.attempts_max)) ||
        (err =
             read_percent(at, (figure_t){"retry.jitter_percent", record.jitter_percent, 1, 100, 20},
                          &retry.jitter_percent))) {
        return err;
    }
    if (retry.max_us < retry.initial_us) {
        return plan_refuse(at, "retry.max_ms is below retry.initial_ms: raise it");
    }
    retry.final = record.final;
    *ret_retry = retry;
    return read_final(at, record.final);
}

static capstan_err_t read_test(const plan_place_t *at, slice_t bytes, value_test_t *ret_test)
{
    saga_test_t record;
    if (bytes.size == 0) {
        return CAPSTAN_OK;
    }
    capstan_err_t err = decode(at, saga_test_wire(), bytes, &record);
    if (err) {
        return err;
    }
    if (record.operator<VALUE_EQUAL || record.operator> VALUE_EXISTS_NOT) {
        return plan_refuse(at, "test: there is no operator %" PRIu64 ": make it %d to %d",
                           record.operator, VALUE_EQUAL, VALUE_EXISTS_NOT);
    }
    *ret_test = (value_test_t){.path = record.path,
                               .operator=(value_operator_t) record.operator,
                               .operand = record.operand };
    return CAPSTAN_OK;
}

/* --- nodes ----------------------------------------------------------------------------------- */

/* Hangs a node into the tree: its parent is the node before it, or one that contains that. */
static capstan_err_t link_node(plan_t *plan, uint32_t index, uint64_t parent_plus_1,
                               plan_fault_t *fault)
{
    const plan_place_t at = {.plan = plan, .node = index, .fault = fault};
    plan_node_t *node = &plan->nodes[index];
    node->parent = node->first = node->next = PLAN_NONE;
    if (index == 0) {
        return parent_plus_1 == 0 && node->kind == PLAN_SEQUENCE
                   ? CAPSTAN_OK
                   : plan_refuse(&at, "the first node is a sequence without a parent");
    }
    uint32_t elder = PLAN_NONE;
    uint32_t parent = index - 1;
    while (parent != PLAN_NONE && (uint64_t)parent + 1 != parent_plus_1) {
        elder = parent;
        parent = plan->nodes[parent].parent;
    }
    if (parent == PLAN_NONE) {
        return plan_refuse(&at,
                           "parent %" PRIu64 " is wrong: it is the index plus 1 of the node "
                           "before this one, or of one that contains that",
                           parent_plus_1);
    }
    node->parent = parent;
    if (elder == PLAN_NONE) {
        plan->nodes[parent].first = index;
    } else {
        plan->nodes[elder].next = index;
    }
    uint32_t depth = 1;
    for (; parent != PLAN_NONE; parent = plan->nodes[parent].parent) {
        depth++;
    }
    return depth <= PLAN_DEPTH_MAX
               ? CAPSTAN_OK
               : plan_refuse(&at, "deeper than %d: make a child of it", PLAN_DEPTH_MAX);
}

static capstan_err_t read_figures(const plan_place_t *at, const saga_node_t *record,
                                  plan_node_t *node)
{
    bool acts = node->kind == PLAN_STEP || node->kind == PLAN_CHILD;
    bool each = node->kind == PLAN_EACH;
    uint64_t class = 0;
    uint64_t source = 0;
    capstan_err_t err;
    if ((err = read_figure(at,
                           (figure_t){"class", record->class, PLAN_COMPENSATABLE, PLAN_READ,
                                      acts ? PLAN_COMPENSATABLE : 0},
                           &class)) ||
        (err = read_figure(at, (figure_t){"source", record->source, PLAN_EVENT, PLAN_TIMEOUT, 0},
                           &source)) ||
        (err = read_time(at,
                         (figure_t){"attempt_timeout_ms", .value = record->attempt_timeout_ms,
                                    .initial = acts ? 10000 : 0},
                         &node->attempt_us)) ||
        (err = read_time(at, (figure_t){"step_timeout_ms", .value = record->step_timeout_ms},
                         &node->step_us)) ||
        (err = read_time(at, (figure_t){"sleep_ms", .value = record->sleep_ms}, &node->sleep_us)) ||
        (err = read_figure(at, (figure_t){"count_max", record->count_max, 1, 10000, 0},
                           &node->count_max)) ||
        (err = read_figure(at, (figure_t){"needed", record->needed, 1, 10000, 0}, &node->needed)) ||
        (err = read_figure(at, (figure_t){"width_max", record->width_max, 1, 10000, each ? 16 : 0},
                           &node->width_max)) ||
        (err = read_figure(at, (figure_t){"version", record->version, 1, UINT32_MAX, 0},
                           &node->version))) {
        return err;
    }
    node->class = (plan_class_t) class;
    node->source = (plan_source_t)source;
    return acts ? read_retry(at, record->retry, RETRY_ATTEMPTS, &node->retry) : CAPSTAN_OK;
}

static capstan_err_t read_node(plan_t *plan, uint32_t index, const saga_node_t *record,
                               plan_fault_t *fault)
{
    const plan_place_t at = {.plan = plan, .node = index, .fault = fault};
    plan_node_t *node = &plan->nodes[index];
    node->line = record->line;
    node->name = record->name;
    if (record->kind < PLAN_SEQUENCE || record->kind > PLAN_END) {
        return plan_refuse(&at, "there is no kind %" PRIu64 ": make it %d to %d", record->kind,
                           PLAN_SEQUENCE, PLAN_END);
    }
    node->kind = (plan_kind_t)record->kind;
    node->participant = record->participant;
    node->action = record->action;
    node->compensation = record->compensation;
    node->input = record->input;
    node->topic = record->topic;
    node->signal = record->signal;
    node->list = record->list;
    node->definition = record->definition;
    node->outcome = record->outcome;
    node->undo = record->undo;
    capstan_err_t err = plan_check_fields(&at, record);
    if (err || (err = link_node(plan, index, record->parent, fault)) ||
        (err = read_figures(&at, record, node))) {
        return err;
    }
    return read_test(&at, record->test, &node->test);
}

static capstan_err_t read_nodes(plan_t *plan, slice_t nodes, plan_fault_t *fault)
{
    const plan_place_t whole = {.plan = plan, .node = PLAN_NONE, .fault = fault};
    codec_list_t list;
    saga_node_t record;
    capstan_err_t err = codec_list_open(saga_node_wire(), nodes, &list);
    ENSURE(!err); /* it was counted */
    while (!err && codec_list_next(&list, &record)) {
        err = read_node(plan, plan->count, &record, fault);
        plan->count++;
    }
    if (!err && list.fault.err) {
        err = refuse_bytes(&whole, "saga_node", &list.fault);
    }
    return err;
}

/* --- the whole ------------------------------------------------------------------------------- */

static capstan_err_t read_attributes(plan_t *plan, slice_t attributes, plan_fault_t *fault)
{
    const plan_place_t at = {.plan = plan, .node = PLAN_NONE, .fault = fault};
    codec_list_t list;
    saga_attribute_t record;
    capstan_err_t err = codec_list_open(saga_attribute_wire(), attributes, &list);
    while (!err && codec_list_next(&list, &record)) {
        if (plan->attributes == PLAN_ATTRIBUTES_MAX) {
            return plan_refuse(&at, "more than %d attributes: leave some out", PLAN_ATTRIBUTES_MAX);
        }
        plan->attribute_names[plan->attributes] = record.name;
        plan->attribute_paths[plan->attributes] = record.path;
        plan->attributes++;
    }
    if (!err && list.fault.err) {
        err = refuse_bytes(&at, "saga_attribute", &list.fault);
    }
    return err;
}

static capstan_err_t read_whole_figures(plan_t *plan, const saga_definition_t *record,
                                        plan_fault_t *fault)
{
    const plan_place_t at = {.plan = plan, .node = PLAN_NONE, .fault = fault};
    uint64_t undo_order = 0;
    uint64_t priority = 0;
    capstan_err_t err;
    if (record->version == 0) {
        return plan_refuse(&at, "version is 0: make it 1 to %" PRIu32, UINT32_MAX);
    }
    if ((err = read_figure(&at, (figure_t){"version", record->version, 1, UINT32_MAX, 0},
                           &plan->version)) ||
        (err = read_time(&at, (figure_t){"deadline_ms", .value = record->deadline_ms},
                         &plan->deadline_us)) ||
        (err = read_figure(&at,
                           (figure_t){"undo_order", record->undo_order, PLAN_UNDO_REVERSE,
                                      PLAN_UNDO_PARALLEL, PLAN_UNDO_REVERSE},
                           &undo_order)) ||
        (err = read_time(&at, (figure_t){"undo_deadline_ms", .value = record->undo_deadline_ms},
                         &plan->undo_deadline_us)) ||
        (err = read_figure(&at, (figure_t){"waiting_max", record->waiting_max, 1, 1000000, 10000},
                           &plan->waiting_max)) ||
        (err = read_figure(&at, (figure_t){"running_max", record->running_max, 1, 1000000, 0},
                           &plan->running_max)) ||
        (err = read_figure(
             &at, (figure_t){"starts_per_minute", record->starts_per_minute, 1, 1000000, 0},
             &plan->starts_per_minute)) ||
        (err = read_figure(&at, (figure_t){"priority", record->priority, 1, 9, 4}, &priority)) ||
        (err = read_time(&at, (figure_t){"retention_ms", .value = record->retention_ms},
                         &plan->retention_us))) {
        return err;
    }
    plan->undo_order = (plan_undo_order_t)undo_order;
    plan->priority = (uint32_t)priority;
    return read_retry(&at, record->undo_retry, UNDO_ATTEMPTS, &plan->undo_retry);
}

static capstan_err_t read_whole(plan_t *plan, plan_fault_t *fault)
{
    const plan_place_t at = {.plan = plan, .node = PLAN_NONE, .fault = fault};
    saga_definition_t record;
    capstan_err_t err = decode(&at, saga_definition_wire(), plan->record, &record);
    if (err) {
        return err;
    }
    plan->name = record.name;
    plan->key = record.key;
    plan->lock = record.lock;
    plan->start_topic = record.start_topic;
    plan->schedule = record.schedule;
    plan->outcome = record.outcome.size > 0 ? record.outcome : slice_text("completed");
    if ((err = read_whole_figures(plan, &record, fault)) ||
        (err = read_test(&at, record.start_test, &plan->start_test)) ||
        (err = read_attributes(plan, record.attributes, fault))) {
        return err;
    }
    return read_nodes(plan, record.nodes, fault);
}

/* The definition, its nodes and its bytes are one piece of memory. */
static capstan_err_t make_plan(slice_t definition, plan_t **ret_plan, plan_fault_t *fault)
{
    const plan_t nothing = {.name = slice_text("definition")};
    const plan_place_t at = {.plan = &nothing, .node = PLAN_NONE, .fault = fault};
    saga_definition_t record;
    if (definition.size > PLAN_BYTES_MAX) {
        (void)plan_refuse(&at, "%zu bytes: a definition has at most %d", definition.size,
                          PLAN_BYTES_MAX);
        return CAPSTAN_E_TOO_LARGE;
    }
    capstan_err_t err = decode(&at, saga_definition_wire(), definition, &record);
    if (err) {
        return err;
    }
    size_t count = codec_list_count(record.nodes);
    if (count == 0 || count > PLAN_NODES_MAX) {
        return plan_refuse(&at, "%zu nodes: a definition has 1 to %d", count, PLAN_NODES_MAX);
    }
    plan_t *self = calloc(1, sizeof *self + count * sizeof *self->nodes + definition.size);
    if (!self) {
        (void)plan_refuse(&at, "no memory");
        return CAPSTAN_E_NO_MEMORY;
    }
    self->nodes = (plan_node_t *)(void *)(self + 1);
    uint8_t *bytes = (uint8_t *)(self->nodes + count);
    memcpy(bytes, definition.data, definition.size);
    self->record = slice_of(bytes, definition.size);
    *ret_plan = self;
    return CAPSTAN_OK;
}
_Static_assert(sizeof(plan_t) % _Alignof(plan_node_t) == 0, "nodes follow the plan");

capstan_err_t plan_read(slice_t definition, plan_t **ret_plan, plan_fault_t *ret_fault)
{
    plan_t *self = NULL;
    capstan_err_t err = make_plan(definition, &self, ret_fault);
    if (err) {
        return err;
    }
    err = read_whole(self, ret_fault);
    if (!err) {
        err = plan_check(self, ret_fault);
    }
    if (err) {
        plan_destroy(&self);
        return err;
    }
    *ret_plan = self;
    return CAPSTAN_OK;
}

void plan_destroy(plan_t **self_p)
{
    free(*self_p);
    *self_p = NULL;
}
