/* The simulated world itself: it is reproducible, accounts for every message, and its faults do
 * what they say. */
#include "runtime/simulation/core_world.h"

#include <criterion/criterion.h>

enum { PINGS = 200 };

typedef struct player {
    core_world_t *simulation;
    uint32_t slot;
    uint32_t other;
    bool ordered;
    uint64_t sent;
    uint64_t heard;
    uint64_t last;
    uint64_t out_of_order;
    uint64_t twice;
    uint64_t fired;
} player_t;

static void hear(void *context, const capstan_message_t *message)
{
    player_t *self = context;
    self->heard++;
    self->twice += message->correlation == self->last;
    self->out_of_order += message->correlation < self->last;
    self->last = message->correlation;
}

static void ping(void *context, uint64_t cookie)
{
    player_t *self = context;
    self->fired++;
    core_send_t send = {.from = self->slot,
                        .target = {.slot = self->other},
                        .message = 1,
                        .correlation = cookie,
                        .ordered = self->ordered};
    self->sent += core_world_send(self->simulation, &send, slice_text("ping"));
    if (cookie < PINGS) {
        core_world_timer(self->simulation, self->slot, 10, cookie + 1);
    }
}

static const core_actor_t behaviour = {.receive = hear, .timer = ping};

typedef struct pair {
    core_world_t *simulation;
    player_t a;
    player_t b;
} pair_t;

/* Two players; the first sends to the second every 10 us. */
static void set_up(pair_t *self, uint64_t seed, const network_faults_t *faults, bool ordered,
                   mailbox_limits_t limits)
{
    *self = (pair_t){.simulation = core_world_new(seed)};
    core_world_set_faults(self->simulation, faults);
    uint32_t host = core_world_add_host(self->simulation);
    uint32_t other = faults->delay_us_max > 0 ? core_world_add_host(self->simulation) : host;
    self->a = (player_t){.simulation = self->simulation, .ordered = ordered};
    self->b = (player_t){.simulation = self->simulation};
    self->a.slot = core_world_add_actor(self->simulation, host, &behaviour, &self->a, limits);
    self->b.slot = core_world_add_actor(self->simulation, other, &behaviour, &self->b, limits);
    self->a.other = self->b.slot;
    core_world_timer(self->simulation, self->a.slot, 1, 1);
}

static const mailbox_limits_t wide = {.messages_max = 1000, .bytes_max = 100000};
static const network_faults_t local = {0};
static const network_faults_t bad = {.loss = 100,
                                     .duplicate = 100,
                                     .reorder = 300,
                                     .delay_us_min = 5,
                                     .delay_us_max = 50,
                                     .reorder_us_max = 500};

static void assert_accounted(const pair_t *self)
{
    for (uint32_t slot = 0; slot < core_world_actor_count(self->simulation); slot++) {
        mailbox_account_t account = core_world_account(self->simulation, slot);
        cr_assert_eq(account.sent, account.delivered + account.dropped_all +
                                       core_world_in_flight(self->simulation, slot));
    }
}

static void run(pair_t *self)
{
    while (core_world_step(self->simulation)) {
        assert_accounted(self);
    }
}

Test(core_world, takes_the_same_steps_from_the_same_seed)
{
    uint64_t hashes[3];
    for (size_t i = 0; i < 3; i++) {
        pair_t pair;
        set_up(&pair, i == 2 ? 8 : 7, &bad, false, wide);
        run(&pair);
        hashes[i] = core_world_hash(pair.simulation);
        core_world_destroy(&pair.simulation);
        cr_assert_null(pair.simulation);
    }
    cr_assert_eq(hashes[0], hashes[1]);
    cr_assert_neq(hashes[0], hashes[2]);
}

Test(core_world, loses_doubles_and_reorders_between_hosts)
{
    pair_t pair;
    set_up(&pair, 1, &bad, false, wide);
    run(&pair);
    cr_assert_gt(pair.b.heard, PINGS / 2);
    cr_assert_neq(pair.b.heard, PINGS);
    cr_assert_gt(pair.b.out_of_order, 0);
    core_world_destroy(&pair.simulation);
}

Test(core_world, keeps_the_order_of_a_connection_and_of_a_host)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        pair_t pair;
        set_up(&pair, seed, seed % 2 ? &bad : &local, true, wide);
        run(&pair);
        cr_assert_eq(pair.b.heard, PINGS);
        cr_assert_eq(pair.b.out_of_order + pair.b.twice, 0);
        core_world_destroy(&pair.simulation);
    }
}

Test(core_world, refuses_what_does_not_fit_a_mailbox)
{
    pair_t pair;
    set_up(&pair, 3, &local, false, (mailbox_limits_t){.messages_max = 1, .bytes_max = 1000});
    run(&pair);
    mailbox_account_t account = core_world_account(pair.simulation, pair.b.slot);
    cr_assert_gt(account.refused, 0);
    cr_assert_eq(account.sent, pair.a.sent);
    cr_assert_eq(account.sent + account.refused, PINGS);
    cr_assert_eq(pair.b.heard, pair.a.sent);
    core_world_destroy(&pair.simulation);
}

Test(core_world, ends_timers_and_drops_the_queue_of_a_host_that_crashes)
{
    pair_t pair;
    set_up(&pair, 4, &local, false, wide);
    while (pair.a.fired < PINGS / 2) {
        cr_assert(core_world_step(pair.simulation));
    }
    capstan_ref_t before = core_world_ref(pair.simulation, pair.a.slot);
    core_world_crash(pair.simulation, 0);
    cr_assert_not(core_world_is_up(pair.simulation, 0));
    assert_accounted(&pair);
    run(&pair);
    cr_assert_eq(pair.a.fired, PINGS / 2);
    mailbox_account_t account = core_world_account(pair.simulation, pair.b.slot);
    cr_assert_gt(account.dropped[DROP_stopped], 0);
    cr_assert_eq(account.sent, account.delivered + account.dropped_all);
    core_world_restart(pair.simulation, 0);
    cr_assert_not(capstan_ref_equal(before, core_world_ref(pair.simulation, pair.a.slot)));
    core_world_destroy(&pair.simulation);
}

Test(core_world, lets_nothing_through_a_cut_until_it_ends)
{
    pair_t pair;
    set_up(&pair, 5, &bad, true, wide);
    core_world_cut(pair.simulation, 0, 1, 1000);
    while (core_world_now(pair.simulation) < 1000) {
        cr_assert(core_world_step(pair.simulation));
        cr_assert(pair.b.heard == 0 || core_world_now(pair.simulation) >= 1000);
    }
    run(&pair);
    cr_assert_gt(pair.b.heard, 0);
    cr_assert_lt(pair.b.heard, PINGS);
    core_world_destroy(&pair.simulation);
}

Test(core_world, destroys_a_world_with_messages_under_way)
{
    pair_t pair;
    set_up(&pair, 6, &bad, false, wide);
    for (int i = 0; i < 50; i++) {
        cr_assert(core_world_step(pair.simulation));
    }
    core_world_destroy(&pair.simulation);
    core_world_destroy(&pair.simulation);
}
