// The same as runtime/mailbox.c. The senders are functions that run once, and all send one message
// object, as in CAF's own suite.
#include "tests/bench/peers/caf/host.hpp"

using namespace caf;

namespace
{

using load_atom = atom_constant<atom("load")>;

struct receiver_state {
    uint64_t received = 0;
};

behavior receiver(stateful_actor<receiver_state> *self, actor observer, uint64_t messages)
{
    return {
        [=](load_atom) {
            if (++self->state.received == messages) {
                self->send(observer, host::done_atom::value, messages);
                self->quit();
            }
        },
    };
}

void sender(const actor &target, uint64_t messages)
{
    message load = make_message(load_atom::value);
    for (uint64_t i = 0; i < messages; i++) {
        anon_send(target, load);
    }
}

} // namespace

int main(int argc, char **argv)
{
    uint64_t senders = bench_argument(argc, argv, 1, "senders");
    uint64_t each = bench_argument(argc, argv, 2, "messages of each sender");
    host::config config;
    actor_system system{config};
    host::stretch stretch{system};
    actor target = system.spawn(receiver, stretch.observer(), senders * each);
    for (uint64_t i = 0; i < senders; i++) {
        system.spawn(sender, target, each);
    }
    bench_figures_t figures = stretch.end(senders * each, senders * each);
    bench_print(&figures);
}
