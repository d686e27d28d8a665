#include "brokers/peer/peer_internal.h"

#include "runtime/base/ensure.h"

#include <capstan/actor.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

enum {
    CONNECT_TIMEOUT_US = 10000000,
    UNANSWERED_MAX = 65536,
    DELIVER_BYTES_WINDOW = 8 * 1024 * 1024,
    BATCH_MESSAGES = 64,
    CLOSE_LINGER_MS = 200, /* for the goodbye */
    WAIT_US_MAX = 100000,  /* heartbeats are looked after at least this often */
};

/* --- life ------------------------------------------------------------------------------------ */

static void set_name(peer_t *self, const char *name)
{
    uint64_t random = 0;
    if (!name) {
        ENSURE(getrandom(&random, sizeof random, 0) == (ssize_t)sizeof random);
        snprintf(self->name, sizeof self->name, "peer-%016" PRIx64, random);
    } else {
        snprintf(self->name, sizeof self->name, "%s", name);
    }
}

static peer_t *new_peer(const peer_options_t *options, const peer_handlers_t *handlers)
{
    peer_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->options = *options;
    self->handlers = handlers ? *handlers : (peer_handlers_t){0};
    self->endpoint = strdup(options->endpoint);
    ENSURE(self->endpoint);
    set_name(self, options->name);
    peer_options_t *used = &self->options;
    used->endpoint = self->endpoint;
    used->name = self->name;
    used->connect_timeout_us =
        used->connect_timeout_us > 0 ? used->connect_timeout_us : (int64_t)CONNECT_TIMEOUT_US;
    used->unanswered_max = used->unanswered_max > 0 ? used->unanswered_max : UNANSWERED_MAX;
    used->batch_messages = used->batch_messages > 0 ? used->batch_messages : BATCH_MESSAGES;
    used->deliver_bytes_window =
        used->deliver_bytes_window > 0 ? used->deliver_bytes_window : DELIVER_BYTES_WINDOW;
    self->link = peer_link_new(&(peer_link_limits_t){
        .messages_max = used->unanswered_max,
        .bytes_max = PEER_QUEUE_BYTES,
        .batch_messages = used->batch_messages,
        .batch_bytes = PEER_BATCH_BYTES,
    });
    self->now_us = peer_now_us();
    return self;
}

static void destroy(peer_t **self_p, int linger_ms)
{
    peer_t *self = *self_p;
    peer_socket_close(&self->socket, linger_ms);
    peer_link_destroy(&self->link);
    buffer_fini(&self->body);
    buffer_fini(&self->item);
    buffer_fini(&self->extra);
    buffer_fini(&self->batch);
    buffer_fini(&self->reply);
    free(self->endpoint);
    free(self);
    *self_p = NULL;
}

static void wait_for_input(peer_t *self, int64_t timeout_us)
{
    int64_t wait_us = timeout_us < WAIT_US_MAX ? timeout_us : WAIT_US_MAX;
    /* A refused hello waits for its pause, not for the socket. */
    bool output = (self->state == PEER_GREET && self->hello_err == CAPSTAN_OK) ||
                  (self->state == PEER_OPEN && self->blocked);
    peer_socket_wait(&self->socket, output, wait_us);
}

/* Serves until the session is open, is refused for good, or the time is over. */
static capstan_err_t open_session(peer_t *self, char *ret_text, size_t text_size)
{
    int64_t deadline_us = self->now_us + self->options.connect_timeout_us;
    for (;;) {
        (void)peer_serve(self);
        if (self->state == PEER_OPEN) {
            return CAPSTAN_OK;
        }
        capstan_err_t err = self->hello_err;
        if (err != CAPSTAN_OK && capstan_err_retry(err) != CAPSTAN_RETRY_LATER) {
            snprintf(ret_text, text_size, "%s refused the connection: %s", self->endpoint,
                     self->hello_text);
            return err;
        }
        if (self->now_us >= deadline_us) {
            snprintf(ret_text, text_size,
                     "no answer from %s within %" PRId64 " ms%s%s; is a node running there? "
                     "Start one with `capstan node`, or name another endpoint.",
                     self->endpoint, self->options.connect_timeout_us / 1000,
                     err == CAPSTAN_OK ? "" : ": ", err == CAPSTAN_OK ? "" : self->hello_text);
            return err == CAPSTAN_OK ? CAPSTAN_E_TIMEOUT : err;
        }
        wait_for_input(self, deadline_us - self->now_us);
    }
}

capstan_err_t peer_connect(const peer_options_t *options, const peer_handlers_t *handlers,
                           peer_t **ret_peer, char *ret_text, size_t text_size)
{
    size_t name_size = options->name ? strlen(options->name) : 1;
    if (!options->endpoint || name_size == 0 || name_size > PEER_NAME_MAX) {
        snprintf(ret_text, text_size, "a peer needs an endpoint, and a name of 1 to %d bytes",
                 PEER_NAME_MAX);
        return CAPSTAN_E_INVALID;
    }
    peer_t *self = new_peer(options, handlers);
    capstan_err_t err = peer_socket_open(&self->socket, self->endpoint);
    if (err == CAPSTAN_OK) {
        err = open_session(self, ret_text, text_size);
    } else {
        bool wrong = err == CAPSTAN_E_INVALID;
        snprintf(ret_text, text_size, "cannot connect to %s: %s. %s", self->endpoint,
                 capstan_err_text(err),
                 wrong ? "An endpoint is of the form tcp://HOST:PORT, for example "
                         "tcp://127.0.0.1:7700."
                       : capstan_err_remedy(err));
    }
    if (err != CAPSTAN_OK) {
        destroy(&self, 0);
        return err;
    }
    *ret_peer = self;
    return CAPSTAN_OK;
}

/* The node reads in order: when it answers this ping, it has what was sent before. */
static void wait_until_read(peer_t *self, int64_t deadline_us)
{
    uint64_t ping = ++self->next_correlation;
    peer_extra(
        self,
        &(envelope_t){.message = MESSAGE_ping, .kind = CAPSTAN_KIND_REQUEST, .correlation = ping},
        slice_of("\x80", 1));
    while (self->state == PEER_OPEN && self->ponged != ping && self->now_us < deadline_us) {
        (void)peer_poll(self, deadline_us - self->now_us);
    }
}

void peer_close(peer_t **self_p, int64_t linger_us)
{
    peer_t *self = *self_p;
    if (!self) {
        return;
    }
    int64_t deadline_us = peer_now_us() + linger_us;
    (void)peer_serve(self);
    while (peer_link_unanswered(self->link) > 0 && self->state != PEER_STALE &&
           self->now_us < deadline_us) {
        (void)peer_poll(self, deadline_us - self->now_us);
    }
    if (self->told) {
        wait_until_read(self, deadline_us);
    }
    if (self->state == PEER_OPEN) {
        peer_extra(self, &(envelope_t){.message = MESSAGE_goodbye, .kind = CAPSTAN_KIND_EVENT},
                   slice_of("\x80", 1));
        peer_flush(self);
    }
    destroy(self_p, CLOSE_LINGER_MS);
}

const welcome_t *peer_welcome(const peer_t *self)
{
    return &self->welcome;
}

/* --- sending --------------------------------------------------------------------------------- */

static capstan_err_t queue(peer_t *self, const envelope_t *envelope, slice_t body, uint64_t token)
{
    buffer_clear(&self->item);
    batch_writer_t writer = {.out = &self->item};
    batch_add(&writer, envelope, body);
    capstan_err_t err = peer_link_queue(
        self->link, &(peer_item_t){.encoded = buffer_slice(&self->item),
                                   .body_bytes = (uint32_t)body.size,
                                   .request = envelope->kind == CAPSTAN_KIND_REQUEST,
                                   .tell = envelope->kind == CAPSTAN_KIND_EVENT &&
                                           envelope->message >= WIRE_REFERENCE_ID_MIN,
                                   .token = token});
    bool full = peer_link_unsent(self->link) >= self->options.batch_messages ||
                peer_link_unsent_bytes(self->link) >= PEER_BATCH_BYTES;
    if (err == CAPSTAN_OK && full && !self->blocked) {
        peer_flush(self);
    }
    return err;
}

capstan_err_t peer_publish(peer_t *self, const publish_t *event, uint64_t token)
{
    if (self->state == PEER_STALE) {
        return CAPSTAN_E_STALE_SESSION;
    }
    buffer_clear(&self->body);
    publish_encode(event, &self->body);
    if (self->body.size > self->welcome.event_bytes_max) {
        return CAPSTAN_E_TOO_LARGE;
    }
    return queue(self, &(envelope_t){.message = MESSAGE_publish, .kind = CAPSTAN_KIND_EVENT},
                 buffer_slice(&self->body), token);
}

uint64_t peer_unanswered(const peer_t *self)
{
    return peer_link_unanswered(self->link);
}

/* What is said of deliveries needs no credit: it is bounded by what the node has delivered. A
 * session that is lost takes it along, and the node delivers again. */
static void say(peer_t *self, const wire_record_t *message, const void *value)
{
    if (self->state != PEER_OPEN) {
        return;
    }
    buffer_clear(&self->body);
    codec_encode(message, value, &self->body);
    peer_extra(self, &(envelope_t){.message = message->id, .kind = CAPSTAN_KIND_EVENT},
               buffer_slice(&self->body));
}

void peer_acknowledge(peer_t *self, const acknowledge_t *acknowledge)
{
    say(self, acknowledge_wire(), acknowledge);
}

void peer_reject(peer_t *self, const reject_t *reject)
{
    say(self, reject_wire(), reject);
}

/* --- requests -------------------------------------------------------------------------------- */

static capstan_err_t read_reply(peer_t *self, peer_wait_t *wait, slice_t *ret_body, char *ret_text,
                                size_t text_size)
{
    if (wait->message == MESSAGE_failure) {
        return peer_read_failure(buffer_slice(&wait->body), ret_text, text_size);
    }
    buffer_fini(&self->reply);
    self->reply = wait->body;
    wait->body = (buffer_t){0};
    *ret_body = buffer_slice(&self->reply);
    return CAPSTAN_OK;
}

/* Serves the connection until the reply is there or the time is over. */
static void wait_for_reply(peer_t *self, peer_wait_t *wait, const envelope_t *envelope,
                           slice_t body, int64_t deadline_us)
{
    while (!wait->answered && self->state != PEER_STALE) {
        wait->queued =
            wait->queued || queue(self, envelope, body, envelope->correlation) == CAPSTAN_OK;
        (void)peer_serve(self);
        if (wait->answered || self->now_us >= deadline_us) {
            return;
        }
        wait_for_input(self, deadline_us - self->now_us);
    }
}

/* `what` is asked, for the text of an error. */
static capstan_err_t ask(peer_t *self, const envelope_t *request, slice_t body, const char *what,
                         uint32_t *ret_message, slice_t *ret_body, char *ret_text, size_t text_size)
{
    envelope_t envelope = *request;
    envelope.kind = CAPSTAN_KIND_REQUEST;
    envelope.correlation = ++self->next_correlation;
    peer_wait_t wait = {.outer = self->waits, .correlation = envelope.correlation};
    self->waits = &wait;
    wait_for_reply(self, &wait, &envelope, body, peer_now_us() + (int64_t)envelope.ttl_us);
    self->waits = wait.outer;
    capstan_err_t err;
    if (wait.answered) {
        *ret_message = wait.message;
        err = read_reply(self, &wait, ret_body, ret_text, text_size);
    } else if (self->state == PEER_STALE) {
        err = CAPSTAN_E_STALE_SESSION;
        snprintf(ret_text, text_size, "%s", capstan_err_text(err));
    } else {
        peer_link_abandon(self->link, envelope.correlation);
        err = CAPSTAN_E_TIMEOUT;
        snprintf(ret_text, text_size, "%s got no answer from %s within %" PRIu64 " ms", what,
                 self->endpoint, envelope.ttl_us / 1000);
    }
    buffer_fini(&wait.body);
    return err;
}

capstan_err_t peer_request(peer_t *self, const wire_record_t *message, const void *body,
                           const wire_record_t *reply, int64_t timeout_us, slice_t *ret_body,
                           char *ret_text, size_t text_size)
{
    buffer_t encoded = {0};
    uint32_t number;
    codec_encode(message, body, &encoded);
    capstan_err_t err =
        ask(self, &(envelope_t){.message = message->id, .ttl_us = (uint64_t)timeout_us},
            buffer_slice(&encoded), message->name, &number, ret_body, ret_text, text_size);
    buffer_fini(&encoded);
    if (err == CAPSTAN_OK && number != reply->id) {
        snprintf(ret_text, text_size, "the node answered with message %u instead of %s", number,
                 reply->name);
        return CAPSTAN_E_MALFORMED;
    }
    return err;
}

/* --- messages by reference ------------------------------------------------------------------- */

capstan_err_t peer_resolve(peer_t *self, slice_t address, int64_t timeout_us,
                           capstan_ref_t *ret_ref, char *ret_text, size_t text_size)
{
    slice_t body;
    resolved_t resolved;
    capstan_err_t err = peer_request(self, resolve_wire(), &(resolve_t){.address = address},
                                     resolved_wire(), timeout_us, &body, ret_text, text_size);
    if (err == CAPSTAN_OK) {
        err = codec_decode(resolved_wire(), body, &resolved, NULL);
    }
    if (err == CAPSTAN_OK) {
        *ret_ref = resolved.actor;
    }
    return err;
}

static capstan_err_t check(const peer_t *self, capstan_ref_t target, uint32_t message, slice_t body)
{
    if (self->state == PEER_STALE) {
        return CAPSTAN_E_STALE_SESSION;
    }
    if (message < WIRE_REFERENCE_ID_MIN || message > UINT16_MAX || capstan_ref_is_null(target)) {
        return CAPSTAN_E_INVALID;
    }
    return body.size > self->welcome.event_bytes_max ? CAPSTAN_E_TOO_LARGE : CAPSTAN_OK;
}

capstan_err_t peer_tell(peer_t *self, capstan_ref_t target, uint32_t message, slice_t body)
{
    capstan_err_t err = check(self, target, message, body);
    self->told = true;
    return err != CAPSTAN_OK
               ? err
               : queue(self,
                       &(envelope_t){
                           .message = message, .kind = CAPSTAN_KIND_EVENT, .target = target},
                       body, 0);
}

capstan_err_t peer_ask(peer_t *self, capstan_ref_t target, uint32_t message, slice_t body,
                       int64_t timeout_us, uint32_t *ret_message, slice_t *ret_body, char *ret_text,
                       size_t text_size)
{
    capstan_err_t err = check(self, target, message, body);
    if (err != CAPSTAN_OK) {
        snprintf(ret_text, text_size, "%s", capstan_err_text(err));
        return err;
    }
    return ask(self,
               &(envelope_t){.message = message, .target = target, .ttl_us = (uint64_t)timeout_us},
               body, "the request", ret_message, ret_body, ret_text, text_size);
}

capstan_err_t peer_answer(peer_t *self, uint64_t correlation, uint32_t message, slice_t body)
{
    if (body.size > self->welcome.event_bytes_max) {
        return CAPSTAN_E_TOO_LARGE;
    }
    while (self->state == PEER_OPEN && self->extra_count > 0 &&
           self->extra.size + body.size > PEER_BATCH_BYTES) {
        peer_flush(self);
        if (self->extra_count > 0) {
            peer_socket_wait(&self->socket, true, WAIT_US_MAX);
            peer_heed_loss(self);
        }
    }
    if (self->state == PEER_OPEN) {
        bool failure = message == MESSAGE_failure;
        peer_extra(self,
                   &(envelope_t){.message = message,
                                 .kind = failure ? CAPSTAN_KIND_ERROR : CAPSTAN_KIND_REPLY,
                                 .correlation = correlation},
                   body);
    }
    return CAPSTAN_OK;
}

/* --- serving --------------------------------------------------------------------------------- */

size_t peer_poll(peer_t *self, int64_t timeout_us)
{
    size_t count = peer_serve(self);
    if (count == 0 && timeout_us > 0) {
        wait_for_input(self, timeout_us);
        count = peer_serve(self);
    }
    return count;
}
