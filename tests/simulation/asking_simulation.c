/* Asks, deadlines and cancellation in virtual time: the real cells of a node, on one thread.
 *
 * usage: asking_simulation [--seeds N] [--seed S]
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

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SEEDS_SHORT = 400, SEEDS_FULL = 20000, SEEDS_PER_BASE = 1000000 };

typedef struct totals {
    uint64_t asks;
    uint64_t told;
    uint64_t ends[ASK_END_COUNT];
    uint64_t dropped[DROP_COUNT];
} totals_t;

static bool run_seed(uint64_t seed, totals_t *totals, uint64_t *ret_hash)
{
    world_t *world = world_new(seed);
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

static bool is_reproducible(uint64_t seed)
{
    totals_t totals = {0};
    uint64_t first;
    uint64_t second;
    bool good = run_seed(seed, &totals, &first) && run_seed(seed, &totals, &second);
    if (good && first != second) {
        printf("seed %" PRIu64 " gives two histories\n", seed);
    }
    return good && first == second;
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

static uint64_t number_of(const char *text)
{
    char *end;
    uint64_t number = strtoull(text, &end, 10);
    if (*text == 0 || *end != 0) {
        fprintf(stderr, "usage: asking_simulation [--seeds N] [--seed S]\n");
        exit(2);
    }
    return number;
}

int main(int count, char **arguments)
{
    static const struct option names[] = {{"seeds", required_argument, NULL, 'n'},
                                          {"seed", required_argument, NULL, 's'},
                                          {NULL, 0, NULL, 0}};
    const char *wanted = getenv("CAPSTAN_SEED");
    uint64_t base = (wanted ? number_of(wanted) : (uint64_t)time(NULL)) * SEEDS_PER_BASE;
    uint64_t seeds = getenv("CAPSTAN_FULL") ? SEEDS_FULL : SEEDS_SHORT;
    for (int option; (option = getopt_long(count, arguments, "", names, NULL)) != -1;) {
        *(option == 'n' ? &seeds : &base) = number_of(option == '?' ? "" : optarg);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("%" PRIu64 " seeds from %" PRIu64 "\n", seeds, base);
    totals_t totals = {0};
    uint64_t failed = 0;
    uint64_t hash;
    for (uint64_t i = 0; i < seeds && failed == 0; i++) {
        failed += !run_seed(base + i, &totals, &hash);
    }
    printf("%8" PRIu64 " asks\n", totals.asks);
    bool good = failed == 0 && is_reproducible(base) && (all_ways_taken(&totals) || seeds < 20);
    printf("%" PRIu64 " passed, %d failed\n", seeds - (good ? 0 : 1), good ? 0 : 1);
    return good ? 0 : 1;
}
