/* The actors of the simulated world; what each does stands at the head of its source. */
#ifndef TESTS_ORDERING_ACTORS_H
#define TESTS_ORDERING_ACTORS_H

#include "actors/ordering/log_index.h"
#include "actors/ordering/partition_groups.h"
#include "runtime/simulation/core_world.h"
#include "runtime/wire/wire_messages.h"
#include "tests/simulation/ordering_history.h"

enum {
    WORLD_PRODUCERS_MAX = 4,
    WORLD_KEYS_MAX = 8,
    WORLD_GROUPS = 2,
    WORLD_MEMBERS = 3, /* of each group */
    WORLD_EVENTS_MIN = 2000,
    WORLD_FAULTS_MAX = 32,
};

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
    size_t *positions[WORLD_KEYS_MAX];    /* in the list, by sequence */
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
    uint64_t epoch; /* durable */
    size_t saved;   /* durable: everything before is answered */
    bool announce;  /* the new epoch is told to the partition before the first event */
    bool announced;
    bool runs;
    bool fenced;
    uint8_t *state; /* send_state_t per source event */
    int64_t *sent_us;
    int64_t *retry_us;                   /* a rejected event is not sent again before */
    uint64_t key_next[WORLD_KEYS_MAX];   /* lowest sequence that is not done */
    int64_t declared_us[WORLD_KEYS_MAX]; /* when it last said that an event never comes */
    size_t first;                        /* everything before is done */
    size_t under_way;
} sim_producer_t;

/* An event that a consumer holds. */
typedef struct taken_event {
    uint64_t offset;
    uint64_t attempts;
    uint64_t hash;
    uint64_t sequence;
    uint32_t producer;
    uint32_t key;
} taken_event_t;

typedef struct sim_consumer {
    world_t *world;
    uint32_t slot;
    uint32_t host;
    uint32_t group;
    uint64_t subscription; /* 0: it has none */
    uint64_t former;       /* the one before, under which a zombie acknowledges */
    uint64_t request;
    uint64_t timer;   /* the one that counts */
    int64_t heard_us; /* when the group last said something */
    taken_event_t *list;
    size_t count;
    size_t capacity;
} sim_consumer_t;

typedef enum wait_kind {
    WAIT_ANSWER,
    WAIT_DONE,
    WAIT_GROUP,
    WAIT_SKIPPED,
} wait_kind_t;

/* What is sent once everything before `lsn` is on disk. */
typedef struct waiting {
    wait_kind_t kind;
    uint64_t lsn;
    capstan_ref_t to;
    uint64_t correlation;
    fact_t fact;
} waiting_t;

/* Of the shell: when what waits for rows has them. */
enum { SHELL_TIMER_LOOKUP = 3 };

typedef struct sim_lookup sim_lookup_t;

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
    partition_groups_t groups;
    log_index_t log_index;
    sim_lookup_t *lookups; /* what waits for rows of keys, in the order in which it came */
    size_t lookups_asked;  /* of it, whose rows are being read */
    uint64_t snapshot_lsn; /* of the running pass; 0: none runs */
    bool chunk_ready;
    bool chunk_last;
    uint64_t chunk_number;
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

void shell_start(sim_shell_t *self);
void shell_stop(sim_shell_t *self);
void shell_save_and_reload(sim_shell_t *self);
/* A message of whose keys none has to be looked up. */
void shell_handle(sim_shell_t *self, const capstan_message_t *message);
extern const core_actor_t shell_behaviour;

void journal_stop(sim_journal_t *self);
extern const core_actor_t journal_behaviour;

void producer_start(sim_producer_t *self);
void producer_stop(sim_producer_t *self);
bool producer_is_done(const sim_producer_t *self);
extern const core_actor_t producer_behaviour;

void consumer_start(sim_consumer_t *self);
void consumer_stop(sim_consumer_t *self);
/* Its connection is lost, or it believes so. */
void consumer_reconnect(sim_consumer_t *self);
extern const core_actor_t consumer_behaviour;

#endif
