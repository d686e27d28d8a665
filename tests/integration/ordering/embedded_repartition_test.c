/* Another number of partitions under a program that hosts the node: it goes on publishing and
 * consuming, as if nothing had happened. */
#include "actors/ordering/ordering_messages.h"
#include "actors/ordering/publisher.h"
#include "tests/integration/ordering/embedded_kit.h"

#include <stdlib.h>

static void alter(embedded_t *world, const char *partitions)
{
    void *answer = NULL;
    size_t size;
    buffer_t settings = {0};
    buffer_t body = {0};
    codec_list_writer_t list = codec_list_begin(&settings);
    codec_list_add(
        &list, topic_setting_wire(),
        &(topic_setting_t){.name = slice_text("partitions"), .value = slice_text(partitions)});
    codec_list_end(&list);
    codec_encode(
        topic_alter_wire(),
        &(topic_alter_t){.topic = slice_text("orders"), .settings = buffer_slice(&settings)},
        &body);
    cr_assert_eq(capstan_node_ask(world->node, publisher_of(world->node)->topics,
                                  MESSAGE_topic_alter, buffer_slice(&body), EMBEDDED_US, &answer,
                                  &size),
                 CAPSTAN_OK);
    free(answer);
    buffer_fini(&body);
    buffer_fini(&settings);
}

Test(embedded_repartition, goes_on_publishing_and_consuming)
{
    embedded_t world;
    seen_t seen = {.count = 0};
    capstan_subscription_t *subscription;
    embedded_init(&world);
    embedded_start(&world);
    embedded_subscribe(
        &world,
        (capstan_subscribe_options_t){.handle = seen_work, .concurrency = 4, .context = &seen},
        &subscription);
    static const char *const numbers[] = {"9", "3", "16"};
    uint64_t sequence = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        embedded_publish_range(&world, KEYS, sequence + 1, sequence + 10);
        sequence += 10;
        embedded_await_stored(subscription, KEYS * sequence);
        alter(&world, numbers[i]);
    }
    embedded_publish_range(&world, KEYS, sequence + 1, PER_KEY);
    cr_assert(embedded_await(&seen.count, KEYS * PER_KEY));
    embedded_await_stored(subscription, KEYS * PER_KEY);
    cr_assert_eq(seen.faults, 0);
    cr_assert_eq(seen.count, KEYS * PER_KEY);
    embedded_end(&subscription);
    embedded_expect_nothing_left(&world);
    embedded_stop(&world);
    embedded_fini(&world);
}
