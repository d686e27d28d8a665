/* Groups: the events of a topic (topic.h), consumed by handlers of the program.
 *
 * The members of a group share the keys of its topic: other subscriptions of this process, and
 * peers (gateway.h). An event goes to one member, which acknowledges it, or rejects it: then it is
 * tried again, by whoever has room, and in the end parked, on record with the reason. Events of one
 * key come one after the other, whatever happens.
 *
 *   static capstan_err_t bill(capstan_actor_t *self, void *context,
 *                             const capstan_delivery_t *delivery)
 *   {
 *       ... delivery->event.key, delivery->event.payload ...
 *       return CAPSTAN_OK; // acknowledged; an error rejects it
 *   }
 *
 *   err = capstan_subscribe(node, orders,
 *                           &(capstan_subscribe_options_t){.group = "billing", .handle = bill,
 *                                                          .concurrency = 4, .may_block = true},
 *                           &subscription, text, size);
 *   ...
 *   err = capstan_unsubscribe(&subscription, 10000000);
 *
 * Delivery is at least once: what was not acknowledged when its consumer or the process ended is
 * delivered again, in its key's order. */
#ifndef CAPSTAN_GROUP_H
#define CAPSTAN_GROUP_H

#include <capstan/topic.h>

/* --- policies ----------------------------------------------------------------------------------
 *
 * What is 0 stays as it is; at first it is what stands behind. */
typedef enum capstan_group_mode {
    CAPSTAN_GROUP_BY_KEY = 1, /* at first */
    CAPSTAN_GROUP_BY_PARTITION = 2,
    CAPSTAN_GROUP_UNORDERED = 3,
} capstan_group_mode_t;

typedef enum capstan_group_successors {
    CAPSTAN_SUCCESSORS_WAIT = 1, /* at first */
    CAPSTAN_SUCCESSORS_GO_ON = 2,
} capstan_group_successors_t;

typedef struct capstan_group_policy {
    capstan_group_mode_t mode;                 /* what one member at a time has events of */
    capstan_group_successors_t while_retried;  /* a rejected event waits for its next attempt */
    capstan_group_successors_t when_exhausted; /* it is parked after the last one */
    uint64_t attempts_max;                     /* group_attempts_max */
    uint64_t retry_ms_min; /* before the second attempt, it doubles; group_retry_ms_min */
    uint64_t retry_ms_max; /* group_retry_ms_max */
} capstan_group_policy_t;

/* Changes how a group treats keys and rejected events, while it has no members, and for good; a
 * policy of zeros only asks. `ret_policy` (may be NULL) gets what holds now. From a thread that is
 * no cell; blocks. Errors: INVALID (the group, a value), GROUP_BUSY (it has members), the store's,
 * STOPPING. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t
capstan_group_define(capstan_node_t *node, const capstan_topic_t *topic, const char *group,
                     const capstan_group_policy_t *policy, capstan_group_policy_t *ret_policy);

/* --- consuming ------------------------------------------------------------------------------- */

/* A member of a group. Yours until capstan_unsubscribe, also when the node has stopped. */
typedef struct capstan_subscription capstan_subscription_t;

/* An event as a handler gets it. It and its slices live until the handler returns. */
typedef struct capstan_delivery {
    capstan_subscription_t *subscription; /* and its number in there: to acknowledge it by */
    uint64_t number;                      /* never 0 */
    capstan_event_t event;
    uint32_t partition;  /* from 0 */
    uint64_t offset;     /* in the partition, from 1 */
    uint64_t attempts;   /* how often it has been tried and failed before */
    int64_t accepted_us; /* when the node took it, UTC */
} capstan_delivery_t;

/* Handlers run as actors of their own; `self` may be used as in any handler, except that answers to
 * its asks reach nobody. CAPSTAN_OK acknowledges what was handed over; an error rejects it, with
 * the error's text as the reason. What the handler has acknowledged or rejected itself is left at
 * that. */
typedef capstan_err_t capstan_handle_fn(capstan_actor_t *self, void *context,
                                        const capstan_delivery_t *delivery);
typedef capstan_err_t capstan_handle_batch_fn(capstan_actor_t *self, void *context,
                                              const capstan_delivery_t *deliveries, size_t count);

typedef struct capstan_subscribe_options {
    const char *group;                     /* 1 to 128 bytes of UTF-8; made by its first member */
    capstan_handle_fn *handle;             /* one of these two */
    capstan_handle_batch_fn *handle_batch; /* several events at a time, of one key or of several:
                                              where one takes less time than a thread's wake-up */
    void *context;                         /* for the handlers, until the end of the subscription */
    uint32_t concurrency; /* handlers that run at a time, on events of different keys; 0: 1; at most
                             1,024 */
    const char *cell;     /* where they run; NULL: spread over the worker cells */
    bool may_block;       /* each has a thread of its own instead, and may wait; at most 32 */
    bool acknowledge_later;  /* CAPSTAN_OK acknowledges nothing: capstan_acknowledge does, at any
                                time, from any thread */
    uint32_t batch_max;      /* of handle_batch; 0: 64; at most 4,096 */
    uint32_t key_events_max; /* of one key, handed over and not acknowledged; 0: 1. More only with
                                handle_batch, and where successors wait: what it holds of a key is
                                taken back when it rejects one of them */
    uint32_t events_max; /* handed over or about to be, and not acknowledged; 0: 4 per event that
                            handlers can be given at a time, with acknowledge_later 1,024; at most
                            65,536 */
    bool latest;         /* a group that is new begins with what is published from now on */
} capstan_subscribe_options_t;

/* Becomes a member; from then on handlers are called. When the group fails meanwhile (its store
 * did, for instance) it becomes one again by itself. From a thread that is no cell; blocks. On
 * failure `ret_text` (may be NULL, with size 0) says what is wrong.
 * Errors: INVALID (an option), LIMIT (members of the group), UNKNOWN_TOPIC, the store's, those of
 * capstan_spawn, STOPPING. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_subscribe(
    capstan_node_t *node, const capstan_topic_t *topic, const capstan_subscribe_options_t *options,
    capstan_subscription_t **ret_self, char *ret_text, size_t text_size);

/* Leaves the group, and frees the subscription: no further handler is called, those that run end
 * within `timeout_us`, and what was not acknowledged goes to others, not counted as tried. From a
 * thread that is no cell, and while no other uses the subscription; blocks. NULL is accepted.
 * Errors: TIMEOUT (a handler still runs: the subscription is kept, no further handler is called,
 * and it can be tried again); STOPPING (the node is being stopped, which ends the handlers too: the
 * subscription is freed). After the node's stop it is freed with CAPSTAN_OK. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_unsubscribe(capstan_subscription_t **self_p,
                                                                 int64_t timeout_us);

/* Says that a delivery has been processed; its key's next event follows. Any thread, never blocks.
 * A crash before the acknowledgement is on disk delivers the event once more.
 * Errors: NOT_HELD (no such delivery of this subscription, it has been acknowledged or rejected
 * already, or was taken back), GONE and STOPPING (the node has stopped, or the consumer has: the
 * event will be delivered again), MAILBOX_FULL (try again). */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_acknowledge(capstan_subscription_t *self,
                                                                 uint64_t delivery);

typedef struct capstan_rejection {
    const char *reason; /* UTF-8, at most 256 bytes; kept with the event when it is parked */
    int64_t delay_us;   /* before the next attempt, at most a day; 0: as the policy says */
    bool final;         /* it is parked without a further attempt */
} capstan_rejection_t;

/* Says that a delivery could not be processed: it is delivered again after a delay, or parked.
 * All that the subscription holds of its key is taken back: of a batch, what was processed before
 * it is acknowledged first. `rejection` may be NULL. As capstan_acknowledge. Errors: INVALID (the
 * reason, the delay) too. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_reject(capstan_subscription_t *self,
                                                            uint64_t delivery,
                                                            const capstan_rejection_t *rejection);

/* Since the beginning. Any thread; the figures are of slightly different instants. */
typedef struct capstan_subscription_figures {
    uint64_t delivered;    /* handed to handlers */
    uint64_t acknowledged; /* with those that are on their way to the group */
    uint64_t stored;       /* of them on disk */
    uint64_t rejected;
    uint64_t taken_back; /* by the group, before they were acknowledged or rejected */
    uint64_t held;       /* now: delivered or about to be, and not acknowledged */
    capstan_err_t error; /* why it is no member now, and tries to become one; CAPSTAN_OK: it is */
} capstan_subscription_figures_t;
CAPSTAN_API capstan_subscription_figures_t
capstan_subscription_figures(const capstan_subscription_t *self);

/* --- parked events --------------------------------------------------------------------------- */

/* An event that a group has given up on until somebody looks at it. */
typedef struct capstan_parked {
    capstan_event_t event;
    uint32_t partition;
    uint64_t offset;
    uint64_t attempts;      /* how often it was tried */
    capstan_slice_t reason; /* of the last rejection */
    int64_t since_us;       /* UTC */
    bool behind;            /* parked only because an event of its key before it was */
} capstan_parked_t;

/* It and its slices live until the function returns. */
typedef void capstan_parked_fn(void *context, const capstan_parked_t *parked);

/* Calls `each` with a group's parked events, by partitions and ascending offsets, on the calling
 * thread: one that is no cell; blocks. Errors: INVALID (the group), the store's, STOPPING. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_group_parked(capstan_node_t *node,
                                                                  const capstan_topic_t *topic,
                                                                  const char *group,
                                                                  capstan_parked_fn *each,
                                                                  void *context);

typedef struct capstan_released {
    uint64_t replayed;  /* events to be delivered again */
    uint64_t discarded; /* events that were given up */
} capstan_released_t;

/* Delivers a group's parked events again, in their keys' order; with `discard` those that failed
 * are given up, and only those parked behind them are delivered. `key` is empty for all keys. They
 * stay on record until a member has processed them. From a thread that is no cell; blocks.
 * `ret_released` may be NULL. Errors: as in capstan_group_parked. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t
capstan_group_release(capstan_node_t *node, const capstan_topic_t *topic, const char *group,
                      capstan_slice_t key, bool discard, capstan_released_t *ret_released);

#endif
