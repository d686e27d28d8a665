/* Runs the ordering core in simulated worlds, one per seed, and judges each.
 *
 *   ordering_simulation [--seeds N] [--seed S] [--trace] [--all-steps]
 *
 * --seed S     begins at seed S; without it the base is taken from the clock and printed
 * --trace      prints what happens; for one seed
 * --all-steps  over all seeds every row of the table of states must have been taken
 *
 * M4 is judged here: the allocator is wrapped by the linker (--wrap), and after a world is
 * destroyed as much is allocated as before it was made. */
#include "tests/simulation/ordering_predicates.h"

#include <getopt.h>
#include <inttypes.h>
#include <time.h>

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
    bool trace;
    bool all_steps;
} options_t;

typedef struct totals {
    world_figures_t figures;
    uint64_t steps_taken[KEY_PHASE_COUNT][KEY_INPUT_COUNT];
} totals_t;

static void add_totals(totals_t *totals, const world_t *world)
{
    totals->figures.events += world->figures.events;
    totals->figures.crashes += world->figures.crashes;
    totals->figures.cuts += world->figures.cuts;
    totals->figures.reloads += world->figures.reloads;
    totals->figures.steps += world->figures.steps;
    for (size_t phase = 0; phase < KEY_PHASE_COUNT; phase++) {
        for (size_t input = 0; input < KEY_INPUT_COUNT; input++) {
            totals->steps_taken[phase][input] += world->steps_taken[phase][input];
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

/* Returns the number of predicates that failed. */
static size_t run_seed(uint64_t seed, bool trace, totals_t *totals, uint64_t *ret_hash)
{
    int64_t before = allocated;
    world_t *world = world_new(&(world_options_t){.seed = seed, .trace = trace});
    world_run(world);
    predicates_judge(world);
    /* A world that had too little in it proves nothing. */
    bool full = world->figures.crashes >= 3 && world->figures.cuts >= 1 &&
                world->history.count >= WORLD_EVENTS_MIN;
    if (world->history.failure_count == 0 && !full) {
        world_fail(world, "size", "%" PRIu64 " crashes, %" PRIu64 " cuts, %zu facts",
                   world->figures.crashes, world->figures.cuts, world->history.count);
    }
    *ret_hash = simulation_hash(world->simulation);
    shell_stop(&world->shell); /* counts the steps of its core */
    add_totals(totals, world);
    size_t failures = report(world, seed);
    world_destroy(&world);
    if (allocated != before) {
        printf("seed %" PRIu64 ": M4 does not hold: %" PRId64 " blocks are left\n", seed,
               allocated - before);
        failures++;
    }
    return failures;
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
    totals_t ignored = {0};
    uint64_t first = 0;
    uint64_t second = 1;
    (void)run_seed(seed, false, &ignored, &first);
    (void)run_seed(seed, false, &ignored, &second);
    if (first != second) {
        printf("seed %" PRIu64 " gives two histories: %016" PRIx64 " and %016" PRIx64 "\n", seed,
               first, second);
    }
    return first == second;
}

static bool parse_number(const char *text, uint64_t *ret_number)
{
    char *end;
    *ret_number = strtoull(text, &end, 10);
    return *text != 0 && *end == 0;
}

static bool parse(int count, char **arguments, options_t *ret_options)
{
    static const struct option names[] = {{"seeds", required_argument, NULL, 'n'},
                                          {"seed", required_argument, NULL, 's'},
                                          {"trace", no_argument, NULL, 't'},
                                          {"all-steps", no_argument, NULL, 'a'},
                                          {NULL, 0, NULL, 0}};
    bool right = true;
    for (int option; (option = getopt_long(count, arguments, "", names, NULL)) != -1;) {
        switch (option) {
        case 'n':
            right = right && parse_number(optarg, &ret_options->seeds);
            break;
        case 's':
            right = right && parse_number(optarg, &ret_options->base);
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
    return right && optind == count && ret_options->seeds > 0;
}

int main(int count, char **arguments)
{
    options_t options = {.seeds = 1, .base = (uint64_t)time(NULL) * 1000};
    if (!parse(count, arguments, &options)) {
        fprintf(stderr,
                "usage: ordering_simulation [--seeds N] [--seed S] [--trace] [--all-steps]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("%" PRIu64 " seeds from %" PRIu64 "\n", options.seeds, options.base);
    totals_t totals = {0};
    uint64_t hash = 0;
    for (uint64_t i = 0; i < options.seeds; i++) {
        uint64_t seed = options.base + i;
        uint64_t seed_hash;
        if (run_seed(seed, options.trace, &totals, &seed_hash) > 0) {
            printf("replay with: %s --seed %" PRIu64 " --trace\n", arguments[0], seed);
            return 1;
        }
        hash = hash * UINT64_C(0x9e3779b97f4a7c15) + seed_hash;
    }
    printf("histories %016" PRIx64 ": %" PRIu64 " events accepted, %" PRIu64 " crashes, %" PRIu64
           " cuts, %" PRIu64 " reloads, %" PRIu64 " steps\n",
           hash, totals.figures.events, totals.figures.crashes, totals.figures.cuts,
           totals.figures.reloads, totals.figures.steps);
    bool right = !options.all_steps || all_steps_taken(&totals);
    right = is_reproducible(options.base) && right;
    return right ? 0 : 1;
}
