// The same as runtime/ask.c: one request at a time. Where the actors stand on two cells there, they
// are detached here, each on a thread of its own; where they share a cell there, the scheduler
// places them here, which lets one worker run both in turn. The request has no time-out, which is
// CAF's faster way; ours has one.
#include "tests/bench/peers/caf/host.hpp"

using namespace caf;

namespace
{

behavior answerer(event_based_actor *)
{
    return {[](int64_t round) { return round; }};
}

struct asker_state {
    int64_t round = 0; // negative while warming up
    int64_t rounds = 0;
    int64_t sent_ns = 0;
    actor target;
    actor observer;
    std::vector<uint64_t> *latencies_ns = nullptr;
};

void ask_next(stateful_actor<asker_state> *self)
{
    asker_state &state = self->state;
    state.sent_ns = bench_now_ns();
    self->request(state.target, infinite, state.round).then([self](int64_t echoed) {
        asker_state &asker = self->state;
        bench_expect("number in the answer", static_cast<uint64_t>(echoed),
                     static_cast<uint64_t>(asker.round));
        if (asker.round >= 0) {
            asker.latencies_ns->push_back(static_cast<uint64_t>(bench_now_ns() - asker.sent_ns));
        }
        if (++asker.round < asker.rounds) {
            ask_next(self);
        } else {
            self->send(asker.observer, host::done_atom::value,
                       static_cast<uint64_t>(asker.latencies_ns->size()));
        }
    });
}

behavior asker(stateful_actor<asker_state> *self, asker_state state)
{
    self->state = std::move(state);
    ask_next(self);
    // An event-based actor without a behaviour ends; this one waits for its answers.
    return {[](unit_t) {}};
}

} // namespace

int main(int argc, char **argv)
{
    uint64_t rounds = bench_argument(argc, argv, 1, "rounds");
    bool detach = bench_argument(argc, argv, 2, "1: detached, 2: scheduled") == 1;
    uint64_t warm = rounds / 10;
    std::vector<uint64_t> latencies_ns;
    latencies_ns.reserve(rounds);
    host::config config;
    actor_system system{config};
    host::stretch stretch{system};
    asker_state state;
    state.round = -static_cast<int64_t>(warm);
    state.rounds = static_cast<int64_t>(rounds);
    state.observer = stretch.observer();
    state.latencies_ns = &latencies_ns;
    actor asking;
    if (detach) {
        state.target = system.spawn<detached>(answerer);
        asking = system.spawn<detached>(asker, state);
    } else {
        state.target = system.spawn(answerer);
        asking = system.spawn(asker, state);
    }
    bench_figures_t figures = stretch.end(rounds + warm, rounds);
    anon_send_exit(asking, exit_reason::user_shutdown);
    anon_send_exit(state.target, exit_reason::user_shutdown);
    bench_quantiles(latencies_ns.data(), latencies_ns.size(), &figures);
    bench_print(&figures);
}
