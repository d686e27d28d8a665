/* Many seeds of one scenario: finds one that fails, and makes its schedule short. */
#include "runtime/simulation/world.h"

#include "runtime/base/ensure.h"
#include "runtime/simulation/shrink.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>

enum {
    SEEDS = 100,
    SHRINK_RUNS = 500,
    REPEATED = 64,      /* every so manieth seed is run twice */
    EXPLAINED_MAX = 40, /* decisions that are explained one by one */
    PRINTED_MAX = 1000, /* decisions of a schedule that is worth its text */
};

/* What is left of a run. */
typedef struct run {
    char failure[FAILURE_SIZE]; /* "": none */
    uint64_t hash;
    uint64_t seed;
    decision_t *taken; /* to be freed */
    size_t taken_count;
} run_t;

static run_t run_once(const capstan_simulation_check_t *check,
                      const capstan_simulation_options_t *options, const decision_t *plan,
                      size_t plan_count)
{
    run_t run = {0};
    capstan_simulation_t *world;
    capstan_err_t err = capstan_simulation_new(options, &world);
    if (err != CAPSTAN_OK) {
        snprintf(run.failure, sizeof run.failure, "schedule: it cannot be read as one (%s)",
                 capstan_err_name(err));
        return run;
    }
    if (plan) {
        decisions_replay(&world->decisions, plan, plan_count);
    }
    check->scenario(world, check->context);
    memcpy(run.failure, world->failure, sizeof run.failure);
    run.hash = world->hash;
    run.seed = world->decisions.seed;
    run.taken = world->decisions.taken;
    run.taken_count = world->decisions.taken_count;
    world->decisions.taken = NULL;
    capstan_simulation_destroy(&world);
    return run;
}

/* --- a short schedule ------------------------------------------------------------------------ */

typedef struct hunt {
    const capstan_simulation_check_t *check;
    uint64_t seed;
    char predicate[64]; /* of the failure that is looked for, with its ':' */
} hunt_t;

static bool fails_again(void *context, const decision_t *decisions, size_t count)
{
    static const decision_t none;
    const hunt_t *self = context;
    capstan_simulation_options_t options = self->check->options;
    options.seed = self->seed;
    options.trace = NULL;
    run_t run = run_once(self->check, &options, decisions ? decisions : &none, count);
    free(run.taken);
    return strncmp(run.failure, self->predicate, strlen(self->predicate)) == 0;
}

static void explain(FILE *out, const decision_t *decisions, size_t count)
{
    char text[256];
    for (size_t i = 0; i < count && i < EXPLAINED_MAX; i++) {
        decision_explain(decisions[i], text, sizeof text);
        fprintf(out, "  %s\n", text);
    }
}

static void tell_schedule(const capstan_simulation_check_t *check, FILE *out, run_t *run)
{
    hunt_t hunt = {.check = check, .seed = run->seed};
    snprintf(hunt.predicate, sizeof hunt.predicate, "%.*s:", (int)strcspn(run->failure, ":"),
             run->failure);
    uint32_t runs = check->shrink_runs_max > 0 ? check->shrink_runs_max : SHRINK_RUNS;
    shrink_t shrink = {.fails = fails_again, .context = &hunt, .runs_left = runs};
    size_t count = shrink_decisions(&shrink, run->taken, run->taken_count);
    fprintf(out, "%zu decisions were taken; after %u runs %zu are left:\n", run->taken_count,
            runs - shrink.runs_left, count);
    explain(out, run->taken, count);
    if (count <= PRINTED_MAX) {
        buffer_t text = {0};
        decisions_print(run->seed, run->taken, count, &text);
        fprintf(out, "run it again with --schedule \"%.*s\"\n", (int)text.size,
                (const char *)text.data);
        buffer_fini(&text);
    } else {
        fprintf(out, "run it again with --seed %" PRIu64 " --seeds 1\n", run->seed);
    }
}

/* --- seeds ----------------------------------------------------------------------------------- */

static bool is_repeatable(const capstan_simulation_check_t *check,
                          const capstan_simulation_options_t *options, uint64_t hash, FILE *out)
{
    capstan_simulation_options_t quiet = *options;
    quiet.trace = NULL;
    run_t again = run_once(check, &quiet, NULL, 0);
    free(again.taken);
    if (again.hash != hash) {
        fprintf(out,
                "seed %" PRIu64 ": repeatable does not hold: two runs have the hashes %016" PRIx64
                " and %016" PRIx64 "\n",
                options->seed, hash, again.hash);
    }
    return again.hash == hash;
}

static bool run_seed(const capstan_simulation_check_t *check, uint64_t seed, FILE *out)
{
    capstan_simulation_options_t options = check->options;
    options.seed = seed;
    run_t run = run_once(check, &options, NULL, 0);
    bool passed = run.failure[0] == 0;
    if (!passed) {
        size_t name = strcspn(run.failure, ":");
        fprintf(out, "seed %" PRIu64 ": %.*s does not hold%s\n", run.seed, (int)name, run.failure,
                run.failure + name);
        if (!options.schedule) {
            tell_schedule(check, out, &run);
        }
    } else if (seed % REPEATED == 0) {
        passed = is_repeatable(check, &options, run.hash, out);
    }
    free(run.taken);
    return passed;
}

uint64_t capstan_simulation_check(const capstan_simulation_check_t *check)
{
    FILE *out = check->out ? check->out : stdout;
    uint64_t seeds = check->options.schedule ? 1 : check->seeds > 0 ? check->seeds : SEEDS;
    for (uint64_t i = 0; i < seeds; i++) {
        if (!run_seed(check, check->seed + i, out)) {
            return i;
        }
    }
    return seeds;
}

/* --- as a program ---------------------------------------------------------------------------- */

static bool read_number(const char *text, uint64_t *ret_number)
{
    char *end;
    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    bool right = *text >= '0' && *text <= '9' && *end == 0 && errno == 0;
    *ret_number = right ? number : *ret_number;
    return right;
}

static void print_help(FILE *out, const char *program)
{
    fprintf(out,
            "usage: %s [--seeds N] [--seed S] [--schedule TEXT] [--trace]\n"
            "  --seeds N        runs so many seeds\n"
            "  --seed S         from this one on\n"
            "  --schedule TEXT  runs the schedule that a failed run has printed\n"
            "  --trace          tells each step on stderr\n",
            program);
}

int capstan_simulation_main(int count, char **arguments, const capstan_simulation_check_t *check)
{
    static const struct option names[] = {
        {"seeds", required_argument, NULL, 'n'},    {"seed", required_argument, NULL, 's'},
        {"schedule", required_argument, NULL, 'r'}, {"trace", no_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0}};
    capstan_simulation_check_t mine = *check;
    mine.seeds = mine.seeds > 0 ? mine.seeds : SEEDS;
    bool right = true;
    for (int option; (option = getopt_long(count, arguments, "", names, NULL)) != -1;) {
        switch (option) {
        case 'n':
            right = right && read_number(optarg, &mine.seeds) && mine.seeds > 0;
            break;
        case 's':
            right = right && read_number(optarg, &mine.seed);
            break;
        case 'r':
            mine.options.schedule = optarg;
            break;
        case 't':
            mine.options.trace = stderr;
            break;
        case 'h':
            print_help(stdout, arguments[0]);
            return 0;
        default:
            right = false;
        }
    }
    if (!right || optind != count) {
        print_help(stderr, arguments[0]);
        return 2;
    }
    FILE *out = mine.out ? mine.out : stdout;
    uint64_t wanted = mine.options.schedule ? 1 : mine.seeds;
    uint64_t passed = capstan_simulation_check(&mine);
    fprintf(out, "%" PRIu64 " passed, %d failed\n", passed, passed < wanted);
    return passed == wanted ? 0 : 1;
}
