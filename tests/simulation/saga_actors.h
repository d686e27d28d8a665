/* The actors of the simulated world of sagas; what each does stands at the head of its source. */
#ifndef TESTS_SAGA_ACTORS_H
#define TESTS_SAGA_ACTORS_H

#include "actors/saga/inbox.h"
#include "tests/simulation/saga_shell.h"

enum {
    WORLD_COORDINATORS = 2,
    WORLD_PARTICIPANTS_MAX = 4,
    WORLD_DEFINITIONS_MAX = 12,
    WORLD_SAGAS_MAX = 80,
    WORLD_ACTIONS = 8,
    WORLD_TOPICS = 2,
    WORLD_PARTITIONS = 2,
    WORLD_KEYS = 5,
    WORLD_FAULTS_MAX = 32,
    SIM_EVENT = 0x7001, /* a record `saga_input`, of kind `event`, for the coordinator */
};

typedef struct journal_write {
    capstan_ref_t from;
    uint32_t message;
    uint64_t correlation;
    uint8_t *body;
    size_t size;
} journal_write_t;

/* The store, which both coordinators write to. */
typedef struct sim_journal {
    world_t *world;
    uint32_t slot;
    uint32_t host;
    journal_write_t *writes;
    size_t count;
    size_t capacity;
    size_t committing; /* writes of the running transaction; 0: none */
    buffer_t body;
} sim_journal_t;

/* A durable row of a participant; `row`'s slices are owned. */
typedef struct sim_row {
    uint64_t number;
    uint64_t task;
    uint64_t saga; /* hash of the id */
    inbox_row_t row;
} sim_row_t;

/* A command that waits for its turn at the participant. */
typedef struct sim_job {
    uint64_t cookie; /* of its timer */
    uint64_t epoch;
    uint8_t *body; /* record `saga_command` */
    size_t size;
} sim_job_t;

typedef struct sim_participant {
    world_t *world;
    uint32_t slot;
    uint32_t host;
    uint32_t index;
    sim_row_t *rows; /* durable, as the next one */
    size_t row_count;
    uint64_t epoch;
    sim_job_t *jobs;
    size_t job_count;
    uint64_t cookie_last;
    capstan_ref_t coordinator; /* who last sent commands of the greatest epoch */
    buffer_t body;
    buffer_t part;
} sim_participant_t;

/* What a client wants started, and what it has heard of it. */
typedef struct sim_start {
    char id[24];
    uint32_t definition;
    uint64_t version; /* 0: the newest */
    uint64_t deadline_ms;
    buffer_t input;
    buffer_t other; /* another input, under the same id */
    int64_t next_us;
    bool answered;
    uint32_t accepted; /* bits of the variants that were answered as started */
    uint32_t refused;  /* and of those that were a conflict */
    uint64_t number;
    uint64_t accepted_version;
    uint64_t ended_state; /* as the first answer that says so */
    uint64_t ended_hash;
} sim_start_t;

typedef struct sim_client {
    world_t *world;
    uint32_t slot;
    uint32_t host;
    sim_start_t starts[WORLD_SAGAS_MAX];
    uint32_t start_count;
    uint32_t started;  /* of them, so many have been tried */
    uint64_t requests; /* correlation: number of the request, kind, variant and start */
    uint32_t next_definition;
    uint64_t offsets[WORLD_TOPICS][WORLD_PARTITIONS]; /* of topics: acknowledged up to here */
    uint64_t events_max;
    buffer_t body;
} sim_client_t;

void journal_stop(sim_journal_t *self);
extern const core_actor_t journal_behaviour;

void participant_start(sim_participant_t *self);
void participant_stop(sim_participant_t *self); /* what it had in memory */
void participant_fini(sim_participant_t *self);
extern const core_actor_t participant_behaviour;

void client_start(sim_client_t *self);
void client_fini(sim_client_t *self);
bool client_is_done(const sim_client_t *self);
extern const core_actor_t client_behaviour;

#endif
