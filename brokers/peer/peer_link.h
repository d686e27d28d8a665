/* The core of a peer's side of the link: what it has sent and not been answered, and how much more
 * it may send. Pure: no socket, clock or log.
 *
 * Credited messages are kept as they stand in a batch, until they are answered:
 *
 *      head                    sent                  tail
 *   ----+-----------------------+---------------------+----
 *       | sent, some answered   | not sent            |
 *       | sequences 1, 2 ...    |                     |
 *
 * A new session begins with sequence 1: what has no answer moves to the front and counts as not
 * sent. So sending, sending within the credit and sending again are the same walk. */
#ifndef PEER_PEER_LINK_H
#define PEER_PEER_LINK_H

#include "runtime/wire/batch.h"

typedef struct peer_link_limits {
    uint64_t messages_max; /* kept, sent or not */
    uint64_t bytes_max;    /* of them, encoded */
    uint32_t batch_messages;
    uint32_t batch_bytes;
} peer_link_limits_t;

/* One credited message. `encoded` is what batch_add writes: envelope and body. */
typedef struct peer_item {
    slice_t encoded;
    uint32_t body_bytes;
    bool request;   /* answered by its reply, else by an outcome */
    bool tell;      /* it wants no answer: done with when it is sent */
    uint64_t token; /* the caller's; a request's correlation */
} peer_item_t;

typedef struct peer_link peer_link_t;

peer_link_t *peer_link_new(const peer_link_limits_t *limits);
void peer_link_destroy(peer_link_t **self_p);

/* Keeps one message. NO_CREDIT: as much as is allowed waits for an answer. */
CAPSTAN_MUST_CHECK capstan_err_t peer_link_queue(peer_link_t *self, const peer_item_t *item);

/* A session begins: sequences start again at 1, and there is no credit yet. */
void peer_link_restart(peer_link_t *self);
/* A grant of the node; an older one changes nothing. */
void peer_link_grant(peer_link_t *self, uint64_t messages, uint64_t bytes);

/* Adds what may be sent now to `writer`, as much as fits one batch. Returns how many; they count
 * as sent when peer_link_sent is told. `ret_sequence` is the link sequence of the first. */
uint32_t peer_link_fill(peer_link_t *self, batch_writer_t *writer, uint64_t *ret_sequence);
void peer_link_sent(peer_link_t *self, uint32_t count);
/* Messages that were not sent in this session, with credit or without. */
uint64_t peer_link_unsent(const peer_link_t *self);
/* Publishes and requests without an answer that someone waits for. */
uint64_t peer_link_unanswered(const peer_link_t *self);

uint64_t peer_link_unsent_bytes(const peer_link_t *self);
/* Publishes got their outcome; `each` hears the token of each. It may queue. Returns how many tells
 * were refused: of them nothing is kept that could be named. */
typedef void peer_link_outcome_fn(void *context, uint64_t token, uint64_t result,
                                  capstan_err_t err);
uint64_t peer_link_answer(peer_link_t *self, const outcome_t *outcome, peer_link_outcome_fn *each,
                          void *context);
/* A request got its reply; false when there is no such request. */
bool peer_link_settle(peer_link_t *self, uint64_t correlation);
/* Nobody waits for the request's reply any more: a new session does not send it again. */
void peer_link_abandon(peer_link_t *self, uint64_t correlation);

#endif
