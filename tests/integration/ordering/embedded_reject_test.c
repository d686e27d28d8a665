/* What handlers of a group's members inside a program reject: tried again, parked, taken back. */
#include "actors/ordering/ordering_messages.h"
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

/* The reason of the one parked event that failed, and how many are parked. */
static size_t parked(embedded_t *world, char *ret_reason, size_t size)
{
    capstan_ref_t topics;
    size_t count = 0;
    ret_reason[0] = 0;
    cr_assert_eq(capstan_node_resolve(world->node, "topics", &topics), CAPSTAN_OK);
    parked_list_t request = {.topic = slice_text("orders"), .group = slice_text("group")};
    for (parked_page_t page = {.more = true}; page.more;) {
        buffer_t body = {0};
        void *answer;
        size_t answer_size;
        codec_list_t list;
        parked_t event;
        codec_encode(parked_list_wire(), &request, &body);
        cr_assert_eq(capstan_node_ask(world->node, topics, MESSAGE_parked_list, buffer_slice(&body),
                                      EMBEDDED_US, &answer, &answer_size),
                     CAPSTAN_OK);
        cr_assert_eq(codec_decode(parked_page_wire(), slice_of(answer, answer_size), &page, NULL),
                     CAPSTAN_OK);
        cr_assert_eq(codec_list_open(parked_wire(), page.events, &list), CAPSTAN_OK);
        for (; codec_list_next(&list, &event); count++) {
            if (!event.behind) {
                snprintf(ret_reason, size, "%.*s", (int)event.reason.size,
                         (const char *)event.reason.data);
            }
        }
        request.partition = page.next_partition;
        request.offset = page.next_offset;
        free(answer);
        buffer_fini(&body);
    }
    return count;
}

Test(embedded_reject, parks_what_its_handler_rejects_and_what_is_behind_it)
{
    embedded_t world;
    seen_t seen = {.count = 0};
    capstan_subscription_t *subscription;
    char reason[300];
    embedded_init(&world);
    embedded_start(&world);
    embedded_publish_range(&world, 3, 1, 5);
    embedded_subscribe(
        &world,
        (capstan_subscribe_options_t){.handle = stumble, .context = &seen, .concurrency = 2},
        &subscription);
    cr_assert(embedded_await(&seen.count, 11)); /* 5 + 5 + 1 */
    for (int i = 0; i < 500 && parked(&world, reason, sizeof reason) < 4; i++) {
        poll(NULL, 0, 5);
    }
    cr_assert_eq(parked(&world, reason, sizeof reason), 4);
    cr_assert_str_eq(reason, capstan_err_text(CAPSTAN_E_UNSUPPORTED));
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
    char reason[300];
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
    for (int i = 0; i < 500 && parked(&world, reason, sizeof reason) < 2; i++) {
        poll(NULL, 0, 5);
    }
    cr_assert_eq(parked(&world, reason, sizeof reason), 2);
    cr_assert_str_eq(reason, "never");
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
    char reason[300];
    embedded_init(&world);
    embedded_start(&world);
    embedded_publish_range(&world, 1, 1, 6);
    embedded_subscribe(
        &world,
        (capstan_subscribe_options_t){.handle_batch = pick, .context = &seen, .key_events_max = 64},
        &subscription);
    for (int i = 0; i < 500 && parked(&world, reason, sizeof reason) < 5; i++) {
        poll(NULL, 0, 5);
    }
    cr_assert_eq(parked(&world, reason, sizeof reason), 5);
    cr_assert_str_eq(reason, "picked");
    cr_assert_eq(seen.faults, 0);
    embedded_await_stored(subscription, 1);
    cr_assert_eq(capstan_subscription_figures(subscription).held, 0);
    embedded_end(&subscription);
    embedded_stop(&world);
    embedded_fini(&world);
}
