/* The public peer: the messages that go by reference. */
#include "brokers/peer/peer.h"
#include "runtime/base/ensure.h"

#include <capstan/peer.h>
#include <stdlib.h>

enum { BATCH_MESSAGES = 4096 /* bytes come first */ };

struct capstan_peer {
    peer_t *peer;
    capstan_peer_options_t options; /* without its strings */
};

static void on_user(void *context, const envelope_t *envelope, slice_t body)
{
    capstan_peer_t *self = context;
    capstan_peer_message_t message = {
        .message = (uint32_t)envelope->message,
        .kind = (uint32_t)envelope->kind,
        .sender = envelope->sender,
        .correlation = envelope->correlation,
        .ttl_us = envelope->ttl_us,
        .body = body,
    };
    if (self->options.receive) {
        self->options.receive(self, self->options.context, &message);
    } else {
        capstan_peer_reply_error(self, &message, CAPSTAN_E_UNSUPPORTED, NULL);
    }
}

static void on_cancelled(void *context, uint64_t correlation)
{
    capstan_peer_t *self = context;
    if (self->options.cancelled) {
        self->options.cancelled(self, self->options.context, correlation);
    }
}

static void on_refused(void *context, capstan_err_t err, uint64_t count)
{
    capstan_peer_t *self = context;
    if (self->options.refused) {
        self->options.refused(self, self->options.context, err, count);
    }
}

static void on_reconnected(void *context)
{
    capstan_peer_t *self = context;
    if (self->options.reconnected) {
        self->options.reconnected(self, self->options.context);
    }
}

capstan_err_t capstan_peer_connect(const capstan_peer_options_t *options, capstan_peer_t **ret_peer,
                                   char *ret_text, size_t text_size)
{
    char unwanted[1];
    capstan_peer_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->options = *options;
    self->options.endpoint = self->options.name = NULL;
    capstan_err_t err = peer_connect(
        &(peer_options_t){
            .endpoint = options->endpoint ? options->endpoint : "tcp://127.0.0.1:7700",
            .name = options->name,
            .connect_timeout_us = options->connect_timeout_us,
            .batch_messages = BATCH_MESSAGES,
        },
        &(peer_handlers_t){.context = self,
                           .user = on_user,
                           .cancelled = on_cancelled,
                           .refused = on_refused,
                           .reconnected = on_reconnected},
        &self->peer, ret_text ? ret_text : unwanted, ret_text ? text_size : sizeof unwanted);
    if (err != CAPSTAN_OK) {
        free(self);
        return err;
    }
    *ret_peer = self;
    return CAPSTAN_OK;
}

void capstan_peer_close(capstan_peer_t **self_p, int64_t linger_us)
{
    if (*self_p) {
        peer_close(&(*self_p)->peer, linger_us);
        free(*self_p);
        *self_p = NULL;
    }
}

capstan_err_t capstan_peer_resolve(capstan_peer_t *self, const char *address, int64_t timeout_us,
                                   capstan_ref_t *ret_ref)
{
    char unwanted[1];
    return peer_resolve(self->peer, slice_text(address), timeout_us, ret_ref, unwanted,
                        sizeof unwanted);
}

capstan_err_t capstan_peer_tell(capstan_peer_t *self, capstan_ref_t target, uint32_t message,
                                capstan_slice_t body)
{
    return peer_tell(self->peer, target, message, body);
}

capstan_err_t capstan_peer_ask(capstan_peer_t *self, capstan_ref_t target, uint32_t message,
                               capstan_slice_t body, int64_t timeout_us, capstan_buffer_t *ret_body)
{
    char unwanted[1];
    uint32_t number;
    slice_t answer;
    capstan_err_t err = peer_ask(self->peer, target, message, body, timeout_us, &number, &answer,
                                 unwanted, sizeof unwanted);
    if (err == CAPSTAN_OK && ret_body) {
        if (!buffer_try_reserve(ret_body, answer.size)) {
            return ret_body->borrowed ? CAPSTAN_E_TOO_LARGE : CAPSTAN_E_NO_MEMORY;
        }
        buffer_append(ret_body, answer.data, answer.size);
    }
    return err;
}

void capstan_peer_reply(capstan_peer_t *self, const capstan_peer_message_t *request,
                        uint32_t message, capstan_slice_t body)
{
    if (request->kind != CAPSTAN_KIND_REQUEST) {
        return;
    }
    capstan_err_t err = message < WIRE_REFERENCE_ID_MIN
                            ? CAPSTAN_E_INVALID
                            : peer_answer(self->peer, request->correlation, message, body);
    if (err != CAPSTAN_OK) {
        capstan_peer_reply_error(self, request, err, NULL);
    }
}

void capstan_peer_reply_error(capstan_peer_t *self, const capstan_peer_message_t *request,
                              capstan_err_t err, const char *text)
{
    if (request->kind != CAPSTAN_KIND_REQUEST) {
        return;
    }
    buffer_t body = {0};
    codec_encode(failure_wire(),
                 &(failure_t){.number = (uint64_t)err,
                              .text = slice_text(text ? text : capstan_err_text(err))},
                 &body);
    /* A text that is too large for a batch is its caller's mistake: the error goes without. */
    if (peer_answer(self->peer, request->correlation, MESSAGE_failure, buffer_slice(&body)) !=
        CAPSTAN_OK) {
        buffer_clear(&body);
        codec_encode(failure_wire(), &(failure_t){.number = (uint64_t)err}, &body);
        (void)!peer_answer(self->peer, request->correlation, MESSAGE_failure, buffer_slice(&body));
    }
    buffer_fini(&body);
}

size_t capstan_peer_poll(capstan_peer_t *self, int64_t timeout_us)
{
    return peer_poll(self->peer, timeout_us);
}
