// The same as runtime/spawn.c: one actor starts the others, which then wait for messages. They are
// started lazily, as CAF's own benchmark of creation does it: an actor's function runs with its
// first message. Started eagerly, a million of them queue for one worker while the other steals
// from the far end of that queue, which takes CAF 0.17 minutes.
#include "tests/bench/peers/caf/host.hpp"

using namespace caf;

namespace
{

behavior child(event_based_actor *)
{
    return {[](unit_t) {}};
}

behavior parent(event_based_actor *self, const actor &observer, std::vector<actor> *children)
{
    while (children->size() < children->capacity()) {
        children->push_back(self->spawn<lazy_init>(child));
    }
    self->send(observer, host::done_atom::value, static_cast<uint64_t>(children->size()));
    return {[](unit_t) {}};
}

} // namespace

int main(int argc, char **argv)
{
    uint64_t actors = bench_argument(argc, argv, 1, "actors");
    std::vector<actor> children;
    children.reserve(actors);
    host::config config;
    actor_system system{config};
    uint64_t before = bench_rss();
    host::stretch stretch{system};
    actor first = system.spawn(parent, stretch.observer(), &children);
    bench_figures_t figures = stretch.end(actors, actors);
    // The list of handles is part of what an idle actor takes: without a handle it would end.
    figures.bytes_each = static_cast<double>(bench_rss() - before) / static_cast<double>(actors);
    bench_print(&figures);
    std::_Exit(0); // ending a million actors is not measured
}
