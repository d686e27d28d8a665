/* What the programs over tcp share: processes of their own for a node with a gateway and for peers,
 * and words between them and the process that measures. */
#ifndef TESTS_BENCH_RUNTIME_REMOTE_H
#define TESTS_BENCH_RUNTIME_REMOTE_H

#include "tests/bench/runtime/host.h"

#include <capstan/gateway.h>
#include <capstan/peer.h>
#include <sys/types.h>

enum {
    REMOTE_BODY_BYTES = 64,
    REMOTE_US = 60000000, /* nothing takes longer */
    REMOTE_ENDPOINT_SIZE = 300,
};

typedef struct remote {
    pid_t process; /* 0: this is the other one */
    int socket;
} remote_t;

/* Starts another process, which runs `run` and ends. Before this one has threads. */
remote_t remote_start(void (*run)(const remote_t *self, uint64_t count), uint64_t count);
/* A word to the other process, and the next one from it; up to REMOTE_ENDPOINT_SIZE bytes. */
void remote_say(const remote_t *self, const char *word);
void remote_hear(const remote_t *self, char *ret_word);
/* Waits for its end; ends the program when it had failed. */
void remote_join(const remote_t *self);

/* A node with an actor `name` that is open to peers (NULL: none), and a gateway. */
capstan_node_t *remote_node(const capstan_behaviour_t *behaviour, void *argument, const char *name,
                            capstan_ref_t *ret_ref, char *ret_endpoint);
/* In a process for it alone: the same; it says the endpoint, and ends when it hears a word. */
void remote_serve(const remote_t *self, const capstan_behaviour_t *behaviour, const char *name);
capstan_peer_t *remote_connect(const char *endpoint, capstan_peer_options_t options);

#endif
