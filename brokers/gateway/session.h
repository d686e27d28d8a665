/* The core of one session's link: who may send how much, and what has been answered. Pure: no
 * socket, clock or log; time is an argument.
 *
 * Both directions number their credited messages from 1. Credit is a cumulative grant of messages
 * and of body bytes: it only grows, so that a lost one is made good by the next. What the peer may
 * send moves with the oldest message that is not answered yet:
 *
 *        1 ........ floor | floor+1 ............ received | .......... floor + window
 *        answered, told   | open, or answered and untold  | granted, not yet sent
 *
 * so everything that has to be remembered lies in a ring of at most `messages_window` slots.
 * A credited message may be sent while the body bytes of those before it are fewer than granted:
 * the last one may overrun, which keeps a window smaller than one message from stopping the link.
 *
 * Answers come from partitions in any order. They wait in the ring until they are written as one
 * list of ascending ranges, once per turn. */
#ifndef GATEWAY_SESSION_H
#define GATEWAY_SESSION_H

#include "runtime/wire/wire_messages.h"

typedef struct session_limits {
    uint64_t messages_window; /* credited messages the peer may have unanswered */
    uint64_t bytes_window;    /* and their body bytes */
    int64_t silence_us;       /* a peer that is silent for this long is gone */
} session_limits_t;

/* What a session is told about a message it took; the numbers of record `outcome`. */
typedef enum session_result {
    SESSION_STORED = 1,
    SESSION_DUPLICATE = 2,
    SESSION_HELD = 3,
    SESSION_REJECTED = 4,
} session_result_t;

typedef struct session session_t;

session_t *session_new(const session_limits_t *limits, int64_t now_us);
void session_destroy(session_t **self_p);

/* A batch of the peer begins: it is alive, its grants are taken, and its link sequence has to be
 * the next one (0: it names none). MALFORMED: it skips or repeats. */
CAPSTAN_MUST_CHECK capstan_err_t session_on_batch(session_t *self, int64_t now_us,
                                                  const link_header_t *header);
bool session_is_silent(const session_t *self, int64_t now_us);

/* Takes one credited message and numbers it. NO_CREDIT: it is beyond what was granted. */
CAPSTAN_MUST_CHECK capstan_err_t session_take(session_t *self, size_t body_bytes,
                                              uint64_t *ret_sequence);
/* A request got its reply, which goes to the peer by itself. */
void session_settle(session_t *self, uint64_t sequence);
/* A row of messages is settled that want neither outcome nor reply. */
void session_settle_range(session_t *self, uint64_t first, uint64_t last);
/* Publishes got their outcome. Numbers that are not open are left alone and counted as stray. */
void session_answer(session_t *self, const outcome_t *outcome);

/* Writes the answers that the peer has not been told as the body of an `outcomes` message, at most
 * SESSION_RANGES_MAX ranges; false when there are none. Call again until then. */
enum { SESSION_RANGES_MAX = 4096 };
bool session_write_outcomes(session_t *self, buffer_t *out);

/* The header of the next batch to the peer; what it grants counts as told. `first_sequence` is the
 * link sequence of the batch's first credited message, or 0. */
link_header_t session_header(session_t *self, uint64_t first_sequence);
/* True when the grant has grown by a quarter of its window since the peer was told: even a peer
 * that is sent nothing else has to hear of it. */
bool session_grant_is_due(const session_t *self);

/* One delivery may be sent now. */
bool session_may_deliver(const session_t *self);
/* It was: returns its link sequence. */
uint64_t session_deliver(session_t *self, size_t body_bytes);

typedef struct session_figures {
    uint64_t received;  /* credited messages taken */
    uint64_t open;      /* of them not answered, or not told */
    uint64_t delivered; /* credited messages sent */
    uint64_t stray;     /* answers to what was not open */
} session_figures_t;
session_figures_t session_figures(const session_t *self);

#endif
