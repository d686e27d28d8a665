/* Publishes rows, takes their answers and sends again what was refused for the moment.
 *
 * A refusal of the retry class LATER (OUT_OF_ORDER, MAILBOX_FULL, STORE_FULL ...) puts the row into
 * a bounded queue. The queue is sent again in rounds: in between when it has grown, and at the end
 * for as long as a round settles any row. A round that settles none is followed by a pause that
 * doubles up to a second; when not even the round after that settles one, what is left counts as
 * rejected. A node that is starting or stopping gets the whole timeout.
 *
 * How an answer is counted. `stored`, `held` and `diverted` are acked: the event is on disk.
 * `duplicate` counts as a duplicate, but for one case: the connection was lost after the row was
 * sent and before its answer came, so the row was sent twice by the link itself, and `duplicate`
 * then most likely means that the first sending was stored and its answer lost. Such a row counts
 * as acked (and as `recovered`), unless its injected copy was already counted as stored, which
 * makes it a duplicate beyond doubt. What this cannot tell apart is a row that was in the topic
 * before this run and is hit by a loss of the connection: it counts as acked too. Each row is
 * counted exactly once.
 *
 * Used by one thread. Nothing here sleeps: pauses are peer_poll's. */
#ifndef CLI_FEED_SENDER_H
#define CLI_FEED_SENDER_H

#include "cli/feed_ledger.h"

typedef struct feed_sender_options {
    const char *endpoint;
    const char *topic;
    const char *producer;
    uint64_t partitions; /* of a topic that is made; 0: the node's default */
    bool sequenced;      /* the topic's sequence mode is `producer` */
    int64_t timeout_us;  /* without any answer */
    feed_ledger_t *ledger;
} feed_sender_options_t;

typedef struct feed_counts {
    uint64_t sent;
    uint64_t acked;
    uint64_t duplicates;
    uint64_t rejected;
    uint64_t diverted;     /* of acked: it was late, or the event's sequence had been given up */
    uint64_t late_dropped; /* of acked: it was late, and only its identity was kept */
    uint64_t held;         /* of acked: the node had not got an earlier event of the key yet */
    uint64_t recovered;    /* of acked: answered `duplicate` after a loss of the connection */
    uint64_t reconnects;
    capstan_err_t rejection; /* the latest one */
} feed_counts_t;

typedef struct feed_sender feed_sender_t;

/* Connects and ensures the topic. `ret_text` (of FEED_TEXT_MAX bytes) gets what went wrong. */
CAPSTAN_MUST_CHECK capstan_err_t feed_sender_open(const feed_sender_options_t *options,
                                                  feed_sender_t **ret_sender, char *ret_text);
void feed_sender_close(feed_sender_t **self_p);

/* Takes the row, waits for credit and publishes it. When the node has given no answer for the
 * timeout, the row and all that are unanswered count as rejected, and so does each later one. */
void feed_sender_send(feed_sender_t *self, feed_row_t *row);
/* Lets the link work, for at most `wait_us`. */
void feed_sender_poll(feed_sender_t *self, int64_t wait_us);
/* Waits for all answers and sends again what can be. Afterwards
 * sent = acked + duplicates + rejected. */
void feed_sender_finish(feed_sender_t *self);

const feed_counts_t *feed_sender_counts(const feed_sender_t *self);
/* True when the sender has given up because no answer came. */
bool feed_sender_gave_up(const feed_sender_t *self);
/* The monotonic time of the latest poll, microseconds. */
int64_t feed_sender_now(const feed_sender_t *self);

#endif
