/* The supervision core in virtual time, with children that fail in every way and news that crosses.
 *
 *   usage: supervision_simulation, as seeds.h says
 *
 * A world has one supervisor of some children, each with a temper: how often its init fails, how
 * long it lives, how it ends, how long it takes to stop or whether it has to be killed. Starts,
 * stops and news take their time, in order for each child. Children are added and removed at
 * random. In the end the tempers are cured and the supervisor is left alone, or it is told to stop.
 *
 * The predicates are judged by what the world saw and by the news that it gave, never by the state
 * of the core:
 *
 *   T1  no child runs twice at once
 *   T2  a child starts only when those before it are up (one_for_one: the first time)
 *   T3  those that stop together do so one at a time, the last one first
 *   T4  no child is restarted for its own sake more often than its budget allows, and the
 *       supervisor gives up only when a budget is used up
 *   T5  no restart comes before its delay, and the delay is within its bounds
 *   T6  in the end the supervisor runs with every child up that should be, or is stopped or
 *       escalated with none
 *   T7  what should not be started again is not
 *   T8  a crash loop is told twice, and not again before the child ran well */
#include "tests/simulation/seeds.h"
#include "tests/simulation/supervision_world.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct totals {
    uint64_t child_steps[CHILD_STATE_COUNT][CHILD_INPUT_COUNT];
    uint64_t supervisor_steps[SUPERVISOR_STATE_COUNT][SUPERVISOR_INPUT_COUNT];
    uint64_t ends[WORLD_END_COUNT];
    uint64_t starts;
} totals_t;

static bool run_seed(const seeds_options_t *options, uint64_t seed, void *context,
                     uint64_t *ret_hash)
{
    totals_t *totals = context;
    world_t *world = world_new(seed);
    (void)options;
    world_run(world);
    for (size_t i = 0; i < CHILD_STATE_COUNT; i++) {
        for (size_t k = 0; k < CHILD_INPUT_COUNT; k++) {
            totals->child_steps[i][k] += world->core.child_steps[i][k];
        }
    }
    for (size_t i = 0; i < SUPERVISOR_STATE_COUNT; i++) {
        for (size_t k = 0; k < SUPERVISOR_INPUT_COUNT; k++) {
            totals->supervisor_steps[i][k] += world->core.supervisor_steps[i][k];
        }
    }
    totals->ends[world->end]++;
    totals->starts += world->starts;
    *ret_hash = world->hash;
    bool good = world->failure[0] == 0;
    if (!good) {
        printf("seed %" PRIu64 ": %s\n", seed, world->failure);
    }
    world_destroy(&world);
    return good;
}

static bool all_steps_taken(const totals_t *totals)
{
    bool all = true;
#define CHILD_TRANSITION(from, input, to, what)                                                    \
    if (totals->child_steps[CHILD_##from][CHILD_INPUT_##input] == 0) {                             \
        printf("no seed took the child's step from " #from " on " #input "\n");                    \
        all = false;                                                                               \
    }
#define SUPERVISOR_TRANSITION(from, input, to, what)                                               \
    if (totals->supervisor_steps[SUPERVISOR_##from][SUPERVISOR_INPUT_##input] == 0) {              \
        printf("no seed took the supervisor's step from " #from " on " #input "\n");               \
        all = false;                                                                               \
    }
#include "runtime/supervision_states.def"
    return all;
}

static bool judge(const seeds_options_t *options, const void *context)
{
    const totals_t *totals = context;
    printf("%" PRIu64 " starts; %" PRIu64 " supervisors run on, %" PRIu64 " stopped, %" PRIu64
           " escalated\n",
           totals->starts, totals->ends[WORLD_RUNS], totals->ends[WORLD_STOPPED],
           totals->ends[WORLD_ESCALATED]);
    return !options->all_steps || all_steps_taken(totals);
}

int main(int count, char **arguments)
{
    return seeds_main(&(seeds_program_t){.seeds_short = 20000,
                                         .seeds_full = 400000,
                                         .totals_size = sizeof(totals_t),
                                         .run = run_seed,
                                         .judge = judge},
                      count, arguments);
}
