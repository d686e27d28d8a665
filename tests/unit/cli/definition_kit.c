#include "tests/unit/cli/definition_kit.h"

#include "actors/saga/value.h"

#include <criterion/criterion.h>

#define T(text) slice_text(text)

static void add_test(buffer_t *out, const char *path, value_operator_t operator, uint8_t operand)
{
    const saga_test_t test = {
        .path = T(path), .operator= operator, .operand = slice_of(&operand, 1)};
    codec_encode(saga_test_wire(), &test, out);
}

static void add_nodes(codec_list_writer_t *list, slice_t amount, slice_t again)
{
    const saga_node_t nodes[] = {
        {.kind = PLAN_SEQUENCE},
        {.kind = PLAN_STEP,
         .parent = 1,
         .name = T("reserve"),
         .participant = T("stock"),
         .action = T("reserve"),
         .compensation = T("release")},
        {.kind = PLAN_PARALLEL, .parent = 1},
        {.kind = PLAN_STEP,
         .parent = 3,
         .name = T("invoice"),
         .participant = T("books"),
         .action = T("invoice"),
         .compensation = T("refund")},
        {.kind = PLAN_STEP,
         .parent = 3,
         .name = T("route"),
         .class = PLAN_READ,
         .participant = T("parcels"),
         .action = T("route")},
        {.kind = PLAN_CHOICE, .parent = 1},
        {.kind = PLAN_BRANCH, .parent = 6, .test = amount},
        {.kind = PLAN_AWAIT, .parent = 7, .name = T("approval")},
        {.kind = PLAN_BRANCH, .parent = 8, .source = PLAN_SIGNAL, .signal = T("approve")},
        {.kind = PLAN_BRANCH, .parent = 8, .source = PLAN_TIMEOUT, .sleep_ms = 86400000},
        {.kind = PLAN_END, .parent = 10, .outcome = T("rejected"), .undo = true},
        {.kind = PLAN_LOOP, .parent = 1, .test = again, .count_max = 3},
        {.kind = PLAN_SLEEP, .parent = 12, .sleep_ms = 90000},
        {.kind = PLAN_EACH,
         .parent = 1,
         .name = T("parcels"),
         .list = T("input.parcels"),
         .count_max = 100,
         .needed = 2,
         .width_max = 4},
        {.kind = PLAN_STEP,
         .parent = 14,
         .name = T("pack"),
         .participant = T("stock"),
         .action = T("pack"),
         .compensation = T("unpack")},
        {.kind = PLAN_STEP,
         .parent = 1,
         .name = T("charge"),
         .class = PLAN_PIVOT,
         .participant = T("bank"),
         .action = T("charge")},
        {.kind = PLAN_CHILD,
         .parent = 1,
         .name = T("ship"),
         .class = PLAN_RETRIABLE,
         .definition = T("shipping"),
         .version = 3},
    };
    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++) {
        codec_list_add(list, saga_node_wire(), &nodes[i]);
    }
}

void definition_kit_definition(buffer_t *out)
{
    buffer_t amount = {0};
    buffer_t again = {0};
    buffer_t nodes = {0};
    codec_list_writer_t list = codec_list_begin(&nodes);
    add_test(&amount, "input.amount", VALUE_GREATER, 100);
    add_test(&again, "input.again", VALUE_EQUAL, 0xc3);
    add_nodes(&list, buffer_slice(&amount), buffer_slice(&again));
    codec_list_end(&list);
    codec_encode(saga_definition_wire(),
                 &(saga_definition_t){.name = T("order"),
                                      .version = 2,
                                      .key = T("input.order"),
                                      .nodes = buffer_slice(&nodes)},
                 out);
    buffer_fini(&amount);
    buffer_fini(&again);
    buffer_fini(&nodes);
}

plan_t *definition_kit_plan(void)
{
    buffer_t record = {0};
    plan_t *plan = NULL;
    plan_fault_t fault = {.line = 0};
    definition_kit_definition(&record);
    capstan_err_t err = plan_read(buffer_slice(&record), &plan, &fault);
    cr_assert_eq(err, CAPSTAN_OK, "%s: %s", capstan_err_name(err), fault.text);
    buffer_fini(&record);
    return plan;
}
