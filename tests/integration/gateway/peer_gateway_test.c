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

Test(peer, is_answered_for_each_event_once)
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
