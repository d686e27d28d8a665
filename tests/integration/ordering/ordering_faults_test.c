/* A disk that is full, or does not sync, under a running node: what is refused says that it can be
 * sent again, what was acknowledged stays, consumers stay, and the node goes on by itself when the
 * disk does. Each test runs a second time with strict_wire. */
#include "tests/integration/ordering/ordering_kit.h"

#include <poll.h>

enum { KEYS = 8, PARTITIONS = 4, ROUNDS = 20, TRIES = 500, TRY_MS = 20, ROOM_BYTES = 0 };

typedef struct scene {
    bench_t bench;
    powerloss_t *disk;
    client_t *producer;
    client_t *consumer;
    uint64_t stored[KEYS]; /* sequence up to which `stored` or `duplicate` was answered */
} scene_t;

static void scene_start(scene_t *self)
{
    cr_assert_eq(bench_start(&self->bench), CAPSTAN_OK);
    cr_assert_eq(bench_topic(&self->bench, "orders", PARTITIONS, NULL), CAPSTAN_OK);
    self->producer = client_new(&self->bench, "orders");
    self->consumer = client_new(&self->bench, "orders");
    cr_assert_eq(client_subscribe(self->consumer, &(client_place_t){.group = "group"}), CAPSTAN_OK);
}

static void scene_open(scene_t *self, bool strict)
{
    *self = (scene_t){.disk = powerloss_new("powerloss")};
    bench_init(&self->bench);
    self->bench.vfs = "powerloss";
    self->bench.strict = strict;
    scene_start(self);
}

static void scene_stop(scene_t *self)
{
    bench_stop(&self->bench);
    client_destroy(&self->producer);
    client_destroy(&self->consumer);
}

static void scene_close(scene_t *self)
{
    scene_stop(self);
    powerloss_destroy(&self->disk);
    bench_fini(&self->bench);
}

/* One more event per key; returns how many were refused, each in a way that asks for a retry. */
static size_t publish_round(scene_t *self, uint32_t size, capstan_err_t *ret_refusal)
{
    item_t items[KEYS];
    for (uint32_t key = 0; key < KEYS; key++) {
        items[key] = (item_t){.key = key, .size = size, .sequence = self->stored[key] + 1};
    }
    uint64_t first = client_publish(self->producer, items, KEYS);
    cr_assert(client_settled(self->producer), "every event is answered");
    size_t refused = 0;
    for (uint32_t key = 0; key < KEYS; key++) {
        result_t result = client_result(self->producer, first + key);
        if (result.result == EVENT_STORED || result.result == EVENT_DUPLICATE) {
            self->stored[key]++;
            continue;
        }
        cr_assert_eq(result.result, EVENT_REJECTED);
        cr_assert_eq(capstan_err_retry(result.err), CAPSTAN_RETRY_LATER, "%s",
                     capstan_err_name(result.err));
        *ret_refusal = *ret_refusal == CAPSTAN_E_STORE_FULL ? *ret_refusal : result.err;
        refused++;
    }
    return refused;
}

static uint64_t stored_events(const scene_t *self)
{
    uint64_t sum = 0;
    for (uint32_t key = 0; key < KEYS; key++) {
        sum += self->stored[key];
    }
    return sum;
}

static void acknowledge_all(scene_t *self, uint64_t ret_offsets[PARTITIONS])
{
    size_t count = client_count(self->consumer);
    memset(ret_offsets, 0, PARTITIONS * sizeof *ret_offsets);
    for (size_t i = 0; i < count; i++) {
        got_t got = client_got(self->consumer, i);
        ret_offsets[got.partition] = got.offset;
    }
    for (uint64_t i = 0; i < PARTITIONS; i++) {
        client_acknowledge(self->consumer, i, ret_offsets[i]);
    }
}

/* Publishes until it is refused. */
static capstan_err_t publish_until_refused(scene_t *self)
{
    capstan_err_t refusal = CAPSTAN_OK;
    for (int i = 0; i < TRIES && publish_round(self, 4000, &refusal) == 0; i++) {
    }
    return refusal;
}

static void publish_until_taken(scene_t *self)
{
    capstan_err_t refusal = CAPSTAN_OK;
    for (int i = 0; i < TRIES && publish_round(self, 100, &refusal) > 0; i++) {
        poll(NULL, 0, TRY_MS);
    }
    cr_assert_eq(publish_round(self, 100, &refusal), 0, "the node goes on by itself: %s",
                 capstan_err_name(refusal));
}

static void await_frontiers(scene_t *self, const uint64_t offsets[PARTITIONS])
{
    for (uint64_t i = 0; i < PARTITIONS; i++) {
        for (int k = 0; k < TRIES && bench_frontier(&self->bench, i, "group") < offsets[i]; k++) {
            poll(NULL, 0, TRY_MS);
        }
        cr_assert_eq(bench_frontier(&self->bench, i, "group"), offsets[i]);
    }
}

/* Everything stored is there after a restart, and the group is where it was. */
static void check_after_restart(scene_t *self, const uint64_t offsets[PARTITIONS])
{
    scene_stop(self);
    scene_start(self);
    uint64_t acknowledged = 0;
    for (uint64_t i = 0; i < PARTITIONS; i++) {
        cr_assert_geq(bench_frontier(&self->bench, i, "group"), offsets[i]);
        acknowledged += offsets[i];
    }
    client_t *look = client_new(&self->bench, "orders");
    cr_assert_eq(client_subscribe(look, &(client_place_t){0}), CAPSTAN_OK);
    cr_assert_eq(bench_accepted(&self->bench), stored_events(self));
    cr_assert(client_received(look, stored_events(self)));
    cr_assert_null(client_disorder(look, 0, true));
    cr_assert(client_received(self->consumer, stored_events(self) - acknowledged));
    cr_assert_eq(client_count(self->consumer), stored_events(self) - acknowledged);
    cr_assert_eq(client_faults(look) + client_faults(self->consumer), 0);
    client_destroy(&look);
}

/* Makes topics until one is refused: a write-ahead log that was begun anew has room for some. */
static capstan_err_t make_topics_until_refused(scene_t *self)
{
    capstan_err_t err = CAPSTAN_OK;
    for (int i = 0; i < TRIES && err == CAPSTAN_OK; i++) {
        char name[32];
        topic_info_t info;
        snprintf(name, sizeof name, "more-%d", i);
        err = client_ask(self->producer, topic_ensure_wire(),
                         &(topic_ensure_t){.topic = slice_text(name)}, topic_info_wire(), &info);
    }
    return err;
}

/* A node's disk fails, and works again. `fail` is given true, then false. */
static capstan_err_t go_through(bool strict, void fail(scene_t *scene, bool on))
{
    scene_t scene;
    uint64_t offsets[PARTITIONS];
    scene_open(&scene, strict);
    capstan_err_t ignored = CAPSTAN_OK;
    for (int i = 0; i < ROUNDS; i++) {
        cr_assert_eq(publish_round(&scene, 100, &ignored), 0);
    }
    cr_assert(client_received(scene.consumer, stored_events(&scene)));
    fail(&scene, true);
    capstan_err_t refusal = publish_until_refused(&scene);
    cr_assert_neq(refusal, CAPSTAN_OK);
    fail(&scene, true); /* nothing is left of what was tried */
    capstan_err_t err = make_topics_until_refused(&scene);
    acknowledge_all(&scene, offsets); /* cannot be stored now */
    topic_info_t info;
    topic_ensure_t ensure = {.topic = slice_text("more")};
    cr_assert_eq(capstan_err_retry(err), CAPSTAN_RETRY_LATER, "%s", capstan_err_name(err));
    poll(NULL, 0, 500); /* rebuilds meanwhile, in vain or not */
    fail(&scene, false);
    publish_until_taken(&scene);
    cr_assert(client_received(scene.consumer, stored_events(&scene)));
    cr_assert_eq(client_ended(scene.consumer), CAPSTAN_OK, "the consumer stays");
    cr_assert_eq(client_count(scene.consumer), stored_events(&scene));
    cr_assert_null(client_disorder(scene.consumer, 0, true));
    await_frontiers(&scene, offsets);
    acknowledge_all(&scene, offsets);
    await_frontiers(&scene, offsets);
    cr_assert_eq(publish_round(&scene, 100, &ignored), 0, "behind the frontiers in the log");
    cr_assert_eq(client_ask(scene.producer, topic_ensure_wire(), &ensure, topic_info_wire(), &info),
                 CAPSTAN_OK);
    check_after_restart(&scene, offsets);
    scene_close(&scene);
    return refusal;
}

static void fill(scene_t *scene, bool on)
{
    powerloss_set_capacity(scene->disk, on ? powerloss_used(scene->disk) + ROOM_BYTES : UINT64_MAX);
}

static void unsync(scene_t *scene, bool on)
{
    powerloss_fail_syncs(scene->disk, on);
}

Test(ordering_faults, a_full_disk_is_told_and_the_node_goes_on_when_there_is_space, .timeout = 120)
{
    cr_assert_eq(go_through(false, fill), CAPSTAN_E_STORE_FULL);
    cr_assert_eq(go_through(true, fill), CAPSTAN_E_STORE_FULL);
}

Test(ordering_faults, a_disk_that_does_not_sync_is_told_and_the_node_goes_on, .timeout = 120)
{
    cr_assert_eq(go_through(false, unsync), CAPSTAN_E_UNAVAILABLE);
    cr_assert_eq(go_through(true, unsync), CAPSTAN_E_UNAVAILABLE);
}

/* A disk that is full before the start: the start says so, and succeeds when there is space. */
static void start_full(bool strict)
{
    scene_t scene;
    capstan_err_t refusal = CAPSTAN_OK;
    scene_open(&scene, strict);
    cr_assert_eq(publish_round(&scene, 100, &refusal), 0);
    scene_stop(&scene);
    fill(&scene, true);
    cr_assert_eq(bench_start(&scene.bench), CAPSTAN_E_STORE_FULL);
    fill(&scene, false);
    scene_start(&scene);
    cr_assert_eq(bench_accepted(&scene.bench), stored_events(&scene));
    scene_close(&scene);
}

Test(ordering_faults, a_start_on_a_full_disk_says_so, .timeout = 60)
{
    start_full(false);
    start_full(true);
}

/* A disk that has failed for good: the node answers, does not spin, and can be stopped. */
static void lose_power(bool strict)
{
    scene_t scene;
    scene_open(&scene, strict);
    capstan_err_t refusal = CAPSTAN_OK;
    cr_assert_eq(publish_round(&scene, 100, &refusal), 0);
    powerloss_fail_after(scene.disk, 0);
    cr_assert_eq(publish_round(&scene, 100, &refusal), KEYS);
    topic_info_t info;
    topic_ensure_t ensure = {.topic = slice_text("more")};
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(
            client_ask(scene.producer, topic_ensure_wire(), &ensure, topic_info_wire(), &info),
            CAPSTAN_E_STORE_IO);
    }
    journal_report_t before;
    journal_report_t after;
    cr_assert_eq(bench_ask(&scene.bench, scene.bench.journal, journal_status_wire(),
                           &(journal_status_t){0}, journal_report_wire(), &before),
                 CAPSTAN_OK);
    poll(NULL, 0, 1000);
    cr_assert_eq(bench_ask(&scene.bench, scene.bench.journal, journal_status_wire(),
                           &(journal_status_t){0}, journal_report_wire(), &after),
                 CAPSTAN_OK);
    cr_assert_leq(after.refused - before.refused, 50, "%llu requests in a second",
                  (unsigned long long)(after.refused - before.refused));
    scene_stop(&scene);
    powerloss_restore(scene.disk, 1);
    scene_start(&scene);
    cr_assert_eq(bench_accepted(&scene.bench), stored_events(&scene));
    scene_close(&scene);
}

Test(ordering_faults, a_dead_disk_is_answered_and_not_asked_without_end, .timeout = 60)
{
    lose_power(false);
    lose_power(true);
}
