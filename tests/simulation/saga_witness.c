/* The witnesses: each saga as its committed records make it, one record at a time, and what must
 * hold of each record. The same core makes them as the coordinator's, but what is counted here is
 * counted from the records and what they lead to. */
#include "tests/simulation/saga_predicates.h"

typedef unsigned long long ull;

saga_steps_t saga_steps;
static saga_input_kind_t input_at_hand;
static bool is_counting;

/* --- steps of the tables ---------------------------------------------------------------------- */

void __real_saga_move(saga_t *self, saga_phase_t to);
void __wrap_saga_move(saga_t *self, saga_phase_t to);
void __real_task_move(saga_t *self, task_t *task, task_state_t to);
void __wrap_task_move(saga_t *self, task_t *task, task_state_t to);

void __wrap_saga_move(saga_t *self, saga_phase_t to)
{
    saga_steps.sagas[self->phase][to][input_at_hand] += is_counting;
    __real_saga_move(self, to);
}

void __wrap_task_move(saga_t *self, task_t *task, task_state_t to)
{
    saga_steps.tasks[task->state][to] += is_counting;
    __real_task_move(self, task, to);
}

/* --- witnesses -------------------------------------------------------------------------------- */

witness_t *witness_find(const world_t *self, uint64_t number)
{
    const history_t *history = &self->history;
    bool known = number > 0 && number <= history->witness_count;
    return known && history->witnesses[number - 1].saga ? &history->witnesses[number - 1] : NULL;
}

witness_t *witness_of_id(const world_t *self, slice_t id)
{
    for (uint64_t number = 1; number <= self->history.witness_count; number++) {
        witness_t *witness = witness_find(self, number);
        if (witness && slice_equal(saga_begin_of(witness->saga)->id, id)) {
            return witness;
        }
    }
    return NULL;
}

witness_task_t *witness_task(witness_t *self, uint64_t task)
{
    if (task > self->task_count) {
        self->tasks = realloc(self->tasks, task * sizeof *self->tasks);
        ENSURE(self->tasks);
        memset(&self->tasks[self->task_count], 0, (task - self->task_count) * sizeof *self->tasks);
        self->task_count = task;
    }
    return &self->tasks[task - 1];
}

/* Done, and never asked for: of a fork. */
bool witness_took_over(witness_t *self, uint64_t task)
{
    const witness_task_t *own = witness_task(self, task);
    return self->saga->begin.taken.size > 0 && !own->called && !own->by_hand &&
           own->landed_lsn == 0;
}

bool witness_rests(const witness_t *self)
{
    return saga_has_ended(self->saga) || saga_phase(self->saga) == SAGA_PARKED;
}

void witness_fini(witness_t *self)
{
    saga_destroy(&self->saga);
    free(self->commands);
    free(self->tasks);
}

witness_t *witness_make(world_t *self, uint64_t number)
{
    history_t *history = &self->history;
    if (number > history->witness_count) {
        history->witnesses = realloc(history->witnesses, number * sizeof *history->witnesses);
        ENSURE(history->witnesses);
        memset(&history->witnesses[history->witness_count], 0,
               (number - history->witness_count) * sizeof *history->witnesses);
        history->witness_count = number;
    }
    return &history->witnesses[number - 1];
}

/* --- what a record leads to --------------------------------------------------------------------
 */

/* The least wait before another attempt, after so many. */
static int64_t least_wait_us(const plan_retry_t *retry, uint64_t attempts)
{
    double wait = (double)retry->initial_us;
    for (uint64_t i = 1; i < attempts; i++) {
        wait *= retry->factor_percent / 100.0;
    }
    wait = wait < (double)retry->max_us ? wait : (double)retry->max_us;
    return (int64_t)(wait * (1.0 - retry->jitter_percent / 100.0));
}

/* A child's compensation is an action, and the only one of its task. */
bool witness_is_undo(const saga_t *saga, uint64_t task, uint64_t phase)
{
    return phase == PHASE_UNDO || task_node(saga, saga_task(saga, task))->kind == PLAN_CHILD;
}

static void judge_attempt(world_t *self, witness_t *witness, const saga_effect_t *effect,
                          int64_t at_us)
{
    const saga_t *saga = witness->saga;
    const plan_node_t *node = task_node(saga, saga_task(saga, effect->task));
    const plan_retry_t *retry = effect->phase == PHASE_ACT && node->kind == PLAN_STEP
                                    ? &node->retry
                                    : &saga->plan->undo_retry;
    witness_task_t *task = witness_task(witness, effect->task);
    uint64_t attempts = ++task->attempts[effect->phase];
    task->called = task->called || effect->phase == PHASE_ACT;
    if (attempts > retry->attempts_max) {
        world_fail(self, "S14", "saga %llu task %llu phase %d: attempt %llu of %llu",
                   (ull)saga->begin.number, (ull)effect->task, (int)effect->phase, (ull)attempts,
                   (ull)retry->attempts_max);
    }
    int64_t wait_us = at_us - task->sent_us[effect->phase];
    if (attempts > 1 && !self->clocks_are_wrong && wait_us < least_wait_us(retry, attempts - 1)) {
        world_fail(self, "S14", "saga %llu task %llu phase %d: attempt %llu after %lld us",
                   (ull)saga->begin.number, (ull)effect->task, (int)effect->phase, (ull)attempts,
                   (long long)wait_us);
    }
    task->sent_us[effect->phase] = at_us;
}

bool witness_is_in_item(const saga_t *saga, const task_t *task)
{
    while (task && !task_is_item(saga, task)) {
        task = saga_task(saga, task->parent);
    }
    return task != NULL;
}

static void judge_undo(world_t *self, witness_t *witness, const saga_effect_t *effect)
{
    const saga_t *saga = witness->saga;
    witness_task_t *task = witness_task(witness, effect->task);
    const task_t *own = saga_task(saga, effect->task);
    if (witness->pivot_lsn > 0 && !witness_is_in_item(saga, own)) {
        world_fail(self, "S7", "saga %llu task %llu is undone, and the pivot has landed",
                   (ull)saga->begin.number, (ull)effect->task);
    }
    if (task->refused ||
        (!task->called && task->landed_lsn == 0 && task_node(saga, own)->kind == PLAN_STEP)) {
        world_fail(self, "S5", "saga %llu task %llu is undone, and never had an effect",
                   (ull)saga->begin.number, (ull)effect->task);
    }
}

static void note_command(witness_t *witness, const saga_effect_t *effect, uint64_t lsn)
{
    if (witness->command_count == witness->command_capacity) {
        witness->command_capacity =
            witness->command_capacity > 0 ? 2 * witness->command_capacity : 8;
        witness->commands =
            realloc(witness->commands, witness->command_capacity * sizeof *witness->commands);
        ENSURE(witness->commands);
    }
    witness->commands[witness->command_count++] =
        (witness_command_t){.task = effect->task,
                            .phase = effect->phase,
                            .attempt = effect->attempt,
                            .hash = world_hash(effect->input) ^ (3 * world_hash(effect->result)),
                            .lsn = lsn};
}

static void note_effects(world_t *self, witness_t *witness, const saga_effects_t *effects,
                         uint64_t lsn, int64_t at_us)
{
    for (size_t i = 0; i < effects->count; i++) {
        const saga_effect_t *effect = &effects->list[i];
        if (witness->paused_lsn > 0) {
            world_fail(self, "S10", "saga %llu task %llu is dispatched while it is paused",
                       (ull)saga_begin_of(witness->saga)->number, (ull)effect->task);
        }
        if (effect->kind != SAGA_CALL) {
            continue;
        }
        judge_attempt(self, witness, effect, at_us);
        if (witness_is_undo(witness->saga, effect->task, effect->phase)) {
            judge_undo(self, witness, effect);
        }
        note_command(witness, effect, lsn);
    }
}

/* --- inputs ---------------------------------------------------------------------------------- */

static void note_answer(witness_t *witness, const saga_input_t *input, uint64_t lsn)
{
    witness_task_t *task = witness_task(witness, input->task);
    const task_t *own = saga_task(witness->saga, input->task);
    if (input->phase != 0 && witness_is_undo(witness->saga, input->task, input->phase)) {
        return;
    }
    if (input->kind == SAGA_INPUT_done) {
        task->landed_lsn = lsn;
        task->landed_hash = world_hash(input->value);
        if (task_node(witness->saga, own)->class == PLAN_PIVOT) {
            witness->pivot_lsn = lsn;
        }
    } else if (input->kind == SAGA_INPUT_refused || input->kind == SAGA_INPUT_never) {
        task->refused = true;
    }
}

/* A person wants it tried again, or says what it counts as. */
static void note_by_hand(witness_t *witness, const saga_input_t *input)
{
    const saga_t *saga = witness->saga;
    for (uint32_t number = 1; number <= saga->count; number++) {
        task_state_t state = saga_task(saga, number)->state;
        if ((state != TASK_STUCK && state != TASK_UNDO_STUCK) ||
            (input->task != 0 && input->task != number)) {
            continue;
        }
        witness_task_t *task = witness_task(witness, number);
        if (input->kind == SAGA_INPUT_skip) {
            task->by_hand = true;
        } else {
            memset(task->attempts, 0, sizeof task->attempts);
        }
    }
}

static void note_place(world_t *self, witness_t *witness, const saga_input_t *input)
{
    saga_place_t place;
    ENSURE(codec_decode(saga_place_wire(), input->place, &place, NULL) == CAPSTAN_OK);
    uint32_t topic = (uint32_t)(((const char *)place.topic.data)[place.topic.size - 1] - '0');
    uint64_t *heard = &witness->places[topic % 4][place.partition % 4];
    if (place.offset <= *heard) {
        world_fail(self, "S4", "saga %llu heard event %llu again",
                   (ull)saga_begin_of(witness->saga)->number, (ull)place.offset);
    }
    *heard = place.offset;
}

static void note_input(world_t *self, witness_t *witness, const saga_input_t *input, uint64_t lsn)
{
    switch ((saga_input_kind_t)input->kind) {
    case SAGA_INPUT_done:
    case SAGA_INPUT_failed:
    case SAGA_INPUT_refused:
    case SAGA_INPUT_never:
    case SAGA_INPUT_busy:
        note_answer(witness, input, lsn);
        break;
    case SAGA_INPUT_event:
        note_place(self, witness, input);
        break;
    case SAGA_INPUT_pause:
        witness->paused_lsn = lsn;
        break;
    case SAGA_INPUT_abandon:
    case SAGA_INPUT_complete:
        witness->by_hand = true;
        witness->paused_lsn = 0;
        break;
    case SAGA_INPUT_resume:
    case SAGA_INPUT_cancel:
        witness->paused_lsn = 0;
        break;
    case SAGA_INPUT_retry:
    case SAGA_INPUT_skip:
        witness->skipped = witness->skipped || input->kind == SAGA_INPUT_skip;
        note_by_hand(witness, input);
        witness->undo_us = input->at_us;
        break;
    case SAGA_INPUT_turn:
    case SAGA_INPUT_time:
    case SAGA_INPUT_signal:
        break;
    }
}

static bool is_stuck(const saga_t *saga)
{
    for (uint32_t i = 0; i < saga->count; i++) {
        if (saga->tasks[i].state == TASK_UNDO_STUCK || saga->tasks[i].state == TASK_STUCK) {
            return true;
        }
    }
    return false;
}

/* Time moves a saga when it has come, not before. */
static void judge_time(world_t *self, const witness_t *witness, const saga_input_t *input,
                       bool was_late)
{
    const saga_t *saga = witness->saga;
    int64_t deadline_us = saga->begin.deadline_us;
    if (saga->late && !was_late && (deadline_us == 0 || input->at_us < deadline_us)) {
        world_fail(self, "S9", "saga %llu is late before its deadline", (ull)saga->begin.number);
    }
    int64_t budget_us = saga->plan->undo_deadline_us;
    if (saga->phase == SAGA_PARKED && witness->undo_lsn > 0 && !is_stuck(saga) &&
        (budget_us == 0 || input->at_us < witness->undo_us + budget_us)) {
        world_fail(self, "S9", "saga %llu parks before the time for its compensation is up",
                   (ull)saga->begin.number);
    }
}

static void judge_phase(world_t *self, witness_t *witness, const saga_input_t *input,
                        saga_phase_t before, uint64_t lsn)
{
    const saga_t *saga = witness->saga;
    saga_phase_t after = saga_phase(saga);
    if (after == SAGA_COMPENSATING && witness->undo_lsn == 0) {
        witness->undo_lsn = lsn;
        witness->undo_us = input->at_us;
    }
    if (saga->undo_us != 0 && witness->undo_lsn == 0) {
        witness->undo_lsn = lsn; /* it was compensated at once */
    }
    if (after == SAGA_PARKED && before != SAGA_PARKED && witness->alerted < input->sequence) {
        world_fail(self, "S14", "saga %llu is parked, and no alert was raised",
                   (ull)saga->begin.number);
    }
    if (input->kind == SAGA_INPUT_cancel &&
        (after == SAGA_WAITING || (after == SAGA_RUNNING && !saga->failing))) {
        world_fail(self, "S10", "saga %llu goes on after it was cancelled",
                   (ull)saga->begin.number);
    }
    if (saga_has_ended(saga)) {
        witness->ended_lsn = lsn;
    }
}

/* --- records --------------------------------------------------------------------------------- */

/* What is being undone while the saga goes forward: of items that were given up. */
static void note_early(witness_t *witness)
{
    for (uint32_t i = 0; i < witness->saga->count && witness->undo_lsn == 0; i++) {
        task_state_t state = witness->saga->tasks[i].state;
        witness_task(witness, i + 1)->early =
            state == TASK_UNDO_CALLING || state == TASK_UNDO_BACKOFF || state == TASK_UNDO_STUCK;
    }
}

static void take_input(world_t *self, const saga_input_t *input, uint64_t lsn)
{
    witness_t *witness = witness_find(self, input->number);
    if (!witness) {
        world_fail(self, "S3", "saga %llu hears something, and was never begun",
                   (ull)input->number);
        return;
    }
    saga_t *saga = witness->saga;
    if (witness->ended_lsn > 0) {
        world_fail(self, "S2", "saga %llu has ended, and hears %d", (ull)input->number,
                   (int)input->kind);
        return;
    }
    if (self->disk.epoch == self->withheld_epoch && saga->plan == self->withheld) {
        world_fail(self, "S12", "saga %llu is advanced, and its definition is not known",
                   (ull)input->number);
    }
    if (input->sequence != saga_sequence(saga) + 1 || saga_accepts(saga, input) != CAPSTAN_OK) {
        world_fail(self, "S2", "saga %llu: input %llu of kind %d changes nothing",
                   (ull)input->number, (ull)input->sequence, (int)input->kind);
        return;
    }
    saga_effects_t effects = {0};
    saga_phase_t before = saga_phase(saga);
    bool was_late = saga->late;
    note_input(self, witness, input, lsn);
    note_early(witness);
    input_at_hand = (saga_input_kind_t)input->kind;
    is_counting = true;
    saga_apply(saga, input, &effects);
    is_counting = false;
    world_trace(self,
                "record %llu: saga %llu hears %d of task %llu, phase %llu, and is in state %d",
                (ull)lsn, (ull)input->number, (int)input->kind, (ull)input->task, (ull)input->phase,
                (int)saga->phase);
    note_effects(self, witness, &effects, lsn, input->at_us);
    judge_phase(self, witness, input, before, lsn);
    if (input->kind == SAGA_INPUT_time) {
        judge_time(self, witness, input, was_late);
    }
    saga_effects_fini(&effects);
}

static void judge_child(world_t *self, const saga_begin_t *begin)
{
    const witness_t *parent = witness_find(self, begin->parent);
    int64_t deadline_us = parent ? saga_begin_of(parent->saga)->deadline_us : 0;
    if (begin->parent > 0 && !parent) {
        world_fail(self, "S3", "child %llu begins before its parent", (ull)begin->number);
    }
    if (deadline_us > 0 && (begin->deadline_us == 0 || begin->deadline_us > deadline_us)) {
        world_fail(self, "S9", "child %llu may take longer than its parent", (ull)begin->number);
    }
}

static void take_begin(world_t *self, const saga_begin_t *begin, uint64_t lsn)
{
    const plan_t *plan = world_plan(self, begin->definition, begin->version);
    if (witness_find(self, begin->number)) {
        world_fail(self, "S2", "saga %llu begins twice", (ull)begin->number);
        return;
    }
    if (witness_of_id(self, begin->id)) {
        world_fail(self, "S11", "id %.*s is begun twice", (int)begin->id.size,
                   (const char *)begin->id.data);
    }
    ENSURE(plan);
    judge_child(self, begin);
    saga_effects_t effects = {0};
    witness_t *witness = witness_make(self, begin->number);
    input_at_hand = SAGA_INPUT_turn;
    is_counting = true;
    witness->saga = saga_new(plan, begin, &effects);
    is_counting = false;
    world_trace(self, "record %llu: saga %llu is %.*s of %.*s %llu, key %.*s, and is in state %d",
                (ull)lsn, (ull)begin->number, (int)begin->id.size, (const char *)begin->id.data,
                (int)begin->definition.size, (const char *)begin->definition.data,
                (ull)begin->version, (int)begin->key.size, (const char *)begin->key.data,
                (int)saga_phase(witness->saga));
    if (begin->place.size > 0) {
        note_place(self, witness, &(saga_input_t){.place = begin->place});
    }
    note_effects(self, witness, &effects, lsn, begin->at_us);
    judge_phase(self, witness, &(saga_input_t){.at_us = begin->at_us}, SAGA_WAITING, lsn);
    saga_effects_fini(&effects);
}

void predicates_on_record(world_t *self, uint64_t lsn)
{
    const disk_record_t *record = &self->disk.log[lsn - 1];
    slice_t data = slice_of(record->data, record->size);
    saga_begin_t begin;
    saga_input_t input;
    if (record->epoch != self->disk.epoch) {
        world_fail(self, "S8", "epoch %llu writes record %llu, and %llu is the present one",
                   (ull)record->epoch, (ull)lsn, (ull)self->disk.epoch);
    }
    if (record->kind == RECORD_saga_begin) {
        ENSURE(codec_decode(saga_begin_wire(), data, &begin, NULL) == CAPSTAN_OK);
        take_begin(self, &begin, lsn);
    } else if (record->kind == RECORD_saga_input) {
        ENSURE(codec_decode(saga_input_wire(), data, &input, NULL) == CAPSTAN_OK);
        take_input(self, &input, lsn);
    }
}

void predicates_on_command(world_t *self, const sim_participant_t *participant, uint64_t epoch,
                           const saga_command_t *command)
{
    const witness_t *witness = witness_find(self, command->number);
    uint64_t hash = world_hash(command->input) ^ (3 * world_hash(command->result));
    bool found = false;
    for (size_t i = 0; witness && i < witness->command_count; i++) {
        const witness_command_t *wanted = &witness->commands[i];
        found = found || (wanted->task == command->task && wanted->phase == command->phase &&
                          wanted->attempt == command->attempt && wanted->hash == hash);
    }
    world_trace(self, "p%u gets %llu.%llu phase %llu attempt %llu of epoch %llu",
                participant->index, (ull)command->number, (ull)command->task, (ull)command->phase,
                (ull)command->attempt, (ull)epoch);
    if (!found) {
        world_fail(self, "S3", "command %llu.%llu phase %llu attempt %llu: no record leads to it",
                   (ull)command->number, (ull)command->task, (ull)command->phase,
                   (ull)command->attempt);
    } else if (epoch == self->withheld_epoch && witness->saga->plan == self->withheld) {
        world_fail(self, "S12", "command %llu.%llu comes from who does not know its definition",
                   (ull)command->number, (ull)command->task);
    }
}
