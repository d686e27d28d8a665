/* The simulated shell around a group's core; what it does stands at the head of its source. */
#ifndef TESTS_ORDERING_GROUP_H
#define TESTS_ORDERING_GROUP_H

#include "actors/ordering/group_members.h"
#include "tests/simulation/ordering_actors.h"

typedef struct sim_member {
    uint64_t number;
    uint32_t consumer; /* its slot */
    capstan_ref_t ref;
    int64_t heard_us;
    uint64_t held; /* deliveries that it has not answered, as a reason to wait for it */
} sim_member_t;

/* The shell around a group's core. */
typedef struct sim_group {
    world_t *world;
    uint32_t slot;
    uint32_t group;
    group_limits_t limits;
    uint64_t barrier;   /* the number of partitions changed behind this offset */
    completed_t stored; /* what is on disk as completed, by what it was told */
    group_t *core;      /* NULL: it does not know where it stands */
    group_effects_t effects;
    uint64_t question; /* correlation of the last one of each kind */
    uint64_t place_ask;
    uint64_t read_ask;
    uint64_t mark_ask;
    int64_t asked_us; /* when the oldest of them was made */
    buffer_t mark;    /* that is under way */
    buffer_t parked;  /* records `parked`, each behind its size, that are not on disk */
    size_t parked_sent;
    buffer_t unparked; /* offsets */
    size_t unparked_sent;
    sim_member_t members[WORLD_MEMBERS];
    size_t member_count;
    uint64_t replays;   /* left */
    uint64_t begins_at; /* it is made when the log has so many records; 0: at once, and it begins
                           with the first event */
    uint64_t begin_ask;
} sim_group_t;

void sim_group_start(sim_group_t *self);
void sim_group_stop(sim_group_t *self);
/* Everything that the partition has accepted is completed, and that is on disk. */
bool sim_group_is_done(const sim_group_t *self);
extern const core_actor_t sim_group_behaviour;

#endif
