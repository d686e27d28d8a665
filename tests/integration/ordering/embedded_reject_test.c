/* What handlers of a group's members inside a program reject: tried again, parked, taken back. */
#include "tests/integration/ordering/embedded_kit.h"

/* Key 0 has one that nobody can process: its second. */
static capstan_err_t stumble(capstan_actor_t *actor, void *context,
                             const capstan_delivery_t *delivery)
{
    (void)actor;
    seen_t *self = context;
    if (embedded_key_of(delivery) == 0 && delivery->event.sequence == 2) {
        atomic_fetch_add(&self->attempts_max, 1);
        return CAPSTAN_E_UNSUPPORTED;
    }
    seen_add(self, delivery);
    return CAPSTAN_OK;
}

typedef struct parking {
    char reason[300]; /* of the last one that failed itself */
    size_t count;
    uint64_t attempts;
    uint64_t first; /* sequence */
    uint64_t last;
} parking_t;

static void look(void *context, const capstan_parked_t *parked)
{
    parking_t *self = context;
    self->first = self->count++ == 0 ? parked->event.sequence : self->first;
    self->last = parked->event.sequence;
    cr_assert_gt(parked->since_us, 0);
    cr_assert_gt(parked->offset, 0);
    if (!parked->behind) {
        self->attempts = parked->attempts;
        snprintf(self->reason, sizeof self->reason, "%.*s", (int)parked->reason.size,
                 (const char *)parked->reason.data);
    }
}

static parking_t await_parked(embedded_t *world, size_t wanted)
{
    parking_t parking = {.count = 0};
    for (int i = 0; i < 1000 && parking.count != wanted; i++) {
        poll(NULL, 0, i > 0 ? 5 : 0);
        parking = (parking_t){.count = 0};
        cr_assert_eq(capstan_group_parked(world->node, world->topic, "group", look, &parking),
                     CAPSTAN_OK);
    }
    cr_assert_eq(parking.count, wanted);
    return parking;
}

Test(embedded_reject, parks_what_its_handler_rejects_and_what_is_behind_it)
{
    embedded_t world;
    seen_t seen = {.count = 0};
    capstan_subscription_t *subscription;
    embedded_init(&world);
    embedded_start(&world);
    embedded_publish_range(&world, 3, 1, 5);
    embedded_subscribe(
        &world,
        (capstan_subscribe_options_t){.handle = stumble, .context = &seen, .concurrency = 2},
        &subscription);
    cr_assert(embedded_await(&seen.count, 11)); /* 5 + 5 + 1 */
    parking_t parking = await_parked(&world, 4);
    cr_assert_str_eq(parking.reason, capstan_err_text(CAPSTAN_E_UNSUPPORTED));
    cr_assert_eq(seen.attempts_max, 3, "group_attempts_max");
    cr_assert_eq(seen.count, 11);
    cr_assert_eq(seen.faults, 0);
    cr_assert_eq(capstan_subscription_figures(subscription).rejected, 3);
    embedded_end(&subscription);
    embedded_stop(&world);
    embedded_fini(&world);
}

Test(embedded_reject, rejects_from_another_thread_with_a_reason)
{
    embedded_t world;
    static seen_t seen;
    capstan_subscription_t *subscription;
    embedded_init(&world);
    embedded_start(&world);
    embedded_publish_range(&world, 1, 1, 2);
    embedded_subscribe(&world,
                       (capstan_subscribe_options_t){
                           .handle = seen_keep, .context = &seen, .acknowledge_later = true},
                       &subscription);
    cr_assert(embedded_await(&seen.number_count, 1));
    embedded_pause();
    cr_assert_eq(capstan_reject(subscription, seen.numbers[0],
                                &(capstan_rejection_t){.reason = "try again", .delay_us = 1000}),
                 CAPSTAN_OK);
    cr_assert(embedded_await(&seen.number_count, 2));
    embedded_pause();
    cr_assert_eq(seen.attempts_max, 1);
    cr_assert_eq(capstan_acknowledge(subscription, seen.numbers[0]), CAPSTAN_E_NOT_HELD);
    cr_assert_eq(capstan_reject(subscription, seen.numbers[1],
                                &(capstan_rejection_t){.reason = "never", .final = true}),
                 CAPSTAN_OK);
    parking_t parking = await_parked(&world, 2);
    cr_assert_str_eq(parking.reason, "never");
    embedded_end(&subscription);
    embedded_stop(&world);
    embedded_fini(&world);
}

/* Acknowledges the first by itself, and rejects the second: its return acknowledges none of those
 * behind it. */
static capstan_err_t pick(capstan_actor_t *actor, void *context,
                          const capstan_delivery_t *deliveries, size_t count)
{
    (void)actor;
    seen_t *self = context;
    for (size_t i = 0; i < count; i++) {
        if (deliveries[i].event.sequence >= 2) {
            (void)!capstan_reject(deliveries[i].subscription, deliveries[i].number,
                                  &(capstan_rejection_t){.final = true, .reason = "picked"});
            return CAPSTAN_OK;
        }
        seen_add(self, &deliveries[i]);
        (void)!capstan_acknowledge(deliveries[i].subscription, deliveries[i].number);
    }
    return CAPSTAN_OK;
}

static capstan_err_t fail_batch(capstan_actor_t *actor, void *context,
                                const capstan_delivery_t *deliveries, size_t count)
{
    (void)actor;
    seen_t *self = context;
    if (deliveries[0].attempts == 0) {
        return CAPSTAN_E_TIMEOUT;
    }
    for (size_t i = 0; i < count; i++) {
        seen_add(self, &deliveries[i]);
    }
    return CAPSTAN_OK;
}

Test(embedded_reject, rejects_a_batch_and_gets_it_again_in_order)
{
    embedded_t world;
    seen_t seen = {.count = 0};
    capstan_subscription_t *subscription;
    embedded_init(&world);
    embedded_start(&world);
    cr_assert_eq(capstan_group_define(world.node, world.topic, "group",
                                      &(capstan_group_policy_t){.attempts_max = 1000}, NULL),
                 CAPSTAN_OK);
    embedded_publish_range(&world, 4, 1, 20);
    embedded_subscribe(&world,
                       (capstan_subscribe_options_t){.handle_batch = fail_batch,
                                                     .context = &seen,
                                                     .concurrency = 2,
                                                     .batch_max = 8,
                                                     .key_events_max = 8},
                       &subscription);
    cr_assert(embedded_await(&seen.count, 80));
    embedded_await_stored(subscription, 80);
    cr_assert_eq(seen.faults, 0);
    cr_assert_eq(seen.count, 80);
    embedded_end(&subscription);
    embedded_expect_nothing_left(&world);
    embedded_stop(&world);
    embedded_fini(&world);
}

Test(embedded_reject, takes_back_of_a_batch_what_is_behind_one_that_is_rejected)
{
    embedded_t world;
    seen_t seen = {.count = 0};
    capstan_subscription_t *subscription;
    embedded_init(&world);
    embedded_start(&world);
    embedded_publish_range(&world, 1, 1, 6);
    embedded_subscribe(
        &world,
        (capstan_subscribe_options_t){.handle_batch = pick, .context = &seen, .key_events_max = 64},
        &subscription);
    parking_t parking = await_parked(&world, 5);
    cr_assert_str_eq(parking.reason, "picked");
    cr_assert_eq(seen.faults, 0);
    embedded_await_stored(subscription, 1);
    cr_assert_eq(capstan_subscription_figures(subscription).held, 0);
    embedded_end(&subscription);
    embedded_stop(&world);
    embedded_fini(&world);
}

Test(embedded_reject, delivers_parked_events_again_or_gives_them_up)
{
    embedded_t world;
    seen_t seen = {.count = 0};
    capstan_subscription_t *subscription;
    capstan_released_t released;
    embedded_init(&world);
    embedded_start(&world);
    embedded_publish_range(&world, 1, 1, 5);
    embedded_subscribe(&world, (capstan_subscribe_options_t){.handle = stumble, .context = &seen},
                       &subscription);
    parking_t parking = await_parked(&world, 4);
    cr_assert_eq(parking.attempts, 3);
    cr_assert_eq(parking.first, 2);
    cr_assert_eq(parking.last, 5);
    capstan_slice_t key = capstan_slice_text("key 0");
    cr_assert_eq(capstan_group_release(world.node, world.topic, "group",
                                       capstan_slice_text("key 1"), false, &released),
                 CAPSTAN_OK);
    cr_assert_eq(released.replayed + released.discarded, 0, "nothing of that key is parked");
    cr_assert_eq(capstan_group_release(world.node, world.topic, "group", key, false, &released),
                 CAPSTAN_OK);
    cr_assert_eq(released.replayed, 4);
    while (atomic_load(&seen.attempts_max) < 6) { /* the second one fails three times more */
        poll(NULL, 0, 1);
    }
    await_parked(&world, 4);
    seen.last[0] = 2;                                         /* which is given up */
    for (int i = 0; i == 0 || released.discarded == 0; i++) { /* not while it is still tried */
        cr_assert_lt(i, 10000);
        cr_assert_eq(capstan_group_release(world.node, world.topic, "group", (capstan_slice_t){0},
                                           true, &released),
                     CAPSTAN_OK);
        cr_assert_eq(released.replayed, released.discarded > 0 ? 3 : 0);
    }
    cr_assert_eq(released.discarded, 1);
    cr_assert(embedded_await(&seen.count, 4));
    await_parked(&world, 0);
    cr_assert_eq(seen.faults, 0);
    cr_assert_eq(capstan_group_parked(world.node, world.topic, "", look, &parking),
                 CAPSTAN_E_INVALID);
    cr_assert_eq(capstan_group_release(world.node, world.topic, "", key, false, NULL),
                 CAPSTAN_E_INVALID);
    embedded_end(&subscription);
    embedded_stop(&world);
    embedded_fini(&world);
}
