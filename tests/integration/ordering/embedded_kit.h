/* A node as a program hosts it, with its topics on a store in a folder of its own. Only public
 * headers are used for what is tested. */
#ifndef ORDERING_EMBEDDED_KIT_H
#define ORDERING_EMBEDDED_KIT_H

#include "tests/integration/journal/store_fixture.h"

#include <capstan/group.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#define EMBEDDED_US                                                                                \
    INT64_C(20000000) /* how long anything may take; a sanitizer's build is slow                   \
                       */

typedef struct embedded {
    fixture_t fixture;
    capstan_node_t *node;
    capstan_topic_t *topic; /* "orders", of producers' sequences, in 4 partitions */
    char text[512];
    capstan_node_options_t options; /* of the node */
} embedded_t;

void embedded_init(embedded_t *self);
/* A node on the store, which is made at first. */
void embedded_start(embedded_t *self);
void embedded_stop(embedded_t *self);
void embedded_fini(embedded_t *self);

/* Publishes "key N" with this sequence and payload, and waits for the outcome. */
capstan_outcome_t embedded_publish(embedded_t *self, uint32_t key, uint64_t sequence,
                                   const char *payload);
/* Sequences [from, to] of `keys` keys, each stored. */
void embedded_publish_range(embedded_t *self, uint32_t keys, uint64_t from, uint64_t to);

/* Waits until *count is at least `wanted`; false when it does not come to that. */
bool embedded_await(const _Atomic uint64_t *count, uint64_t wanted);
/* A moment in which more could come. */
void embedded_pause(void);

/* The number in "key N". */
uint32_t embedded_key_of(const capstan_delivery_t *delivery);

enum { KEYS = 20, PER_KEY = 50, HELD_MAX = 4096 };

/* What handlers saw. Per key one handler at a time: then plain members need no lock. */
typedef struct seen {
    _Atomic uint64_t count;
    _Atomic uint64_t faults;
    _Atomic uint32_t running;
    _Atomic uint32_t running_max;
    _Atomic uint32_t busy[KEYS];
    uint64_t last[KEYS];
    pthread_t thread; /* on which handlers are to run */
    /* For those who acknowledge later. */
    capstan_subscription_t *_Atomic subscription;
    _Atomic uint64_t numbers[HELD_MAX];
    _Atomic uint64_t number_count;
    _Atomic uint64_t attempts_max;
} seen_t;

/* The event is the next one of its key. */
void seen_add(seen_t *self, const capstan_delivery_t *delivery);

/* Handlers, whose context is a seen_t. The last one keeps the number, for acknowledge_later. */
capstan_err_t seen_work(capstan_actor_t *actor, void *context, const capstan_delivery_t *delivery);
capstan_err_t seen_work_batch(capstan_actor_t *actor, void *context,
                              const capstan_delivery_t *deliveries, size_t count);
capstan_err_t seen_keep(capstan_actor_t *actor, void *context, const capstan_delivery_t *delivery);

/* Of the group "group", when the options name none. */
void embedded_subscribe(embedded_t *self, capstan_subscribe_options_t options,
                        capstan_subscription_t **ret_subscription);
void embedded_await_stored(const capstan_subscription_t *subscription, uint64_t wanted);
void embedded_end(capstan_subscription_t **subscription);
/* Nothing is left for a new member of the group. */
void embedded_expect_nothing_left(embedded_t *self);

#endif
