/* What must hold at the end, of the ledger of the participants, the records and the final states;
 * and what is looked at after each call of the core. */
#include "tests/simulation/saga_predicates.h"

#include <inttypes.h>

typedef unsigned long long ull;

enum { LATE_US = 2 * 1000 * 1000 }; /* a coordinator is back, and has caught up, by then */

/* --- effects of a task ------------------------------------------------------------------------ */

typedef struct landed {
    uint32_t acts;
    uint32_t undos;
    const effect_t *act;
    const effect_t *undo;
    const effect_t *closed;
} landed_t;

static landed_t find_effects(const world_t *self, uint64_t number, uint64_t task)
{
    landed_t landed = {0};
    for (size_t i = 0; i < self->history.effect_count; i++) {
        const effect_t *effect = &self->history.effects[i];
        if (effect->number != number || effect->task != task) {
            continue;
        }
        if (effect->kind == EFFECT_CLOSED) {
            landed.closed = effect;
        } else if (effect->phase == PHASE_ACT) {
            landed.acts++;
            landed.act = effect;
        } else {
            landed.undos++;
            landed.undo = effect;
        }
    }
    return landed;
}

/* --- S1 -------------------------------------------------------------------------------------- */

/* A compensatable effect that is not there any more: undone once. */
static bool is_undone(const landed_t *landed)
{
    return landed->acts == 0 || landed->undos == 1;
}

static void judge_end_of_task(world_t *self, witness_t *witness, uint64_t number)
{
    const saga_t *saga = witness->saga;
    const task_t *task = saga_task(saga, number);
    const plan_node_t *node = task_node(saga, task);
    const witness_task_t *own = witness_task(witness, number);
    landed_t landed = find_effects(self, saga->begin.number, number);
    bool step = node->kind == PLAN_STEP;
    bool kept = saga->phase == SAGA_COMPLETED && task->state == TASK_DONE;
    if (own->by_hand || (!step && node->kind != PLAN_CHILD)) {
        return;
    }
    bool right = step ? is_undone(&landed) || node->class == PLAN_READ
                      : landed.acts == (own->landed_lsn > 0 && node->class == PLAN_COMPENSATABLE);
    if (kept) {
        right = landed.acts == (step && !witness_took_over(witness, number)) && landed.undos == 0;
    }
    if (!right) {
        world_fail(self, "S1",
                   "saga %llu ended in state %d, task %llu in %d: %u effects, %u undone",
                   (ull)saga->begin.number, (int)saga->phase, (ull)number, (int)task->state,
                   landed.acts, landed.undos);
    }
}

static bool has_ended_at_a_node(const saga_t *saga)
{
    for (uint32_t i = 0; i < saga->count; i++) {
        if (task_node(saga, &saga->tasks[i])->kind == PLAN_END) {
            return true;
        }
    }
    return false;
}

static uint64_t children_done(const saga_t *saga, uint32_t parent, uint32_t node)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < saga->count; i++) {
        const task_t *task = &saga->tasks[i];
        count += task->parent == parent && task->node == node && task->state == TASK_DONE;
    }
    return count;
}

static bool is_given_up(const saga_t *saga, const task_t *task)
{
    while (task && !(task_is_item(saga, task) && task->state == TASK_DROPPED)) {
        task = saga_task(saga, task->parent);
    }
    return task != NULL;
}

/* A node that is done has done what it contains. */
static void judge_required(world_t *self, witness_t *witness, uint32_t number)
{
    const saga_t *saga = witness->saga;
    const task_t *task = saga_task(saga, number);
    const plan_node_t *node = task_node(saga, task);
    bool item = task_is_item(saga, task);
    bool listed = node->kind == PLAN_SEQUENCE || node->kind == PLAN_PARALLEL ||
                  node->kind == PLAN_BRANCH || item;
    uint64_t missing = 0;
    if (task->state != TASK_DONE || witness_task(witness, number)->by_hand ||
        is_given_up(saga, task)) {
        return;
    }
    for (uint32_t i = node->first; listed && i != PLAN_NONE; i = saga->plan->nodes[i].next) {
        missing += children_done(saga, number, i) != 1;
    }
    if (node->kind == PLAN_EACH && !item) {
        uint64_t items = value_count(task->input);
        uint64_t needed = node->needed > 0 && node->needed < items ? node->needed : items;
        missing += children_done(saga, number, task->node) < needed;
    }
    if (missing > 0) {
        world_fail(self, "S1", "saga %llu is completed, and %llu nodes in task %u are not done",
                   (ull)saga->begin.number, (ull)missing, number);
    }
}

static void predicate_S1(world_t *self, witness_t *witness)
{
    const saga_t *saga = witness->saga;
    bool completed = saga->phase == SAGA_COMPLETED;
    if (witness->by_hand || (!completed && saga->phase != SAGA_COMPENSATED)) {
        return;
    }
    if (saga->outcome.size == 0 && saga->count > 0) {
        world_fail(self, "S1", "saga %llu ended without an outcome", (ull)saga->begin.number);
    }
    bool by_node = has_ended_at_a_node(saga);
    for (uint32_t number = 1; number <= saga->count; number++) {
        judge_end_of_task(self, witness, number);
        if (completed && !by_node) {
            judge_required(self, witness, number);
        }
    }
}

/* What a fork took over stands: the saga that it was forked from did it, and has not undone it. */
static void judge_taken(world_t *self, witness_t *witness, uint32_t number)
{
    const saga_t *saga = witness->saga;
    const task_t *task = saga_task(saga, number);
    const witness_t *origin = witness_of_id(self, saga->begin.origin);
    uint64_t stands = 0;
    for (uint32_t i = 0; origin && i < origin->saga->count; i++) {
        const task_t *done = &origin->saga->tasks[i];
        stands += done->node == task->node && done->state == TASK_DONE &&
                  slice_equal(done->result, task->result);
    }
    if (stands == 0) {
        world_fail(self, "S1", "fork %llu took task %u over, which does not stand",
                   (ull)saga->begin.number, number);
    }
}

static void predicate_of_forks(world_t *self, witness_t *witness)
{
    const saga_t *saga = witness->saga;
    for (uint32_t number = 1; saga->begin.taken.size > 0 && number <= saga->count; number++) {
        const task_t *task = saga_task(saga, number);
        if (task->state == TASK_DONE && task_is_action(saga, task) &&
            witness_took_over(witness, number)) {
            judge_taken(self, witness, number);
        }
    }
}

/* --- S4, S6, S8: the ledger --------------------------------------------------------------------
 */

static void predicate_S4(world_t *self)
{
    for (size_t i = 0; i < self->history.effect_count; i++) {
        const effect_t *effect = &self->history.effects[i];
        for (size_t k = i + 1; k < self->history.effect_count; k++) {
            const effect_t *other = &self->history.effects[k];
            if (other->number != effect->number || other->task != effect->task ||
                other->saga != effect->saga) {
                continue;
            }
            if (effect->kind == EFFECT_DONE && other->kind == EFFECT_DONE &&
                other->phase == effect->phase) {
                world_fail(self, "S4", "%llu.%llu has two effects of phase %llu",
                           (ull)effect->number, (ull)effect->task, (ull)effect->phase);
            }
            if (effect->kind == EFFECT_CLOSED && other->kind == EFFECT_DONE &&
                other->phase == PHASE_ACT) {
                world_fail(self, "S6", "%llu.%llu has an effect behind its tombstone",
                           (ull)effect->number, (ull)effect->task);
            }
        }
    }
}

/* What was not answered for good is in doubt, not failed. */
static void predicate_S6(world_t *self, witness_t *witness)
{
    const saga_t *saga = witness->saga;
    for (uint32_t number = 1; number <= saga->count; number++) {
        const task_t *task = saga_task(saga, number);
        const witness_task_t *own = witness_task(witness, number);
        bool given_up = task->state == TASK_FAILED || task->state == TASK_DROPPED;
        if (given_up && task_node(saga, task)->kind == PLAN_STEP &&
            task_node(saga, task)->class == PLAN_COMPENSATABLE && own->called && !own->refused &&
            !witness->by_hand) {
            world_fail(self, "S6", "%llu.%u counts as failed, and nobody said so",
                       (ull)saga->begin.number, number);
        }
    }
}

static void predicate_S8(world_t *self)
{
    for (size_t i = 0; i < self->history.effect_count; i++) {
        const effect_t *effect = &self->history.effects[i];
        if (effect->epoch < effect->epoch_heard) {
            world_fail(self, "S8", "%llu.%llu has an effect of epoch %llu behind epoch %llu",
                       (ull)effect->number, (ull)effect->task, (ull)effect->epoch,
                       (ull)effect->epoch_heard);
        }
    }
}

/* --- S5, S7 ---------------------------------------------------------------------------------- */

/* When the task's action landed; what is in doubt comes behind all that did. */
static uint64_t rank(const world_t *self, witness_t *witness, uint64_t task)
{
    uint64_t landed = witness_task(witness, task)->landed_lsn;
    return landed > 0 && landed <= witness->undo_lsn ? landed : self->disk.count + task;
}

static uint64_t first_undo_lsn(const witness_t *witness, uint64_t task)
{
    for (size_t i = 0; i < witness->command_count; i++) {
        const witness_command_t *command = &witness->commands[i];
        if (command->task == task && witness_is_undo(witness->saga, task, command->phase)) {
            return witness->commands[i].lsn;
        }
    }
    return 0;
}

static void judge_data(world_t *self, witness_t *witness, const effect_t *undo)
{
    witness_task_t *task = witness_task(witness, undo->task);
    landed_t landed = find_effects(self, undo->number, undo->task);
    uint64_t first_lsn = first_undo_lsn(witness, undo->task);
    bool known = task->landed_lsn > 0 && task->landed_lsn <= first_lsn;
    uint64_t result = known ? task->landed_hash : world_hash((slice_t){0});
    bool same = !landed.act || landed.act->input == undo->input;
    if (undo->result != result || !same) {
        world_fail(self, "S5", "%llu.%llu is undone with other data than it was done with",
                   (ull)undo->number, (ull)undo->task);
    }
}

static void predicate_S5(world_t *self, witness_t *witness)
{
    const saga_t *saga = witness->saga;
    bool reverse = saga->plan->undo_order == PLAN_UNDO_REVERSE && !witness->skipped;
    const effect_t *last = NULL;
    for (size_t i = 0; i < self->history.effect_count; i++) {
        const effect_t *effect = &self->history.effects[i];
        if (effect->number != saga->begin.number || effect->kind != EFFECT_DONE ||
            !witness_is_undo(saga, effect->task, effect->phase)) {
            continue;
        }
        if (effect->phase == PHASE_UNDO) {
            judge_data(self, witness, effect);
        }
        uint64_t lsn = first_undo_lsn(witness, effect->task);
        bool in_item = witness_is_in_item(saga, saga_task(saga, effect->task));
        if (witness->undo_lsn == 0 || lsn < witness->undo_lsn + in_item ||
            witness_task(witness, effect->task)->early) {
            continue; /* of an item of an each, on the way */
        }
        if (reverse && last &&
            rank(self, witness, effect->task) > rank(self, witness, last->task)) {
            world_fail(self, "S5", "saga %llu: task %llu is undone behind task %llu",
                       (ull)saga->begin.number, (ull)effect->task, (ull)last->task);
        }
        last = effect;
    }
}

static void predicate_S7(world_t *self, witness_t *witness)
{
    const saga_t *saga = witness->saga;
    if (witness->pivot_lsn > 0 && saga->phase == SAGA_COMPENSATED) {
        world_fail(self, "S7", "saga %llu is compensated, and its pivot has landed",
                   (ull)saga->begin.number);
    }
    for (uint32_t number = 1; number <= saga->count && saga->phase == SAGA_COMPENSATED; number++) {
        const plan_node_t *node = task_node(saga, saga_task(saga, number));
        landed_t landed = find_effects(self, saga->begin.number, number);
        if (node->class == PLAN_PIVOT && landed.acts > 0 &&
            !witness_task(witness, number)->by_hand) {
            world_fail(self, "S7", "saga %llu is compensated, and its pivot %u has its effect",
                       (ull)saga->begin.number, number);
        }
    }
}

/* --- S9: what recovery finds -------------------------------------------------------------------
 */

void predicate_is_witnessed(world_t *self, const saga_t *saga, const char *predicate)
{
    uint64_t number = saga_begin_of(saga)->number;
    const witness_t *witness = witness_find(self, number);
    buffer_t own = {0};
    buffer_t witnessed = {0};
    if (!witness) {
        world_fail(self, predicate, "saga %llu is known, and no record began it", (ull)number);
        return;
    }
    saga_save(saga, &own);
    saga_save(witness->saga, &witnessed);
    if (!slice_equal(buffer_slice(&own), buffer_slice(&witnessed))) {
        world_fail(self, predicate,
                   "saga %llu is not as the log has it: sequence %llu of %llu, state %d of %d",
                   (ull)number, (ull)saga_sequence(saga), (ull)saga_sequence(witness->saga),
                   (int)saga_phase(saga), (int)saga_phase(witness->saga));
    }
    buffer_fini(&own);
    buffer_fini(&witnessed);
}

void predicate_of_deadlines(sim_shell_t *shell)
{
    world_t *world = shell->world;
    int64_t now_us = sim_shell_utc(shell);
    size_t position = 0;
    const saga_t *saga;
    while ((saga = coordinator_next(shell->core, &position)) && !world->clocks_are_wrong) {
        int64_t deadline_us = saga->begin.deadline_us;
        bool forward = saga->phase == SAGA_RUNNING || saga->phase == SAGA_WAITING;
        if (saga->plan && forward && !saga->paused && !saga->late && deadline_us != 0 &&
            deadline_us + LATE_US < now_us) {
            world_fail(world, "S9", "saga %llu goes forward %lld us behind its deadline",
                       (ull)saga->begin.number, (long long)(now_us - deadline_us));
        }
    }
}

/* --- after each call of the core ----------------------------------------------------------------
 */

static const char *name_of(const char *fault, char name[16])
{
    size_t size = strcspn(fault, ":");
    snprintf(name, 16, "%.*s", (int)(size < 15 ? size : 15), fault);
    static const char *const names[] = {"S1", "S5", "S7", "tree", "lock", "turns", "bounds"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0) {
            return names[i];
        }
    }
    return "S13";
}

/* One that lost its epoch reads rows of the one that has it: what it makes of them goes nowhere. */
static bool is_fenced(const sim_shell_t *shell)
{
    return shell->epoch != shell->world->disk.epoch;
}

void predicate_of_core(sim_shell_t *shell)
{
    char name[16];
    const char *fault = is_fenced(shell) ? NULL : coordinator_check(shell->core);
    if (fault) {
        world_fail(shell->world, name_of(fault, name), "%s", fault);
    }
}

void predicates_on_effects(sim_shell_t *shell)
{
    world_t *world = shell->world;
    char name[16];
    for (size_t i = 0; i < shell->effects.count && !is_fenced(shell); i++) {
        const coordinator_effect_t *effect = &shell->effects.list[i];
        const saga_t *saga = coordinator_get(shell->core, effect->number);
        const char *fault = saga ? saga_check(saga) : NULL;
        if (fault) {
            world_fail(world, name_of(fault, name), "saga %llu: %s", (ull)effect->number, fault);
        }
    }
    random_source_t *random = core_world_random(world->simulation);
    if (random_below(random, 24) == 0) {
        predicate_of_core(shell);
    }
}

/* --- S11, S13 -------------------------------------------------------------------------------- */

static void predicate_S11(world_t *self)
{
    for (uint32_t i = 0; i < self->client.start_count; i++) {
        const sim_start_t *start = &self->client.starts[i];
        const witness_t *witness = witness_of_id(self, slice_text(start->id));
        if (start->accepted == 0) {
            continue;
        }
        if (!witness) {
            world_fail(self, "S3", "%s was answered as started, and is not on disk", start->id);
            continue;
        }
        const saga_begin_t *begin = saga_begin_of(witness->saga);
        slice_t input = buffer_slice(start->accepted == 1 ? &start->input : &start->other);
        if (begin->number != start->number || !slice_equal(begin->input, input) ||
            begin->version != start->accepted_version) {
            world_fail(self, "S11", "%s was answered as another saga", start->id);
        }
    }
}

static void predicate_S13(world_t *self, const witness_t *witness)
{
    const saga_t *saga = witness->saga;
    for (uint32_t i = 0; i < saga->count && !witness_rests(witness); i++) {
        const task_t *task = &saga->tasks[i];
        world_trace(self, "saga %llu task %u: node %u of kind %d, state %d, due %lld",
                    (ull)saga->begin.number, i + 1, task->node, (int)task_node(saga, task)->kind,
                    (int)task->state, (long long)task->due_us);
    }
    if (!witness_rests(witness)) {
        world_fail(self, "S13", "saga %llu is in state %d, and does not come to rest",
                   (ull)saga->begin.number, (int)saga->phase);
    }
}

/* A row, once its definition is known, is as the log has it, or older. */
static void judge_row(world_t *self, const disk_row_t *row)
{
    const witness_t *witness = witness_find(self, row->number);
    saga_t *saga = NULL;
    if (!witness) {
        world_fail(self, "S8", "row %llu is of a saga that no record began", (ull)row->number);
        return;
    }
    capstan_err_t err = saga_load(witness->saga->plan, buffer_slice(&row->value), &saga);
    ENSURE(err == CAPSTAN_OK);
    if (saga_sequence(saga) > saga_sequence(witness->saga)) {
        world_fail(self, "S8", "row %llu knows more than the log", (ull)row->number);
    } else if (saga_sequence(saga) == saga_sequence(witness->saga)) {
        predicate_is_witnessed(self, saga, witness->ended_lsn > 0 ? "S2" : "S9");
    }
    saga_destroy(&saga);
}

void predicates_judge(world_t *self)
{
    bool rests = self->history.failure_count == 0;
    predicate_S4(self);
    predicate_S8(self);
    for (size_t i = 0; i < self->disk.row_count; i++) {
        judge_row(self, &self->disk.rows[i]);
    }
    predicate_S11(self);
    for (uint64_t number = 1; number <= self->history.witness_count; number++) {
        witness_t *witness = witness_find(self, number);
        if (!witness) {
            continue;
        }
        self->figures.sagas++;
        self->figures.ends[saga_phase(witness->saga)]++;
        predicate_S1(self, witness);
        predicate_of_forks(self, witness);
        predicate_S5(self, witness);
        predicate_S6(self, witness);
        predicate_S7(self, witness);
        if (rests) {
            predicate_S13(self, witness);
        }
    }
}
