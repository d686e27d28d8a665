#include "tests/simulation/seeds.h"

#include "runtime/base/ensure.h"

#include <getopt.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SEEDS_PER_BASE = 1000000, JOBS_MAX = 64 };

/* What a process has done, in memory that all share. */
typedef struct job {
    uint64_t passed;
    uint64_t failed;
    uint64_t running; /* the seed that runs, and one more; 0: none does */
    uint64_t totals[];
} job_t;

typedef struct run {
    const seeds_program_t *program;
    const char *name;
    seeds_options_t options;
    size_t job_size;
    uint8_t *jobs;
} run_t;

static job_t *job_at(const run_t *self, uint64_t index)
{
    return (job_t *)(self->jobs + index * self->job_size);
}

static void tell_replay(const run_t *self, uint64_t seed)
{
    printf("replay with: %s --seeds 1 --seed %" PRIu64 " --trace\n", self->name, seed);
}

/* Every `jobs`th seed, up to the first that fails. */
static void run_seeds(const run_t *self, uint64_t index)
{
    job_t *job = job_at(self, index);
    uint64_t hash;
    for (uint64_t i = index; i < self->options.seeds && job->failed == 0; i += self->options.jobs) {
        uint64_t seed = self->options.seed + i;
        job->running = seed + 1;
        bool passed = self->program->run(&self->options, seed, job->totals, &hash);
        job->running = 0;
        job->passed += passed;
        job->failed += !passed;
        if (!passed) {
            tell_replay(self, seed);
        }
    }
}

static void run_jobs(const run_t *self)
{
    for (uint64_t index = 0; index < self->options.jobs; index++) {
        fflush(stdout);
        pid_t child = fork();
        ENSURE(child >= 0);
        if (child == 0) {
            run_seeds(self, index);
            fflush(stdout);
            _exit(0);
        }
    }
    while (wait(NULL) > 0) {
    }
    for (uint64_t index = 0; index < self->options.jobs; index++) {
        job_t *job = job_at(self, index);
        if (job->running > 0) {
            printf("seed %" PRIu64 ": its process has died\n", job->running - 1);
            tell_replay(self, job->running - 1);
            job->failed++;
        }
    }
}

/* Into the first one. */
static job_t *add_up(const run_t *self)
{
    uint64_t *sum = (uint64_t *)job_at(self, 0);
    for (uint64_t index = 1; index < self->options.jobs; index++) {
        const uint64_t *job = (const uint64_t *)job_at(self, index);
        for (size_t i = 0; i < self->job_size / sizeof *sum; i++) {
            sum[i] += job[i];
        }
    }
    return job_at(self, 0);
}

static bool is_repeatable(const run_t *self)
{
    uint64_t hashes[2] = {0, 0};
    uint64_t *totals = calloc(1, self->program->totals_size);
    bool passed = true;
    ENSURE(totals);
    for (size_t i = 0; i < 2; i++) {
        passed &= self->program->run(&self->options, self->options.seed, totals, &hashes[i]);
    }
    free(totals);
    if (passed && hashes[0] != hashes[1]) {
        printf("seed %" PRIu64 " gives two histories: %016" PRIx64 " and %016" PRIx64 "\n",
               self->options.seed, hashes[0], hashes[1]);
    }
    return passed && hashes[0] == hashes[1];
}

static bool read_number(const char *text, uint64_t *ret_number)
{
    char *end;
    *ret_number = strtoull(text, &end, 10);
    return *text != 0 && *end == 0;
}

static bool read_options(int count, char **arguments, seeds_options_t *options)
{
    static const struct option names[] = {
        {"seeds", required_argument, NULL, 'n'},    {"seed", required_argument, NULL, 's'},
        {"jobs", required_argument, NULL, 'j'},     {"shrink", required_argument, NULL, 'r'},
        {"schedule", required_argument, NULL, 'c'}, {"all-steps", no_argument, NULL, 'a'},
        {"trace", no_argument, NULL, 't'},          {NULL, 0, NULL, 0}};
    uint64_t *const numbers[] = {['n'] = &options->seeds,
                                 ['s'] = &options->seed,
                                 ['j'] = &options->jobs,
                                 ['r'] = &options->shrink_runs_max};
    bool right = true;
    for (int option; (option = getopt_long(count, arguments, "", names, NULL)) != -1;) {
        if (option == 'a') {
            options->all_steps = true;
        } else if (option == 't') {
            options->trace = true;
        } else if (option == 'c') {
            options->schedule = optarg;
            options->seeds = 1;
        } else {
            right = right && option != '?' && read_number(optarg, numbers[option]);
        }
    }
    return right && optind == count && options->seeds > 0 && options->jobs > 0 &&
           options->jobs <= JOBS_MAX;
}

static job_t *run_all(run_t *self)
{
    size_t totals = self->program->totals_size;
    self->job_size = sizeof(job_t) + totals;
    ENSURE(totals % sizeof(uint64_t) == 0);
    self->jobs = mmap(NULL, self->options.jobs * self->job_size, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ENSURE(self->jobs != MAP_FAILED);
    if (self->options.jobs == 1) {
        run_seeds(self, 0);
    } else {
        run_jobs(self);
    }
    return add_up(self);
}

int seeds_main(const seeds_program_t *self, int count, char **arguments)
{
    const char *wanted = getenv("CAPSTAN_SEED");
    uint64_t base = wanted ? strtoull(wanted, NULL, 10) : (uint64_t)time(NULL);
    run_t run = {.program = self,
                 .name = arguments[0],
                 .options = {.seeds = getenv("CAPSTAN_FULL") ? self->seeds_full : self->seeds_short,
                             .seed = base * SEEDS_PER_BASE,
                             .jobs = 1}};
    if (!read_options(count, arguments, &run.options)) {
        fprintf(stderr,
                "usage: %s [--seeds N] [--seed S] [--jobs N] [--all-steps] [--shrink N] "
                "[--schedule TEXT] [--trace]\n",
                arguments[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("%" PRIu64 " seeds from %" PRIu64 "\n", run.options.seeds, run.options.seed);
    const job_t *all = run_all(&run);
    bool judged = self->judge(&run.options, all->totals);
    bool right =
        all->failed == 0 && all->passed == run.options.seeds && judged && is_repeatable(&run);
    uint64_t failed = all->failed > 0 ? all->failed : right ? 0 : 1;
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", all->passed, failed);
    return right ? 0 : 1;
}
