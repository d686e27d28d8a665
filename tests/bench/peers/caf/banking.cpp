// The same as runtime/banking.c, with a stash of its own for what comes while an account is paying:
// faster than request().await(), by which CAF would do the waiting.
#include "tests/bench/peers/caf/host.hpp"

#include <deque>

using namespace caf;

namespace
{

using pay_atom = atom_constant<atom("pay")>;
using take_atom = atom_constant<atom("take")>;
using taken_atom = atom_constant<atom("taken")>;
using paid_atom = atom_constant<atom("paid")>;
using balance_atom = atom_constant<atom("balance")>;

constexpr int64_t first_balance = 1000000000;
constexpr uint64_t amount_max = 1000;

// A payment to make, or money to take (`to` is null).
struct stashed {
    strong_actor_ptr from;
    actor to;
    int64_t amount;
};

struct account_state {
    int64_t balance = first_balance;
    bool paying = false;
    strong_actor_ptr teller;
    std::deque<stashed> stash;
};

using account_actor = stateful_actor<account_state>;

void work_on(account_actor *self, stashed work)
{
    account_state &state = self->state;
    if (!work.to) {
        state.balance += work.amount;
        self->send(actor_cast<actor>(std::move(work.from)), taken_atom::value);
        return;
    }
    state.balance -= work.amount;
    state.paying = true;
    state.teller = std::move(work.from);
    self->send(work.to, take_atom::value, work.amount);
}

void stash_or_work(account_actor *self, stashed work)
{
    if (self->state.paying) {
        self->state.stash.push_back(std::move(work));
    } else {
        work_on(self, std::move(work));
    }
}

behavior account(account_actor *self)
{
    return {
        [=](pay_atom, actor &to, int64_t amount) {
            stash_or_work(self, stashed{self->current_sender(), std::move(to), amount});
        },
        [=](take_atom, int64_t amount) {
            stash_or_work(self, stashed{self->current_sender(), nullptr, amount});
        },
        [=](taken_atom) {
            account_state &state = self->state;
            self->send(actor_cast<actor>(std::move(state.teller)), paid_atom::value);
            state.paying = false;
            while (!state.paying && !state.stash.empty()) {
                stashed work = std::move(state.stash.front());
                state.stash.pop_front();
                work_on(self, std::move(work));
            }
        },
        [=](host::done_atom) {
            self->send(actor_cast<actor>(self->current_sender()), balance_atom::value,
                       self->state.balance);
            self->quit();
        },
    };
}

struct teller_state {
    uint64_t random = 0;
    std::vector<actor> accounts;
    uint64_t rounds_left = 0;
    uint64_t paid = 0;
    uint64_t ended = 0;
    int64_t balance = 0;
};

using teller_actor = stateful_actor<teller_state>;

void order_round(teller_actor *self, uint64_t transfers)
{
    teller_state &state = self->state;
    uint64_t accounts = state.accounts.size();
    for (uint64_t i = 0; i < transfers; i++) {
        uint64_t from = bench_random(&state.random) % (accounts - 1);
        uint64_t to = from + 1 + bench_random(&state.random) % (accounts - 1 - from);
        auto amount = static_cast<int64_t>(bench_random(&state.random) % amount_max);
        self->send(state.accounts[from], pay_atom::value, state.accounts[to], amount);
    }
}

behavior teller(teller_actor *self, actor observer, uint64_t accounts, uint64_t transfers,
                uint64_t rounds)
{
    self->state.random = bench_seed();
    self->state.rounds_left = rounds;
    for (uint64_t i = 0; i < accounts; i++) {
        self->state.accounts.push_back(self->spawn<lazy_init>(account));
    }
    order_round(self, transfers);
    return {
        [=](paid_atom) {
            teller_state &state = self->state;
            if (++state.paid < transfers) {
                return;
            }
            state.paid = 0;
            if (--state.rounds_left > 0) {
                order_round(self, transfers);
                return;
            }
            for (const actor &one : state.accounts) {
                self->send(one, host::done_atom::value);
            }
        },
        [=](balance_atom, int64_t balance) {
            self->state.balance += balance;
            if (++self->state.ended == accounts) {
                self->send(observer, host::done_atom::value,
                           static_cast<uint64_t>(self->state.balance));
                self->quit();
            }
        },
    };
}

} // namespace

int main(int argc, char **argv)
{
    uint64_t accounts = bench_argument(argc, argv, 1, "accounts");
    uint64_t transfers = bench_argument(argc, argv, 2, "transfers of a round");
    uint64_t rounds = bench_argument(argc, argv, 3, "rounds");
    host::config config;
    actor_system system{config};
    host::stretch stretch{system};
    system.spawn(teller, stretch.observer(), accounts, transfers, rounds);
    bench_figures_t figures =
        stretch.end(transfers * rounds, accounts * static_cast<uint64_t>(first_balance));
    bench_print(&figures);
}
