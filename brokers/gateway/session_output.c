/* What goes out to a session's peer: batches under construction, batches the socket did not take,
 * and deliveries that wait for the peer's credit. */
#include "brokers/gateway/session_link.h"
#include "runtime/base/ensure.h"

enum {
    ENVELOPE_ROOM = 128, /* around one body: its envelope and head */
};

static void end_slow(link_t *self)
{
    LOG(gateway, slow_peer, log_text("peer", link_name(self)),
        log_uint("waiting_bytes", self->waiting_bytes));
    link_end(self, END_REASON_slow_peer);
}

/* Sends sealed batches until the socket is full; false when something is left or the session has
 * ended. */
static bool send_waiting(link_t *self)
{
    while (self->waiting_head) {
        out_batch_t *batch = self->waiting_head;
        capstan_err_t err =
            gateway_socket_send(self->gateway, &self->origin, slice_of(batch->data, batch->size));
        if (err == CAPSTAN_E_GONE) {
            link_end(self, END_REASON_disconnected);
        }
        if (err != CAPSTAN_OK) {
            return false;
        }
        self->waiting_head = batch->next;
        self->waiting_bytes -= batch->size;
        free(batch);
    }
    return true;
}

static void keep(link_t *self, slice_t bytes)
{
    out_batch_t *batch = malloc(sizeof *batch + bytes.size);
    ENSURE(batch);
    batch->next = NULL;
    batch->size = bytes.size;
    memcpy(batch->data, bytes.data, bytes.size);
    *(self->waiting_head ? &self->waiting_tail->next : &self->waiting_head) = batch;
    self->waiting_tail = batch;
    self->waiting_bytes += bytes.size;
    if (self->waiting_bytes > self->gateway->settings->outbox_bytes) {
        end_slow(self);
    }
}

/* Seals the batch under construction and sends it, or keeps it. */
static void push(link_t *self)
{
    link_header_t header = session_header(self->core, self->first_sequence);
    header.count = self->writer.count;
    batch_seal(&self->writer, &header);
    METRIC_ADD(gateway, messages_out, self->writer.count);
    slice_t bytes = buffer_slice(&self->out);
    capstan_err_t err = CAPSTAN_E_MAILBOX_FULL;
    if (!self->waiting_head) {
        err = gateway_socket_send(self->gateway, &self->origin, bytes);
    }
    if (err == CAPSTAN_E_MAILBOX_FULL) {
        keep(self, bytes);
    } else if (err != CAPSTAN_OK) {
        link_end(self, END_REASON_disconnected);
    }
    buffer_clear(&self->out);
    self->writer.count = 0;
    self->first_sequence = 0;
    self->last_tell.message = 0;
}

static bool is_building(const link_t *self)
{
    return self->out.size > 0;
}

/* An idle session keeps no large buffer. */
static void begin(link_t *self)
{
    if (!is_building(self)) {
        self->writer = batch_begin(&self->out);
    }
}

/* Room for one more body in the batch under construction; false when the session has ended. */
static bool make_room(link_t *self, size_t body_bytes)
{
    if (self->gateway && is_building(self) &&
        self->out.size + body_bytes + ENVELOPE_ROOM > BATCH_BYTES) {
        push(self);
    }
    return self->gateway != NULL;
}

void link_emit(link_t *self, const envelope_t *envelope, slice_t body)
{
    if (!make_room(self, body.size)) {
        return;
    }
    begin(self);
    self->last_tell.message = 0;
    const capstan_trace_t *trace = self->actor ? capstan_trace_current(self->actor) : NULL;
    if (trace) {
        envelope_t traced = *envelope;
        traced.trace = slice_of(trace, sizeof *trace);
        traced.flags |= trace->flags & CAPSTAN_TRACE_SAMPLED ? WIRE_KIND_FLAG_SAMPLED : 0;
        batch_add(&self->writer, &traced, body);
    } else {
        batch_add(&self->writer, envelope, body);
    }
    gateway_mark_dirty(self->gateway, self);
}

void link_emit_failure(link_t *self, uint64_t correlation, capstan_err_t err, const char *text)
{
    buffer_t body = {0};
    const char *words = text ? text : capstan_err_text(err);
    codec_encode(failure_wire(), &(failure_t){.number = (uint64_t)err, .text = slice_text(words)},
                 &body);
    link_emit(self,
              &(envelope_t){.message = MESSAGE_failure,
                            .kind = CAPSTAN_KIND_ERROR,
                            .correlation = correlation},
              buffer_slice(&body));
    buffer_fini(&body);
}

/* Counts a message that takes the peer's credit; false when the session has ended. */
static bool begin_credited(link_t *self, size_t body_bytes)
{
    if (!make_room(self, body_bytes)) {
        return false;
    }
    uint64_t sequence = session_deliver(self->core, body_bytes);
    if (self->first_sequence == 0) {
        self->first_sequence = sequence;
    }
    return true;
}

static void emit_delivery(link_t *self, subscription_t *subscription, slice_t body)
{
    if (!begin_credited(self, body.size)) {
        return;
    }
    if (subscription) {
        subscription->passed += body.size;
    }
    link_emit(self, &(envelope_t){.message = MESSAGE_deliver, .kind = CAPSTAN_KIND_EVENT}, body);
}

/* Most tells of a batch differ in nothing but their bodies: their envelope is copied. */
static void emit_tell(link_t *self, const capstan_message_t *message)
{
    const same_tell_t same = {.message = message->message,
                              .slot = message->sender.slot,
                              .generation = message->sender.generation};
    bool plain = message->deadline_us == 0 && !capstan_trace_current(self->actor);
    if (plain && memcmp(&same, &self->last_tell, sizeof same) == 0) {
        batch_add_same(&self->writer, message->body);
        return;
    }
    int64_t left_us =
        message->deadline_us > 0 ? message->deadline_us - capstan_now_us(self->actor) : 0;
    link_emit(self,
              &(envelope_t){.message = message->message,
                            .kind = message->kind,
                            .correlation = message->correlation,
                            .sender = message->sender,
                            .ttl_us = (uint64_t)left_us},
              message->body);
    self->last_tell.message = 0;
    if (plain && message->kind == CAPSTAN_KIND_EVENT && message->correlation == 0) {
        self->last_tell = same;
    }
}

static void emit_user(link_t *self, const capstan_message_t *message)
{
    bool expired = message->deadline_us > 0 && message->deadline_us <= capstan_now_us(self->actor);
    bool withdrawn =
        message->kind == CAPSTAN_KIND_REQUEST && !users_is_asked(self, message->correlation);
    if (expired || withdrawn) {
        METRIC_ADD(gateway, users_lost, 1);
    } else if (begin_credited(self, message->body.size)) {
        METRIC_ADD(gateway, users_out, 1);
        emit_tell(self, message);
    }
}

bool link_may_deliver(const link_t *self)
{
    return !self->waiting_head && session_may_deliver(self->core);
}

static void keep_delivery(link_t *self, uint64_t subscription, const capstan_message_t *message)
{
    delivery_t *delivery = malloc(sizeof *delivery + message->body.size);
    ENSURE(delivery);
    delivery->next = NULL;
    delivery->subscription = subscription;
    delivery->message = *message;
    if (message->body.size > 0) {
        memcpy(delivery->body, message->body.data, message->body.size);
    }
    delivery->message.body.data = delivery->body;
    *(self->deliveries_head ? &self->deliveries_tail->next : &self->deliveries_head) = delivery;
    self->deliveries_tail = delivery;
    self->deliveries_bytes += message->body.size;
}

void link_deliver(link_t *self, subscription_t *subscription, slice_t body)
{
    if (!self->deliveries_head && link_may_deliver(self)) {
        emit_delivery(self, subscription, body);
    } else {
        keep_delivery(self, subscription->number, &(capstan_message_t){.body = body});
    }
}

void link_deliver_user(link_t *self, const capstan_message_t *message)
{
    if (!self->deliveries_head && link_may_deliver(self)) {
        emit_user(self, message);
    } else {
        keep_delivery(self, 0, message);
    }
}

static void pump_deliveries(link_t *self)
{
    while (self->gateway && self->deliveries_head && link_may_deliver(self)) {
        delivery_t *delivery = self->deliveries_head;
        const capstan_message_t *message = &delivery->message;
        self->deliveries_head = delivery->next;
        self->deliveries_bytes -= message->body.size;
        if (delivery->subscription == 0) {
            emit_user(self, message);
        } else {
            /* What a subscription sent before it ended is still delivered. */
            emit_delivery(self, link_subscription(self, delivery->subscription), message->body);
        }
        free(delivery);
    }
}

/* A subscription sends on when what it sent before has been passed to the socket. */
static void tell_subscriptions(link_t *self)
{
    for (size_t i = 0; i < self->subscription_count; i++) {
        subscription_t *subscription = &self->subscriptions[i];
        if (subscription->told == subscription->passed) {
            continue;
        }
        buffer_t *body = &self->gateway->scratch;
        buffer_clear(body);
        codec_encode(subscription_grant_wire(),
                     &(subscription_grant_t){.bytes = subscription->passed,
                                             .subscription = subscription->number},
                     body);
        capstan_err_t err = actor_send(self->actor, subscription->actor,
                                       &(send_options_t){.message = MESSAGE_subscription_grant,
                                                         .kind = CAPSTAN_KIND_EVENT,
                                                         .always = true},
                                       buffer_slice(body));
        if (err == CAPSTAN_OK) {
            subscription->told = subscription->passed;
        }
    }
}

static void emit_outcomes(link_t *self)
{
    buffer_t body = {0};
    while (self->gateway && session_write_outcomes(self->core, &body)) {
        link_emit(self, &(envelope_t){.message = MESSAGE_outcomes, .kind = CAPSTAN_KIND_EVENT},
                  buffer_slice(&body));
        buffer_clear(&body);
    }
    buffer_fini(&body);
}

void link_flush(link_t *self)
{
    bool free_to_send = send_waiting(self);
    if (!self->gateway) {
        return;
    }
    bool settled = users_settle(self);
    emit_outcomes(self);
    pump_deliveries(self);
    if (!self->gateway) {
        return;
    }
    if (!is_building(self) && session_grant_is_due(self->core)) {
        begin(self);
    }
    /* While the socket is full, what comes is gathered in few large batches. */
    if (is_building(self) && free_to_send) {
        push(self);
    }
    if (!self->gateway) {
        return;
    }
    users_pace(self);
    if (self->waiting_head || is_building(self)) {
        gateway_mark_dirty(self->gateway, self);
    } else {
        tell_subscriptions(self);
    }
    if (!settled) {
        gateway_mark_dirty(self->gateway, self);
    }
}

void link_output_fini(link_t *self)
{
    while (self->waiting_head) {
        out_batch_t *next = self->waiting_head->next;
        free(self->waiting_head);
        self->waiting_head = next;
    }
    while (self->deliveries_head) {
        delivery_t *next = self->deliveries_head->next;
        free(self->deliveries_head);
        self->deliveries_head = next;
    }
    buffer_fini(&self->out);
}
