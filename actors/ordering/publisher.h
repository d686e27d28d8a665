/* Publishing from inside the process: an actor in the place of a peer's session, and what the
 * threads of the program share with it. Internal to ordering/.
 *
 *   actor  --publish_one--------> publisher --publish--> partition --append--> journal
 *   thread --publish_later{call}->    |     <-outcomes--
 *                                     `--> published, or the function of the call
 *
 * A call is a place in a table of fixed size: so the unanswered ones are bounded without asking the
 * actor, and those whose message did not reach it are found at the node's end. */
#ifndef ORDERING_PUBLISHER_H
#define ORDERING_PUBLISHER_H

#include "runtime/base/slice.h"

#include <capstan/topic.h>
#include <stdatomic.h>

/* A function that waits for an outcome. Written by the thread that took the place before its
 * message leaves, read by whoever has the message. */
typedef struct call {
    capstan_published_fn *published;
    void *context;
    uint64_t bytes;
    _Atomic uint32_t next; /* free: the place of the next free one, plus 1; relaxed, the head's
                              change orders it */
    _Atomic bool taken;    /* relaxed: read when no other thread is left */
} call_t;

/* One per node, kept by it. */
typedef struct publisher {
    capstan_ref_t actor;
    capstan_ref_t topics;
    uint64_t event_bytes_max;
    uint32_t calls_max;
    uint64_t bytes_max;
    /* The first free place, plus 1, in the lower half; in the upper one a number that changes with
     * each change, so that a thread which was interrupted does not take a stale successor for the
     * right one (ABA). Acquire and release: who takes a place sees what its last user wrote. */
    _Atomic uint64_t free;
    _Atomic uint64_t bytes; /* of the calls; relaxed: a bound, and nothing depends on it */
    call_t calls[];
} publisher_t;

struct capstan_topic {
    publisher_t *publisher;
    char name[];
};

/* Starts the actor, and makes it known to the calls of capstan/topic.h. */
CAPSTAN_MUST_CHECK capstan_err_t publisher_open(capstan_node_t *node, capstan_ref_t topics,
                                                const capstan_topics_options_t *options,
                                                uint64_t event_bytes_max);
/* NULL: the node's topics are not open. From inside the node. */
publisher_t *publisher_of(capstan_node_t *node);

/* Any thread. False: there is no room. */
bool publisher_take_call(publisher_t *self, const call_t *call, uint32_t *ret_place);
/* It will not be called. */
void publisher_drop_call(publisher_t *self, uint32_t place);
/* Calls the function, and frees the place. */
void publisher_finish_call(publisher_t *self, uint32_t place, const capstan_outcome_t *outcome);

/* Its argument is the publisher_t, which outlives it. */
extern const capstan_behaviour_t publisher_behaviour;

#endif
