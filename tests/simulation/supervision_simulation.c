/* The supervision core in virtual time, with children that fail in every way and news that crosses.
 *
 * usage: supervision_simulation [--seeds N] [--seed S] [--all-steps]
 *
 * A world has one supervisor of some children, each with a temper: how often its init fails, how
 * long it lives, how it ends, how long it takes to stop or whether it has to be killed. Starts,
 * stops and news take their time, in order for each child. Children are added and removed at
 * random. In the end the tempers are cured and the supervisor is left alone, or it is told to stop.
 *
 * The predicates are judged by what the world saw and by the news that it gave, never by the state
 * of the core:
 *   T1  no child runs twice at once
 *   T2  a child starts only when those before it are up (one_for_one: the first time)
 *   T3  those that stop together do so one at a time, the last one first
 *   T4  no child is restarted for its own sake more often than its budget allows, and the
 * supervisor gives up only when a budget is used up T5  no restart comes before its delay, and the
 * delay is within its bounds T6  in the end the supervisor runs with every child up that should be,
 * or is stopped or escalated with none T7  what should not be started again is not T8  a crash loop
 * is told twice, and not again before the child ran well Exit status 1 when a seed breaks one, or
 * with --all-steps when no seed took some row of supervision_states.def. */
#include "tests/simulation/supervision_world.h"

#include "runtime/base/ensure.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { SEEDS_SHORT = 20000, SEEDS_FULL = 400000, SEEDS_PER_BASE = 1000000 };

typedef struct totals {
    uint64_t child_steps[CHILD_STATE_COUNT][CHILD_INPUT_COUNT];
    uint64_t supervisor_steps[SUPERVISOR_STATE_COUNT][SUPERVISOR_INPUT_COUNT];
    uint64_t ends[WORLD_END_COUNT];
    uint64_t starts;
} totals_t;

static bool run_seed(uint64_t seed, totals_t *totals, uint64_t *ret_hash)
{
    world_t *world = world_new(seed);
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

static uint64_t number_of(const char *text)
{
    char *end;
    uint64_t number = strtoull(text, &end, 10);
    if (*text == 0 || *end != 0) {
        fprintf(stderr, "usage: supervision_simulation [--seeds N] [--seed S] [--all-steps]\n");
        exit(2);
    }
    return number;
}

int main(int count, char **arguments)
{
    static const struct option names[] = {{"seeds", required_argument, NULL, 'n'},
                                          {"seed", required_argument, NULL, 's'},
                                          {"all-steps", no_argument, NULL, 'a'},
                                          {NULL, 0, NULL, 0}};
    const char *wanted = getenv("CAPSTAN_SEED");
    uint64_t base = (wanted ? number_of(wanted) : (uint64_t)time(NULL)) * SEEDS_PER_BASE;
    uint64_t seeds = getenv("CAPSTAN_FULL") ? SEEDS_FULL : SEEDS_SHORT;
    bool all_steps = false;
    for (int option; (option = getopt_long(count, arguments, "", names, NULL)) != -1;) {
        if (option == 'a') {
            all_steps = true;
        } else {
            *(option == 'n' ? &seeds : &base) = number_of(option == '?' ? "" : optarg);
        }
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("%" PRIu64 " seeds from %" PRIu64 "\n", seeds, base);
    totals_t totals = {0};
    uint64_t failed = 0;
    uint64_t hash;
    for (uint64_t i = 0; i < seeds && failed == 0; i++) {
        failed += !run_seed(base + i, &totals, &hash);
    }
    printf("%" PRIu64 " starts; %" PRIu64 " supervisors run on, %" PRIu64 " stopped, %" PRIu64
           " escalated\n",
           totals.starts, totals.ends[WORLD_RUNS], totals.ends[WORLD_STOPPED],
           totals.ends[WORLD_ESCALATED]);
    bool good = failed == 0 && is_reproducible(base) && (!all_steps || all_steps_taken(&totals));
    printf("%" PRIu64 " passed, %d failed\n", seeds - (good ? 0 : 1), good ? 0 : 1);
    return good ? 0 : 1;
}
