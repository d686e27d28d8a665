/* Ordered events: what a node starts. The actor `topics` owns the list of topics and starts their
 * partitions and subscriptions on its own cell. */
#ifndef ORDERING_ORDERING_H
#define ORDERING_ORDERING_H

#include "actors/ordering/ordering_settings.h"

#include <capstan/actor.h>

/* Passed to init of topics_behaviour, which copies it. */
typedef struct topics_arguments {
    const ordering_settings_t *settings;
    capstan_ref_t journal;
    capstan_ref_t reader;
    uint32_t boot; /* of the store, so that numbers of subscriptions are never used again; 0: the
                      node's */
} topics_arguments_t;

extern const capstan_behaviour_t topics_behaviour;

#endif
