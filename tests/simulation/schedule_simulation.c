/* Delayed events in virtual time: schedule_world.h says how, schedule_predicates.c what must hold.
 *
 *   usage: schedule_simulation, as seeds.h says
 *
 * M4 is judged here: after a world is destroyed as much is allocated as before it was made. */
#include "runtime/base/ensure.h"
#include "tests/simulation/allocations.h"
#include "tests/simulation/schedule_world.h"
#include "tests/simulation/seeds.h"

#include <inttypes.h>
#include <stdio.h>

enum { SEEDS_MANY = 20 }; /* so many do everything */

static uint64_t hash_of(const schedule_world_t *world)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < world->log.count; i++) {
        hash = siphash13((const uint8_t[16]){0}, hash, buffer_slice(&world->log.list[i].data));
    }
    return hash;
}

static bool run_seed(const seeds_options_t *options, uint64_t seed, void *context,
                     uint64_t *ret_hash)
{
    schedule_figures_t *totals = context;
    int64_t before = allocations();
    schedule_world_t *world = schedule_world_new(seed, options->trace);
    ENSURE(allocations() > before); /* otherwise nothing is counted, and M4 sees nothing */
    schedule_world_run(world);
    bool good = world->failed == NULL;
    if (!good) {
        printf("seed %" PRIu64 ": %s does not hold: %s\n", seed, world->failed, world->failure);
    }
    totals->events += world->figures.events;
    totals->released += world->figures.released;
    totals->kills += world->figures.kills;
    totals->refusals += world->figures.refusals;
    totals->snapshots += world->figures.snapshots;
    totals->full += world->figures.full;
    totals->cancelled += world->figures.cancelled;
    *ret_hash = hash_of(world);
    schedule_world_destroy(&world);
    if (allocations() != before) {
        printf("seed %" PRIu64 ": M4 does not hold: %" PRId64 " blocks are left\n", seed,
               allocations() - before);
        good = false;
    }
    return good;
}

static bool judge(const seeds_options_t *options, const void *context)
{
    const schedule_figures_t *totals = context;
    printf("%" PRIu64 " events in order, %" PRIu64 " released, %" PRIu64 " cancelled, %" PRIu64
           " without room, %" PRIu64 " kills, %" PRIu64 " refusals of the journal, %" PRIu64
           " snapshots\n",
           totals->events, totals->released, totals->cancelled, totals->full, totals->kills,
           totals->refusals, totals->snapshots);
    bool all = totals->released > 0 && totals->cancelled > 0 && totals->full > 0 &&
               totals->kills > 0 && totals->refusals > 0 && totals->snapshots > 0;
    return all || options->seeds < SEEDS_MANY;
}

int main(int count, char **arguments)
{
    return seeds_main(&(seeds_program_t){.seeds_short = 200,
                                         .seeds_full = 10000,
                                         .totals_size = sizeof(schedule_figures_t),
                                         .run = run_seed,
                                         .judge = judge},
                      count, arguments);
}
