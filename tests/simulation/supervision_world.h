/* A supervisor and its children in virtual time; see supervision_simulation.c. */
#ifndef SUPERVISION_WORLD_H
#define SUPERVISION_WORLD_H

#include "runtime/simulation/random.h"
#include "runtime/supervision.h"

enum {
    WORLD_CHILDREN_MAX = 24,
    WORLD_EVENTS_MAX = 512,
    WORLD_RESTARTS = 16,
    WORLD_NO_GROUP = WORLD_CHILDREN_MAX
};

typedef enum world_end { WORLD_RUNS, WORLD_STOPPED, WORLD_ESCALATED, WORLD_END_COUNT } world_end_t;

/* What happens at a time of its own. */
typedef struct world_event {
    int64_t at_us;
    uint64_t order;
    enum world_event_kind {
        EVENT_INIT,    /* the init of the incarnation is done */
        EVENT_DIE,     /* the incarnation ends by itself */
        EVENT_HEAR,    /* the incarnation hears stop */
        EVENT_STARTED, /* news to the supervisor */
        EVENT_ENDED,
        EVENT_DUE,
        EVENT_DISTURB, /* somebody adds a child, removes one, or nothing */
        EVENT_CURE,    /* the last act begins */
    } kind;
    size_t child;
    uint64_t incarnation;
    capstan_err_t reason;
} world_event_t;

/* A child: its temper, what is true of it, and what the supervisor has been told of it. */
typedef struct world_child {
    supervision_child_t core; /* first */
    uint32_t init_fails;      /* per mille, as are the next three */
    uint32_t spawn_fails;
    uint32_t ends_normally;
    uint32_t resists_stop;
    int64_t life_us; /* at most */
    int64_t stop_us; /* it is killed that long after it has heard stop */

    bool alive;
    uint64_t incarnation;
    int64_t init_us; /* when its init is done */
    int64_t news_us; /* when its last piece of news arrives */

    bool present; /* between its adding and its EFFECT_FORGET */
    bool asked_for;
    bool removed; /* somebody had it removed */
    bool running; /* started, and its end has not been told */
    bool up;      /* its start has been told, and its end has not */
    bool up_once;
    bool stopping;  /* told to stop, and its end has not been told */
    bool may_start; /* what has been told of it allows a start */
    bool over;      /* it ended as it should; a group may bring it back */
    bool counts;    /* its next start is one for its own sake */
    int64_t up_us;
    int64_t not_before_us;
    int64_t not_after_us;
    uint32_t failures; /* in a row */
    uint32_t told;     /* how often failures were told since it ran well */
    uint64_t restarts;
    int64_t restarts_us[WORLD_RESTARTS]; /* ring: when it was restarted for its own sake */
} world_child_t;

typedef struct world {
    random_source_t random;
    int64_t now_us;
    supervision_t core;
    supervision_effects_t effects;
    world_child_t children[WORLD_CHILDREN_MAX]; /* in the order of their adding */
    size_t child_count;
    world_event_t events[WORLD_EVENTS_MAX];
    size_t event_count;
    uint64_t event_last;
    bool cured;
    uint64_t starts;
    uint64_t hash;

    bool starts_badly; /* first starts may fail */
    bool told_to_stop;
    bool gave_up;
    capstan_err_t why; /* ... it gave up */
    bool ready;
    bool ended;
    size_t group_from;             /* the first child of a group that is being stopped */
    const world_child_t *owed;     /* a failure that this step must tell of */
    bool owes_limit;               /* ... and give up for */
    const world_child_t *removing; /* in this step */
    world_end_t end;
    char failure[256]; /* empty: every predicate holds so far */
} world_t;

world_t *world_new(uint64_t seed);
void world_run(world_t *self);
void world_destroy(world_t **self_p);

/* supervision_predicates.c: what the world tells before it gives news or carries out an effect. */
void judge_started(world_t *self, world_child_t *child);
void judge_ended(world_t *self, world_child_t *child, capstan_err_t reason);
void judge_effect(world_t *self, const supervision_effect_t *effect);
/* All effects of a step have been carried out. */
void judge_step(world_t *self);
/* Nothing is under way any more. */
void judge_end(world_t *self);

#endif
