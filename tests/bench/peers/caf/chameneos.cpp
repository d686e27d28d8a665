// The same as runtime/chameneos.c. The mall delegates a request to meet to the creature that waits,
// which then finds its partner as the sender.
#include "tests/bench/peers/caf/host.hpp"

using namespace caf;

namespace
{

using meet_atom = atom_constant<atom("meet")>;
using change_atom = atom_constant<atom("change")>;
using go_away_atom = atom_constant<atom("goaway")>;
using met_atom = atom_constant<atom("met")>;

constexpr uint32_t colours = 3;

uint32_t complement(uint32_t a, uint32_t b)
{
    return a == b ? a : colours - a - b;
}

struct creature_state {
    uint32_t colour = 0;
    uint64_t meetings = 0;
};

behavior creature(stateful_actor<creature_state> *self, actor mall, uint32_t colour)
{
    self->state.colour = colour;
    self->send(mall, meet_atom::value, colour);
    return {
        [=](meet_atom, uint32_t other) {
            creature_state &state = self->state;
            state.colour = complement(state.colour, other);
            state.meetings++;
            self->send(actor_cast<actor>(self->current_sender()), change_atom::value, state.colour);
            self->send(mall, meet_atom::value, state.colour);
        },
        [=](change_atom, uint32_t changed) {
            self->state.colour = changed;
            self->state.meetings++;
            self->send(mall, meet_atom::value, changed);
        },
        [=](go_away_atom) {
            self->send(mall, met_atom::value, self->state.meetings);
            self->quit();
        },
    };
}

struct mall_state {
    uint64_t meetings_left = 0;
    strong_actor_ptr waiting;
    uint64_t gone = 0;
    uint64_t met = 0;
};

behavior mall(stateful_actor<mall_state> *self, actor observer, uint64_t creatures,
              uint64_t meetings)
{
    self->state.meetings_left = meetings;
    for (uint64_t i = 0; i < creatures; i++) {
        self->spawn(creature, actor{self}, static_cast<uint32_t>(i % colours));
    }
    return {
        [=](meet_atom meet, uint32_t colour) {
            mall_state &state = self->state;
            if (state.meetings_left == 0) {
                self->send(actor_cast<actor>(self->current_sender()), go_away_atom::value);
            } else if (!state.waiting) {
                state.waiting = self->current_sender();
            } else {
                self->delegate(actor_cast<actor>(std::move(state.waiting)), meet, colour);
                state.waiting = nullptr;
                state.meetings_left--;
            }
        },
        [=](met_atom, uint64_t met) {
            self->state.met += met;
            if (++self->state.gone == creatures) {
                self->send(observer, host::done_atom::value, self->state.met);
                self->quit();
            }
        },
    };
}

} // namespace

int main(int argc, char **argv)
{
    uint64_t creatures = bench_argument(argc, argv, 1, "creatures");
    uint64_t meetings = bench_argument(argc, argv, 2, "meetings");
    host::config config;
    actor_system system{config};
    host::stretch stretch{system};
    system.spawn(mall, stretch.observer(), creatures, meetings);
    bench_figures_t figures = stretch.end(meetings, 2 * meetings);
    bench_print(&figures);
}
