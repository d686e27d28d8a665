/* The C peer against a real gateway over tcp. */
#include "brokers/peer/peer.h"
#include "gateway_kit.h"

typedef struct heard {
    uint64_t stored;
    uint64_t rejected;
    uint64_t delivered;
    capstan_err_t err;
    uint64_t reconnected;
    uint64_t ended;
    uint8_t *tokens; /* times each was answered */
} heard_t;

static void on_outcome(void *context, uint64_t token, uint64_t result, capstan_err_t err)
{
    heard_t *heard = context;
    heard->stored += result == 1;
    heard->rejected += result == 4;
    heard->err = err;
    if (heard->tokens) {
        heard->tokens[token]++;
    }
}

static void on_deliver(void *context, const deliver_t *deliver)
{
    heard_t *heard = context;
    heard->delivered += codec_list_count(deliver->events);
}

static void on_reconnected(void *context)
{
    ((heard_t *)context)->reconnected++;
}

static void on_ended(void *context, uint64_t subscription, capstan_err_t err)
{
    heard_t *heard = context;
    heard->ended = subscription;
    heard->err = err;
}

static peer_t *connect_peer(heard_t *heard, const peer_options_t *options)
{
    peer_options_t use = *options;
    use.endpoint = kit.arguments.endpoint;
    char text[512] = "";
    peer_t *peer = NULL;
    capstan_err_t err = peer_connect(&use,
                                     &(peer_handlers_t){.context = heard,
                                                        .outcome = on_outcome,
                                                        .deliver = on_deliver,
                                                        .reconnected = on_reconnected,
                                                        .subscription_ended = on_ended},
                                     &peer, text, sizeof text);
    cr_assert_eq(err, CAPSTAN_OK, "%s", text);
    return peer;
}

static void publish(peer_t *peer, const char *topic, uint64_t number)
{
    char key[32];
    snprintf(key, sizeof key, "key-%llu", (unsigned long long)number % 100);
    publish_t event = {.topic = slice_text(topic),
                       .key = slice_text(key),
                       .payload = slice_text("0123456789012345678901234567890123456789")};
    while (peer_publish(peer, &event, number) == CAPSTAN_E_NO_CREDIT) {
        peer_poll(peer, 100000);
    }
}

static void drain(peer_t *peer)
{
    for (int i = 0; peer_unanswered(peer) > 0; i++) {
        cr_assert_lt(i, 100000);
        peer_poll(peer, 10000);
    }
}

static void publish_all(void)
{
    enum { EVENTS = 20000 };
    kit_start();
    heard_t heard = {.tokens = calloc(EVENTS, 1)};
    peer_t *peer = connect_peer(&heard, &(peer_options_t){.name = "feeder"});
    for (uint64_t i = 0; i < EVENTS; i++) {
        publish(peer, "loans", i);
    }
    drain(peer);
    cr_assert_eq(heard.stored, EVENTS);
    for (int i = 0; i < EVENTS; i++) {
        cr_assert_eq(heard.tokens[i], 1, "token %d", i);
    }
    cr_assert_eq(atomic_load(&kit.seen.published), EVENTS);
    for (int i = 0; i < KIT_PARTITIONS; i++) {
        cr_assert_gt(atomic_load(&kit.seen.by_partition[i]), 0u);
    }
    cr_assert_eq(atomic_load(&kit.seen.resolves), 1u);
    peer_close(&peer, 1000000);
    kit_wait_figure("sessions_ended/goodbye", 1);
    free(heard.tokens);
    kit_stop();
}

Test(peer, is_answered_for_each_event_once)
{
    publish_all();
}

Test(peer, is_answered_for_each_event_once_under_strict_wire)
{
    kit.strict_wire = true;
    publish_all();
}

Test(peer, events_parked_while_their_topic_is_resolved_go_out_in_order)
{
    kit_start();
    heard_t heard = {.tokens = calloc(100, 1)};
    peer_t *peer = connect_peer(&heard, &(peer_options_t){0});
    for (uint64_t i = 0; i < 50; i++) {
        publish(peer, "slow", i);
    }
    peer_poll(peer, 0);
    kit_wait(&kit.seen.resolves, 1);
    for (uint64_t i = 50; i < 100; i++) {
        publish(peer, "loans", i);
    }
    while (heard.stored < 50) {
        peer_poll(peer, 10000);
    }
    for (int i = 0; i < 50; i++) {
        cr_assert_eq(heard.tokens[i], 0, "the parked one %d was answered", i);
    }
    cr_assert_eq(capstan_node_tell(kit.node, kit.topics, MESSAGE_kit_release, (slice_t){0}),
                 CAPSTAN_OK);
    drain(peer);
    cr_assert_eq(heard.stored, 100);
    cr_assert_eq(atomic_load(&kit.seen.resolves), 2u);
    peer_close(&peer, 0);
    free(heard.tokens);
    kit_stop();
}

Test(peer, events_of_an_unknown_topic_are_rejected_and_the_session_goes_on)
{
    kit_start();
    heard_t heard = {0};
    peer_t *peer = connect_peer(&heard, &(peer_options_t){0});
    publish(peer, "nowhere", 1);
    drain(peer);
    cr_assert_eq(heard.rejected, 1);
    cr_assert_eq(heard.err, CAPSTAN_E_UNKNOWN_TOPIC);
    char key[1025] = "";
    memset(key, 'k', sizeof key);
    publish_t event = {.topic = slice_text("loans"), .key = slice_of(key, sizeof key)};
    cr_assert_eq(peer_publish(peer, &event, 2), CAPSTAN_OK);
    event.key.size = 0;
    cr_assert_eq(peer_publish(peer, &event, 3), CAPSTAN_OK);
    drain(peer);
    cr_assert_eq(heard.rejected, 3);
    char *payload = calloc(1, 1048577);
    event = (publish_t){.topic = slice_text("loans"),
                        .key = slice_text("k"),
                        .payload = slice_of(payload, 1048577)};
    cr_assert_eq(peer_publish(peer, &event, 4), CAPSTAN_E_TOO_LARGE);
    free(payload);
    publish(peer, "loans", 5);
    drain(peer);
    cr_assert_eq(heard.stored, 1);
    peer_close(&peer, 0);
    kit_stop();
}

Test(peer, requests_are_answered_with_reply_or_error)
{
    kit_start();
    heard_t heard = {0};
    peer_t *peer = connect_peer(&heard, &(peer_options_t){0});
    char text[256] = "";
    slice_t body;
    topic_ensure_t ensure = {.topic = slice_text("loans")};
    cr_assert_eq(peer_request(peer, topic_ensure_wire(), &ensure, topic_info_wire(), 5000000, &body,
                              text, sizeof text),
                 CAPSTAN_OK, "%s", text);
    topic_info_t info;
    cr_assert_eq(codec_decode(topic_info_wire(), body, &info, NULL), CAPSTAN_OK);
    cr_assert_eq(info.partitions, 4);
    describe_t describe = {0};
    cr_assert_eq(peer_request(peer, describe_wire(), &describe, description_wire(), 5000000, &body,
                              text, sizeof text),
                 CAPSTAN_OK);
    description_t description;
    cr_assert_eq(codec_decode(description_wire(), body, &description, NULL), CAPSTAN_OK);
    cr_assert(slice_equal(description.text, slice_text("{\"schema\":1}")));
    status_t status = {0};
    cr_assert_eq(peer_request(peer, status_wire(), &status, status_report_wire(), 5000000, &body,
                              text, sizeof text),
                 CAPSTAN_E_UNSUPPORTED);
    producer_open_t open = {.topic = slice_text("loans"), .producer = slice_text("p")};
    cr_assert_eq(peer_request(peer, producer_open_wire(), &open, producer_opened_wire(), 5000000,
                              &body, text, sizeof text),
                 CAPSTAN_E_UNKNOWN_MESSAGE, "what the topics actor says comes back");
    cr_assert_eq(peer_unanswered(peer), 0u);
    peer_close(&peer, 0);
    kit_stop();
}

static void subscribe(peer_t *peer)
{
    char text[256] = "";
    slice_t body;
    subscribe_t request = {.topic = slice_text("loans")};
    cr_assert_eq(peer_request(peer, subscribe_wire(), &request, subscribed_wire(), 5000000, &body,
                              text, sizeof text),
                 CAPSTAN_OK, "%s", text);
}

static void deliver_all(void)
{
    kit.deliveries = 200;
    kit.delivery_bytes = 10000;
    kit_start();
    heard_t heard = {0};
    peer_t *peer = connect_peer(&heard, &(peer_options_t){.deliver_bytes_window = 25000});
    subscribe(peer);
    while (heard.delivered < 200) {
        peer_poll(peer, 100000);
    }
    cr_assert_eq(heard.delivered, 200);
    kit_wait(&kit.seen.granted, 200 * 10000);
    acknowledge_t acknowledge = {.subscription = 1, .through = slice_of("\x90", 1)};
    peer_acknowledge(peer, &acknowledge);
    peer_poll(peer, 0);
    kit_wait(&kit.seen.acknowledged, 1);
    peer_close(&peer, 0);
    kit_wait(&kit.seen.subscriptions_ended, 1);
    kit_stop();
}

Test(peer, deliveries_wait_for_credit_and_none_is_lost)
{
    deliver_all();
}

Test(peer, deliveries_wait_for_credit_and_none_is_lost_under_strict_wire)
{
    kit.strict_wire = true;
    deliver_all();
}

/* What it was for would stay the peer's for ever. */
Test(peer, begins_a_new_session_when_an_acknowledgement_was_lost)
{
    kit.subscription_mailbox = 16;
    kit_start();
    heard_t heard = {0};
    peer_t *peer = connect_peer(&heard, &(peer_options_t){0});
    subscribe(peer);
    for (int i = 0; i < 10000; i++) { /* in one batch: nobody reads in between */
        peer_acknowledge(peer, &(acknowledge_t){.subscription = 1, .through = slice_of("\x90", 1)});
    }
    while (heard.reconnected == 0) {
        peer_poll(peer, 100000);
    }
    kit_wait(&kit.seen.subscriptions_ended, 1);
    kit_wait_figure("sessions_ended/acknowledgement_lost", 1);
    peer_close(&peer, 0);
    kit_stop();
}

Test(peer, hears_when_a_subscription_dies)
{
    kit_start();
    heard_t heard = {0};
    peer_t *peer = connect_peer(&heard, &(peer_options_t){0});
    subscribe(peer);
    /* Behind it on the same way went the session's wish to watch the subscription. */
    peer_acknowledge(peer, &(acknowledge_t){.subscription = 1, .through = slice_of("\x90", 1)});
    peer_poll(peer, 0);
    kit_wait(&kit.seen.acknowledged, 1);
    cr_assert_eq(capstan_node_tell(kit.node, kit.topics, MESSAGE_kit_kill, (slice_t){0}),
                 CAPSTAN_OK);
    while (heard.ended == 0) {
        peer_poll(peer, 100000);
    }
    cr_assert_eq(heard.ended, 1);
    cr_assert_eq(heard.err, CAPSTAN_E_STORE_IO);
    peer_close(&peer, 0);
    kit_stop();
}

typedef struct interrupted {
    peer_t *peer;
    bool asking;
    bool reconnected; /* while it was asking */
} interrupted_t;

/* The reply to subscribe was read before the event. Now the session ends, and a new one opens,
 * before peer_request could give the reply to its caller. */
static void lose_session(void *context, const deliver_t *deliver)
{
    (void)deliver;
    interrupted_t *self = context;
    if (self->asking && !self->reconnected) {
        char text[256] = "";
        slice_t body;
        describe_t describe = {0};
        kit_wait_figure("sessions_ended/silent", 1);
        cr_assert_eq(peer_request(self->peer, describe_wire(), &describe, description_wire(),
                                  5000000, &body, text, sizeof text),
                     CAPSTAN_OK, "%s", text);
    }
}

static void note_reconnect(void *context)
{
    interrupted_t *self = context;
    self->reconnected = self->asking;
}

Test(peer, makes_a_request_again_that_was_answered_in_a_session_that_is_lost)
{
    kit.settings = (gateway_settings_t){.endpoint = "tcp://127.0.0.1:*",
                                        .sessions_max = 16,
                                        .heartbeat_ms = 300,
                                        .credit_messages = 1024,
                                        .credit_bytes = 2097152,
                                        .outbox_bytes = 1048576};
    kit.deliveries = 1;
    kit_start();
    char text[512] = "";
    interrupted_t self = {0};
    cr_assert_eq(peer_connect(&(peer_options_t){.endpoint = kit.arguments.endpoint},
                              &(peer_handlers_t){.context = &self,
                                                 .deliver = lose_session,
                                                 .reconnected = note_reconnect},
                              &self.peer, text, sizeof text),
                 CAPSTAN_OK, "%s", text);
    uint64_t number = 0;
    /* The event is read with the reply, unless it comes just too late. */
    for (int i = 0; i < 60 && !self.reconnected; i++) {
        subscribe_t request = {.topic = slice_text("loans")};
        slice_t body;
        self.asking = true;
        cr_assert_eq(peer_request(self.peer, subscribe_wire(), &request, subscribed_wire(), 5000000,
                                  &body, text, sizeof text),
                     CAPSTAN_OK, "%s", text);
        self.asking = false;
        cr_assert(codec_peek_uint(body, 1, &number));
    }
    cr_assert(self.reconnected);
    uint64_t subscriptions = atomic_load(&kit.seen.subscriptions);
    cr_assert_eq(number, subscriptions);
    kit_wait(&kit.seen.subscriptions_ended, subscriptions - 1);
    acknowledge_t acknowledge = {.subscription = number, .through = slice_of("\x90", 1)};
    peer_acknowledge(self.peer, &acknowledge);
    peer_poll(self.peer, 0);
    kit_wait(&kit.seen.acknowledged, 1); /* it lives */
    peer_close(&self.peer, 0);
    kit_stop();
}

Test(peer, greets_again_and_resends_when_the_node_restarts)
{
    kit_start();
    char endpoint[288];
    snprintf(endpoint, sizeof endpoint, "%s", kit.arguments.endpoint);
    heard_t heard = {.tokens = calloc(200, 1)};
    peer_t *peer = connect_peer(&heard, &(peer_options_t){.name = "feeder"});
    for (uint64_t i = 0; i < 100; i++) {
        publish(peer, "slow", i); /* never answered by this node */
    }
    peer_poll(peer, 0);
    kit_wait(&kit.seen.resolves, 1);
    kit_stop();
    for (uint64_t i = 100; i < 200; i++) {
        publish(peer, "slow", i);
    }
    peer_poll(peer, 10000);
    kit.settings.endpoint = endpoint;
    kit.seen = (kit_seen_t){0};
    kit_start();
    while (atomic_load(&kit.seen.resolves) == 0) {
        peer_poll(peer, 10000);
    }
    cr_assert_eq(heard.reconnected, 1);
    cr_assert_eq(capstan_node_tell(kit.node, kit.topics, MESSAGE_kit_release, (slice_t){0}),
                 CAPSTAN_OK);
    drain(peer);
    cr_assert_eq(heard.stored, 200);
    for (int i = 0; i < 200; i++) {
        cr_assert_eq(heard.tokens[i], 1, "token %d", i);
    }
    cr_assert_eq(atomic_load(&kit.seen.published), 200u, "each was resent once");
    peer_close(&peer, 0);
    free(heard.tokens);
    kit_stop();
}

Test(peer, survives_the_end_of_its_session_on_a_living_connection)
{
    kit.settings = (gateway_settings_t){.endpoint = "tcp://127.0.0.1:*",
                                        .sessions_max = 16,
                                        .heartbeat_ms = 100,
                                        .credit_messages = 1024,
                                        .credit_bytes = 2097152,
                                        .outbox_bytes = 1048576};
    kit_start();
    heard_t heard = {0};
    peer_t *peer = connect_peer(&heard, &(peer_options_t){0});
    kit_wait_figure("sessions_ended/silent", 1); /* the test does not poll: nobody sends pings */
    publish(peer, "loans", 0);
    drain(peer);
    cr_assert_eq(heard.stored, 1);
    cr_assert_eq(heard.reconnected, 1);
    for (int i = 0; i < 100; i++) {
        peer_poll(peer, 10000); /* a second: idle, but polled */
    }
    cr_assert_eq(kit_figure("sessions_ended/silent"), 1, "pings keep a session");
    peer_close(&peer, 0);
    kit_stop();
}

Test(peer, sends_again_what_a_partition_that_failed_had_taken)
{
    enum { EVENTS = 1000 };
    kit.publishes_left = EVENTS / 2;
    kit_start();
    heard_t heard = {.tokens = calloc(EVENTS, 1)};
    peer_t *peer = connect_peer(&heard, &(peer_options_t){.name = "feeder"});
    for (uint64_t i = 0; i < EVENTS; i++) {
        publish(peer, "loans", i);
    }
    drain(peer);
    cr_assert_eq(heard.stored + heard.rejected, EVENTS);
    cr_assert_eq(heard.reconnected, 1);
    for (int i = 0; i < EVENTS; i++) {
        cr_assert_eq(heard.tokens[i], 1, "token %d", i);
    }
    cr_assert_eq(kit_figure("sessions_ended/partition_failed"), 1);
    peer_close(&peer, 0);
    free(heard.tokens);
    kit_stop();
}

Test(peer, says_what_is_wrong_when_it_cannot_connect)
{
    char text[512] = "";
    peer_t *peer = NULL;
    cr_assert_eq(
        peer_connect(&(peer_options_t){.endpoint = "nonsense"}, NULL, &peer, text, sizeof text),
        CAPSTAN_E_INVALID);
    cr_assert(strstr(text, "tcp://127.0.0.1:7700"), "%s", text);
    cr_assert_eq(peer_connect(&(peer_options_t){.endpoint = "tcp://127.0.0.1:1",
                                                .connect_timeout_us = 100000},
                              NULL, &peer, text, sizeof text),
                 CAPSTAN_E_TIMEOUT);
    cr_assert(strstr(text, "capstan node"), "%s", text);
    cr_assert_null(peer);
}

Test(peer, of_the_same_name_retires_the_older_one)
{
    kit_start();
    heard_t older_heard = {0};
    heard_t newer_heard = {0};
    peer_t *older = connect_peer(&older_heard, &(peer_options_t){.name = "one"});
    peer_t *newer = connect_peer(&newer_heard, &(peer_options_t){.name = "one"});
    publish_t event = {.topic = slice_text("loans"), .key = slice_text("k")};
    capstan_err_t err = CAPSTAN_OK;
    while (err == CAPSTAN_OK) {
        peer_poll(older, 10000);
        err = peer_publish(older, &event, 0);
    }
    cr_assert_eq(err, CAPSTAN_E_STALE_SESSION);
    publish(newer, "loans", 0);
    drain(newer);
    cr_assert_eq(newer_heard.stored, 1);
    cr_assert_eq(kit_figure("session_count"), 1);
    peer_close(&older, 0);
    peer_close(&newer, 0);
    kit_stop();
}
