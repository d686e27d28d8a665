/* A session's actor: the address of one greeted peer inside the node.
 *
 * Accepts  outcomes (partitions), deliver, acknowledged, acknowledge_refused and
 *          subscription_ended (subscriptions and groups), answers to what it asked for its peer,
 *          down (subscriptions), session_end (the gateway), and messages of users' tables, which go
 *          to the peer
 * Sends    publishes, acknowledge and reject for its peer, subscription_grant to its subscriptions,
 * messages of users' tables Asks     the topics actor (requests 0x40 to 0x65) and the status actor,
 * bodies unchanged; actors that are open to peers, and other sessions
 *
 * It runs on the gateway's cell and shares its structs. It ends with its peer's connection;
 * subscriptions watch it and end by themselves. Nothing is durable. */
#include "brokers/gateway/session_link.h"
#include "runtime/base/ensure.h"
#include "runtime/outside.h"
#include "runtime/runtime_messages.h"

enum { DESCRIPTION_BYTES_MAX = 1 << 20 }; /* what a batch holds beside its envelope */

static const char *end_name(end_reason_t why)
{
    static const char *const names[] = {
#define END_REASON(name, meaning) #name,
#include "brokers/gateway/gateway_ends.def"
#undef END_REASON
    };
    return names[why];
}

/* --- life ------------------------------------------------------------------------------------ */

static capstan_err_t init(capstan_actor_t *actor, void *argument)
{
    link_t *self = argument;
    self->actor = actor;
    self->ref = capstan_actor_ref(actor);
    actor_stand_outside(actor);
    capstan_actor_set_state(actor, self);
    return CAPSTAN_OK;
}

/* The gateway lets go: no list of it has the session afterwards, except the dirty list, which is
 * walked here because that is rarer than walking it doubly linked. */
static void detach(link_t *self)
{
    gateway_t *gateway = self->gateway;
    self->gateway = NULL;
    *(self->previous ? &self->previous->next : &gateway->sessions) = self->next;
    if (self->next) {
        self->next->previous = self->previous;
    }
    gateway->session_count--;
    METRIC_ADD(gateway, sessions_open, -1);
    byte_index_remove(&gateway->names, &self->by_name);
    connection_t *connection = gateway_connection(gateway, self->origin.fd);
    if (connection && connection->session == self) {
        connection->session = NULL;
    }
    for (link_t **at = &gateway->dirty; *at; at = &(*at)->next_dirty) {
        if (*at == self) {
            *at = self->next_dirty;
            break;
        }
    }
    routes_forget(gateway->routes, self);
}

void link_end(link_t *self, end_reason_t why)
{
    gateway_t *gateway = self->gateway;
    if (!gateway) {
        return;
    }
    detach(self);
    gateway->figures.ends[why]++;
    LOG(gateway, session_ended, log_text("peer", link_name(self)), log_string("why", end_name(why)),
        log_uint("sessions", gateway->session_count));
    /* The actor ends in a handler of its own. It is alive, and a message that needs no space to an
     * actor that is alive is always taken. */
    if (self->actor) {
        (void)!actor_send(self->actor, self->ref,
                          &(send_options_t){.message = MESSAGE_session_end,
                                            .kind = CAPSTAN_KIND_EVENT,
                                            .always = true},
                          (slice_t){0});
    }
}

static void free_link(link_t *self)
{
    gateway_t *shared = self->shared;
    session_destroy(&self->core);
    link_output_fini(self);
    free(self->pending);
    free(self->asked);
    free(self);
    gateway_release(shared);
}

void session_abandon(link_t *self)
{
    detach(self);
    free_link(self);
}

static void destroy(capstan_actor_t *actor)
{
    link_t *self = capstan_actor_state(actor);
    self->actor = NULL;
    link_end(self, END_REASON_failed);
    free_link(self);
}

static void stop(capstan_actor_t *actor)
{
    link_t *self = capstan_actor_state(actor);
    if (self->gateway) {
        link_flush(self);
    }
    link_end(self, END_REASON_stopping);
    capstan_actor_exit(actor, CAPSTAN_OK);
}

void link_break(link_t *self, gateway_fault_t fault, uint64_t correlation, capstan_err_t err,
                const char *text)
{
    gateway_t *gateway = self->gateway;
    gateway_fault(gateway, fault, &self->origin, self, err);
    link_flush(self);
    if (!self->gateway) {
        return;
    }
    link_end(self, END_REASON_protocol_error);
    gateway_answer_failure(gateway, &self->origin, correlation, err, text);
    gateway_answer_not_greeted(gateway, &self->origin);
}

/* --- what the peer asks ---------------------------------------------------------------------- */

void link_reject(link_t *self, uint64_t sequence, capstan_err_t err)
{
    session_answer(self->core, &(outcome_t){.first = sequence,
                                            .last = sequence,
                                            .result = SESSION_REJECTED,
                                            .error = (uint64_t)err});
    gateway_mark_dirty(self->gateway, self);
}

void link_refuse_request(link_t *self, const envelope_t *envelope, uint64_t sequence,
                         capstan_err_t err, const char *text)
{
    link_emit_failure(self, envelope->correlation, err, text);
    session_settle(self->core, sequence);
}

static void describe(link_t *self, const envelope_t *envelope, slice_t body, uint64_t sequence)
{
    gateway_t *gateway = self->gateway;
    describe_t wanted;
    slice_t text = {0};
    capstan_err_t err = codec_decode(describe_wire(), body, &wanted, NULL);
    if (!err) {
        text = gateway->describe(gateway->describe_context, wanted.format);
        err = text.size == 0                      ? CAPSTAN_E_INVALID
              : text.size > DESCRIPTION_BYTES_MAX ? CAPSTAN_E_TOO_LARGE
                                                  : CAPSTAN_OK;
    }
    if (err) {
        link_refuse_request(
            self, envelope, sequence, err,
            err == CAPSTAN_E_INVALID ? "the formats are json, markdown, cddl and lock" : NULL);
        return;
    }
    buffer_clear(&gateway->scratch);
    codec_encode(description_wire(), &(description_t){.text = text}, &gateway->scratch);
    link_emit(self,
              &(envelope_t){.message = MESSAGE_description,
                            .kind = CAPSTAN_KIND_REPLY,
                            .correlation = envelope->correlation},
              buffer_slice(&gateway->scratch));
    session_settle(self->core, sequence);
}

static void add_pending(link_t *self, const pending_t *pending)
{
    if (self->pending_count == self->pending_capacity) {
        self->pending_capacity = self->pending_capacity > 0 ? self->pending_capacity * 2 : 8;
        self->pending = realloc(self->pending, self->pending_capacity * sizeof *self->pending);
        ENSURE(self->pending);
    }
    self->pending[self->pending_count++] = *pending;
}

void link_ask(link_t *self, const envelope_t *envelope, slice_t body, uint64_t sequence,
              capstan_ref_t target)
{
    bool subscribe = envelope->message == MESSAGE_subscribe;
    if (self->pending_count == REQUESTS_MAX ||
        (subscribe && self->subscription_count == SUBSCRIPTIONS_MAX)) {
        link_refuse_request(self, envelope, sequence, CAPSTAN_E_LIMIT,
                            subscribe ? "a session has at most 64 subscriptions"
                                      : "at most 1024 requests of a session wait for an answer");
        return;
    }
    uint64_t ttl_us = envelope->ttl_us > 0 ? envelope->ttl_us : REQUEST_TTL_US;
    if (ttl_us > REQUEST_TTL_US_MAX) {
        ttl_us = REQUEST_TTL_US_MAX;
    }
    uint64_t ask;
    capstan_err_t err =
        capstan_ask(self->actor, target, (uint32_t)envelope->message, body, (int64_t)ttl_us, &ask);
    if (err != CAPSTAN_OK) {
        bool own = envelope->message < PEER_MESSAGES; /* of the node, which starts it again */
        link_refuse_request(self, envelope, sequence,
                            err == CAPSTAN_E_GONE && own ? CAPSTAN_E_UNAVAILABLE : err, NULL);
        return;
    }
    add_pending(self, &(pending_t){.ask = ask,
                                   .correlation = envelope->correlation,
                                   .sequence = sequence,
                                   .message = (uint32_t)envelope->message});
}

static void unsubscribe(link_t *self, const envelope_t *envelope, slice_t body, uint64_t sequence)
{
    uint64_t number = 0;
    const subscription_t *subscription = NULL;
    if (codec_peek_uint(body, 1, &number)) {
        subscription = link_subscription(self, number);
    }
    size_t count = self->pending_count;
    if (subscription) {
        link_ask(self, envelope, body, sequence, subscription->actor);
        if (self->pending_count > count) {
            self->pending[count].subscription = number;
        }
    } else {
        link_refuse_request(self, envelope, sequence, CAPSTAN_E_NOT_FOUND,
                            "subscription: none of this session has that number");
    }
}

void link_on_request(link_t *self, const envelope_t *envelope, slice_t body, uint64_t sequence)
{
    if (envelope->message == MESSAGE_describe) {
        describe(self, envelope, body, sequence);
        return;
    }
    if (envelope->message == MESSAGE_resolve) {
        users_on_resolve(self, envelope, body, sequence);
        return;
    }
    if (envelope->message == MESSAGE_unsubscribe) {
        unsubscribe(self, envelope, body, sequence);
        return;
    }
    capstan_ref_t target =
        envelope->message == MESSAGE_status || envelope->message == MESSAGE_actors
            ? self->gateway->status
            : self->gateway->topics;
    if (capstan_ref_is_null(target)) {
        link_refuse_request(self, envelope, sequence, CAPSTAN_E_UNSUPPORTED, NULL);
        return;
    }
    link_ask(self, envelope, body, sequence, target);
}

static pending_t take_pending(link_t *self, size_t i)
{
    pending_t pending = self->pending[i];
    self->pending[i] = self->pending[--self->pending_count];
    session_settle(self->core, pending.sequence);
    return pending;
}

/* Answered, so that each request has one answer whatever crosses on the way. A subscription may
 * have begun before its peer hears of it, and ends with the session only: it is not withdrawn. */
void link_on_cancel(link_t *self, uint64_t correlation)
{
    size_t i = 0;
    while (i < self->pending_count && (self->pending[i].correlation != correlation ||
                                       self->pending[i].message == MESSAGE_subscribe)) {
        i++;
    }
    if (i < self->pending_count) {
        capstan_cancel(self->actor, take_pending(self, i).ask);
        link_emit_failure(self, correlation, CAPSTAN_E_CANCELLED, NULL);
    }
}

subscription_t *link_subscription(link_t *self, uint64_t number)
{
    for (size_t i = 0; i < self->subscription_count; i++) {
        if (self->subscriptions[i].number == number) {
            return &self->subscriptions[i];
        }
    }
    return NULL;
}

/* It may have ended while what is said about it was on its way. */
static void refuse_acknowledgement(link_t *self, uint64_t number)
{
    buffer_t *body = &self->gateway->scratch;
    self->gateway->figures.faults[FAULT_unknown_subscription]++;
    buffer_clear(body);
    codec_encode(acknowledge_refused_wire(),
                 &(acknowledge_refused_t){.subscription = number, .error = CAPSTAN_E_FENCED}, body);
    link_emit(self,
              &(envelope_t){.message = MESSAGE_acknowledge_refused, .kind = CAPSTAN_KIND_EVENT},
              buffer_slice(body));
}

/* What it was for would be the peer's for ever. So the session ends: the group takes back all that
 * it held, and the peer greets again. */
static void lose_acknowledgement(link_t *self)
{
    gateway_t *gateway = self->gateway;
    origin_t origin = self->origin;
    gateway->figures.faults[FAULT_lost_acknowledgement]++;
    link_end(self, END_REASON_acknowledgement_lost);
    gateway_answer_not_greeted(gateway, &origin);
}

void link_on_acknowledge(link_t *self, uint32_t message, slice_t body)
{
    uint64_t number = 0;
    const subscription_t *subscription = NULL;
    if (codec_peek_uint(body, 1, &number)) {
        subscription = link_subscription(self, number);
    }
    if (!subscription) {
        refuse_acknowledgement(self, number);
        return;
    }
    capstan_err_t err =
        actor_send(self->actor, subscription->actor,
                   &(send_options_t){.message = message, .kind = CAPSTAN_KIND_EVENT}, body);
    if (err == CAPSTAN_E_MAILBOX_FULL) {
        lose_acknowledgement(self);
    }
}

/* --- what the node's actors send ------------------------------------------------------------- */

static void add_subscription(link_t *self, const capstan_message_t *message)
{
    uint64_t number;
    if (!codec_peek_uint(message->body, 1, &number) || link_subscription(self, number)) {
        return;
    }
    if (capstan_monitor(self->actor, message->sender) == CAPSTAN_OK) {
        self->subscriptions[self->subscription_count++] =
            (subscription_t){.number = number, .actor = message->sender};
    }
}

static void remove_subscription(link_t *self, subscription_t *subscription)
{
    *subscription = self->subscriptions[--self->subscription_count];
}

static void on_answer(link_t *self, const capstan_message_t *message)
{
    size_t i = 0;
    while (i < self->pending_count && self->pending[i].ask != message->correlation) {
        i++;
    }
    if (i == self->pending_count) {
        return;
    }
    pending_t pending = take_pending(self, i);
    if (message->message == MESSAGE_subscribed && self->subscription_count == SUBSCRIPTIONS_MAX) {
        /* Asked for all at once. This one hears of nobody who takes its events, and ends with the
         * session. */
        link_emit_failure(self, pending.correlation, CAPSTAN_E_LIMIT,
                          "a session has at most 64 subscriptions");
        return;
    }
    if (message->message == MESSAGE_subscribed) {
        add_subscription(self, message);
    }
    subscription_t *left = pending.subscription > 0 && message->message == MESSAGE_done
                               ? link_subscription(self, pending.subscription)
                               : NULL;
    if (left) {
        remove_subscription(self, left);
    }
    if (message->body.size > DESCRIPTION_BYTES_MAX) {
        link_emit_failure(self, pending.correlation, CAPSTAN_E_TOO_LARGE, "of the reply");
        return;
    }
    link_emit(self,
              &(envelope_t){.message = message->message,
                            .kind = message->kind,
                            .correlation = pending.correlation},
              message->body);
}

static void on_outcomes(link_t *self, const capstan_message_t *message)
{
    outcomes_t outcomes;
    codec_list_t list;
    if (codec_decode(outcomes_wire(), message->body, &outcomes, NULL) != CAPSTAN_OK ||
        codec_list_open(outcome_wire(), outcomes.list, &list) != CAPSTAN_OK) {
        return;
    }
    outcome_t outcome;
    while (outcome_next(&list, &outcome)) {
        session_answer(self->core, &outcome);
    }
    gateway_mark_dirty(self->gateway, self);
}

static void on_deliver(link_t *self, const capstan_message_t *message)
{
    uint64_t number;
    subscription_t *subscription =
        codec_peek_uint(message->body, 1, &number) ? link_subscription(self, number) : NULL;
    if (subscription && capstan_ref_equal(subscription->actor, message->sender)) {
        link_deliver(self, subscription, message->body);
    }
}

/* acknowledged, acknowledge_refused, subscription_ended: their first field is the number. */
static void on_subscription_event(link_t *self, const capstan_message_t *message)
{
    uint64_t number;
    subscription_t *subscription =
        codec_peek_uint(message->body, 1, &number) ? link_subscription(self, number) : NULL;
    if (!subscription || !capstan_ref_equal(subscription->actor, message->sender)) {
        return;
    }
    if (message->message == MESSAGE_subscription_ended) {
        remove_subscription(self, subscription);
    }
    link_emit(self, &(envelope_t){.message = message->message, .kind = CAPSTAN_KIND_EVENT},
              message->body);
}

/* A subscription that ended without a word: the peer is told in its place. */
static void on_down(link_t *self, const capstan_message_t *message)
{
    down_t down;
    if (codec_decode(down_wire(), message->body, &down, NULL) != CAPSTAN_OK) {
        return;
    }
    for (size_t i = self->subscription_count; i > 0; i--) { /* several may be of one group */
        subscription_t *subscription = &self->subscriptions[i - 1];
        if (!capstan_ref_equal(subscription->actor, down.actor)) {
            continue;
        }
        uint64_t error = down.reason != 0 ? down.reason : CAPSTAN_E_GONE;
        buffer_t *body = &self->gateway->scratch;
        buffer_clear(body);
        codec_encode(subscription_ended_wire(),
                     &(subscription_ended_t){.subscription = subscription->number, .error = error},
                     body);
        remove_subscription(self, subscription);
        link_emit(self,
                  &(envelope_t){.message = MESSAGE_subscription_ended, .kind = CAPSTAN_KIND_EVENT},
                  buffer_slice(body));
    }
}

static capstan_err_t receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    link_t *self = capstan_actor_state(actor);
    if (message->message == MESSAGE_session_end || !self->gateway) {
        capstan_actor_exit(actor, CAPSTAN_OK);
        return CAPSTAN_OK;
    }
    if (message->kind == CAPSTAN_KIND_REPLY || message->kind == CAPSTAN_KIND_ERROR) {
        on_answer(self, message);
        return CAPSTAN_OK;
    }
    switch (message->message) {
    case MESSAGE_outcomes:
        on_outcomes(self, message);
        break;
    case MESSAGE_deliver:
        on_deliver(self, message);
        break;
    case MESSAGE_acknowledged:
    case MESSAGE_acknowledge_refused:
    case MESSAGE_subscription_ended:
        on_subscription_event(self, message);
        break;
    case MESSAGE_down:
        on_down(self, message);
        break;
    default:
        if (message_is_by_reference(message)) {
            users_deliver(self, message);
        } else {
            capstan_reply_error(actor, message, CAPSTAN_E_UNKNOWN_MESSAGE, NULL);
        }
        break;
    }
    return CAPSTAN_OK;
}

static void cancelled(capstan_actor_t *actor, capstan_ref_t sender, uint64_t correlation)
{
    link_t *self = capstan_actor_state(actor);
    if (self->gateway) {
        users_cancelled(self, sender, correlation);
    }
}

/* Grants are not read any more: what waits for one would wait for ever. */
static void stop_intake(capstan_actor_t *actor)
{
    link_t *self = capstan_actor_state(actor);
    self->intake_stopped = true;
    if (self->gateway) {
        users_pace(self);
    }
}

static void turn_end(capstan_actor_t *actor)
{
    const link_t *self = capstan_actor_state(actor);
    if (self->gateway) {
        gateway_flush(self->gateway);
    }
}

const capstan_behaviour_t session_behaviour = {
    .name = "session",
    .init = init,
    .receive = receive,
    .cancelled = cancelled,
    .turn_end = turn_end,
    .stop_intake = stop_intake,
    .stop = stop,
    .destroy = destroy,
};
