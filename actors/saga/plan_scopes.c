/* What paths may refer to. Known are, at a node:
 *  - `input`, the saga's, everywhere; `item` within an each; `event` in the test of an event;
 *  - the name of a node that has ended before, if it was come to: of an elder sibling, of one of an
 *    enclosing node, or within these. What is within an each is known there only;
 *  - in the branches of an await its name, the payload;
 *  - within a loop, and in its test, also the other names within it: of the round before.
 * At the beginning, for key and attributes, only the input is known. */
#include "actors/saga/plan_internal.h"

typedef struct scope {
    plan_place_t at;
    bool test; /* of the node itself, not its input or list */
} scope_t;

static uint32_t find_name(const plan_t *plan, slice_t name)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        if (plan->nodes[i].name.size > 0 && slice_equal(plan->nodes[i].name, name)) {
            return i;
        }
    }
    return PLAN_NONE;
}

static bool contains(const plan_t *plan, uint32_t outer, uint32_t inner)
{
    while (inner != PLAN_NONE && inner != outer) {
        inner = plan->nodes[inner].parent;
    }
    return inner != PLAN_NONE;
}

/* Whether a node is in an each that `reader` is not in. */
static bool is_of_an_item(const plan_t *plan, uint32_t node, uint32_t reader)
{
    uint32_t each = plan_ancestor(plan, node, PLAN_BIT(PLAN_EACH));
    return each != PLAN_NONE && !contains(plan, each, reader);
}

/* Whether both are within one loop: then one round's result is there in the next. */
static bool share_a_loop(const plan_t *plan, uint32_t named, uint32_t reader)
{
    const uint32_t bit = PLAN_BIT(PLAN_LOOP);
    uint32_t loop = plan_ancestor(plan, named, bit);
    while (loop != PLAN_NONE && !contains(plan, loop, reader)) {
        loop = plan_ancestor(plan, loop, bit);
    }
    return loop != PLAN_NONE;
}

/* Whether the result of node `named` may be there for node `reader`. */
static bool is_before(const scope_t *scope, uint32_t named)
{
    const plan_t *plan = scope->at.plan;
    uint32_t reader = scope->at.node;
    if (is_of_an_item(plan, named, reader)) {
        return false;
    }
    if (share_a_loop(plan, named, reader)) {
        return true;
    }
    if (named == reader) {
        return false;
    }
    if (contains(plan, named, reader)) {
        bool of_branch =
            plan->nodes[reader].parent == named; /* its test comes before the payload */
        return plan->nodes[named].kind == PLAN_AWAIT && !of_branch;
    }
    if (contains(plan, reader, named)) {
        return plan->nodes[reader].kind == PLAN_LOOP && scope->test;
    }
    uint32_t common = plan->nodes[reader].parent;
    while (!contains(plan, common, named)) {
        common = plan->nodes[common].parent;
    }
    const uint32_t in_order =
        PLAN_BIT(PLAN_SEQUENCE) | PLAN_BIT(PLAN_LOOP) | PLAN_BIT(PLAN_EACH) | PLAN_BIT(PLAN_BRANCH);
    return named < reader && (PLAN_BIT(plan->nodes[common].kind) & in_order);
}

static bool is_known(const void *context, slice_t word)
{
    const scope_t *scope = context;
    const plan_t *plan = scope->at.plan;
    uint32_t node = scope->at.node;
    if (slice_equal(word, slice_text("event"))) {
        return scope->test && (node == PLAN_NONE || plan->nodes[node].source == PLAN_EVENT);
    }
    if (slice_equal(word, slice_text("input"))) {
        return node != PLAN_NONE || !scope->test; /* an event that starts one is its input */
    }
    if (node == PLAN_NONE) {
        return false;
    }
    if (slice_equal(word, slice_text("item"))) {
        return plan_ancestor(plan, node, PLAN_BIT(PLAN_EACH)) != PLAN_NONE;
    }
    uint32_t named = find_name(plan, word);
    return named != PLAN_NONE && is_before(scope, named);
}

static slice_t first_word(slice_t path)
{
    const char *dot = path.size > 0 ? memchr(path.data, '.', path.size) : NULL;
    return dot ? slice_of(path.data, (size_t)(dot - (const char *)path.data)) : path;
}

/* Says of a path that is wrong what is wrong with it. */
static capstan_err_t refuse_path(const scope_t *scope, const char *field, slice_t path)
{
    slice_t word = first_word(path);
    if (!value_path_valid(path)) {
        return plan_refuse(&scope->at,
                           "%s: `%.*s` is no path: write words with dots between, for example "
                           "input.amount",
                           field, PLAN_TEXT(path));
    }
    const char *known = scope->at.node != PLAN_NONE
                            ? "take input or the name of a node that ends before"
                        : scope->test ? "take event"
                                      : "take input";
    return plan_refuse(&scope->at, "%s: `%.*s`: %.*s is not known here: %s", field, PLAN_TEXT(path),
                       PLAN_TEXT(word), known);
}

static capstan_err_t check_path(const scope_t *scope, const char *field, slice_t path)
{
    return value_path_valid(path) && is_known(scope, first_word(path))
               ? CAPSTAN_OK
               : refuse_path(scope, field, path);
}

typedef enum operand {
    OPERAND_OTHER,
    OPERAND_WORD,    /* nil, true, false */
    OPERAND_ORDERED, /* a number or a text */
} operand_t;

static operand_t operand_kind(slice_t value)
{
    uint8_t head = value_check(value) ? 0x80 : *(const uint8_t *)value.data;
    if (head == 0xc0 || head == 0xc2 || head == 0xc3) {
        return OPERAND_WORD;
    }
    bool number = head < 0x80 || head >= 0xe0 || (head >= 0xca && head <= 0xd3);
    bool text = (head >= 0xa0 && head <= 0xbf) || (head >= 0xd9 && head <= 0xdb);
    return number || text ? OPERAND_ORDERED : OPERAND_OTHER;
}

static capstan_err_t check_test(const plan_place_t *at, const char *field, const value_test_t *test)
{
    const scope_t scope = {*at, .test = true};
    if (test->operator== 0) {
        return CAPSTAN_OK;
    }
    capstan_err_t err = check_path(&scope, field, test->path);
    if (err) {
        return err;
    }
    if (test->operator== VALUE_EXISTS || test->operator== VALUE_EXISTS_NOT) {
        return test->operand.size == 0
                   ? CAPSTAN_OK
                   : plan_refuse(at, "%s: exists compares with nothing: leave the operand out",
                                 field);
    }
    operand_t kind = operand_kind(test->operand);
    if (kind == OPERAND_OTHER) {
        return plan_refuse(at, "%s: compare with a number, a text, a boolean or nil", field);
    }
    return kind == OPERAND_ORDERED || test->operator<= VALUE_NOT_EQUAL
               ? CAPSTAN_OK
               : plan_refuse(at,
                             "%s: booleans and nil are neither less nor greater: ask whether "
                             "they are equal",
                             field);
}

static capstan_err_t check_input(const plan_place_t *at, slice_t input)
{
    const scope_t scope = {.at = *at};
    slice_t path = {0};
    if (input.size == 0) {
        return CAPSTAN_OK;
    }
    capstan_err_t err = value_check(input);
    if (err) {
        return plan_refuse(at, "input is no msgpack value: %s", capstan_err_text(err));
    }
    const uint8_t head = *(const uint8_t *)input.data;
    bool map = value_check_map(input) == CAPSTAN_OK;
    bool text = (head >= 0xa0 && head <= 0xbf) || (head >= 0xd9 && head <= 0xdb);
    if (at->plan->nodes[at->node].kind == PLAN_CHILD && !map && !text) {
        return plan_refuse(at, "a child's input is a map, or a path that leads to one");
    }
    return value_template_valid(input, is_known, &scope, &path)
               ? CAPSTAN_OK
               : refuse_path(&scope, "input", path);
}

static capstan_err_t check_node(const plan_place_t *at)
{
    const scope_t scope = {.at = *at};
    const plan_node_t *node = &at->plan->nodes[at->node];
    capstan_err_t err = check_test(at, "test", &node->test);
    if (!err) {
        err = check_input(at, node->input);
    }
    if (!err && node->list.size > 0) {
        err = check_path(&scope, "list", node->list);
    }
    return err;
}

capstan_err_t plan_check_scopes(const plan_t *plan, plan_fault_t *fault)
{
    const plan_place_t start = {plan, PLAN_NONE, fault, .field = "start_test"};
    const scope_t key = {.at = {plan, PLAN_NONE, fault, .field = "key"}};
    const scope_t attributes = {.at = {plan, PLAN_NONE, fault, .field = "attributes"}};
    capstan_err_t err = check_test(&start, "start_test", &plan->start_test);
    if (!err && plan->key.size > 0) {
        err = check_path(&key, "key", plan->key);
    }
    for (uint32_t i = 0; !err && i < plan->attributes; i++) {
        err = check_path(&attributes, "attribute", plan->attribute_paths[i]);
    }
    for (uint32_t i = 0; !err && i < plan->count; i++) {
        const plan_place_t at = {.plan = plan, .node = i, .fault = fault};
        err = check_node(&at);
    }
    return err;
}
