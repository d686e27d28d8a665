/* What a gateway answers, byte by byte: greeting, versions, names, and what hostile peers get.
 * In each hostile test a second, honest session is there and stays unharmed. */
#include "gateway_kit.h"

#include <sys/socket.h>
#include <unistd.h>

static void honest_open(raw_peer_t *honest)
{
    raw_open(honest);
    raw_greet(honest, "honest", 1);
}

static void honest_still_works(raw_peer_t *honest)
{
    raw_publish(honest, "loans", "k", "v");
    raw_send(honest, NULL);
    outcomes_t outcomes;
    outcome_t outcome;
    codec_list_t list;
    slice_t body = raw_expect(honest, MESSAGE_outcomes);
    cr_assert_eq(codec_decode(outcomes_wire(), body, &outcomes, NULL), CAPSTAN_OK);
    cr_assert_eq(codec_list_open(outcome_wire(), outcomes.list, &list), CAPSTAN_OK);
    cr_assert(codec_list_next(&list, &outcome));
    cr_assert_eq(outcome.first, 1u);
    cr_assert_eq(outcome.result, 1u);
    raw_close(honest);
}

Test(gateway, welcomes_a_peer_and_grants_credit)
{
    kit_start();
    raw_peer_t peer;
    raw_open(&peer);
    raw_hello(&peer, "one", 7);
    slice_t body = raw_expect(&peer, MESSAGE_welcome);
    welcome_t welcome;
    cr_assert_eq(codec_decode(welcome_wire(), body, &welcome, NULL), CAPSTAN_OK);
    cr_assert_eq(welcome.version, 1u);
    cr_assert_eq(welcome.heartbeat_ms, 1000u);
    cr_assert_eq(welcome.event_bytes_max, 1048576u);
    cr_assert_eq(welcome.node, node_id(kit.node));
    cr_assert_eq(peer.header.credit_messages, 1024u);
    cr_assert_eq(peer.header.credit_bytes, 2097152u);
    raw_add(&peer,
            &(envelope_t){.message = MESSAGE_ping, .kind = CAPSTAN_KIND_REQUEST, .correlation = 9},
            slice_of("\x80", 1));
    raw_send(&peer, NULL);
    raw_expect(&peer, MESSAGE_pong);
    raw_close(&peer);
    kit_stop();
}

Test(gateway, answers_not_greeted_without_a_session)
{
    kit_start();
    raw_peer_t peer;
    raw_open(&peer);
    raw_publish(&peer, "loans", "k", "v");
    raw_publish(&peer, "loans", "k", "v");
    raw_send(&peer, NULL);
    slice_t body = raw_expect(&peer, MESSAGE_not_greeted);
    not_greeted_t answer;
    cr_assert_eq(codec_decode(not_greeted_wire(), body, &answer, NULL), CAPSTAN_OK);
    cr_assert_eq(answer.node, node_id(kit.node));
    cr_assert_eq(answer.boot, node_boot(kit.node));
    raw_greet(&peer, "late", 1);
    cr_assert_eq(kit_figure("protocol_errors/not_greeted"), 1, "once per batch");
    cr_assert_eq(atomic_load(&kit.seen.published), 0u);
    raw_close(&peer);
    kit_stop();
}

static void send_hello(raw_peer_t *peer, const hello_t *hello)
{
    buffer_t body = {0};
    codec_encode(hello_wire(), hello, &body);
    raw_add(peer,
            &(envelope_t){.message = MESSAGE_hello, .kind = CAPSTAN_KIND_REQUEST, .correlation = 5},
            buffer_slice(&body));
    raw_send(peer, NULL);
    buffer_fini(&body);
}

Test(gateway, refuses_a_hello_it_cannot_serve)
{
    kit_start();
    raw_peer_t peer;
    raw_open(&peer);
    hello_t hello = {.version_min = 2, .version_max = 9, .name = slice_text("x"), .session = 1};
    send_hello(&peer, &hello);
    raw_expect_failure(&peer, CAPSTAN_E_WRONG_VERSION);
    char name[129];
    memset(name, 'n', sizeof name);
    hello = (hello_t){.version_min = 1, .version_max = 1, .name = slice_of(name, 129)};
    send_hello(&peer, &hello);
    raw_expect_failure(&peer, CAPSTAN_E_INVALID);
    hello.name = slice_of("", 0);
    send_hello(&peer, &hello);
    raw_expect_failure(&peer, CAPSTAN_E_INVALID);
    hello.name = slice_of("\xff\xfe", 2);
    send_hello(&peer, &hello);
    raw_expect_failure(&peer, CAPSTAN_E_NOT_UTF8);
    raw_add(&peer, &(envelope_t){.message = MESSAGE_hello, .kind = CAPSTAN_KIND_REQUEST},
            slice_of("\x80", 1));
    raw_send(&peer, NULL);
    raw_expect_failure(&peer, CAPSTAN_E_FIELD_MISSING);
    cr_assert_eq(kit_figure("protocol_errors/refused_hello"), 5);
    cr_assert_eq(kit_figure("session_count"), 0);
    raw_close(&peer);
    kit_stop();
}

Test(gateway, refuses_another_header_version)
{
    kit_start();
    raw_peer_t peer;
    raw_open(&peer);
    raw_add(&peer, &(envelope_t){.message = MESSAGE_ping, .kind = CAPSTAN_KIND_REQUEST},
            slice_of("\x80", 1));
    raw_send(&peer, &(link_header_t){.version = 2});
    raw_expect_failure(&peer, CAPSTAN_E_WRONG_VERSION);
    cr_assert_eq(kit_figure("protocol_errors/wrong_version"), 1);
    raw_close(&peer);
    kit_stop();
}

Test(gateway, keeps_one_session_per_name_the_newer)
{
    kit_start();
    raw_peer_t older;
    raw_peer_t newer;
    raw_open(&older);
    raw_open(&newer);
    raw_greet(&older, "one", 5);
    raw_hello(&newer, "one", 5);
    raw_expect_failure(&newer, CAPSTAN_E_STALE_SESSION);
    raw_greet(&newer, "one", 6);
    raw_expect_failure(&older, CAPSTAN_E_STALE_SESSION);
    raw_publish(&older, "loans", "k", "v");
    raw_send(&older, NULL);
    raw_expect(&older, MESSAGE_not_greeted);
    cr_assert_eq(kit_figure("session_count"), 1);
    cr_assert_eq(kit_figure("sessions_ended/retired"), 1);
    raw_close(&older);
    honest_still_works(&newer);
    kit_stop();
}

Test(gateway, greeted_again_on_one_connection_starts_from_sequence_one)
{
    kit_start();
    raw_peer_t peer;
    raw_open(&peer);
    raw_greet(&peer, "one", 5);
    raw_publish(&peer, "loans", "k", "v");
    raw_send(&peer, &(link_header_t){.version = 1, .sequence = 1});
    raw_expect(&peer, MESSAGE_outcomes);
    raw_greet(&peer, "one", 6);
    cr_assert_eq(peer.header.credit_messages, 1024u);
    honest_still_works(&peer);
    kit_stop();
}

Test(gateway, limits_the_sessions)
{
    kit_defaults();
    kit.settings.sessions_max = 2; /* not later: the gateway reads it on its own thread */
    kit_start();
    raw_peer_t peers[3];
    for (int i = 0; i < 3; i++) {
        raw_open(&peers[i]);
    }
    raw_greet(&peers[0], "zero", 1);
    raw_greet(&peers[1], "one", 1);
    raw_hello(&peers[2], "two", 1);
    raw_expect_failure(&peers[2], CAPSTAN_E_LIMIT);
    raw_close(&peers[0]);
    kit_wait_figure("session_count", 1);
    raw_greet(&peers[2], "two", 2);
    raw_close(&peers[1]);
    raw_close(&peers[2]);
    kit_stop();
}

static void raw_subscribe(raw_peer_t *peer, const link_header_t *header)
{
    buffer_t body = {0};
    codec_encode(subscribe_wire(), &(subscribe_t){.topic = slice_text("loans")}, &body);
    raw_add(
        peer,
        &(envelope_t){.message = MESSAGE_subscribe, .kind = CAPSTAN_KIND_REQUEST, .correlation = 3},
        buffer_slice(&body));
    raw_send(peer, header);
    raw_expect(peer, MESSAGE_subscribed);
    buffer_fini(&body);
}

Test(gateway, delivers_as_far_as_the_peer_grants_and_goes_on_with_its_next_grant)
{
    kit.deliveries = 4;
    kit.delivery_bytes = 1000;
    kit_start();
    raw_peer_t peer;
    raw_open(&peer);
    raw_greet(&peer, "one", 1);
    raw_subscribe(&peer, &(link_header_t){.version = 1, .credit_messages = 1, .credit_bytes = 1});
    raw_expect(&peer, MESSAGE_deliver);
    cr_assert_eq(peer.header.sequence, 1u);
    raw_send(&peer, &(link_header_t){.version = 1, .credit_messages = 3, .credit_bytes = 9999});
    raw_expect(&peer, MESSAGE_deliver);
    cr_assert_eq(peer.header.sequence, 2u);
    raw_expect(&peer, MESSAGE_deliver);
    raw_add(&peer, &(envelope_t){.message = MESSAGE_ping, .kind = CAPSTAN_KIND_REQUEST},
            slice_of("\x80", 1));
    raw_send(&peer, NULL);
    raw_expect(&peer, MESSAGE_pong); /* and not the fourth */
    raw_close(&peer);
    kit_stop();
}

Test(gateway, limits_the_subscriptions_of_a_session)
{
    kit_start();
    raw_peer_t peer;
    raw_open(&peer);
    raw_greet(&peer, "one", 1);
    for (int i = 0; i < 64; i++) {
        raw_subscribe(&peer, NULL);
    }
    raw_add(
        &peer,
        &(envelope_t){.message = MESSAGE_subscribe, .kind = CAPSTAN_KIND_REQUEST, .correlation = 3},
        slice_of("\x80", 1));
    raw_send(&peer, NULL);
    raw_expect_failure(&peer, CAPSTAN_E_LIMIT);
    cr_assert_eq(atomic_load(&kit.seen.subscriptions), 64u);
    raw_close(&peer);
    kit_wait(&kit.seen.subscriptions_ended, 64);
    kit_stop();
}

Test(gateway, ends_the_session_when_its_peer_goes_away)
{
    kit_start();
    raw_peer_t peer;
    raw_open(&peer);
    raw_greet(&peer, "one", 1);
    raw_subscribe(&peer, NULL);
    cr_assert_eq(atomic_load(&kit.seen.subscriptions_ended), 0u);
    raw_close(&peer);
    /* Told by the connection's end: three silent heartbeats would be three seconds later, and
     * counted as silent. */
    kit_wait(&kit.seen.subscriptions_ended, 1);
    cr_assert_eq(kit_figure("sessions_ended/disconnected"), 1);
    cr_assert_eq(kit_figure("sessions_ended/silent"), 0);
    kit_stop();
}

/* A request that the topics actor never answers, then a ping that is answered behind it. */
static void park_request(raw_peer_t *peer, uint64_t correlation, uint64_t ttl_us)
{
    buffer_t body = {0};
    codec_encode(topic_ensure_wire(), &(topic_ensure_t){.topic = slice_text("slow")}, &body);
    raw_add(peer,
            &(envelope_t){.message = MESSAGE_topic_ensure,
                          .kind = CAPSTAN_KIND_REQUEST,
                          .correlation = correlation,
                          .ttl_us = ttl_us},
            buffer_slice(&body));
    buffer_fini(&body);
    raw_send(peer, NULL);
}

static void cancel_request(raw_peer_t *peer, uint64_t correlation)
{
    raw_add(peer,
            &(envelope_t){
                .message = MESSAGE_cancel, .kind = CAPSTAN_KIND_EVENT, .correlation = correlation},
            slice_of("\x80", 1));
    raw_send(peer, NULL);
}

Test(gateway, withdraws_a_request_that_its_peer_cancels)
{
    kit_start();
    raw_peer_t peer;
    raw_open(&peer);
    raw_greet(&peer, "one", 1);
    park_request(&peer, 7, 0);
    park_request(&peer, 8, 0);
    kit_wait(&kit.seen.parked, 2);
    cancel_request(&peer, 7);
    raw_expect_failure(&peer, CAPSTAN_E_CANCELLED);
    kit_wait(&kit.seen.cancelled, 1);
    cancel_request(&peer, 7); /* it has its answer: nothing follows */
    cancel_request(&peer, 0);
    cancel_request(&peer, UINT64_MAX);
    cancel_request(&peer, 8);
    raw_expect_failure(&peer, CAPSTAN_E_CANCELLED);
    kit_wait(&kit.seen.cancelled, 2);
    raw_close(&peer);
    kit_stop();
}

Test(gateway, passes_on_the_time_that_is_left_to_a_request)
{
    kit_start();
    raw_peer_t peer;
    raw_open(&peer);
    raw_greet(&peer, "one", 1);
    park_request(&peer, 7, 20000);
    raw_expect_failure(&peer, CAPSTAN_E_TIMEOUT);
    kit_wait(&kit.seen.cancelled, 1);
    raw_close(&peer);
    kit_stop();
}

Test(gateway, withdraws_the_requests_of_a_peer_that_goes_away)
{
    kit_start();
    raw_peer_t peer;
    raw_open(&peer);
    raw_greet(&peer, "one", 1);
    park_request(&peer, 7, 0);
    park_request(&peer, 8, 0);
    kit_wait(&kit.seen.parked, 2);
    raw_close(&peer);
    kit_wait(&kit.seen.cancelled, 2);
    kit_stop();
}

static uint64_t count_outcomes(slice_t body)
{
    outcomes_t outcomes;
    outcome_t outcome;
    codec_list_t list;
    uint64_t count = 0;
    cr_assert_eq(codec_decode(outcomes_wire(), body, &outcomes, NULL), CAPSTAN_OK);
    cr_assert_eq(codec_list_open(outcome_wire(), outcomes.list, &list), CAPSTAN_OK);
    while (codec_list_next(&list, &outcome)) {
        count += outcome.last - outcome.first + 1;
    }
    return count;
}

/* Of many batches the node has read some when it stops. */
Test(gateway, tells_the_outcome_of_all_it_took_when_the_node_stops)
{
    enum { BATCHES = 100, EACH = 300 };
    kit_defaults();
    kit.settings.credit_messages = BATCHES * EACH;
    kit.settings.credit_bytes = UINT64_C(64) << 20;
    kit_start();
    raw_peer_t peer;
    raw_open(&peer);
    raw_greet(&peer, "one", 1);
    for (int i = 0; i < BATCHES; i++) {
        for (int k = 0; k < EACH; k++) {
            raw_publish(&peer, "loans", "k", "v");
        }
        raw_send(&peer, NULL);
    }
    kit_wait(&kit.seen.published, 1);
    kit_stop();
    uint64_t published = atomic_load(&kit.seen.published);
    uint64_t told = 0;
    while (told < published) {
        told += count_outcomes(raw_expect(&peer, MESSAGE_outcomes));
    }
    cr_assert_eq(told, published);
    raw_close(&peer);
}

Test(gateway, breaks_the_session_of_a_peer_beyond_its_credit)
{
    kit_start();
    raw_peer_t honest;
    raw_peer_t greedy;
    honest_open(&honest);
    raw_open(&greedy);
    raw_greet(&greedy, "greedy", 1);
    for (int i = 0; i < 1025; i++) {
        raw_publish(&greedy, "slow", "k", "v"); /* no answer, so no new credit */
    }
    raw_send(&greedy, NULL);
    raw_expect_failure(&greedy, CAPSTAN_E_NO_CREDIT);
    raw_expect(&greedy, MESSAGE_not_greeted);
    cr_assert_eq(kit_figure("protocol_errors/no_credit"), 1);
    kit_wait_figure("session_count", 1);
    /* What it had parked is dropped with it. */
    cr_assert_eq(capstan_node_tell(kit.node, kit.topics, MESSAGE_kit_release, (slice_t){0}),
                 CAPSTAN_OK);
    raw_close(&greedy);
    honest_still_works(&honest);
    cr_assert_eq(atomic_load(&kit.seen.published), 1u);
    kit_stop();
}

/* Each breaks the session, is counted as `fault`, and is answered `err`. */
static void break_session(raw_peer_t *peer, const char *fault, uint64_t count, capstan_err_t err)
{
    raw_expect_failure(peer, err);
    raw_expect(peer, MESSAGE_not_greeted);
    cr_assert_eq(kit_figure(fault), count);
}

Test(gateway, breaks_the_session_of_a_peer_that_sends_what_it_must_not)
{
    kit_start();
    raw_peer_t honest;
    raw_peer_t peer;
    honest_open(&honest);
    raw_open(&peer);
    const uint64_t forbidden[] = {0,
                                  MESSAGE_outcomes,
                                  MESSAGE_welcome,
                                  MESSAGE_gateway_status,
                                  MESSAGE_deliver,
                                  MESSAGE_topic_resolve,
                                  MESSAGE_partition_read,
                                  MESSAGE_scheduled_cancelled,
                                  MESSAGE_subscription_grant,
                                  0x7fff,
                                  UINT64_MAX};
    uint64_t session = 1;
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++) {
        raw_greet(&peer, "bad", session++);
        raw_add(
            &peer,
            &(envelope_t){.message = forbidden[i], .kind = CAPSTAN_KIND_REQUEST, .correlation = 5},
            slice_of("\x80", 1));
        raw_send(&peer, NULL);
        break_session(&peer, "protocol_errors/unknown_message", i + 1, CAPSTAN_E_UNKNOWN_MESSAGE);
    }
    raw_greet(&peer, "bad", session++);
    raw_add(&peer, &(envelope_t){.message = MESSAGE_publish, .kind = CAPSTAN_KIND_REQUEST},
            slice_of("\x80", 1));
    raw_send(&peer, NULL);
    break_session(&peer, "protocol_errors/malformed", 1, CAPSTAN_E_MALFORMED);
    raw_greet(&peer, "bad", session++);
    raw_publish(&peer, "loans", "k", "v");
    raw_send(&peer, &(link_header_t){.version = 1, .sequence = 2});
    break_session(&peer, "protocol_errors/malformed", 2, CAPSTAN_E_MALFORMED);
    raw_close(&peer);
    honest_still_works(&honest);
    kit_stop();
}

Test(gateway, answers_garbage_and_counts_it)
{
    static const struct {
        const char *bytes;
        size_t size;
    } garbage[] = {
        {"", 0},
        {"\xc1", 1},
        {"GET / HTTP/1.1\r\n\r\n", 18},
        {"\x82\x01\x01", 3},                         /* a map cut off */
        {"\x82\x01\x01\x02\xce\xff\xff\xff\xff", 9}, /* 2^32 messages claimed */
        {"\xdf\xff\xff\xff\xff\x01\x01", 7},         /* a map of 2^32 */
        {"\x82\x01\x01\x02\x01", 5},                 /* one claimed, none there */
        {"\x82\x01\x01\x02\x01\x82\x01\x44\x02\x03\xc6\xff\xff\xff\xff", 15}, /* a body of 4 GiB */
        {"\x82\x01\x01\x02\x00\x00", 6}, /* bytes behind the end */
        {"\x83\x01\x01\x02\x00\x09\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91"
         "\x91\x91\x91\x91\x91\x91",
         28}, /* an unknown field, nested without end */
    };
    enum { COUNT = sizeof garbage / sizeof garbage[0] };
    kit_start();
    raw_peer_t honest;
    raw_peer_t stranger;
    honest_open(&honest);
    raw_open(&stranger);
    for (int i = 0; i < COUNT; i++) {
        raw_send_bytes(&stranger, garbage[i].bytes, garbage[i].size, 0);
        raw_expect(&stranger, MESSAGE_failure);
    }
    cr_assert_eq(kit_figure("protocol_errors/malformed"), COUNT);
    for (uint64_t i = 0; i < COUNT; i++) { /* the same from inside a session ends it */
        raw_greet(&stranger, "bad", i + 1);
        raw_send_bytes(&stranger, garbage[i].bytes, garbage[i].size, 0);
        raw_expect(&stranger, MESSAGE_failure);
        raw_expect(&stranger, MESSAGE_not_greeted);
    }
    cr_assert_eq(kit_figure("protocol_errors/malformed"), 2 * COUNT);
    cr_assert_eq(kit_figure("sessions_ended/protocol_error"), COUNT);
    raw_close(&stranger);
    honest_still_works(&honest);
    kit_stop();
}

static capstan_ref_t open_actor; /* to peers; it answers nothing */
static _Atomic uint64_t open_actor_received;

static capstan_err_t receive_anything(capstan_actor_t *self, const capstan_message_t *message)
{
    (void)self;
    (void)message;
    atomic_fetch_add(&open_actor_received, 1);
    return CAPSTAN_OK;
}

/* A valid batch of everything that a peer can send. */
static void add_all_sorts(raw_peer_t *peer)
{
    buffer_t body = {0};
    raw_publish(peer, "loans", "key", "payload");
    raw_publish(peer, "unknown", "key", "payload");
    codec_encode(topic_ensure_wire(), &(topic_ensure_t){.topic = slice_text("loans")}, &body);
    const uint32_t messages[] = {MESSAGE_topic_ensure, MESSAGE_subscribe, MESSAGE_describe,
                                 MESSAGE_status, MESSAGE_producer_open};
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        raw_add(peer,
                &(envelope_t){.message = messages[i],
                              .kind = CAPSTAN_KIND_REQUEST,
                              .correlation = i + 1,
                              .ttl_us = 1000000},
                buffer_slice(&body));
    }
    for (uint64_t kind = CAPSTAN_KIND_REQUEST; kind <= CAPSTAN_KIND_EVENT; kind++) {
        raw_add(peer,
                &(envelope_t){.message = 0x9000,
                              .kind = kind,
                              .correlation = 20,
                              .target = {.node = node_id(kit.node),
                                         .boot = node_boot(kit.node),
                                         .slot = open_actor.slot,
                                         .generation = open_actor.generation}},
                buffer_slice(&body));
    }
    buffer_clear(&body);
    codec_encode(acknowledge_wire(),
                 &(acknowledge_t){.subscription = 1, .through = slice_of("\x90", 1)}, &body);
    raw_add(peer, &(envelope_t){.message = MESSAGE_acknowledge, .kind = CAPSTAN_KIND_EVENT},
            buffer_slice(&body));
    buffer_fini(&body);
}

/* The next number below `bound` of a fixed sequence (a linear congruence, Knuth's constants). */
static uint64_t random_below(uint64_t *state, uint64_t bound)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (*state >> 33) % bound;
}

static void mutate(buffer_t *batch, uint64_t *random)
{
    static const uint8_t nasty[] = {0x80, 0x81, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc4,
                                    0xc6, 0xcf, 0xd3, 0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xff};
    uint64_t changes = 1 + random_below(random, 4);
    for (uint64_t i = 0; i < changes; i++) {
        /* Half of them in the header and the first envelope. */
        size_t reach = random_below(random, 2) ? batch->size : 60;
        size_t at = random_below(random, reach);
        batch->data[at] = random_below(random, 2) ? (uint8_t)random_below(random, 256)
                                                  : nasty[random_below(random, sizeof nasty)];
    }
    if (random_below(random, 4) == 0) {
        batch->size = random_below(random, batch->size);
    }
}

Test(gateway, outlives_damaged_batches_of_every_kind)
{
    enum { BATCHES = 3000 };
    kit_start();
    raw_peer_t honest;
    raw_peer_t peer;
    honest_open(&honest);
    raw_open(&peer);
    static const capstan_behaviour_t behaviour = {.name = "open", .receive = receive_anything};
    cr_assert_eq(capstan_node_spawn(kit.node, &behaviour,
                                    &(capstan_spawn_options_t){.name = "open", .external = true},
                                    &open_actor),
                 CAPSTAN_OK);
    uint64_t random = 11;
    for (uint64_t i = 0; i < BATCHES; i++) {
        raw_hello(&peer, "damaged", i + 1);
        add_all_sorts(&peer);
        batch_seal(&peer.writer, &(link_header_t){.version = WIRE_VERSION,
                                                  .sequence = 1,
                                                  .credit_messages = 10,
                                                  .credit_bytes = 10000});
        mutate(&peer.batch, &random);
        raw_send_bytes(&peer, peer.batch.data, peer.batch.size, 0);
        buffer_clear(&peer.batch);
        peer.writer = batch_begin(&peer.batch);
        char answer[65536];
        while (zmq_recv(peer.socket, answer, sizeof answer, ZMQ_DONTWAIT) >= 0) {
        }
    }
    kit_wait_figure("sessions_opened", BATCHES + 1);
    cr_assert_gt(kit_figure("protocol_errors/malformed"), 100u);
    cr_assert_gt(atomic_load(&kit.seen.published), 100u);
    cr_assert_gt(atomic_load(&open_actor_received), 100u);
    raw_close(&peer);
    kit_wait_figure("session_count", 1);
    honest_still_works(&honest);
    kit_stop();
}

Test(gateway, rejects_a_body_it_cannot_route_and_keeps_the_session)
{
    kit_start();
    raw_peer_t peer;
    raw_open(&peer);
    raw_greet(&peer, "one", 1);
    raw_add(&peer, &(envelope_t){.message = MESSAGE_publish, .kind = CAPSTAN_KIND_EVENT},
            slice_of("\xdf\xff\xff\xff\xff", 5));
    raw_send(&peer, NULL);
    outcomes_t outcomes;
    outcome_t outcome;
    codec_list_t list;
    slice_t body = raw_expect(&peer, MESSAGE_outcomes);
    cr_assert_eq(codec_decode(outcomes_wire(), body, &outcomes, NULL), CAPSTAN_OK);
    cr_assert_eq(codec_list_open(outcome_wire(), outcomes.list, &list), CAPSTAN_OK);
    cr_assert(codec_list_next(&list, &outcome));
    cr_assert_eq(outcome.result, 4u);
    cr_assert_eq(outcome.error, (uint64_t)CAPSTAN_E_FIELD_MISSING);
    cr_assert_eq(kit_figure("session_count"), 1);
    raw_close(&peer);
    kit_stop();
}

Test(gateway, refuses_other_numbers_of_frames)
{
    kit_start();
    raw_peer_t honest;
    raw_peer_t peer;
    honest_open(&honest);
    raw_open(&peer);
    raw_greet(&peer, "frames", 1);
    for (int i = 0; i < 10000; i++) {
        raw_send_bytes(&peer, "frame", 5, ZMQ_SNDMORE);
    }
    raw_send_bytes(&peer, "last", 4, 0);
    break_session(&peer, "protocol_errors/frames", 1, CAPSTAN_E_MALFORMED);
    raw_send_bytes(&peer, "", 0, ZMQ_SNDMORE);
    raw_send_bytes(&peer, "", 0, 0);
    raw_expect_failure(&peer, CAPSTAN_E_MALFORMED);
    raw_greet(&peer, "frames", 2);
    raw_close(&peer);
    honest_still_works(&honest);
    kit_stop();
}

Test(gateway, drops_a_connection_that_sends_too_large_a_frame)
{
    kit_start();
    raw_peer_t honest;
    raw_peer_t peer;
    honest_open(&honest);
    raw_open(&peer);
    raw_greet(&peer, "large", 1);
    char *bytes = calloc(1, WIRE_BATCH_BYTES_MAX + 1);
    raw_send_bytes(&peer, bytes, WIRE_BATCH_BYTES_MAX + 1, 0);
    free(bytes);
    kit_wait_figure("sessions_ended/disconnected", 1);
    raw_close(&peer);
    honest_still_works(&honest);
    kit_stop();
}

Test(gateway, outlives_peers_that_speak_no_zmtp_or_go_away_in_the_middle)
{
    static const char greeting[] = "\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL";
    kit_start();
    raw_peer_t honest;
    honest_open(&honest);
    int silent = kit_tcp_connect();
    cr_assert_geq(silent, 0);
    for (int i = 0; i < 50; i++) {
        int fd = kit_tcp_connect();
        cr_assert_geq(fd, 0);
        const char *bytes = i % 2 ? greeting : "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        cr_assert_gt(send(fd, bytes, 1 + (size_t)(i % 12), MSG_NOSIGNAL), 0);
        close(fd);
        raw_peer_t peer;
        raw_open(&peer);
        char name[32];
        snprintf(name, sizeof name, "short-%d", i);
        raw_greet(&peer, name, 1);
        raw_publish(&peer, "loans", "k", "v");
        raw_send(&peer, NULL);
        raw_close(&peer);
    }
    kit_wait_figure("sessions_ended/disconnected", 50);
    cr_assert_eq(kit_figure("session_count"), 1);
    close(silent);
    honest_still_works(&honest);
    kit_stop();
}

Test(gateway, ends_the_session_of_a_peer_that_does_not_read)
{
    enum { DESCRIPTION_BYTES = 900000, REQUESTS = 400 };
    char *description = malloc(DESCRIPTION_BYTES);
    memset(description, 'x', DESCRIPTION_BYTES);
    kit_start_with(slice_of(description, DESCRIPTION_BYTES));
    raw_peer_t honest;
    raw_peer_t peer;
    honest_open(&honest);
    raw_open(&peer);
    raw_greet(&peer, "slow", 1);
    for (uint64_t i = 0; i < REQUESTS; i++) { /* 360 MB, more than all buffers on the way */
        raw_add(&peer,
                &(envelope_t){.message = MESSAGE_describe,
                              .kind = CAPSTAN_KIND_REQUEST,
                              .correlation = i + 1},
                slice_of("\x80", 1));
    }
    raw_send(&peer, NULL);
    kit_wait_figure("sessions_ended/slow_peer", 1);
    honest_still_works(&honest);
    raw_close(&peer);
    kit_stop();
    free(description);
}

Test(gateway, refuses_addresses_that_are_not_loopback)
{
    kit.settings = (gateway_settings_t){.endpoint = "tcp://0.0.0.0:*", .heartbeat_ms = 1000};
    capstan_node_t *node;
    cr_assert_eq(capstan_node_new(NULL, &node), CAPSTAN_OK);
    gateway_arguments_t arguments = {.settings = &kit.settings};
    capstan_ref_t ref;
    cr_assert_eq(capstan_node_spawn(
                     node, &gateway_behaviour,
                     &(capstan_spawn_options_t){.cell = "gateway", .argument = &arguments}, &ref),
                 CAPSTAN_E_NOT_LOOPBACK);
    cr_assert(strstr(arguments.error_text, "loopback"), "%s", arguments.error_text);
    cr_assert_eq(capstan_node_stop(&node, 5000000, NULL, NULL), CAPSTAN_OK);
}

Test(gateway, says_when_its_address_is_in_use)
{
    kit_start();
    gateway_settings_t settings = kit.settings;
    settings.endpoint = kit.arguments.endpoint;
    gateway_arguments_t arguments = {.settings = &settings};
    capstan_ref_t ref;
    cr_assert_eq(capstan_node_spawn(
                     kit.node, &gateway_behaviour,
                     &(capstan_spawn_options_t){.cell = "second", .argument = &arguments}, &ref),
                 CAPSTAN_E_ADDRESS_IN_USE);
    cr_assert(strstr(arguments.error_text, "another port"), "%s", arguments.error_text);
    kit_stop();
}
