#include "cli/saga_label.h"

#include "cli/saga_time.h"
#include "cli/saga_value.h"
#include "cli/saga_words.h"
#include "runtime/wire/walk.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void saga_label_append_format(buffer_t *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (size > 0) {
        vsnprintf((char *)buffer_reserve(out, (size_t)size + 1), (size_t)size + 1, format, again);
        out->size += (size_t)size;
    }
    va_end(again);
}

#define put saga_label_append_format

static void put_duration(buffer_t *out, int64_t us)
{
    char text[SAGA_TIME_TEXT_SIZE];
    saga_duration_format(us, text);
    put(out, "%s", text);
}

void saga_label_append_test(const value_test_t *test, buffer_t *out)
{
    slice_t text;
    const uint8_t *at = walk_begin(test->operand);
    put(out, "%.*s %s", SLICE_ARGUMENTS(test->path), operator_word(test->operator));
    if (test->operator== VALUE_EXISTS || test->operator== VALUE_EXISTS_NOT) {
        return;
    }
    put(out, " ");
    if (walk_str(&at, at + test->operand.size, &text) == CAPSTAN_OK) {
        put(out, "%.*s", SLICE_ARGUMENTS(text));
        return;
    }
    json_writer_t json = json_writer(out);
    saga_value_emit(&json, test->operand);
}

static void put_action(buffer_t *out, const plan_node_t *node, slice_t action)
{
    put(out, "%.*s/%.*s", SLICE_ARGUMENTS(node->participant), SLICE_ARGUMENTS(action));
}

static void put_compensation(buffer_t *out, const plan_node_t *node)
{
    if (node->compensation.size > 0) {
        put(out, ", undone by ");
        put_action(out, node, node->compensation);
    }
}

static void put_step(buffer_t *out, const plan_node_t *node)
{
    put(out, "%.*s: ", SLICE_ARGUMENTS(node->name));
    put_action(out, node, node->action);
    if (node->class != PLAN_COMPENSATABLE) {
        put(out, ", %s", node_class_word(node->class));
    }
    put_compensation(out, node);
}

static void put_child(buffer_t *out, const plan_node_t *node)
{
    put(out, "%.*s: saga %.*s", SLICE_ARGUMENTS(node->name), SLICE_ARGUMENTS(node->definition));
    if (node->version > 0) {
        put(out, " %" PRIu64, node->version);
    }
    put_compensation(out, node);
}

static void put_each(buffer_t *out, const plan_node_t *node)
{
    put(out, "%.*s: each of %.*s, %" PRIu64 " at a time", SLICE_ARGUMENTS(node->name),
        SLICE_ARGUMENTS(node->list), node->width_max);
    if (node->needed > 0) {
        put(out, ", %" PRIu64 " needed", node->needed);
    }
}

static void put_loop(buffer_t *out, const plan_node_t *node)
{
    put(out, "loop");
    if (node->test.operator!= 0) {
        put(out, " while ");
        saga_label_append_test(&node->test, out);
    }
    put(out, ", at most %" PRIu64 " times", node->count_max);
}

static void put_branch(buffer_t *out, const plan_node_t *node)
{
    switch ((int)node->source) {
    case PLAN_EVENT:
        put(out, "event of %.*s", SLICE_ARGUMENTS(node->topic));
        break;
    case PLAN_SIGNAL:
        put(out, "signal %.*s", SLICE_ARGUMENTS(node->signal));
        break;
    case PLAN_TIMEOUT:
        put(out, "after ");
        put_duration(out, node->sleep_us);
        return;
    default: /* of a choice */
        if (node->test.operator== 0) {
            put(out, "otherwise");
        }
        break;
    }
    if (node->test.operator!= 0) {
        put(out, "%swhen ", node->source != 0 ? " " : "");
        saga_label_append_test(&node->test, out);
    }
}

void saga_label_append(const plan_t *plan, uint32_t index, buffer_t *out)
{
    const plan_node_t *node = &plan->nodes[index];
    switch (node->kind) {
    case PLAN_SEQUENCE:
    case PLAN_PARALLEL:
    case PLAN_CHOICE:
        put(out, "%s", node_kind_word(node->kind));
        break;
    case PLAN_STEP:
        put_step(out, node);
        break;
    case PLAN_LOOP:
        put_loop(out, node);
        break;
    case PLAN_SLEEP:
        put(out, "sleep ");
        put_duration(out, node->sleep_us);
        break;
    case PLAN_AWAIT:
        put(out, "%.*s: await", SLICE_ARGUMENTS(node->name));
        break;
    case PLAN_EACH:
        put_each(out, node);
        break;
    case PLAN_CHILD:
        put_child(out, node);
        break;
    case PLAN_BRANCH:
        put_branch(out, node);
        break;
    case PLAN_END:
        put(out, "end %.*s%s", SLICE_ARGUMENTS(node->outcome),
            node->undo ? ", what was done is undone" : "");
        break;
    }
}

void saga_label_append_short(const plan_t *plan, uint32_t index, buffer_t *out)
{
    const plan_node_t *node = &plan->nodes[index];
    if (node->kind == PLAN_BRANCH || node->kind == PLAN_SLEEP || node->kind == PLAN_END) {
        saga_label_append(plan, index, out);
        return;
    }
    put(out, "%s%s%.*s", node_kind_word(node->kind), node->name.size > 0 ? " " : "",
        SLICE_ARGUMENTS(node->name));
}
