/* mailbox SENDERS MESSAGES: SENDERS actors send MESSAGES empty messages each to one receiver, as
 * fast as they can.
 *
 * From CAF's suite (mailbox_performance), which has 100 senders of 1,000,000 messages; a tenth of
 * the messages here, so that a run takes about a second on two cores. The peers' mailboxes grow
 * without bound; ours is bounded, and a sender that finds it full comes back a millisecond later.
 */
#include "tests/bench/runtime/host.h"

#include <stdlib.h>

enum { MESSAGE_load = HOST_MESSAGE, MESSAGE_go, BURST = 1000 };

typedef struct sender {
    capstan_ref_t receiver;
    uint64_t left;
} sender_t;

typedef struct receiver {
    uint64_t senders;
    uint64_t each;
    uint64_t received;
    sender_t *sender_states;
    capstan_message_t begin;
} receiver_t;

/* A burst, and then the turn of the others. */
static void send_burst(capstan_actor_t *self)
{
    sender_t *sender = capstan_actor_state(self);
    for (int i = 0; i < BURST && sender->left > 0; i++, sender->left--) {
        host_tell(self, sender->receiver, MESSAGE_load, NULL, 0);
    }
    if (sender->left > 0) {
        host_tell(self, capstan_actor_ref(self), MESSAGE_go, NULL, 0);
    }
}

static capstan_err_t begin_sender(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    send_burst(self);
    return CAPSTAN_OK;
}

static capstan_err_t on_go(capstan_actor_t *self, const capstan_message_t *message)
{
    (void)message;
    send_burst(self);
    return CAPSTAN_OK;
}

static void begin(capstan_actor_t *self, receiver_t *receiver)
{
    static const capstan_behaviour_t behaviour = {
        .name = "sender", .init = begin_sender, .receive = on_go};
    for (uint64_t i = 0; i < receiver->senders; i++) {
        receiver->sender_states[i] =
            (sender_t){.receiver = capstan_actor_ref(self), .left = receiver->each};
        host_spawn(
            self, &behaviour,
            &(capstan_spawn_options_t){.cell = "senders", .argument = &receiver->sender_states[i]});
    }
}

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    receiver_t *receiver = capstan_actor_state(self);
    if (message->message == HOST_BEGIN) {
        receiver->begin = *message;
        begin(self, receiver);
    } else if (++receiver->received == receiver->senders * receiver->each) {
        capstan_reply(self, &receiver->begin, HOST_BEGIN, (capstan_slice_t){0});
    }
    return CAPSTAN_OK;
}

int main(int argc, char **argv)
{
    static const capstan_behaviour_t behaviour = {
        .name = "receiver", .init = host_keep_argument, .receive = receive};
    receiver_t receiver = {
        .senders = bench_argument(argc, argv, 1, "senders"),
        .each = bench_argument(argc, argv, 2, "messages of each sender"),
    };
    receiver.sender_states = calloc(receiver.senders, sizeof *receiver.sender_states);
    uint64_t messages = receiver.senders * receiver.each;
    bench_figures_t figures =
        host_run((capstan_node_options_t){0}, &behaviour, &receiver, messages);
    bench_expect("messages received", receiver.received, messages);
    bench_print(&figures);
    free(receiver.sender_states);
    return 0;
}
