/* Records of definitions, as whoever may define sagas sends them. What is accepted can be written
 * again and says the same, and its tests, inputs and lists can be used on a document. */
#include "tests/kit/plan_round_trip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t input[] = "\x83\xa1"
                               "a\x01\xa4"
                               "list\x92\x01\xa1x\xa1k\x81\xa1"
                               "b\xcb\0\0\0\0\0\0\0\0";

/* Every name leads somewhere. */
static bool find(const void *context, slice_t word, slice_t *ret_document)
{
    (void)context;
    (void)word;
    *ret_document = slice_of(input, sizeof input - 1);
    return true;
}

static void use_node(const plan_node_t *node)
{
    const value_scope_t scope = {.document = find};
    buffer_t out = {0};
    slice_t path = {0};
    slice_t list = {0};
    (void)value_test(&node->test, &scope);
    if (node->input.size > 0) {
        capstan_err_t err = value_fill(node->input, &scope, &out, &path);
        ENSURE(err ? out.size == 0 : value_check(buffer_slice(&out)) == CAPSTAN_OK);
    }
    if (node->list.size > 0 && value_find(&scope, node->list, &list)) {
        size_t position = 0;
        uint64_t count = 0;
        while (value_element(list, &position, &path)) {
            count++;
        }
        ENSURE(count == value_count(list));
    }
    buffer_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    plan_t *plan = NULL;
    plan_fault_t fault = {0};
    if (plan_read(slice_of(data, size), &plan, &fault)) {
        ENSURE(!plan && fault.text[0] && strlen(fault.text) < sizeof fault.text);
        return 0;
    }
    for (uint32_t i = 0; i < plan->count; i++) {
        use_node(&plan->nodes[i]);
    }
    ENSURE(plan->schedule.size == 0 || schedule_next(plan->schedule, 0) < INT64_MAX);
    bool survives = plan_survives(slice_of(data, size), &fault);
    ENSURE(survives);
    plan_destroy(&plan);
    return 0;
}
