/* Another number of partitions, in the process: what comes by the way of before is not taken by a
 * partition that it no longer belongs to; and the power fails in any operation of the change. */
#include "tests/integration/ordering/ordering_kit.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEYS = 12, BEFORE = 2, AFTER = 5, OPERATIONS_MAX = 1000 };

static capstan_err_t alter(bench_t *bench, uint64_t partitions)
{
    char value[8];
    topic_info_t info = {0};
    buffer_t settings = {0};
    codec_list_writer_t list = codec_list_begin(&settings);
    snprintf(value, sizeof value, "%u", (unsigned)partitions);
    codec_list_add(
        &list, topic_setting_wire(),
        &(topic_setting_t){.name = slice_text("partitions"), .value = slice_text(value)});
    codec_list_end(&list);
    capstan_err_t err = bench_ask(
        bench, bench->topics, topic_alter_wire(),
        &(topic_alter_t){.topic = slice_text("orders"), .settings = buffer_slice(&settings)},
        topic_info_wire(), &info);
    buffer_fini(&settings);
    cr_assert(err != CAPSTAN_OK || info.partitions == partitions);
    return err;
}

static uint64_t partitions_of(bench_t *bench)
{
    topic_info_t info = {0};
    cr_assert_eq(bench_ask(bench, bench->topics, topic_ensure_wire(),
                           &(topic_ensure_t){.topic = slice_text("orders")}, topic_info_wire(),
                           &info),
                 CAPSTAN_OK);
    return info.partitions;
}

/* One event per key. */
static void publish(client_t *client, uint64_t sequence, result_t ret_results[KEYS])
{
    item_t items[KEYS];
    for (uint32_t key = 0; key < KEYS; key++) {
        items[key] = (item_t){.key = key, .size = 100, .sequence = sequence};
    }
    uint64_t first = client_publish(client, items, KEYS);
    cr_assert(client_settled(client));
    for (uint32_t key = 0; key < KEYS; key++) {
        ret_results[key] = client_result(client, first + key);
    }
}

static void publish_all(client_t *client, uint64_t sequence, event_result_t wanted)
{
    result_t results[KEYS];
    publish(client, sequence, results);
    for (uint32_t key = 0; key < KEYS; key++) {
        cr_assert_eq(results[key].result, wanted, "key %u, sequence %u: %s", key,
                     (unsigned)sequence, capstan_err_name(results[key].err));
    }
}

Test(repartition, takes_nothing_where_it_no_longer_belongs)
{
    bench_t bench;
    bench_init(&bench);
    cr_assert_eq(bench_start(&bench), CAPSTAN_OK);
    cr_assert_eq(bench_topic(&bench, "orders", BEFORE, NULL), CAPSTAN_OK);
    client_t *client = client_new(&bench, "orders");
    publish_all(client, 1, EVENT_STORED);
    uint64_t before[KEYS];
    for (uint32_t key = 0; key < KEYS; key++) {
        before[key] = bench_partition_of(&bench, key);
    }
    cr_assert_eq(alter(&bench, AFTER), CAPSTAN_OK);

    result_t late[KEYS];
    publish(client, 2, late); /* by the way that it knows */
    cr_assert_eq(bench_topic(&bench, "orders", AFTER, NULL), CAPSTAN_OK);
    size_t refused = 0;
    for (uint32_t key = 0; key < KEYS; key++) {
        bool stays = bench_partition_of(&bench, key) == before[key];
        cr_assert_eq(late[key].result, stays ? EVENT_STORED : EVENT_REJECTED);
        cr_assert_eq(late[key].err, stays ? CAPSTAN_OK : CAPSTAN_E_UNAVAILABLE);
        refused += !stays;
    }
    cr_assert(refused > 0 && refused < KEYS);
    publish(client, 2, late);
    for (uint32_t key = 0; key < KEYS; key++) {
        bool stays = bench_partition_of(&bench, key) == before[key];
        cr_assert_eq(late[key].result, stays ? EVENT_DUPLICATE : EVENT_STORED);
    }
    client_destroy(&client);
    bench_stop(&bench);
    bench_fini(&bench);
}

/* Everything that was published is there once, in order, and goes on. */
static void check(bench_t *bench)
{
    cr_assert_eq(bench_topic(bench, "orders", 0, NULL), CAPSTAN_OK);
    client_t *client = client_new(bench, "orders");
    publish_all(client, 1, EVENT_DUPLICATE);
    publish_all(client, 2, EVENT_DUPLICATE);
    publish_all(client, 3, EVENT_STORED);
    cr_assert_eq(alter(bench, AFTER), CAPSTAN_OK);
    cr_assert_eq(bench_topic(bench, "orders", AFTER, NULL), CAPSTAN_OK);
    publish_all(client, 3, EVENT_DUPLICATE);
    publish_all(client, 4, EVENT_STORED);
    cr_assert_eq(bench_accepted(bench), 4 * KEYS);
    cr_assert_eq(client_subscribe(client, &(client_place_t){0}), CAPSTAN_OK);
    cr_assert(client_received(client, 4 * KEYS));
    const char *disorder = client_disorder(client, 0, true);
    cr_assert_null(disorder, "%s", disorder);
    client_destroy(&client);
}

/* Returns whether the change came through before the power failed. */
static bool try_with_failure(uint64_t operations, size_t changed[2])
{
    powerloss_t *disk = powerloss_new("powerloss");
    bench_t bench;
    bench_init(&bench);
    bench.vfs = "powerloss";
    cr_assert_eq(bench_start(&bench), CAPSTAN_OK);
    cr_assert_eq(bench_topic(&bench, "orders", BEFORE, NULL), CAPSTAN_OK);
    client_t *client = client_new(&bench, "orders");
    publish_all(client, 1, EVENT_STORED);
    publish_all(client, 2, EVENT_STORED);
    powerloss_fail_after(disk, operations);
    bool done = alter(&bench, AFTER) == CAPSTAN_OK;
    bool failed = powerloss_failed(disk);
    bench_stop(&bench);
    client_destroy(&client);
    powerloss_restore(disk, operations);
    cr_assert_eq(bench_start(&bench), CAPSTAN_OK);
    uint64_t partitions = partitions_of(&bench);
    cr_assert(partitions == AFTER || (partitions == BEFORE && !done));
    changed[partitions == AFTER]++;
    check(&bench);
    bench_stop(&bench);
    powerloss_destroy(&disk);
    bench_fini(&bench);
    return done && !failed;
}

Test(repartition, has_happened_or_not_when_the_power_fails_in_any_operation)
{
    size_t changed[2] = {0};
    uint64_t step = getenv("CAPSTAN_FULL") ? 1 : 5; /* that new partitions hang takes seconds */
    uint64_t operations = 0;
    while (!try_with_failure(operations, changed)) {
        operations += step;
        cr_assert_lt(operations, OPERATIONS_MAX);
    }
    cr_assert_gt(changed[0], 1, "before the barrier is stored");
    cr_assert_gt(changed[1], 0);
}

Test(repartition, is_called_off_by_a_disk_that_fails_and_everything_goes_on)
{
    powerloss_t *disk = powerloss_new("powerloss");
    bench_t bench;
    bench_init(&bench);
    bench.vfs = "powerloss";
    cr_assert_eq(bench_start(&bench), CAPSTAN_OK);
    cr_assert_eq(bench_topic(&bench, "orders", BEFORE, NULL), CAPSTAN_OK);
    client_t *client = client_new(&bench, "orders");
    publish_all(client, 1, EVENT_STORED);
    publish_all(client, 2, EVENT_STORED);
    powerloss_fail_syncs(disk, true);
    capstan_err_t err = alter(&bench, AFTER);
    cr_assert_neq(err, CAPSTAN_OK);
    cr_assert_eq(capstan_err_retry(err), CAPSTAN_RETRY_LATER, "%s", capstan_err_name(err));
    powerloss_fail_syncs(disk, false);
    for (int i = 0; i < 100 && err != CAPSTAN_OK; i++) {
        poll(NULL, 0, 20);
        err = alter(&bench, AFTER);
    }
    cr_assert_eq(err, CAPSTAN_OK);
    client_destroy(&client);
    check(&bench);
    bench_stop(&bench);
    powerloss_destroy(&disk);
    bench_fini(&bench);
}
