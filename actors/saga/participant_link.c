/* A participant in a process of its own, which talks to the coordinator through a peer.
 *
 * The peer takes what comes while it is polled, and hands it to the worker; between two polls what
 * was taken is done, and answered. A poll inside a handler, of one that asks others through the
 * same peer, takes commands too; they wait for the handler's end. */
#include "actors/saga/participant_shared.h"

#include "runtime/base/clock.h"
#include "runtime/base/ensure.h"

#include <stdlib.h>

enum {
    ROUND_US = 100000,
    CHECK_US = 5000000, /* whether the coordinator is still the same; who is idle hears of no end */
};

struct participant_link {
    worker_t *worker;
    capstan_peer_t *peer;
    capstan_ref_t coordinator;
    bool opened;
    int64_t look_us;  /* not before this time */
    int64_t check_us; /* the same */
};

/* --- what the peer says ---------------------------------------------------------------------- */

/* What the peer does not take now waits for the next poll. Whoever has gone needs no answers. */
static void send_answers(participant_link_t *self)
{
    capstan_ref_t to;
    slice_t body;
    while (worker_answer(self->worker, &to, &body) &&
           capstan_peer_tell(self->peer, to, MESSAGE_participant_results, body) !=
               CAPSTAN_E_NO_CREDIT) {
        worker_answered(self->worker);
    }
}

static void receive(capstan_peer_t *peer, void *context, const capstan_peer_message_t *message)
{
    participant_link_t *self = context;
    if (message->message != MESSAGE_participant_commands || message->kind != CAPSTAN_KIND_EVENT) {
        capstan_peer_reply_error(peer, message, CAPSTAN_E_UNKNOWN_MESSAGE, NULL);
        return;
    }
    bool nameless = capstan_ref_is_null(message->sender);
    worker_add(self->worker, nameless ? self->coordinator : message->sender, message->body);
    send_answers(self); /* that it is busy, if it is */
}

static void reconnected(capstan_peer_t *peer, void *context)
{
    participant_link_t *self = context;
    (void)peer;
    self->opened = false;
    self->look_us = 0;
}

/* Answers reached nobody: the coordinator has ended. */
static void refused(capstan_peer_t *peer, void *context, capstan_err_t err, uint64_t count)
{
    participant_link_t *self = context;
    (void)peer;
    (void)count;
    self->opened = self->opened && err != CAPSTAN_E_GONE;
}

/* --- life ------------------------------------------------------------------------------------ */

capstan_err_t participant_link_open(const capstan_participant_options_t *options,
                                    participant_link_t **ret_link, char *ret_text, size_t text_size)
{
    participant_link_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    const capstan_peer_options_t peer = {.endpoint = options->endpoint,
                                         .name = options->peer,
                                         .context = self,
                                         .receive = receive,
                                         .refused = refused,
                                         .reconnected = reconnected};
    capstan_err_t err = worker_new(options, &self->worker, ret_text, text_size);
    err = err ? err : capstan_peer_connect(&peer, &self->peer, ret_text, text_size);
    if (err != CAPSTAN_OK) {
        participant_link_close(&self, 0);
        return err;
    }
    *ret_link = self;
    return CAPSTAN_OK;
}

capstan_peer_t *participant_link_peer(participant_link_t *self)
{
    return self->peer;
}

void participant_link_close(participant_link_t **self_p, int64_t linger_us)
{
    participant_link_t *self = *self_p;
    *self_p = NULL;
    int64_t deadline_us = clock_add_us(clock_us(CLOCK_MONOTONIC), linger_us);
    capstan_ref_t to;
    slice_t body;
    if (self->peer) {
        while (worker_has_work(self->worker)) {
            (void)worker_work(self->worker);
        }
        send_answers(self);
        while (worker_answer(self->worker, &to, &body) && clock_us(CLOCK_MONOTONIC) < deadline_us) {
            (void)capstan_peer_poll(self->peer, ROUND_US);
            send_answers(self);
        }
        int64_t left_us = deadline_us - clock_us(CLOCK_MONOTONIC);
        capstan_peer_close(&self->peer, left_us > 0 ? left_us : 0);
    }
    worker_destroy(&self->worker);
    free(self);
}

/* --- serving --------------------------------------------------------------------------------- */

/* A lost session, another coordinator: the answer to this one's opening says which epoch counts. */
static void look(participant_link_t *self)
{
    capstan_buffer_t body = {0};
    self->look_us = clock_us(CLOCK_MONOTONIC) + PARTICIPANT_PAUSE_US;
    self->opened = true; /* unless the peer says otherwise meanwhile */
    capstan_err_t err = capstan_peer_resolve(self->peer, participant_coordinator,
                                             PARTICIPANT_ASK_US, &self->coordinator);
    err = err ? err
              : capstan_peer_ask(self->peer, self->coordinator, MESSAGE_participant_open,
                                 worker_opening(self->worker), PARTICIPANT_ASK_US, &body);
    err = err ? err : worker_opened(self->worker, capstan_buffer_slice(&body));
    self->opened = self->opened && err == CAPSTAN_OK;
    self->check_us = self->look_us + CHECK_US;
    capstan_buffer_fini(&body);
}

static void check(participant_link_t *self)
{
    capstan_ref_t now;
    self->check_us = clock_us(CLOCK_MONOTONIC) + CHECK_US;
    capstan_err_t err =
        capstan_peer_resolve(self->peer, participant_coordinator, PARTICIPANT_ASK_US, &now);
    if (err == CAPSTAN_E_NOT_FOUND ||
        (err == CAPSTAN_OK && !capstan_ref_equal(now, self->coordinator))) {
        self->opened = false;
    }
}

size_t participant_link_poll(participant_link_t *self, int64_t timeout_us)
{
    int64_t now_us = clock_us(CLOCK_MONOTONIC);
    if (self->opened && now_us >= self->check_us) {
        check(self);
    }
    if (!self->opened && now_us >= self->look_us) {
        look(self);
    }
    bool soon = !self->opened && timeout_us > PARTICIPANT_PAUSE_US;
    int64_t wait_us = worker_has_work(self->worker) ? 0 : soon ? PARTICIPANT_PAUSE_US : timeout_us;
    (void)capstan_peer_poll(self->peer, wait_us);
    size_t count = worker_work(self->worker);
    send_answers(self);
    (void)capstan_peer_poll(self->peer, 0); /* they leave */
    return count;
}
