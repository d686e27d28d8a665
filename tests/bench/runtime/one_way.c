/* one_way MESSAGES HOPS(1: to an actor of a node, 2: through a node to another peer): a peer in a
 * process of its own sends MESSAGES of 64 bytes as fast as it is granted. All of them arrive, in
 * order. */
#include "tests/bench/runtime/remote.h"

#include <string.h>

enum {
    MESSAGE_load = HOST_MESSAGE,
    WAIT_US = 10000,
};

typedef struct sink {
    uint64_t messages;
    uint64_t received;
    capstan_message_t begin;
} sink_t;

static void take(sink_t *sink, capstan_slice_t body)
{
    uint64_t number;
    bench_expect("bytes of a message", body.size, REMOTE_BODY_BYTES);
    memcpy(&number, body.data, sizeof number);
    bench_expect("number of the message", number, sink->received++);
}

/* --- the peer that sends -----------------------------------------------------------------------
 */

static void refuse(capstan_peer_t *self, void *context, capstan_err_t err, uint64_t count)
{
    (void)self;
    (void)context;
    bench_fail("%llu messages were refused: %s", (unsigned long long)count, capstan_err_text(err));
}

/* It hears the endpoint, then the address to send to, says that it is ready, and hears when. */
static void send_all(const remote_t *self, uint64_t count)
{
    char word[REMOTE_ENDPOINT_SIZE];
    char body[REMOTE_BODY_BYTES] = {0};
    capstan_ref_t target;
    remote_hear(self, word);
    capstan_peer_t *peer = remote_connect(word, (capstan_peer_options_t){.refused = refuse});
    remote_hear(self, word);
    host_must(capstan_peer_resolve(peer, word, REMOTE_US, &target), word);
    remote_say(self, "ready");
    remote_hear(self, word);
    for (uint64_t number = 0; number < count;) {
        memcpy(body, &number, sizeof number);
        capstan_err_t err =
            capstan_peer_tell(peer, target, MESSAGE_load, (capstan_slice_t){body, sizeof body});
        if (err == CAPSTAN_E_NO_CREDIT) {
            capstan_peer_poll(peer, WAIT_US);
        } else {
            host_must(err, "tell");
            number++;
        }
    }
    capstan_peer_close(&peer, REMOTE_US);
}

static bench_meter_t begin(const remote_t *sender, const char *endpoint, const char *address)
{
    char word[REMOTE_ENDPOINT_SIZE];
    remote_say(sender, endpoint);
    remote_say(sender, address);
    remote_hear(sender, word);
    bench_meter_t meter = bench_begin();
    remote_say(sender, "go");
    return meter;
}

/* --- to an actor of a node in this process -----------------------------------------------------
 */

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    sink_t *sink = capstan_actor_state(self);
    if (message->message == HOST_BEGIN) {
        sink->begin = *message;
    } else {
        take(sink, message->body);
    }
    if (sink->received == sink->messages && sink->begin.kind == CAPSTAN_KIND_REQUEST) {
        capstan_reply(self, &sink->begin, HOST_BEGIN, (capstan_slice_t){0});
    }
    return CAPSTAN_OK;
}

static void to_actor(sink_t *sink, const remote_t *sender, bench_figures_t *ret_figures)
{
    static const capstan_behaviour_t behaviour = {
        .name = "sink", .init = host_keep_argument, .receive = receive};
    char endpoint[REMOTE_ENDPOINT_SIZE];
    capstan_ref_t ref;
    capstan_node_t *node = remote_node(&behaviour, sink, "sink", &ref, endpoint);
    bench_meter_t meter = begin(sender, endpoint, "sink");
    host_must(capstan_node_ask(node, ref, HOST_BEGIN, (capstan_slice_t){0}, REMOTE_US, NULL, NULL),
              "the run");
    *ret_figures = bench_end(&meter, sink->messages);
    remote_join(sender);
    ret_figures->cpu_s = bench_end(&meter, 0).cpu_s; /* with the other processes', which ended */
    host_must(capstan_node_stop(&node, REMOTE_US, NULL, NULL), "stop");
}

/* --- to a peer in this process, through a node in a third --------------------------------------
 */

static void peer_receive(capstan_peer_t *self, void *context, const capstan_peer_message_t *message)
{
    (void)self;
    take(context, message->body);
}

static void pass_on(const remote_t *self, uint64_t count)
{
    (void)count;
    remote_serve(self, NULL, NULL);
}

static void to_peer(sink_t *sink, const remote_t *sender, const remote_t *node,
                    bench_figures_t *ret_figures)
{
    char endpoint[REMOTE_ENDPOINT_SIZE];
    remote_hear(node, endpoint);
    capstan_peer_t *peer = remote_connect(
        endpoint,
        (capstan_peer_options_t){.name = "sink", .context = sink, .receive = peer_receive});
    bench_meter_t meter = begin(sender, endpoint, "peer/sink");
    while (sink->received < sink->messages) {
        capstan_peer_poll(peer, WAIT_US);
    }
    *ret_figures = bench_end(&meter, sink->messages);
    remote_join(sender);
    capstan_peer_close(&peer, REMOTE_US);
    remote_say(node, "end");
    remote_join(node);
    ret_figures->cpu_s = bench_end(&meter, 0).cpu_s;
}

int main(int argc, char **argv)
{
    sink_t sink = {.messages = bench_argument(argc, argv, 1, "messages")};
    uint64_t hops = bench_argument(argc, argv, 2, "1: to an actor, 2: to a peer");
    bench_figures_t figures;
    remote_t sender = remote_start(send_all, sink.messages);
    if (hops == 1) {
        to_actor(&sink, &sender, &figures);
    } else {
        remote_t node = remote_start(pass_on, 0);
        to_peer(&sink, &sender, &node, &figures);
    }
    bench_print(&figures);
    return 0;
}
