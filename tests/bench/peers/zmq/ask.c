/* ask ROUNDS: the floor of runtime/ask.c: a bare ping-pong over an inproc PAIR between two threads.
 */
#include "tests/bench/kit/bench.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

typedef struct side {
    void *socket;
    uint64_t rounds;
} side_t;

static void send_round(void *socket, uint64_t round)
{
    if (zmq_send(socket, &round, sizeof round, 0) != sizeof round) {
        bench_fail("send: %s", zmq_strerror(zmq_errno()));
    }
}

static uint64_t receive_round(void *socket)
{
    uint64_t round;
    if (zmq_recv(socket, &round, sizeof round, 0) != sizeof round) {
        bench_fail("receive: %s", zmq_strerror(zmq_errno()));
    }
    return round;
}

static void *echo(void *argument)
{
    const side_t *side = argument;
    for (uint64_t i = 0; i < side->rounds; i++) {
        send_round(side->socket, receive_round(side->socket));
    }
    zmq_close(side->socket);
    return NULL;
}

int main(int argc, char **argv)
{
    uint64_t rounds = bench_argument(argc, argv, 1, "rounds");
    uint64_t warm = rounds / 10;
    uint64_t *latencies_ns = calloc(rounds, sizeof *latencies_ns);
    void *context = zmq_ctx_new();
    void *here = zmq_socket(context, ZMQ_PAIR);
    side_t there = {.socket = zmq_socket(context, ZMQ_PAIR), .rounds = rounds + warm};
    pthread_t thread;
    if (!latencies_ns || zmq_bind(here, "inproc://ask") != 0 ||
        zmq_connect(there.socket, "inproc://ask") != 0 ||
        pthread_create(&thread, NULL, echo, &there) != 0) {
        bench_fail("start");
    }
    bench_meter_t meter = bench_begin();
    for (uint64_t i = 0; i < rounds + warm; i++) {
        int64_t sent_ns = bench_now_ns();
        send_round(here, i);
        bench_expect("number in the answer", receive_round(here), i);
        if (i >= warm) {
            latencies_ns[i - warm] = (uint64_t)(bench_now_ns() - sent_ns);
        }
    }
    bench_figures_t figures = bench_end(&meter, rounds + warm);
    pthread_join(thread, NULL);
    zmq_close(here);
    zmq_ctx_term(context);
    bench_quantiles(latencies_ns, rounds, &figures);
    bench_print(&figures);
    free(latencies_ns);
    return 0;
}
