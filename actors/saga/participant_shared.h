/* What the calls of capstan/participant.h and the two shells share. Internal to saga/.
 *
 *   participant actor   worker_t <-- commands -- the actor `saga` of the node
 *   participant link    worker_t <-- commands -- the same, through a peer over tcp */
#ifndef SAGA_PARTICIPANT_SHARED_H
#define SAGA_PARTICIPANT_SHARED_H

#include "actors/saga/participant_work.h"

#include <stdatomic.h>

enum {
    PARTICIPANT_ASK_US = 1000000,
    PARTICIPANT_PAUSE_US = 200000, /* between two looks for the coordinator */
};

static const char participant_coordinator[] = "saga";

/* The participant of a process that hosts no node. One thread. */
typedef struct participant_link participant_link_t;

CAPSTAN_MUST_CHECK capstan_err_t participant_link_open(const capstan_participant_options_t *options,
                                                       participant_link_t **ret_link,
                                                       char *ret_text, size_t text_size);
size_t participant_link_poll(participant_link_t *self, int64_t timeout_us);
capstan_peer_t *participant_link_peer(participant_link_t *self);
void participant_link_close(participant_link_t **self_p, int64_t linger_us);

/* Of the program and, in a node, of the actor; freed with the last that gives it back. */
struct capstan_participant {
    _Atomic uint32_t owners;
    _Atomic bool ended; /* the actor has; release and acquire: what it did came before */
    capstan_node_t *node;
    capstan_ref_t actor;
    participant_link_t *link; /* NULL: it is one of a node */
};

void participant_give_back(capstan_participant_t *self);

/* Passed to init of participant_behaviour, which copies it. */
typedef struct participant_arguments {
    capstan_participant_t *shared;
    const capstan_participant_options_t *options;
    char *text; /* while init runs */
    size_t text_size;
} participant_arguments_t;

extern const capstan_behaviour_t participant_behaviour;

#endif
