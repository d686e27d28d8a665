// The same as runtime/bounded_buffer.c.
#include "tests/bench/peers/caf/host.hpp"

#include <deque>

using namespace caf;

namespace
{

using produce_atom = atom_constant<atom("produce")>;
using item_atom = atom_constant<atom("item")>;
using producer_done_atom = atom_constant<atom("prodone")>;
using available_atom = atom_constant<atom("available")>;
using end_atom = atom_constant<atom("end")>;
using used_atom = atom_constant<atom("used")>;

struct worker_state {
    uint64_t next = 0;
    uint64_t end = 0;
    uint64_t used = 0;
    double term = 0;
};

behavior producer(stateful_actor<worker_state> *self, actor manager, uint64_t first, uint64_t items,
                  uint64_t cost)
{
    self->state.next = first;
    self->state.end = first + items;
    return {
        [=](produce_atom) {
            worker_state &state = self->state;
            if (state.next == state.end) {
                self->send(manager, producer_done_atom::value);
                self->quit();
                return;
            }
            state.term = bench_work(state.term, cost);
            self->send(manager, item_atom::value, state.term, state.next++);
        },
    };
}

behavior consumer(stateful_actor<worker_state> *self, actor manager, uint64_t cost)
{
    return {
        [=](item_atom, double value, uint64_t number) {
            worker_state &state = self->state;
            state.term = bench_work(state.term + value, cost);
            state.used += number;
            self->send(manager, available_atom::value);
        },
        [=](end_atom) {
            self->send(manager, used_atom::value, self->state.used);
            self->quit();
        },
    };
}

struct sizes {
    uint64_t room; // items that may wait
    uint64_t producers;
    uint64_t consumers;
    uint64_t items;
    uint64_t cost;
};

struct manager_state {
    std::deque<actor> waiting_producers;
    std::deque<actor> waiting_consumers;
    std::deque<std::pair<double, uint64_t>> pending;
    uint64_t producers_done = 0;
    uint64_t consumers_done = 0;
    uint64_t used = 0;
};

using manager_actor = stateful_actor<manager_state>;

template <class T> T pop(std::deque<T> &queue)
{
    T front = std::move(queue.front());
    queue.pop_front();
    return front;
}

void start(manager_actor *self, const sizes &size)
{
    for (uint64_t i = 0; i < size.consumers; i++) {
        self->state.waiting_consumers.push_back(self->spawn(consumer, actor{self}, size.cost));
    }
    for (uint64_t i = 0; i < size.producers; i++) {
        actor one = self->spawn(producer, actor{self}, i * size.items, size.items, size.cost);
        self->send(one, produce_atom::value);
    }
}

// All items were made, and every consumer waits for another.
void end_when_idle(manager_actor *self, const sizes &size)
{
    manager_state &state = self->state;
    if (state.producers_done == size.producers &&
        state.waiting_consumers.size() == size.consumers) {
        while (!state.waiting_consumers.empty()) {
            self->send(pop(state.waiting_consumers), end_atom::value);
        }
    }
}

behavior manager(manager_actor *self, actor observer, sizes size)
{
    start(self, size);
    return {
        [=](item_atom, double value, uint64_t number) {
            manager_state &state = self->state;
            actor from = actor_cast<actor>(self->current_sender());
            if (!state.waiting_consumers.empty()) {
                self->send(pop(state.waiting_consumers), item_atom::value, value, number);
            } else {
                state.pending.emplace_back(value, number);
            }
            if (state.pending.size() >= size.room) {
                state.waiting_producers.push_back(std::move(from));
            } else {
                self->send(from, produce_atom::value);
            }
        },
        [=](available_atom) {
            manager_state &state = self->state;
            actor from = actor_cast<actor>(self->current_sender());
            if (state.pending.empty()) {
                state.waiting_consumers.push_back(std::move(from));
                end_when_idle(self, size);
                return;
            }
            auto item = pop(state.pending);
            self->send(from, item_atom::value, item.first, item.second);
            if (!state.waiting_producers.empty()) {
                self->send(pop(state.waiting_producers), produce_atom::value);
            }
        },
        [=](producer_done_atom) {
            self->state.producers_done++;
            end_when_idle(self, size);
        },
        [=](used_atom, uint64_t used) {
            self->state.used += used;
            if (++self->state.consumers_done == size.consumers) {
                self->send(observer, host::done_atom::value, self->state.used);
                self->quit();
            }
        },
    };
}

} // namespace

int main(int argc, char **argv)
{
    sizes size;
    uint64_t buffer = bench_argument(argc, argv, 1, "buffer");
    size.producers = bench_argument(argc, argv, 2, "producers");
    size.consumers = bench_argument(argc, argv, 3, "consumers");
    size.items = bench_argument(argc, argv, 4, "items of each producer");
    size.cost = bench_argument(argc, argv, 5, "cost of an item");
    size.room = buffer - size.producers;
    uint64_t items = size.producers * size.items;
    host::config config;
    actor_system system{config};
    host::stretch stretch{system};
    system.spawn(manager, stretch.observer(), size);
    bench_figures_t figures = stretch.end(items, items * (items - 1) / 2);
    bench_print(&figures);
}
