/* What the gateway needs of the runtime for the messages that cross it by reference: who may be
 * reached from outside, and an actor that stands for a peer. Internal to the library.
 *
 * A peer's actor hears at once what the node tells it (answers, ends, grants): all of that goes
 * into its priority lane. What actors and other peers send to the peer lies in the normal lane,
 * within the bound of its mailbox, and waits there while the peer takes no more; a sender that
 * finds no room hears MAILBOX_FULL. Such an actor never parks: a peer must not be able to stop what
 * the node tells it by sending to an actor that is stuck. */
#ifndef RUNTIME_OUTSIDE_H
#define RUNTIME_OUTSIDE_H

#include "runtime/runtime.h"
#include "runtime/wire/codec.h"

/* A request or an event of those that go by reference: of a concern of Capstan's that peers reach
 * so, or of a program's own tables. */
static inline bool message_is_by_reference(const capstan_message_t *message)
{
    return message->message >= WIRE_REFERENCE_ID_MIN &&
           (message->kind == CAPSTAN_KIND_REQUEST || message->kind == CAPSTAN_KIND_EVENT);
}

/* The actor of that name, if peers may send to it. NOT_FOUND: there is none, or they may not. Any
 * thread. */
CAPSTAN_MUST_CHECK capstan_err_t node_resolve_external(capstan_node_t *self, slice_t name,
                                                       capstan_ref_t *ret_ref);
/* Whether it lives and peers may send to it. Any thread. */
bool node_is_external(capstan_node_t *self, capstan_ref_t ref);
/* Whether half of its mailbox is taken: time to hold back who sends to it. Any thread. */
bool node_is_crowded(capstan_node_t *self, capstan_ref_t ref);

/* In `init`: the actor stands for a peer. */
void actor_stand_outside(capstan_actor_t *self);
/* What is sent to it by reference waits in its mailbox, or goes on. The actor's cell. */
void actor_hold(capstan_actor_t *self, bool held);

#endif
