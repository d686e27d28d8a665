/* The disk of the simulated server, and what is remembered of a run for its judgement. */
#ifndef TESTS_ORDERING_HISTORY_H
#define TESTS_ORDERING_HISTORY_H

#include "actors/journal/journal_messages.h"
#include "actors/ordering/partition_state.h"
#include "runtime/base/ensure.h"

enum {
    WORLD_FAILURES_MAX = 16,
};

/* What survives a crash of the server. */
typedef struct disk_record {
    uint32_t kind;
    size_t size;
    uint8_t *data; /* as it was appended */
    buffer_t stub; /* what compaction put in its place; empty: nothing */
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

typedef enum fact_kind {
    FACT_ANSWER,   /* the shell answered a publish */
    FACT_DELIVERY, /* a consumer processed an event */
    FACT_BEGIN,    /* a group began behind `offset`, as the partition has it on record */
    FACT_PLACE,    /* a group begins: what it knows as completed follows as FACT_PLACED */
    FACT_PLACED,   /* offsets from `sequence` to `offset` are completed */
    FACT_GIVE,     /* a group delivers `offset` of `key` to member `epoch` */
    FACT_DONE,     /* it takes the acknowledgement of member `epoch` for `offset` */
    FACT_REJECT,   /* it takes the rejection of member `epoch` for `offset` */
    FACT_LEAVE,    /* member `epoch` has left */
    FACT_PARK,     /* `offset` is parked */
    FACT_REPLAY,   /* the parked `offset` is to be delivered again */
    FACT_DISCARD,  /* the parked `offset` was given up */
    FACT_STORE,    /* that the offsets from `sequence` to `offset` are completed is on disk */
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

void disk_append(disk_t *self, const journal_record_t *record);
void disk_put_row(disk_t *self, const snapshot_row_t *row);
void disk_fini(disk_t *self);

#endif
