/* One who looks at a topic without being in a group. Internal to ordering/. */
#ifndef ORDERING_SUBSCRIPTION_ACTOR_H
#define ORDERING_SUBSCRIPTION_ACTOR_H

#include "actors/ordering/ordering_messages.h"
#include "actors/ordering/topics_jobs.h"

#include <capstan/actor.h>

enum { SUBSCRIPTION_PARTITIONS_MAX = 256 };

/* Passed to init, which copies it; `partitions` and `barriers` too. */
typedef struct subscription_arguments {
    uint64_t number;
    const subscribe_t *subscribe;
    slice_t beginning;                /* record; empty: the usual one */
    const capstan_message_t *request; /* sender: the session, which gets `subscribed` */
    const capstan_ref_t *partitions;
    size_t partition_count;
    const barrier_t *barriers; /* oldest first */
    size_t barrier_count;
} subscription_arguments_t;

extern const capstan_behaviour_t subscription_behaviour;

#endif
