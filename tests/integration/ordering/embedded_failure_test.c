/* Groups and partitions that end under a program's hands: it publishes and consumes on. */
#include "runtime/runtime.h"
#include "tests/integration/ordering/embedded_kit.h"

#include <capstan/supervisor.h>

enum { KILLS = 3 };

typedef struct victim {
    const char *name; /* of its behaviour */
    capstan_ref_t ref;
} victim_t;

static void look_for(void *context, const actor_figures_t *figures)
{
    victim_t *victim = context;
    if (strcmp(figures->name, victim->name) == 0) {
        victim->ref = figures->ref;
    }
}

static capstan_err_t kill_it(capstan_actor_t *actor, void *argument)
{
    const victim_t *victim = argument;
    capstan_err_t err = capstan_stop(actor, victim->ref, 0);
    capstan_actor_exit(actor, CAPSTAN_OK);
    return err;
}

static capstan_err_t ignore(capstan_actor_t *actor, const capstan_message_t *message)
{
    (void)actor;
    (void)message;
    return CAPSTAN_OK;
}

/* Ends one actor of that kind. */
static void end_one(embedded_t *world, const char *name)
{
    static const capstan_behaviour_t killer = {
        .name = "killer", .init = kill_it, .receive = ignore};
    victim_t victim = {.name = name};
    capstan_ref_t ref;
    node_figures(world->node, look_for, &victim);
    cr_assert_not(capstan_ref_is_null(victim.ref), "%s", name);
    cr_assert_eq(capstan_node_spawn(world->node, &killer,
                                    &(capstan_spawn_options_t){.argument = &victim}, &ref),
                 CAPSTAN_OK);
}

static void await_member(const capstan_subscription_t *subscription, bool is_member)
{
    for (int i = 0; i < 5000; i++) {
        if ((capstan_subscription_figures(subscription).error == CAPSTAN_OK) == is_member) {
            return;
        }
        poll(NULL, 0, 2);
    }
    cr_assert(false, "%s", is_member ? "it is no member again" : "it is still a member");
}

Test(embedded_failure, becomes_a_member_again_when_its_group_has_ended)
{
    embedded_t world;
    seen_t seen = {.count = 0};
    static seen_t kept;
    capstan_subscription_t *subscription;
    capstan_subscription_t *later;
    embedded_init(&world);
    embedded_start(&world);
    embedded_subscribe(
        &world,
        (capstan_subscribe_options_t){.handle = seen_work, .context = &seen, .concurrency = 3},
        &subscription);
    embedded_subscribe(
        &world,
        (capstan_subscribe_options_t){
            .group = "later", .handle = seen_keep, .context = &kept, .acknowledge_later = true},
        &later);
    for (uint64_t i = 0; i < KILLS; i++) {
        embedded_publish_range(&world, KEYS, i * 10 + 1, i * 10 + 10);
        embedded_await_stored(subscription, KEYS * 10 * (i + 1));
        cr_assert(embedded_await(&kept.number_count, KEYS * (i + 1)));
        end_one(&world, "group"); /* which of the two is left to chance */
        end_one(&world, "group");
        await_member(subscription, true);
        await_member(later, true);
    }
    cr_assert(embedded_await(&seen.count, KEYS * 10 * KILLS));
    cr_assert_eq(seen.faults, 0);
    embedded_end(&later);
    embedded_end(&subscription);
    embedded_stop(&world);
    embedded_fini(&world);
}

static void count(void *context, const capstan_outcome_t *outcome)
{
    _Atomic uint64_t *counts = context;
    atomic_fetch_add(&counts[outcome->result], 1);
    atomic_fetch_add(&counts[5], 1);
}

/* What was under way is answered once, and published again it is known or new. */
Test(embedded_failure, publishes_on_when_a_partition_has_ended)
{
    embedded_t world;
    _Atomic uint64_t counts[6] = {0};
    capstan_subscription_t *subscription;
    seen_t seen = {.count = 0};
    embedded_init(&world);
    embedded_start(&world);
    embedded_subscribe(&world, (capstan_subscribe_options_t){.handle = seen_work, .context = &seen},
                       &subscription);
    embedded_publish_range(&world, KEYS, 1, 1);
    for (uint64_t i = 0; i < 200; i++) {
        char name[32];
        snprintf(name, sizeof name, "key %u", (unsigned)(i % KEYS));
        capstan_event_t event = {.key = capstan_slice_text(name),
                                 .producer = capstan_slice_text("test"),
                                 .sequence = i / KEYS + 2};
        cr_assert_eq(capstan_node_publish_async(world.node, world.topic, &event, count, counts),
                     CAPSTAN_OK);
        if (i == 100) {
            end_one(&world, "partition");
        }
    }
    cr_assert(embedded_await(&counts[5], 200), "each is answered");
    for (uint64_t i = 0; i < 200; i++) {
        capstan_outcome_t outcome;
        do {
            outcome = embedded_publish(&world, (uint32_t)(i % KEYS), i / KEYS + 2, "");
        } while (outcome.result == CAPSTAN_RESULT_UNKNOWN ||
                 outcome.reason == CAPSTAN_E_UNAVAILABLE);
        cr_assert_neq(outcome.result, CAPSTAN_RESULT_REJECTED, "%s",
                      capstan_err_name(outcome.reason));
    }
    cr_assert(embedded_await(&seen.count, KEYS * 11));
    embedded_pause();
    cr_assert_eq(counts[5], 200, "and once");
    embedded_end(&subscription);
    for (uint32_t key = 0; key < KEYS; key++) { /* some may have come twice */
        cr_assert_eq(seen.last[key], 11);
    }
    embedded_stop(&world);
    embedded_fini(&world);
}
