/* tell MESSAGES SENDERS SAME_CELL(1 no, 2 yes): SENDERS actors send MESSAGES messages of 64 bytes
 * to one receiver. They send in bursts of 256, the receiver acknowledges each burst, and a sender
 * has four bursts under way: no queue grows without bound, in any of the systems. Latency is that
 * of the last message of a burst, from send to handler. With SAME_CELL all of them share a thread.
 */
#include "tests/bench/runtime/host.h"

#include <stdlib.h>

enum {
    MESSAGE_load = HOST_MESSAGE,
    MESSAGE_burst_end, /* a load that wants an acknowledgement */
    MESSAGE_acknowledge,
    BURST = 256,
    BURSTS_UNDER_WAY = 4,
};

typedef struct load {
    uint64_t number; /* of this sender, from 0 */
    int64_t sent_ns; /* burst_end only */
    char padding[48];
} load_t;
_Static_assert(sizeof(load_t) == 64, "the body has 64 bytes");

typedef struct sender {
    capstan_ref_t receiver;
    uint64_t next;
    uint64_t count;
} sender_t;

typedef struct receiver {
    uint64_t messages;
    uint64_t received;
    uint64_t sum;
    uint64_t senders;
    bool same_cell;
    sender_t *sender_states;
    uint64_t *latencies_ns;
    size_t latency_count;
    capstan_message_t begin;
} receiver_t;

static void send_burst(capstan_actor_t *self, sender_t *sender)
{
    load_t load = {.padding = "sixty-four bytes of payload"};
    for (int i = 0; i < BURST - 1; i++) {
        load.number = sender->next++;
        host_tell(self, sender->receiver, MESSAGE_load, &load, sizeof load);
    }
    load.number = sender->next++;
    load.sent_ns = bench_now_ns();
    host_tell(self, sender->receiver, MESSAGE_burst_end, &load, sizeof load);
}

static capstan_err_t begin_sender(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    for (int i = 0; i < BURSTS_UNDER_WAY; i++) {
        send_burst(self, argument);
    }
    return CAPSTAN_OK;
}

static capstan_err_t on_acknowledge(capstan_actor_t *self, const capstan_message_t *message)
{
    sender_t *sender = capstan_actor_state(self);
    (void)message;
    if (sender->next < sender->count) {
        send_burst(self, sender);
    }
    return CAPSTAN_OK;
}

static void begin(capstan_actor_t *self, receiver_t *receiver)
{
    static const capstan_behaviour_t behaviour = {
        .name = "sender", .init = begin_sender, .receive = on_acknowledge};
    for (size_t i = 0; i < receiver->senders; i++) {
        receiver->sender_states[i] = (sender_t){.receiver = capstan_actor_ref(self),
                                                .count = receiver->messages / receiver->senders};
        host_spawn(self, &behaviour,
                   &(capstan_spawn_options_t){.cell = receiver->same_cell ? NULL : "senders",
                                              .argument = &receiver->sender_states[i]});
    }
}

static void check_and_answer(capstan_actor_t *self, const receiver_t *receiver)
{
    uint64_t each = receiver->messages / receiver->senders;
    bench_expect("sum of the numbers", receiver->sum, receiver->senders * (each * (each - 1) / 2));
    capstan_reply(self, &receiver->begin, HOST_BEGIN, (capstan_slice_t){0});
}

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    receiver_t *receiver = capstan_actor_state(self);
    load_t load;
    if (message->message == HOST_BEGIN) {
        receiver->begin = *message;
        begin(self, receiver);
        return CAPSTAN_OK;
    }
    memcpy(&load, message->body.data, sizeof load);
    receiver->sum += load.number;
    receiver->received++;
    if (message->message == MESSAGE_burst_end) {
        receiver->latencies_ns[receiver->latency_count++] =
            (uint64_t)(bench_now_ns() - load.sent_ns);
        host_tell(self, message->sender, MESSAGE_acknowledge, NULL, 0);
        if (receiver->received == receiver->messages) {
            check_and_answer(self, receiver);
        }
    }
    return CAPSTAN_OK;
}

int main(int argc, char **argv)
{
    static const capstan_behaviour_t behaviour = {
        .name = "receiver", .init = host_keep_argument, .receive = receive};
    receiver_t receiver = {
        .messages = bench_argument(argc, argv, 1, "messages"),
        .senders = bench_argument(argc, argv, 2, "senders"),
        .same_cell = bench_argument(argc, argv, 3, "1: two cells, 2: the same cell") == 2,
    };
    /* Each sender sends whole bursts, at least as many as it has under way. */
    bench_expect("messages beyond whole bursts", receiver.messages % (receiver.senders * BURST), 0);
    if (receiver.messages < receiver.senders * BURST * BURSTS_UNDER_WAY) {
        bench_fail("messages: at least %d for each sender", BURST * BURSTS_UNDER_WAY);
    }
    receiver.sender_states = calloc(receiver.senders, sizeof *receiver.sender_states);
    receiver.latencies_ns = calloc(receiver.messages / BURST, sizeof *receiver.latencies_ns);
    bench_figures_t figures =
        host_run((capstan_node_options_t){0}, &behaviour, &receiver, receiver.messages);
    bench_quantiles(receiver.latencies_ns, receiver.latency_count, &figures);
    bench_print(&figures);
    free(receiver.latencies_ns);
    free(receiver.sender_states);
    return 0;
}
