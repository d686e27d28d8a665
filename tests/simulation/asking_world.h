/* A world of actors on three cells that ask each other, and what it remembers of every ask. */
#ifndef SIMULATION_ASKING_WORLD_H
#define SIMULATION_ASKING_WORLD_H

#include "runtime/simulation/random.h"
#include "tests/simulation/virtual_cells.h"

enum {
    WORLD_CELLS = 3,
    WORLD_ACTORS = 7,
    WORLD_STEPS = 600,
    WORLD_ASKS_MAX = 1 << 13,
    WORLD_TIMEOUT_US_MAX = 20000,
};

typedef enum ask_end {
    ASK_PENDING,
    ASK_REPLIED,
    ASK_TIMED_OUT,
    ASK_GONE,
    ASK_CANCELLED, /* with the request on whose behalf it was made */
    ASK_WITHDRAWN, /* by its asker */
    ASK_DESERTED,  /* its asker ended */
    ASK_END_COUNT,
} ask_end_t;

typedef enum predicate {
    PREDICATE_M2,
    PREDICATE_A1,
    PREDICATE_A2,
    PREDICATE_A3,
    PREDICATE_A4,
    PREDICATE_A5,
    PREDICATE_COUNT,
} predicate_t;

/* One ask, from both sides. */
typedef struct ask_record {
    capstan_ref_t asker;
    uint64_t correlation;
    size_t asker_cell;
    struct ask_record *parent; /* on whose behalf */
    int64_t deadline_us;
    ask_end_t end;
    uint64_t ended_turn;

    bool read;
    bool answered;
    bool reader_ended; /* the one who had read it */
    unsigned told;
    uint64_t told_turn;
    size_t reader; /* place of the actor */
} ask_record_t;

typedef struct world {
    capstan_node_t *node;
    random_source_t random;
    int64_t clock_us[WORLD_CELLS]; /* as each cell last read it */
    uint64_t turn;                 /* turns of all cells so far */
    size_t turning;
    bool draining;
    struct world_actor {
        capstan_ref_t ref;
        bool alive;
    } actors[WORLD_ACTORS];
    ask_record_t *asks;
    size_t ask_count;
    uint64_t hash;
    uint64_t ends[ASK_END_COUNT];
    uint64_t told;
    uint64_t dropped[DROP_COUNT];
    char failures[PREDICATE_COUNT][160]; /* why each does not hold, the first time */
    unsigned failed;
} world_t;

world_t *world_new(uint64_t seed);
void world_run(world_t *self);
/* After a stop that failed no other world can be made. */
void world_stop(world_t *self);
void world_destroy(world_t **self_p);

/* asking_predicates.c: what the world tells, as it happens. */
void judge_asked(world_t *self, ask_record_t *ask);
void judge_read(world_t *self, ask_record_t *ask, const capstan_message_t *message, int64_t now_us);
void judge_told(world_t *self, ask_record_t *ask);
void judge_end(world_t *self, ask_record_t *ask, ask_end_t end, int64_t now_us);
void judge_turn(world_t *self, size_t cell);
/* Everything has come to rest: no actor acts any more, and the longest deadline has passed. */
void judge_rest(world_t *self);

ask_record_t *world_find(world_t *self, capstan_ref_t asker, uint64_t correlation);
void world_fail(world_t *self, predicate_t predicate, const char *what, const ask_record_t *ask);

#endif
