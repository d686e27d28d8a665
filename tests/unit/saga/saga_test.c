/* One saga: what it sends, what it makes of answers, time and people, and what it undoes. */
#include "tests/unit/saga/saga_kit.h"

Test(saga, compensates_completed_steps_in_reverse_order)
{
    bench_t bench;
    begin(&bench, HEAD STEP("a") STEP("b") STEP("c"));
    cr_assert_str_eq(bench.sent, "2+a ");
    expect(&bench, 2, PHASE_ACT, SAGA_INPUT_done, "3+b ");
    expect(&bench, 3, PHASE_ACT, SAGA_INPUT_done, "4+c ");
    expect(&bench, 4, PHASE_ACT, SAGA_INPUT_refused, "3-ub ");
    expect(&bench, 3, PHASE_UNDO, SAGA_INPUT_done, "2-ua ");
    expect(&bench, 2, PHASE_UNDO, SAGA_INPUT_done, "");
    expect_phase(&bench, SAGA_COMPENSATED);
    end(&bench);
}

Test(saga, a_step_without_answer_is_in_doubt)
{
    bench_t bench;
    begin(&bench, HEAD STEP("a") ONCE("b"));
    expect(&bench, 2, PHASE_ACT, SAGA_INPUT_done, "3+b ");
    pass_time(&bench);
    cr_assert_str_eq(bench.sent, "3-ub ", "perhaps it has its effect");
    cr_assert_eq(answer(&bench, 3, PHASE_ACT, SAGA_INPUT_done), CAPSTAN_E_SAGA_STATE);
    expect(&bench, 3, PHASE_UNDO, SAGA_INPUT_done, "2-ua ");
    end(&bench);
}

Test(saga, a_pivot_without_answer_is_settled_before_anything_is_undone)
{
    bench_t bench;
    begin(&bench, HEAD STEP("a") PIVOT("b"));
    expect(&bench, 2, PHASE_ACT, SAGA_INPUT_done, "3+b ");
    pass_time(&bench);
    cr_assert_str_eq(bench.sent, "3? ");
    expect(&bench, 3, PHASE_SETTLE, SAGA_INPUT_never, "2-ua ");
    end(&bench);
}

Test(saga, goes_on_when_its_pivot_turns_out_to_have_landed)
{
    bench_t bench;
    begin(&bench, HEAD STEP("a") PIVOT("b") RETRIABLE("c"));
    expect(&bench, 2, PHASE_ACT, SAGA_INPUT_done, "3+b ");
    person(&bench, SAGA_INPUT_cancel, "3? ");
    expect(&bench, 3, PHASE_SETTLE, SAGA_INPUT_done, "4+c ");
    cr_assert_eq(hear(&bench, (saga_input_t){.kind = SAGA_INPUT_cancel}), CAPSTAN_E_PIVOT_PASSED);
    end(&bench);
}

Test(saga, parks_behind_the_pivot_and_undoes_nothing)
{
    bench_t bench;
    begin(&bench, HEAD STEP("a") PIVOT("b") RETRIABLE("c"));
    expect(&bench, 2, PHASE_ACT, SAGA_INPUT_done, "3+b ");
    expect(&bench, 3, PHASE_ACT, SAGA_INPUT_done, "4+c ");
    expect(&bench, 4, PHASE_ACT, SAGA_INPUT_refused, "");
    expect_phase(&bench, SAGA_PARKED);
    person(&bench, SAGA_INPUT_retry, "4+c ");
    expect(&bench, 4, PHASE_ACT, SAGA_INPUT_done, "");
    expect_phase(&bench, SAGA_COMPLETED);
    end(&bench);
}

Test(saga, parks_when_a_compensation_is_refused)
{
    bench_t bench;
    begin(&bench, HEAD STEP("a") STEP("b"));
    expect(&bench, 2, PHASE_ACT, SAGA_INPUT_done, "3+b ");
    expect(&bench, 3, PHASE_ACT, SAGA_INPUT_refused, "2-ua ");
    expect(&bench, 2, PHASE_UNDO, SAGA_INPUT_refused, "");
    expect_phase(&bench, SAGA_PARKED);
    person(&bench, SAGA_INPUT_skip, "");
    expect_phase(&bench, SAGA_COMPENSATED);
    end(&bench);
}

Test(saga, begins_nothing_while_it_is_paused)
{
    bench_t bench;
    begin(&bench, HEAD STEP("a") STEP("b"));
    person(&bench, SAGA_INPUT_pause, "");
    expect(&bench, 2, PHASE_ACT, SAGA_INPUT_done, "");
    cr_assert_eq(saga_due_us(bench.saga), INT64_MAX);
    person(&bench, SAGA_INPUT_resume, "");
    pass_time(&bench);
    cr_assert_str_eq(bench.sent, "3+b ");
    end(&bench);
}

Test(saga, is_cancelled_in_back_off)
{
    bench_t bench;
    begin(&bench, HEAD STEP("a"));
    expect(&bench, 2, PHASE_ACT, SAGA_INPUT_failed, "");
    person(&bench, SAGA_INPUT_cancel, "2-ua ");
    end(&bench);
}

Test(saga, hears_nothing_after_its_end)
{
    bench_t bench;
    begin(&bench, HEAD STEP("a"));
    expect(&bench, 2, PHASE_ACT, SAGA_INPUT_done, "");
    expect_phase(&bench, SAGA_COMPLETED);
    cr_assert_eq(answer(&bench, 2, PHASE_ACT, SAGA_INPUT_done), CAPSTAN_E_SAGA_ENDED);
    cr_assert_eq(hear(&bench, (saga_input_t){.kind = SAGA_INPUT_cancel}), CAPSTAN_E_SAGA_ENDED);
    end(&bench);
}

Test(saga, is_loaded_as_it_was_saved)
{
    bench_t bench;
    saga_t *copy;
    buffer_t saved[2] = {{0}, {0}};
    begin(&bench, HEAD STEP("a") STEP("b"));
    expect(&bench, 2, PHASE_ACT, SAGA_INPUT_done, "3+b ");
    expect(&bench, 3, PHASE_ACT, SAGA_INPUT_failed, "");
    saga_save(bench.saga, &saved[0]);
    cr_assert_eq(saga_load(bench.plan, buffer_slice(&saved[0]), &copy), CAPSTAN_OK);
    saga_save(copy, &saved[1]);
    cr_assert(slice_equal(buffer_slice(&saved[0]), buffer_slice(&saved[1])));
    cr_assert_eq(saga_due_us(copy), saga_due_us(bench.saga));
    saga_destroy(&copy);
    buffer_fini(&saved[0]);
    buffer_fini(&saved[1]);
    end(&bench);
}

/* What is around a child that fails at once is given up: nothing more is begun in it. */
Test(saga, opens_no_more_of_a_parallel_once_one_of_it_has_failed)
{
    bench_t bench;
    begin(&bench, HEAD "  - parallel:\n"
                       "      - {step: a, participant: p, action: a, class: retriable,\n"
                       "         input: {v: $input.absent}}\n"
                       "      - {step: b, participant: p, action: b, class: retriable}\n");
    cr_assert_str_eq(bench.sent, "");
    expect_phase(&bench, SAGA_COMPENSATED);
    end(&bench);
}

Test(saga, asks_what_became_of_a_pivot_no_more_often_than_its_back_off_says)
{
    bench_t bench;
    begin(&bench, "saga: s\nversion: 1\n"
                  "compensation: {retry: {initial: 30s, jitter: 1%}}\n"
                  "steps:\n" PIVOT("a"));
    pass_time(&bench);
    int64_t asked_us = bench.now_us;
    cr_assert_str_eq(bench.sent, "2? ");
    pass_time(&bench);
    cr_assert_str_eq(bench.sent, "2? ");
    cr_assert_geq(bench.now_us - asked_us, 29 * SECOND_US);
    end(&bench);
}

/* --- children -------------------------------------------------------------------------------- */

#define CHILD    "  - {child: c, saga: other, participant: p, compensation: uc}\n"
#define PIVOTAL  "  - {child: c, saga: other, class: pivot}\n"
#define BEHIND   "  - {child: c, saga: other, class: retriable}\n"
#define OF_CHILD ((command_phase_t)0)

Test(saga, a_childs_compensation_is_an_action_of_its_own)
{
    bench_t bench;
    begin(&bench, HEAD CHILD STEP("b"));
    cr_assert_str_eq(bench.sent, "2>other ");
    expect(&bench, 2, OF_CHILD, SAGA_INPUT_done, "3+b ");
    expect(&bench, 3, PHASE_ACT, SAGA_INPUT_refused, "2+uc ");
    cr_assert_eq(answer(&bench, 2, OF_CHILD, SAGA_INPUT_done), CAPSTAN_E_SAGA_STATE,
                 "that the child is done is not that it is undone");
    expect(&bench, 2, PHASE_ACT, SAGA_INPUT_done, "");
    expect_phase(&bench, SAGA_COMPENSATED);
    end(&bench);
}

Test(saga, no_participant_says_how_a_child_ended)
{
    bench_t bench;
    begin(&bench, HEAD CHILD);
    cr_assert_eq(answer(&bench, 2, PHASE_ACT, SAGA_INPUT_done), CAPSTAN_E_SAGA_STATE);
    expect_phase(&bench, SAGA_RUNNING);
    end(&bench);
}

Test(saga, a_pivot_that_is_a_child_is_cancelled_and_decides)
{
    bench_t bench;
    begin(&bench, HEAD STEP("a") PIVOTAL);
    expect(&bench, 2, PHASE_ACT, SAGA_INPUT_done, "3>other ");
    person(&bench, SAGA_INPUT_cancel, "3x ");
    expect(&bench, 3, OF_CHILD, SAGA_INPUT_refused, "2-ua ");
    end(&bench);
}

Test(saga, asks_for_a_child_again_when_it_goes_on)
{
    bench_t bench;
    begin(&bench, HEAD CHILD);
    person(&bench, SAGA_INPUT_pause, "");
    person(&bench, SAGA_INPUT_resume, "2>other ");
    end(&bench);
}

/* Whoever starts children has to look for one that ended long ago. */
Test(saga, says_that_a_child_was_started_before)
{
    bench_t bench;
    begin(&bench, HEAD PIVOT("a") BEHIND);
    expect(&bench, 2, PHASE_ACT, SAGA_INPUT_done, "3>other ");
    expect(&bench, 3, OF_CHILD, SAGA_INPUT_refused, "");
    expect_phase(&bench, SAGA_PARKED);
    saga_input_t retry = {.number = 1,
                          .kind = SAGA_INPUT_retry,
                          .at_us = bench.now_us,
                          .sequence = saga_sequence(bench.saga) + 1};
    cr_assert_eq(saga_accepts(bench.saga, &retry), CAPSTAN_OK);
    saga_apply(bench.saga, &retry, &bench.effects);
    cr_assert_eq(bench.effects.count, 1);
    cr_assert_eq(bench.effects.list[0].kind, SAGA_START_CHILD);
    cr_assert_gt(bench.effects.list[0].attempt, 1);
    end(&bench);
}

Test(saga, gives_a_busy_participant_its_back_off_before_it_asks_again)
{
    bench_t bench;
    begin(&bench, "saga: s\nversion: 1\n"
                  "compensation: {retry: {initial: 30s, jitter: 1%}}\n"
                  "steps:\n" PIVOT("a"));
    pass_time(&bench);
    cr_assert_str_eq(bench.sent, "2? ");
    int64_t asked_us = bench.now_us;
    expect(&bench, 2, PHASE_SETTLE, SAGA_INPUT_busy, "");
    pass_time(&bench);
    cr_assert_geq(bench.now_us - asked_us, 29 * SECOND_US);
    end(&bench);
}

Test(saga, sends_no_question_again_that_it_has_not_asked)
{
    bench_t bench;
    begin(&bench, HEAD PIVOT("a"));
    person(&bench, SAGA_INPUT_pause, "");
    expect(&bench, 2, PHASE_ACT, SAGA_INPUT_failed, "");
    person(&bench, SAGA_INPUT_resume, "");
    saga_resend(bench.saga, &bench.effects);
    take_effects(&bench);
    cr_assert_str_eq(bench.sent, "");
    pass_time(&bench);
    cr_assert_str_eq(bench.sent, "2? ");
    end(&bench);
}
