/* What a definition is refused for, one row for each reason, and what looks alike and is not. */
#include "tests/kit/plan_round_trip.h"
#include "tests/unit/saga/plan_kit.h"

#include <criterion/criterion.h>

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

typedef struct row {
    kit_definition_t definition;
    const char *text; /* NULL: it is accepted */
} row_t;

static void try_row(const row_t *row)
{
    plan_t *plan = NULL;
    plan_fault_t fault = {0};
    buffer_t record = {0};
    slice_t bytes = kit_record(&row->definition, &record);
    capstan_err_t err = plan_read(bytes, &plan, &fault);
    if (row->text) {
        cr_assert_eq(err, CAPSTAN_E_SAGA_DEFINITION, "%s", row->text);
        cr_assert_str_eq(fault.text, row->text);
    } else {
        cr_assert_eq(err, CAPSTAN_OK, "%s", fault.text);
        plan_destroy(&plan);
        cr_assert(plan_survives(bytes, &fault), "%s", fault.text);
    }
    buffer_fini(&record);
}

#define TRY_ALL(rows)                                                                              \
    for (size_t i = 0; i < COUNT(rows); i++) {                                                     \
        try_row(&(rows)[i]);                                                                       \
    }

/* Record `saga_test`: event.a exists; `other`, of a name that is given. */
#define ON_EVENT_A                                                                                 \
    BYTES("\x82\x01\xa7"                                                                           \
          "event.a\x02\x07")
#define ON_RESERVE                                                                                 \
    BYTES("\x82\x01\xa9"                                                                           \
          "reserve.a\x02\x07")
#define WITH_INPUT(parent_, name_, input_)                                                         \
    STEP_OF(parent_, name_, .class = PLAN_READ, .input = input_)

Test(plan_check, wants_fields_of_their_kind_only)
{
    static const row_t rows[] = {
        {{.nodes = {SEQUENCE(0), {.kind = PLAN_SLEEP, .parent = 1}}},
         "sleep (node 1): sleep_ms is missing: every node of kind sleep has one"},
        {{.nodes = {SEQUENCE(0), {.kind = PLAN_STEP, .parent = 1, .name = TEXT("a")}}},
         "step a: participant is missing: every node of kind step has one"},
        {{.nodes = {SEQUENCE(0), {.kind = PLAN_AWAIT, .parent = 1}}},
         "await (node 1): name is missing: every node of kind await has one"},
        {{.nodes = {SEQUENCE(0), {.kind = PLAN_CHILD, .parent = 1, .name = TEXT("a")}}},
         "child a: definition is missing: every node of kind child has one"},
        {{.nodes = {SEQUENCE(0), {.kind = PLAN_END, .parent = 1}}},
         "end (node 1): outcome is missing: every node of kind end has one"},
        {{.nodes = {SEQUENCE(0), {.kind = PLAN_LOOP, .parent = 1, .test = ON_INPUT}, SLEEP(2)}},
         "loop (node 1): count_max is missing: every node of kind loop has one"},
        {{.nodes = {SEQUENCE(0), {.kind = PLAN_LOOP, .parent = 1, .count_max = 1}, SLEEP(2)}},
         "loop (node 1): test is missing: every node of kind loop has one"},
        {{.nodes = {SEQUENCE(0),
                    {.kind = PLAN_EACH, .parent = 1, .name = TEXT("a"), .list = TEXT("input")},
                    SLEEP(2)}},
         "each a: count_max is missing: every node of kind each has one"},
        {{.nodes = {SEQUENCE(0), STEP_OF(1, "a", .class = PLAN_READ, .sleep_ms = 1)}},
         "step a: sleep_ms is not of a node of kind step: leave it out"},
        {{.nodes = {SEQUENCE(0), {.kind = PLAN_SEQUENCE, .parent = 1, .name = TEXT("a")}}},
         "sequence a: name is not of a node of kind sequence: leave it out"},
        {{.nodes = {SEQUENCE(0), {.kind = PLAN_SLEEP, .parent = 1, .sleep_ms = 1, .undo = true}}},
         "sleep (node 1): undo is not of a node of kind sleep: leave it out"},
        {{.nodes = {SEQUENCE(0), CHILD(1, "a"), SLEEP(1), END_NODE(1)}}, NULL},
    };
    TRY_ALL(rows)
}

Test(plan_check, wants_names_and_each_once)
{
    static const row_t rows[] = {
        {{.nodes = {SEQUENCE(0), READ(1, "a"), AWAIT(1, "a"), ON_SIGNAL(3, "s")}},
         "await a: node 1 has the same name: rename one of them"},
        {{.nodes = {SEQUENCE(0), READ(1, "a.b")}},
         "step a.b: that is no name: take 1 to 64 letters, digits and _ -"},
        {{.nodes = {SEQUENCE(0), READ(1, "input")}},
         "step input: input, item, event and saga name other things: rename it"},
        {{.nodes = {SEQUENCE(0), READ(1, "item")}},
         "step item: input, item, event and saga name other things: rename it"},
        {{.nodes = {SEQUENCE(0), STEP_OF(1, "a", .compensation = TEXT("un do"))}},
         "step a: compensation `un do` is no name: take 1 to 64 letters, digits and . _ -"},
        {{.nodes = {SEQUENCE(0), AWAIT(1, "a"), ON_SIGNAL(2, "s/t")}},
         "branch (node 2): signal `s/t` is no name: take 1 to 64 letters, digits and . _ -"},
        {{.whole = {.name = TEXT("a b")}, .nodes = {SEQUENCE(0), SLEEP(1)}},
         "saga a b: that is no name: take 1 to 64 letters, digits and . _ -"},
        {{.whole = {.outcome = TEXT("a b")}, .nodes = {SEQUENCE(0), SLEEP(1)}},
         "saga order: outcome `a b` is no name: take 1 to 64 letters, digits and . _ -"},
        {{.whole = {.start_topic = TEXT("a b")}, .nodes = {SEQUENCE(0), SLEEP(1)}},
         "saga order: start_topic `a b` is no name: take 1 to 128 letters, digits and . _ -"},
        {{.whole = {.name = TEXT("a.b")}, .nodes = {SEQUENCE(0), READ(1, "a_-1")}}, NULL},
    };
    TRY_ALL(rows)
}

Test(plan_check, wants_what_undoes_a_step_where_it_may_be_undone)
{
    static const row_t rows[] = {
        {{.nodes = {SEQUENCE(0), STEP_OF(1, "a", .class = PLAN_COMPENSATABLE)}},
         "step a: has no compensation: name the action that undoes it, or say by its class that it "
         "is a pivot, retriable or read"},
        {{.nodes = {SEQUENCE(0), STEP_OF(1, "a", .class = PLAN_READ, .compensation = TEXT("u"))}},
         "step a: is never compensated: leave the compensation out, or make its class "
         "compensatable"},
        {{.nodes = {SEQUENCE(0),
                    {.kind = PLAN_CHILD, .parent = 1, .name = TEXT("a"), .definition = TEXT("d")}}},
         "child a: has no compensation: name the action that undoes it, or say by its class that "
         "it is a pivot, retriable or read"},
        {{.nodes = {SEQUENCE(0),
                    {.kind = PLAN_CHILD,
                     .parent = 1,
                     .name = TEXT("a"),
                     .definition = TEXT("d"),
                     .compensation = TEXT("u")}}},
         "child a: participant and compensation belong together: give both or none"},
        {{.nodes = {SEQUENCE(0),
                    {.kind = PLAN_CHILD,
                     .parent = 1,
                     .name = TEXT("a"),
                     .definition = TEXT("d"),
                     .participant = TEXT("p"),
                     .compensation = TEXT("u")}}},
         NULL},
    };
    TRY_ALL(rows)
}

/* --- ways ------------------------------------------------------------------------------------ */

Test(plan_check, lets_nothing_be_undone_behind_the_pivot)
{
    static const row_t rows[] = {
        {{.nodes = {SEQUENCE(0), PIVOT(1, "p"), STEP(1, "a")}},
         "step a: compensatable, but behind the pivot p nothing is undone: make it retriable, or "
         "move it before"},
        {{.nodes = {SEQUENCE(0), CHOICE(1), BRANCH_IF(2), PIVOT(3, "p"), STEP(1, "a")}},
         "step a: compensatable, but behind the pivot p nothing is undone: make it retriable, or "
         "move it before"},
        {{.nodes = {SEQUENCE(0), PIVOT(1, "p"), PARALLEL(1), SLEEP(3), STEP(3, "a")}},
         "step a: compensatable, but behind the pivot p nothing is undone: make it retriable, or "
         "move it before"},
        {{.nodes = {SEQUENCE(0), PIVOT(1, "p"), PIVOT(1, "q")}},
         "step q: a second pivot behind p: make it retriable"},
        {{.nodes = {SEQUENCE(0), CHOICE(1), BRANCH_IF(2), PIVOT(3, "p"), PIVOT(1, "q")}},
         "step q: a second pivot behind p: make it retriable"},
        {{.nodes = {SEQUENCE(0), PIVOT(1, "p"), END_UNDO(1)}},
         "end (node 2): behind p nothing is undone: end without undo"},
        {{.nodes = {SEQUENCE(0), STEP(1, "a"), PIVOT(1, "p"), READ(1, "b"), RETRIABLE(1, "c"),
                    END_NODE(1)}},
         NULL},
        /* One on each way. */
        {{.nodes = {SEQUENCE(0), CHOICE(1), BRANCH_IF(2), PIVOT(3, "p"), BRANCH(2), STEP(5, "a"),
                    PIVOT(5, "q"), RETRIABLE(1, "b")}},
         NULL},
        /* A way that ends does not come to what is behind. */
        {{.nodes = {SEQUENCE(0), CHOICE(1), BRANCH_IF(2), PIVOT(3, "p"), END_NODE(3), STEP(1, "a"),
                    PIVOT(1, "q")}},
         NULL},
    };
    TRY_ALL(rows)
}

Test(plan_check, lets_no_pivot_be_done_at_once_or_again)
{
    static const row_t rows[] = {
        {{.nodes = {SEQUENCE(0), PARALLEL(1), PIVOT(2, "p")}},
         "step p: a pivot within a node of kind parallel: move it out, since of one that is done "
         "at once with others, or again, nobody knows what is behind it"},
        {{.nodes = {SEQUENCE(0), EACH(1, "e"), SEQUENCE(2), PIVOT(3, "p")}},
         "step p: a pivot within a node of kind each: move it out, since of one that is done at "
         "once with others, or again, nobody knows what is behind it"},
        {{.nodes = {SEQUENCE(0), LOOP(1), PIVOT(2, "p")}},
         "step p: a pivot within a node of kind loop: move it out, since of one that is done at "
         "once with others, or again, nobody knows what is behind it"},
        {{.nodes = {SEQUENCE(0), SEQUENCE(1), PIVOT(2, "p")}}, NULL},
    };
    TRY_ALL(rows)
}

Test(plan_check, lets_retriable_steps_stand_where_nothing_can_fail_behind_them)
{
    static const row_t rows[] = {
        {{.nodes = {SEQUENCE(0), RETRIABLE(1, "r"), PIVOT(1, "p")}},
         "step r: retriable, and before the pivot p: make it compensatable, or move it behind"},
        {{.nodes = {SEQUENCE(0), RETRIABLE(1, "r"), STEP(1, "a")}},
         "step a: compensatable, but behind the retriable r nothing is undone: make it retriable, "
         "or move it before"},
        {{.nodes = {SEQUENCE(0), PARALLEL(1), STEP(2, "a"), RETRIABLE(2, "r")}},
         "step a: compensatable, but behind the retriable r nothing is undone: make it retriable, "
         "or move it before"},
        {{.nodes = {SEQUENCE(0), LOOP(1), STEP(2, "a"), RETRIABLE(2, "r")}},
         "step a: compensatable, but behind the retriable r nothing is undone: make it retriable, "
         "or move it before"},
        {{.nodes = {SEQUENCE(0), EACH(1, "e"), STEP(2, "a"), RETRIABLE(2, "r")}},
         "step a: compensatable, but behind the retriable r nothing is undone: make it retriable, "
         "or move it before"},
        {{.nodes = {SEQUENCE(0), STEP(1, "a"), PARALLEL(1), RETRIABLE(3, "r"), RETRIABLE(3, "s"),
                    RETRIABLE(1, "t")}},
         NULL},
        /* What stands behind the parallel is not within it. */
        {{.nodes = {SEQUENCE(0), PARALLEL(1), STEP(2, "a"), SLEEP(2), RETRIABLE(1, "r")}}, NULL},
    };
    TRY_ALL(rows)
}

Test(plan_check, lets_ends_stand_last_and_alone)
{
    static const row_t rows[] = {
        {{.nodes = {SEQUENCE(0), PARALLEL(1), END_NODE(2)}},
         "end (node 2): an end within a node of kind parallel, where others are at work: move it "
         "out"},
        {{.nodes = {SEQUENCE(0), EACH(1, "e"), END_NODE(2)}},
         "end (node 2): an end within a node of kind each, where others are at work: move it out"},
        {{.nodes = {SEQUENCE(0), END_NODE(1), SLEEP(1)}},
         "sleep (node 2): stands behind an end, and is never come to: leave it out"},
        {{.nodes = {SEQUENCE(0), CHOICE(1), BRANCH_IF(2), END_NODE(3), BRANCH(2), END_NODE(5),
                    SLEEP(1)}},
         "sleep (node 6): stands behind an end, and is never come to: leave it out"},
        {{.nodes = {SEQUENCE(0), AWAIT(1, "x"), ON_SIGNAL(2, "s"), END_NODE(3), SLEEP(1)}},
         "sleep (node 4): stands behind an end, and is never come to: leave it out"},
        {{.nodes = {SEQUENCE(0), CHOICE(1), BRANCH_IF(2), END_NODE(3), SLEEP(1)}}, NULL},
        {{.nodes = {SEQUENCE(0), LOOP(1), END_NODE(2), SLEEP(1)}}, NULL},
        {{.nodes = {SEQUENCE(0), AWAIT(1, "x"), ON_SIGNAL(2, "s"), END_NODE(3), ON_TIMEOUT(2),
                    SLEEP(1)}},
         NULL},
    };
    TRY_ALL(rows)
}

/* --- branches, bounds and the whole ---------------------------------------------------------- */

Test(plan_check, wants_branches_that_can_be_taken)
{
    static const row_t rows[] = {
        {{.nodes = {SEQUENCE(0), CHOICE(1), BRANCH(2), BRANCH_IF(2)}},
         "branch (node 2): without a test it is always taken: put it last"},
        {{.nodes = {SEQUENCE(0), CHOICE(1), ON_SIGNAL(2, "s")}},
         "branch (node 2): a branch of a choice has a test: give no more"},
        {{.nodes = {SEQUENCE(0), AWAIT(1, "x"), BRANCH(2)}},
         "branch (node 2): source is missing: an await waits for 1 an event, 2 a signal, 3 a "
         "timeout"},
        {{.nodes = {SEQUENCE(0), AWAIT(1, "x"), ON_TIMEOUT(2), ON_TIMEOUT(2)}},
         "branch (node 3): a second timeout: an await has one at most"},
        {{.nodes = {SEQUENCE(0), AWAIT(1, "x"), ON_SIGNAL(2, "s"), ON_SIGNAL(2, "s")}},
         "branch (node 3): signal `s` is awaited twice: leave one out"},
        {{.nodes = {SEQUENCE(0), AWAIT(1, "x"), ON_EVENT(2, "t")}},
         "branch (node 2): an event is known by the saga's key, and it has none: give it a key, or "
         "let an event start it"},
        {{.whole = {.key = TEXT("input.k")},
          .nodes = {SEQUENCE(0),
                    AWAIT(1, "x"),
                    {.kind = PLAN_BRANCH, .parent = 2, .source = PLAN_EVENT}}},
         "branch (node 2): an event has a topic, and may have a test: give no more"},
        {{.nodes = {SEQUENCE(0),
                    AWAIT(1, "x"),
                    {.kind = PLAN_BRANCH,
                     .parent = 2,
                     .source = PLAN_SIGNAL,
                     .signal = TEXT("s"),
                     .test = ON_EVENT_A}}},
         "branch (node 2): a signal has its name: give no more"},
        {{.nodes = {SEQUENCE(0),
                    AWAIT(1, "x"),
                    {.kind = PLAN_BRANCH, .parent = 2, .source = PLAN_TIMEOUT}}},
         "branch (node 2): a timeout has sleep_ms: give no more"},
        {{.whole = {.start_topic = TEXT("t")},
          .nodes = {SEQUENCE(0), AWAIT(1, "x"), ON_EVENT(2, "t"), ON_EVENT(2, "t")}},
         NULL},
    };
    TRY_ALL(rows)
}

Test(plan_check, bounds_what_repeats)
{
    static const row_t rows[] = {
        {{.nodes = {SEQUENCE(0), EACH(1, "e"), EACH(2, "f"), LOOP(3), LOOP(4), SLEEP(5)}},
         "loop (node 4): with what it is in it repeats more than 100000 times: lower a bound, or "
         "make a child of it"},
        {{.nodes = {SEQUENCE(0),
                    {.kind = PLAN_EACH,
                     .parent = 1,
                     .name = TEXT("e"),
                     .list = TEXT("input"),
                     .count_max = 2,
                     .needed = 3},
                    SLEEP(2)}},
         "each e: needs more items than it has at most: lower needed"},
        {{.nodes = {SEQUENCE(0), EACH(1, "e"), EACH(2, "f"), LOOP(3), SLEEP(4)}}, NULL},
    };
    TRY_ALL(rows)
}

Test(plan_check, wants_a_key_for_a_lock_and_a_start_that_comes)
{
    static const row_t rows[] = {
        {{.whole = {.lock = true}, .nodes = {SEQUENCE(0), SLEEP(1)}},
         "saga order: locks its key and has none: give it a key, or let an event start it, or "
         "leave "
         "the lock out"},
        {{.whole = {.start_test = ON_EVENT_A}, .nodes = {SEQUENCE(0), SLEEP(1)}},
         "saga order: start_test is for events, and there is no start_topic: name it, or leave the "
         "test out"},
        {{.whole = {.schedule = TEXT("0 0 30 2 *")}, .nodes = {SEQUENCE(0), SLEEP(1)}},
         "saga order: schedule `0 0 30 2 *` is none: write minute hour day month weekday, for "
         "example `*/5 * * * *`"},
        {{.whole = {.lock = true, .start_topic = TEXT("t"), .start_test = ON_EVENT_A},
          .nodes = {SEQUENCE(0), SLEEP(1)}},
         NULL},
    };
    TRY_ALL(rows)
}

static void try_attributes(const saga_attribute_t *attributes, size_t count, const char *text)
{
    buffer_t list_bytes = {0};
    codec_list_writer_t list = codec_list_begin(&list_bytes);
    for (size_t i = 0; i < count; i++) {
        codec_list_add(&list, saga_attribute_wire(), &attributes[i]);
    }
    codec_list_end(&list);
    const row_t row = {
        {.whole = {.attributes = buffer_slice(&list_bytes)}, .nodes = {SEQUENCE(0), SLEEP(1)}},
        text};
    try_row(&row);
    buffer_fini(&list_bytes);
}

Test(plan_check, wants_attributes_with_names_and_paths_of_the_input)
{
    const saga_attribute_t good = {.name = TEXT("customer"), .path = TEXT("input.customer")};
    const saga_attribute_t twice[] = {good, good};
    const saga_attribute_t unnamed = {.name = TEXT("a b"), .path = TEXT("input")};
    const saga_attribute_t elsewhere = {.name = TEXT("a"), .path = TEXT("reserve.a")};
    saga_attribute_t many[PLAN_ATTRIBUTES_MAX + 1];
    char names[PLAN_ATTRIBUTES_MAX + 1];
    for (size_t i = 0; i < COUNT(many); i++) {
        names[i] = (char)('a' + i);
        many[i] = (saga_attribute_t){.name = slice_of(&names[i], 1), .path = good.path};
    }
    try_attributes(many, PLAN_ATTRIBUTES_MAX, NULL);
    try_attributes(many, COUNT(many), "saga order: more than 8 attributes: leave some out");
    try_attributes(twice, 2, "saga order: attribute `customer` is there twice: rename one");
    try_attributes(
        &unnamed, 1,
        "saga order: attribute `a b` is no name: take 1 to 64 letters, digits and . _ -");
    try_attributes(&elsewhere, 1,
                   "saga order: attribute: `reserve.a`: reserve is not known here: take input");
}

/* --- paths ----------------------------------------------------------------------------------- */

#define UNKNOWN_RESERVE                                                                            \
    "`reserve.a`: reserve is not known here: take input or the name of a node that ends before"
#define SEES_RESERVE(parent_) WITH_INPUT(parent_, "b", BYTES("\xaa$reserve.a"))

Test(plan_check, knows_the_results_of_what_ended_before)
{
    static const row_t rows[] = {
        {{.nodes = {SEQUENCE(0), READ(1, "reserve"), SEES_RESERVE(1)}}, NULL},
        {{.nodes = {SEQUENCE(0), SEES_RESERVE(1), READ(1, "reserve")}},
         "step b: input: " UNKNOWN_RESERVE},
        {{.nodes = {SEQUENCE(0), WITH_INPUT(1, "reserve", BYTES("\xaa$reserve.a"))}},
         "step reserve: input: " UNKNOWN_RESERVE},
        {{.nodes = {SEQUENCE(0), PARALLEL(1), READ(2, "reserve"), SEES_RESERVE(2)}},
         "step b: input: " UNKNOWN_RESERVE},
        {{.nodes = {SEQUENCE(0), PARALLEL(1), READ(2, "reserve"), SEES_RESERVE(1)}}, NULL},
        {{.nodes = {SEQUENCE(0), PARALLEL(1), SEQUENCE(2), READ(3, "reserve"), SEES_RESERVE(3)}},
         NULL},
        {{.nodes = {SEQUENCE(0), CHOICE(1), BRANCH_IF(2), READ(3, "reserve"), BRANCH(2),
                    SEES_RESERVE(5)}},
         "step b: input: " UNKNOWN_RESERVE},
        {{.nodes = {SEQUENCE(0), CHOICE(1), BRANCH_IF(2), READ(3, "reserve"), SEES_RESERVE(1)}},
         NULL},
        {{.nodes = {SEQUENCE(0), EACH(1, "e"), READ(2, "reserve"), SEES_RESERVE(2)}}, NULL},
        {{.nodes = {SEQUENCE(0), EACH(1, "e"), READ(2, "reserve"), SEES_RESERVE(1)}},
         "step b: input: " UNKNOWN_RESERVE},
        {{.nodes = {SEQUENCE(0), EACH(1, "reserve"), SEES_RESERVE(2)}},
         "step b: input: " UNKNOWN_RESERVE},
        {{.nodes = {SEQUENCE(0), EACH(1, "reserve"), SLEEP(2), SEES_RESERVE(1)}}, NULL},
        {{.nodes = {SEQUENCE(0), AWAIT(1, "reserve"), ON_SIGNAL(2, "s"), SEES_RESERVE(3)}}, NULL},
        {{.nodes = {SEQUENCE(0), READ(1, "other"), SEES_RESERVE(1)}},
         "step b: input: " UNKNOWN_RESERVE},
    };
    TRY_ALL(rows)
}

Test(plan_check, knows_in_a_test_what_may_be_there_by_then)
{
    static const row_t rows[] = {
        {{.nodes = {SEQUENCE(0),
                    {.kind = PLAN_LOOP, .parent = 1, .test = ON_RESERVE, .count_max = 2},
                    READ(2, "reserve")}},
         NULL},
        {{.nodes = {SEQUENCE(0),
                    {.kind = PLAN_LOOP, .parent = 1, .test = ON_RESERVE, .count_max = 2},
                    EACH(2, "e"),
                    READ(3, "reserve")}},
         "loop (node 1): test: " UNKNOWN_RESERVE},
        {{.nodes = {SEQUENCE(0),
                    CHOICE(1),
                    {.kind = PLAN_BRANCH, .parent = 2, .test = ON_RESERVE},
                    READ(3, "reserve")}},
         "branch (node 2): test: " UNKNOWN_RESERVE},
        {{.whole = {.key = TEXT("input.k")},
          .nodes = {SEQUENCE(0),
                    AWAIT(1, "x"),
                    {.kind = PLAN_BRANCH,
                     .parent = 2,
                     .source = PLAN_EVENT,
                     .topic = TEXT("t"),
                     .test = ON_EVENT_A}}},
         NULL},
        {{.whole = {.key = TEXT("input.k")},
          .nodes = {SEQUENCE(0),
                    AWAIT(1, "reserve"),
                    {.kind = PLAN_BRANCH,
                     .parent = 2,
                     .source = PLAN_EVENT,
                     .topic = TEXT("t"),
                     .test = ON_RESERVE}}},
         "branch (node 2): test: " UNKNOWN_RESERVE},
        {{.nodes = {SEQUENCE(0),
                    CHOICE(1),
                    {.kind = PLAN_BRANCH, .parent = 2, .test = ON_EVENT_A}}},
         "branch (node 2): test: `event.a`: event is not known here: take input or the name of a "
         "node that ends before"},
        {{.whole = {.start_topic = TEXT("t"), .start_test = ON_INPUT},
          .nodes = {SEQUENCE(0), SLEEP(1)}},
         "saga order: start_test: `input.a`: input is not known here: take event"},
        {{.whole = {.key = TEXT("event.k")}, .nodes = {SEQUENCE(0), SLEEP(1)}},
         "saga order: key: `event.k`: event is not known here: take input"},
    };
    TRY_ALL(rows)
}

Test(plan_check, knows_the_item_within_an_each_only)
{
#define SEES_ITEM(parent_) WITH_INPUT(parent_, "b", BYTES("\xa5$item"))
    static const row_t rows[] = {
        {{.nodes = {SEQUENCE(0), EACH(1, "e"), SEQUENCE(2), SEES_ITEM(3)}}, NULL},
        {{.nodes = {SEQUENCE(0), EACH(1, "e"), SLEEP(2), SEES_ITEM(1)}},
         "step b: input: `item`: item is not known here: take input or the name of a node that "
         "ends before"},
        {{.nodes = {SEQUENCE(0),
                    {.kind = PLAN_EACH,
                     .parent = 1,
                     .name = TEXT("e"),
                     .list = TEXT("item"),
                     .count_max = 1},
                    SLEEP(2)}},
         "each e: list: `item`: item is not known here: take input or the name of a node that ends "
         "before"},
    };
    TRY_ALL(rows)
}

Test(plan_check, wants_paths_inputs_and_operands_that_are_some)
{
#define TEST_ON(operator_and_operand)                                                              \
    {                                                                                              \
        SEQUENCE(0), CHOICE(1),                                                                    \
        {                                                                                          \
            .kind = PLAN_BRANCH, .parent = 2,                                                      \
            .test = BYTES("\x83\x01\xa5"                                                           \
                          "input" operator_and_operand)                                            \
        }                                                                                          \
    }
    static const row_t rows[] = {
        {{.nodes = {SEQUENCE(0), WITH_INPUT(1, "b", BYTES("\xa9$input..a"))}},
         "step b: input: `input..a` is no path: write words with dots between, for example "
         "input.amount"},
        {{.nodes = {SEQUENCE(0), WITH_INPUT(1, "b", BYTES("\x91"))}},
         "step b: input is no msgpack value: malformed message"},
        {{.nodes = {SEQUENCE(0),
                    {.kind = PLAN_CHILD,
                     .parent = 1,
                     .name = TEXT("b"),
                     .definition = TEXT("d"),
                     .class = PLAN_READ,
                     .input = BYTES("\x90")}}},
         "child b: a child's input is a map, or a path that leads to one"},
        {{.nodes = TEST_ON("\x02\x01\x03\xc4\x01\x90")},
         "branch (node 2): test: compare with a number, a text, a boolean or nil"},
        {{.nodes = TEST_ON("\x02\x01\x03\xc4\x00")},
         "branch (node 2): test: compare with a number, a text, a boolean or nil"},
        {{.nodes = TEST_ON("\x02\x03\x03\xc4\x01\xc3")},
         "branch (node 2): test: booleans and nil are neither less nor greater: ask whether they "
         "are equal"},
        {{.nodes = TEST_ON("\x02\x07\x03\xc4\x01\xc3")},
         "branch (node 2): test: exists compares with nothing: leave the operand out"},
        {{.nodes = TEST_ON("\x02\x02\x03\xc4\x01\xc3")}, NULL},
        {{.nodes = TEST_ON("\x02\x06\x03\xc4\x01\xff")}, NULL},
    };
    TRY_ALL(rows)
}
