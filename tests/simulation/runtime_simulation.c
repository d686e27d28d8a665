/* The runtime in simulated worlds, one per seed: members on three nodes do everything that actors
 * can do to each other, while some of them are killed, nodes crash, stand still and are cut off.
 *
 *   runtime_simulation [--seeds N] [--seed S] [--jobs N] [--shrink N]
 *                      [--schedule TEXT] [--trace]
 *
 * --seeds N  how many; without it 250, or 20,000 where CAPSTAN_FULL is set
 * --seed S   begins at seed S; without it at one made from CAPSTAN_SEED, or from the clock
 * --jobs N   processes that share the seeds
 * --shrink N runs for finding a short schedule of a seed that fails; without it 500
 *
 * M1  each mailbox: sent = delivered + dropped + in flight (judged by the simulator)
 * M2  an ask ends once, at most 2 ms after its deadline
 * M3  messages within a node come in the order sent, or not at all
 * M4  an ended actor leaves nothing; a stopped node leaves nothing, and not a byte
 * M5  at rest nobody waits for room in a mailbox (judged by the simulator)
 * L1  who watches an actor hears of its end once, and of nothing else */
#include "tests/simulation/runtime_world.h"

#include "runtime/base/ensure.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    SEEDS_SHORT = 250,
    SEEDS_FULL = 20000,
    SEEDS_PER_BASE = 100000,
    JOBS_MAX = 64,
};

static int64_t allocated; /* blocks that were handed out and not given back */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
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

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    allocated++;
    return __real_aligned_alloc(alignment, size);
}

void __wrap_free(void *block)
{
    allocated -= block != NULL;
    __real_free(block);
}

typedef struct options {
    uint64_t seeds;
    uint64_t seed;
    uint64_t jobs;
    uint64_t shrink_runs_max;
    const char *schedule;
    bool trace;
} options_t;

typedef struct totals {
    uint64_t passed;
    uint64_t failed;
    uint64_t running; /* 1 while `seed` runs */
    uint64_t seed;
    figures_t figures;
} totals_t;

static bool run_seed(const options_t *options, uint64_t seed, figures_t *figures)
{
    int64_t before = allocated;
    uint64_t passed = capstan_simulation_check(&(capstan_simulation_check_t){
        .scenario = runtime_scenario,
        .context = figures,
        .options = {.schedule = options->schedule, .trace = options->trace ? stderr : NULL},
        .seed = seed,
        .seeds = 1,
        .shrink_runs_max = (uint32_t)options->shrink_runs_max,
    });
    if (passed == 1 && allocated != before) {
        printf("seed %" PRIu64 ": M4 does not hold: %" PRId64 " blocks are left\n", seed,
               allocated - before);
        return false;
    }
    return passed == 1;
}

/* Every `jobs`th seed from the `job`th, up to the first that fails. */
static void run_seeds(const options_t *options, uint64_t job, totals_t *totals)
{
    for (uint64_t i = job; i < options->seeds && totals->failed == 0; i += options->jobs) {
        totals->seed = options->seed + i;
        totals->running = 1;
        bool passed = run_seed(options, totals->seed, &totals->figures);
        totals->running = 0;
        totals->passed += passed;
        totals->failed += !passed;
    }
}

/* A job is a process that counts in memory that all share. */
static void run_jobs(const options_t *options, totals_t *totals)
{
    fflush(stdout);
    for (uint64_t job = 0; job < options->jobs; job++) {
        pid_t child = fork();
        ENSURE(child >= 0);
        if (child == 0) {
            run_seeds(options, job, &totals[job]);
            fflush(stdout);
            _exit(0);
        }
    }
    while (wait(NULL) > 0) {
    }
    for (uint64_t job = 0; job < options->jobs; job++) {
        if (totals[job].running) {
            printf("seed %" PRIu64 ": its process has died\n", totals[job].seed);
            totals[job].failed++;
        }
    }
}

static totals_t run(const options_t *options)
{
    totals_t *totals = mmap(NULL, JOBS_MAX * sizeof *totals, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ENSURE(totals != MAP_FAILED);
    if (options->jobs == 1) {
        run_seeds(options, 0, totals);
    } else {
        run_jobs(options, totals);
    }
    totals_t sum = totals[0];
    for (uint64_t job = 1; job < options->jobs; job++) {
        uint64_t *to = (uint64_t *)&sum;
        const uint64_t *from = (const uint64_t *)&totals[job];
        for (size_t i = 0; i < sizeof sum / sizeof *to; i++) {
            to[i] += from[i];
        }
    }
    munmap(totals, JOBS_MAX * sizeof *totals);
    return sum;
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

static bool read_number(const char *text, uint64_t *ret_number)
{
    char *end;
    *ret_number = text ? strtoull(text, &end, 10) : 0;
    return text && *text != 0 && *end == 0;
}

static bool parse(char **arguments, options_t *options)
{
    for (char **at = arguments + 1; *at; at++) {
        bool right = true;
        if (strcmp(*at, "--trace") == 0) {
            options->trace = true;
        } else if (strcmp(*at, "--seeds") == 0) {
            right = read_number(*++at, &options->seeds);
        } else if (strcmp(*at, "--seed") == 0) {
            right = read_number(*++at, &options->seed);
        } else if (strcmp(*at, "--jobs") == 0) {
            right = read_number(*++at, &options->jobs);
        } else if (strcmp(*at, "--shrink") == 0) {
            right = read_number(*++at, &options->shrink_runs_max);
        } else if (strcmp(*at, "--schedule") == 0) {
            options->schedule = *++at;
            options->seeds = 1;
            right = options->schedule != NULL;
        } else {
            right = false;
        }
        if (!right) {
            return false;
        }
    }
    return options->seeds > 0 && options->jobs > 0 && options->jobs <= JOBS_MAX;
}

int main(int count, char **arguments)
{
    (void)count;
    const char *wanted = getenv("CAPSTAN_SEED");
    uint64_t base = wanted ? strtoull(wanted, NULL, 10) : (uint64_t)time(NULL);
    options_t options = {.seeds = getenv("CAPSTAN_FULL") ? SEEDS_FULL : SEEDS_SHORT,
                         .seed = base * SEEDS_PER_BASE,
                         .jobs = 1};
    if (!parse(arguments, &options)) {
        fprintf(stderr, "usage: runtime_simulation [--seeds N] [--seed S] [--jobs N] "
                        "[--shrink N] [--schedule TEXT] [--trace]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    warm_up();
    printf("%" PRIu64 " seeds from %" PRIu64 "\n", options.seeds, options.seed);
    totals_t totals = run(&options);
    const figures_t *figures = &totals.figures;
    printf("%" PRIu64 " steps, %" PRIu64 " boots, %" PRIu64 " members, %" PRIu64
           " of them killed, %" PRIu64 " hung; %" PRIu64 " messages read, %" PRIu64
           " ends of watched actors told\n",
           figures->steps, figures->boots, figures->members, figures->kills, figures->hangs,
           figures->messages, figures->downs);
    printf("%" PRIu64 " asks: %" PRIu64 " answered, %" PRIu64 " timed out, %" PRIu64 " gone\n",
           figures->asks, figures->answered, figures->timed_out, figures->gone);
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", totals.passed, totals.failed);
    return totals.failed == 0 && totals.passed == options.seeds ? 0 : 1;
}
