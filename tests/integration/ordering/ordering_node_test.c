/* Recovery, groups, places, fencing and damage, in a real node on a real disk. Each test runs a
 * second time with strict_wire. */
#include "tests/integration/ordering/ordering_kit.h"

#include "actors/ordering/ordering_metrics.h"

#include <fcntl.h>
#include <poll.h>
#include <sqlite3.h>
#include <sys/stat.h>

enum { KEYS = 8, PARTITIONS = 4, TRIES = 500, TRY_MS = 20 };

typedef void body_fn(bench_t *bench);

static void twice(body_fn *body)
{
    for (int strict = 0; strict < 2; strict++) {
        bench_t bench;
        bench_init(&bench);
        bench.strict = strict == 1;
        body(&bench);
        bench_fini(&bench);
    }
}

static void start(bench_t *bench)
{
    cr_assert_eq(bench_start(bench), CAPSTAN_OK);
    cr_assert_eq(bench_topic(bench, "orders", PARTITIONS, NULL), CAPSTAN_OK);
}

/* Publishes, and wants each to be answered with this result. */
static void publish(client_t *client, const item_t *items, size_t count, event_result_t wanted)
{
    uint64_t first = client_publish(client, items, count);
    cr_assert(client_settled(client));
    for (size_t i = 0; i < count; i++) {
        result_t result = client_result(client, first + i);
        cr_assert_eq(result.result, wanted, "%zu: %llu, %s", i, (unsigned long long)result.result,
                     capstan_err_name(result.err));
    }
}

/* Sequences [from, to] of every key, in order. */
static void publish_range(client_t *client, uint64_t from, uint64_t to, uint32_t size,
                          event_result_t wanted)
{
    for (uint64_t sequence = from; sequence <= to; sequence++) {
        item_t items[KEYS];
        for (uint32_t key = 0; key < KEYS; key++) {
            items[key] = (item_t){.key = key, .size = size, .sequence = sequence};
        }
        publish(client, items, KEYS, wanted);
    }
}

/* A client that looks at everything from the earliest; wants `count` events in order. */
static void look(bench_t *bench, size_t count)
{
    client_t *client = client_new(bench, "orders");
    cr_assert_eq(client_subscribe(client, &(client_place_t){0}), CAPSTAN_OK);
    cr_assert(client_received(client, count));
    cr_assert_eq(client_count(client), count);
    const char *disorder = client_disorder(client, 0, true);
    cr_assert_null(disorder, "%s", disorder);
    cr_assert_eq(client_faults(client), 0);
    client_destroy(&client);
}

static void last_offsets(client_t *client, size_t from, uint64_t ret_offsets[PARTITIONS])
{
    size_t count = client_count(client);
    for (size_t i = from; i < count; i++) {
        got_t got = client_got(client, i);
        ret_offsets[got.partition] = got.offset;
    }
}

/* Acknowledges, and waits until the partitions know. */
static void acknowledge(bench_t *bench, client_t *client, const uint64_t offsets[PARTITIONS])
{
    for (uint64_t i = 0; i < PARTITIONS; i++) {
        client_acknowledge(client, i, offsets[i]);
    }
    for (uint64_t i = 0; i < PARTITIONS; i++) {
        for (int k = 0; k < TRIES && bench_frontier(bench, i, "group") < offsets[i]; k++) {
            poll(NULL, 0, TRY_MS);
        }
        cr_assert_eq(bench_frontier(bench, i, "group"), offsets[i]);
    }
}

/* --- recovery -------------------------------------------------------------------------------- */

/* How many partitions have one. */
static int snapshots(const bench_t *bench)
{
    static const char *const instances[PARTITIONS] = {"orders/0", "orders/1", "orders/2",
                                                      "orders/3"};
    store_t *store;
    store_options_t options = {.path = bench->fixture.path};
    cr_assert_eq(store_open(&options, &store, NULL, 0), CAPSTAN_OK);
    int count = 0;
    for (size_t i = 0; i < PARTITIONS; i++) {
        count += fixture_stream(store, instances[i]).snapshot_lsn > 0;
    }
    store_close(&store);
    return count;
}

/* The group gets everything behind its frontier, each once; adds it to `delivered`. */
static void go_on(client_t *group, const uint64_t frontiers[PARTITIONS], size_t count,
                  uint64_t ret_delivered[PARTITIONS])
{
    cr_assert(client_received(group, count));
    cr_assert_eq(client_count(group), count);
    memcpy(ret_delivered, frontiers, PARTITIONS * sizeof *ret_delivered);
    for (size_t i = 0; i < count; i++) {
        got_t got = client_got(group, i);
        cr_assert_eq(got.offset, ++ret_delivered[got.partition], "event %zu of %zu", i, count);
    }
}

/* Each life acknowledges a part of what it got, and enough follows for a snapshot behind that. */
static void restart_often(bench_t *bench)
{
    enum { LIVES = 4, FIRST = 10, ROUNDS = 90 };
    uint64_t frontiers[PARTITIONS] = {0};
    uint64_t delivered[PARTITIONS];
    size_t left = 0; /* events that the group has not acknowledged */
    for (uint64_t life = 0; life < LIVES; life++) {
        start(bench);
        client_t *client = client_new(bench, "orders");
        client_t *group = client_new(bench, "orders");
        cr_assert_eq(client_subscribe(group, &(client_place_t){.group = "group"}), CAPSTAN_OK);
        publish_range(client, 1, life * ROUNDS, 50, EVENT_DUPLICATE);
        publish_range(client, life * ROUNDS + 1, life * ROUNDS + FIRST, 50, EVENT_STORED);
        left += (size_t)FIRST * KEYS;
        go_on(group, frontiers, left, delivered);
        for (uint64_t i = 0; i < PARTITIONS; i++) {
            uint64_t done = (delivered[i] - frontiers[i]) * 2 / 3;
            frontiers[i] += done;
            left -= done;
        }
        acknowledge(bench, group, frontiers);
        publish_range(client, life * ROUNDS + FIRST + 1, (life + 1) * ROUNDS, 50, EVENT_STORED);
        left += (size_t)(ROUNDS - FIRST) * KEYS;
        look(bench, (size_t)(life + 1) * ROUNDS * KEYS);
        bench_stop(bench);
        client_destroy(&client);
        client_destroy(&group);
        cr_assert_eq(snapshots(bench), PARTITIONS);
    }
}

Test(ordering_node, recovers_from_snapshot_and_log_and_groups_go_on_at_their_frontier,
     .timeout = 120)
{
    twice(restart_often);
}

/* More held bytes than a chunk of a snapshot takes. */
static void hold_much(bench_t *bench)
{
    enum { HELD = 60, BYTES = 6000 };
    start(bench);
    client_t *client = client_new(bench, "orders");
    publish_range(client, 2, HELD + 1, BYTES, EVENT_HELD);
    cr_assert_eq(bench_accepted(bench), 0);
    bench_stop(bench);
    client_destroy(&client);
    cr_assert_gt(snapshots(bench), 0);
    start(bench);
    client = client_new(bench, "orders");
    publish_range(client, 2, HELD + 1, BYTES, EVENT_DUPLICATE);
    publish_range(client, 1, 1, BYTES, EVENT_STORED);
    look(bench, (HELD + 1) * KEYS);
    bench_stop(bench);
    client_destroy(&client);
    start(bench);
    look(bench, (HELD + 1) * KEYS);
    bench_stop(bench);
}

Test(ordering_node, keeps_held_events_over_a_snapshot_in_chunks, .timeout = 120)
{
    twice(hold_much);
}

/* Each key's row is to be written with the next snapshot: that waits for eight records for each. */
static void change_many_keys(bench_t *bench)
{
    enum { MANY = 256, FEW_ROUNDS = 4, ROUNDS = 16 };
    static item_t items[MANY];
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        start(bench);
        client_t *client = client_new(bench, "orders");
        for (uint32_t key = 0; key < MANY; key++) {
            items[key] = (item_t){.key = key, .size = 10, .sequence = round};
        }
        publish(client, items, MANY, EVENT_STORED);
        bench_stop(bench);
        client_destroy(&client);
        if (round == FEW_ROUNDS) {
            cr_assert_eq(snapshots(bench), 0, "there were four times as many records as rows");
        }
    }
    cr_assert_eq(snapshots(bench), PARTITIONS);
    start(bench);
    look(bench, ROUNDS * MANY);
    bench_stop(bench);
}

Test(ordering_node, writes_snapshots_in_proportion_to_the_keys_that_changed, .timeout = 120)
{
    twice(change_many_keys);
}

/* --- places ---------------------------------------------------------------------------------- */

static void begin_at_places(bench_t *bench)
{
    start(bench);
    client_t *client = client_new(bench, "orders");
    client_t *latest = client_new(bench, "orders");
    client_t *group = client_new(bench, "orders");
    client_t *resumed = client_new(bench, "orders");
    publish_range(client, 1, 20, 50, EVENT_STORED);
    cr_assert_eq(client_subscribe(latest, &(client_place_t){.latest = true}), CAPSTAN_OK);
    cr_assert_eq(client_subscribe(group, &(client_place_t){.group = "late", .latest = true}),
                 CAPSTAN_OK);
    cr_assert_eq(client_count(latest) + client_count(group), 0);
    publish_range(client, 21, 25, 50, EVENT_STORED);
    cr_assert(client_received(latest, 5 * KEYS));
    cr_assert(client_received(group, 5 * KEYS));
    cr_assert_eq(client_count(latest), 5 * KEYS);
    cr_assert_eq(client_got(latest, 0).sequence, 21);
    uint64_t offsets[PARTITIONS] = {0};
    last_offsets(latest, 0, offsets);
    position_t resume[PARTITIONS];
    for (uint64_t i = 0; i < PARTITIONS; i++) {
        resume[i] = (position_t){.partition = i, .offset = offsets[i] - 2};
    }
    client_place_t place = {.resume = resume, .resume_count = PARTITIONS};
    cr_assert_eq(client_subscribe(resumed, &place), CAPSTAN_OK);
    cr_assert(client_received(resumed, 2 * PARTITIONS));
    cr_assert_eq(client_count(resumed), 2 * PARTITIONS);
    uint64_t resumed_offsets[PARTITIONS] = {0};
    last_offsets(resumed, 0, resumed_offsets);
    cr_assert_arr_eq(resumed_offsets, offsets, sizeof offsets);
    cr_assert_null(client_disorder(latest, 0, false));
    cr_assert_null(client_disorder(resumed, 0, false));
    bench_stop(bench);
    client_destroy(&client);
    client_destroy(&latest);
    client_destroy(&group);
    client_destroy(&resumed);
}

Test(ordering_node, delivers_from_the_latest_and_from_places_given, .timeout = 60)
{
    twice(begin_at_places);
}

/* --- groups ---------------------------------------------------------------------------------- */

/* What one member leaves is delivered to the other, in the order of each key. */
static void take_turns(bench_t *bench)
{
    start(bench);
    client_t *first = client_new(bench, "orders");
    client_t *second = client_new(bench, "orders");
    client_t *look = client_new(bench, "orders");
    client_place_t place = {.group = "group"};
    cr_assert_eq(client_subscribe(first, &place), CAPSTAN_OK);
    publish_range(second, 1, 5, 50, EVENT_STORED);
    cr_assert(client_received(first, 5 * KEYS));
    cr_assert_eq(client_subscribe(second, &place), CAPSTAN_OK);
    cr_assert_eq(client_subscribe(look, &(client_place_t){0}), CAPSTAN_OK, "a look is no member");
    cr_assert(client_received(look, 5 * KEYS));
    cr_assert_eq(client_count(second), 0, "every key is held by the first");
    uint64_t offsets[PARTITIONS] = {0};
    for (size_t i = 0; i < 3 * KEYS; i++) {
        got_t got = client_got(first, i);
        offsets[got.partition] = got.offset;
    }
    acknowledge(bench, first, offsets);
    client_end(first);
    cr_assert(client_received(second, 2 * KEYS));
    cr_assert_eq(client_count(second), 2 * KEYS);
    cr_assert_null(client_disorder(second, 0, false));
    for (size_t i = 0; i < 2 * KEYS; i++) {
        got_t got = client_got(second, i);
        cr_assert_gt(got.offset, offsets[got.partition]);
    }
    bench_stop(bench);
    client_destroy(&first);
    client_destroy(&second);
    client_destroy(&look);
}

Test(ordering_node, delivers_to_another_member_what_one_that_ended_had_left, .timeout = 60)
{
    twice(take_turns);
}

/* --- topics and producers -------------------------------------------------------------------- */

static capstan_err_t open_producer(client_t *client, const char *topic, bool take_over,
                                   uint64_t *ret_epoch)
{
    producer_open_t open = {
        .topic = slice_text(topic), .producer = slice_text("producer"), .take_over = take_over};
    producer_opened_t opened = {0};
    capstan_err_t err =
        client_ask(client, producer_open_wire(), &open, producer_opened_wire(), &opened);
    *ret_epoch = opened.producer_epoch;
    return err;
}

static void refuse_topics(bench_t *bench)
{
    uint64_t epoch;
    start(bench);
    cr_assert_eq(bench_topic(bench, "orders", PARTITIONS + 1, NULL), CAPSTAN_E_TOPIC_DIFFERS);
    client_t *client = client_new(bench, "nothing");
    topic_ensure_t arrival = {.topic = slice_text("orders"), .sequence = SEQUENCE_ARRIVAL};
    topic_info_t info;
    cr_assert_eq(client_ask(client, topic_ensure_wire(), &arrival, topic_info_wire(), &info),
                 CAPSTAN_E_TOPIC_DIFFERS);
    cr_assert_eq(client_subscribe(client, &(client_place_t){0}), CAPSTAN_E_UNKNOWN_TOPIC);
    cr_assert_eq(open_producer(client, "nothing", false, &epoch), CAPSTAN_E_UNKNOWN_TOPIC);
    topic_resolve_t resolve = {.topic = slice_text("nothing")};
    topic_route_t route;
    cr_assert_eq(client_ask(client, topic_resolve_wire(), &resolve, topic_route_wire(), &route),
                 CAPSTAN_E_UNKNOWN_TOPIC);
    cr_assert_eq(bench_topic(bench, "no/name", 1, NULL), CAPSTAN_E_INVALID);
    bench_stop(bench);
    client_destroy(&client);
    cr_assert_eq(bench_start(bench), CAPSTAN_OK);
    cr_assert_eq(bench_topic(bench, "orders", PARTITIONS + 1, NULL), CAPSTAN_E_TOPIC_DIFFERS);
    cr_assert_eq(bench_topic(bench, "orders", PARTITIONS, &info), CAPSTAN_OK);
    cr_assert_eq(info.created, false);
    bench_stop(bench);
}

Test(ordering_node, refuses_unknown_topics_and_other_definitions, .timeout = 60)
{
    twice(refuse_topics);
}

/* An event of every key with this epoch, so that each partition is asked. */
static void publish_epoch(client_t *client, uint64_t epoch, uint64_t sequence, capstan_err_t wanted)
{
    item_t items[KEYS];
    for (uint32_t key = 0; key < KEYS; key++) {
        items[key] = (item_t){.key = key, .sequence = sequence, .epoch = epoch};
    }
    uint64_t first = client_publish(client, items, KEYS);
    cr_assert(client_settled(client));
    for (uint32_t key = 0; key < KEYS; key++) {
        result_t result = client_result(client, first + key);
        cr_assert_eq(result.err, wanted, "key %u, epoch %llu: %s", key, (unsigned long long)epoch,
                     capstan_err_name(result.err));
    }
}

static void fence(bench_t *bench)
{
    uint64_t epoch;
    start(bench);
    client_t *client = client_new(bench, "orders");
    cr_assert_eq(open_producer(client, "orders", false, &epoch), CAPSTAN_OK);
    cr_assert_eq(epoch, 1);
    publish_epoch(client, 1, 1, CAPSTAN_OK);
    cr_assert_eq(open_producer(client, "orders", false, &epoch), CAPSTAN_OK);
    cr_assert_eq(epoch, 1);
    cr_assert_eq(open_producer(client, "orders", true, &epoch), CAPSTAN_OK);
    cr_assert_eq(epoch, 2);
    publish_epoch(client, 1, 2, CAPSTAN_E_FENCED);
    publish_epoch(client, 0, 2, CAPSTAN_E_FENCED);
    bench_stop(bench);
    client_destroy(&client);
    start(bench);
    client = client_new(bench, "orders");
    publish_epoch(client, 1, 2, CAPSTAN_E_FENCED);
    cr_assert_eq(open_producer(client, "orders", false, &epoch), CAPSTAN_OK);
    cr_assert_eq(epoch, 2);
    publish_epoch(client, 2, 2, CAPSTAN_OK);
    cr_assert_eq(open_producer(client, "orders", true, &epoch), CAPSTAN_OK);
    cr_assert_eq(epoch, 3);
    publish_epoch(client, 2, 3, CAPSTAN_E_FENCED);
    bench_stop(bench);
    client_destroy(&client);
}

Test(ordering_node, fences_older_epochs_in_every_partition_for_ever, .timeout = 60)
{
    twice(fence);
}

/* The power fails somewhere between the epoch's mark and the last partition. Whatever epoch is
 * answered after the restart, older ones are fenced everywhere. */
static void fence_in_vain(bool strict, uint64_t operations)
{
    powerloss_t *disk = powerloss_new("powerloss");
    bench_t bench;
    bench_init(&bench);
    bench.vfs = "powerloss";
    bench.strict = strict;
    start(&bench);
    client_t *client = client_new(&bench, "orders");
    uint64_t epoch;
    cr_assert_eq(open_producer(client, "orders", false, &epoch), CAPSTAN_OK);
    publish_epoch(client, 1, 1, CAPSTAN_OK);
    powerloss_fail_after(disk, operations);
    (void)!open_producer(client, "orders", true, &epoch);
    powerloss_fail_after(disk, 0);
    bench_stop(&bench);
    client_destroy(&client);
    powerloss_restore(disk, operations);
    start(&bench);
    client = client_new(&bench, "orders");
    cr_assert_eq(open_producer(client, "orders", false, &epoch), CAPSTAN_OK);
    cr_assert_geq(epoch, 1);
    publish_epoch(client, epoch - 1, 2, CAPSTAN_E_FENCED);
    publish_epoch(client, epoch, 2, CAPSTAN_OK);
    bench_stop(&bench);
    client_destroy(&client);
    bench_fini(&bench);
    powerloss_destroy(&disk);
}

Test(ordering_node, fences_older_epochs_also_when_a_take_over_was_cut_short, .timeout = 120)
{
    for (uint64_t operations = 0; operations < 24; operations++) {
        fence_in_vain(operations % 2 == 1, operations);
    }
}

/* --- the tail -------------------------------------------------------------------------------- */

/* One reader begins far behind while events go on, another does not take what it is given. */
static void fall_behind(bench_t *bench)
{
    enum { BEFORE = 60, AFTER = 120, BYTES = 8000 };
    start(bench);
    client_t *client = client_new(bench, "orders");
    client_t *stuck = client_new(bench, "orders");
    client_t *late = client_new(bench, "orders");
    cr_assert_eq(client_subscribe(stuck, &(client_place_t){.keep_grants = true}), CAPSTAN_OK);
    publish_range(client, 1, BEFORE, BYTES, EVENT_STORED);
    cr_assert_eq(client_subscribe(late, &(client_place_t){0}), CAPSTAN_OK);
    publish_range(client, BEFORE + 1, AFTER, BYTES, EVENT_STORED);
    cr_assert(client_received(late, AFTER * KEYS));
    size_t given = client_count(stuck);
    cr_assert_gt(given, 0);
    cr_assert_lt(given, AFTER * KEYS, "what is not passed on is bounded");
    client_grant(stuck);
    cr_assert(client_received(stuck, AFTER * KEYS));
    cr_assert_eq(client_count(stuck), AFTER * KEYS);
    cr_assert_eq(client_count(late), AFTER * KEYS);
    const char *disorder = client_disorder(stuck, 0, true);
    cr_assert_null(disorder, "%s", disorder);
    disorder = client_disorder(late, 0, true);
    cr_assert_null(disorder, "%s", disorder);
    cr_assert_eq(client_faults(stuck) + client_faults(late), 0);
    bench_stop(bench);
    client_destroy(&client);
    client_destroy(&stuck);
    client_destroy(&late);
}

Test(ordering_node, a_reader_far_behind_catches_up_without_a_hole_or_a_double, .timeout = 120)
{
    twice(fall_behind);
}

/* Groups that begin at the same place, one after the other: what the journal was read for the first
 * serves the second. */
static void share_what_is_read_back(bench_t *bench)
{
    enum { ROUNDS = 50, BYTES = 2000 };
    int64_t read_back = metric_value(&ordering_metrics, METRIC_ordering_events_read_back);
    start(bench);
    client_t *client = client_new(bench, "orders");
    publish_range(client, 1, ROUNDS, BYTES, EVENT_STORED);
    static const char *const groups[] = {"one", "two"};
    for (size_t i = 0; i < 2; i++) {
        client_t *member = client_new(bench, "orders");
        cr_assert_eq(client_subscribe(member, &(client_place_t){.group = groups[i]}), CAPSTAN_OK);
        cr_assert(client_received(member, ROUNDS * KEYS));
        cr_assert_eq(client_count(member), ROUNDS * KEYS);
        cr_assert_null(client_disorder(member, 0, true));
        cr_assert_eq(client_faults(member), 0);
        client_destroy(&member);
        int64_t now = metric_value(&ordering_metrics, METRIC_ordering_events_read_back);
        cr_assert_gt(now - read_back, ROUNDS * KEYS / 2, "the memory is too small for most");
        cr_assert_leq(now - read_back, ROUNDS * KEYS, "%s read again what was there", groups[i]);
    }
    bench_stop(bench);
    client_destroy(&client);
}

Test(ordering_node, groups_share_what_is_read_back_for_one_of_them, .timeout = 60)
{
    twice(share_what_is_read_back);
}

/* The largest events, many in one commit: a delivery has to fit a batch to a peer. */
static void deliver_large(bench_t *bench)
{
    enum { COUNT = 6, BYTES = (1 << 20) - 256, DELIVER_MAX = (1 << 20) + 4096, SMALL = 2000 };
    start(bench);
    client_t *client = client_new(bench, "orders");
    item_t items[SMALL];
    for (uint32_t i = 0; i < COUNT; i++) {
        items[i] = (item_t){.key = 1, .size = BYTES, .sequence = i + 1};
    }
    publish(client, items, COUNT, EVENT_STORED);
    for (uint32_t i = 0; i < SMALL; i++) {
        items[i] = (item_t){.key = 1, .size = 1000, .sequence = COUNT + i + 1};
    }
    publish(client, items, SMALL, EVENT_STORED);
    for (int life = 0; life < 2; life++) {
        client_t *reader = client_new(bench, "orders");
        cr_assert_eq(client_subscribe(reader, &(client_place_t){0}), CAPSTAN_OK);
        cr_assert(client_received(reader, COUNT + SMALL));
        cr_assert_eq(client_count(reader), COUNT + SMALL);
        cr_assert_null(client_disorder(reader, 0, true));
        cr_assert_eq(client_faults(reader), 0);
        cr_assert_leq(client_deliver_bytes_max(reader), DELIVER_MAX, "%zu bytes in one delivery",
                      client_deliver_bytes_max(reader));
        bench_stop(bench);
        client_destroy(&reader);
        start(bench);
    }
    bench_stop(bench);
    client_destroy(&client);
}

Test(ordering_node, delivers_the_largest_events_and_never_more_than_a_batch_takes, .timeout = 120)
{
    twice(deliver_large);
}

/* --- damage ---------------------------------------------------------------------------------- */

static void damage(const bench_t *bench, const char *statement)
{
    sqlite3 *db;
    cr_assert_eq(sqlite3_open_v2(bench->fixture.path, &db, SQLITE_OPEN_READWRITE, bench->vfs),
                 SQLITE_OK);
    char *text = NULL;
    int result = sqlite3_exec(db, statement, NULL, NULL, &text);
    cr_assert_eq(result, SQLITE_OK, "%s", text);
    cr_assert_eq(sqlite3_changes(db), 1);
    sqlite3_close(db);
}

static void fill_store(bench_t *bench, uint64_t rounds)
{
    start(bench);
    client_t *client = client_new(bench, "orders");
    publish_range(client, 1, rounds, 50, EVENT_STORED);
    bench_stop(bench);
    client_destroy(&client);
}

static void damage_row(bench_t *bench, const char *statement, uint64_t rounds)
{
    fill_store(bench, rounds);
    damage(bench, statement);
    cr_assert_eq(bench_start(bench), CAPSTAN_E_STORE_CORRUPT);
}

static void damage_log(bench_t *bench)
{
    damage_row(bench,
               "UPDATE log SET records = zeroblob(length(records)) WHERE id = (SELECT max(log.id) "
               "FROM log JOIN streams ON streams.id = stream WHERE instance = 'orders/0')",
               3);
}

static void damage_topics(bench_t *bench)
{
    damage_row(
        bench,
        "UPDATE log SET checksum = checksum + 1 WHERE id = (SELECT max(log.id) FROM log JOIN "
        "streams ON streams.id = stream WHERE instance = 'topics')",
        3);
}

static void damage_snapshot(bench_t *bench)
{
    damage_row(bench,
               "UPDATE snapshots SET checksum = checksum + 1 WHERE key = CAST('s' AS BLOB) AND "
               "stream = (SELECT id FROM streams WHERE instance = 'orders/1')",
               60);
}

Test(ordering_node, says_that_a_damaged_log_snapshot_or_list_of_topics_is_damaged, .timeout = 60)
{
    twice(damage_log);
    twice(damage_topics);
    twice(damage_snapshot);
}

/* Where recovery does not look, a reader finds the damage and is told. */
static void damage_old(bench_t *bench)
{
    fill_store(bench, 120);
    damage(bench,
           "UPDATE log SET records = zeroblob(length(records)) WHERE id = (SELECT min(log.id) "
           "FROM log JOIN streams ON streams.id = stream WHERE instance = 'orders/0')");
    start(bench);
    client_t *client = client_new(bench, "orders");
    cr_assert_eq(client_subscribe(client, &(client_place_t){0}), CAPSTAN_OK);
    cr_assert_eq(client_ended(client), CAPSTAN_E_STORE_CORRUPT);
    publish_range(client, 121, 122, 50, EVENT_STORED);
    bench_stop(bench);
    client_destroy(&client);
}

Test(ordering_node, tells_a_reader_of_damage_where_recovery_does_not_look, .timeout = 60)
{
    twice(damage_old);
}

/* Damage that a partition finds when it is rebuilt in a running node: its producers and consumers
 * are told, the other partitions go on. */
static void damage_while_running(bool strict)
{
    powerloss_t *disk = powerloss_new("powerloss");
    bench_t bench;
    bench_init(&bench);
    bench.vfs = "powerloss";
    bench.strict = strict;
    start(&bench);
    client_t *client = client_new(&bench, "orders");
    client_t *consumer = client_new(&bench, "orders");
    publish_range(client, 1, 3, 50, EVENT_STORED);
    cr_assert_eq(client_subscribe(consumer, &(client_place_t){0}), CAPSTAN_OK);
    uint32_t key = 0;
    while (bench_partition_of(&bench, key) != 0) {
        key++;
    }
    damage(&bench, "UPDATE log SET checksum = checksum + 1 WHERE id = (SELECT max(log.id) FROM log "
                   "JOIN streams ON streams.id = stream WHERE instance = 'orders/0')");
    powerloss_fail_syncs(disk, true);
    item_t item = {.key = key, .sequence = 4};
    publish(client, &item, 1, EVENT_REJECTED);
    powerloss_fail_syncs(disk, false);
    cr_assert_eq(client_ended(consumer), CAPSTAN_E_STORE_CORRUPT);
    uint64_t sequence = client_publish(client, &item, 1);
    cr_assert(client_settled(client));
    cr_assert_eq(client_result(client, sequence).err, CAPSTAN_E_STORE_CORRUPT);
    cr_assert_eq(client_subscribe(consumer, &(client_place_t){0}), CAPSTAN_E_STORE_CORRUPT);
    while (bench_partition_of(&bench, key) == 0) {
        key++;
    }
    item.key = key;
    publish(client, &item, 1, EVENT_STORED);
    bench_stop(&bench);
    client_destroy(&client);
    client_destroy(&consumer);
    bench_fini(&bench);
    powerloss_destroy(&disk);
}

Test(ordering_node, tells_everyone_of_damage_that_a_rebuild_finds, .timeout = 60)
{
    damage_while_running(false);
    damage_while_running(true);
}

/* One byte of the file, anywhere: the node starts or says why not, and delivers nothing wrong. */
static void flip_byte(bench_t *bench, uint64_t seed)
{
    random_source_t random = {.state = seed};
    fill_store(bench, 40);
    int fd = open(bench->fixture.path, O_RDWR);
    struct stat about;
    cr_assert(fd >= 0 && fstat(fd, &about) == 0 && about.st_size > 0);
    off_t at = (off_t)random_below(&random, (uint64_t)about.st_size);
    uint8_t byte;
    cr_assert_eq(pread(fd, &byte, 1, at), 1);
    byte ^= (uint8_t)(1u << random_below(&random, 8));
    cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
    close(fd);
    if (bench_start(bench)) {
        return;
    }
    topic_info_t info;
    if (bench_topic(bench, "orders", PARTITIONS, &info) == CAPSTAN_OK && !info.created) {
        client_t *client = client_new(bench, "orders");
        if (client_subscribe(client, &(client_place_t){0}) == CAPSTAN_OK) {
            (void)client_count(client);
            cr_assert_null(client_disorder(client, 0, true));
            cr_assert_eq(client_faults(client), 0);
        }
        client_destroy(&client);
    }
    bench_stop(bench);
}

Test(ordering_node, survives_a_flipped_bit_anywhere_in_the_file, .timeout = 120)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        bench_t bench;
        bench_init(&bench);
        bench.strict = seed % 2 == 0;
        flip_byte(&bench, seed);
        bench_fini(&bench);
    }
}
