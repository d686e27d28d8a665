/* A consumer in the process: a member of a group, in the place of a peer's session and its peer.
 *
 * Accepts   deliver, acknowledged, acknowledge_refused, subscription_ended (from its group),
 *           consumer_worked (from its handlers), consumer_say and consumer_close (from threads),
 *           down (of the group, of handlers); answers of topics and the group.
 * Replies   done, to consumer_close.
 * Sends     acknowledge, reject, subscription_grant and unsubscribe to its group, consumer_work to
 *           its handlers; asks topics for subscribe.
 *
 * Nothing is durable: what was not acknowledged is delivered again, by the group.
 *
 * It ends in steps: nothing more is handed out, handlers return, what they acknowledged is passed
 * on, the group hears unsubscribe, so that what is left counts as not tried, handlers end. */
#include "actors/ordering/consumer_actor.h"

#include "runtime/base/ensure.h"
#include "runtime/runtime.h"
#include "runtime/runtime_messages.h"
#include "runtime/wire/wire_messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FROM_LATEST = 2 };

static void set_error(consumer_actor_t *self, capstan_err_t err)
{
    atomic_store_explicit(&self->shared->counts.error, (uint32_t)err, memory_order_relaxed);
}

/* --- becoming a member ----------------------------------------------------------------------- */

static void retry_later(consumer_actor_t *self)
{
    if (!self->retrying) {
        self->retrying = true;
        capstan_timer_start(self->self, CONSUMER_RETRY_US, NULL);
    }
}

/* Whoever waits for its start is told, when it has ended; afterwards it tries again. */
static void fail(consumer_actor_t *self, capstan_err_t err, slice_t text)
{
    set_error(self, err);
    if (!self->text || self->closing) {
        retry_later(self);
        return;
    }
    self->closing = true;
    self->failed = err;
    if (text.size > 0) {
        snprintf(self->text, self->text_size, "%.*s", (int)text.size, (const char *)text.data);
    } else {
        snprintf(self->text, self->text_size, "%s: %s. %s", self->topic, capstan_err_text(err),
                 capstan_err_remedy(err));
    }
}

/* Events at a time. What is acknowledged later is out of sight. */
static uint64_t works_on(const capstan_subscribe_options_t *options)
{
    uint64_t handed_over = (uint64_t)options->concurrency * options->batch_max;
    return options->acknowledge_later || handed_over > options->events_max ? options->events_max
                                                                           : handed_over;
}

static void subscribe(consumer_actor_t *self)
{
    buffer_t body = {0};
    codec_encode(subscribe_wire(),
                 &(subscribe_t){.topic = slice_text(self->topic),
                                .group = slice_text(self->group),
                                .from = self->options.latest ? FROM_LATEST : 0,
                                .events_max = self->options.events_max,
                                .key_events_max = self->options.key_events_max,
                                .concurrency = works_on(&self->options)},
                 &body);
    capstan_err_t err = capstan_ask_for(self->self, NULL, self->topics, MESSAGE_subscribe,
                                        buffer_slice(&body), CONSUMER_ASK_US, &self->ask);
    buffer_fini(&body);
    if (err != CAPSTAN_OK) {
        self->ask = 0;
        fail(self, err, (slice_t){0});
    }
}

/* Where successors go on, the group takes back less than all of a key, and does not say what. */
static bool policy_fits(const consumer_actor_t *self, const group_policy_t *policy)
{
    return self->options.key_events_max == 1 || policy->mode == GROUP_UNORDERED ||
           (policy->while_retried == WHILE_RETRIED_WAIT &&
            policy->when_exhausted == WHEN_EXHAUSTED_WAIT);
}

static void on_subscribed(consumer_actor_t *self, const capstan_message_t *message)
{
    subscribed_t subscribed;
    group_policy_t policy = {0};
    capstan_err_t err = codec_decode(subscribed_wire(), message->body, &subscribed, NULL);
    err = err ? err : codec_decode(group_policy_wire(), subscribed.policy, &policy, NULL);
    err = err ? err : capstan_monitor(self->self, message->sender);
    if (err != CAPSTAN_OK) {
        fail(self, err, (slice_t){0});
        return;
    }
    self->member = true;
    self->from = message->sender;
    self->number = subscribed.subscription;
    self->received_bytes = self->granted_bytes = 0;
    self->stored_before = atomic_load_explicit(&self->shared->counts.stored, memory_order_relaxed);
    consumer_set_mode(self->core, (group_mode_t)policy.mode);
    if (!policy_fits(self, &policy)) {
        fail(self, CAPSTAN_E_INVALID,
             slice_text("key_events_max: 1, since the group's policy lets successors go on"));
        self->closing = true; /* also when it had started, and the policy was changed since */
        return;
    }
    err = consumer_start_handlers(self);
    if (err != CAPSTAN_OK) {
        fail(self, err, (slice_t){0});
        return;
    }
    set_error(self, CAPSTAN_OK);
    if (self->text) {
        self->text = NULL;
        actor_started(self->self);
    }
}

void consumer_lose(consumer_actor_t *self, capstan_err_t err)
{
    if (!self->member) {
        return;
    }
    capstan_demonitor(self->self, self->from);
    self->member = false;
    self->position = (position_t){0};
    buffer_clear(&self->positions);
    atomic_fetch_add_explicit(&self->shared->counts.taken_back, consumer_figures(self->core).held,
                              memory_order_relaxed);
    consumer_forget(self->core);
    set_error(self, err);
    if (!self->closing) {
        retry_later(self);
    }
}

/* --- what the group says --------------------------------------------------------------------- */

static bool is_mine(const consumer_actor_t *self, const capstan_message_t *message)
{
    uint64_t number;
    return self->member && capstan_ref_equal(message->sender, self->from) &&
           codec_peek_uint(message->body, 1, &number) && number == self->number;
}

static void on_deliver(consumer_actor_t *self, const capstan_message_t *message)
{
    deliver_t deliver;
    codec_list_t list;
    slice_t event;
    if (codec_decode(deliver_wire(), message->body, &deliver, NULL) != CAPSTAN_OK ||
        codec_list_open(event_wire(), deliver.events, &list) != CAPSTAN_OK) {
        return;
    }
    self->received_bytes += message->body.size;
    while (codec_list_next_raw(&list, &event)) {
        /* The group knows how many it may hold, and looked into the event as we do. */
        ENSURE(consumer_add(self->core, (uint32_t)deliver.partition, deliver.attempts, event));
    }
}

static void on_acknowledged(consumer_actor_t *self, const capstan_message_t *message)
{
    acknowledged_t acknowledged;
    if (codec_decode(acknowledged_wire(), message->body, &acknowledged, NULL) == CAPSTAN_OK) {
        atomic_store_explicit(&self->shared->counts.stored,
                              self->stored_before + acknowledged.events, memory_order_relaxed);
    }
}

static void on_ended(consumer_actor_t *self, const capstan_message_t *message)
{
    subscription_ended_t ended;
    if (codec_decode(subscription_ended_wire(), message->body, &ended, NULL) == CAPSTAN_OK) {
        consumer_lose(self, (capstan_err_t)ended.error);
    }
}

static void on_answer(consumer_actor_t *self, const capstan_message_t *message)
{
    capstan_err_t err;
    slice_t text;
    if (message->correlation != self->ask || self->ask == 0) {
        return;
    }
    self->ask = 0;
    if (self->member) { /* of unsubscribe; one that is not answered is lost with its group */
        self->member = false;
        capstan_demonitor(self->self, self->from);
        consumer_forget(self->core);
    } else if (capstan_message_is_error(message, &err, &text)) {
        fail(self, err, text);
    } else {
        on_subscribed(self, message);
    }
}

/* --- what the program says ------------------------------------------------------------------- */

static void on_say(consumer_actor_t *self, const capstan_message_t *message)
{
    consumer_say_t say;
    if (codec_decode(consumer_say_wire(), message->body, &say, NULL) != CAPSTAN_OK ||
        !consumer_find(self->core, say.ticket) ||
        !tickets_is_claimed(&self->shared->tickets, say.ticket)) {
        return; /* it was taken back while this was on its way */
    }
    if (say.rejected) {
        consumer_reject_because(self, say.ticket, &say);
    } else {
        consumer_acknowledge(self, say.ticket);
    }
}

static void on_close(consumer_actor_t *self, const capstan_message_t *message)
{
    self->close = *message;
    self->close.body = (slice_t){0};
    self->closing = true;
}

/* --- the end --------------------------------------------------------------------------------- */

static void leave(consumer_actor_t *self)
{
    buffer_t body = {0};
    codec_encode(unsubscribe_wire(), &(unsubscribe_t){.subscription = self->number}, &body);
    capstan_err_t err = capstan_ask_for(self->self, NULL, self->from, MESSAGE_unsubscribe,
                                        buffer_slice(&body), CONSUMER_ASK_US, &self->ask);
    buffer_fini(&body);
    if (err != CAPSTAN_OK) {
        self->ask = 0;
        consumer_lose(self, err);
    }
}

/* The next step, when the one before is through. */
static void close_on(consumer_actor_t *self)
{
    if (!self->closing || !consumer_is_idle(self)) {
        return;
    }
    if (!self->member) {
        capstan_cancel(self->self, self->ask); /* it may wait for a topic that recovers */
        self->ask = 0;
    } else if (self->ask == 0) {
        leave(self);
    }
    if (self->member || !consumer_end_handlers(self)) {
        return;
    }
    if (self->close.kind != 0) {
        capstan_reply(self->self, &self->close, MESSAGE_done, slice_of("\x80", 1));
    }
    capstan_actor_exit(self->self, self->failed);
}

static void stop_intake(capstan_actor_t *actor)
{
    consumer_actor_t *self = capstan_actor_state(actor);
    self->paused = true;
}

static void stop(capstan_actor_t *actor)
{
    consumer_actor_t *self = capstan_actor_state(actor);
    if (self->text) {
        fail(self, CAPSTAN_E_STOPPING, (slice_t){0});
    }
    self->closing = true;
    consumer_say_all(self);
    close_on(self);
}

/* --- the actor ------------------------------------------------------------------------------- */

static void on_down(consumer_actor_t *self, capstan_ref_t actor, capstan_err_t reason)
{
    if (!consumer_handler_down(self, actor, reason) && self->member &&
        capstan_ref_equal(actor, self->from)) {
        consumer_lose(self, reason != CAPSTAN_OK ? reason : CAPSTAN_E_GONE);
        self->ask = self->closing ? 0 : self->ask;
    }
}

static void on_event(consumer_actor_t *self, const capstan_message_t *message)
{
    switch (message->message) {
    case MESSAGE_consumer_worked:
        consumer_on_worked(self, message);
        return;
    case MESSAGE_consumer_say:
        on_say(self, message);
        return;
    default:
        break;
    }
    if (!is_mine(self, message)) {
        return; /* of an earlier subscription */
    }
    switch (message->message) {
    case MESSAGE_deliver:
        on_deliver(self, message);
        break;
    case MESSAGE_acknowledged:
        on_acknowledged(self, message);
        break;
    case MESSAGE_subscription_ended:
        on_ended(self, message);
        break;
    default:
        break;
    }
}

static capstan_err_t receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    consumer_actor_t *self = capstan_actor_state(actor);
    capstan_ref_t who;
    capstan_err_t reason;
    if (capstan_message_is_down(message, &who, &reason)) {
        on_down(self, who, reason);
    } else if (message->kind == CAPSTAN_KIND_REPLY || message->kind == CAPSTAN_KIND_ERROR) {
        on_answer(self, message);
    } else if (message->message == MESSAGE_consumer_close &&
               message->kind == CAPSTAN_KIND_REQUEST) {
        on_close(self, message);
    } else if (message->kind == CAPSTAN_KIND_EVENT) {
        on_event(self, message);
    } else {
        capstan_reply_error(actor, message, CAPSTAN_E_UNKNOWN_MESSAGE, NULL);
    }
    return CAPSTAN_OK;
}

static void turn_end(capstan_actor_t *actor)
{
    consumer_actor_t *self = capstan_actor_state(actor);
    if (self->member) {
        consumer_say_all(self);
    }
    consumer_dispatch(self);
    consumer_grant(self);
    atomic_store_explicit(&self->shared->counts.held, consumer_figures(self->core).held,
                          memory_order_relaxed);
    close_on(self);
}

/* Whoever gave up waiting for the end may have asked once more. */
static void cancelled(capstan_actor_t *actor, capstan_ref_t sender, uint64_t correlation)
{
    consumer_actor_t *self = capstan_actor_state(actor);
    if (self->close.correlation == correlation && capstan_ref_equal(self->close.sender, sender)) {
        self->close.kind = 0;
    }
}

static void timer(capstan_actor_t *actor, uint64_t number, void *cookie)
{
    (void)number;
    (void)cookie;
    consumer_actor_t *self = capstan_actor_state(actor);
    self->retrying = false;
    if (self->closing) {
        return;
    }
    if (!self->member && self->ask == 0) {
        subscribe(self);
    } else if (self->member && consumer_start_handlers(self) != CAPSTAN_OK) {
        retry_later(self);
    }
}

static void take_options(consumer_actor_t *self, const consumer_arguments_t *arguments)
{
    const capstan_subscribe_options_t *options = arguments->options;
    self->shared = subscription_share(arguments->shared);
    self->shared->consumer = capstan_actor_ref(self->self);
    self->topics = arguments->topics;
    self->text = arguments->text;
    self->text_size = arguments->text_size;
    self->options = *options;
    snprintf(self->topic, sizeof self->topic, "%s", arguments->topic);
    snprintf(self->group, sizeof self->group, "%s", options->group);
    self->options.group = self->group;
    self->options.cell = options->cell ? self->cell : NULL;
    snprintf(self->cell, sizeof self->cell, "%s", options->cell ? options->cell : "");
    self->arguments = (handler_arguments_t){.handle = options->handle,
                                            .handle_batch = options->handle_batch,
                                            .context = options->context,
                                            .batch_max = options->batch_max,
                                            .consumer = capstan_actor_ref(self->self),
                                            .shared = self->shared};
}

static capstan_err_t init(capstan_actor_t *actor, void *argument)
{
    uint8_t seed[16];
    consumer_actor_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->self = actor;
    take_options(self, argument);
    node_random(capstan_actor_node(actor), seed, sizeof seed);
    self->handler_count = self->options.concurrency;
    self->core = consumer_new(&self->shared->tickets, self->handler_count, seed);
    self->handlers = calloc(self->handler_count, sizeof *self->handlers);
    self->taken = calloc(self->options.batch_max, sizeof *self->taken);
    ENSURE(self->handlers && self->taken);
    for (uint32_t i = 0; i < self->handler_count; i++) {
        self->handlers[i].tickets = calloc(self->options.batch_max, sizeof(uint64_t));
        ENSURE(self->handlers[i].tickets);
    }
    capstan_actor_set_state(actor, self);
    actor_defer_started(actor);
    subscribe(self);
    close_on(self); /* it may have failed */
    return CAPSTAN_OK;
}

static void destroy(capstan_actor_t *actor)
{
    consumer_actor_t *self = capstan_actor_state(actor);
    if (!self) {
        return;
    }
    consumer_destroy(&self->core);
    for (uint32_t i = 0; i < self->handler_count; i++) {
        free(self->handlers[i].tickets);
    }
    free(self->handlers);
    free(self->taken);
    buffer_fini(&self->positions);
    atomic_store_explicit(&self->shared->ended, true, memory_order_release);
    subscription_give_back(self->shared);
    free(self);
}

const capstan_behaviour_t consumer_behaviour = {
    .name = "consumer",
    .init = init,
    .receive = receive,
    .cancelled = cancelled,
    .timer = timer,
    .turn_end = turn_end,
    .stop_intake = stop_intake,
    .stop = stop,
    .destroy = destroy,
    .traps_exits = true,
};
