/* three_steps: a node, its sagas and their driver in one process, the participant there too or in
 * another one. */
#include "cli/bench.h"
#include "cli/bench_processes.h"
#include "cli/bench_saga.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "runtime/base/ensure.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>

enum { WARM_UP_SHARE = 20, STOP_US = 10000000, STEPS = 3 };

/* --- the participant's process --------------------------------------------------------------- */

/* participant ENDPOINT PATH: prints `ready`, and works until it is asked to end. */
int bench_participant(int argc, char **argv)
{
    char text[512] = "";
    capstan_participant_t *participant;
    ENSURE(argc == 3);
    interrupt_catch();
    capstan_err_t err = capstan_participant_connect(
        &(capstan_participant_options_t){
            .name = "bench", .endpoint = argv[1], .path = argv[2], .handle = bench_saga_handle},
        &participant, text, sizeof text);
    if (err != CAPSTAN_OK) {
        return bench_failed("participant", text);
    }
    printf("ready\n");
    fflush(stdout);
    while (!interrupted()) {
        capstan_participant_poll(participant, 100000);
    }
    err = capstan_participant_stop(&participant, STOP_US);
    return err == CAPSTAN_OK ? EXIT_DONE : bench_failed("participant", capstan_err_text(err));
}

/* --- what is measured ------------------------------------------------------------------------ */

typedef struct three_steps {
    saga_host_t host;
    char folder[64];
    char inbox[128];
    uint64_t count;
    uint64_t flight;
    bool tcp;
    uint64_t warm_up;
    uint64_t *took_ns;
    double seconds;
    double begin_cpu_s;
} three_steps_t;

/* Before, some that are not measured. */
static capstan_err_t run_sagas(three_steps_t *self)
{
    saga_run_t run = {.definition = "order", .count = self->warm_up, .flight = self->flight};
    capstan_err_t err = saga_run(&self->host, &run);
    if (err != CAPSTAN_OK) {
        return err;
    }
    run.first = self->warm_up;
    run.count = self->count;
    run.took_ns = self->took_ns;
    self->begin_cpu_s = bench_cpu_s();
    int64_t begin_ns = bench_now_ns();
    err = saga_run(&self->host, &run);
    self->seconds = (double)(bench_now_ns() - begin_ns) / 1e9;
    return err;
}

static capstan_err_t with_participant_inside(three_steps_t *self)
{
    char text[512] = "";
    capstan_participant_t *participant;
    capstan_err_t err = capstan_participant_start(
        self->host.node,
        &(capstan_participant_options_t){
            .name = "bench", .path = self->inbox, .handle = bench_saga_handle},
        &participant, text, sizeof text);
    if (err != CAPSTAN_OK) {
        bench_failed("three_steps", text);
        return err;
    }
    err = run_sagas(self);
    capstan_err_t stopped = capstan_participant_stop(&participant, STOP_US);
    return err ? err : stopped;
}

static capstan_err_t with_participant_outside(three_steps_t *self)
{
    char line[64];
    child_t child;
    char *argv[] = {"capstan", "bench", "participant", self->host.endpoint, self->inbox, NULL};
    capstan_err_t err = child_start(argv, &child);
    if (err != CAPSTAN_OK) {
        return err;
    }
    err = child_read_line(&child, line, sizeof line) ? run_sagas(self) : CAPSTAN_E_SYSTEM;
    capstan_err_t ended = child_finish(&child, SIGTERM);
    return err ? err : ended;
}

static capstan_err_t measure(three_steps_t *self)
{
    capstan_err_t err = saga_host_open(self->folder, &self->host);
    if (err != CAPSTAN_OK) {
        return err;
    }
    err = saga_host_define(&self->host, bench_saga_three_steps);
    err = err ? err : self->tcp ? with_participant_outside(self) : with_participant_inside(self);
    capstan_err_t closed = saga_host_close(&self->host);
    return err ? err : closed;
}

/* Each step of each saga has had its effect once. */
static capstan_err_t check(const three_steps_t *self)
{
    int64_t wanted = (int64_t)(STEPS * (self->warm_up + self->count));
    int64_t rows = bench_saga_inbox_rows(self->inbox);
    if (rows != wanted) {
        fprintf(stderr, "capstan bench: three_steps: %" PRId64 " effects instead of %" PRId64 "\n",
                rows, wanted);
    }
    return rows == wanted ? CAPSTAN_OK : CAPSTAN_E_INTERNAL;
}

/* three_steps SAGAS IN_FLIGHT [tcp]: runs so many, checks what came of them, and prints figures. */
int bench_three_steps(int argc, char **argv)
{
    ENSURE(argc == 3 || argc == 4);
    three_steps_t self = {.count = strtoull(argv[1], NULL, 10),
                          .flight = strtoull(argv[2], NULL, 10),
                          .tcp = argc == 4};
    if (self.count == 0 || self.flight == 0 || !bench_make_folder(self.folder)) {
        return bench_failed("three_steps", "SAGAS and IN_FLIGHT are numbers of at least 1");
    }
    bench_saga_inbox(self.folder, self.inbox);
    self.warm_up = self.count / WARM_UP_SHARE + 1;
    self.took_ns = calloc(self.count, sizeof *self.took_ns);
    ENSURE(self.took_ns);
    capstan_err_t err = measure(&self);
    double used_s = bench_cpu_s() - self.begin_cpu_s;
    err = err ? err : check(&self);
    if (err == CAPSTAN_OK) {
        bench_figures_t figures = {.ops_per_s = (double)self.count / self.seconds};
        bench_quantiles(self.took_ns, self.count, &figures);
        bench_print_line(self.count, self.seconds, &figures, used_s);
    }
    bench_remove_folder(self.folder);
    free(self.took_ns);
    return err == CAPSTAN_OK ? EXIT_DONE : EXIT_FAILED;
}
