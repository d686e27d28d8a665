/* The runtime in simulated worlds, one per seed: members on three nodes do everything that actors
 * can do to each other, while some of them are killed, nodes crash, stand still and are cut off.
 *
 *   usage: runtime_simulation, as seeds.h says
 *
 * M1  each mailbox: sent = delivered + dropped + in flight (judged by the simulator)
 * M2  an ask ends once, at most 2 ms after its deadline
 * M3  messages within a node come in the order sent, or not at all
 * M4  an ended actor leaves nothing; a stopped node leaves nothing, and not a byte
 * M5  at rest nobody waits for room in a mailbox (judged by the simulator)
 * L1  who watches an actor hears of its end once, and of nothing else */
#include "tests/simulation/allocations.h"
#include "tests/simulation/runtime_world.h"
#include "tests/simulation/seeds.h"

#include "runtime/base/ensure.h"

#include <inttypes.h>

/* Now and then a seed is run twice by the check itself. */
static bool run_seed(const seeds_options_t *options, uint64_t seed, void *totals,
                     uint64_t *ret_hash)
{
    int64_t before = allocations();
    uint64_t passed = capstan_simulation_check(&(capstan_simulation_check_t){
        .scenario = runtime_scenario,
        .context = totals,
        .options = {.schedule = options->schedule, .trace = options->trace ? stderr : NULL},
        .seed = seed,
        .seeds = 1,
        .shrink_runs_max = (uint32_t)options->shrink_runs_max,
    });
    *ret_hash = 0;
    if (passed == 1 && allocations() != before) {
        printf("seed %" PRIu64 ": M4 does not hold: %" PRId64 " blocks are left\n", seed,
               allocations() - before);
        return false;
    }
    return passed == 1;
}

static bool judge(const seeds_options_t *options, const void *totals)
{
    const figures_t *figures = totals;
    (void)options;
    printf("%" PRIu64 " steps, %" PRIu64 " boots, %" PRIu64 " members, %" PRIu64
           " of them killed, %" PRIu64 " hung, %" PRIu64 " moves; %" PRIu64
           " messages read, %" PRIu64 " ends of watched actors told\n",
           figures->steps, figures->boots, figures->members, figures->kills, figures->hangs,
           figures->moves, figures->messages, figures->downs);
    printf("%" PRIu64 " asks: %" PRIu64 " answered, %" PRIu64 " timed out, %" PRIu64 " gone\n",
           figures->asks, figures->answered, figures->timed_out, figures->gone);
    return true;
}

/* The memory of a node is never given back, only used for the next one: the first world takes what
 * all others use. */
static void warm_up(void)
{
    capstan_simulation_t *world;
    figures_t figures = {0};
    ENSURE(capstan_simulation_new(NULL, &world) == CAPSTAN_OK);
    runtime_scenario(world, &figures);
    capstan_simulation_destroy(&world);
}

int main(int count, char **arguments)
{
    warm_up();
    return seeds_main(&(seeds_program_t){.seeds_short = 250,
                                         .seeds_full = 20000,
                                         .totals_size = sizeof(figures_t),
                                         .run = run_seed,
                                         .judge = judge},
                      count, arguments);
}
