/* The world in which the cores of sagas are tried: two coordinators of which one at a time has the
 * epoch, their store, participants that lose, repeat, delay and fail, clients that start, look
 * after and disturb sagas, and topics that start and move them. Everything is drawn from one seed.
 *
 *   client host            coordinator hosts           store         participant hosts
 *   client, topics --net-> shell (core), shell --net-> journal
 *        ^                   |  ^                      disk
 *        +---- answers ------+  +---- results --net--- inbox core, rows, ledger
 *                            +------- commands --net-->
 *
 * What is committed is taken by witnesses (saga_witness.h); the predicates judge these, the
 * participants' ledger and what is delivered. */
#ifndef TESTS_SAGA_WORLD_H
#define TESTS_SAGA_WORLD_H

#include "tests/simulation/saga_actors.h"

/* A minute begins soon after the world does: schedules fire. */
static const int64_t world_utc_base = INT64_C(1700000040000000) - 700000;

typedef struct world_options {
    uint64_t seed;
    bool trace;
} world_options_t;

typedef struct world_figures {
    uint64_t sagas;
    uint64_t ends[SAGA_CANCELLED + 1]; /* by state */
    uint64_t records;
    uint64_t effects;
    uint64_t crashes;
    uint64_t cuts;
    uint64_t zombies;
    uint64_t reloads;
    uint64_t evictions;
    uint64_t withheld;
    uint64_t steps;
} world_figures_t;

/* How a participant does an action. */
typedef struct sim_action {
    uint32_t fails; /* per mille, as are the next ones: to be tried again */
    uint32_t final; /* for good */
    uint32_t slow;  /* takes longer than the coordinator waits */
    uint32_t undo_fails;
    uint32_t undo_final;
} sim_action_t;

typedef struct sim_definition {
    char name[16];
    uint64_t version;
    buffer_t record;
    plan_t *plan;
    bool known; /* answered as defined */
} sim_definition_t;

struct world {
    world_options_t options;
    core_world_t *simulation;
    random_source_t dice; /* for what the world is like; the simulation has its own */
    network_faults_t faults;
    uint32_t commit_failures;     /* per mille */
    uint32_t participant_crashes; /* per mille of commands, at each step */
    uint32_t lost;                /* per mille of results, as the next ones */
    uint32_t twice;
    uint32_t garbage;
    uint32_t meddling;     /* per mille of the client's looks at which a person does something */
    bool clocks_are_wrong; /* they differ, and are set */
    int64_t clock_step_us;
    uint64_t withheld_epoch; /* the coordinator of this epoch does not know this plan */
    const plan_t *withheld;
    disk_t disk;
    history_t history;
    world_figures_t figures;
    sim_action_t actions[WORLD_ACTIONS];
    sim_definition_t definitions[WORLD_DEFINITIONS_MAX];
    uint32_t definition_count;
    uint32_t late_definitions; /* of them, the last ones become known later */

    sim_shell_t shells[WORLD_COORDINATORS];
    uint32_t leader; /* who was last given the epoch */
    sim_journal_t journal;
    sim_participant_t participants[WORLD_PARTICIPANTS_MAX];
    uint32_t participant_count;
    sim_client_t client;

    struct {
        uint64_t at_log_size;
        core_world_call_fn *call;
        uint64_t argument;
    } plan[WORLD_FAULTS_MAX]; /* faults by progress, so that each of them happens */
    size_t plan_count;
    size_t plan_done;
    int64_t progress_us; /* when a fault was last planned, or a record written */
    uint64_t progress;
    uint64_t crashes_planned;
    bool crash_at_commit;
    bool withhold;      /* the next recovery does not know one of the definitions */
    uint32_t elections; /* that are planned */
    bool calm;          /* faults have ended */
    int64_t calm_us;
};

world_t *world_new(const world_options_t *options);
/* Runs until everything has come to rest. */
void world_run(world_t *self);
void world_destroy(world_t **self_p);

void world_trace(const world_t *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void world_fail(world_t *self, const char *predicate, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* After each commit: starts the faults that are due by progress. */
void world_progress(world_t *self);
/* Gives the epoch to that coordinator, or to the other one when it cannot take it. */
void world_elect(world_t *self, uint32_t shell);
void world_crash_participant(world_t *self, uint32_t participant);

const plan_t *world_plan(const world_t *self, slice_t name, uint64_t version);
uint64_t world_hash(slice_t bytes);
slice_t world_key(uint32_t key);
slice_t world_topic(uint32_t topic);
const disk_row_t *disk_row(const disk_t *self, uint64_t number);
void disk_put_row(disk_t *self, uint64_t number, slice_t value);
void disk_append(disk_t *self, uint64_t epoch, uint32_t kind, slice_t data);
void disk_fini(disk_t *self);

/* saga_plans.c: makes the definitions. */
void plans_make(world_t *self);
/* A start's input: a map with `a`, `key`, `list`, and sometimes `maybe`. */
void plans_make_input(random_source_t *dice, buffer_t *out);

#endif
