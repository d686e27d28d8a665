#include "cli/feed_sender.h"

#include "brokers/peer/peer.h"
#include "runtime/base/ensure.h"

#include <time.h>

enum {
    UNANSWERED_MAX = 65536,
    RETRY_ROWS_MAX = 2 * UNANSWERED_MAX, /* rounds begin at half: all unanswered find room */
    RETRY_BYTES_MAX = 64 << 20,
    RETRY_ROUND_ROWS = 1024, /* the first round in between begins here */
    ROWS_PER_POLL = 256,
    REQUEST_TIMEOUT_US = 30 * 1000000,
    CREDIT_WAIT_US = 10 * 1000,
    PAUSE_FIRST_US = 10 * 1000,
    PAUSE_LAST_US = 1000 * 1000,
};

/* The results of record `outcome`. */
enum {
    RESULT_STORED = 1,
    RESULT_DUPLICATE = 2,
    RESULT_HELD = 3,
    RESULT_DIVERTED = 5,
    RESULT_DROPPED = 6,
};

struct feed_sender {
    feed_sender_options_t options;
    peer_t *peer;
    feed_counts_t counts;
    feed_ring_t unanswered; /* the head */
    uint64_t unanswered_count;
    feed_queue_t retry;
    uint64_t retry_bytes;
    uint64_t round_rows; /* a round begins when the queue is that long */
    uint64_t settled;    /* rows whose fate is known */
    int64_t now_us;      /* read at each poll */
    int64_t answered_us; /* when something was last heard, or the first row was sent after all were
                            answered */
    int64_t settled_us;
    bool blocked; /* a row waits for credit */
    bool gave_up;
};

static int64_t read_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- Rows. ---- */

static void add_unanswered(feed_sender_t *self, feed_row_t *row)
{
    row->ring = (feed_ring_t){.next = &self->unanswered, .previous = self->unanswered.previous};
    row->ring.previous->next = &row->ring;
    self->unanswered.previous = &row->ring;
    if (self->unanswered_count++ == 0) {
        self->answered_us = self->now_us;
    }
}

static void remove_unanswered(feed_sender_t *self, feed_row_t *row)
{
    row->ring.previous->next = row->ring.next;
    row->ring.next->previous = row->ring.previous;
    self->unanswered_count--;
}

static void release(feed_row_t *row)
{
    if (row->pair && --row->pair->references == 0) {
        free(row->pair);
    }
    free(row);
}

/* ---- The ends of a row. ---- */

static void settle_acked(feed_sender_t *self, feed_row_t *row, const char *outcome)
{
    self->counts.acked++;
    self->settled++;
    self->settled_us = self->now_us;
    if (row->pair) {
        row->pair->stored = true;
    }
    feed_ledger_row(self->options.ledger, row, outcome);
    release(row);
}

static void settle_duplicate(feed_sender_t *self, feed_row_t *row)
{
    if (row->resent && !(row->pair && row->pair->stored)) {
        self->counts.recovered++;
        settle_acked(self, row, "stored");
        return;
    }
    self->counts.duplicates++;
    self->settled++;
    self->settled_us = self->now_us;
    feed_ledger_row(self->options.ledger, row, "duplicate");
    release(row);
}

static void settle_rejected(feed_sender_t *self, feed_row_t *row, capstan_err_t err)
{
    self->counts.rejected++;
    self->counts.rejection = err;
    self->settled++;
    feed_ledger_rejected(self->options.ledger, row, err);
    release(row);
}

static uint64_t row_bytes(const feed_row_t *row)
{
    return sizeof *row + row->key_size + row->payload_size;
}

static void refuse(feed_sender_t *self, feed_row_t *row, capstan_err_t err)
{
    bool room = self->retry.count < RETRY_ROWS_MAX && self->retry_bytes < RETRY_BYTES_MAX;
    if (capstan_err_retry(err) == CAPSTAN_RETRY_LATER && room && !self->gave_up) {
        row->refusal = err;
        self->retry_bytes += row_bytes(row);
        feed_queue_push(&self->retry, &row->link);
    } else {
        settle_rejected(self, row, err);
    }
}

static void on_outcome(void *context, uint64_t token, uint64_t result, capstan_err_t err)
{
    feed_sender_t *self = context;
    if (self->gave_up) {
        return; /* the row is gone */
    }
    feed_row_t *row = (feed_row_t *)(uintptr_t)token;
    remove_unanswered(self, row);
    row->resent = row->resent || row->connection != self->counts.reconnects;
    self->answered_us = self->now_us;
    switch (result) {
    case RESULT_STORED:
        settle_acked(self, row, "stored");
        break;
    case RESULT_HELD:
        self->counts.held++;
        settle_acked(self, row, "held");
        break;
    case RESULT_DIVERTED:
        self->counts.diverted++;
        settle_acked(self, row, "diverted");
        break;
    case RESULT_DROPPED:
        self->counts.late_dropped++;
        settle_acked(self, row, "late");
        break;
    case RESULT_DUPLICATE:
        settle_duplicate(self, row);
        break;
    default:
        refuse(self, row, err);
        break;
    }
}

static void on_reconnected(void *context)
{
    feed_sender_t *self = context;
    self->counts.reconnects++;
    self->answered_us = self->now_us;
}

/* ---- Sending. ---- */

static void give_up(feed_sender_t *self)
{
    self->gave_up = true;
    while (self->unanswered_count > 0) {
        feed_row_t *row = feed_row_of_ring(self->unanswered.next);
        remove_unanswered(self, row);
        settle_rejected(self, row, CAPSTAN_E_TIMEOUT);
    }
}

void feed_sender_poll(feed_sender_t *self, int64_t wait_us)
{
    if (self->gave_up) {
        return;
    }
    (void)peer_poll(self->peer, wait_us);
    self->now_us = read_clock();
    bool waiting = self->unanswered_count > 0 || self->blocked;
    if (waiting && self->now_us - self->answered_us > self->options.timeout_us) {
        give_up(self);
    }
}

static void publish(feed_sender_t *self, feed_row_t *row)
{
    const publish_t event = {
        .topic = slice_text(self->options.topic),
        .key = feed_row_key(row),
        .producer = slice_text(self->options.producer),
        .sequence = row->sequence,
        .time_us = row->time_us,
        .content_type = slice_text("application/msgpack"),
        .payload = feed_row_payload(row),
        .not_before_us = row->not_before_us,
    };
    if (self->unanswered_count == 0) {
        self->answered_us = self->now_us;
    }
    capstan_err_t err = CAPSTAN_E_NO_CREDIT;
    while (err == CAPSTAN_E_NO_CREDIT && !self->gave_up) {
        row->connection = self->counts.reconnects;
        err = peer_publish(self->peer, &event, (uint64_t)(uintptr_t)row);
        if (err == CAPSTAN_E_NO_CREDIT) {
            self->blocked = true;
            feed_sender_poll(self, CREDIT_WAIT_US);
        }
    }
    self->blocked = false;
    if (!err) {
        add_unanswered(self, row);
    } else {
        settle_rejected(self, row, self->gave_up ? CAPSTAN_E_TIMEOUT : err);
    }
}

static void wait_for_answers(feed_sender_t *self)
{
    while (self->unanswered_count > 0) {
        feed_sender_poll(self, CREDIT_WAIT_US);
    }
}

static void pause_for(feed_sender_t *self, int64_t pause_us)
{
    for (int64_t end = self->now_us + pause_us; !self->gave_up && self->now_us < end;) {
        feed_sender_poll(self, end - self->now_us);
    }
}

/* Sends the whole queue again and waits for the answers. True when a row was settled. */
static bool run_round(feed_sender_t *self)
{
    wait_for_answers(self);
    uint64_t settled_before = self->settled;
    feed_queue_t round = self->retry;
    self->retry = (feed_queue_t){0};
    self->retry_bytes = 0;
    for (feed_link_t *link; (link = feed_queue_pop(&round));) {
        publish(self, feed_row_of(link));
    }
    wait_for_answers(self);
    return self->settled > settled_before;
}

/* True while what refuses the rows is a node that is starting or stopping, and has time left. */
static bool is_patient(const feed_sender_t *self)
{
    const feed_row_t *row = feed_row_of(self->retry.first);
    bool passing = row->refusal == CAPSTAN_E_UNAVAILABLE || row->refusal == CAPSTAN_E_STOPPING;
    return passing && self->now_us - self->settled_us < self->options.timeout_us;
}

static void reject_retries(feed_sender_t *self)
{
    for (feed_link_t *link; (link = feed_queue_pop(&self->retry));) {
        feed_row_t *row = feed_row_of(link);
        settle_rejected(self, row, row->refusal);
    }
    self->retry_bytes = 0;
}

/* Rounds until the queue has at most `rows`. */
static void run_rounds(feed_sender_t *self, uint64_t rows)
{
    int64_t pause_us = 0;
    while (self->retry.count > rows && !self->gave_up) {
        pause_for(self, pause_us);
        if (run_round(self)) {
            pause_us = 0;
        } else if (pause_us < PAUSE_LAST_US) {
            pause_us = pause_us == 0 ? PAUSE_FIRST_US : 2 * pause_us;
            pause_us = pause_us < PAUSE_LAST_US ? pause_us : PAUSE_LAST_US;
        } else if (!is_patient(self)) {
            break;
        }
    }
    if (self->retry.count > rows) {
        reject_retries(self);
    }
}

/* In the middle of the input: rows that come later may settle those in the queue. */
static void retry_in_between(feed_sender_t *self)
{
    if (self->retry.count >= RETRY_ROWS_MAX / 2 || self->retry_bytes >= RETRY_BYTES_MAX / 2) {
        run_rounds(self, RETRY_ROUND_ROWS);
        self->round_rows = RETRY_ROUND_ROWS;
    } else if (self->retry.count >= self->round_rows) {
        (void)run_round(self);
        self->round_rows = 2 * self->retry.count;
    }
    if (self->round_rows < RETRY_ROUND_ROWS) {
        self->round_rows = RETRY_ROUND_ROWS;
    }
}

void feed_sender_send(feed_sender_t *self, feed_row_t *row)
{
    self->counts.sent++;
    publish(self, row);
    if (self->counts.sent % ROWS_PER_POLL == 0) {
        feed_sender_poll(self, 0);
    }
    retry_in_between(self);
}

void feed_sender_finish(feed_sender_t *self)
{
    wait_for_answers(self);
    run_rounds(self, 0);
    ENSURE(self->unanswered_count == 0 && self->retry.count == 0);
    ENSURE(self->counts.sent ==
           self->counts.acked + self->counts.duplicates + self->counts.rejected);
}

/* ---- Opening and closing. ---- */

static capstan_err_t ensure_topic(feed_sender_t *self, char *ret_text)
{
    const topic_ensure_t request = {
        .topic = slice_text(self->options.topic),
        .partitions = self->options.partitions,
        .sequence = self->options.sequenced ? 1 : 2,
    };
    slice_t body;
    char reason[FEED_TEXT_MAX / 2] = "";
    capstan_err_t err = peer_request(self->peer, topic_ensure_wire(), &request, topic_info_wire(),
                                     REQUEST_TIMEOUT_US, &body, reason, sizeof reason);
    if (err == CAPSTAN_E_TOPIC_DIFFERS) {
        snprintf(ret_text, FEED_TEXT_MAX,
                 "topic '%.128s' exists with another definition. %s%s, or use another --topic.",
                 self->options.topic,
                 self->options.partitions > 0
                     ? "Leave out --partitions if it has another number of them. "
                     : "",
                 self->options.sequenced ? "Feed it without --seq if it numbers by arrival"
                                         : "Give --seq if its sources number their keys");
    } else if (err) {
        snprintf(ret_text, FEED_TEXT_MAX, "topic '%.128s' at %.128s: %s. %s", self->options.topic,
                 self->options.endpoint, *reason ? reason : capstan_err_text(err),
                 capstan_err_remedy(err));
    }
    return err;
}

capstan_err_t feed_sender_open(const feed_sender_options_t *options, feed_sender_t **ret_sender,
                               char *ret_text)
{
    feed_sender_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->options = *options;
    self->unanswered.next = self->unanswered.previous = &self->unanswered;
    self->round_rows = RETRY_ROUND_ROWS;
    const peer_options_t peer = {.endpoint = options->endpoint, .unanswered_max = UNANSWERED_MAX};
    const peer_handlers_t handlers = {
        .context = self,
        .outcome = on_outcome,
        .reconnected = on_reconnected,
    };
    capstan_err_t err = peer_connect(&peer, &handlers, &self->peer, ret_text, FEED_TEXT_MAX);
    if (!err) {
        err = ensure_topic(self, ret_text);
    }
    if (err) {
        feed_sender_close(&self);
        return err;
    }
    self->counts.reconnects = 0;
    self->now_us = self->answered_us = self->settled_us = read_clock();
    *ret_sender = self;
    return CAPSTAN_OK;
}

void feed_sender_close(feed_sender_t **self_p)
{
    feed_sender_t *self = *self_p;
    if (self) {
        if (self->peer) {
            peer_close(&self->peer, 0);
        }
        free(self);
        *self_p = NULL;
    }
}

const feed_counts_t *feed_sender_counts(const feed_sender_t *self)
{
    return &self->counts;
}

bool feed_sender_gave_up(const feed_sender_t *self)
{
    return self->gave_up;
}

int64_t feed_sender_now(const feed_sender_t *self)
{
    return self->now_us;
}
