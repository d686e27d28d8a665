// The same as runtime/growth.c. The actors are started lazily, see spawn.cpp; a round that is not
// counted starts those that get messages.
#include "tests/bench/peers/caf/host.hpp"

using namespace caf;

namespace
{

using round_atom = atom_constant<atom("round")>;

constexpr uint64_t under_way = 500;
constexpr size_t rounds = 5;

struct shape {
    uint64_t active;
    uint64_t messages;
    const std::vector<actor> *residents;
    const std::vector<actor> *targets; // the active ones
};

behavior resident(event_based_actor *)
{
    return {[](uint64_t body) { return body; }};
}

struct driver_state {
    uint64_t random = 0;
    uint64_t next = 0;
    uint64_t left = 0;
    uint64_t answers_left = 0;
    strong_actor_ptr observer;
};

using driver_actor = stateful_actor<driver_state>;

void send_one(driver_actor *self, const shape &growth)
{
    driver_state &state = self->state;
    if (growth.active == 1) {
        uint64_t index = bench_random(&state.random) % growth.residents->size();
        self->send((*growth.residents)[index], state.left);
    } else {
        self->send((*growth.targets)[state.next], state.left);
        state.next = state.next + 1 < growth.targets->size() ? state.next + 1 : 0;
    }
    state.left--;
}

behavior driver(driver_actor *self, shape growth, uint64_t random)
{
    self->state.random = random;
    return {
        [=](uint64_t) {
            driver_state &state = self->state;
            if (state.left > 0) {
                send_one(self, growth);
            }
            if (--state.answers_left == 0) {
                self->send(actor_cast<actor>(state.observer), host::done_atom::value);
            }
        },
        [=](round_atom) {
            driver_state &state = self->state;
            state.observer = self->current_sender();
            state.left = state.answers_left = growth.messages / 2 / host::workers;
            for (uint64_t i = 0; i < under_way && state.left > 0; i++) {
                send_one(self, growth);
            }
        },
    };
}

std::vector<actor> choose_targets(const std::vector<actor> &residents, uint64_t active)
{
    uint64_t random = bench_seed();
    uint64_t count = std::min(active, static_cast<uint64_t>(residents.size()));
    uint64_t share = residents.size() / count;
    std::vector<actor> targets;
    for (uint64_t i = 0; i < count; i++) {
        targets.push_back(residents[i * share + bench_random(&random) % share]);
    }
    return targets;
}

// Nanoseconds of one round.
uint64_t run_round(scoped_actor &self, const std::vector<actor> &drivers)
{
    int64_t begin_ns = bench_now_ns();
    for (const actor &one : drivers) {
        self->send(one, round_atom::value);
    }
    for (size_t i = 0; i < drivers.size(); i++) {
        self->receive([](host::done_atom) {});
    }
    return static_cast<uint64_t>(bench_now_ns() - begin_ns);
}

void add_point(actor_system &system, uint64_t actors, shape growth, bench_figures_t *points)
{
    std::vector<actor> residents;
    residents.reserve(actors);
    growth.residents = &residents;
    for (uint64_t i = 0; i < actors; i++) {
        residents.push_back(system.spawn<lazy_init>(resident));
    }
    std::vector<actor> targets = choose_targets(residents, growth.active);
    growth.targets = &targets;
    std::vector<actor> drivers;
    for (size_t i = 0; i < host::workers; i++) {
        drivers.push_back(system.spawn(driver, growth, bench_seed() + i));
    }
    scoped_actor self{system};
    run_round(self, drivers);
    uint64_t rounds_ns[rounds];
    for (uint64_t &round_ns : rounds_ns) {
        round_ns = run_round(self, drivers);
    }
    bench_add_point(actors, rounds_ns, rounds, growth.messages, points);
    for (const actor &one : drivers) {
        self->send_exit(one, exit_reason::kill);
        self->wait_for(one);
    }
}

} // namespace

int main(int argc, char **argv)
{
    shape growth{};
    growth.active = bench_argument(argc, argv, 1, "active actors; 1: any at random");
    growth.messages = bench_argument(argc, argv, 2, "messages of a round");
    host::config config;
    actor_system system{config};
    bench_meter_t meter = bench_begin();
    bench_figures_t points = bench_end(&meter, 0);
    for (int i = 3; i < argc; i++) {
        add_point(system, bench_argument(argc, argv, i, "actors"), growth, &points);
    }
    points.cpu_s = bench_end(&meter, 0).cpu_s;
    bench_print(&points);
    std::_Exit(0); // ending a million actors is not measured
}
