/* What a program of ours does around its actors: a node, a main actor that is asked to begin and
 * answers when all is done, the meter between the two, and an orderly stop.
 *
 * The node has two worker cells, as CAF has two workers. */
#ifndef TESTS_BENCH_RUNTIME_HOST_H
#define TESTS_BENCH_RUNTIME_HOST_H

#include "tests/bench/kit/bench.h"

#include <capstan/node.h>

enum {
    HOST_BEGIN = 0x8000, /* request to the main actor; its answer ends the stretch */
    HOST_MESSAGE,        /* first number of the program's own messages */
    HOST_WORKERS = 2,
};

/* Runs one stretch of `ops` operations: starts a node and the main actor on a worker cell, asks it
 * to begin, waits for the answer, stops the node. Who sends the main actor more than its mailbox
 * takes waits until there is room. */
bench_figures_t host_run(capstan_node_options_t options, const capstan_behaviour_t *behaviour,
                         void *argument, uint64_t ops);

/* Ends the program when the runtime refuses what must work. */
void host_must(capstan_err_t err, const char *what);

/* The same, of calls that programs make all the time. */
capstan_ref_t host_spawn(capstan_actor_t *self, const capstan_behaviour_t *behaviour,
                         const capstan_spawn_options_t *options);
void host_tell(capstan_actor_t *self, capstan_ref_t target, uint32_t message, const void *body,
               size_t size);

/* init: keeps the argument as the actor's state. */
capstan_err_t host_keep_argument(capstan_actor_t *self, void *argument);

#endif
