/* A peer: a program that is no node, and talks over tcp to the actors of one, and through it to
 * other peers. It speaks the protocol of docs/protocol.md, as peers in any language do.
 *
 *   static void receive(capstan_peer_t *peer, void *context, const capstan_peer_message_t *message)
 *   {
 *       ... decode message->body; capstan_peer_reply(peer, message, ...) if it is a request ...
 *   }
 *
 *   capstan_peer_options_t options = {.endpoint = "tcp://127.0.0.1:7700", .name = "till-4",
 *                                     .receive = receive};
 *   err = capstan_peer_connect(&options, &peer, text, sizeof text);
 *   err = capstan_peer_resolve(peer, "shop", 1000000, &shop);        // an actor (gateway.h)
 *   err = capstan_peer_resolve(peer, "peer/till-5", 1000000, &till); // or another peer
 *   err = capstan_peer_ask(peer, shop, MESSAGE_shop_order, body, 1000000, &answer);
 *   while (running) {
 *       capstan_peer_poll(peer, 100000);
 *   }
 *   capstan_peer_close(&peer, 1000000);
 *
 * A peer is used by one thread. It keeps within the credit that the node grants it, gathers what it
 * tells into batches, which leave when one is full and with each capstan_peer_poll or _ask, and
 * connects anew by itself when the connection is lost. It opens a ZeroMQ context of its own: it is
 * for processes that host no node. */
#ifndef CAPSTAN_PEER_H
#define CAPSTAN_PEER_H

#include <capstan/buffer.h>
#include <capstan/message.h>

typedef struct capstan_peer capstan_peer_t;

/* A message for the peer. It and its body live until the handler returns. A request that is
 * answered later is named by a copy of it. */
typedef struct capstan_peer_message {
    uint32_t message;     /* its number: of your tables, or of sagas (from 0x100) */
    uint32_t kind;        /* CAPSTAN_KIND_EVENT, or CAPSTAN_KIND_REQUEST */
    capstan_ref_t sender; /* null: nothing can be sent to it */
    uint64_t correlation;
    uint64_t ttl_us; /* what is left of its time; 0: no limit */
    capstan_slice_t body;
} capstan_peer_message_t;

/* Strings are copied. Handlers run inside capstan_peer_poll and capstan_peer_ask, and may call the
 * peer; each may be NULL. */
typedef struct capstan_peer_options {
    const char *endpoint;       /* NULL: tcp://127.0.0.1:7700 */
    const char *name;           /* 1 to 128 bytes, one peer per name; NULL: one that nobody has */
    int64_t connect_timeout_us; /* 0: 10 s */
    void *context;
    void (*receive)(capstan_peer_t *self, void *context, const capstan_peer_message_t *message);
    /* Whoever sent the request of that correlation wants no answer any more. */
    void (*cancelled)(capstan_peer_t *self, void *context, uint64_t correlation);
    /* So many of the messages told were not passed on: GONE, MAILBOX_FULL, TOO_LARGE. */
    void (*refused)(capstan_peer_t *self, void *context, capstan_err_t err, uint64_t count);
    /* The connection was lost and made anew: of what was told last some may be lost; references to
     * peers are stale, and so are those to actors if the node was started again. It may not call
     * the peer. */
    void (*reconnected)(capstan_peer_t *self, void *context);
} capstan_peer_options_t;

/* Connects and greets; blocks. `ret_text` (may be NULL, with size 0) says what is wrong and what to
 * do. Errors: TIMEOUT, WRONG_VERSION, STALE_SESSION, INVALID (the endpoint, the name), LIMIT. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t
capstan_peer_connect(const capstan_peer_options_t *options, capstan_peer_t **ret_peer,
                     char *ret_text, size_t text_size);

/* Sends what is gathered and waits until the node has it, for at most `linger_us`; then says
 * goodbye and frees the peer. */
CAPSTAN_API void capstan_peer_close(capstan_peer_t **self_p, int64_t linger_us);

/* Finds an actor that its node opened to peers, by its name, or the peer that connected as NAME, by
 * "peer/NAME". Blocks as capstan_peer_ask does. Errors: NOT_FOUND, TIMEOUT, STALE_SESSION. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_peer_resolve(capstan_peer_t *self,
                                                                  const char *address,
                                                                  int64_t timeout_us,
                                                                  capstan_ref_t *ret_ref);

/* Sends an event; the body is copied. Never blocks. Messages to one receiver arrive in the order
 * sent. Errors: NO_CREDIT (the receiver, or the node, is behind: nothing was sent; poll, and try
 * again), TOO_LARGE, INVALID (the id, the null reference), STALE_SESSION (another peer has taken
 * the name). Whether it could be passed on is told by `refused` only. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_peer_tell(capstan_peer_t *self,
                                                               capstan_ref_t target,
                                                               uint32_t message,
                                                               capstan_slice_t body);

/* Sends a request and serves the connection, handlers included, until its answer has come; a
 * handler may ask in turn. Appends the reply's body to `ret_body` (may be NULL: it is not wanted).
 * When the connection is lost meanwhile it is asked again, and may arrive twice.
 * Errors: those of capstan_peer_tell but NO_CREDIT, TIMEOUT, GONE, or the receiver's. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t
capstan_peer_ask(capstan_peer_t *self, capstan_ref_t target, uint32_t message, capstan_slice_t body,
                 int64_t timeout_us, capstan_buffer_t *ret_body);

/* Answers a request, once. An asker that has gone needs no answer. Waits while the connection takes
 * no more. */
CAPSTAN_API void capstan_peer_reply(capstan_peer_t *self, const capstan_peer_message_t *request,
                                    uint32_t message, capstan_slice_t body);
CAPSTAN_API void capstan_peer_reply_error(capstan_peer_t *self,
                                          const capstan_peer_message_t *request, capstan_err_t err,
                                          const char *text);

/* Sends what is gathered, receives, calls handlers; waits at most `timeout_us` for input (0: not at
 * all). Returns the number of messages handled. To be called at least once a second: a peer that is
 * silent for three heartbeats loses its session. */
CAPSTAN_API size_t capstan_peer_poll(capstan_peer_t *self, int64_t timeout_us);

#endif
