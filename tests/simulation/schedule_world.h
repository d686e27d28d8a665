/* The world in which delayed events are tried: producers publish into one partition that numbers by
 * arrival, some events with a time before which they must not be put in order, some with an id
 * under which they are sent again; a shell gathers what the core wants appended; a journal commits,
 * or refuses; snapshots are written in chunks meanwhile; the clock jumps; the node is killed at any
 * moment. Everything is drawn from one seed.
 *
 *   publish, expire --> core --> gathered --> writes (appends, chunks) --> disk
 *        ^                                        |   survives every kill
 *        +--------------- answers ----------------+
 *
 * The predicates judge the answers and the log on the disk (schedule_predicates.c). */
#ifndef TESTS_SCHEDULE_WORLD_H
#define TESTS_SCHEDULE_WORLD_H

#include "actors/ordering/partition_state.h"
#include "runtime/simulation/random.h"

enum {
    SCHEDULE_EVENTS = 700,
    SCHEDULE_WRITES_MAX = 4,
    SCHEDULE_PAYLOAD_MAX = 60,
};

typedef struct sim_event {
    uint64_t number; /* of its id; 0: it has none, and is sent once */
    int64_t due_us;  /* 0: none */
    bool sent;
    bool answered; /* stored */
    bool on_disk;
    bool refused;   /* for want of room: it may be sent again */
    bool cancelled; /* and somebody was told so */
} sim_event_t;

typedef struct sim_record {
    uint64_t kind;
    buffer_t key; /* of a row */
    buffer_t data;
} sim_record_t;

typedef struct sim_records {
    sim_record_t *list;
    size_t count;
    size_t capacity;
} sim_records_t;

typedef struct sim_write {
    sim_records_t records;
    bool chunk; /* rows of a snapshot, instead of an append */
    bool last;
    size_t snapshot_lsn;
} sim_write_t;

typedef struct sim_answer {
    size_t event;
    size_t lsn;            /* it holds once everything before is on disk */
    event_result_t result; /* 0: it was cancelled */
} sim_answer_t;

typedef struct schedule_figures {
    uint64_t events; /* records of the log with an offset */
    uint64_t released;
    uint64_t kills;
    uint64_t refusals; /* of the journal */
    uint64_t snapshots;
    uint64_t cancelled;
    uint64_t full; /* events that there was no room for */
} schedule_figures_t;

typedef struct schedule_world {
    random_source_t dice;
    partition_limits_t limits;
    int64_t now_us;
    sim_event_t events[SCHEDULE_EVENTS];
    size_t sent;
    schedule_figures_t figures;
    bool trace;
    const char *failed; /* the first predicate that does not hold */
    char failure[200];

    sim_records_t log; /* the disk: the record of lsn n is log.list[n] */
    sim_records_t rows;
    size_t snapshot_lsn;

    partition_t *core;
    partition_effects_t effects;
    sim_records_t gathered;
    size_t lsn_next; /* behind what is gathered and under way */
    sim_write_t writes[SCHEDULE_WRITES_MAX];
    size_t write_count;
    sim_answer_t *answers; /* ascending lsn */
    size_t answer_count;
    size_t answer_capacity;
    size_t pass_lsn; /* that the running snapshot pass will name */
    bool pass_runs;
} schedule_world_t;

schedule_world_t *schedule_world_new(uint64_t seed, bool trace);
/* Runs until everything is published, has come due and is on disk. */
void schedule_world_run(schedule_world_t *self);
void schedule_world_destroy(schedule_world_t **self_p);

void schedule_fail(schedule_world_t *self, const char *predicate, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The key says which event it is, the payload follows from that. */
size_t schedule_index(slice_t key);
size_t schedule_payload(size_t index, uint8_t ret_bytes[SCHEDULE_PAYLOAD_MAX]);

/* An effect of the core: a record that it wants appended, now. */
void predicate_of_append(schedule_world_t *self, uint32_t kind, slice_t data);
/* A publish is answered. */
void predicate_of_answer(schedule_world_t *self, const sim_answer_t *answer);
/* The core was loaded from the disk: it knows what the log says. */
void predicate_of_recovery(schedule_world_t *self);
/* The log on the disk; `complete` when everything has come to rest. */
void predicate_of_log(schedule_world_t *self, bool complete);

#endif
