/* Runs the ordering core in simulated worlds, one per seed, and judges each.
 *
 *   ordering_simulation [--seeds N] [--seed S] [--jobs N] [--all-steps] [--trace]
 *
 * --seeds N    how many; without it 300, or 10,000 where CAPSTAN_FULL is set
 * --seed S     begins at seed S; without it at one made from CAPSTAN_SEED, or from the clock
 * --jobs N     processes that share the seeds
 * --all-steps  over all seeds every row of the table of states must have been taken
 * --trace      prints what happens; for one seed
 *
 * M4 is judged here: the allocator is wrapped by the linker (--wrap), and after a world is
 * destroyed as much is allocated as before it was made. */
#include "tests/simulation/ordering_predicates.h"

#include <getopt.h>
#include <inttypes.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    SEEDS_SHORT = 300,
    SEEDS_FULL = 10000,
    JOBS_MAX = 64,
};

static int64_t allocated; /* blocks that were handed out and not given back */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
int __real_posix_memalign(void **block, size_t alignment, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
int __wrap_posix_memalign(void **block, size_t alignment, size_t size);
void __wrap_free(void *block);

void *__wrap_malloc(size_t size)
{
    allocated++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocated++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    allocated += block == NULL;
    return __real_realloc(block, size);
}

int __wrap_posix_memalign(void **block, size_t alignment, size_t size)
{
    allocated++;
    return __real_posix_memalign(block, alignment, size);
}

void __wrap_free(void *block)
{
    allocated -= block != NULL;
    __real_free(block);
}

typedef struct options {
    uint64_t seeds;
    uint64_t base;
    uint64_t jobs;
    bool trace;
    bool all_steps;
} options_t;

typedef struct totals {
    uint64_t seeds;
    uint64_t failed;
    uint64_t hash;
    world_figures_t figures;
    uint64_t steps_taken[KEY_PHASE_COUNT][KEY_INPUT_COUNT];
} totals_t;

static void add_totals(totals_t *totals, const totals_t *more)
{
    totals->seeds += more->seeds;
    totals->failed += more->failed;
    totals->hash ^= more->hash;
    totals->figures.events += more->figures.events;
    totals->figures.crashes += more->figures.crashes;
    totals->figures.cuts += more->figures.cuts;
    totals->figures.reloads += more->figures.reloads;
    totals->figures.steps += more->figures.steps;
    for (size_t phase = 0; phase < KEY_PHASE_COUNT; phase++) {
        for (size_t input = 0; input < KEY_INPUT_COUNT; input++) {
            totals->steps_taken[phase][input] += more->steps_taken[phase][input];
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

static totals_t run_seed(uint64_t seed, bool trace)
{
    int64_t before = allocated;
    world_t *world = world_new(&(world_options_t){.seed = seed, .trace = trace});
    ENSURE(allocated > before); /* otherwise the allocator is not wrapped, and M4 sees nothing */
    world_run(world);
    predicates_judge(world);
    /* A world that had too little in it proves nothing. */
    bool full = world->figures.crashes >= 3 && world->figures.cuts >= 1 &&
                world->history.count >= WORLD_EVENTS_MIN;
    if (world->history.failure_count == 0 && !full) {
        world_fail(world, "size", "%" PRIu64 " crashes, %" PRIu64 " cuts, %zu facts",
                   world->figures.crashes, world->figures.cuts, world->history.count);
    }
    shell_stop(&world->shell); /* counts the steps of its core */
    size_t failures = report(world, seed);
    totals_t totals = {
        .seeds = 1, .hash = core_world_hash(world->simulation), .figures = world->figures};
    memcpy(totals.steps_taken, world->steps_taken, sizeof totals.steps_taken);
    world_destroy(&world);
    if (allocated != before) {
        printf("seed %" PRIu64 ": M4 does not hold: %" PRId64 " blocks are left\n", seed,
               allocated - before);
        failures++;
    }
    totals.failed = failures > 0;
    return totals;
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
#undef STATE
#undef INPUT
#undef TRANSITION
    return all;
}

static bool is_reproducible(uint64_t seed)
{
    uint64_t first = run_seed(seed, false).hash;
    uint64_t second = run_seed(seed, false).hash;
    if (first != second) {
        printf("seed %" PRIu64 " gives two histories: %016" PRIx64 " and %016" PRIx64 "\n", seed,
               first, second);
    }
    return first == second;
}

/* Every `jobs`th seed from the `job`th, up to the first that fails. */
static totals_t run_seeds(const options_t *options, uint64_t job, const char *program)
{
    totals_t totals = {0};
    for (uint64_t i = job; i < options->seeds && totals.failed == 0; i += options->jobs) {
        totals_t one = run_seed(options->base + i, options->trace);
        if (one.failed > 0) {
            printf("replay with: %s --seeds 1 --seed %" PRIu64 " --trace\n", program,
                   options->base + i);
        }
        add_totals(&totals, &one);
    }
    return totals;
}

/* A job is a process that writes its totals into a pipe. One that dies counts as a failed seed. */
static totals_t run_jobs(const options_t *options, const char *program)
{
    if (options->jobs == 1) {
        return run_seeds(options, 0, program);
    }
    totals_t totals = {0};
    int ends[JOBS_MAX];
    for (uint64_t job = 0; job < options->jobs; job++) {
        int both[2];
        ENSURE(pipe(both) == 0);
        fflush(stdout);
        pid_t child = fork();
        ENSURE(child >= 0);
        if (child == 0) {
            totals_t part = run_seeds(options, job, program);
            fflush(stdout);
            _exit(write(both[1], &part, sizeof part) == sizeof part ? 0 : 1);
        }
        close(both[1]);
        ends[job] = both[0];
    }
    for (uint64_t job = 0; job < options->jobs; job++) {
        totals_t part = {.seeds = 1, .failed = 1};
        (void)!read(ends[job], &part, sizeof part);
        add_totals(&totals, &part);
        close(ends[job]);
    }
    while (wait(NULL) > 0) {
    }
    return totals;
}

static bool parse_number(const char *text, uint64_t *ret_number)
{
    char *end;
    *ret_number = strtoull(text, &end, 10);
    return *text != 0 && *end == 0;
}

static bool parse(int count, char **arguments, options_t *ret_options)
{
    static const struct option names[] = {
        {"seeds", required_argument, NULL, 'n'}, {"seed", required_argument, NULL, 's'},
        {"jobs", required_argument, NULL, 'j'},  {"trace", no_argument, NULL, 't'},
        {"all-steps", no_argument, NULL, 'a'},   {NULL, 0, NULL, 0}};
    bool right = true;
    for (int option; (option = getopt_long(count, arguments, "", names, NULL)) != -1;) {
        switch (option) {
        case 'n':
            right = right && parse_number(optarg, &ret_options->seeds);
            break;
        case 's':
            right = right && parse_number(optarg, &ret_options->base);
            break;
        case 'j':
            right = right && parse_number(optarg, &ret_options->jobs);
            break;
        case 't':
            ret_options->trace = true;
            break;
        case 'a':
            ret_options->all_steps = true;
            break;
        default:
            right = false;
        }
    }
    return right && optind == count && ret_options->seeds > 0 && ret_options->jobs > 0 &&
           ret_options->jobs <= JOBS_MAX;
}

/* Another run takes other seeds, unless CAPSTAN_SEED asks for the same ones. */
static uint64_t base_seed(void)
{
    enum { SEEDS_PER_BASE = 100000 };
    uint64_t base = (uint64_t)time(NULL);
    const char *wanted = getenv("CAPSTAN_SEED");
    if (wanted) {
        base = strtoull(wanted, NULL, 10);
    }
    return base * SEEDS_PER_BASE;
}

int main(int count, char **arguments)
{
    options_t options = {
        .seeds = getenv("CAPSTAN_FULL") ? SEEDS_FULL : SEEDS_SHORT, .base = base_seed(), .jobs = 1};
    if (!parse(count, arguments, &options)) {
        fprintf(stderr, "usage: ordering_simulation [--seeds N] [--seed S] [--jobs N] "
                        "[--all-steps] [--trace]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("%" PRIu64 " seeds from %" PRIu64 "\n", options.seeds, options.base);
    totals_t totals = run_jobs(&options, arguments[0]);
    printf("histories %016" PRIx64 ": %" PRIu64 " events accepted, %" PRIu64 " crashes, %" PRIu64
           " cuts, %" PRIu64 " reloads, %" PRIu64 " steps\n",
           totals.hash, totals.figures.events, totals.figures.crashes, totals.figures.cuts,
           totals.figures.reloads, totals.figures.steps);
    bool right = totals.failed == 0;
    if (right && options.all_steps) {
        right = all_steps_taken(&totals);
    }
    right = right && is_reproducible(options.base);
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", totals.seeds - totals.failed,
           right               ? UINT64_C(0)
           : totals.failed > 0 ? totals.failed
                               : UINT64_C(1));
    return right ? 0 : 1;
}
