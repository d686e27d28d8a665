/* What a definition's nodes and figures must be, each by itself. */
#include "actors/saga/plan_internal.h"
#include "runtime/base/ensure.h"

#include <inttypes.h>

enum { REPEATS_MAX = 100000 }; /* of one node: a saga keeps a task for each */

static bool is_name(slice_t name, size_t size_max)
{
    const char *text = name.data;
    for (size_t i = 0; i < name.size; i++) {
        bool letter = (text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z');
        bool digit = text[i] >= '0' && text[i] <= '9';
        if (!letter && !digit && text[i] != '.' && text[i] != '_' && text[i] != '-') {
            return false;
        }
    }
    return name.size > 0 && name.size <= size_max;
}

bool plan_name_valid(slice_t name)
{
    return is_name(name, PLAN_NAME_MAX);
}

bool plan_topic_valid(slice_t name)
{
    return is_name(name, PLAN_TOPIC_MAX);
}

uint32_t plan_ancestor(const plan_t *plan, uint32_t inner, uint32_t kinds)
{
    uint32_t node = plan->nodes[inner].parent;
    while (node != PLAN_NONE && !(PLAN_BIT(plan->nodes[node].kind) & kinds)) {
        node = plan->nodes[node].parent;
    }
    return node;
}

/* --- fields of kinds ------------------------------------------------------------------------- */

enum {
    IN_STEP = 1 << PLAN_STEP,
    IN_LOOP = 1 << PLAN_LOOP,
    IN_SLEEP = 1 << PLAN_SLEEP,
    IN_AWAIT = 1 << PLAN_AWAIT,
    IN_EACH = 1 << PLAN_EACH,
    IN_CHILD = 1 << PLAN_CHILD,
    IN_BRANCH = 1 << PLAN_BRANCH,
    IN_END = 1 << PLAN_END,
};

/* By the name of a field in saga_messages.def; those of every kind are not listed. */
static const struct {
    const char *field;
    uint32_t allowed;
    uint32_t required;
} field_rows[] = {
    {"name", IN_STEP | IN_AWAIT | IN_EACH | IN_CHILD, IN_STEP | IN_AWAIT | IN_EACH | IN_CHILD},
    {"class", IN_STEP | IN_CHILD, 0},
    {"participant", IN_STEP | IN_CHILD, IN_STEP},
    {"action", IN_STEP, IN_STEP},
    {"compensation", IN_STEP | IN_CHILD, 0},
    {"input", IN_STEP | IN_CHILD, 0},
    {"retry", IN_STEP | IN_CHILD, 0},
    {"attempt_timeout_ms", IN_STEP | IN_CHILD, 0},
    {"step_timeout_ms", IN_STEP | IN_CHILD, 0},
    {"test", IN_LOOP | IN_BRANCH, IN_LOOP},
    {"count_max", IN_LOOP | IN_EACH, IN_LOOP | IN_EACH},
    {"sleep_ms", IN_SLEEP | IN_BRANCH, IN_SLEEP},
    {"source", IN_BRANCH, 0},
    {"topic", IN_BRANCH, 0},
    {"signal", IN_BRANCH, 0},
    {"list", IN_EACH, IN_EACH},
    {"needed", IN_EACH, 0},
    {"width_max", IN_EACH, 0},
    {"definition", IN_CHILD, IN_CHILD},
    {"version", IN_CHILD, 0},
    {"outcome", IN_END, IN_END},
    {"undo", IN_END, 0},
};

static bool is_given(const wire_field_t *field, const saga_node_t *node)
{
    uint64_t number = 0;
    slice_t slice = {0};
    bool truth = false;
    const uint8_t *place = (const uint8_t *)node + field->offset;
    switch (field->type) {
    case CAPSTAN_TYPE_UINT:
        memcpy(&number, place, sizeof number);
        return number > 0;
    case CAPSTAN_TYPE_BOOL:
        memcpy(&truth, place, sizeof truth);
        return truth;
    default:
        memcpy(&slice, place, sizeof slice);
        return slice.size > 0;
    }
}

static const wire_field_t *find_field(const char *name)
{
    const wire_record_t *record = saga_node_wire();
    for (size_t i = 0; i < record->field_count; i++) {
        if (strcmp(record->fields[i].name, name) == 0) {
            return &record->fields[i];
        }
    }
    ENSURE(false);
}

capstan_err_t plan_check_fields(const plan_place_t *at, const saga_node_t *node)
{
    uint32_t kind = PLAN_BIT(node->kind);
    const char *word = plan_kind_word((plan_kind_t)node->kind);
    for (size_t i = 0; i < sizeof field_rows / sizeof field_rows[0]; i++) {
        const char *field = field_rows[i].field;
        bool given = is_given(find_field(field), node);
        if (given && !(field_rows[i].allowed & kind)) {
            return plan_refuse(at, "%s is not of a node of kind %s: leave it out", field, word);
        }
        if (!given && (field_rows[i].required & kind)) {
            return plan_refuse(at, "%s is missing: every node of kind %s has one", field, word);
        }
    }
    return CAPSTAN_OK;
}

/* --- names ----------------------------------------------------------------------------------- */

/* A node's name is a word of paths. */
static bool is_word(slice_t name)
{
    return plan_name_valid(name) && !memchr(name.data, '.', name.size);
}

static bool is_reserved(slice_t name)
{
    static const char *const words[] = {"input", "item", "event", "saga"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (slice_equal(name, slice_text(words[i]))) {
            return true;
        }
    }
    return false;
}

static capstan_err_t check_node_name(const plan_place_t *at)
{
    slice_t name = at->plan->nodes[at->node].name;
    if (name.size == 0) {
        return CAPSTAN_OK;
    }
    if (!is_word(name)) {
        return plan_refuse(at, "that is no name: take 1 to %d letters, digits and _ -",
                           PLAN_NAME_MAX);
    }
    if (is_reserved(name)) {
        return plan_refuse(at, "input, item, event and saga name other things: rename it");
    }
    for (uint32_t i = 0; i < at->node; i++) {
        if (slice_equal(at->plan->nodes[i].name, name)) {
            return plan_refuse(at, "node %" PRIu32 " has the same name: rename one of them", i);
        }
    }
    return CAPSTAN_OK;
}

typedef struct name_row {
    const char *field;
    slice_t name;
    size_t size_max;
} name_row_t;

/* What is given is a name. */
static capstan_err_t check_name(const plan_place_t *at, name_row_t row)
{
    return row.name.size == 0 || is_name(row.name, row.size_max)
               ? CAPSTAN_OK
               : plan_refuse(at, "%s `%.*s` is no name: take 1 to %zu letters, digits and . _ -",
                             row.field, PLAN_TEXT(row.name), row.size_max);
}

static capstan_err_t check_names(const plan_place_t *at)
{
    const plan_node_t *node = &at->plan->nodes[at->node];
    capstan_err_t err = check_node_name(at);
    if (err ||
        (err = check_name(at, (name_row_t){"participant", node->participant, PLAN_NAME_MAX})) ||
        (err = check_name(at, (name_row_t){"action", node->action, PLAN_NAME_MAX})) ||
        (err = check_name(at, (name_row_t){"compensation", node->compensation, PLAN_NAME_MAX})) ||
        (err = check_name(at, (name_row_t){"topic", node->topic, PLAN_TOPIC_MAX})) ||
        (err = check_name(at, (name_row_t){"signal", node->signal, PLAN_NAME_MAX})) ||
        (err = check_name(at, (name_row_t){"definition", node->definition, PLAN_NAME_MAX}))) {
        return err;
    }
    return check_name(at, (name_row_t){"outcome", node->outcome, PLAN_NAME_MAX});
}

/* --- nodes ----------------------------------------------------------------------------------- */

static capstan_err_t check_compensation(const plan_place_t *at)
{
    const plan_node_t *node = &at->plan->nodes[at->node];
    bool has_one = node->compensation.size > 0;
    if (node->kind == PLAN_CHILD && has_one != (node->participant.size > 0)) {
        return plan_refuse(at, "participant and compensation belong together: give both or none");
    }
    if (node->class == PLAN_COMPENSATABLE && !has_one) {
        return plan_refuse(at, "has no compensation: name the action that undoes it, or say by its "
                               "class that it is a pivot, retriable or read");
    }
    return node->class == PLAN_COMPENSATABLE || !has_one
               ? CAPSTAN_OK
               : plan_refuse(at, "is never compensated: leave the compensation out, or make its "
                                 "class compensatable");
}

static capstan_err_t check_source(const plan_place_t *at, const plan_node_t *node)
{
    bool topic = node->topic.size > 0;
    bool signal = node->signal.size > 0;
    bool time = node->sleep_us > 0;
    bool test = node->test.operator!= 0;
    switch (node->source) {
    case PLAN_EVENT:
        return topic && !signal && !time ? CAPSTAN_OK
                                         : plan_refuse(at, "an event has a topic, and may have a "
                                                           "test: give no more");
    case PLAN_SIGNAL:
        return signal && !topic && !time && !test
                   ? CAPSTAN_OK
                   : plan_refuse(at, "a signal has its name: give no more");
    case PLAN_TIMEOUT:
        return time && !topic && !signal && !test
                   ? CAPSTAN_OK
                   : plan_refuse(at, "a timeout has sleep_ms: give no more");
    default:
        return plan_refuse(at, "source is missing: an await waits for 1 an event, 2 a signal, 3 a "
                               "timeout");
    }
}

/* Its elder siblings do not do the same. */
static capstan_err_t check_elders(const plan_place_t *at, const plan_node_t *node)
{
    const plan_t *plan = at->plan;
    for (uint32_t i = plan->nodes[node->parent].first; i != at->node; i = plan->nodes[i].next) {
        const plan_node_t *elder = &plan->nodes[i];
        if (node->source == PLAN_TIMEOUT && elder->source == PLAN_TIMEOUT) {
            return plan_refuse(at, "a second timeout: an await has one at most");
        }
        if (node->source == PLAN_SIGNAL && slice_equal(node->signal, elder->signal)) {
            return plan_refuse(at, "signal `%.*s` is awaited twice: leave one out",
                               PLAN_TEXT(node->signal));
        }
    }
    return CAPSTAN_OK;
}

static capstan_err_t check_branch(const plan_place_t *at)
{
    const plan_t *plan = at->plan;
    const plan_node_t *node = &plan->nodes[at->node];
    if (plan->nodes[node->parent].kind == PLAN_CHOICE) {
        if (node->source || node->topic.size > 0 || node->signal.size > 0 || node->sleep_us > 0) {
            return plan_refuse(at, "a branch of a choice has a test: give no more");
        }
        return node->test.operator!= 0 || node->next == PLAN_NONE
                   ? CAPSTAN_OK
                   : plan_refuse(at, "without a test it is always taken: put it last");
    }
    capstan_err_t err = check_source(at, node);
    if (err || (err = check_elders(at, node))) {
        return err;
    }
    return node->source != PLAN_EVENT || plan->key.size > 0 || plan->start_topic.size > 0
               ? CAPSTAN_OK
               : plan_refuse(at, "an event is known by the saga's key, and it has none: give it "
                                 "a key, or let an event start it");
}

static capstan_err_t check_repeats(const plan_place_t *at)
{
    uint64_t repeats = 1;
    uint32_t repeating = IN_LOOP | IN_EACH;
    for (uint32_t i = at->node; i != PLAN_NONE; i = plan_ancestor(at->plan, i, repeating)) {
        repeats *= at->plan->nodes[i].count_max;
        if (repeats > REPEATS_MAX) {
            return plan_refuse(at,
                               "with what it is in it repeats more than %d times: lower a "
                               "bound, or make a child of it",
                               REPEATS_MAX);
        }
    }
    return CAPSTAN_OK;
}

static capstan_err_t check_kind(const plan_place_t *at)
{
    const plan_node_t *node = &at->plan->nodes[at->node];
    switch (node->kind) {
    case PLAN_STEP:
    case PLAN_CHILD:
        return check_compensation(at);
    case PLAN_EACH:
        if (node->needed > node->count_max) {
            return plan_refuse(at, "needs more items than it has at most: lower needed");
        }
        return check_repeats(at);
    case PLAN_LOOP:
        return check_repeats(at);
    case PLAN_BRANCH:
        return check_branch(at);
    default:
        return CAPSTAN_OK;
    }
}

/* --- the tree -------------------------------------------------------------------------------- */

/* A branch is of a choice or await, which have no other children; what contains nothing else has
 * something in it. */
static capstan_err_t check_place(const plan_place_t *at)
{
    const plan_node_t *node = &at->plan->nodes[at->node];
    const uint32_t branched = PLAN_BIT(PLAN_CHOICE) | PLAN_BIT(PLAN_AWAIT);
    const uint32_t leaves =
        PLAN_BIT(PLAN_STEP) | PLAN_BIT(PLAN_SLEEP) | PLAN_BIT(PLAN_CHILD) | PLAN_BIT(PLAN_END);
    if (node->first == PLAN_NONE && node->kind != PLAN_BRANCH && !(PLAN_BIT(node->kind) & leaves)) {
        return plan_refuse(at, "is empty: put %s in it, or leave it out",
                           PLAN_BIT(node->kind) & branched ? "branches" : "steps");
    }
    if (node->parent == PLAN_NONE) {
        return CAPSTAN_OK;
    }
    plan_kind_t parent = at->plan->nodes[node->parent].kind;
    if (PLAN_BIT(parent) & leaves) {
        return plan_refuse(at, "is in a node of kind %s, which has nothing in it: move it out",
                           plan_kind_word(parent));
    }
    if ((node->kind == PLAN_BRANCH) != ((PLAN_BIT(parent) & branched) != 0)) {
        return plan_refuse(at,
                           "is in a node of kind %s: choice and await have branches and "
                           "nothing else, and no other kind has them",
                           plan_kind_word(parent));
    }
    return CAPSTAN_OK;
}

static capstan_err_t check_nodes(const plan_t *plan, plan_fault_t *fault)
{
    capstan_err_t err = CAPSTAN_OK;
    for (uint32_t i = 0; !err && i < plan->count; i++) {
        const plan_place_t at = {.plan = plan, .node = i, .fault = fault};
        if (!(err = check_place(&at)) && !(err = check_names(&at))) {
            err = check_kind(&at);
        }
    }
    return err;
}

/* --- the whole ------------------------------------------------------------------------------- */

static capstan_err_t check_attributes(const plan_place_t *at)
{
    const slice_t *names = at->plan->attribute_names;
    for (uint32_t i = 0; i < at->plan->attributes; i++) {
        if (!plan_name_valid(names[i])) {
            return plan_refuse(at,
                               "attribute `%.*s` is no name: take 1 to %d letters, digits and "
                               ". _ -",
                               PLAN_TEXT(names[i]), PLAN_NAME_MAX);
        }
        for (uint32_t k = 0; k < i; k++) {
            if (slice_equal(names[k], names[i])) {
                return plan_refuse(at, "attribute `%.*s` is there twice: rename one",
                                   PLAN_TEXT(names[i]));
            }
        }
    }
    return CAPSTAN_OK;
}

static capstan_err_t check_whole(const plan_place_t *at)
{
    const plan_t *plan = at->plan;
    if (!plan_name_valid(plan->name)) {
        return plan_refuse(at, "that is no name: take 1 to %d letters, digits and . _ -",
                           PLAN_NAME_MAX);
    }
    if (plan->lock && plan->key.size == 0 && plan->start_topic.size == 0) {
        const plan_place_t lock = {plan, PLAN_NONE, at->fault, .field = "lock"};
        return plan_refuse(&lock,
                           "locks its key and has none: give it a key, or let an event start "
                           "it, or leave the lock out");
    }
    if (plan->start_test.operator!= 0 && plan->start_topic.size == 0) {
        return plan_refuse(at, "start_test is for events, and there is no start_topic: name it, or "
                               "leave the test out");
    }
    if (plan->schedule.size > 0 && !schedule_valid(plan->schedule)) {
        return plan_refuse(at,
                           "schedule `%.*s` is none: write minute hour day month weekday, for "
                           "example `*/5 * * * *`",
                           PLAN_TEXT(plan->schedule));
    }
    capstan_err_t err =
        check_name(at, (name_row_t){"start_topic", plan->start_topic, PLAN_TOPIC_MAX});
    if (!err) {
        err = check_name(at, (name_row_t){"outcome", plan->outcome, PLAN_NAME_MAX});
    }
    return err ? err : check_attributes(at);
}

capstan_err_t plan_check(const plan_t *plan, plan_fault_t *fault)
{
    const plan_place_t whole = {.plan = plan, .node = PLAN_NONE, .fault = fault};
    capstan_err_t err = check_whole(&whole);
    if (err || (err = check_nodes(plan, fault)) || (err = plan_check_scopes(plan, fault))) {
        return err;
    }
    return plan_check_ways(plan, fault);
}
