/* Asks, deadlines and cancellation in virtual time: the real cells of a node, on one thread.
 *
 *   usage: asking_simulation, as seeds.h says
 *
 * A world has seven actors on three cells whose times differ by up to 5 ms. They ask each other
 * with deadlines of at most 20 ms, on behalf of requests and of nobody, answer at once, later, too
 * late or never, withdraw, and end and are started again. Cells take their turns at random, so that
 * messages wait for any time. Every second world has strict_wire. Then the world comes to rest.
 *
 * The predicates are judged by what the actors saw, never by the state of the runtime:
 *  - M2: an ask ends exactly once, at the latest in its cell's first turn after the deadline;
 *  - A1: one that is made on behalf of a request ends no later than that, and deadlines arrive as
 *    they were given;
 *  - A2: whoever works on a request that is wanted no more is told, once; never of one that it
 *    answered, and never while the ask is pending;
 *  - A3: what has expired or was withdrawn is not read;
 *  - A4: what was asked on behalf of a request ends in the turn in which that one is said to be
 *    cancelled;
 *  - A5: at rest every message is accounted for.
 *
 * Exit status 1 when a seed breaks one, when a seed gives two histories, or when some way in which
 * an ask ends was taken by none. */
#include "tests/simulation/asking_world.h"
#include "tests/simulation/seeds.h"

#include <inttypes.h>
#include <stdio.h>

enum { SEEDS_MANY = 20 }; /* so many take every way */

typedef struct totals {
    uint64_t asks;
    uint64_t told;
    uint64_t ends[ASK_END_COUNT];
    uint64_t dropped[DROP_COUNT];
} totals_t;

static bool run_seed(const seeds_options_t *options, uint64_t seed, void *context,
                     uint64_t *ret_hash)
{
    totals_t *totals = context;
    world_t *world = world_new(seed);
    (void)options;
    world_run(world);
    totals->asks += world->ask_count;
    totals->told += world->told;
    for (size_t i = 0; i < ASK_END_COUNT; i++) {
        totals->ends[i] += world->ends[i];
    }
    for (size_t i = 0; i < DROP_COUNT; i++) {
        totals->dropped[i] += world->dropped[i];
    }
    *ret_hash = world->hash;
    world_stop(world);
    bool good = world->failed == 0;
    for (size_t i = 0; i < PREDICATE_COUNT; i++) {
        if (world->failures[i][0] != 0) {
            printf("seed %" PRIu64 ": %s\n", seed, world->failures[i]);
        }
    }
    world_destroy(&world);
    return good;
}

static bool all_ways_taken(const totals_t *totals)
{
    static const char *const names[ASK_END_COUNT] = {
        "", "a reply", "timeout", "gone", "cancel", "withdrawal", "its asker's end"};
    bool all = totals->told > 0 && totals->dropped[DROP_expired] > 0 &&
               totals->dropped[DROP_cancelled] > 0;
    for (size_t i = ASK_PENDING + 1; i < ASK_END_COUNT; i++) {
        printf("%8" PRIu64 " ended by %s\n", totals->ends[i], names[i]);
        all = all && totals->ends[i] > 0;
    }
    printf("%8" PRIu64 " cancels told, %" PRIu64 " messages dropped as expired, %" PRIu64
           " as cancelled\n",
           totals->told, totals->dropped[DROP_expired], totals->dropped[DROP_cancelled]);
    return all;
}

static bool judge(const seeds_options_t *options, const void *context)
{
    const totals_t *totals = context;
    printf("%8" PRIu64 " asks\n", totals->asks);
    return all_ways_taken(totals) || options->seeds < SEEDS_MANY;
}

int main(int count, char **arguments)
{
    return seeds_main(&(seeds_program_t){.seeds_short = 400,
                                         .seeds_full = 20000,
                                         .totals_size = sizeof(totals_t),
                                         .run = run_seed,
                                         .judge = judge},
                      count, arguments);
}
