/* banking ACCOUNTS TRANSFERS ROUNDS: a teller orders TRANSFERS transfers at once, each from one
 * account to another at random; when all are confirmed the next of ROUNDS begins. The account that
 * pays asks the other to take the money and does nothing else until that is confirmed; what comes
 * meanwhile waits in its stash. At the end the accounts together have what they had. Operations are
 * transfers, of four messages each. The accounts are spread over the cells.
 *
 * From Savina (1,000 accounts, 50,000 transfers); twenty rounds of them, so that a run takes about
 * a second on two cores. As there, money goes from a lower account to a higher one, so that no two
 * wait for each other. */
#include "tests/bench/runtime/host.h"

#include <stdlib.h>

enum {
    MESSAGE_pay = HOST_MESSAGE, /* teller to account: payment */
    MESSAGE_take,               /* account to account: amount */
    MESSAGE_taken,
    MESSAGE_paid, /* account to teller */
    MESSAGE_end,
    MESSAGE_balance, /* the last word of an account */
    BALANCE = 1000000000,
    AMOUNT_MAX = 1000,
};

typedef struct payment {
    capstan_ref_t to;
    int64_t amount;
} payment_t;

/* What waits while the account is paying: a payment to make, or money to take (`to` is null). */
typedef struct stashed {
    capstan_ref_t from;
    payment_t payment;
} stashed_t;

typedef struct account {
    int64_t balance;
    bool paying;
    capstan_ref_t teller; /* of the payment that is being made */
    stashed_t *stash;     /* a ring */
    size_t stash_head;
    size_t stash_count;
    size_t stash_capacity; /* a power of two */
} account_t;

typedef struct teller {
    uint64_t accounts;
    uint64_t transfers;
    uint64_t rounds;
    uint64_t random;
    capstan_ref_t *refs;
    uint64_t paid; /* in this round */
    uint64_t ended;
    int64_t balance;
    capstan_message_t begin;
} teller_t;

/* --- an account ------------------------------------------------------------------------------ */

static void stash_grow(account_t *account)
{
    size_t capacity = account->stash_capacity > 0 ? account->stash_capacity * 2 : 8;
    stashed_t *stash = calloc(capacity, sizeof *stash);
    for (size_t i = 0; i < account->stash_count; i++) {
        stash[i] = account->stash[(account->stash_head + i) & (account->stash_capacity - 1)];
    }
    free(account->stash);
    account->stash = stash;
    account->stash_head = 0;
    account->stash_capacity = capacity;
}

static void stash_put(account_t *account, const stashed_t *stashed)
{
    if (account->stash_count == account->stash_capacity) {
        stash_grow(account);
    }
    size_t index = (account->stash_head + account->stash_count++) & (account->stash_capacity - 1);
    account->stash[index] = *stashed;
}

static stashed_t stash_take(account_t *account)
{
    stashed_t stashed = account->stash[account->stash_head];
    account->stash_head = (account->stash_head + 1) & (account->stash_capacity - 1);
    account->stash_count--;
    return stashed;
}

static void work_on(capstan_actor_t *self, account_t *account, const stashed_t *work)
{
    if (capstan_ref_is_null(work->payment.to)) {
        account->balance += work->payment.amount;
        host_tell(self, work->from, MESSAGE_taken, NULL, 0);
        return;
    }
    account->balance -= work->payment.amount;
    account->paying = true;
    account->teller = work->from;
    host_tell(self, work->payment.to, MESSAGE_take, &work->payment.amount,
              sizeof work->payment.amount);
}

static capstan_err_t begin_account(capstan_actor_t *self, void *argument)
{
    (void)argument;
    account_t *account = calloc(1, sizeof *account);
    account->balance = BALANCE;
    capstan_actor_set_state(self, account);
    return CAPSTAN_OK;
}

static void destroy_account(capstan_actor_t *self)
{
    account_t *account = capstan_actor_state(self);
    free(account->stash);
    free(account);
}

static void on_taken(capstan_actor_t *self, account_t *account)
{
    host_tell(self, account->teller, MESSAGE_paid, NULL, 0);
    account->paying = false;
    while (!account->paying && account->stash_count > 0) {
        stashed_t work = stash_take(account);
        work_on(self, account, &work);
    }
}

static capstan_err_t on_account(capstan_actor_t *self, const capstan_message_t *message)
{
    account_t *account = capstan_actor_state(self);
    stashed_t work = {.from = message->sender};
    switch (message->message) {
    case MESSAGE_taken:
        on_taken(self, account);
        return CAPSTAN_OK;
    case MESSAGE_end:
        host_tell(self, message->sender, MESSAGE_balance, &account->balance,
                  sizeof account->balance);
        capstan_actor_exit(self, CAPSTAN_OK);
        return CAPSTAN_OK;
    case MESSAGE_pay:
        memcpy(&work.payment, message->body.data, sizeof work.payment);
        break;
    default: /* take */
        memcpy(&work.payment.amount, message->body.data, sizeof work.payment.amount);
    }
    if (account->paying) {
        stash_put(account, &work);
    } else {
        work_on(self, account, &work);
    }
    return CAPSTAN_OK;
}

/* --- the teller ------------------------------------------------------------------------------ */

static void order_round(capstan_actor_t *self, teller_t *teller)
{
    for (uint64_t i = 0; i < teller->transfers; i++) {
        uint64_t from = bench_random(&teller->random) % (teller->accounts - 1);
        uint64_t to = from + 1 + bench_random(&teller->random) % (teller->accounts - 1 - from);
        payment_t payment = {
            .to = teller->refs[to],
            .amount = (int64_t)(bench_random(&teller->random) % AMOUNT_MAX),
        };
        host_tell(self, teller->refs[from], MESSAGE_pay, &payment, sizeof payment);
    }
}

static void begin(capstan_actor_t *self, teller_t *teller)
{
    static const capstan_behaviour_t behaviour = {.name = "account",
                                                  .init = begin_account,
                                                  .receive = on_account,
                                                  .destroy = destroy_account};
    for (uint64_t i = 0; i < teller->accounts; i++) {
        teller->refs[i] = host_spawn(self, &behaviour,
                                     &(capstan_spawn_options_t){.placement = CAPSTAN_PLACE_SPREAD});
    }
    order_round(self, teller);
}

static void on_paid(capstan_actor_t *self, teller_t *teller)
{
    if (++teller->paid < teller->transfers) {
        return;
    }
    teller->paid = 0;
    if (--teller->rounds > 0) {
        order_round(self, teller);
        return;
    }
    for (uint64_t i = 0; i < teller->accounts; i++) {
        host_tell(self, teller->refs[i], MESSAGE_end, NULL, 0);
    }
}

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    teller_t *teller = capstan_actor_state(self);
    int64_t balance;
    switch (message->message) {
    case HOST_BEGIN:
        teller->begin = *message;
        begin(self, teller);
        break;
    case MESSAGE_paid:
        on_paid(self, teller);
        break;
    default: /* balance */
        memcpy(&balance, message->body.data, sizeof balance);
        teller->balance += balance;
        if (++teller->ended == teller->accounts) {
            bench_expect("money in all accounts", (uint64_t)teller->balance,
                         teller->accounts * BALANCE);
            capstan_reply(self, &teller->begin, HOST_BEGIN, (capstan_slice_t){0});
        }
    }
    return CAPSTAN_OK;
}

int main(int argc, char **argv)
{
    static const capstan_behaviour_t behaviour = {
        .name = "teller", .init = host_keep_argument, .receive = receive};
    teller_t teller = {
        .accounts = bench_argument(argc, argv, 1, "accounts"),
        .transfers = bench_argument(argc, argv, 2, "transfers of a round"),
        .rounds = bench_argument(argc, argv, 3, "rounds"),
        .random = bench_seed(),
    };
    if (teller.accounts < 2) {
        bench_fail("accounts: at least 2");
    }
    teller.refs = calloc(teller.accounts, sizeof *teller.refs);
    bench_figures_t figures = host_run((capstan_node_options_t){0}, &behaviour, &teller,
                                       teller.transfers * teller.rounds);
    bench_print(&figures);
    free(teller.refs);
    return 0;
}
