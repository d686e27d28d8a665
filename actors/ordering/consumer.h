/* The core of a consumer in the process: which handler gets which event next. Pure: no clock,
 * socket, thread, SQL, log or random number.
 *
 *   group --deliver--> key a: [3 4]   a handler has 2 of it: they wait until it returns
 *                      key b: [7]     ready: the next handler that is free gets it
 *                      (key c: 5 was handled and is not acknowledged; nothing waits)
 *
 * Invariants:
 *  - events of one key go to one handler at a time, in the order in which they were delivered;
 *  - what the group takes back from a member, when it rejects an event, is given up here at the
 * same moment: all that it holds of the key;
 *  - an event has a ticket from its delivery until it is done or given up.
 *
 * What a key is follows the group's mode: a key, a partition, or a single event. */
#ifndef ORDERING_CONSUMER_H
#define ORDERING_CONSUMER_H

#include "actors/ordering/group.h"
#include "actors/ordering/tickets.h"

typedef struct consumer consumer_t;

/* An event in hand. Only `event` of those that wait for a handler is kept. */
typedef struct consumer_event {
    uint64_t ticket;
    uint64_t offset;
    uint64_t attempts;
    uint32_t partition;
    slice_t event; /* the record; good until the next call */
} consumer_event_t;

/* Handlers are numbered from 1. */
consumer_t *consumer_new(tickets_t *tickets, uint32_t handlers, const uint8_t hash_seed[16]);
/* While nothing is held. */
void consumer_set_mode(consumer_t *self, group_mode_t mode);
void consumer_destroy(consumer_t **self_p);

/* One that was delivered. False: it is no event, or there is no ticket. */
bool consumer_add(consumer_t *self, uint32_t partition, uint64_t attempts, slice_t event);
/* Hands up to `max` waiting events to a handler that has none; returns how many. */
size_t consumer_take(consumer_t *self, uint32_t handler, size_t max, consumer_event_t *ret_events);
/* The handler has returned, or is no more. */
void consumer_release(consumer_t *self, uint32_t handler);

/* NULL: the ticket is nobody's. Good until the next call. */
const consumer_event_t *consumer_find(const consumer_t *self, uint64_t ticket);
/* It is acknowledged. */
void consumer_done(consumer_t *self, uint64_t ticket);
/* It is rejected, and with it the member loses all that it holds of the key. */
void consumer_reject(consumer_t *self, uint64_t ticket);
/* The subscription has ended: nothing is held any more. Handlers that run keep their keys, so that
 * nobody else gets them before they return. */
void consumer_forget(consumer_t *self);

typedef struct consumer_figures {
    uint64_t held;    /* with a ticket */
    uint64_t waiting; /* of them for a handler */
    uint64_t bytes;   /* of those */
    uint64_t keys;
} consumer_figures_t;
consumer_figures_t consumer_figures(const consumer_t *self);

#endif
