// The same as runtime/big.c.
#include "tests/bench/peers/caf/host.hpp"

using namespace caf;

namespace
{

using start_atom = atom_constant<atom("start")>;
using ping_atom = atom_constant<atom("ping")>;
using pong_atom = atom_constant<atom("pong")>;
using answered_atom = atom_constant<atom("answered")>;

using actors_t = std::vector<actor>; // complete before the actors hear `start`

struct pinger_state {
    uint64_t random = 0;
    uint64_t sent = 0;
    uint64_t answered = 0;
    uint64_t pinged = 0;
};

void ping(stateful_actor<pinger_state> *self, const actor &sink, const actors_t &all,
          uint64_t pings)
{
    pinger_state &state = self->state;
    if (state.sent == pings) {
        self->send(sink, host::done_atom::value);
        return;
    }
    state.sent++;
    state.pinged = bench_random(&state.random) % all.size();
    self->send(all[state.pinged], ping_atom::value);
}

behavior pinger(stateful_actor<pinger_state> *self, actor sink, const actors_t *all, uint64_t pings,
                uint64_t random)
{
    self->state.random = random;
    return {
        [=](ping_atom) {
            self->state.answered++;
            self->send(actor_cast<actor>(self->current_sender()), pong_atom::value);
        },
        [=](pong_atom) {
            if (self->current_sender() != (*all)[self->state.pinged]) {
                bench_fail("a pong from another than was pinged");
            }
            ping(self, sink, *all, pings);
        },
        [=](start_atom) { ping(self, sink, *all, pings); },
        [=](host::done_atom) {
            self->send(sink, answered_atom::value, self->state.answered);
            self->quit();
        },
    };
}

struct sink_state {
    actors_t all;
    uint64_t done = 0;
    uint64_t reported = 0;
    uint64_t answered = 0;
};

behavior sink(stateful_actor<sink_state> *self, actor observer, uint64_t actors, uint64_t pings)
{
    for (uint64_t i = 0; i < actors; i++) {
        self->state.all.push_back(
            self->spawn(pinger, actor{self}, &self->state.all, pings, bench_seed() + i));
    }
    for (const actor &one : self->state.all) {
        self->send(one, start_atom::value);
    }
    return {
        [=](host::done_atom done) {
            if (++self->state.done == actors) {
                for (const actor &one : self->state.all) {
                    self->send(one, done);
                }
            }
        },
        [=](answered_atom, uint64_t answered) {
            self->state.answered += answered;
            if (++self->state.reported == actors) {
                self->send(observer, host::done_atom::value, self->state.answered);
                self->quit();
            }
        },
    };
}

} // namespace

int main(int argc, char **argv)
{
    uint64_t actors = bench_argument(argc, argv, 1, "actors");
    uint64_t pings = bench_argument(argc, argv, 2, "pings of each actor");
    host::config config;
    actor_system system{config};
    host::stretch stretch{system};
    system.spawn(sink, stretch.observer(), actors, pings);
    bench_figures_t figures = stretch.end(actors * pings, actors * pings);
    bench_print(&figures);
}
