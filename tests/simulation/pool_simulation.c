/* Pools of connections in virtual time: pool_world.h says how, pool_predicates.c what must hold.
 *
 *   usage: pool_simulation, as seeds.h says
 *
 * M4 is judged here: after a world is destroyed as much is allocated as before it was made. */
#include "runtime/base/ensure.h"
#include "tests/simulation/allocations.h"
#include "tests/simulation/pool_world.h"
#include "tests/simulation/seeds.h"

#include <inttypes.h>
#include <stdio.h>

enum { SEEDS_MANY = 50 }; /* so many do everything */

static void add(pool_sim_figures_t *totals, const pool_sim_figures_t *figures)
{
    const uint64_t *from = (const uint64_t *)figures;
    uint64_t *to = (uint64_t *)totals;
    for (size_t i = 0; i < sizeof *totals / sizeof *to; i++) {
        to[i] += from[i];
    }
}

static bool run_seed(const seeds_options_t *options, uint64_t seed, void *context,
                     uint64_t *ret_hash)
{
    int64_t before = allocations();
    pool_world_t *world = pool_world_new(seed, options->trace);
    ENSURE(allocations() > before); /* otherwise nothing is counted, and M4 sees nothing */
    pool_world_run(world);
    bool good = world->failed == NULL;
    if (!good) {
        printf("seed %" PRIu64 ": %s does not hold: %s\n", seed, world->failed, world->failure);
    }
    add(context, &world->figures);
    *ret_hash = random_next(&world->random) ^ world->figures.takes;
    pool_world_destroy(&world);
    if (allocations() != before) {
        printf("seed %" PRIu64 ": M4 does not hold: %" PRId64 " blocks are left\n", seed,
               allocations() - before);
        good = false;
    }
    return good;
}

static bool all_steps_taken(const pool_sim_figures_t *totals)
{
    bool all = true;
#define STATE(name, meaning)
#define INPUT(name, meaning)
#define TRANSITION(from, input, to, what)                                                          \
    if (totals->steps[POOL_##from][POOL_INPUT_##input] == 0) {                                     \
        printf("no seed took the step from " #from " on " #input "\n");                            \
        all = false;                                                                               \
    }
#include "actors/pool/pool_states.def"
#undef STATE
#undef INPUT
#undef TRANSITION
    return all;
}

static bool judge(const seeds_options_t *options, const void *context)
{
    const pool_sim_figures_t *totals = context;
    printf("%" PRIu64 " takes, %" PRIu64 " waits, refused: %" PRIu64 " exhausted, %" PRIu64
           " paused, %" PRIu64 " by the server, %" PRIu64 " stopping; %" PRIu64 " dirty, %" PRIu64
           " given twice, %" PRIu64 " come back, %" PRIu64 " leaks, %" PRIu64 " outages, %" PRIu64
           " called off\n",
           totals->takes, totals->waits, totals->refused[0], totals->refused[1], totals->refused[2],
           totals->refused[3], totals->dirty, totals->doubles, totals->again, totals->leaks,
           totals->outages, totals->called_off);
    bool all = totals->waits > 0 && totals->dirty > 0 && totals->doubles > 0 && totals->again > 0 &&
               totals->leaks > 0 && totals->outages > 0 && totals->called_off > 0;
    for (size_t i = 0; i < 4; i++) {
        all = all && totals->refused[i] > 0;
    }
    all = all && (!options->all_steps || all_steps_taken(totals));
    return all || options->seeds < SEEDS_MANY;
}

int main(int count, char **arguments)
{
    return seeds_main(&(seeds_program_t){.seeds_short = 300,
                                         .seeds_full = 20000,
                                         .totals_size = sizeof(pool_sim_figures_t),
                                         .run = run_seed,
                                         .judge = judge},
                      count, arguments);
}
