/* The core of one saga: what it does next, and what it undoes. Pure: no clock, socket, thread, SQL,
 * log or random number. Time and dice are in the inputs, effects go into the caller's buffer.
 *
 * A saga's state is what follows from its `saga_begin` and the inputs it heard, in their order: the
 * journal keeps these, and applying them again gives the same state (and the same effects, which
 * are thrown away then). So an input is written first, and what it leads to leaves when that is on
 * disk (S3). What was perhaps not sent is sent again after a crash, under the same identity.
 *
 *   begin --> task 1: node 0 (sequence)                   a task is a node that was come to;
 *               task 2: node 1 (step)    DONE    order 1  its number never changes
 *               task 3: node 2 (parallel) OPEN
 *                 task 4: node 3 (step)  CALLING attempt 2 --command--> participant
 *                 task 5: node 4 (step)  BACKOFF until due
 *
 * (saga, task, phase) is a command's identity; the attempt is not part of it (S4). A step whose
 * answers stay away is in doubt, not failed (S6): its compensation is sent, which at the
 * participant also means that the action never happens from then on. A pivot in doubt is settled
 * instead: the participant says what became of it, for good. A step has failed without an effect
 * only when its participant said so for good.
 *
 * Invariants (saga_check evaluates them):
 *  - S5: compensations are begun in reverse order of completion, one at a time, unless the plan
 *    says all at once; only of what landed or is in doubt;
 *  - S7: once the pivot has landed nothing is compensated but what an each gives up;
 *  - a container that is OPEN has a child that is not at an end; one that is at an end has none;
 *  - at COMPLETED no task is under way, at COMPENSATED no effect is left (S1);
 *  - what is kept is within its bounds. */
#ifndef SAGA_SAGA_H
#define SAGA_SAGA_H

#include "actors/saga/plan.h"

enum {
    SAGA_TASKS_MAX = 10000,
    SAGA_NOTICES_MAX = 1000,
    SAGA_NOTICE_BYTES_MAX = 1024 * 1024, /* of all that wait */
    SAGA_RESULT_BYTES_MAX = 64 * 1024,
    SAGA_TAKEN_MAX = 1000, /* tasks that a fork takes over */
    SAGA_TAKEN_BYTES_MAX = 256 * 1024,
    SAGA_ID_MAX = 256,
    SAGA_KEY_MAX = 256,
};

typedef enum saga_phase {
#define SAGA_STATE(name, number, meaning) SAGA_##name = (number),
#include "actors/saga/saga_states.def"
} saga_phase_t;

typedef enum task_state {
#define TASK_STATE(name, number, meaning) TASK_##name = (number),
#include "actors/saga/saga_states.def"
} task_state_t;

typedef enum saga_input_kind {
#define SAGA_INPUT(name, number, meaning) SAGA_INPUT_##name = (number),
#include "actors/saga/saga_states.def"
} saga_input_kind_t;

typedef enum command_phase {
    PHASE_ACT = 1,
    PHASE_UNDO = 2,
    PHASE_SETTLE = 3,
} command_phase_t;

typedef enum saga_effect_kind {
    SAGA_CALL,        /* a command for a participant */
    SAGA_START_CHILD, /* a saga of `definition`, `version`, with `input`; its id ends in the task */
    SAGA_CANCEL_CHILD, /* the child of that task is to be compensated */
} saga_effect_kind_t;

/* The slices point into the saga or its plan, and live until its next input. */
typedef struct saga_effect {
    saga_effect_kind_t kind;
    uint64_t task;
    command_phase_t phase;
    uint64_t attempt; /* of a child: how manieth time it is started */
    slice_t participant;
    slice_t action;
    slice_t input;
    slice_t result;
    int64_t timeout_us;
    slice_t definition;
    uint64_t version;
} saga_effect_t;

typedef struct saga_effects {
    saga_effect_t *list;
    size_t count;
    size_t capacity;
} saga_effects_t;

void saga_effects_fini(saga_effects_t *self);

typedef struct saga saga_t;

/* A new saga; it begins at once, or if it waits, with the input `turn`. `plan` must outlive it.
 * NULL: it is not known; such a saga is asleep: it accepts nothing, keeps what is applied to it,
 * and goes on from there when it is awake (S12). */
saga_t *saga_new(const plan_t *plan, const saga_begin_t *begin, saga_effects_t *effects);
void saga_destroy(saga_t **self_p);

void saga_awake(saga_t *self, const plan_t *plan);

/* Whether the input changes anything: only then it is written and applied. Errors: SAGA_ENDED,
 * SAGA_STATE (it does not fit what the saga is doing, or is an old answer), PIVOT_PASSED, LIMIT
 * (too many events or signals wait), EXISTS (the token of a signal is known),
 * UNKNOWN_DEFINITION (it is asleep). */
CAPSTAN_MUST_CHECK capstan_err_t saga_accepts(const saga_t *self, const saga_input_t *input);
/* Applies an input that was accepted; `input->sequence` is that of the saga plus 1. */
void saga_apply(saga_t *self, const saga_input_t *input, saga_effects_t *effects);
/* What is under way, once more: after a restart, and for a participant that has come back. */
void saga_resend(saga_t *self, saga_effects_t *effects);
/* When the input `time` is due; INT64_MAX: never. */
int64_t saga_due_us(const saga_t *self);

/* What is known of it; slices live until its next input. */
saga_phase_t saga_phase(const saga_t *self);
bool saga_has_ended(const saga_t *self); /* for good: nothing changes it any more */
const saga_begin_t *saga_begin_of(const saga_t *self);
uint64_t saga_sequence(const saga_t *self);
saga_row_t saga_row(const saga_t *self);
const plan_t *saga_plan(const saga_t *self); /* NULL: it is asleep */
/* Whether an action is under way, so that answers will come; if not, only time, events, signals and
 * people move it. */
bool saga_is_calling(const saga_t *self);
/* Bytes of memory, about. */
size_t saga_bytes(const saga_t *self);
/* Whether an event of that topic and partition was heard. */
bool saga_has_heard(const saga_t *self, slice_t topic, uint64_t partition, uint64_t offset);
/* A value by its path, for keys and attributes; false: there is nothing there. */
bool saga_value(const saga_t *self, slice_t path, slice_t *ret_value);
/* Appends the msgpack map of the results by name, or of what it was started with. */
void saga_values(const saga_t *self, buffer_t *out);

/* What a fork that begins at the task takes over: whatever succeeded before or beside that and
 * still stands, as a LIST of saga_taken; nothing when there is none. The fork, which is of `plan`,
 * does not do it again, and does not undo it: it stays the effect of this saga. Errors: SAGA_STATE
 * (it has not ended, or is a child, so that what it did might still be undone), NOT_FOUND (no such
 * task), INVALID (`plan` lacks the task's node or one before it), LIMIT (more than SAGA_TAKEN_MAX,
 * or _BYTES_MAX), UNKNOWN_DEFINITION (it is asleep). */
CAPSTAN_MUST_CHECK capstan_err_t saga_taken_before(const saga_t *self, uint64_t task,
                                                   const plan_t *plan, buffer_t *out);

/* As a record `saga_state`, and back; `plan` as in saga_new. Errors: STORE_CORRUPT. */
void saga_save(const saga_t *self, buffer_t *out);
CAPSTAN_MUST_CHECK capstan_err_t saga_load(const plan_t *plan, slice_t record, saga_t **ret_saga);

/* NULL, or the name of an invariant that does not hold (constant text, "S5" and so on first). */
const char *saga_check(const saga_t *self);

#endif
