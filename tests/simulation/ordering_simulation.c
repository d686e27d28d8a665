/* Runs the ordering core in simulated worlds, one per seed, and judges each.
 *
 *   usage: ordering_simulation, as seeds.h says
 *
 * M4 is judged here: after a world is destroyed as much is allocated as before it was made. */
#include "tests/simulation/allocations.h"
#include "tests/simulation/ordering_predicates.h"
#include "tests/simulation/seeds.h"

#include <inttypes.h>

typedef struct totals {
    world_figures_t figures;
    uint64_t hash; /* of all histories */
    uint64_t steps_taken[KEY_PHASE_COUNT][KEY_INPUT_COUNT];
    uint64_t group_steps[GROUP_KEY_STATE_COUNT][GROUP_INPUT_COUNT];
} totals_t;

static void add_world(totals_t *totals, const world_t *world, uint64_t hash)
{
    totals->hash += hash;
    totals->figures.events += world->figures.events;
    totals->figures.crashes += world->figures.crashes;
    totals->figures.cuts += world->figures.cuts;
    totals->figures.reloads += world->figures.reloads;
    totals->figures.steps += world->figures.steps;
    totals->figures.lookups += world->figures.lookups;
    for (size_t phase = 0; phase < KEY_PHASE_COUNT; phase++) {
        for (size_t input = 0; input < KEY_INPUT_COUNT; input++) {
            totals->steps_taken[phase][input] += world->steps_taken[phase][input];
        }
    }
    for (size_t state = 0; state < GROUP_KEY_STATE_COUNT; state++) {
        for (size_t input = 0; input < GROUP_INPUT_COUNT; input++) {
            totals->group_steps[state][input] += world->group_steps[state][input];
        }
    }
}

static size_t report(const world_t *world, uint64_t seed)
{
    for (size_t i = 0; i < world->history.failure_count; i++) {
        printf("seed %" PRIu64 ": %s does not hold: %s\n", seed,
               world->history.failures[i].predicate, world->history.failures[i].text);
    }
    return world->history.failure_count;
}

static bool run_seed(const seeds_options_t *options, uint64_t seed, void *totals,
                     uint64_t *ret_hash)
{
    int64_t before = allocations();
    world_t *world = world_new(&(world_options_t){.seed = seed, .trace = options->trace});
    ENSURE(allocations() > before); /* otherwise nothing is counted, and M4 sees nothing */
    world_run(world);
    predicates_judge(world);
    /* A world that had too little in it proves nothing. */
    bool full = world->figures.crashes >= 3 && world->figures.cuts >= 1 &&
                world->history.count >= WORLD_EVENTS_MIN;
    if (world->history.failure_count == 0 && !full) {
        world_fail(world, "size", "%" PRIu64 " crashes, %" PRIu64 " cuts, %zu facts",
                   world->figures.crashes, world->figures.cuts, world->history.count);
    }
    for (size_t i = 0; i < WORLD_GROUPS; i++) { /* counts the steps of the cores */
        sim_group_stop(&world->groups[i]);
    }
    shell_stop(&world->shell);
    size_t failures = report(world, seed);
    *ret_hash = core_world_hash(world->simulation);
    add_world(totals, world, *ret_hash);
    world_destroy(&world);
    if (allocations() != before) {
        printf("seed %" PRIu64 ": M4 does not hold: %" PRId64 " blocks are left\n", seed,
               allocations() - before);
        failures++;
    }
    return failures == 0;
}

static bool all_steps_taken(const totals_t *totals)
{
    bool all = true;
#define STATE(name, meaning)
#define INPUT(name, meaning)
#define TRANSITION(from, input, to, what)                                                          \
    if (totals->steps_taken[KEY_##from][KEY_INPUT_##input] == 0) {                                 \
        printf("no seed took the step from " #from " on " #input "\n");                            \
        all = false;                                                                               \
    }
#include "actors/ordering/ordering_states.def"
#undef TRANSITION
#define TRANSITION(from, input, to, what)                                                          \
    if (totals->group_steps[GROUP_KEY_##from][GROUP_INPUT_##input] == 0) {                         \
        printf("no seed took a group's step from " #from " on " #input "\n");                      \
        all = false;                                                                               \
    }
#include "actors/ordering/group_states.def"
#undef STATE
#undef INPUT
#undef TRANSITION
    return all;
}

static bool judge(const seeds_options_t *options, const void *context)
{
    const totals_t *totals = context;
    printf("histories %016" PRIx64 ": %" PRIu64 " events accepted, %" PRIu64 " crashes, %" PRIu64
           " cuts, %" PRIu64 " reloads, %" PRIu64 " lookups, %" PRIu64 " steps\n",
           totals->hash, totals->figures.events, totals->figures.crashes, totals->figures.cuts,
           totals->figures.reloads, totals->figures.lookups, totals->figures.steps);
    return !options->all_steps || all_steps_taken(totals);
}

int main(int count, char **arguments)
{
    return seeds_main(&(seeds_program_t){.seeds_short = 300,
                                         .seeds_full = 20000,
                                         .totals_size = sizeof(totals_t),
                                         .run = run_seed,
                                         .judge = judge},
                      count, arguments);
}
