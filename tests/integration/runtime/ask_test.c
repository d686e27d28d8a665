/* Asks in depth, on real threads: an ask ends exactly once, its deadline shrinks along a chain, and
 * whoever works on what nobody wants any more is told. Every test runs with all actors on one cell
 * and on a cell each, passed by pointer and over the wire. */
#include "tests/integration/runtime/ask_kit.h"

enum { MANY = 200 };

typedef void scene_fn(capstan_node_t *node, const char *const cells[3]);

static void everywhere(scene_fn *scene)
{
    static const char *const together[3] = {"one", "one", "one"};
    static const char *const apart[3] = {"one", "two", "three"};
    for (int way = 0; way < 4; way++) {
        capstan_node_t *node = ask_start(way % 2 == 1);
        scene(node, way < 2 ? together : apart);
    }
}

/* The asker, a relay and a keeper, in a row. */
typedef struct chain {
    ask_actor_t actors[3];
    capstan_ref_t asker;
    capstan_ref_t relay;
    capstan_ref_t keeper;
} chain_t;

static void link_chain(capstan_node_t *node, const char *const cells[3], bool later, chain_t *chain)
{
    *chain = (chain_t){.actors = {{0}, {.relays = true, .later = later}, {.keeps = true}}};
    chain->keeper = ask_spawn(node, "keeper", cells[2], &chain->actors[2]);
    chain->actors[1].next = chain->keeper;
    chain->relay = ask_spawn(node, "relay", cells[1], &chain->actors[1]);
    chain->asker = ask_spawn(node, "asker", cells[0], &chain->actors[0]);
}

static void ask_through(capstan_node_t *node, const chain_t *chain, int64_t timeout_us)
{
    ask_order(node, chain->asker,
              &(ask_order_t){.target = chain->relay, .count = MANY, .timeout_us = timeout_us});
}

/* Everything that a chain of MANY asks hears of its end, however it came to it. */
static void assert_cancelled(capstan_node_t *node, const chain_t *chain)
{
    ASK_UNTIL(node, chain->keeper, told, MANY);
    ASK_UNTIL(node, chain->relay, cancelled, MANY);
    ask_report_t relay = ask_report(node, chain->relay);
    cr_assert_eq(relay.told, MANY);
    cr_assert_eq(relay.stray, 0);
    ask_report_t keeper = ask_report(node, chain->keeper);
    cr_assert_eq(keeper.told, MANY);
    cr_assert_eq(keeper.kept, 0);
}

static void cancel_scene(capstan_node_t *node, const char *const cells[3], bool later)
{
    chain_t chain;
    link_chain(node, cells, later, &chain);
    ask_through(node, &chain, ASK_LONG_US);
    ASK_UNTIL(node, chain.keeper, kept, MANY);
    ask_tell(node, chain.asker, ASK_withdraw);
    assert_cancelled(node, &chain);
    ask_report_t asker = ask_report(node, chain.asker);
    cr_assert_eq(asker.answered + asker.timeouts + asker.gone + asker.cancelled + asker.other, 0);
    cr_assert_eq(asker.stray, 0, "an ask that was withdrawn has no answer");
    ask_stop(node);
}

static void cancel_in_handler(capstan_node_t *node, const char *const cells[3])
{
    cancel_scene(node, cells, false);
}

static void cancel_later(capstan_node_t *node, const char *const cells[3])
{
    cancel_scene(node, cells, true);
}

Test(ask, cancels_along_a_chain_what_was_asked_in_the_handler_of_a_request)
{
    everywhere(cancel_in_handler);
}

Test(ask, cancels_along_a_chain_what_was_asked_later_on_behalf_of_a_request)
{
    everywhere(cancel_later);
}

static void asker_ends(capstan_node_t *node, const char *const cells[3])
{
    chain_t chain;
    link_chain(node, cells, false, &chain);
    ask_through(node, &chain, ASK_LONG_US);
    ASK_UNTIL(node, chain.keeper, kept, MANY);
    ask_tell(node, chain.asker, ASK_quit);
    assert_cancelled(node, &chain);
    ask_stop(node);
}

Test(ask, is_cancelled_by_the_end_of_its_asker)
{
    everywhere(asker_ends);
}

static void callee_ends(capstan_node_t *node, const char *const cells[3])
{
    chain_t chain;
    link_chain(node, cells, false, &chain);
    ask_through(node, &chain, ASK_LONG_US);
    ASK_UNTIL(node, chain.keeper, kept, MANY);
    ask_tell(node, chain.keeper, ASK_quit);
    ASK_UNTIL(node, chain.asker, gone, MANY);
    ask_report_t asker = ask_report(node, chain.asker);
    cr_assert_eq(asker.stray, 0);
    cr_assert_eq(ask_report(node, chain.relay).gone, MANY);
    ask_stop(node);
}

Test(ask, hears_gone_when_its_receiver_ends_without_an_answer)
{
    everywhere(callee_ends);
}

/* The middle of a chain ends: one side hears GONE, the other is cancelled. */
static void relay_ends(capstan_node_t *node, const char *const cells[3])
{
    chain_t chain;
    link_chain(node, cells, false, &chain);
    ask_through(node, &chain, ASK_LONG_US);
    ASK_UNTIL(node, chain.keeper, kept, MANY);
    ask_tell(node, chain.relay, ASK_quit);
    ASK_UNTIL(node, chain.asker, gone, MANY);
    ASK_UNTIL(node, chain.keeper, told, MANY);
    cr_assert_eq(ask_report(node, chain.asker).stray, 0);
    ask_stop(node);
}

Test(ask, ends_on_both_sides_of_a_relay_that_ends)
{
    everywhere(relay_ends);
}

/* --- deadlines ------------------------------------------------------------------------------- */

static void shrink_scene(capstan_node_t *node, const char *const cells[3], bool later)
{
    chain_t chain;
    link_chain(node, cells, later, &chain);
    ask_through(node, &chain, 60 * ASK_SECONDS);
    ASK_UNTIL(node, chain.keeper, kept, MANY);
    ask_report_t relay = ask_report(node, chain.relay);
    ask_report_t keeper = ask_report(node, chain.keeper);
    /* The relay asks for ten minutes, the asker had given it one. */
    cr_assert_gt(relay.deadline_us, 0);
    cr_assert_eq(keeper.deadline_us, relay.deadline_us);
    ask_stop(node);
}

static void shrink_in_handler(capstan_node_t *node, const char *const cells[3])
{
    shrink_scene(node, cells, false);
}

static void shrink_later(capstan_node_t *node, const char *const cells[3])
{
    shrink_scene(node, cells, true);
}

Test(ask, never_gives_more_time_than_the_request_it_is_made_for)
{
    everywhere(shrink_in_handler);
    everywhere(shrink_later);
}

/* Nobody answers: each hears TIMEOUT from its own clock or CANCELLED from the one before, once. */
static void deadline_passes(capstan_node_t *node, const char *const cells[3])
{
    chain_t chain;
    link_chain(node, cells, false, &chain);
    ask_through(node, &chain, 30000);
    ASK_UNTIL(node, chain.asker, timeouts, MANY);
    ASK_UNTIL(node, chain.keeper, kept, 0);
    ask_report_t asker = ask_report(node, chain.asker);
    cr_assert_eq(asker.timeouts, MANY);
    cr_assert_eq(asker.answered + asker.gone + asker.cancelled + asker.other + asker.stray, 0);
    ask_report_t relay = ask_report(node, chain.relay);
    cr_assert_eq(relay.timeouts + relay.cancelled, relay.asked);
    cr_assert_eq(relay.stray, 0);
    ask_stop(node);
}

Test(ask, ends_by_timeout_and_nothing_else_when_its_deadline_passes)
{
    everywhere(deadline_passes);
}

/* What an actor's cell sends leaves it at the end of a turn; the second report is made in a later
 * one than the first. */
static void wait_until_sent(capstan_node_t *node, capstan_ref_t ref)
{
    (void)ask_report(node, ref);
    (void)ask_report(node, ref);
}

/* The keeper's cell is blocked until the asker has given up: it reads none of the questions. */
static void expire_queued(capstan_node_t *node, const char *const cells[3])
{
    if (strcmp(cells[0], cells[2]) == 0) {
        ask_stop(node);
        return;
    }
    chain_t chain;
    link_chain(node, cells, false, &chain);
    ask_plug_t plug;
    ask_plug(node, chain.keeper, &plug);
    ask_order(node, chain.asker,
              &(ask_order_t){.target = chain.keeper, .count = MANY, .timeout_us = 20000});
    ASK_UNTIL(node, chain.asker, timeouts, MANY);
    wait_until_sent(node, chain.asker);
    ask_unplug(&plug);
    uint64_t dropped = 0;
    while (dropped < MANY) {
        cr_assert_eq(ask_report(node, chain.keeper).requests, 0, "it worked on what had expired");
        dropped =
            ask_dropped(node, "keeper", DROP_expired) + ask_dropped(node, "keeper", DROP_cancelled);
    }
    cr_assert_eq(dropped, MANY);
    ask_report_t asker = ask_report(node, chain.asker);
    cr_assert_eq(asker.answered + asker.gone + asker.cancelled + asker.other + asker.stray, 0);
    ask_stop(node);
}

Test(ask, that_has_expired_is_dropped_unread_and_counted)
{
    everywhere(expire_queued);
}

/* --- what is cancelled before it is read, and what is answered too late ---------------------- */

static void cancel_queued(capstan_node_t *node, const char *const cells[3])
{
    chain_t chain;
    link_chain(node, cells, false, &chain);
    ask_plug_t plug;
    ask_plug(node, chain.keeper, &plug);
    ask_order(node, chain.asker,
              &(ask_order_t){.target = chain.keeper, .count = MANY, .timeout_us = ASK_LONG_US});
    ask_tell(node, chain.asker, ASK_withdraw);
    if (strcmp(cells[0], cells[2]) != 0) {
        wait_until_sent(node, chain.asker);
    }
    ask_unplug(&plug);
    ask_report_t keeper;
    do {
        keeper = ask_report(node, chain.keeper);
        cr_assert_eq(keeper.requests, 0, "it worked on what was withdrawn");
    } while (ask_dropped(node, "keeper", DROP_cancelled) < MANY);
    cr_assert_eq(keeper.told, 0, "it was told of what it had never seen");
    cr_assert_eq(ask_dropped(node, "keeper", DROP_cancelled), MANY);
    ask_stop(node);
}

Test(ask, that_is_withdrawn_before_it_is_read_is_dropped_and_counted)
{
    everywhere(cancel_queued);
}

/* The asker's cell is blocked while the keeper answers: withdrawal and answers wait for it
 * together, and each ask ends by the one or by the other. */
static void late_answer(capstan_node_t *node, const char *const cells[3])
{
    if (strcmp(cells[0], cells[2]) == 0) {
        ask_stop(node);
        return;
    }
    chain_t chain;
    link_chain(node, cells, false, &chain);
    ask_order(node, chain.asker,
              &(ask_order_t){.target = chain.keeper, .count = MANY, .timeout_us = ASK_LONG_US});
    ASK_UNTIL(node, chain.keeper, kept, MANY);
    ask_plug_t plug;
    ask_plug(node, chain.asker, &plug);
    ask_tell(node, chain.keeper, ASK_reply_all);
    ASK_UNTIL(node, chain.keeper, kept, 0);
    ask_tell(node, chain.asker, ASK_withdraw);
    ask_unplug(&plug);
    ask_report_t asker = ask_report(node, chain.asker);
    while (asker.answered + ask_dropped(node, "asker", DROP_cancelled) < MANY) {
        asker = ask_report(node, chain.asker);
    }
    cr_assert_eq(asker.stray, 0);
    cr_assert_eq(asker.answered + ask_dropped(node, "asker", DROP_cancelled), MANY);
    ask_stop(node);
}

Test(ask, that_is_withdrawn_drops_the_answer_that_crosses_it)
{
    everywhere(late_answer);
}
