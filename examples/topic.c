/* Topics: events that are kept in order and not lost, published and consumed inside one program.
 *
 * A program opens the topics of a store beside its actors. It publishes; each event is answered
 * when it is on disk. Then a handler consumes, as a member of a group: events of one customer come
 * one after the other, those of several at the same time. What the handler rejects is tried again;
 * what it acknowledged is not delivered again, not even to the next run of the program.
 *
 * Here orders are booked. The network to the bank fails at first for Bob, and his second order has
 * to wait behind his first.
 *
 * It prints:
 *   4 orders are on disk
 *   bob's first order fails, and is tried again
 *   ann has paid 30
 *   bob has paid 70
 *   the same order again: a duplicate */
#include <capstan/group.h>
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ORDERS = 4, SECOND_US = 1000000 };

typedef struct order {
    const char *customer;
    uint64_t number; /* 1, 2, 3 ... for each customer: what is sent twice is recognised */
    uint64_t amount;
} order_t;

static const order_t orders[ORDERS] = {
    {"ann", 1, 10}, {"bob", 1, 50}, {"ann", 2, 20}, {"bob", 2, 20}};

/* What handlers share. Each customer's sum is touched by one handler at a time. */
typedef struct bank {
    uint64_t ann;
    uint64_t bob;
    _Atomic unsigned booked;
} bank_t;

/* Runs on one of the node's threads. It fails by an error, and the event comes again. */
static capstan_err_t book(capstan_actor_t *self, void *context, const capstan_delivery_t *delivery)
{
    (void)self;
    bank_t *bank = context;
    uint64_t amount;
    bool is_bob = memcmp(delivery->event.key.data, "bob", delivery->event.key.size) == 0;
    if (is_bob && delivery->event.sequence == 1 && delivery->attempts == 0) {
        printf("bob's first order fails, and is tried again\n");
        return CAPSTAN_E_TIMEOUT;
    }
    memcpy(&amount, delivery->event.payload.data, sizeof amount);
    *(is_bob ? &bank->bob : &bank->ann) += amount;
    atomic_fetch_add(&bank->booked, 1);
    return CAPSTAN_OK;
}

static capstan_err_t publish(capstan_node_t *node, const capstan_topic_t *topic,
                             const order_t *order, capstan_outcome_t *ret_outcome)
{
    const capstan_event_t event = {.key = capstan_slice_text(order->customer),
                                   .producer = capstan_slice_text("shop"),
                                   .sequence = order->number,
                                   .payload = {&order->amount, sizeof order->amount}};
    return capstan_node_publish(node, topic, &event, 10 * SECOND_US, ret_outcome);
}

static capstan_err_t publish_all(capstan_node_t *node, const capstan_topic_t *topic)
{
    capstan_err_t err = CAPSTAN_OK;
    unsigned stored = 0;
    for (size_t i = 0; i < ORDERS && err == CAPSTAN_OK; i++) {
        capstan_outcome_t outcome;
        err = publish(node, topic, &orders[i], &outcome);
        stored += err == CAPSTAN_OK && outcome.result == CAPSTAN_RESULT_STORED;
    }
    printf("%u orders are on disk\n", stored);
    return err;
}

static capstan_err_t consume(capstan_node_t *node, const capstan_topic_t *topic, char *text,
                             size_t size)
{
    bank_t bank = {.ann = 0};
    capstan_subscription_t *subscription;
    const capstan_subscribe_options_t options = {
        .group = "bank", .handle = book, .context = &bank, .concurrency = 2};
    capstan_err_t err = capstan_subscribe(node, topic, &options, &subscription, text, size);
    if (err != CAPSTAN_OK) {
        return err;
    }
    while (atomic_load(&bank.booked) < ORDERS) {
        poll(NULL, 0, 1);
    }
    err = capstan_unsubscribe(&subscription, 10 * SECOND_US); /* no handler runs any more */
    printf("ann has paid %" PRIu64 "\nbob has paid %" PRIu64 "\n", bank.ann, bank.bob);
    return err;
}

static capstan_err_t run(capstan_node_t *node, const char *path, char *text, size_t size)
{
    capstan_topic_t *topic;
    capstan_outcome_t outcome;
    capstan_err_t err = capstan_topics_open(
        node, &(capstan_topics_options_t){.path = path, .group_retry_ms_min = 20}, text, size);
    err = err ? err
              : capstan_topic_ensure(
                    node, "orders",
                    &(capstan_topic_options_t){.sequence = CAPSTAN_SEQUENCE_PRODUCER}, &topic);
    err = err ? err : publish_all(node, topic);
    err = err ? err : consume(node, topic, text, size);
    err = err ? err : publish(node, topic, &orders[0], &outcome);
    if (err == CAPSTAN_OK && outcome.result == CAPSTAN_RESULT_DUPLICATE) {
        printf("the same order again: a duplicate\n");
    }
    return err;
}

int main(void)
{
    char folder[] = "/tmp/capstan-topic-XXXXXX";
    char path[64];
    char text[256] = "";
    capstan_node_t *node;
    if (!mkdtemp(folder) || snprintf(path, sizeof path, "%s/shop.db", folder) < 0) {
        return 1;
    }
    capstan_err_t err = capstan_node_new(&(capstan_node_options_t){.log_fd = -1}, &node);
    err = err ? err : run(node, path, text, sizeof text);
    err = err ? err : capstan_node_stop(&node, 10 * SECOND_US, NULL, NULL);
    if (err != CAPSTAN_OK) {
        fprintf(stderr, "topic: %s. %s %s\n", capstan_err_text(err), capstan_err_remedy(err), text);
    }
    static const char *const suffixes[] = {"", "-wal", "-shm", "-lock"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(path, sizeof path, "%s/shop.db%s", folder, suffixes[i]);
        unlink(path);
    }
    rmdir(folder);
    return err == CAPSTAN_OK ? 0 : 1;
}
