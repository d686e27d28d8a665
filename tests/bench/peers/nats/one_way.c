/* one_way PORT MESSAGES: another process publishes MESSAGES of 64 bytes as fast as it can, this one
 * is subscribed and gets them all, in order. */
#include "tests/bench/peers/nats/pair.h"

#include <semaphore.h>
#include <string.h>

typedef struct subscriber {
    uint64_t received; /* the library's delivery thread alone */
    uint64_t messages;
    sem_t done;
} subscriber_t;

static void on_message(natsConnection *nats, natsSubscription *subscription, natsMsg *message,
                       void *argument)
{
    subscriber_t *subscriber = argument;
    uint64_t number;
    (void)nats;
    (void)subscription;
    bench_expect("bytes of a message", (uint64_t)natsMsg_GetDataLength(message), PAIR_BODY_BYTES);
    memcpy(&number, natsMsg_GetData(message), sizeof number);
    bench_expect("number of the message", number, subscriber->received++);
    natsMsg_Destroy(message);
    if (subscriber->received == subscriber->messages) {
        sem_post(&subscriber->done);
    }
}

static void publish(const pair_t *self)
{
    char body[PAIR_BODY_BYTES] = {0};
    pair_wait(self);
    for (uint64_t number = 0; number < self->count; number++) {
        memcpy(body, &number, sizeof number);
        pair_must(natsConnection_Publish(self->nats, "load", body, sizeof body), "publish");
    }
    pair_must(natsConnection_Flush(self->nats), "flush");
}

int main(int argc, char **argv)
{
    subscriber_t subscriber = {.messages = bench_argument(argc, argv, 2, "messages")};
    natsSubscription *subscription;
    sem_init(&subscriber.done, 0, 0);
    pair_t pair = pair_start(&(pair_options_t){.port = bench_argument(argc, argv, 1, "port"),
                                               .count = subscriber.messages,
                                               .other = publish});
    pair_must(natsConnection_Subscribe(&subscription, pair.nats, "load", on_message, &subscriber),
              "subscribe");
    pair_must(natsSubscription_SetPendingLimits(subscription, -1, -1), "limits");
    pair_must(natsConnection_Flush(pair.nats), "flush");
    bench_meter_t meter = bench_begin();
    pair_signal(&pair);
    sem_wait(&subscriber.done);
    bench_figures_t figures = bench_end(&meter, subscriber.messages);
    natsSubscription_Destroy(subscription);
    pair_stop(&pair);
    figures.cpu_s = bench_end(&meter, 0).cpu_s; /* with the other process's, which has ended */
    bench_print(&figures);
    return 0;
}
