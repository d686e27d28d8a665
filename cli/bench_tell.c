/* tell: eight actors on one cell send as fast as the receiver's mailbox takes it. Its peer is the
 * bare socket between two threads, one message each, with the same bytes and nothing else. */
#include "cli/bench.h"

#include "runtime/base/ensure.h"

#include <capstan/node.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <zmq.h>

enum {
    MESSAGE_load = 0x8000,
    MESSAGE_go,
    SENDERS = 8,
    BODY_BYTES = 64,
    BURST = 256,
    MAILBOX = 65536,
    STOP_US = 10000000,
};

#define WARM_NS    200000000
#define MEASURE_NS 1000000000

static _Atomic uint64_t received;
static _Atomic bool stopped;

static capstan_err_t count_one(capstan_actor_t *self, const capstan_message_t *message)
{
    (void)self;
    (void)message;
    atomic_store_explicit(&received, atomic_load_explicit(&received, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    return CAPSTAN_OK;
}

static capstan_err_t begin(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    return capstan_tell(self, capstan_actor_ref(self), MESSAGE_go, (capstan_slice_t){0});
}

static capstan_err_t send_burst(capstan_actor_t *self, const capstan_message_t *message)
{
    static const char body[BODY_BYTES] = "sixty-four bytes of payload";
    const capstan_ref_t *target = capstan_actor_state(self);
    (void)message;
    for (int i = 0; i < BURST; i++) {
        if (capstan_tell(self, *target, MESSAGE_load, (capstan_slice_t){body, sizeof body}) !=
            CAPSTAN_OK) {
            break;
        }
    }
    if (atomic_load_explicit(&stopped, memory_order_relaxed)) {
        return CAPSTAN_OK;
    }
    return capstan_tell(self, capstan_actor_ref(self), MESSAGE_go, (capstan_slice_t){0});
}

static void wait_ns(int64_t duration_ns)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += duration_ns % 1000000000;
    until.tv_sec += duration_ns / 1000000000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static double rate_of(_Atomic uint64_t *counter)
{
    wait_ns(WARM_NS);
    int64_t begin_ns = bench_now_ns();
    uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);
    wait_ns(MEASURE_NS);
    uint64_t after = atomic_load_explicit(counter, memory_order_relaxed);
    return (double)(after - before) * 1e9 / (double)(bench_now_ns() - begin_ns);
}

capstan_err_t bench_tell(bench_figures_t *ret_figures)
{
    static const capstan_behaviour_t receiver = {.name = "receiver", .receive = count_one};
    static const capstan_behaviour_t sender = {
        .name = "sender", .init = begin, .receive = send_burst};
    capstan_node_t *node;
    capstan_ref_t target;
    capstan_ref_t ref;
    atomic_store(&received, 0);
    atomic_store(&stopped, false);
    capstan_err_t err = capstan_node_new(NULL, &node);
    if (err != CAPSTAN_OK) {
        return err;
    }
    err = capstan_node_spawn(
        node, &receiver,
        &(capstan_spawn_options_t){.cell = "receiver", .mailbox_messages = MAILBOX}, &target);
    for (int i = 0; i < SENDERS && err == CAPSTAN_OK; i++) {
        err = capstan_node_spawn(node, &sender,
                                 &(capstan_spawn_options_t){.cell = "senders", .argument = &target},
                                 &ref);
    }
    if (err == CAPSTAN_OK) {
        ret_figures->ops_per_s = rate_of(&received);
    }
    atomic_store(&stopped, true);
    capstan_err_t stop = capstan_node_stop(&node, STOP_US, NULL, NULL);
    return err ? err : stop;
}

static void *push(void *context)
{
    char body[BODY_BYTES] = {0};
    void *socket = zmq_socket(context, ZMQ_PUSH);
    ENSURE(socket && zmq_connect(socket, "inproc://bench") == 0);
    while (!atomic_load_explicit(&stopped, memory_order_relaxed)) {
        zmq_send(socket, body, sizeof body, 0);
    }
    zmq_send(socket, "", 0, 0);
    zmq_close(socket);
    return NULL;
}

static void *pull(void *socket)
{
    char body[BODY_BYTES];
    while (zmq_recv(socket, body, sizeof body, 0) > 0) {
        atomic_store_explicit(&received, atomic_load_explicit(&received, memory_order_relaxed) + 1,
                              memory_order_relaxed);
    }
    zmq_close(socket);
    return NULL;
}

capstan_err_t bench_tell_peer(bench_figures_t *ret_figures)
{
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_PULL);
    pthread_t threads[2];
    ENSURE(socket && zmq_bind(socket, "inproc://bench") == 0);
    atomic_store(&received, 0);
    atomic_store(&stopped, false);
    ENSURE(pthread_create(&threads[0], NULL, pull, socket) == 0);
    ENSURE(pthread_create(&threads[1], NULL, push, context) == 0);
    ret_figures->ops_per_s = rate_of(&received);
    atomic_store(&stopped, true);
    pthread_join(threads[1], NULL);
    pthread_join(threads[0], NULL);
    zmq_ctx_term(context);
    return CAPSTAN_OK;
}
