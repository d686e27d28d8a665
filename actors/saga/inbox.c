#include "actors/saga/inbox.h"

#include "runtime/base/ensure.h"
#include "runtime/wire/walk.h"

static const inbox_step_t steps[INBOX_STATE_COUNT][INBOX_INPUT_COUNT] = {
#define INBOX_STATE(name, number, meaning)
#define INBOX_INPUT(name, meaning)
#define INBOX_STEP(from, input, to, answer, meaning)                                               \
    [INBOX_##from][INBOX_ON_##input] = {true, INBOX_##to, INBOX_ANSWER_##answer},
#include "actors/saga/inbox_states.def"
#undef INBOX_STATE
#undef INBOX_INPUT
#undef INBOX_STEP
};

inbox_step_t inbox_step(inbox_state_t from, inbox_input_t input)
{
    return steps[from][input];
}

bool inbox_hears(uint64_t heard, uint64_t epoch)
{
    return epoch >= heard;
}

bool inbox_is_msgpack(slice_t value)
{
    if (value.size == 0) {
        return true;
    }
    const uint8_t *at = value.data;
    const uint8_t *end = at + value.size;
    return walk_skip(&at, end) == CAPSTAN_OK && at == end;
}

capstan_err_t inbox_check_command(const saga_command_t *command)
{
    bool good = command->phase >= INBOX_PHASE_ACT && command->phase <= INBOX_PHASE_SETTLE &&
                command->number > 0 && command->task > 0 && command->attempt > 0 &&
                command->saga.size > 0 && command->saga.size <= INBOX_SAGA_BYTES_MAX &&
                inbox_is_msgpack(command->input) && inbox_is_msgpack(command->result);
    return good ? CAPSTAN_OK : CAPSTAN_E_INVALID;
}

static inbox_input_t input_of(const inbox_row_t *row, const saga_command_t *command)
{
    if (command->phase == INBOX_PHASE_ACT) {
        return INBOX_ON_act;
    }
    if (command->phase == INBOX_PHASE_SETTLE) {
        return INBOX_ON_settle;
    }
    bool again = row->state == INBOX_UNDO_FAILED && command->attempt > row->attempt;
    return again ? INBOX_ON_undo_again : INBOX_ON_undo;
}

/* The answer that follows from the row: what the phase that is asked for came to. */
static void fill_result(const inbox_row_t *row, const saga_command_t *command,
                        inbox_answer_t answer, participant_result_t *ret_result)
{
    ret_result->status = answer;
    if (answer == INBOX_ANSWER_FINAL) {
        ret_result->error = row->error;
        ret_result->text = row->text;
    } else if (answer == INBOX_ANSWER_DONE) {
        ret_result->result = command->phase == INBOX_PHASE_UNDO ? row->undo_result : row->result;
    }
}

inbox_answer_t inbox_hear(inbox_row_t *row, const saga_command_t *command,
                          participant_result_t *ret_result)
{
    inbox_step_t step = inbox_step(row->state, input_of(row, command));
    ENSURE(step.known);
    row->state = step.to;
    if (step.answer != INBOX_ANSWER_RUN) {
        fill_result(row, command, step.answer, ret_result);
    }
    return step.answer;
}

static inbox_input_t outcome_of(const saga_command_t *command, uint64_t status)
{
    bool undo = command->phase == INBOX_PHASE_UNDO;
    switch (status) {
    case INBOX_ANSWER_DONE:
        return undo ? INBOX_ON_undid : INBOX_ON_acted;
    case INBOX_ANSWER_FINAL:
        return undo ? INBOX_ON_undo_refused : INBOX_ON_act_refused;
    default:
        return undo ? INBOX_ON_undo_failed : INBOX_ON_act_failed;
    }
}

void inbox_end(inbox_row_t *row, const saga_command_t *command, const participant_result_t *outcome,
               participant_result_t *ret_result)
{
    inbox_step_t step = inbox_step(row->state, outcome_of(command, outcome->status));
    ENSURE(step.known);
    row->state = step.to;
    if (step.answer == INBOX_ANSWER_FAILED) {
        ret_result->status = INBOX_ANSWER_FAILED;
        ret_result->error = outcome->error;
        ret_result->text = outcome->text;
        return;
    }
    if (step.answer == INBOX_ANSWER_FINAL) {
        row->error = outcome->error;
        row->text = outcome->text;
        row->attempt = command->attempt;
    } else if (command->phase == INBOX_PHASE_UNDO) {
        row->undo_result = outcome->result;
    } else {
        row->result = outcome->result;
    }
    fill_result(row, command, step.answer, ret_result);
}
