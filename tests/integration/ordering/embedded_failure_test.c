/* Groups and partitions that end under a program's hands: it publishes and consumes on. */
#include "runtime/runtime.h"
#include "tests/integration/ordering/embedded_kit.h"

#include <capstan/supervisor.h>

enum { KILLS = 3, PER_ROUND = 10, ROUNDS_MAX = 100, VICTIMS_MAX = 2 };

typedef struct victims {
    const char *name; /* of their behaviour */
    capstan_ref_t refs[VICTIMS_MAX];
    size_t count;
    size_t wanted;
} victims_t;

static void look_for(void *context, const actor_figures_t *figures)
{
    victims_t *victims = context;
    if (strcmp(figures->name, victims->name) == 0 && victims->count < victims->wanted) {
        victims->refs[victims->count++] = figures->ref;
    }
}

static capstan_err_t kill_it(capstan_actor_t *actor, void *argument)
{
    const victims_t *victims = argument;
    for (size_t i = 0; i < victims->count; i++) {
        (void)!capstan_stop(actor, victims->refs[i], 0); /* GONE: it has just ended by itself */
    }
    capstan_actor_exit(actor, CAPSTAN_OK);
    return CAPSTAN_OK;
}

static capstan_err_t ignore(capstan_actor_t *actor, const capstan_message_t *message)
{
    (void)actor;
    (void)message;
    return CAPSTAN_OK;
}

/* Ends so many actors of that kind. */
static void end_some(embedded_t *world, const char *name, size_t wanted)
{
    static const capstan_behaviour_t killer = {
        .name = "killer", .init = kill_it, .receive = ignore};
    victims_t victims = {.name = name, .wanted = wanted};
    capstan_ref_t ref;
    node_figures(world->node, look_for, &victims);
    cr_assert_eq(victims.count, wanted, "%s", name);
    cr_assert_eq(capstan_node_spawn(world->node, &killer,
                                    &(capstan_spawn_options_t){.argument = &victims}, &ref),
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
        end_some(&world, "group", 2);
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

/* Sequences [first, first + PER_ROUND) of each key, in the middle of which a partition ends. */
static void publish_round(embedded_t *world, uint64_t first, _Atomic uint64_t *counts)
{
    for (uint64_t i = 0; i < KEYS * PER_ROUND; i++) {
        char name[32];
        snprintf(name, sizeof name, "key %u", (unsigned)(i % KEYS));
        capstan_event_t event = {.key = capstan_slice_text(name),
                                 .producer = capstan_slice_text("test"),
                                 .sequence = first + i / KEYS};
        cr_assert_eq(capstan_node_publish_async(world->node, world->topic, &event, count, counts),
                     CAPSTAN_OK);
    }
    end_some(world, "partition", 1);
}

static void publish_again(embedded_t *world, uint32_t key, uint64_t sequence)
{
    capstan_outcome_t outcome;
    do {
        outcome = embedded_publish(world, key, sequence, "");
    } while (outcome.result == CAPSTAN_RESULT_UNKNOWN || outcome.reason == CAPSTAN_E_UNAVAILABLE);
    cr_assert_neq(outcome.result, CAPSTAN_RESULT_REJECTED, "%s", capstan_err_name(outcome.reason));
}

/* What was under way is answered once: of what the partition had taken, the outcome is unknown.
 * Published again it is a duplicate, or new. */
Test(embedded_failure, publishes_on_when_a_partition_has_ended)
{
    embedded_t world;
    _Atomic uint64_t counts[6] = {0};
    capstan_subscription_t *subscription;
    seen_t seen = {.count = 0};
    uint64_t rounds = 0;
    embedded_init(&world);
    embedded_start(&world);
    embedded_subscribe(&world, (capstan_subscribe_options_t){.handle = seen_work, .context = &seen},
                       &subscription);
    while (rounds < ROUNDS_MAX && counts[CAPSTAN_RESULT_UNKNOWN] == 0) {
        publish_round(&world, rounds++ * PER_ROUND + 1, counts);
        cr_assert(embedded_await(&counts[5], rounds * KEYS * PER_ROUND), "each is answered");
    }
    cr_assert_gt(counts[CAPSTAN_RESULT_UNKNOWN], 0);
    for (uint64_t sequence = 1; sequence <= rounds * PER_ROUND; sequence++) {
        for (uint32_t key = 0; key < KEYS; key++) {
            publish_again(&world, key, sequence);
        }
    }
    cr_assert(embedded_await(&seen.count, KEYS * rounds * PER_ROUND));
    embedded_pause();
    cr_assert_eq(counts[5], rounds * KEYS * PER_ROUND, "and once");
    embedded_end(&subscription);
    for (uint32_t key = 0; key < KEYS; key++) { /* some may have come twice */
        cr_assert_eq(seen.last[key], rounds * PER_ROUND);
    }
    embedded_stop(&world);
    embedded_fini(&world);
}
