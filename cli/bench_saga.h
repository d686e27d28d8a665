/* What the benchmarks of sagas share: a node of this process that has sagas, a participant whose
 * handler only answers, so that its inbox is all that its work costs, and an actor that keeps sagas
 * under way. */
#ifndef CLI_BENCH_SAGA_H
#define CLI_BENCH_SAGA_H

#include "actors/saga/saga_messages.h"

#include <capstan/node.h>
#include <capstan/participant.h>
#include <stdio.h>

enum { BENCH_SAGA_US = 600000000 }; /* what takes longer has failed */

typedef struct saga_host {
    capstan_node_t *node;
    capstan_ref_t saga;
    char endpoint[128];
} saga_host_t;

/* Opens a node with its store in the folder, and a gateway at a free port of loopback. stderr says
 * what is wrong. */
CAPSTAN_MUST_CHECK capstan_err_t saga_host_open(const char *folder, saga_host_t *ret_host);
CAPSTAN_MUST_CHECK capstan_err_t saga_host_close(saga_host_t *self);

/* Makes the definition of this text known. */
CAPSTAN_MUST_CHECK capstan_err_t saga_host_define(const saga_host_t *self, const char *yaml);
/* Asks the coordinator; the reply's body is not kept. */
CAPSTAN_MUST_CHECK capstan_err_t saga_host_ask(const saga_host_t *self,
                                               const wire_record_t *message, const void *value);

/* Three compensatable steps, by the participant `bench`. */
extern const char bench_saga_three_steps[];

/* Where the participant's inbox lies in a folder. */
void bench_saga_inbox(const char *folder, char path[128]);
/* The tasks that an inbox has taken; stderr says why they cannot be counted: then -1. */
int64_t bench_saga_inbox_rows(const char *path);
/* A handler of participants: does nothing, and is done. */
capstan_err_t bench_saga_handle(void *context, const capstan_command_t *command,
                                capstan_answer_t *answer);

/* Which sagas are started: ids are `saga-` and a number of ten digits. */
typedef struct saga_run {
    const char *definition;
    uint64_t first;
    uint64_t count;
    uint64_t flight;   /* so many are under way at a time */
    bool only_start;   /* one is under way until its start is on disk, not until it has ended */
    uint64_t *took_ns; /* of each, from the request for its start to the answer; may be NULL */
} saga_run_t;

void bench_saga_id(uint64_t number, char text[32]);
/* Starts all, and returns when the last one is no longer under way. Each has to complete. */
CAPSTAN_MUST_CHECK capstan_err_t saga_run(const saga_host_t *host, const saga_run_t *run);

#endif
