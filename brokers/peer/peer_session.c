/* A peer's session: greeting, what the node sends, what goes out. */
#include "brokers/peer/peer_internal.h"

#include "runtime/base/ensure.h"

#include <capstan/actor.h>
#include <stdio.h>
#include <time.h>

enum {
    BATCHES_PER_ROUND = 256,
};

int64_t peer_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* --- out ------------------------------------------------------------------------------------- */

static link_header_t header(peer_t *self, uint64_t sequence)
{
    self->told_messages = self->delivered + PEER_DELIVER_MESSAGES;
    self->told_bytes = self->delivered_bytes + self->options.deliver_bytes_window;
    return (link_header_t){.version = WIRE_VERSION,
                           .sequence = sequence,
                           .credit_messages = self->told_messages,
                           .credit_bytes = self->told_bytes};
}

static bool send_batch(peer_t *self, batch_writer_t *writer, uint64_t sequence)
{
    uint64_t told_messages = self->told_messages;
    uint64_t told_bytes = self->told_bytes;
    link_header_t head = header(self, sequence);
    batch_seal(writer, &head);
    self->blocked = !peer_socket_send(&self->socket, buffer_slice(&self->batch));
    if (self->blocked) {
        self->told_messages = told_messages;
        self->told_bytes = told_bytes;
    } else {
        self->sent_us = self->now_us;
    }
    return !self->blocked;
}

static void greet(peer_t *self)
{
    bool refused = self->hello_err != CAPSTAN_OK;
    if (refused && self->now_us - self->hello_us < PEER_HELLO_PAUSE_US) {
        return;
    }
    struct timespec utc;
    clock_gettime(CLOCK_REALTIME, &utc);
    uint64_t utc_us = (uint64_t)utc.tv_sec * 1000000 + (uint64_t)utc.tv_nsec / 1000;
    uint64_t session = utc_us > self->session ? utc_us : self->session + 1;
    uint64_t correlation = self->next_correlation + 1;
    self->delivered = 0;
    self->delivered_bytes = 0;
    buffer_clear(&self->body);
    codec_encode(hello_wire(),
                 &(hello_t){.version_min = WIRE_VERSION,
                            .version_max = WIRE_VERSION,
                            .name = slice_text(self->name),
                            .session = session},
                 &self->body);
    buffer_clear(&self->batch);
    batch_writer_t writer = batch_begin(&self->batch);
    batch_add(&writer,
              &(envelope_t){.message = MESSAGE_hello,
                            .kind = CAPSTAN_KIND_REQUEST,
                            .correlation = correlation},
              buffer_slice(&self->body));
    if (send_batch(self, &writer, 0)) {
        self->session = session;
        self->next_correlation = correlation;
        self->hello_correlation = correlation;
        self->hello_us = self->now_us;
        self->state = PEER_GREETING;
    }
}

void peer_extra(peer_t *self, const envelope_t *envelope, slice_t body)
{
    batch_writer_t writer = {.out = &self->extra};
    batch_add(&writer, envelope, body);
    self->extra_count++;
}

static bool grant_is_due(const peer_t *self)
{
    return (self->delivered + PEER_DELIVER_MESSAGES - self->told_messages) * 4 >=
               PEER_DELIVER_MESSAGES ||
           (self->delivered_bytes + self->options.deliver_bytes_window - self->told_bytes) * 4 >=
               self->options.deliver_bytes_window;
}

void peer_flush(peer_t *self)
{
    if (self->state == PEER_GREET) {
        greet(self);
    }
    while (self->state == PEER_OPEN) {
        buffer_clear(&self->batch);
        batch_writer_t writer = batch_begin(&self->batch);
        buffer_append(&self->batch, self->extra.data, self->extra.size);
        writer.count = self->extra_count;
        uint64_t sequence = 0;
        uint32_t count = peer_link_fill(self->link, &writer, &sequence);
        if ((writer.count == 0 && !grant_is_due(self)) || !send_batch(self, &writer, sequence)) {
            return;
        }
        peer_link_sent(self->link, count);
        buffer_clear(&self->extra);
        self->extra_count = 0;
    }
}

/* --- the session's state --------------------------------------------------------------------- */

static void lose(peer_t *self)
{
    if (self->state != PEER_STALE) {
        self->state = PEER_GREET;
    }
    /* Acknowledgements and pings mean nothing in another session. */
    buffer_clear(&self->extra);
    self->extra_count = 0;
}

static void connect_anew(peer_t *self)
{
    peer_socket_close(&self->socket, 0);
    /* The endpoint was good before; a lack of descriptors or sockets passes. */
    if (peer_socket_open(&self->socket, self->endpoint) != CAPSTAN_OK) {
        peer_socket_close(&self->socket, 0);
    }
    self->heard_us = self->now_us;
    lose(self);
}

/* A reply that its caller has not got yet was about the session that is lost: what it subscribed
 * is gone. The request is made again. */
static void forget_replies(peer_t *self)
{
    for (peer_wait_t *wait = self->waits; wait; wait = wait->outer) {
        if (wait->answered) {
            wait->answered = false;
            wait->queued = false;
            buffer_clear(&wait->body);
        }
    }
}

static void on_welcome(peer_t *self, slice_t body)
{
    welcome_t welcome;
    if (codec_decode(welcome_wire(), body, &welcome, NULL) != CAPSTAN_OK ||
        welcome.version != WIRE_VERSION || welcome.heartbeat_ms == 0 ||
        welcome.heartbeat_ms > 3600000) {
        self->hello_err = CAPSTAN_E_WRONG_VERSION;
        snprintf(self->hello_text, sizeof self->hello_text, "the node's welcome cannot be read");
        lose(self);
        return;
    }
    self->welcome = welcome;
    self->hello_err = CAPSTAN_OK;
    self->state = PEER_OPEN;
    self->reconnected = self->greeted_once;
    self->greeted_once = true;
    peer_link_restart(self->link);
    forget_replies(self);
}

capstan_err_t peer_read_failure(slice_t body, char *ret_text, size_t text_size)
{
    failure_t failure;
    if (codec_decode(failure_wire(), body, &failure, NULL) != CAPSTAN_OK) {
        snprintf(ret_text, text_size, "%s", capstan_err_text(CAPSTAN_E_INTERNAL));
        return CAPSTAN_E_INTERNAL;
    }
    snprintf(ret_text, text_size, "%.*s", (int)failure.text.size,
             failure.text.size > 0 ? (const char *)failure.text.data : "");
    return failure.number == 0 ? CAPSTAN_E_INTERNAL : (capstan_err_t)failure.number;
}

/* While greeting, only the answer to the hello counts: all else belongs to the session before. */
static void while_greeting(peer_t *self, const envelope_t *envelope, slice_t body)
{
    if (envelope->correlation != self->hello_correlation) {
        return;
    }
    if (envelope->message == MESSAGE_welcome) {
        on_welcome(self, body);
    } else if (envelope->message == MESSAGE_failure) {
        self->hello_err = peer_read_failure(body, self->hello_text, sizeof self->hello_text);
        self->state = self->hello_err == CAPSTAN_E_STALE_SESSION ? PEER_STALE : PEER_GREET;
    }
}

/* --- in -------------------------------------------------------------------------------------- */

static void tell_outcome(void *context, uint64_t token, uint64_t result, capstan_err_t err)
{
    const peer_t *self = context;
    if (self->handlers.outcome) {
        self->handlers.outcome(self->handlers.context, token, result, err);
    }
}

static void on_outcomes(peer_t *self, slice_t body)
{
    outcomes_t outcomes;
    codec_list_t list;
    if (codec_decode(outcomes_wire(), body, &outcomes, NULL) != CAPSTAN_OK ||
        codec_list_open(outcome_wire(), outcomes.list, &list) != CAPSTAN_OK) {
        return;
    }
    outcome_t outcome;
    while (outcome_next(&list, &outcome)) {
        uint64_t refused = peer_link_answer(self->link, &outcome, tell_outcome, self);
        if (refused > 0 && self->handlers.refused) {
            self->handlers.refused(self->handlers.context, (capstan_err_t)outcome.error, refused);
        }
    }
}

static void on_user(peer_t *self, const envelope_t *envelope, slice_t body)
{
    if (self->handlers.user) {
        self->handlers.user(self->handlers.context, envelope, body);
    }
    self->delivered++;
    self->delivered_bytes += body.size;
}

static void on_cancel(const peer_t *self, const envelope_t *envelope)
{
    if (self->handlers.cancelled) {
        self->handlers.cancelled(self->handlers.context, envelope->correlation);
    }
}

static void on_deliver(peer_t *self, slice_t body)
{
    deliver_t deliver;
    if (self->handlers.deliver &&
        codec_decode(deliver_wire(), body, &deliver, NULL) == CAPSTAN_OK) {
        self->handlers.deliver(self->handlers.context, &deliver);
    }
    self->delivered++;
    self->delivered_bytes += body.size;
}

static void on_subscription_ended(const peer_t *self, slice_t body)
{
    subscription_ended_t ended;
    if (self->handlers.subscription_ended &&
        codec_decode(subscription_ended_wire(), body, &ended, NULL) == CAPSTAN_OK) {
        self->handlers.subscription_ended(self->handlers.context, ended.subscription,
                                          (capstan_err_t)ended.error);
    }
}

static void on_reply(peer_t *self, const envelope_t *envelope, slice_t body)
{
    if (!peer_link_settle(self->link, envelope->correlation)) {
        return;
    }
    for (peer_wait_t *wait = self->waits; wait; wait = wait->outer) {
        if (wait->correlation == envelope->correlation) {
            wait->answered = true;
            wait->message = (uint32_t)envelope->message;
            buffer_append(&wait->body, body.data, body.size);
        }
    }
}

/* A failure without correlation is about the session: it is over. */
static void on_failure(peer_t *self, const envelope_t *envelope, slice_t body)
{
    if (envelope->correlation != 0) {
        on_reply(self, envelope, body);
        return;
    }
    self->hello_err = peer_read_failure(body, self->hello_text, sizeof self->hello_text);
    self->hello_us = self->now_us;
    if (self->hello_err == CAPSTAN_E_STALE_SESSION) {
        self->state = PEER_STALE;
    }
}

static void on_message(peer_t *self, const envelope_t *envelope, slice_t body)
{
    switch (envelope->message) {
    case MESSAGE_outcomes:
        on_outcomes(self, body);
        break;
    case MESSAGE_deliver:
        on_deliver(self, body);
        break;
    case MESSAGE_subscription_ended:
        on_subscription_ended(self, body);
        break;
    case MESSAGE_not_greeted:
        lose(self);
        break;
    case MESSAGE_failure:
        on_failure(self, envelope, body);
        break;
    case MESSAGE_pong:
        self->ponged = envelope->correlation;
        break;
    case MESSAGE_cancel:
        on_cancel(self, envelope);
        break;
    default:
        if (envelope->kind == CAPSTAN_KIND_REPLY) {
            on_reply(self, envelope, body);
        } else if (envelope->message >= WIRE_REFERENCE_ID_MIN) {
            on_user(self, envelope, body);
        }
        break;
    }
}

static size_t read_batch(peer_t *self, slice_t bytes)
{
    batch_reader_t reader;
    if (batch_open(bytes, &reader) != CAPSTAN_OK) {
        return 0;
    }
    self->heard_us = self->now_us;
    if (self->state == PEER_OPEN) {
        peer_link_grant(self->link, reader.header.credit_messages, reader.header.credit_bytes);
    }
    size_t count = 0;
    envelope_t envelope;
    slice_t body;
    while (batch_next_same(&reader, &body) || batch_next(&reader, &envelope, &body)) {
        count++;
        if (self->state == PEER_OPEN) {
            on_message(self, &envelope, body);
        } else if (self->state == PEER_GREETING) {
            while_greeting(self, &envelope, body);
            if (self->state == PEER_OPEN) {
                peer_link_grant(self->link, reader.header.credit_messages,
                                reader.header.credit_bytes);
            }
        }
    }
    return count;
}

/* Told before anything is sent again: whoever counts answers knows which may be second ones. */
static void tell_reconnected(peer_t *self)
{
    if (self->reconnected) {
        self->reconnected = false;
        if (self->handlers.reconnected) {
            self->handlers.reconnected(self->handlers.context);
        }
    }
}

static size_t receive_all(peer_t *self)
{
    size_t count = 0;
    zmq_msg_t batch;
    for (int i = 0; i < BATCHES_PER_ROUND && peer_socket_receive(&self->socket, &batch); i++) {
        count += read_batch(self, slice_of(zmq_msg_data(&batch), zmq_msg_size(&batch)));
        zmq_msg_close(&batch);
        tell_reconnected(self);
        /* Credit and acknowledgements go back while more is read. */
        peer_flush(self);
    }
    return count;
}

static void keep_alive(peer_t *self)
{
    int64_t heartbeat_us = (int64_t)self->welcome.heartbeat_ms * 1000;
    if (!self->socket.dealer && self->now_us - self->heard_us >= PEER_HELLO_PAUSE_US) {
        connect_anew(self);
    } else if (self->state == PEER_GREETING && self->now_us - self->hello_us >= PEER_GREETING_US) {
        connect_anew(self);
    } else if (self->state == PEER_OPEN && self->now_us - self->heard_us >= 3 * heartbeat_us) {
        connect_anew(self);
    } else if (self->state == PEER_OPEN && self->now_us - self->sent_us >= heartbeat_us &&
               self->extra_count == 0) {
        peer_extra(self,
                   &(envelope_t){.message = MESSAGE_ping,
                                 .kind = CAPSTAN_KIND_REQUEST,
                                 .correlation = ++self->next_correlation},
                   slice_of("\x80", 1));
    }
}

void peer_heed_loss(peer_t *self)
{
    if (peer_socket_lost(&self->socket)) {
        lose(self);
    }
}

size_t peer_serve(peer_t *self)
{
    self->now_us = peer_now_us();
    peer_heed_loss(self);
    size_t count = receive_all(self);
    keep_alive(self);
    peer_flush(self);
    return count;
}
