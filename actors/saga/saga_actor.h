/* Sagas: what a node starts. The actor `saga` owns the coordinator of the node's sagas, on a cell
 * of its own; peers reach it by its name. */
#ifndef SAGA_SAGA_ACTOR_H
#define SAGA_SAGA_ACTOR_H

#include "actors/saga/saga_settings.h"

#include <capstan/actor.h>

/* Passed to init of saga_behaviour, which copies it. */
typedef struct saga_arguments {
    const saga_settings_t *settings; /* outlive the actor */
    capstan_ref_t journal;
    capstan_ref_t reader;
    capstan_ref_t topics;
} saga_arguments_t;

/* It has started when its sagas are recovered, or when that has failed once: it goes on trying. */
extern const capstan_behaviour_t saga_behaviour;

#endif
