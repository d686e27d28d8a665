/* A peer's state, shared by peer.c (what the caller calls) and peer_session.c (what the node
 * sends). One thread. */
#ifndef PEER_PEER_INTERNAL_H
#define PEER_PEER_INTERNAL_H

#include "brokers/peer/peer.h"
#include "brokers/peer/peer_link.h"
#include "brokers/peer/peer_socket.h"
#include "runtime/base/buffer.h"

enum {
    PEER_NAME_MAX = 128,
    PEER_BATCH_BYTES = 64 * 1024,
    PEER_QUEUE_BYTES = 32 * 1024 * 1024, /* kept for resending */
    PEER_DELIVER_MESSAGES = 65536,       /* deliveries granted ahead; bytes are what counts */
    PEER_GREETING_US = 3000000,          /* a hello without answer: connect anew */
    PEER_HELLO_PAUSE_US = 1000000,       /* between two hellos that were refused */
};

/* greet --hello sent--> greeting --welcome--> open
 *   ^                      |                    |
 *   +---- lost, refused ---+---- lost, not_greeted
 * stale is the end: a newer peer has the name. */
typedef enum peer_state {
    PEER_GREET,
    PEER_GREETING,
    PEER_OPEN,
    PEER_STALE,
} peer_state_t;

/* A request that waits for its reply, on the stack of peer_request. A handler that runs meanwhile
 * may make another, which stands in front. */
typedef struct peer_wait {
    struct peer_wait *outer;
    uint64_t correlation;
    bool queued;
    bool answered;    /* in this session */
    uint32_t message; /* of the reply */
    buffer_t body;
} peer_wait_t;

struct peer {
    peer_options_t options;
    peer_handlers_t handlers;
    char *endpoint;
    char name[PEER_NAME_MAX + 1];

    peer_socket_t socket;
    peer_link_t *link;
    peer_state_t state;
    bool greeted_once;
    bool blocked;     /* the socket took no more */
    bool reconnected; /* the handler is to be told */
    bool told;        /* messages that nobody answers */
    uint64_t ponged;  /* the last ping that was answered */
    uint64_t session; /* number of the last hello */
    uint64_t hello_correlation;
    uint64_t next_correlation;
    capstan_err_t hello_err; /* of the last refused hello */
    char hello_text[256];
    welcome_t welcome;
    int64_t now_us;
    int64_t heard_us;
    int64_t sent_us;
    int64_t hello_us;

    uint64_t delivered; /* in this session */
    uint64_t delivered_bytes;
    uint64_t told_messages;
    uint64_t told_bytes;

    buffer_t body;  /* one body under construction */
    buffer_t item;  /* one envelope and body */
    buffer_t extra; /* uncredited messages for the next batch */
    uint32_t extra_count;
    buffer_t batch;

    peer_wait_t *waits;
    buffer_t reply; /* the last one, which the caller of peer_request still reads */
};

int64_t peer_now_us(void);
/* Puts a message that takes no credit into the next batch. */
void peer_extra(peer_t *self, const envelope_t *envelope, slice_t body);
/* The error of an encoded `failure`, and its text. */
capstan_err_t peer_read_failure(slice_t body, char *ret_text, size_t text_size);
/* Notices that the connection was lost. */
void peer_heed_loss(peer_t *self);
/* Sends what there is and may be sent. */
void peer_flush(peer_t *self);
/* One round: what arrived, heartbeat, what is to be sent. Returns the messages handled. */
size_t peer_serve(peer_t *self);

#endif
