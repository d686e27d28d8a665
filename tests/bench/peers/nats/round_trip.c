/* round_trip PORT ROUNDS: one request of 64 bytes at a time to another process, which sends it
 * back; ROUNDS times after a tenth as many to warm up. */
#include "tests/bench/peers/nats/pair.h"

#include <stdlib.h>
#include <string.h>

enum { REQUEST_MS = 5000 };

static void answer(natsConnection *nats, natsSubscription *subscription, natsMsg *message,
                   void *argument)
{
    (void)subscription;
    (void)argument;
    pair_must(natsConnection_Publish(nats, natsMsg_GetReply(message), natsMsg_GetData(message),
                                     natsMsg_GetDataLength(message)),
              "answer");
    natsMsg_Destroy(message);
}

static void answer_all(const pair_t *self)
{
    natsSubscription *subscription;
    pair_must(natsConnection_Subscribe(&subscription, self->nats, "ping", answer, NULL),
              "subscribe");
    pair_must(natsConnection_Flush(self->nats), "flush");
    pair_signal(self);
    pair_wait(self);
    natsSubscription_Destroy(subscription);
}

static void ask(const pair_t *self, uint64_t round)
{
    char body[PAIR_BODY_BYTES] = {0};
    natsMsg *reply;
    uint64_t echoed;
    memcpy(body, &round, sizeof round);
    pair_must(natsConnection_Request(&reply, self->nats, "ping", body, sizeof body, REQUEST_MS),
              "request");
    memcpy(&echoed, natsMsg_GetData(reply), sizeof echoed);
    bench_expect("number in the answer", echoed, round);
    natsMsg_Destroy(reply);
}

int main(int argc, char **argv)
{
    uint64_t rounds = bench_argument(argc, argv, 2, "rounds");
    uint64_t warm = rounds / 10;
    uint64_t *latencies_ns = calloc(rounds, sizeof *latencies_ns);
    pair_t pair = pair_start(&(pair_options_t){.port = bench_argument(argc, argv, 1, "port"),
                                               .count = rounds,
                                               .send_at_once = true,
                                               .other = answer_all});
    pair_wait(&pair);
    bench_meter_t meter = bench_begin();
    for (uint64_t i = 0; i < rounds + warm; i++) {
        int64_t sent_ns = bench_now_ns();
        ask(&pair, i);
        if (i >= warm) {
            latencies_ns[i - warm] = (uint64_t)(bench_now_ns() - sent_ns);
        }
    }
    bench_figures_t figures = bench_end(&meter, rounds + warm);
    pair_signal(&pair);
    pair_stop(&pair);
    figures.cpu_s = bench_end(&meter, 0).cpu_s; /* with the other process's, which has ended */
    bench_quantiles(latencies_ns, rounds, &figures);
    bench_print(&figures);
    free(latencies_ns);
    return 0;
}
