/* resting: what it costs to look at sagas, and to start one, among many that await a signal. */
#include "cli/bench.h"
#include "cli/bench_processes.h"
#include "cli/bench_saga.h"
#include "cli/options.h"
#include "runtime/base/ensure.h"
#include "runtime/simulation/random.h"

#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
    FLIGHT = 1000,
    ROUNDS = 201,
    PAGE = 50,
    LARGE_BYTES = 1 << 20,
    OPERATIONS = 4,
    SEED = 42,
    STARTED_LATER = 1000000000, /* numbers of those whose start is measured */
};

static const char resting[] = "saga: rest\n"
                              "version: 1\n"
                              "steps:\n"
                              "  - await: answer\n"
                              "    any: [{signal: go}]\n";

static const char *const names[OPERATIONS] = {"newest page", "page", "start", "show"};

/* --- the process ----------------------------------------------------------------------------- */

typedef struct rest {
    saga_host_t host;
    uint64_t count; /* that rest */
    uint64_t later; /* those started by what is measured */
    random_source_t random;
} rest_t;

static capstan_err_t operate(rest_t *self, size_t operation)
{
    char id[32];
    switch (operation) {
    case 0:
        return saga_host_ask(&self->host, saga_list_wire(), &(saga_list_t){.count_max = PAGE});
    case 1:
        return saga_host_ask(
            &self->host, saga_list_wire(),
            &(saga_list_t){.count_max = PAGE,
                           .before = PAGE + 1 + random_below(&self->random, self->count - PAGE)});
    case 2:
        bench_saga_id(STARTED_LATER + self->later++, id);
        return saga_host_ask(
            &self->host, saga_start_wire(),
            &(saga_start_t){.definition = slice_text("rest"), .id = slice_text(id)});
    default:
        bench_saga_id(random_below(&self->random, self->count), id);
        return saga_host_ask(&self->host, saga_show_wire(), &(saga_show_t){.id = slice_text(id)});
    }
}

static capstan_err_t time_operation(rest_t *self, size_t operation, double *ret_us)
{
    uint64_t times_ns[ROUNDS];
    bench_figures_t figures;
    for (size_t i = 0; i < ROUNDS; i++) {
        int64_t begin_ns = bench_now_ns();
        capstan_err_t err = operate(self, operation);
        if (err != CAPSTAN_OK) {
            return err;
        }
        times_ns[i] = (uint64_t)(bench_now_ns() - begin_ns);
    }
    bench_quantiles(times_ns, ROUNDS, &figures);
    *ret_us = figures.p50_us;
    return CAPSTAN_OK;
}

/* Resident memory of this process. */
static uint64_t rss(void)
{
    char line[256];
    uint64_t kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    ENSURE(file);
    while (fgets(line, sizeof line, file)) {
        kib = strncmp(line, "VmRSS:", 6) == 0 ? strtoull(line + 6, NULL, 10) : kib;
    }
    fclose(file);
    return kib * 1024;
}

/* So many more, up to `count`; the list afterwards waits until all have their rows. */
static capstan_err_t grow(rest_t *self, uint64_t count)
{
    saga_run_t run = {.definition = "rest",
                      .first = self->count,
                      .count = count - self->count,
                      .flight = FLIGHT,
                      .only_start = true};
    capstan_err_t err = saga_run(&self->host, &run);
    self->count = count;
    return err ? err : operate(self, 0);
}

static capstan_err_t look(rest_t *self)
{
    double us[OPERATIONS];
    capstan_err_t err = CAPSTAN_OK;
    for (size_t i = 0; err == CAPSTAN_OK && i < OPERATIONS; i++) {
        err = time_operation(self, i, &us[i]);
    }
    if (err == CAPSTAN_OK) {
        malloc_trim(0); /* what the inrush took and gave back is not what resting ones take */
        printf("%" PRIu64 " %" PRIu64, self->count, rss());
        for (size_t i = 0; i < OPERATIONS; i++) {
            printf(" %.1f", us[i]);
        }
        printf("\n");
        fflush(stdout);
    }
    return err;
}

/* resting SAGAS...: ascending numbers; with as many resting each, prints the number, the resident
 * memory in bytes, and the medians of the four operations in microseconds. */
int bench_resting(int argc, char **argv)
{
    char folder[64];
    rest_t self = {.random = {.state = SEED}};
    uint64_t count = PAGE;
    for (int i = 1; i < argc; i++) {
        if (strtoull(argv[i], NULL, 10) <= count) {
            return bench_failed("resting", "SAGAS are numbers above 50, each above the one before");
        }
        count = strtoull(argv[i], NULL, 10);
    }
    ENSURE(bench_make_folder(folder));
    mallopt(M_MMAP_THRESHOLD, LARGE_BYTES); /* as `capstan node` does: its memory is looked at */
    capstan_err_t err = saga_host_open(folder, &self.host);
    if (err != CAPSTAN_OK) {
        return EXIT_FAILED;
    }
    err = saga_host_define(&self.host, resting);
    for (int i = 1; err == CAPSTAN_OK && i < argc; i++) {
        err = grow(&self, strtoull(argv[i], NULL, 10));
        err = err ? err : look(&self);
    }
    capstan_err_t closed = saga_host_close(&self.host);
    bench_remove_folder(folder);
    return err == CAPSTAN_OK && closed == CAPSTAN_OK ? EXIT_DONE : EXIT_FAILED;
}

/* --- the case -------------------------------------------------------------------------------- */

typedef struct line {
    uint64_t count;
    uint64_t rss;
    double us[OPERATIONS];
} line_t;

static double few_us; /* of the run before, for its peer */

static capstan_err_t read_line(child_t *child, line_t *ret_line)
{
    char text[256];
    return child_read_line(child, text, sizeof text) &&
                   sscanf(text, "%" SCNu64 " %" SCNu64 " %lf %lf %lf %lf", &ret_line->count,
                          &ret_line->rss, &ret_line->us[0], &ret_line->us[1], &ret_line->us[2],
                          &ret_line->us[3]) == 2 + OPERATIONS
               ? CAPSTAN_OK
               : CAPSTAN_E_INTERNAL;
}

/* The operation that suffers most. */
static void compare(const line_t *few, const line_t *more, const line_t *many,
                    bench_figures_t *ret_figures)
{
    size_t worst = 0;
    for (size_t i = 0; i < OPERATIONS; i++) {
        fprintf(stderr, "resting: %s: %.1f us among %" PRIu64 ", %.1f us among %" PRIu64 "\n",
                names[i], few->us[i], few->count, many->us[i], many->count);
        worst = many->us[i] / few->us[i] > many->us[worst] / few->us[worst] ? i : worst;
    }
    fprintf(stderr, "resting: %.1f MiB resident with %" PRIu64 ", %.1f MiB with %" PRIu64 "\n",
            (double)more->rss / (1 << 20), more->count, (double)many->rss / (1 << 20), many->count);
    few_us = few->us[worst];
    ret_figures->ops_per_s = 1e6 / many->us[worst];
    ret_figures->p50_us = many->us[worst];
}

capstan_err_t bench_saga_resting(bench_figures_t *ret_figures)
{
    char *argv[] = {"capstan", "bench", "resting", "1000", "100000", "1000000", NULL};
    line_t lines[3];
    child_t child;
    capstan_err_t err = child_start(argv, &child);
    if (err != CAPSTAN_OK) {
        return err;
    }
    for (size_t i = 0; err == CAPSTAN_OK && i < 3; i++) {
        err = read_line(&child, &lines[i]);
    }
    capstan_err_t ended = child_finish(&child, err == CAPSTAN_OK ? 0 : SIGTERM);
    err = err ? err : ended;
    if (err == CAPSTAN_OK) {
        compare(&lines[0], &lines[1], &lines[2], ret_figures);
    } else {
        bench_failed("resting", "its process has failed; `capstan bench resting 1000` says why");
    }
    return err;
}

capstan_err_t bench_saga_resting_few(bench_figures_t *ret_figures)
{
    ret_figures->ops_per_s = 1e6 / few_us;
    ret_figures->p50_us = few_us;
    return CAPSTAN_OK;
}
