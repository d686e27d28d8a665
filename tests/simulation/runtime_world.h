/* A world of members: actors on three nodes that tell, ask, answer, spawn, watch, link, stop each
 * other, fail, hang, are moved and end, as the scenario's choices say, while nodes crash and the
 * network fails. It remembers what each member saw. */
#ifndef SIMULATION_RUNTIME_WORLD_H
#define SIMULATION_RUNTIME_WORLD_H

#include <capstan/simulation.h>

enum {
    NODES = 3,
    MEMBERS_MAX = 400, /* of all boots; when they are used up no more are spawned */
    ASKS_MAX = 16,     /* of a member, pending */
    KEPT_MAX = 8,      /* questions that a member has not answered yet */
    RUN_US = 500000,
    LATE_US_MAX = 2000, /* M2 */
};

typedef struct world world_t;

typedef struct pending_ask {
    uint64_t correlation; /* 0: none */
    int64_t deadline_us;  /* of the member's node */
} pending_ask_t;

typedef struct member {
    world_t *world;
    capstan_actor_t *self;
    uint32_t id;
    uint32_t node;
    uint32_t boot;
    capstan_ref_t ref; /* as other nodes know it */
    bool traps;
    bool alive;
    uint32_t stream_to; /* to whom it sends in quick succession */
    uint32_t stream_left;
    bool spawning; /* inside capstan_spawn, so that what hangs there is its end too */
    pending_ask_t asks[ASKS_MAX];
    capstan_message_t kept[KEPT_MAX];
    size_t kept_count;
    bool watches[MEMBERS_MAX];
    uint32_t sent[MEMBERS_MAX]; /* messages to each other member */
    uint32_t seen[MEMBERS_MAX]; /* the last one of each other member */
} member_t;

typedef struct figures {
    uint64_t kills;
    uint64_t boots;
    uint64_t members;
    uint64_t messages; /* that were read */
    uint64_t asks;
    uint64_t answered;
    uint64_t timed_out;
    uint64_t gone;
    uint64_t downs;
    uint64_t hangs;
    uint64_t moves;
    uint64_t steps;
} figures_t;

struct world {
    capstan_simulation_t *simulation;
    bool pauses; /* nodes stand still, so that deadlines are missed */
    bool quiet;  /* nobody acts any more */
    uint32_t boots[NODES];
    member_t *members;
    uint32_t member_count;
    uint32_t streamed; /* to whom a stream goes, or went last */
    figures_t figures;
};

/* The scenario; `context` is a figures_t to which its own are added. */
void runtime_scenario(capstan_simulation_t *simulation, void *context);

/* runtime_predicates.c: what the members saw, as they see it. */
void judge_read(member_t *self, uint32_t from, uint32_t ordinal);
void judge_asked(member_t *self, uint64_t correlation, int64_t deadline_us);
void judge_withdrawn(member_t *self, uint64_t correlation);
void judge_ended(member_t *self, uint64_t correlation);
void judge_down(member_t *self, uint32_t who);
/* The world is at rest. */
void judge_rest(capstan_simulation_t *simulation, void *world);

#endif
