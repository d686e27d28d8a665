/* What must hold of sagas (S1 to S14), evaluated while a world runs and at its end. */
#ifndef TESTS_SAGA_PREDICATES_H
#define TESTS_SAGA_PREDICATES_H

#include "actors/saga/saga_internal.h"
#include "tests/simulation/saga_world.h"

/* How often each step of the tables was taken, by the witnesses: each record counts once. */
typedef struct saga_steps {
    uint64_t sagas[SAGA_CANCELLED + 1][SAGA_CANCELLED + 1][SAGA_INPUT_complete + 1];
    uint64_t tasks[TASK_UNDOING + 1][TASK_UNDOING + 1];
} saga_steps_t;
extern saga_steps_t saga_steps;

/* A record was committed. */
void predicates_on_record(world_t *self, uint64_t lsn);
/* A command has come to a participant. */
void predicates_on_command(world_t *self, const sim_participant_t *participant, uint64_t epoch,
                           const saga_command_t *command);
/* A call of the core has had these effects. */
void predicates_on_effects(sim_shell_t *shell);
/* The core's own invariants. */
void predicate_of_core(sim_shell_t *shell);
/* What the core knows is what the log says: after recovery, and at the end. */
void predicate_is_witnessed(world_t *self, const saga_t *saga, const char *predicate);
/* Sagas whose time has come were told so. */
void predicate_of_deadlines(sim_shell_t *shell);
void predicates_judge(world_t *self);

/* saga_witness.c: the saga of that number as the log has it; NULL: none. */
witness_t *witness_find(const world_t *self, uint64_t number);
/* Its place, with or without a saga. */
witness_t *witness_make(world_t *self, uint64_t number);
witness_t *witness_of_id(const world_t *self, slice_t id);
witness_task_t *witness_task(witness_t *self, uint64_t task);
bool witness_is_undo(const saga_t *saga, uint64_t task, uint64_t phase);
bool witness_is_in_item(const saga_t *saga, const task_t *task);
bool witness_rests(const witness_t *self);
bool witness_took_over(witness_t *self, uint64_t task);
void witness_fini(witness_t *self);

#endif
