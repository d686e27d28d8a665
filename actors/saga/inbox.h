/* The rule of a participant's inbox: what becomes of a command, given what became of those before.
 * Pure: no database, no clock, no log.
 *
 * A task of a saga has one row, whichever attempt made it, or none. (number, task, saga) is its
 * key: the number alone would be given again by a coordinator whose store was lost. From the row
 * follows what a command has: an answer, or a call of the program's handler, whose outcome makes
 * the next row. The row and the handler's effect are stored in one transaction, so that
 *
 *  - an action has its effect at most once, and so has its compensation, which comes after it (S4);
 *  - what was undone or settled before it came never has an effect: its row is a tombstone (S6);
 *  - a duplicate is answered as its first was.
 *
 * Commands of an epoch smaller than the greatest that was heard have neither effect nor row (S8).
 * The epoch is stored before anything of it is answered.
 *
 * Rows are forgotten after a retention, counted from their last change. From then on a command of
 * that task is a first one: an action that comes then, from a coordinator that still asks, has its
 * effect a second time, and one whose tombstone is gone has it although it was undone. So a
 * retention is longer than a saga lives, its compensation and the time that it is parked included.
 */
#ifndef SAGA_INBOX_H
#define SAGA_INBOX_H

#include "actors/saga/saga_messages.h"

enum {
    INBOX_SAGA_BYTES_MAX = 1024, /* of an id; a child's is longer than 256 */
    INBOX_RESULT_BYTES_MAX = 64 * 1024,
    INBOX_WORD_BYTES_MAX = 64, /* of an error, and of its text */
    INBOX_TEXT_BYTES_MAX = 256,
};

typedef enum inbox_state {
#define INBOX_STATE(name, number, meaning) INBOX_##name = (number),
#define INBOX_INPUT(name, meaning)
#define INBOX_STEP(from, input, to, answer, meaning)
#include "actors/saga/inbox_states.def"
#undef INBOX_STATE
#undef INBOX_INPUT
#undef INBOX_STEP
    INBOX_STATE_COUNT
} inbox_state_t;

typedef enum inbox_input {
#define INBOX_STATE(name, number, meaning)
#define INBOX_INPUT(name, meaning) INBOX_ON_##name,
#define INBOX_STEP(from, input, to, answer, meaning)
#include "actors/saga/inbox_states.def"
#undef INBOX_STATE
#undef INBOX_INPUT
#undef INBOX_STEP
    INBOX_INPUT_COUNT
} inbox_input_t;

/* The statuses of record `participant_result`. */
typedef enum inbox_answer {
    INBOX_ANSWER_RUN = 0, /* none yet: the handler is to be called */
    INBOX_ANSWER_DONE = 1,
    INBOX_ANSWER_FAILED = 2,
    INBOX_ANSWER_FINAL = 3,
    INBOX_ANSWER_NEVER = 4,
    INBOX_ANSWER_BUSY = 5,
    INBOX_ANSWER_REFUSED = 6,
} inbox_answer_t;

typedef enum inbox_phase {
    INBOX_PHASE_ACT = 1,
    INBOX_PHASE_UNDO = 2,
    INBOX_PHASE_SETTLE = 3,
} inbox_phase_t;

/* What is stored of a task. The slices are the caller's. */
typedef struct inbox_row {
    inbox_state_t state;
    uint64_t attempt; /* of the compensation that failed for good */
    slice_t result;   /* the action's, msgpack */
    slice_t undo_result;
    slice_t error; /* of what failed for good */
    slice_t text;
} inbox_row_t;

typedef struct inbox_step {
    bool known; /* there is such a row */
    inbox_state_t to;
    inbox_answer_t answer;
} inbox_step_t;

/* The step of a row; `known` is false when there is none. */
inbox_step_t inbox_step(inbox_state_t from, inbox_input_t input);

/* Whether commands of `epoch` are heard where `heard` was the greatest. */
bool inbox_hears(uint64_t heard, uint64_t epoch);

/* Whether the command can be done at all: INVALID when its phase is none that is known, a number is
 * missing, its saga is no id, or its input or result no msgpack. */
CAPSTAN_MUST_CHECK capstan_err_t inbox_check_command(const saga_command_t *command);

/* A good command comes. Changes the row where no handler is needed for that. RUN: `inbox_end`
 * follows with what the handler says, or nothing changes. Else `ret_result` gets the answer, but
 * for what it repeats of the command; its slices are the row's. */
inbox_answer_t inbox_hear(inbox_row_t *row, const saga_command_t *command,
                          participant_result_t *ret_result);

/* What the handler made of a command that was to RUN: DONE, FAILED or FINAL, with what goes with
 * it; the row's new slices are those of `outcome`. */
void inbox_end(inbox_row_t *row, const saga_command_t *command, const participant_result_t *outcome,
               participant_result_t *ret_result);

/* Whether the bytes are one msgpack value, or none. */
bool inbox_is_msgpack(slice_t value);

#endif
