/* What the calls of capstan/group.h, the consumer's actor and its handlers share. Internal to
 * ordering/.
 *
 *   group --deliver--> consumer --consumer_work--> handler (an actor; calls the program's function)
 *         <-acknowledge-  | ^   <-consumer_worked-
 *                         | `------consumer_say--- any thread, with the ticket that it has claimed
 *                      tickets */
#ifndef ORDERING_CONSUMER_SHARED_H
#define ORDERING_CONSUMER_SHARED_H

#include "actors/ordering/tickets.h"
#include "runtime/base/slice.h"

#include <capstan/group.h>

/* Written by the consumer's actor, read by any thread; relaxed: they guard nothing. */
typedef struct consumer_counts {
    _Atomic uint64_t delivered;
    _Atomic uint64_t acknowledged;
    _Atomic uint64_t stored;
    _Atomic uint64_t rejected;
    _Atomic uint64_t taken_back;
    _Atomic uint64_t held;
    _Atomic uint32_t error;
} consumer_counts_t;

/* Of the program, the actor and its handlers, each of which gives it back; freed with the last. */
struct capstan_subscription {
    _Atomic uint32_t owners;
    _Atomic bool ended; /* the actor has; release and acquire: what it did came before */
    capstan_node_t *node;
    capstan_ref_t consumer;
    tickets_t tickets;
    consumer_counts_t counts;
};

capstan_subscription_t *subscription_share(capstan_subscription_t *self);
void subscription_give_back(capstan_subscription_t *self);

typedef struct handler_arguments {
    capstan_handle_fn *handle;
    capstan_handle_batch_fn *handle_batch;
    void *context;
    uint32_t batch_max;
    capstan_ref_t consumer;
    capstan_subscription_t *shared;
} handler_arguments_t;

/* The state of a handler, and the argument of its actor. Whoever made it frees it when the actor
 * has ended; one that hangs uses it until it returns. NULL: there is no memory. */
typedef struct handler handler_t;
handler_t *handler_new(const handler_arguments_t *arguments);
void handler_free(void *handler);

/* The same, but the second may wait. */
extern const capstan_behaviour_t handler_behaviour;
extern const capstan_behaviour_t blocking_handler_behaviour;

/* Passed to init of consumer_behaviour, which copies it. */
typedef struct consumer_arguments {
    capstan_subscription_t *shared;
    capstan_ref_t topics;
    const char *topic;
    const capstan_subscribe_options_t *options; /* with all defaults filled in */
    char *text;                                 /* what is wrong, when the actor does not start */
    size_t text_size;
} consumer_arguments_t;

extern const capstan_behaviour_t consumer_behaviour;

#endif
