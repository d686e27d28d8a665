/* The world in which the ordering core is tried: producers that lose, resend, crash and take over
 * from one another; a server with the partition core behind a shell and a journal with group
 * commit; groups whose members fail, hang, and acknowledge as
 * zombies. Everything is drawn from one seed.
 *
 *   producer hosts           server host                            consumer hosts
 *   producer, twin  --net--> shell (partition core) <--> groups --net--> members of each
 *        ^                     |  append, chunk  ^
 *        +------ outcomes -----+     journal ----+--- disk (survives every crash)
 *
 * What happens is recorded as facts; the predicates judge the facts and the log on the disk. */
#ifndef TESTS_ORDERING_WORLD_H
#define TESTS_ORDERING_WORLD_H

#include "tests/simulation/ordering_actors.h"
#include "tests/simulation/ordering_compaction.h"
#include "tests/simulation/ordering_group.h"

static const int64_t world_utc_base = INT64_C(1700000000000000);

typedef struct world_options {
    uint64_t seed;
    bool trace;
} world_options_t;

typedef struct world_figures {
    uint64_t events; /* records of accepted events on disk */
    uint64_t crashes;
    uint64_t cuts;
    uint64_t reloads;
    uint64_t steps;
    uint64_t lookups; /* of rows of keys */
} world_figures_t;

struct world {
    world_options_t options;
    core_world_t *simulation;
    random_source_t dice; /* for what the world is like; the simulation has its own */
    partition_limits_t limits;
    network_faults_t faults;
    uint32_t commit_failures; /* per mille */
    int64_t clock_step_us;
    disk_t disk;
    history_t history;
    world_figures_t figures;
    uint64_t steps_taken[KEY_PHASE_COUNT][KEY_INPUT_COUNT];

    uint32_t server;
    sim_shell_t shell;
    sim_journal_t journal;
    uint32_t source_count;
    uint32_t key_count;
    source_t sources[WORLD_PRODUCERS_MAX];
    sim_producer_t producers[WORLD_PRODUCERS_MAX * 2]; /* each name and its twin */
    sim_group_t groups[WORLD_GROUPS];
    sim_consumer_t consumers[WORLD_GROUPS * WORLD_MEMBERS];
    uint64_t subscription_last; /* numbers are never used again */
    bool declares;              /* producers say so when an event was lost before it was sent */
    bool small_ledger;          /* it gets full */
    uint32_t forced;            /* per mille of looks at which a person gives up a gap */
    uint32_t moves;             /* per mille of looks at which keys leave and come back */
    uint64_t poison_attempts;   /* an event of a poisoned key is processed after so many */
    uint32_t poison_per_mille;  /* of events */
    uint64_t group_steps[GROUP_KEY_STATE_COUNT][GROUP_INPUT_COUNT];

    struct {
        uint64_t at_log_size;
        core_world_call_fn *call;
        uint64_t argument;
    } plan[WORLD_FAULTS_MAX]; /* faults by progress, so that each of them happens */
    size_t plan_count;
    size_t plan_done;
    uint64_t crashes_planned;
    bool crash_at_commit;
    uint64_t chunks; /* of snapshots, taken so far */
    sim_compaction_t compaction;
};

world_t *world_new(const world_options_t *options);
/* Runs until everything is sent, stored and consumed. */
void world_run(world_t *self);
void world_destroy(world_t **self_p);

int64_t world_utc(const world_t *self);
void world_trace(const world_t *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void world_fail(world_t *self, const char *predicate, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
fact_t *world_record(world_t *self, fact_kind_t kind);
/* After each commit: starts the faults that are due by progress. */
void world_progress(world_t *self);

/* Whether every gap with something behind it ends sometime. */
bool world_gaps_end(const world_t *self);

/* Names on the wire and back. */
slice_t world_producer_name(uint32_t producer);
slice_t world_key_name(uint32_t key);
uint32_t world_index(slice_t name);
/* The payload follows from the identity, so that any mix-up is seen. */
size_t world_payload(uint32_t producer, uint32_t key, uint64_t sequence, uint8_t ret_bytes[256]);
uint64_t world_hash(slice_t bytes);

#endif
