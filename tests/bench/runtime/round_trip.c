/* round_trip ROUNDS: a peer sends one request of 64 bytes at a time to an actor of a node in
 * another process, which sends it back; ROUNDS times after a tenth as many to warm up. */
#include "tests/bench/runtime/remote.h"

#include <stdlib.h>
#include <string.h>

enum { MESSAGE_ping = HOST_MESSAGE };

static capstan_err_t answer(capstan_actor_t *self, const capstan_message_t *message)
{
    capstan_reply(self, message, MESSAGE_ping, message->body);
    return CAPSTAN_OK;
}

static void serve(const remote_t *self, uint64_t count)
{
    static const capstan_behaviour_t behaviour = {.name = "echo", .receive = answer};
    (void)count;
    remote_serve(self, &behaviour, "echo");
}

static void ask(capstan_peer_t *peer, capstan_ref_t echo, uint64_t round)
{
    char body[REMOTE_BODY_BYTES] = {0};
    char memory[REMOTE_BODY_BYTES];
    uint64_t echoed;
    capstan_buffer_t reply = capstan_buffer_over(memory, sizeof memory);
    memcpy(body, &round, sizeof round);
    host_must(capstan_peer_ask(peer, echo, MESSAGE_ping, (capstan_slice_t){body, sizeof body},
                               REMOTE_US, &reply),
              "request");
    memcpy(&echoed, memory, sizeof echoed);
    bench_expect("number in the answer", echoed, round);
}

int main(int argc, char **argv)
{
    uint64_t rounds = bench_argument(argc, argv, 1, "rounds");
    uint64_t warm = rounds / 10;
    uint64_t *latencies_ns = calloc(rounds, sizeof *latencies_ns);
    char endpoint[REMOTE_ENDPOINT_SIZE];
    capstan_ref_t echo;
    remote_t node = remote_start(serve, 0);
    remote_hear(&node, endpoint);
    capstan_peer_t *peer = remote_connect(endpoint, (capstan_peer_options_t){0});
    host_must(capstan_peer_resolve(peer, "echo", REMOTE_US, &echo), "echo");
    bench_meter_t meter = bench_begin();
    for (uint64_t i = 0; i < rounds + warm; i++) {
        int64_t sent_ns = bench_now_ns();
        ask(peer, echo, i);
        if (i >= warm) {
            latencies_ns[i - warm] = (uint64_t)(bench_now_ns() - sent_ns);
        }
    }
    bench_figures_t figures = bench_end(&meter, rounds + warm);
    capstan_peer_close(&peer, REMOTE_US);
    remote_say(&node, "end");
    remote_join(&node);
    figures.cpu_s = bench_end(&meter, 0).cpu_s; /* with the other process's, which has ended */
    bench_quantiles(latencies_ns, rounds, &figures);
    bench_print(&figures);
    free(latencies_ns);
    return 0;
}
