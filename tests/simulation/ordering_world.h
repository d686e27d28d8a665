/* The world in which the ordering core is tried: producers that lose, resend, crash and take over
 * from one another; a server with the partition core behind a shell and a journal with group
 * commit; consumers that store a frontier. Everything is drawn from one seed.
 *
 *   producer hosts           server host                        consumer hosts
 *   producer, twin  --net--> shell (partition core) <--net-->   consumer of each group
 *        ^                     |  append, chunk  ^
 *        +------ outcomes -----+     journal ----+--- disk (survives every crash)
 *
 * What happens is recorded as facts; the predicates judge the facts and the log on the disk. */
#ifndef TESTS_ORDERING_WORLD_H
#define TESTS_ORDERING_WORLD_H

#include "actors/journal/journal_messages.h"
#include "actors/ordering/partition_state.h"
#include "runtime/base/ensure.h"
#include "runtime/simulation/simulation.h"
#include "runtime/wire/wire_messages.h"

enum {
    WORLD_PRODUCERS_MAX = 4,
    WORLD_KEYS_MAX = 8,
    WORLD_GROUPS = 2,
    WORLD_EVENTS_MIN = 2000,
    WORLD_FAULTS_MAX = 32,
    WORLD_FAILURES_MAX = 16,
};
static const int64_t world_utc_base = INT64_C(1700000000000000);

/* ---- what survives a crash ---- */

typedef struct disk_record {
    uint32_t kind;
    size_t size;
    uint8_t *data;
} disk_record_t;

typedef struct disk_row {
    buffer_t key;
    buffer_t value;
} disk_row_t;

typedef struct disk {
    disk_record_t *log; /* the record of lsn n is log[n - 1] */
    size_t count;
    size_t capacity;
    disk_row_t *rows;
    size_t row_count;
    size_t row_capacity;
    uint64_t snapshot_lsn; /* 0: no snapshot */
} disk_t;

/* ---- what is remembered for judgement ---- */

typedef enum fact_kind {
    FACT_ANSWER,   /* the shell answered a publish */
    FACT_DELIVERY, /* a consumer processed an event */
    FACT_FRONTIER, /* the shell confirmed a group's frontier: `offset` */
    FACT_RESUME,   /* a consumer begins behind `offset` */
    FACT_ISSUE,    /* a producer got `epoch` */
    FACT_START,    /* a producer's process began with `epoch` */
} fact_kind_t;

typedef struct fact {
    fact_kind_t kind;
    uint32_t who; /* group; for producers' starts the actor */
    uint32_t producer;
    uint32_t key;
    uint64_t sequence;
    uint64_t epoch;
    uint64_t offset;
    uint64_t hash;     /* of the event's bytes */
    uint64_t log_size; /* records on disk at that time */
    event_result_t result;
    capstan_err_t err;
} fact_t;

typedef struct passage {
    uint32_t from;
    uint32_t to;
    uint64_t ordinal;
} passage_t;

typedef struct failure_seen {
    const char *predicate; /* by name */
    char text[200];
} failure_seen_t;

typedef struct history {
    fact_t *facts;
    size_t count;
    size_t capacity;
    passage_t *passages; /* messages handed over on ordered paths */
    size_t passage_count;
    size_t passage_capacity;
    failure_seen_t failures[WORLD_FAILURES_MAX]; /* at most one per predicate */
    size_t failure_count;
} history_t;

/* ---- the actors ---- */

typedef struct world world_t;

typedef struct source_event {
    uint32_t key;
    uint64_t sequence;
    int64_t not_before_us;
    bool dropped; /* the source has lost it for ever */
} source_event_t;

/* What a producer name has to send, in the order of its source. */
typedef struct source {
    source_event_t *list;
    size_t count;
    uint64_t key_last[WORLD_KEYS_MAX];
    uint64_t key_dropped[WORLD_KEYS_MAX]; /* first sequence that never comes; 0: none */
    uint64_t epoch_issued;
} source_t;

typedef enum send_state {
    SEND_WAITING,
    SEND_UNDER_WAY,
    SEND_DONE,
} send_state_t;

typedef struct sim_producer {
    world_t *world;
    uint32_t slot;
    uint32_t host;
    uint32_t source;
    uint64_t epoch;  /* durable */
    size_t saved;    /* durable: everything before is answered */
    bool announce;   /* the new epoch is told to the partition before the first event */
    bool announced;
    bool runs;
    bool fenced;
    uint8_t *state;  /* send_state_t per source event */
    int64_t *sent_us;
    int64_t *retry_us; /* a rejected event is not sent again before */
    uint8_t *retries;
    size_t first;    /* everything before is done */
    size_t under_way;
} sim_producer_t;

typedef struct sim_consumer {
    world_t *world;
    uint32_t slot;
    uint32_t host;
    uint32_t group;
    bool resumed;
    uint64_t request;
    uint64_t offset; /* processed up to here */
    uint64_t lsn;    /* where to read on */
} sim_consumer_t;

typedef struct frontier_state {
    uint64_t offset;
    uint64_t lsn;
} frontier_state_t;

typedef enum wait_kind {
    WAIT_ANSWER,
    WAIT_EPOCH,
    WAIT_FRONTIER,
} wait_kind_t;

/* What is sent once everything before `lsn` is on disk. */
typedef struct waiting {
    wait_kind_t kind;
    uint64_t lsn;
    capstan_ref_t to;
    uint64_t correlation;
    fact_t fact;
    frontier_state_t frontier;
} waiting_t;

typedef struct sim_shell {
    world_t *world;
    uint32_t slot;
    partition_t *core;
    partition_effects_t effects;
    waiting_t *queue; /* ascending lsn */
    size_t queue_count;
    size_t queue_capacity;
    codec_list_writer_t records; /* gathered in this turn, in `list` */
    uint64_t record_count;
    uint64_t lsn_next;    /* of the next append */
    uint64_t lsn_on_disk; /* everything before it is committed */
    uint64_t outstanding; /* appends without an answer */
    bool broken;          /* an append was refused: load again once none is outstanding */
    frontier_state_t frontiers[WORLD_GROUPS];         /* on disk */
    frontier_state_t frontiers_written[WORLD_GROUPS]; /* appended */
    uint64_t snapshot_lsn; /* of the running pass; 0: none runs */
    bool chunk_ready;
    bool chunk_sent;
    bool chunk_last;
    uint64_t chunk_number;
    uint64_t chunk_lsn; /* the chunk may be written once everything before this is on disk */
    buffer_t chunk_rows;
    buffer_t list;
    buffer_t body;
    buffer_t part;
} sim_shell_t;

typedef struct journal_write {
    capstan_ref_t from;
    uint32_t message;
    uint64_t correlation;
    uint8_t *body;
    size_t size;
} journal_write_t;

typedef struct sim_journal {
    world_t *world;
    uint32_t slot;
    journal_write_t *writes;
    size_t count;
    size_t capacity;
    size_t committing; /* writes of the running transaction; 0: none */
    buffer_t body;
} sim_journal_t;

/* ---- the world ---- */

typedef struct world_options {
    uint64_t seed;
    bool trace;
} world_options_t;

typedef struct world_figures {
    uint64_t events;   /* records of accepted events on disk */
    uint64_t crashes;
    uint64_t cuts;
    uint64_t reloads;
    uint64_t steps;
} world_figures_t;

struct world {
    world_options_t options;
    simulation_t *simulation;
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
    sim_consumer_t consumers[WORLD_GROUPS];

    struct {
        uint64_t at_log_size;
        simulation_call_fn *call;
        uint64_t argument;
    } plan[WORLD_FAULTS_MAX]; /* faults by progress, so that each of them happens */
    size_t plan_count;
    size_t plan_done;
    bool crash_at_commit;
    uint64_t chunks; /* of snapshots, taken so far */
};

world_t *world_new(const world_options_t *options);
/* Runs until everything is sent, stored and consumed. */
void world_run(world_t *self);
void world_destroy(world_t **self_p);

int64_t world_utc(const world_t *self);
void world_trace(const world_t *self, const char *format, ...) __attribute__((format(printf, 2, 3)));
void world_fail(world_t *self, const char *predicate, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
fact_t *world_record(world_t *self, fact_kind_t kind);
/* After each commit: starts the faults that are due by progress. */
void world_progress(world_t *self);

/* Names on the wire and back. */
slice_t world_producer_name(uint32_t producer);
slice_t world_key_name(uint32_t key);
uint32_t world_index(slice_t name);
/* The payload follows from the identity, so that any mix-up is seen. */
size_t world_payload(uint32_t producer, uint32_t key, uint64_t sequence, uint8_t ret_bytes[256]);
uint64_t world_hash(slice_t bytes);

void shell_start(sim_shell_t *self);
void shell_stop(sim_shell_t *self);
void shell_save_and_reload(sim_shell_t *self);
extern const simulated_t shell_behaviour;

void journal_stop(sim_journal_t *self);
extern const simulated_t journal_behaviour;

void producer_start(sim_producer_t *self);
void producer_stop(sim_producer_t *self);
bool producer_is_done(const sim_producer_t *self);
extern const simulated_t producer_behaviour;

void consumer_start(sim_consumer_t *self);
extern const simulated_t consumer_behaviour;

void disk_append(disk_t *self, const journal_record_t *record);
void disk_put_row(disk_t *self, const snapshot_row_t *row);
void disk_fini(disk_t *self);

#endif
