/* What the programs of the simulations share: the command line, the seeds, the processes that share
 * them, and the last line.
 *
 *   X_simulation [--seeds N] [--seed S] [--jobs N] [--all-steps] [--shrink N]
 *                [--schedule TEXT] [--trace]
 *
 * --seeds N        how many; without it few, or many where CAPSTAN_FULL is set
 * --seed S         begins at seed S; without it at one made from CAPSTAN_SEED, or from the clock
 * --jobs N         processes that share the seeds
 * --all-steps      over all seeds every row of the tables of states must have been taken
 * --shrink N       runs for finding a short schedule of a seed that fails; without it 500
 * --schedule TEXT  one seed, with these decisions
 * --trace          prints what happens; for one seed
 *
 * The exit status is 1 when a seed fails, when the first one gives two histories, or when the
 * seeds together did not do what they must. */
#ifndef SIMULATION_SEEDS_H
#define SIMULATION_SEEDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct seeds_options {
    uint64_t seeds;
    uint64_t seed;
    uint64_t jobs;
    uint64_t shrink_runs_max;
    const char *schedule;
    bool all_steps;
    bool trace;
} seeds_options_t;

typedef struct seeds_program {
    uint64_t seeds_short;
    uint64_t seeds_full;
    /* The totals of the seeds are words, which are added up over the processes. */
    size_t totals_size;
    /* Runs a world; prints "seed N: P does not hold: why" for each predicate P that does not. */
    bool (*run)(const seeds_options_t *options, uint64_t seed, void *totals, uint64_t *ret_hash);
    /* Prints the totals; false when something must have happened and did not. */
    bool (*judge)(const seeds_options_t *options, const void *totals);
} seeds_program_t;

/* Returns the program's exit status. */
int seeds_main(const seeds_program_t *self, int count, char **arguments);

#endif
