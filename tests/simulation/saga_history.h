/* The store of the simulated coordinators, what its log says of each saga, and what the
 * participants did: what a run is judged by. */
#ifndef TESTS_SAGA_HISTORY_H
#define TESTS_SAGA_HISTORY_H

#include "actors/saga/coordinator.h"
#include "runtime/base/ensure.h"

enum {
    WORLD_FAILURES_MAX = 16,
    PHASES = PHASE_SETTLE + 1,
};

/* --- what survives every crash ---------------------------------------------------------------- */

typedef struct disk_record {
    uint32_t kind;
    uint64_t epoch; /* of who wrote it */
    size_t size;
    uint8_t *data;
} disk_record_t;

typedef struct disk_row {
    uint64_t number;
    buffer_t value; /* record `saga_state` */
} disk_row_t;

typedef struct disk {
    disk_record_t *log; /* the record of lsn n is log[n - 1] */
    size_t count;
    size_t capacity;
    disk_row_t *rows; /* ascending numbers */
    size_t row_count;
    size_t row_capacity;
    uint64_t snapshot_lsn;   /* the rows know everything below; 0: nothing */
    coordinator_mark_t mark; /* as of the last snapshot */
    uint64_t epoch;          /* whoever has another one may not write */
} disk_t;

/* --- what the log says ------------------------------------------------------------------------ */

/* Of one task, as the records say, whatever the core makes of them. */
typedef struct witness_task {
    uint64_t landed_lsn; /* of the record that says that its action is done; 0: none does */
    uint64_t landed_hash;
    bool called;               /* its action was */
    bool refused;              /* a record says that it has no effect */
    bool early;                /* it was being undone before the saga was */
    bool by_hand;              /* a person has said what it counts as */
    uint64_t attempts[PHASES]; /* commands, since a person last wanted it tried again */
    int64_t sent_us[PHASES];   /* when the last of them was wanted */
} witness_task_t;

/* A command that follows from what is on disk. */
typedef struct witness_command {
    uint64_t task;
    uint64_t phase;
    uint64_t attempt;
    uint64_t hash; /* of input and result */
    uint64_t lsn;  /* of the record that it follows from */
} witness_command_t;

/* A saga as it follows from the records on disk, taken one by one as they are committed. */
typedef struct witness {
    saga_t *saga; /* NULL: no record began one of this number */
    uint64_t ended_lsn;
    uint64_t pivot_lsn; /* the record says that the pivot has landed */
    bool skipped;       /* a person said that something counts as done: what is on its way may still
                           be done, behind what came next */
    uint64_t undo_lsn;  /* the saga began to be compensated */
    int64_t undo_us;    /* when that was, or a person last wanted it tried again */
    uint64_t paused_lsn; /* 0: it is not */
    uint64_t alerted;    /* its sequence at the last alert that was raised */
    bool by_hand;        /* ended by a person */
    uint64_t inputs;
    uint64_t places[4][4]; /* by topic and partition: the last offset that it heard */
    witness_command_t *commands;
    size_t command_count;
    size_t command_capacity;
    witness_task_t *tasks; /* that of number n is tasks[n - 1] */
    size_t task_count;
} witness_t;

/* --- what participants did -------------------------------------------------------------------- */

typedef enum effect_kind {
    EFFECT_DONE,   /* an action, or its compensation */
    EFFECT_CLOSED, /* a tombstone: the action never happens from now on */
} effect_kind_t;

/* Written with the participant's rows. */
typedef struct effect {
    effect_kind_t kind;
    uint64_t saga; /* hash of its id */
    uint64_t number;
    uint64_t task;
    uint64_t phase;
    uint64_t epoch;       /* of the command */
    uint64_t epoch_heard; /* the greatest that the participant had heard */
    uint64_t input;       /* hash */
    uint64_t result;      /* hash: of an action's result; of what its compensation was given */
    int64_t at_us;        /* of virtual time */
    uint64_t log_size;
    uint32_t participant;
} effect_t;

typedef struct failure_seen {
    const char *predicate; /* by name */
    char text[240];
} failure_seen_t;

typedef struct history {
    witness_t *witnesses; /* that of number n is witnesses[n - 1] */
    size_t witness_count;
    effect_t *effects;
    size_t effect_count;
    size_t effect_capacity;
    failure_seen_t failures[WORLD_FAILURES_MAX]; /* at most one per predicate */
    size_t failure_count;
} history_t;

#endif
