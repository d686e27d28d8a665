// The same as runtime/rings.c.
#include "tests/bench/peers/caf/host.hpp"

using namespace caf;

namespace
{

struct link_state {
    actor next;
};

// A token is (laps left, hops done).
behavior chain_link(event_based_actor *self, actor next)
{
    return {
        [self, next = std::move(next)](uint64_t laps, uint64_t hops) {
            self->send(next, laps, hops + 1);
        },
    };
}

behavior master(stateful_actor<link_state> *self, actor main_actor, uint64_t actors, uint64_t laps)
{
    actor next{self};
    for (uint64_t i = 1; i < actors; i++) {
        next = self->spawn<lazy_init>(chain_link, next);
    }
    self->state.next = next;
    self->send(next, laps, uint64_t{1});
    return {
        [=](uint64_t laps_left, uint64_t hops) {
            if (laps_left > 1) {
                self->send(self->state.next, laps_left - 1, hops + 1);
                return;
            }
            bench_expect("hops of the token", hops, actors * laps);
            self->send(main_actor, host::done_atom::value);
        },
    };
}

struct rings_state {
    uint64_t done = 0;
};

behavior all(stateful_actor<rings_state> *self, actor observer, uint64_t rings, uint64_t actors,
             uint64_t laps)
{
    for (uint64_t i = 0; i < rings; i++) {
        self->spawn(master, actor{self}, actors, laps);
    }
    return {
        [=](host::done_atom) {
            if (++self->state.done == rings) {
                self->send(observer, host::done_atom::value, rings);
            }
        },
    };
}

} // namespace

int main(int argc, char **argv)
{
    uint64_t rings = bench_argument(argc, argv, 1, "rings");
    uint64_t actors = bench_argument(argc, argv, 2, "actors of a ring");
    uint64_t laps = bench_argument(argc, argv, 3, "laps");
    host::config config;
    actor_system system{config};
    host::stretch stretch{system};
    system.spawn(all, stretch.observer(), rings, actors, laps);
    bench_figures_t figures = stretch.end(rings * actors * laps, rings);
    bench_print(&figures);
    std::_Exit(0); // the rings hold themselves; ending them is not measured
}
