/* The actor that answers `status`: one JSON object about the whole node. */
#ifndef NODE_STATUS_ACTOR_H
#define NODE_STATUS_ACTOR_H

#include <capstan/actor.h>

/* Passed to init, which copies it. */
typedef struct status_arguments {
    const char *name; /* the node's label; must outlive the actor */
    capstan_ref_t topics;
    capstan_ref_t journal;
} status_arguments_t;

extern const capstan_behaviour_t status_behaviour;

#endif
