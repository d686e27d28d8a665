/* Definitions that are read into plans: defaults, limits, the tree, and what its bytes must be. */
#include "tests/kit/plan_round_trip.h"
#include "tests/unit/saga/plan_kit.h"

#include <criterion/criterion.h>

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

static plan_fault_t fault;

static plan_t *read_plan(const kit_definition_t *definition)
{
    plan_t *plan = NULL;
    buffer_t record = {0};
    capstan_err_t err = plan_read(kit_record(definition, &record), &plan, &fault);
    cr_assert_eq(err, CAPSTAN_OK, "%s", fault.text);
    buffer_fini(&record); /* a plan has its own copy */
    return plan;
}

/* The tree of plan.h's comment, with every other kind behind it. */
static const kit_definition_t everything = {
    .whole = {.key = TEXT("input.order"),
              .lock = true,
              .deadline_ms = 7200000,
              .undo_order = PLAN_UNDO_PARALLEL,
              .undo_deadline_ms = 1000,
              .start_topic = TEXT("orders"),
              .schedule = TEXT("*/5 * * * *"),
              .running_max = 5,
              .starts_per_minute = 6,
              .priority = 9,
              .retention_ms = 7,
              .outcome = TEXT("good")},
    .nodes = {{.kind = PLAN_SEQUENCE, .line = 7},
              STEP(1, "reserve"),
              AWAIT(1, "decision"),
              ON_EVENT(3, "payments"),
              STEP(4, "charge"),
              ON_TIMEOUT(3),
              END_UNDO(6),
              PARALLEL(1),
              STEP_OF(8, "a", .compensation = TEXT("undo"), .input = BYTES("\xa8$reserve"),
                      .step_timeout_ms = 3, .attempt_timeout_ms = 2),
              CHILD(8, "b"),
              EACH(1, "all"),
              LOOP(11),
              SLEEP(12),
              PIVOT(1, "ship"),
              RETRIABLE(1, "tell")},
};

Test(plan, is_a_tree_whose_nodes_know_their_children_and_siblings)
{
    static const struct {
        uint32_t parent;
        uint32_t first;
        uint32_t next;
    } wanted[] = {
        {PLAN_NONE, 1, PLAN_NONE},
        {0, PLAN_NONE, 2},
        {0, 3, 7},
        {2, 4, 5},
        {3, PLAN_NONE, PLAN_NONE},
        {2, 6, PLAN_NONE},
        {5, PLAN_NONE, PLAN_NONE},
        {0, 8, 10},
        {7, PLAN_NONE, 9},
        {7, PLAN_NONE, PLAN_NONE},
        {0, 11, 13},
    };
    plan_t *plan = read_plan(&everything);
    cr_assert_eq(plan->count, 15);
    for (size_t i = 0; i < COUNT(wanted); i++) {
        cr_assert_eq(plan->nodes[i].parent, wanted[i].parent, "node %zu", i);
        cr_assert_eq(plan->nodes[i].first, wanted[i].first, "node %zu", i);
        cr_assert_eq(plan->nodes[i].next, wanted[i].next, "node %zu", i);
    }
    cr_assert_eq(plan->nodes[0].line, 7);
    plan_destroy(&plan);
    cr_assert_null(plan);
    plan_destroy(&plan);
}

Test(plan, says_what_its_definition_says)
{
    plan_t *plan = read_plan(&everything);
    cr_assert(slice_equal(plan->name, slice_text("order")));
    cr_assert_eq(plan->version, 1);
    cr_assert(slice_equal(plan->key, slice_text("input.order")));
    cr_assert(plan->lock);
    cr_assert_eq(plan->deadline_us, INT64_C(7200000000));
    cr_assert_eq(plan->undo_deadline_us, 1000000);
    cr_assert_eq(plan->undo_order, PLAN_UNDO_PARALLEL);
    cr_assert(slice_equal(plan->start_topic, slice_text("orders")));
    cr_assert(slice_equal(plan->schedule, slice_text("*/5 * * * *")));
    cr_assert_eq(plan->running_max, 5);
    cr_assert_eq(plan->starts_per_minute, 6);
    cr_assert_eq(plan->priority, 9);
    cr_assert_eq(plan->retention_us, 7000);
    cr_assert(slice_equal(plan->outcome, slice_text("good")));
    const plan_node_t *step = &plan->nodes[8];
    cr_assert_eq(step->kind, PLAN_STEP);
    cr_assert(slice_equal(step->name, slice_text("a")));
    cr_assert(slice_equal(step->participant, slice_text("stock")));
    cr_assert(slice_equal(step->action, slice_text("do")));
    cr_assert(slice_equal(step->compensation, slice_text("undo")));
    cr_assert(slice_equal(step->input, slice_text("\xa8$reserve")));
    cr_assert_eq(step->attempt_us, 2000);
    cr_assert_eq(step->step_us, 3000);
    cr_assert_eq(plan->nodes[3].source, PLAN_EVENT);
    cr_assert_eq(plan->nodes[5].sleep_us, 5000000);
    cr_assert(plan->nodes[6].undo);
    cr_assert_eq(plan->nodes[11].test.operator, VALUE_EXISTS);
    cr_assert(slice_equal(plan->nodes[11].test.path, slice_text("input.a")));
    cr_assert_eq(plan->nodes[13].class, PLAN_PIVOT);
    plan_destroy(&plan);
}

Test(plan, has_the_defaults_of_the_tables)
{
    const kit_definition_t definition = {
        .nodes = {SEQUENCE(0), STEP(1, "reserve"), EACH(1, "all"), SLEEP(3)}};
    plan_t *plan = read_plan(&definition);
    cr_assert_eq(plan->deadline_us, 0);
    cr_assert_eq(plan->undo_deadline_us, 0);
    cr_assert_eq(plan->undo_order, PLAN_UNDO_REVERSE);
    cr_assert_eq(plan->waiting_max, 10000);
    cr_assert_eq(plan->running_max, 0);
    cr_assert_eq(plan->starts_per_minute, 0);
    cr_assert_eq(plan->priority, 4);
    cr_assert_eq(plan->retention_us, 0);
    cr_assert_eq(plan->attributes, 0);
    cr_assert(slice_equal(plan->outcome, slice_text("completed")));
    cr_assert_eq(plan->undo_retry.attempts_max, 100);
    cr_assert_eq(plan->nodes[1].class, PLAN_COMPENSATABLE);
    cr_assert_eq(plan->nodes[1].attempt_us, 10000000);
    cr_assert_eq(plan->nodes[1].step_us, 0);
    cr_assert_eq(plan->nodes[1].retry.initial_us, 100000);
    cr_assert_eq(plan->nodes[1].retry.factor_percent, 200);
    cr_assert_eq(plan->nodes[1].retry.max_us, 60000000);
    cr_assert_eq(plan->nodes[1].retry.attempts_max, 10);
    cr_assert_eq(plan->nodes[1].retry.jitter_percent, 20);
    cr_assert_eq(plan->nodes[1].retry.final.size, 0);
    cr_assert_eq(plan->nodes[2].width_max, 16);
    cr_assert_eq(plan->nodes[2].needed, 0);
    plan_destroy(&plan);
}

Test(plan, survives_a_round_trip)
{
    buffer_t record = {0};
    cr_assert(plan_survives(kit_record(&everything, &record), &fault), "%s", fault.text);
    buffer_fini(&record);
}

/* --- bytes that are no definition ------------------------------------------------------------ */

Test(plan, is_not_read_from_any_beginning_of_a_record)
{
    buffer_t record = {0};
    slice_t whole = kit_record(&everything, &record);
    for (size_t size = 0; size < whole.size; size++) {
        plan_t *plan = NULL;
        fault.text[0] = '\0';
        cr_assert_neq(plan_read(slice_of(whole.data, size), &plan, &fault), CAPSTAN_OK);
        cr_assert_null(plan);
        cr_assert_neq(fault.text[0], '\0');
    }
    buffer_fini(&record);
}

static void refuse(const kit_definition_t *definition, capstan_err_t wanted, const char *text)
{
    plan_t *plan = NULL;
    buffer_t record = {0};
    capstan_err_t err = plan_read(kit_record(definition, &record), &plan, &fault);
    cr_assert_eq(err, wanted, "%s: %s", text, capstan_err_name(err));
    cr_assert_str_eq(fault.text, text);
    cr_assert_null(plan);
    buffer_fini(&record);
}

Test(plan, refuses_bytes_within_it_that_are_no_records)
{
    const kit_definition_t test = {.nodes = {SEQUENCE(0), CHOICE(1), BRANCH(2)}};
    kit_definition_t wrong = test;
    wrong.nodes[2].test = slice_text("\x80");
    refuse(&wrong, CAPSTAN_E_FIELD_MISSING,
           "branch (node 2): no record `saga_test`: field path: a required field is missing, at "
           "1");
    kit_definition_t retry = {.nodes = {SEQUENCE(0), STEP(1, "reserve")}};
    retry.nodes[1].retry = slice_text("\xc0");
    refuse(&retry, CAPSTAN_E_FIELD_TYPE,
           "step reserve: no record `saga_retry`: a field has the wrong type");
}

Test(plan, refuses_what_is_too_large)
{
    static uint8_t large[PLAN_BYTES_MAX + 1];
    plan_t *plan = NULL;
    cr_assert_eq(plan_read(slice_of(large, sizeof large), &plan, &fault), CAPSTAN_E_TOO_LARGE);
    cr_assert_str_eq(fault.text, "saga definition: 262145 bytes: a definition has at most 262144");

    buffer_t nodes = {0};
    buffer_t record = {0};
    const saga_node_t sleep = SLEEP(1);
    const saga_node_t root = SEQUENCE(0);
    codec_list_writer_t list = codec_list_begin(&nodes);
    codec_list_add(&list, saga_node_wire(), &root);
    for (size_t i = 0; i < PLAN_NODES_MAX; i++) {
        codec_list_add(&list, saga_node_wire(), &sleep);
    }
    codec_list_end(&list);
    const saga_definition_t whole = {
        .name = slice_text("order"), .version = 1, .nodes = buffer_slice(&nodes)};
    codec_encode(saga_definition_wire(), &whole, &record);
    cr_assert_eq(plan_read(buffer_slice(&record), &plan, &fault), CAPSTAN_E_SAGA_DEFINITION);
    cr_assert_str_eq(fault.text, "saga definition: 1001 nodes: a definition has 1 to 1000");
    buffer_fini(&nodes);
    buffer_fini(&record);
}

/* --- figures and places ---------------------------------------------------------------------- */

Test(plan, refuses_figures_out_of_their_range)
{
    static const struct {
        kit_definition_t definition;
        const char *text;
    } rows[] = {
        {{.nodes = {SEQUENCE(0), STEP_OF(1, "a", .class = 5)}},
         "step a: class is 5: make it 1 to 4"},
        {{.nodes = {SEQUENCE(0), {.kind = 12, .parent = 1}}},
         "node (node 1): there is no kind 12: make it 1 to 11"},
        {{.nodes = {SEQUENCE(0),
                    STEP_OF(1, "a", .class = PLAN_READ, .attempt_timeout_ms = 315360000001)}},
         "step a: attempt_timeout_ms is 315360000001: make it 1 to 315360000000"},
        {{.nodes = {SEQUENCE(0),
                    STEP_OF(1, "a", .class = PLAN_READ, .step_timeout_ms = UINT64_MAX)}},
         "step a: step_timeout_ms is 18446744073709551615: make it 1 to 315360000000"},
        {{.nodes = {SEQUENCE(0), {.kind = PLAN_SLEEP, .parent = 1, .sleep_ms = INT64_MAX}}},
         "sleep (node 1): sleep_ms is 9223372036854775807: make it 1 to 315360000000"},
        {{.nodes = {SEQUENCE(0),
                    {.kind = PLAN_LOOP, .parent = 1, .test = ON_INPUT, .count_max = 10001},
                    SLEEP(2)}},
         "loop (node 1): count_max is 10001: make it 1 to 10000"},
        {{.nodes = {SEQUENCE(0),
                    {.kind = PLAN_EACH,
                     .parent = 1,
                     .name = TEXT("e"),
                     .list = TEXT("input"),
                     .count_max = 1,
                     .width_max = 10001},
                    SLEEP(2)}},
         "each e: width_max is 10001: make it 1 to 10000"},
        {{.nodes = {SEQUENCE(0),
                    {.kind = PLAN_EACH,
                     .parent = 1,
                     .name = TEXT("e"),
                     .list = TEXT("input"),
                     .count_max = 1,
                     .needed = 10001},
                    SLEEP(2)}},
         "each e: needed is 10001: make it 1 to 10000"},
        {{.nodes = {SEQUENCE(0), AWAIT(1, "x"), {.kind = PLAN_BRANCH, .parent = 2, .source = 4}}},
         "branch (node 2): source is 4: make it 1 to 3"},
        {{.whole = {.version = UINT64_C(1) << 32}, .nodes = {SEQUENCE(0), SLEEP(1)}},
         "saga order: version is 4294967296: make it 1 to 4294967295"},
        {{.whole = {.deadline_ms = 315360000001}, .nodes = {SEQUENCE(0), SLEEP(1)}},
         "saga order: deadline_ms is 315360000001: make it 1 to 315360000000"},
        {{.whole = {.undo_order = 3}, .nodes = {SEQUENCE(0), SLEEP(1)}},
         "saga order: undo_order is 3: make it 1 to 2"},
        {{.whole = {.waiting_max = 1000001}, .nodes = {SEQUENCE(0), SLEEP(1)}},
         "saga order: waiting_max is 1000001: make it 1 to 1000000"},
        {{.whole = {.running_max = 1000001}, .nodes = {SEQUENCE(0), SLEEP(1)}},
         "saga order: running_max is 1000001: make it 1 to 1000000"},
        {{.whole = {.starts_per_minute = 1000001}, .nodes = {SEQUENCE(0), SLEEP(1)}},
         "saga order: starts_per_minute is 1000001: make it 1 to 1000000"},
        {{.whole = {.priority = 10}, .nodes = {SEQUENCE(0), SLEEP(1)}},
         "saga order: priority is 10: make it 1 to 9"},
        {{.whole = {.start_test = BYTES("\x82\x01\xa5"
                                        "event\x02\x09")},
          .nodes = {SEQUENCE(0), SLEEP(1)}},
         "saga order: test: there is no operator 9: make it 1 to 8"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        refuse(&rows[i].definition, CAPSTAN_E_SAGA_DEFINITION, rows[i].text);
    }
}

Test(plan, refuses_figures_of_retries_out_of_their_range)
{
    static const struct {
        saga_retry_t retry;
        const char *text;
    } rows[] = {
        {{.initial_ms = 315360000001},
         "step a: retry.initial_ms is 315360000001: make it 1 to 315360000000"},
        {{.factor_percent = 99}, "step a: retry.factor_percent is 99: make it 100 to 1000"},
        {{.factor_percent = 1001}, "step a: retry.factor_percent is 1001: make it 100 to 1000"},
        {{.initial_ms = 60001}, "step a: retry.max_ms is below retry.initial_ms: raise it"},
        {{.attempts_max = 1001}, "step a: retry.attempts_max is 1001: make it 1 to 1000"},
        {{.jitter_percent = 101}, "step a: retry.jitter_percent is 101: make it 1 to 100"},
        {{.final = BYTES("\x91\x81\x01\xa3"
                         "a b")},
         "step a: retry: `a b` is no error: name each by 1 to 64 letters, digits and . _ -"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        buffer_t retry = {0};
        kit_definition_t definition = {.nodes = {SEQUENCE(0), STEP(1, "a")}};
        codec_encode(saga_retry_wire(), &rows[i].retry, &retry);
        definition.nodes[1].retry = buffer_slice(&retry);
        refuse(&definition, CAPSTAN_E_SAGA_DEFINITION, rows[i].text);
        buffer_fini(&retry);
    }
}

Test(plan, refuses_nodes_that_are_out_of_place)
{
    static const struct {
        kit_definition_t definition;
        const char *text;
    } rows[] = {
        {{.nodes = {PARALLEL(0), SLEEP(1)}},
         "parallel (node 0): the first node is a sequence without a parent"},
        {{.nodes = {SEQUENCE(1), SLEEP(1)}},
         "sequence (node 0): the first node is a sequence without a parent"},
        {{.nodes = {SEQUENCE(0), SLEEP(0)}},
         "sleep (node 1): parent 0 is wrong: it is the index plus 1 of the node before this one, "
         "or of one that contains that"},
        {{.nodes = {SEQUENCE(0), SLEEP(3)}},
         "sleep (node 1): parent 3 is wrong: it is the index plus 1 of the node before this one, "
         "or of one that contains that"},
        {{.nodes = {SEQUENCE(0), SEQUENCE(1), SLEEP(2), SEQUENCE(1), SLEEP(2)}},
         "sleep (node 4): parent 2 is wrong: it is the index plus 1 of the node before this one, "
         "or of one that contains that"},
        {{.nodes = {SEQUENCE(0), SEQUENCE(1), SEQUENCE(2), SEQUENCE(3), SEQUENCE(4), SEQUENCE(5),
                    SEQUENCE(6), SEQUENCE(7), SEQUENCE(8), SEQUENCE(9), SEQUENCE(10), SEQUENCE(11),
                    SLEEP(12)}},
         "sleep (node 12): deeper than 12: make a child of it"},
        {{.nodes = {SEQUENCE(0), PARALLEL(1)}},
         "parallel (node 1): is empty: put steps in it, or leave it out"},
        {{.nodes = {SEQUENCE(0)}}, "sequence (node 0): is empty: put steps in it, or leave it out"},
        {{.nodes = {SEQUENCE(0), CHOICE(1)}},
         "choice (node 1): is empty: put branches in it, or leave it out"},
        {{.nodes = {SEQUENCE(0), AWAIT(1, "x")}},
         "await x: is empty: put branches in it, or leave it out"},
        {{.nodes = {SEQUENCE(0), SLEEP(1), SLEEP(2)}},
         "sleep (node 2): is in a node of kind sleep, which has nothing in it: move it out"},
        {{.nodes = {SEQUENCE(0), CHOICE(1), SLEEP(2)}},
         "sleep (node 2): is in a node of kind choice: choice and await have branches and nothing "
         "else, and no other kind has them"},
        {{.nodes = {SEQUENCE(0), BRANCH(1)}},
         "branch (node 1): is in a node of kind sequence: choice and await have branches and "
         "nothing else, and no other kind has them"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        refuse(&rows[i].definition, CAPSTAN_E_SAGA_DEFINITION, rows[i].text);
    }
}
