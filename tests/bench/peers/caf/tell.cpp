// The same as runtime/tell.c: senders in bursts of 256, four under way, each acknowledged. Where
// all share a thread there, the scheduler has one worker here.
#include "tests/bench/peers/caf/host.hpp"

using namespace caf;

struct load {
    uint64_t number;
    char padding[56];
};

// The last load of a burst; it wants an acknowledgement.
struct burst_end {
    uint64_t number;
    int64_t sent_ns;
    char padding[48];
};

struct acknowledge {
};

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(load)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(burst_end)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(acknowledge)

static_assert(sizeof(load) == 64 && sizeof(burst_end) == 64, "the body has 64 bytes");

namespace
{

constexpr uint64_t burst = 256;
constexpr uint64_t bursts_under_way = 4;

struct sender_state {
    uint64_t next = 0;
};

void send_burst(stateful_actor<sender_state> *self, const actor &receiver)
{
    uint64_t &next = self->state.next;
    for (uint64_t i = 0; i < burst - 1; i++) {
        self->send(receiver, load{next++, "sixty-four bytes of payload"});
    }
    self->send(receiver, burst_end{next++, bench_now_ns(), "sixty-four bytes of payload"});
}

behavior sender(stateful_actor<sender_state> *self, actor receiver, uint64_t count)
{
    for (uint64_t i = 0; i < bursts_under_way; i++) {
        send_burst(self, receiver);
    }
    return {
        [=](const acknowledge &) {
            if (self->state.next < count) {
                send_burst(self, receiver);
            }
        },
    };
}

struct receiver_state {
    uint64_t received = 0;
    uint64_t sum = 0;
};

behavior receiver(stateful_actor<receiver_state> *self, actor observer, uint64_t messages,
                  std::vector<uint64_t> *latencies_ns)
{
    return {
        [=](const load &message) {
            self->state.received++;
            self->state.sum += message.number;
        },
        [=](const burst_end &message) {
            self->state.received++;
            self->state.sum += message.number;
            latencies_ns->push_back(static_cast<uint64_t>(bench_now_ns() - message.sent_ns));
            self->send(actor_cast<actor>(self->current_sender()), acknowledge{});
            if (self->state.received == messages) {
                self->send(observer, host::done_atom::value, self->state.sum);
            }
        },
    };
}

} // namespace

int main(int argc, char **argv)
{
    uint64_t messages = bench_argument(argc, argv, 1, "messages");
    uint64_t senders = bench_argument(argc, argv, 2, "senders");
    bool one_thread = bench_argument(argc, argv, 3, "1: two threads, 2: one thread") == 2;
    uint64_t each = messages / senders;
    std::vector<uint64_t> latencies_ns;
    latencies_ns.reserve(messages / burst);
    host::config config{one_thread ? 1 : host::workers};
    actor_system system{config};
    host::stretch stretch{system};
    actor target = system.spawn(receiver, stretch.observer(), messages, &latencies_ns);
    std::vector<actor> all{target};
    for (uint64_t i = 0; i < senders; i++) {
        all.push_back(system.spawn(sender, target, each));
    }
    bench_figures_t figures = stretch.end(messages, senders * (each * (each - 1) / 2));
    for (const actor &one : all) {
        anon_send_exit(one, exit_reason::user_shutdown);
    }
    bench_quantiles(latencies_ns.data(), latencies_ns.size(), &figures);
    bench_print(&figures);
}
