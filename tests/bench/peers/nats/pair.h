/* Two processes, each with its own connection to the NATS server that tests/bench/compare started:
 * the one that measures, and the other one. */
#ifndef TESTS_BENCH_PEERS_NATS_PAIR_H
#define TESTS_BENCH_PEERS_NATS_PAIR_H

#include "tests/bench/kit/bench.h"

#include <nats/nats.h>
#include <sys/types.h>

enum { PAIR_BODY_BYTES = 64 };

typedef struct pair {
    natsConnection *nats;
    int socket; /* to the other process */
    pid_t other;
    uint64_t count; /* of messages or rounds */
} pair_t;

typedef struct pair_options {
    uint64_t port;
    uint64_t count;
    bool send_at_once; /* for the latency of one; otherwise the library gathers, for throughput */
    void (*other)(const pair_t *self); /* what the other process does */
} pair_options_t;

/* Starts the other process, which runs `other` and ends; connects both. */
pair_t pair_start(const pair_options_t *options);

/* A signal to the other process, and the wait for one. Its end counts as one too. */
void pair_signal(const pair_t *self);
void pair_wait(const pair_t *self);

/* Ends the program when the library refuses what must work. */
void pair_must(natsStatus status, const char *what);

/* Disconnects and waits for the other process; ends the program when that had failed. */
void pair_stop(pair_t *self);

#endif
