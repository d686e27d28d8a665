/* recovery: a node is killed while the commands of all its sagas are out and none is answered, and
 * started again. Measured from its being ready until a participant has heard the command of every
 * saga once more. */
#include "cli/bench.h"
#include "cli/bench_processes.h"
#include "cli/bench_saga.h"
#include "cli/options.h"
#include "runtime/base/ensure.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    SAGAS = 100000,
    FLIGHT = 500,   /* of starts */
    WINDOW = 10000, /* commands that one participant may hold */
    STOP_US = 60000000,
    HEAR_US = 60000000,
};

/* --- the node that is killed ----------------------------------------------------------------- */

static capstan_err_t never_answer(void *context, const capstan_command_t *command,
                                  capstan_answer_t *answer)
{
    (void)context, (void)command, (void)answer;
    for (;;) {
        pause();
    }
    return CAPSTAN_E_INTERNAL;
}

/* stalled FOLDER SAGAS: starts so many, whose participant takes commands and answers none; prints
 * `started`, and waits until it is killed. */
int bench_stalled(int argc, char **argv)
{
    ENSURE(argc == 3);
    saga_host_t host;
    char text[512] = "";
    capstan_participant_t *participant;
    saga_run_t run = {.definition = "order",
                      .count = strtoull(argv[2], NULL, 10),
                      .flight = FLIGHT,
                      .only_start = true};
    capstan_err_t err = saga_host_open(argv[1], &host);
    err = err ? err : saga_host_define(&host, bench_saga_three_steps);
    err = err ? err
              : capstan_participant_start(host.node,
                                          &(capstan_participant_options_t){.name = "bench",
                                                                           .window = WINDOW,
                                                                           .handle = never_answer},
                                          &participant, text, sizeof text);
    err = err ? err : saga_run(&host, &run);
    if (err != CAPSTAN_OK) {
        bench_failed("stalled", text[0] ? text : capstan_err_text(err));
        _exit(EXIT_FAILED); /* the participant never ends */
    }
    printf("started\n");
    fflush(stdout);
    for (;;) {
        pause();
    }
}

static capstan_err_t run_until_killed(const char *folder, uint64_t sagas)
{
    char count[32];
    char line[64];
    child_t child;
    snprintf(count, sizeof count, "%" PRIu64, sagas);
    char *argv[] = {"capstan", "bench", "stalled", (char *)folder, count, NULL};
    capstan_err_t err = child_start(argv, &child);
    if (err != CAPSTAN_OK) {
        return err;
    }
    bool started = child_read_line(&child, line, sizeof line);
    (void)!child_finish(&child, SIGKILL);
    return started ? CAPSTAN_OK : CAPSTAN_E_INTERNAL;
}

/* --- the participant that hears them again --------------------------------------------------- */

typedef struct heard {
    uint64_t sagas;
    uint64_t count; /* different ones */
    bool *is_known; /* by the number in its id */
} heard_t;

static capstan_err_t hear(void *context, const capstan_command_t *command, capstan_answer_t *answer)
{
    heard_t *self = context;
    char id[32] = "";
    memcpy(id, command->saga.data, command->saga.size < 31 ? command->saga.size : 31);
    uint64_t number = strtoull(id + strlen("saga-"), NULL, 10);
    if (number < self->sagas && !self->is_known[number]) {
        self->is_known[number] = true;
        self->count++;
    }
    return bench_saga_handle(context, command, answer);
}

static capstan_err_t hear_all(const char *endpoint, const char *inbox, heard_t *heard)
{
    char text[512] = "";
    capstan_participant_t *participant;
    capstan_err_t err =
        capstan_participant_connect(&(capstan_participant_options_t){.name = "bench",
                                                                     .endpoint = endpoint,
                                                                     .path = inbox,
                                                                     .window = WINDOW,
                                                                     .handle = hear,
                                                                     .context = heard},
                                    &participant, text, sizeof text);
    if (err != CAPSTAN_OK) {
        bench_failed("recovery", text);
        return err;
    }
    int64_t end_ns = bench_now_ns() + INT64_C(1000) * HEAR_US;
    while (heard->count < heard->sagas && bench_now_ns() < end_ns) {
        capstan_participant_poll(participant, 100000);
    }
    err = capstan_participant_stop(&participant, STOP_US);
    return heard->count == heard->sagas ? err : CAPSTAN_E_TIMEOUT;
}

typedef struct recovery {
    double ready_s; /* from its start */
    double heard_s; /* from its being ready */
} recovery_t;

static capstan_err_t start_again(const char *folder, heard_t *heard, recovery_t *ret_recovery)
{
    char setting[] = "gateway.heartbeat_ms=10000";
    char endpoint[128];
    char inbox[128];
    child_t node;
    int64_t begin_ns = bench_now_ns();
    bench_saga_inbox(folder, inbox);
    capstan_err_t err = child_start_node(folder, setting, &node, endpoint);
    if (err != CAPSTAN_OK) {
        return err;
    }
    int64_t ready_ns = bench_now_ns();
    err = hear_all(endpoint, inbox, heard);
    ret_recovery->heard_s = (double)(bench_now_ns() - ready_ns) / 1e9;
    ret_recovery->ready_s = (double)(ready_ns - begin_ns) / 1e9;
    capstan_err_t stopped = child_finish(&node, SIGTERM);
    return err ? err : stopped;
}

static capstan_err_t recover(uint64_t sagas, recovery_t *ret_recovery)
{
    char folder[64];
    heard_t heard = {.sagas = sagas, .is_known = calloc(sagas, sizeof(bool))};
    ENSURE(heard.is_known);
    capstan_err_t err = bench_make_folder(folder) ? CAPSTAN_OK : CAPSTAN_E_SYSTEM;
    err = err ? err : run_until_killed(folder, sagas);
    err = err ? err : start_again(folder, &heard, ret_recovery);
    bench_remove_folder(folder);
    free(heard.is_known);
    if (err != CAPSTAN_OK) {
        bench_failed("recovery", "a process did not do its part, or sagas were not resumed");
    }
    return err;
}

/* recovered SAGAS: the same with so many; prints how long it took until the node was ready, and
 * from then on until all were heard, in seconds. */
int bench_recovered(int argc, char **argv)
{
    recovery_t recovery;
    uint64_t sagas = argc == 2 ? strtoull(argv[1], NULL, 10) : 0;
    if (sagas == 0) {
        return bench_failed("recovered", "SAGAS is a number of at least 1");
    }
    if (recover(sagas, &recovery) != CAPSTAN_OK) {
        return EXIT_FAILED;
    }
    printf("%.3f %.3f\n", recovery.ready_s, recovery.heard_s);
    return EXIT_DONE;
}

capstan_err_t bench_saga_recovery(bench_figures_t *ret_figures)
{
    recovery_t recovery = {.heard_s = 0};
    capstan_err_t err = recover(SAGAS, &recovery);
    if (err == CAPSTAN_OK) {
        fprintf(stderr, "recovery: ready after %.2f s, all heard %.2f s later\n", recovery.ready_s,
                recovery.heard_s);
        ret_figures->ops_per_s = SAGAS / recovery.heard_s;
    }
    return err;
}
