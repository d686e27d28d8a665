/* A gateway: peers reach a node's actors over tcp, and each other through the node.
 *
 * A peer is a program in any language that has ZeroMQ and msgpack; docs/protocol.md is what it
 * needs to know, and peer.h is a peer in C. It sends messages of your own tables (ids from 0x8000)
 * as events and requests. Nothing is open to it by itself:
 *
 *   - an actor can be found and sent to by peers only if it was spawned with `external` and a name;
 *     to them all others do not exist, also when they hold a reference;
 *   - of the messages of a table that the node knows (capstan_node_register), those go through that
 *     have a permission, in the kind of their row. Messages of no registered table go through as
 *     they are, so that peers can talk to each other about what the node knows nothing of.
 *
 * An external actor believes nothing: it decodes with capstan_decode and answers what is wrong. The
 * sender of a peer's message is the peer's session, an actor of the node: an answer, a tell or an
 * ask to it goes to the peer. It ends with the peer's connection, and then answers GONE, as any
 * actor does; a monitor hears of that. A peer that reads slowly fills its session's mailbox, whose
 * senders hear MAILBOX_FULL. An actor whose mailbox is half full slows the peers that send to it.
 *
 * A message that would make its sender park (CAPSTAN_OVERFLOW_PARK) is refused to a peer with
 * MAILBOX_FULL. */
#ifndef CAPSTAN_GATEWAY_H
#define CAPSTAN_GATEWAY_H

#include <capstan/node.h>

/* 0 stands for the default; what a value means and may be is in docs/config.md, under its name. */
typedef struct capstan_gateway_options {
    const char *endpoint; /* loopback only: peers are not authenticated. Port 0: a free one. NULL:
                             tcp://127.0.0.1:7700 */
    uint64_t sessions_max;
    uint64_t heartbeat_ms;
    uint64_t credit_messages;
    uint64_t credit_bytes;
    uint64_t outbox_bytes;
    uint64_t memory_bytes_max;
} capstan_gateway_options_t;

/* Opens the node's gateway, one per node, as an actor `gateway` on a cell of that name; it closes
 * when the node stops. From a thread that is no cell; blocks until peers can connect. `options` may
 * be NULL. `ret_text` (may be NULL, with size 0) gets the endpoint with its real port; on failure
 * what, where and what to do.
 * Errors: CONFIG (a value), INVALID and NOT_LOOPBACK (the endpoint), ADDRESS_IN_USE, EXISTS (there
 * is one, or an actor of that name), and those of capstan_node_spawn. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t
capstan_gateway_open(capstan_node_t *node, const capstan_gateway_options_t *options, char *ret_text,
                     size_t text_size);

#endif
