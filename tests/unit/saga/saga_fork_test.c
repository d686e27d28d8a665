/* Forks: what a saga takes over from the one that it was forked from, and what is its own. */
#include "tests/unit/saga/saga_kit.h"

static void finish(bench_t *fork, bench_t *from)
{
    fork->plan = NULL; /* that of the other */
    end(fork);
    end(from);
}

static void do_all(bench_t *self, uint64_t first, uint64_t last)
{
    for (uint64_t task = first; task <= last; task++) {
        cr_assert_eq(answer(self, task, PHASE_ACT, SAGA_INPUT_done), CAPSTAN_OK);
    }
}

static void signal(bench_t *self, const char *name)
{
    static const uint8_t value[] = {0x81, 0xa1, 'v', 7};
    cr_assert_eq(hear(self, (saga_input_t){.kind = SAGA_INPUT_signal,
                                           .error = slice_text(name),
                                           .value = slice_of(value, sizeof value)}),
                 CAPSTAN_OK);
}

static void expect_none(const bench_t *from, uint64_t task, const plan_t *plan,
                        capstan_err_t wanted)
{
    buffer_t taken = {0};
    cr_assert_eq(saga_taken_before(from->saga, task, plan, &taken), wanted);
    buffer_fini(&taken);
}

Test(saga_fork, begins_at_a_task_with_the_results_of_those_before_it)
{
    static const uint8_t result[] = {0x81, 0xa1, 'n', 5};
    bench_t first;
    bench_t fork;
    slice_t value;
    begin(&first, HEAD STEP("a") STEP("b") STEP("c"));
    cr_assert_eq(hear(&first, (saga_input_t){.task = 2,
                                             .phase = PHASE_ACT,
                                             .kind = SAGA_INPUT_done,
                                             .value = slice_of(result, sizeof result)}),
                 CAPSTAN_OK);
    do_all(&first, 3, 4);
    expect_phase(&first, SAGA_COMPLETED);
    fork_from(&fork, first.plan, &first, 4);
    cr_assert_str_eq(fork.sent, "4+c ");
    cr_assert(saga_value(fork.saga, slice_text("a.n"), &value));
    cr_assert(slice_equal(value, slice_of(&result[3], 1)));
    expect(&fork, 4, PHASE_ACT, SAGA_INPUT_done, "");
    expect_phase(&fork, SAGA_COMPLETED);
    finish(&fork, &first);
}

Test(saga_fork, undoes_only_what_it_did_itself)
{
    bench_t first;
    bench_t fork;
    begin(&first, HEAD STEP("a") STEP("b") STEP("c"));
    do_all(&first, 2, 4);
    fork_from(&fork, first.plan, &first, 3);
    cr_assert_str_eq(fork.sent, "3+b ");
    expect(&fork, 3, PHASE_ACT, SAGA_INPUT_done, "4+c ");
    expect(&fork, 4, PHASE_ACT, SAGA_INPUT_refused, "3-ub ");
    expect(&fork, 3, PHASE_UNDO, SAGA_INPUT_done, "");
    expect_phase(&fork, SAGA_COMPENSATED);
    finish(&fork, &first);
}

Test(saga_fork, does_again_what_was_undone)
{
    bench_t first;
    bench_t fork;
    begin(&first, HEAD STEP("a") STEP("b"));
    expect(&first, 2, PHASE_ACT, SAGA_INPUT_done, "3+b ");
    expect(&first, 3, PHASE_ACT, SAGA_INPUT_refused, "2-ua ");
    expect(&first, 2, PHASE_UNDO, SAGA_INPUT_done, "");
    fork_from(&fork, first.plan, &first, 3);
    cr_assert_str_eq(fork.sent, "2+a ");
    finish(&fork, &first);
}

Test(saga_fork, has_no_way_back_behind_a_pivot_that_landed)
{
    bench_t first;
    bench_t fork;
    begin(&first, HEAD STEP("a") PIVOT("b") RETRIABLE("c"));
    do_all(&first, 2, 4);
    fork_from(&fork, first.plan, &first, 4);
    cr_assert_str_eq(fork.sent, "4+c ");
    cr_assert_eq(hear(&fork, (saga_input_t){.kind = SAGA_INPUT_cancel}), CAPSTAN_E_PIVOT_PASSED);
    expect(&fork, 4, PHASE_ACT, SAGA_INPUT_refused, "");
    expect_phase(&fork, SAGA_PARKED);
    finish(&fork, &first);
}

/* Tasks: 1 sequence, 2 await, 3 its branch, 4 sleep, 5 b. */
Test(saga_fork, waits_again_for_nothing_that_had_come)
{
    bench_t first;
    bench_t fork;
    begin(&first, HEAD "  - await: answer\n"
                       "    any:\n"
                       "      - {signal: no, steps: [{end: {outcome: refused}}]}\n"
                       "      - {signal: yes, steps: [{sleep: 1h}]}\n" STEP("b"));
    signal(&first, "yes");
    pass_time(&first);
    cr_assert_str_eq(first.sent, "5+b ");
    do_all(&first, 5, 5);
    fork_from(&fork, first.plan, &first, 5);
    cr_assert_str_eq(fork.sent, "5+b ");
    finish(&fork, &first);
    begin(&first, HEAD "  - {await: answer, any: [{signal: yes}]}\n" STEP("b"));
    signal(&first, "yes");
    do_all(&first, 4, 4);
    fork_from(&fork, first.plan, &first, 2);
    cr_assert_str_eq(fork.sent, "", "it begins at the await itself");
    finish(&fork, &first);
}

/* Tasks: 1 sequence, 2 loop, 3 and 4 its rounds, 5 c. */
Test(saga_fork, knows_rounds_from_each_other)
{
    bench_t first;
    bench_t fork;
    begin(&first, HEAD "  - loop:\n"
                       "      while: stop missing\n"
                       "      maximum: 3\n"
                       "      steps:\n"
                       "      - {step: a, participant: p, action: a, compensation: ua}\n"
                       "      - {await: stop, any: [{signal: go}, {timeout: 1s}]}\n" STEP("c"));
    cr_assert_str_eq(first.sent, "3+a ");
    expect(&first, 3, PHASE_ACT, SAGA_INPUT_done, "");
    pass_time(&first);
    cr_assert_str_eq(first.sent, "6+a ");
    expect(&first, 6, PHASE_ACT, SAGA_INPUT_done, "");
    signal(&first, "go");
    cr_assert_str_eq(first.sent, "9+c ");
    do_all(&first, 9, 9);
    fork_from(&fork, first.plan, &first, 9);
    cr_assert_str_eq(fork.sent, "9+c ");
    finish(&fork, &first);
}

/* Tasks: 1 sequence, 2 parallel, 3 a, 4 b, 5 c. */
Test(saga_fork, takes_over_what_was_done_beside_the_task)
{
    bench_t first;
    bench_t fork;
    begin(&first, HEAD "  - parallel:\n"
                       "    - {step: a, participant: p, action: a, compensation: ua}\n"
                       "    - {step: b, participant: p, action: b, compensation: ub}\n" STEP("c"));
    cr_assert_str_eq(first.sent, "3+a 4+b ");
    expect(&first, 4, PHASE_ACT, SAGA_INPUT_done, "");
    expect(&first, 3, PHASE_ACT, SAGA_INPUT_done, "5+c ");
    do_all(&first, 5, 5);
    fork_from(&fork, first.plan, &first, 3);
    cr_assert_str_eq(fork.sent, "3+a ", "b landed, though later than a was begun");
    expect(&fork, 3, PHASE_ACT, SAGA_INPUT_done, "5+c ");
    finish(&fork, &first);
}

/* Tasks: 1 sequence, 2 each, 3 an item, 4 a, 5 an item, 6 a; then b of each, in any order. */
Test(saga_fork, knows_items_from_each_other)
{
    static const uint8_t input[] = {0x81, 0xa4, 'l', 'i', 's', 't', 0x92, 1, 2};
    bench_t first;
    bench_t fork;
    begin_with(&first, slice_of(input, sizeof input),
               HEAD "  - each: i\n"
                    "    list: input.list\n"
                    "    maximum: 5\n"
                    "    steps:\n"
                    "    - {step: a, participant: p, action: a, compensation: ua}\n"
                    "    - {step: b, participant: p, action: b, compensation: ub}\n");
    cr_assert_str_eq(first.sent, "4+a 6+a ");
    expect(&first, 6, PHASE_ACT, SAGA_INPUT_done, "7+b ");
    expect(&first, 4, PHASE_ACT, SAGA_INPUT_done, "8+b ");
    do_all(&first, 7, 8);
    fork_from(&fork, first.plan, &first, 8);
    cr_assert_str_eq(fork.sent, "8+b ", "once, of the first item");
    finish(&fork, &first);
}

Test(saga_fork, goes_with_a_mended_definition_that_has_what_was_done)
{
    bench_t first;
    bench_t other;
    bench_t fork;
    begin(&first, HEAD STEP("a") "  - {sleep: 1h}\n" STEP("b"));
    do_all(&first, 2, 2);
    pass_time(&first);
    do_all(&first, 4, 4);
    begin(&other, HEAD STEP("x") STEP("a") STEP("b"));
    fork_from(&fork, other.plan, &first, 4);
    cr_assert_str_eq(fork.sent, "2+x ", "it is new");
    expect(&fork, 2, PHASE_ACT, SAGA_INPUT_done, "4+b ");
    finish(&fork, &other);
    begin(&other, HEAD STEP("c") STEP("b"));
    expect_none(&first, 4, other.plan, CAPSTAN_E_INVALID);
    expect_none(&first, 2, other.plan, CAPSTAN_E_INVALID);
    end(&other);
    end(&first);
}

Test(saga_fork, is_refused_while_what_was_done_may_be_undone)
{
    bench_t bench;
    begin(&bench, HEAD STEP("a") STEP("b"));
    do_all(&bench, 2, 2);
    expect_none(&bench, 3, bench.plan, CAPSTAN_E_SAGA_STATE);
    do_all(&bench, 3, 3);
    expect_none(&bench, 4, bench.plan, CAPSTAN_E_NOT_FOUND);
    expect_none(&bench, 0, bench.plan, CAPSTAN_E_NOT_FOUND);
    end(&bench);
}
