/* Runs the cores of sagas in simulated worlds, one per seed, and judges each.
 *
 *   usage: saga_simulation, as seeds.h says
 *
 * M4 is judged here: after a world is destroyed as much is allocated as before it was made. */
#include "tests/simulation/allocations.h"
#include "tests/simulation/saga_predicates.h"
#include "tests/simulation/seeds.h"

#include <inttypes.h>

enum { SAGAS_MIN = 50, CRASHES_MIN = 3 };

typedef struct totals {
    world_figures_t figures;
    uint64_t hash; /* of all histories */
    saga_steps_t steps;
} totals_t;

static void add_words(void *to, const void *from, size_t size)
{
    uint64_t *sums = to;
    const uint64_t *words = from;
    for (size_t i = 0; i < size / sizeof *sums; i++) {
        sums[i] += words[i];
    }
}

static void add_world(totals_t *totals, const world_t *world, uint64_t hash)
{
    totals->hash += hash;
    add_words(&totals->figures, &world->figures, sizeof totals->figures);
    add_words(&totals->steps, &saga_steps, sizeof totals->steps);
    memset(&saga_steps, 0, sizeof saga_steps);
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
    bool full = world->figures.crashes >= CRASHES_MIN && world->figures.cuts >= 1 &&
                world->figures.sagas >= SAGAS_MIN;
    if (world->history.failure_count == 0 && !full) {
        world_fail(world, "size", "%" PRIu64 " crashes, %" PRIu64 " cuts, %" PRIu64 " sagas",
                   world->figures.crashes, world->figures.cuts, world->figures.sagas);
    }
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

/* --- steps ----------------------------------------------------------------------------------- */

/* How often a row was taken. What it is called says which input takes it, where it is one. */
static uint64_t taken(const totals_t *totals, saga_phase_t from, saga_phase_t to, const char *name)
{
    static const struct {
        const char *name;
        saga_input_kind_t kind;
    } inputs[] = {
        {"turn", SAGA_INPUT_turn},         {"cancel", SAGA_INPUT_cancel},
        {"abandon", SAGA_INPUT_abandon},   {"time", SAGA_INPUT_time},
        {"complete", SAGA_INPUT_complete}, {"retry", SAGA_INPUT_retry},
        {"retry_undo", SAGA_INPUT_retry},  {"skip", SAGA_INPUT_skip},
        {"skip_undo", SAGA_INPUT_skip},
    };
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        if (strcmp(inputs[i].name, name) == 0) {
            return totals->steps.sagas[from][to][inputs[i].kind];
        }
    }
    for (size_t kind = 0; kind <= SAGA_INPUT_complete; kind++) {
        bool other = kind != SAGA_INPUT_cancel && kind != SAGA_INPUT_complete;
        sum += other ? totals->steps.sagas[from][to][kind] : 0;
    }
    return sum;
}

static bool all_steps_taken(const totals_t *totals)
{
    bool all = true;
#define SAGA_TRANSITION(from, input, to, what)                                                     \
    if (taken(totals, SAGA_##from, SAGA_##to, #input) == 0) {                                      \
        printf("no seed took a saga's step from " #from " to " #to " on " #input "\n");            \
        all = false;                                                                               \
    }
#define TASK_TRANSITION(from, to, what)                                                            \
    if (totals->steps.tasks[TASK_##from][TASK_##to] == 0) {                                        \
        printf("no seed took a task's step from " #from " to " #to "\n");                          \
        all = false;                                                                               \
    }
#include "actors/saga/saga_states.def"
    return all;
}

static bool judge(const seeds_options_t *options, const void *context)
{
    const totals_t *totals = context;
    const world_figures_t *figures = &totals->figures;
    printf("histories %016" PRIx64 ": %" PRIu64 " sagas (%" PRIu64 " completed, %" PRIu64
           " compensated, %" PRIu64 " parked, %" PRIu64 " cancelled), %" PRIu64 " records, %" PRIu64
           " effects, %" PRIu64 " crashes, %" PRIu64 " cuts, %" PRIu64 " zombies, %" PRIu64
           " reloads, %" PRIu64 " evictions, %" PRIu64 " withheld, %" PRIu64 " steps\n",
           totals->hash, figures->sagas, figures->ends[SAGA_COMPLETED],
           figures->ends[SAGA_COMPENSATED], figures->ends[SAGA_PARKED],
           figures->ends[SAGA_CANCELLED], figures->records, figures->effects, figures->crashes,
           figures->cuts, figures->zombies, figures->reloads, figures->evictions, figures->withheld,
           figures->steps);
    return !options->all_steps || all_steps_taken(totals);
}

int main(int count, char **arguments)
{
    return seeds_main(&(seeds_program_t){.seeds_short = 600,
                                         .seeds_full = 20000,
                                         .totals_size = sizeof(totals_t),
                                         .run = run_seed,
                                         .judge = judge},
                      count, arguments);
}
