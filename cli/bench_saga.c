/* saga: sagas of three steps, of which each is on disk before the next. The cases start processes,
 * each with a store of its own, and read what they print. */
#include "cli/bench.h"
#include "cli/bench_processes.h"
#include "cli/bench_sqlite.h"

#include <jansson.h>
#include <stdlib.h>

enum { SQLITE_SECONDS = 2 };

static double figure(const json_t *line, const char *name)
{
    return json_number_value(json_object_get(line, name));
}

static capstan_err_t read_figures(child_t *child, bench_figures_t *ret_figures)
{
    char text[512];
    json_t *line = child_read_line(child, text, sizeof text) ? json_loads(text, 0, NULL) : NULL;
    if (!line) {
        return CAPSTAN_E_INTERNAL;
    }
    ret_figures->ops_per_s = figure(line, "ops_per_s");
    ret_figures->p50_us = figure(line, "p50_us");
    ret_figures->p99_us = figure(line, "p99_us");
    ret_figures->p999_us = figure(line, "p999_us");
    json_decref(line);
    return CAPSTAN_OK;
}

static capstan_err_t run(char *sagas, char *flight, char *tcp, bench_figures_t *ret_figures)
{
    char *argv[] = {"capstan", "bench", "three_steps", sagas, flight, tcp, NULL};
    child_t child;
    capstan_err_t err = child_start(argv, &child);
    if (err != CAPSTAN_OK) {
        return err;
    }
    err = read_figures(&child, ret_figures);
    capstan_err_t ended = child_finish(&child, 0);
    err = err ? err : ended;
    if (err != CAPSTAN_OK) {
        bench_failed("saga",
                     "its process has failed; `capstan bench three_steps 1000 10` says why");
    }
    return err;
}

capstan_err_t bench_saga_inside(bench_figures_t *ret_figures)
{
    return run("100000", "500", NULL, ret_figures);
}

capstan_err_t bench_saga_tcp(bench_figures_t *ret_figures)
{
    return run("100000", "500", "tcp", ret_figures);
}

capstan_err_t bench_saga_alone(bench_figures_t *ret_figures)
{
    return run("1000", "1", NULL, ret_figures);
}

/* Start and three answers are a commit each; a millisecond for all that lies between them. */
capstan_err_t bench_saga_four_commits(bench_figures_t *ret_figures)
{
    enum { COMMITS = 4, BETWEEN_US = 1000 };
    char folder[64];
    if (!bench_make_folder(folder)) {
        return CAPSTAN_E_SYSTEM;
    }
    double commit_us = bare_sqlite_commit_us(folder, SQLITE_SECONDS);
    bench_remove_folder(folder);
    ret_figures->p50_us = COMMITS * commit_us + BETWEEN_US;
    ret_figures->ops_per_s = 1e6 / ret_figures->p50_us;
    return commit_us > 0 ? CAPSTAN_OK : CAPSTAN_E_SYSTEM;
}
