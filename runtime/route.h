/* Routing: finds the slot of a reference, reserves, and picks the transport. Internal to
 * runtime/. */
#ifndef RUNTIME_ROUTE_H
#define RUNTIME_ROUTE_H

#include "runtime/runtime_messages.h"
#include "runtime/slot.h"

enum { MESSAGE_OVERHEAD = 64 }; /* a queued message beside its body, rounded */

/* With `always` never refused for want of space. Errors: GONE, MAILBOX_FULL. */
capstan_err_t route_send(cell_t *from, const capstan_message_t *message, bool always);
/* Tells a watcher that an actor has ended. */
void route_tell_down(cell_t *from, capstan_ref_t watcher, const down_t *down);
/* Answers a message that reached nobody: a request with an error, a wish to watch with the `down`
 * of an actor that has gone. */
void route_refuse(cell_t *from, const capstan_message_t *request, capstan_err_t err,
                  const char *text);
/* What a message takes of its mailbox's bytes: the body, and what carries it. */
uint64_t message_cost(const capstan_message_t *message);
/* Whether its mailbox takes every message and then drops one. */
static inline bool overflow_is_receivers(const slot_t *slot)
{
    uint8_t overflow = atomic_load_explicit(&slot->overflow, memory_order_relaxed);
    return overflow == CAPSTAN_OVERFLOW_DROP_NEWEST || overflow == CAPSTAN_OVERFLOW_DROP_OLDEST;
}
/* The slot of a live incarnation, or NULL. Any thread. */
slot_t *route_find(capstan_node_t *node, capstan_ref_t target);

#endif
