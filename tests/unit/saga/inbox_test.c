#include "actors/saga/inbox.h"
#include "tests/kit/inbox_check.h"

#include <criterion/criterion.h>

static saga_command_t command_of(uint64_t phase, uint64_t attempt)
{
    return (saga_command_t){.saga = slice_text("s"),
                            .number = 1,
                            .task = 1,
                            .phase = phase,
                            .attempt = attempt,
                            .action = slice_text("a")};
}

static inbox_answer_t hear(inbox_row_t *row, uint64_t phase, uint64_t attempt,
                           participant_result_t *ret_result)
{
    saga_command_t command = command_of(phase, attempt);
    *ret_result = (participant_result_t){0};
    return inbox_hear(row, &command, ret_result);
}

static void end(inbox_row_t *row, uint64_t phase, uint64_t attempt, inbox_answer_t status,
                const char *word)
{
    saga_command_t command = command_of(phase, attempt);
    participant_result_t result = {0};
    bool done = status == INBOX_ANSWER_DONE;
    inbox_end(row, &command,
              &(participant_result_t){.status = status,
                                      .result = done ? slice_text(word) : slice_of(NULL, 0),
                                      .error = done ? slice_of(NULL, 0) : slice_text(word)},
              &result);
    cr_assert_eq(result.status, (uint64_t)status);
}

/* --- each rule ------------------------------------------------------------------------------- */

Test(inbox, answers_a_duplicate_as_the_first_one)
{
    inbox_row_t row = {.state = INBOX_NONE};
    participant_result_t result;
    cr_assert_eq(hear(&row, INBOX_PHASE_ACT, 1, &result), INBOX_ANSWER_RUN);
    end(&row, INBOX_PHASE_ACT, 1, INBOX_ANSWER_DONE, "r");
    for (uint64_t attempt = 1; attempt < 4; attempt++) {
        cr_assert_eq(hear(&row, INBOX_PHASE_ACT, attempt, &result), INBOX_ANSWER_DONE);
        cr_assert(slice_equal(result.result, slice_text("r")));
    }
    cr_assert_eq(hear(&row, INBOX_PHASE_SETTLE, 1, &result), INBOX_ANSWER_DONE);
    cr_assert(slice_equal(result.result, slice_text("r")));
}

Test(inbox, never_runs_an_action_that_was_undone_before_it_came)
{
    inbox_row_t row = {.state = INBOX_NONE};
    participant_result_t result;
    cr_assert_eq(hear(&row, INBOX_PHASE_UNDO, 1, &result), INBOX_ANSWER_DONE);
    cr_assert_eq(row.state, INBOX_CLOSED);
    cr_assert_eq(hear(&row, INBOX_PHASE_ACT, 1, &result), INBOX_ANSWER_NEVER);
    cr_assert_eq(hear(&row, INBOX_PHASE_UNDO, 2, &result), INBOX_ANSWER_DONE);
    cr_assert_eq(hear(&row, INBOX_PHASE_SETTLE, 1, &result), INBOX_ANSWER_NEVER);
}

Test(inbox, never_runs_an_action_that_was_settled_before_it_came)
{
    inbox_row_t row = {.state = INBOX_NONE};
    participant_result_t result;
    cr_assert_eq(hear(&row, INBOX_PHASE_SETTLE, 1, &result), INBOX_ANSWER_NEVER);
    cr_assert_eq(hear(&row, INBOX_PHASE_ACT, 1, &result), INBOX_ANSWER_NEVER);
}

Test(inbox, runs_the_next_attempt_after_one_that_failed)
{
    inbox_row_t row = {.state = INBOX_NONE};
    participant_result_t result;
    cr_assert_eq(hear(&row, INBOX_PHASE_ACT, 1, &result), INBOX_ANSWER_RUN);
    end(&row, INBOX_PHASE_ACT, 1, INBOX_ANSWER_FAILED, "LATER");
    cr_assert_eq(row.state, INBOX_NONE);
    cr_assert_eq(hear(&row, INBOX_PHASE_ACT, 2, &result), INBOX_ANSWER_RUN);
}

Test(inbox, runs_no_attempt_after_one_that_failed_for_good)
{
    inbox_row_t row = {.state = INBOX_NONE};
    participant_result_t result;
    cr_assert_eq(hear(&row, INBOX_PHASE_ACT, 1, &result), INBOX_ANSWER_RUN);
    end(&row, INBOX_PHASE_ACT, 1, INBOX_ANSWER_FINAL, "BROKE");
    cr_assert_eq(hear(&row, INBOX_PHASE_ACT, 2, &result), INBOX_ANSWER_FINAL);
    cr_assert(slice_equal(result.error, slice_text("BROKE")));
    cr_assert_eq(hear(&row, INBOX_PHASE_UNDO, 1, &result), INBOX_ANSWER_DONE);
    cr_assert_eq(result.result.size, 0u);
    cr_assert_eq(hear(&row, INBOX_PHASE_SETTLE, 1, &result), INBOX_ANSWER_FINAL);
}

Test(inbox, compensates_once_what_had_its_effect)
{
    inbox_row_t row = {.state = INBOX_DONE, .result = slice_text("r")};
    participant_result_t result;
    cr_assert_eq(hear(&row, INBOX_PHASE_UNDO, 1, &result), INBOX_ANSWER_RUN);
    cr_assert(slice_equal(row.result, slice_text("r")));
    end(&row, INBOX_PHASE_UNDO, 1, INBOX_ANSWER_DONE, "u");
    cr_assert_eq(hear(&row, INBOX_PHASE_UNDO, 2, &result), INBOX_ANSWER_DONE);
    cr_assert(slice_equal(result.result, slice_text("u")));
    cr_assert_eq(hear(&row, INBOX_PHASE_ACT, 1, &result), INBOX_ANSWER_DONE);
    cr_assert(slice_equal(result.result, slice_text("r")));
}

Test(inbox, runs_a_compensation_that_failed_for_good_only_by_a_later_attempt)
{
    inbox_row_t row = {.state = INBOX_DONE, .result = slice_text("r")};
    participant_result_t result;
    cr_assert_eq(hear(&row, INBOX_PHASE_UNDO, 3, &result), INBOX_ANSWER_RUN);
    end(&row, INBOX_PHASE_UNDO, 3, INBOX_ANSWER_FINAL, "BROKE");
    cr_assert_eq(hear(&row, INBOX_PHASE_UNDO, 3, &result), INBOX_ANSWER_FINAL);
    cr_assert_eq(hear(&row, INBOX_PHASE_UNDO, 2, &result), INBOX_ANSWER_FINAL);
    cr_assert_eq(hear(&row, INBOX_PHASE_UNDO, 4, &result), INBOX_ANSWER_RUN);
    end(&row, INBOX_PHASE_UNDO, 4, INBOX_ANSWER_FAILED, "LATER");
    cr_assert_eq(row.state, INBOX_UNDO_FAILED);
    cr_assert_eq(hear(&row, INBOX_PHASE_UNDO, 5, &result), INBOX_ANSWER_RUN);
    end(&row, INBOX_PHASE_UNDO, 5, INBOX_ANSWER_DONE, "u");
    cr_assert_eq(row.state, INBOX_UNDONE);
}

Test(inbox, hears_no_epoch_below_the_greatest)
{
    cr_assert(inbox_hears(3, 3) && inbox_hears(3, 4) && inbox_hears(0, 0));
    cr_assert_not(inbox_hears(3, 2));
}

Test(inbox, refuses_commands_that_are_none)
{
    saga_command_t good = command_of(INBOX_PHASE_ACT, 1);
    saga_command_t wrong[8];
    char long_id[INBOX_SAGA_BYTES_MAX + 1] = {'a'};
    for (size_t i = 0; i < 8; i++) {
        wrong[i] = good;
    }
    wrong[0].phase = 0;
    wrong[1].phase = 4;
    wrong[2].number = 0;
    wrong[3].task = 0;
    wrong[4].attempt = 0;
    wrong[5].saga = slice_of("", 0);
    wrong[6].saga = slice_of(long_id, sizeof long_id);
    wrong[7].input = slice_of("\xc0\xc0", 2);
    cr_assert_eq(inbox_check_command(&good), CAPSTAN_OK);
    for (size_t i = 0; i < 8; i++) {
        cr_assert_eq(inbox_check_command(&wrong[i]), CAPSTAN_E_INVALID, "%zu", i);
    }
    cr_assert(inbox_is_msgpack(slice_of("\x81\x01\xc0", 3)));
    cr_assert_not(inbox_is_msgpack(slice_of("\x81\x01", 2)));
}

/* Every state hears every command, and what runs has every outcome. */
Test(inbox, has_a_step_for_whatever_may_come)
{
    for (int state = 0; state < INBOX_STATE_COUNT; state++) {
        for (int input = INBOX_ON_act; input <= INBOX_ON_settle; input++) {
            bool again = input == INBOX_ON_undo_again;
            inbox_step_t step = inbox_step((inbox_state_t)state, (inbox_input_t)input);
            cr_assert_eq(step.known, !again || state == INBOX_UNDO_FAILED, "%d %d", state, input);
            for (int out = 0; step.known && step.answer == INBOX_ANSWER_RUN && out < 3; out++) {
                int first = input == INBOX_ON_act ? INBOX_ON_acted : INBOX_ON_undid;
                cr_assert(inbox_step(step.to, (inbox_input_t)(first + out)).known);
            }
        }
    }
}

/* --- at random, against a plain model -------------------------------------------------------- */

enum { TASKS = 40, ROUNDS = 400, SEEDS = 50 };

typedef struct model {
    bool acted;
    bool act_final;
    bool closed;
    bool undone;
    uint64_t undo_final; /* attempt */
} model_t;

/* What the rule says, in words of its own. */
static inbox_answer_t expect(model_t *model, uint64_t phase, uint64_t attempt)
{
    if (phase == INBOX_PHASE_UNDO) {
        if (!model->acted) {
            model->closed = model->closed || !model->act_final;
            return INBOX_ANSWER_DONE;
        }
        return model->undone                  ? INBOX_ANSWER_DONE
               : attempt <= model->undo_final ? INBOX_ANSWER_FINAL
                                              : INBOX_ANSWER_RUN;
    }
    if (model->acted) {
        return INBOX_ANSWER_DONE;
    }
    if (model->act_final) {
        return INBOX_ANSWER_FINAL;
    }
    if (phase == INBOX_PHASE_SETTLE) {
        model->closed = true;
    }
    return model->closed ? INBOX_ANSWER_NEVER : INBOX_ANSWER_RUN;
}

static void note(model_t *model, uint64_t phase, uint64_t attempt, inbox_answer_t status)
{
    if (phase == INBOX_PHASE_UNDO) {
        model->undone = status == INBOX_ANSWER_DONE;
        model->undo_final = status == INBOX_ANSWER_FINAL ? attempt : model->undo_final;
    } else {
        model->acted = status == INBOX_ANSWER_DONE;
        model->act_final = status == INBOX_ANSWER_FINAL;
    }
}

static uint32_t roll(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % below;
}

typedef struct world {
    inbox_row_t rows[TASKS];
    model_t models[TASKS];
    inbox_seen_t seen[TASKS];
    uint64_t heard;
    uint64_t seed;
    bool taken[INBOX_STATE_COUNT][INBOX_INPUT_COUNT];
} world_t;

static inbox_input_t command_input(const inbox_row_t *row, const saga_command_t *command)
{
    static const inbox_input_t inputs[] = {INBOX_ON_act, INBOX_ON_undo, INBOX_ON_settle};
    bool again = command->phase == INBOX_PHASE_UNDO && row->state == INBOX_UNDO_FAILED &&
                 command->attempt > row->attempt;
    return again ? INBOX_ON_undo_again : inputs[command->phase - 1];
}

static inbox_input_t outcome_input(const saga_command_t *command, inbox_answer_t status)
{
    int first = command->phase == INBOX_PHASE_UNDO ? INBOX_ON_undid : INBOX_ON_acted;
    return (inbox_input_t)(first + (int)status - INBOX_ANSWER_DONE);
}

static void run(world_t *self, size_t task, const saga_command_t *command,
                participant_result_t *ret_result)
{
    static const inbox_answer_t outcomes[] = {INBOX_ANSWER_DONE, INBOX_ANSWER_DONE,
                                              INBOX_ANSWER_FAILED, INBOX_ANSWER_FINAL};
    static const char *const results[] = {"\x01", "\x02", "\x03"};
    inbox_answer_t status = outcomes[roll(&self->seed, 4)];
    participant_result_t outcome = {.status = status};
    if (status == INBOX_ANSWER_DONE) {
        outcome.result = slice_text(results[roll(&self->seed, 3)]);
        const char *broken = inbox_check_effect(&self->seen[task], (inbox_phase_t)command->phase);
        cr_assert_null(broken, "%s", broken);
    } else {
        outcome.error = slice_text("WORD");
    }
    self->taken[self->rows[task].state][outcome_input(command, status)] = true;
    inbox_end(&self->rows[task], command, &outcome, ret_result);
    note(&self->models[task], command->phase, command->attempt, status);
    cr_assert_eq(ret_result->status, (uint64_t)status);
}

static void send_one(world_t *self)
{
    size_t task = roll(&self->seed, TASKS);
    uint64_t epoch = roll(&self->seed, 20) == 0 ? self->heard + 1 : self->heard;
    epoch -= roll(&self->seed, 10) == 0 && epoch > 0;
    saga_command_t command = command_of(1 + roll(&self->seed, 3), 1 + roll(&self->seed, 4));
    participant_result_t result = {.phase = command.phase};
    uint64_t heard = self->heard;
    if (!inbox_hears(self->heard, epoch)) {
        result.status = INBOX_ANSWER_REFUSED;
    } else {
        self->heard = epoch;
        inbox_answer_t wanted = expect(&self->models[task], command.phase, command.attempt);
        self->taken[self->rows[task].state][command_input(&self->rows[task], &command)] = true;
        inbox_answer_t answer = inbox_hear(&self->rows[task], &command, &result);
        cr_assert_eq(answer, wanted, "phase %d: %d instead of %d", (int)command.phase, (int)answer,
                     (int)wanted);
        if (answer == INBOX_ANSWER_RUN) {
            run(self, task, &command, &result);
        }
    }
    const char *broken = inbox_check_answer(&self->seen[task], &result, heard, epoch);
    cr_assert_null(broken, "%s", broken);
}

Test(inbox, does_at_random_what_a_plain_model_does)
{
    static bool taken[INBOX_STATE_COUNT][INBOX_INPUT_COUNT];
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        world_t world = {.seed = seed};
        for (int i = 0; i < ROUNDS; i++) {
            send_one(&world);
        }
        for (size_t i = 0; i < sizeof taken; i++) {
            (&taken[0][0])[i] = (&taken[0][0])[i] || (&world.taken[0][0])[i];
        }
    }
    for (int state = 0; state < INBOX_STATE_COUNT; state++) { /* every row of the table is taken */
        for (int input = 0; input < INBOX_INPUT_COUNT; input++) {
            cr_assert_eq(taken[state][input],
                         inbox_step((inbox_state_t)state, (inbox_input_t)input).known, "%d %d",
                         state, input);
        }
    }
}

/* The predicates see what is broken. */
Test(inbox, has_predicates_that_see_each_breach)
{
    inbox_seen_t twice = {.effects = 1};
    cr_assert_not_null(inbox_check_effect(&twice, INBOX_PHASE_ACT));
    inbox_seen_t late = {.closed = true};
    cr_assert_not_null(inbox_check_effect(&late, INBOX_PHASE_ACT));
    inbox_seen_t none = {0};
    cr_assert_not_null(inbox_check_effect(&none, INBOX_PHASE_UNDO));
    inbox_seen_t done = {.effects = 1};
    participant_result_t result = {
        .phase = INBOX_PHASE_ACT, .status = INBOX_ANSWER_DONE, .result = slice_text("a")};
    cr_assert_null(inbox_check_answer(&done, &result, 0, 0));
    result.result = slice_text("b");
    cr_assert_not_null(inbox_check_answer(&done, &result, 0, 0));
    result.status = INBOX_ANSWER_NEVER;
    cr_assert_not_null(inbox_check_answer(&done, &result, 0, 0));
    cr_assert_not_null(inbox_check_answer(&none, &result, 2, 1));
    result.status = INBOX_ANSWER_REFUSED;
    cr_assert_null(inbox_check_answer(&none, &result, 2, 1));
    cr_assert_not_null(inbox_check_answer(&none, &result, 1, 1));
}
