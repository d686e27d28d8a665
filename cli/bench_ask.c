/* ask: one request at a time to an actor on another cell. Its peer is the bare ping-pong over a
 * PAIR between two threads. */
#include "cli/bench.h"

#include "runtime/base/ensure.h"

#include <capstan/node.h>
#include <pthread.h>
#include <string.h>
#include <zmq.h>

enum {
    MESSAGE_ping = 0x8000,
    MESSAGE_pong,
    MESSAGE_wait, /* from outside: answered when all round trips are done */
    WARM = 2000,
    ROUNDS = 20000,
    ASK_US = 5000000,
    BENCH_US = 60000000,
};

typedef struct asker {
    capstan_ref_t target;
    uint64_t latencies_ns[ROUNDS];
    int round; /* negative while warming up */
    int64_t sent_ns;
    capstan_message_t waiter;
} asker_t;

static capstan_err_t answer(capstan_actor_t *self, const capstan_message_t *message)
{
    capstan_reply(self, message, MESSAGE_pong, message->body);
    return CAPSTAN_OK;
}

static capstan_err_t ask_next(capstan_actor_t *self, asker_t *asker)
{
    uint64_t correlation;
    asker->sent_ns = bench_now_ns();
    return capstan_ask(self, asker->target, MESSAGE_ping, (capstan_slice_t){"ping", 4}, ASK_US,
                       &correlation);
}

static capstan_err_t begin(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    return CAPSTAN_OK;
}

static capstan_err_t on_pong(capstan_actor_t *self, const capstan_message_t *message)
{
    asker_t *asker = capstan_actor_state(self);
    if (message->message == MESSAGE_wait) {
        asker->waiter = *message;
        return ask_next(self, asker);
    }
    if (asker->round >= 0) {
        asker->latencies_ns[asker->round] = (uint64_t)(bench_now_ns() - asker->sent_ns);
    }
    if (++asker->round < ROUNDS) {
        return ask_next(self, asker);
    }
    capstan_reply(self, &asker->waiter, MESSAGE_wait, (capstan_slice_t){0});
    return CAPSTAN_OK;
}

static capstan_err_t run(capstan_node_t *node, asker_t *asker)
{
    static const capstan_behaviour_t answerer = {.name = "answerer", .receive = answer};
    static const capstan_behaviour_t asking = {.name = "asker", .init = begin, .receive = on_pong};
    capstan_ref_t ref;
    void *body;
    size_t size;
    capstan_err_t err = capstan_node_spawn(
        node, &answerer, &(capstan_spawn_options_t){.cell = "answerer"}, &asker->target);
    if (err == CAPSTAN_OK) {
        err = capstan_node_spawn(
            node, &asking, &(capstan_spawn_options_t){.cell = "asker", .argument = asker}, &ref);
    }
    if (err == CAPSTAN_OK) {
        err =
            capstan_node_ask(node, ref, MESSAGE_wait, (capstan_slice_t){0}, BENCH_US, &body, &size);
    }
    return err;
}

capstan_err_t bench_ask(bench_figures_t *ret_figures)
{
    static asker_t asker;
    asker = (asker_t){.round = -WARM};
    capstan_node_t *node;
    capstan_err_t err = capstan_node_new(NULL, &node);
    if (err != CAPSTAN_OK) {
        return err;
    }
    int64_t begin_ns = bench_now_ns();
    err = run(node, &asker);
    if (err == CAPSTAN_OK) {
        ret_figures->ops_per_s = (ROUNDS + WARM) * 1e9 / (double)(bench_now_ns() - begin_ns);
        bench_quantiles(asker.latencies_ns, ROUNDS, ret_figures);
    }
    capstan_err_t stop = capstan_node_stop(&node, ASK_US, NULL, NULL);
    return err ? err : stop;
}

static void *echo(void *socket)
{
    char body[8];
    for (int i = 0; i < WARM + ROUNDS; i++) {
        ENSURE(zmq_recv(socket, body, sizeof body, 0) == 4);
        ENSURE(zmq_send(socket, body, 4, 0) == 4);
    }
    zmq_close(socket);
    return NULL;
}

capstan_err_t bench_ask_peer(bench_figures_t *ret_figures)
{
    static uint64_t latencies_ns[ROUNDS];
    void *context = zmq_ctx_new();
    void *here = zmq_socket(context, ZMQ_PAIR);
    void *there = zmq_socket(context, ZMQ_PAIR);
    pthread_t thread;
    char body[8];
    ENSURE(here && there && zmq_bind(here, "inproc://bench") == 0 &&
           zmq_connect(there, "inproc://bench") == 0);
    ENSURE(pthread_create(&thread, NULL, echo, there) == 0);
    int64_t begin_ns = bench_now_ns();
    for (int i = -WARM; i < ROUNDS; i++) {
        int64_t sent_ns = bench_now_ns();
        ENSURE(zmq_send(here, "ping", 4, 0) == 4);
        ENSURE(zmq_recv(here, body, sizeof body, 0) == 4);
        if (i >= 0) {
            latencies_ns[i] = (uint64_t)(bench_now_ns() - sent_ns);
        }
    }
    ret_figures->ops_per_s = (ROUNDS + WARM) * 1e9 / (double)(bench_now_ns() - begin_ns);
    bench_quantiles(latencies_ns, ROUNDS, ret_figures);
    pthread_join(thread, NULL);
    zmq_close(here);
    zmq_ctx_term(context);
    return CAPSTAN_OK;
}
