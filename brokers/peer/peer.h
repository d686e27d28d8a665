/* The C side of an external peer: what the program's own commands use to talk to a node over tcp.
 *
 * A peer is used by one thread. It greets, resends after a reconnect what was not answered, keeps
 * within the node's credit, and batches what is published until the next peer_poll or until a
 * batch is full. It opens its own ZeroMQ context: use it in processes that host no node. */
#ifndef PEER_PEER_H
#define PEER_PEER_H

#include "actors/ordering/ordering_messages.h"
#include "brokers/gateway/gateway_messages.h"
#include "runtime/wire/wire_messages.h"

typedef struct peer peer_t;

typedef struct peer_options {
    const char *endpoint;
    const char *name;              /* 1 to 128 bytes; NULL: "peer-<random>" */
    int64_t connect_timeout_us;    /* 0: 10 s */
    uint32_t unanswered_max;       /* publishes kept for resending; 0: 65,536 */
    uint64_t deliver_bytes_window; /* granted to the node for deliveries; 0: 8 MiB */
    uint32_t batch_messages;       /* publishes per batch; 0: 64 */
} peer_options_t;

typedef struct peer_handlers {
    void *context;
    /* A publish was answered: result as in record `outcome`, err for rejected. */
    void (*outcome)(void *context, uint64_t token, uint64_t result, capstan_err_t err);
    /* Events arrived; valid during the call. Their credit is given back when it returns. */
    void (*deliver)(void *context, const deliver_t *deliver);
    /* The session was lost and opened again. Its subscriptions are gone: subscribe again, except
     * where a peer_request to subscribe is under way, which the peer itself makes again and which
     * returns what the new session answers. What the old one held of a group is delivered again
     * once the node has noticed its end. It is called before anything is sent in the new session;
     * it may not call the peer. */
    void (*reconnected)(void *context);
    /* A message by reference, of a user's table or of sagas: an event, or a request that
     * peer_answer answers. */
    void (*user)(void *context, const envelope_t *envelope, slice_t body);
    /* The asker of such a request wants no answer any more. */
    void (*cancelled)(void *context, uint64_t correlation);
    /* So many messages told by peer_tell were not passed on. */
    void (*refused)(void *context, capstan_err_t err, uint64_t count);
    /* The node ended a subscription. */
    void (*subscription_ended)(void *context, uint64_t subscription, capstan_err_t err);
} peer_handlers_t;

/* Connects and greets. `ret_text` gets what, where and what to do when it fails.
 * Errors: TIMEOUT, WRONG_VERSION, STALE_SESSION, INVALID (endpoint), NO_DESCRIPTOR (it takes ten),
 * NO_THREAD, NO_MEMORY, SYSTEM. */
CAPSTAN_MUST_CHECK capstan_err_t peer_connect(const peer_options_t *options,
                                              const peer_handlers_t *handlers, peer_t **ret_peer,
                                              char *ret_text, size_t text_size);
/* Sends what is batched, says goodbye, closes; waits at most `linger_us` for unanswered publishes,
 * and until the node has read what it was told. */
void peer_close(peer_t **self_p, int64_t linger_us);

const welcome_t *peer_welcome(const peer_t *self);

/* Queues one event. NO_CREDIT: nothing was queued; poll and try again. TOO_LARGE: never fits.
 * STALE_SESSION: a newer peer has taken the name; this one sends nothing any more. */
CAPSTAN_MUST_CHECK capstan_err_t peer_publish(peer_t *self, const publish_t *event, uint64_t token);
uint64_t peer_unanswered(const peer_t *self);

void peer_acknowledge(peer_t *self, const acknowledge_t *acknowledge);
/* The event was not processed; what else this peer holds of its key is not its any more. */
void peer_reject(peer_t *self, const reject_t *reject);

/* Sends a request and serves the connection, handlers included, until its answer; a handler may
 * itself make a request. `ret_body` points to the encoded reply until the next call on this peer. A
 * `failure` reply comes back as its error, its text in `ret_text`. Other errors: TIMEOUT,
 * STALE_SESSION, MALFORMED (another reply than `reply`). */
CAPSTAN_MUST_CHECK capstan_err_t peer_request(peer_t *self, const wire_record_t *message,
                                              const void *body, const wire_record_t *reply,
                                              int64_t timeout_us, slice_t *ret_body, char *ret_text,
                                              size_t text_size);

/* Finds an actor that is open to peers, or another peer: NOT_FOUND when there is none. Other errors
 * as in peer_request. */
CAPSTAN_MUST_CHECK capstan_err_t peer_resolve(peer_t *self, slice_t address, int64_t timeout_us,
                                              capstan_ref_t *ret_ref, char *ret_text,
                                              size_t text_size);
/* Queues an event that goes by reference. It is sent once or, when the session is lost first,
 * perhaps not. Errors as in peer_publish; INVALID: the id is below 0x100, or there is no target. */
CAPSTAN_MUST_CHECK capstan_err_t peer_tell(peer_t *self, capstan_ref_t target, uint32_t message,
                                           slice_t body);
/* As peer_request, by reference; `ret_message` is the number of the reply. TOO_LARGE. */
CAPSTAN_MUST_CHECK capstan_err_t peer_ask(peer_t *self, capstan_ref_t target, uint32_t message,
                                          slice_t body, int64_t timeout_us, uint32_t *ret_message,
                                          slice_t *ret_body, char *ret_text, size_t text_size);
/* Answers a request, by a reply or by the message `failure`; waits while the socket takes no more.
 * TOO_LARGE. When the session was lost there is nobody to be answered. */
CAPSTAN_MUST_CHECK capstan_err_t peer_answer(peer_t *self, uint64_t correlation, uint32_t message,
                                             slice_t body);

/* Sends what is batched, receives, calls handlers; waits at most `timeout_us` for input (0: not at
 * all). Returns the number of messages handled. It reconnects by itself, for ever. */
size_t peer_poll(peer_t *self, int64_t timeout_us);

#endif
