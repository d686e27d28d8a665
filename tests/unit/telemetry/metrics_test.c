/* Goal: no addition is lost, whoever adds and whichever shard; what readers see is the sum. */
#include "actors/journal/journal_metrics.h"
#include "node/descriptors.h"
#include "runtime/runtime_metrics.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <pthread.h>

enum { THREADS = 8, ADDITIONS = 100000 };

static int64_t value_of(size_t row)
{
    return metric_value(&runtime_metrics, row);
}

static void add_many(void)
{
    for (int i = 0; i < ADDITIONS; i++) {
        METRIC_ADD(runtime, asks, 1);
        METRIC_ADD(runtime, actors, i % 2 ? 3 : -2);
        METRIC_RECORD(runtime, turn_ns, (uint64_t)i);
    }
}

static void *add_in_a_shard(void *argument)
{
    (void)argument;
    metric_shard_take();
    add_many();
    metric_shard_give_back();
    return NULL;
}

static void *add_in_the_common_shard(void *argument)
{
    (void)argument;
    add_many();
    return NULL;
}

static void check_all_were_counted(int threads)
{
    cr_assert_eq(value_of(METRIC_runtime_asks), (int64_t)threads * ADDITIONS);
    cr_assert_eq(value_of(METRIC_runtime_actors), (int64_t)threads * ADDITIONS / 2);
    static histogram_t all;
    memset(&all, 0, sizeof all);
    metric_merge(&runtime_metrics, METRIC_runtime_turn_ns, &all);
    cr_assert_eq(histogram_count(&all), (uint64_t)threads * ADDITIONS);
    cr_assert_eq(atomic_load(&all.max), ADDITIONS - 1);
}

Test(metrics, lose_nothing_when_threads_with_and_without_shards_add)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL,
                                    i % 2 ? add_in_a_shard : add_in_the_common_shard, NULL),
                     0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    check_all_were_counted(THREADS);
}

Test(metrics, go_on_where_the_last_owner_of_a_shard_stopped)
{
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        cr_assert_eq(pthread_create(&thread, NULL, add_in_a_shard, NULL), 0);
        pthread_join(thread, NULL);
        check_all_were_counted(i + 1);
    }
}

static pthread_barrier_t all_have_one;

static void *hold_a_shard(void *argument)
{
    metric_shard_take();
    *(uint32_t *)argument = metric_shard;
    METRIC_ADD(runtime, asks, 1);
    pthread_barrier_wait(&all_have_one);
    metric_shard_give_back();
    return NULL;
}

Test(metrics, give_each_thread_its_own_shard_and_share_when_there_are_no_more)
{
    enum { MANY = METRIC_SHARDS + 3 };
    pthread_t threads[MANY];
    uint32_t shards[MANY];
    size_t holders[METRIC_SHARDS] = {0};
    pthread_barrier_init(&all_have_one, NULL, MANY);
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, hold_a_shard, &shards[i]), 0);
    }
    for (int i = 0; i < MANY; i++) {
        pthread_join(threads[i], NULL);
        holders[shards[i]]++;
    }
    for (size_t i = 1; i < METRIC_SHARDS; i++) {
        cr_assert_eq(holders[i], 1, "shard %zu", i);
    }
    cr_assert_eq(holders[0], MANY - (METRIC_SHARDS - 1));
    cr_assert_eq(value_of(METRIC_runtime_asks), MANY);
    metric_shard_take();
    cr_assert(metric_shard > 0, "what was given back is free again");
}

Test(metrics, are_told_as_one_object_and_one_array)
{
    METRIC_ADD(runtime, actors, -5);
    METRIC_RECORD(journal, commit_records, 100);
    METRIC_RECORD(journal, commit_records, 300);
    buffer_t text = {0};
    json_writer_t json = json_writer(&text);
    emit_object_begin(&json);
    metrics_emit(&json, node_metrics, NODE_METRICS_COUNT);
    emit_object_end(&json);
    json_t *root = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, NULL);
    cr_assert_not_null(root);
    const json_t *values = json_object_get(root, "metrics");
    cr_assert_eq(json_integer_value(json_object_get(values, "runtime.actors")), -5);
    const json_t *histograms = json_object_get(root, "histograms");
    size_t rows = json_object_size(values) + json_array_size(histograms);
    for (size_t i = 0; i < NODE_METRICS_COUNT; i++) {
        rows -= node_metrics[i]->count;
    }
    cr_assert_eq(rows, 0, "every row is told once");
    size_t index;
    const json_t *row;
    json_array_foreach(histograms, index, row)
    {
        const char *name = json_string_value(json_object_get(row, "metric"));
        bool recorded = strcmp(name, "journal.commit_records") == 0;
        cr_expect_eq(json_integer_value(json_object_get(row, "count")), recorded ? 2 : 0);
        cr_expect_eq(json_integer_value(json_object_get(row, "mean")), recorded ? 200 : 0);
        cr_expect_eq(json_integer_value(json_object_get(row, "p50")), recorded ? 100 : 0);
        cr_expect_eq(json_integer_value(json_object_get(row, "max")), recorded ? 300 : 0);
    }
    json_decref(root);
    buffer_fini(&text);
}
