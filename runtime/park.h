/* Parking: a sender waits, with its messages, for a receiver whose mailbox is full and whose policy
 * is CAPSTAN_OVERFLOW_PARK. Everything here is for the actor's cell. Internal to runtime/.
 *
 *   sender                                          receiver
 *   send: no room --> parked list -- park_wait -->  list of waiters
 *   handles only its priority lane                  (half of its mailbox is free, or it ends)
 *   sends the parked ones, in order  <-- park_over -- tells all waiters
 *
 * M5: no circle of actors that wait for each other comes to be. Who is about to wait says so in its
 * slot and then follows the others' words; all of them are sequentially consistent, so that the
 * last one to close a circle sees it, and sends beyond the bound or is refused instead of waiting.
 */
#ifndef RUNTIME_PARK_H
#define RUNTIME_PARK_H

#include "runtime/slot.h"

enum {
    PARKED_MESSAGES_MAX = 1024, /* what a handler may send on before it hears MAILBOX_FULL */
    PARKED_BYTES_MAX = 16 << 20,
    PARK_RETRY_US = 1000000, /* a receiver that can say nothing any more is noticed so */
};

typedef struct parked {
    struct parked *next;
    capstan_message_t message; /* its body follows */
    bool always;
    uint8_t body[];
} parked_t;

/* Made when an actor first parks or is waited for. */
typedef struct park {
    parked_t *head; /* oldest; all go out before the actor handles anything else */
    parked_t *tail;
    uint32_t count;
    size_t bytes;
    uint64_t timer;
    capstan_ref_t *waiters;
    uint32_t waiter_count;
    uint32_t waiter_capacity;
} park_t;

/* The sender's side. Called when route_send found no room, or while something is parked. Errors:
 * MAILBOX_FULL (another policy, a circle, too much parked), or those of route_send. */
capstan_err_t park_message(capstan_actor_t *self, const capstan_message_t *message, bool always);
/* Tries again to send what is parked: on a park_over, and by a timer with this cookie. */
extern const char park_cookie;
void park_retry(capstan_actor_t *self);

/* The receiver's side. */
void park_add_waiter(capstan_actor_t *self, capstan_ref_t waiter);
/* Tells the waiters when nothing is left that would make the actor run, and so tell them; after a
 * waiter came, and after a message that the cell handled in its place. */
void park_settle(capstan_actor_t *self);
/* Tells the waiters when there is room; after the actor has handled something. */
void park_release(capstan_actor_t *self);

/* The actor has ended: what it had parked is sent in spite of the bound, its waiters go on. */
void park_end(capstan_actor_t *self);

#endif
