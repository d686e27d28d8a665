/* The shell around the coordinator's core, in three sources: turns, rows, and requests. */
#ifndef TESTS_SAGA_SHELL_H
#define TESTS_SAGA_SHELL_H

#include "runtime/simulation/core_world.h"
#include "runtime/wire/wire_messages.h"
#include "tests/simulation/saga_history.h"

typedef struct world world_t;

/* What is sent once everything before `lsn` is on disk. */
typedef struct waiting {
    uint64_t lsn;
    capstan_ref_t to; /* the null reference: to those who wait for `rests` */
    uint32_t message;
    uint64_t correlation;
    uint64_t rests;
    uint8_t *body;
    size_t size;
} waiting_t;

/* Who asked how a saga ends. */
typedef struct asking {
    uint64_t number;
    capstan_ref_t from;
    uint64_t correlation;
} asking_t;

/* A saga that left memory. */
typedef struct asleep {
    uint64_t number;
    int64_t due_us; /* UTC */
} asleep_t;

typedef struct child_lookup {
    uint64_t parent;
    uint64_t task;
    uint8_t id[512];
    size_t id_size;
} child_lookup_t;

typedef struct stashed {
    capstan_message_t message;
    uint8_t *body;
} stashed_t;

typedef struct sim_shell {
    world_t *world;
    uint32_t slot;
    uint32_t host;
    coordinator_t *core; /* NULL: it is a standby */
    coordinator_effects_t effects;
    uint64_t epoch;
    int64_t skew_us;  /* of its clock */
    waiting_t *queue; /* ascending lsn */
    size_t queue_count;
    size_t queue_capacity;
    codec_list_writer_t records; /* gathered, in `list` */
    uint64_t record_count;
    uint64_t lsn_next;    /* of the next append */
    uint64_t lsn_on_disk; /* everything before it is committed */
    uint64_t append_last; /* number of the last append */
    uint64_t outstanding; /* appends without an answer */
    bool broken;          /* an append was refused: load again once none is outstanding */
    bool fenced;          /* because of the epoch */
    bool stopped;         /* the process stands still; what comes is stashed */
    bool timer_missed;
    int64_t timer_us; /* when the next one is; INT64_MAX: none */
    asking_t *askings;
    size_t asking_count;
    asleep_t *asleep;
    size_t asleep_count;
    child_lookup_t *lookups;
    size_t lookup_count;
    stashed_t *stash;
    size_t stash_count;
    uint64_t snapshot_lsn; /* of the running pass; 0: none runs */
    bool chunk_ready;
    bool chunk_last;
    uint64_t chunk_number;
    uint64_t chunk_sagas[16];
    size_t chunk_count;
    buffer_t chunk_rows;
    buffer_t list;
    buffer_t body;
    buffer_t part;
} sim_shell_t;

void sim_shell_start(sim_shell_t *self);  /* takes the epoch, and loads */
void sim_shell_stop(sim_shell_t *self);   /* forgets everything */
void sim_shell_resume(sim_shell_t *self); /* goes on after it stood still */
void sim_shell_turn(sim_shell_t *self);
int64_t sim_shell_utc(const sim_shell_t *self);
void sim_shell_take_effects(sim_shell_t *self);
/* The body of `self->body` goes out once everything gathered so far is on disk. */
void sim_shell_answer(sim_shell_t *self, const capstan_message_t *request, uint32_t message);
/* Of saga_shell_rows.c: what is on disk only. */
void rows_wake(sim_shell_t *self, const uint64_t *number, const slice_t *id, const slice_t *key);
void rows_wake_due(sim_shell_t *self, int64_t now_us);
int64_t rows_due_us(const sim_shell_t *self);
void rows_load(sim_shell_t *self);
void rows_compare(sim_shell_t *self);
void rows_evict(sim_shell_t *self);
void rows_round_trip(sim_shell_t *self);
void rows_take_chunk(sim_shell_t *self);
void rows_on_chunk(sim_shell_t *self, uint64_t correlation, bool written);
/* Of saga_shell_requests.c: what clients and topics want. */
void requests_handle(sim_shell_t *self, const capstan_message_t *message);
void requests_tell_rest(sim_shell_t *self, uint64_t number, slice_t summary);
extern const core_actor_t sim_shell_behaviour;

#endif
