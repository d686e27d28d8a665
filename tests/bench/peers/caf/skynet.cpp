// The same as runtime/skynet.c.
#include "tests/bench/peers/caf/host.hpp"

using namespace caf;

namespace
{

constexpr uint64_t children = 10;

struct branch_state {
    uint64_t sum = 0;
    uint64_t waiting = children;
};

behavior skynet(stateful_actor<branch_state> *self, actor parent, uint64_t first, uint64_t leaves)
{
    if (leaves == 1) {
        self->send(parent, first);
        return {}; // no behaviour: it ends
    }
    for (uint64_t i = 0; i < children; i++) {
        self->spawn(skynet, actor{self}, first + i * (leaves / children), leaves / children);
    }
    return {
        [self, parent = std::move(parent)](uint64_t sum) {
            self->state.sum += sum;
            if (--self->state.waiting == 0) {
                self->send(parent, self->state.sum);
                self->quit();
            }
        },
    };
}

behavior watcher(event_based_actor *self, actor observer, uint64_t leaves)
{
    self->spawn(skynet, actor{self}, uint64_t{0}, leaves);
    return {
        [=](uint64_t sum) {
            self->send(observer, host::done_atom::value, sum);
            self->quit();
        },
    };
}

} // namespace

int main(int argc, char **argv)
{
    uint64_t leaves = bench_argument(argc, argv, 1, "leaves");
    uint64_t actors = 0;
    for (uint64_t level = leaves; level > 0; level /= children) {
        actors += level;
    }
    host::config config;
    actor_system system{config};
    host::stretch stretch{system};
    system.spawn(watcher, stretch.observer(), leaves);
    bench_figures_t figures = stretch.end(actors, leaves * (leaves - 1) / 2);
    bench_print(&figures);
}
