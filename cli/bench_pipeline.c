/* pipeline: a publisher process, a node process and consumer processes, connected over tcp on this
 * machine. Measured from the first publish to the consumption of the last event by the last
 * consumer. Its peer is SQLite alone, writing the same kind of rows, or the same pipeline without
 * the consumer that is stuck. */
#include "cli/bench.h"

#include "cli/bench_processes.h"
#include "cli/bench_sqlite.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>

enum { CONSUMERS_MAX = 2, SQLITE_SECONDS = 2 };

typedef struct pipeline {
    uint64_t events;
    uint32_t batch;
    double rate;        /* events/s that are published; 0: as many as can be */
    uint32_t consumers; /* that get all events each */
    bool stuck;         /* one more that has stopped reading */
    uint32_t rejected;  /* percent of the events, whose keys the consumer always rejects */
    bool in_memory;     /* the events are answered and delivered ahead of the disk */
    uint64_t keys;
    uint64_t warm_up; /* events before those that are measured, which make all keys */
    uint64_t first;   /* the first event's number */
} pipeline_t;

enum { KEYS = 1000, KEYS_MANY = 1000000, KEYS_FEW = 10 };

static const pipeline_t batched = {.events = 2000000, .batch = 64, .consumers = 1, .keys = KEYS};
static const pipeline_t in_memory = {
    .events = 4000000, .batch = 64, .consumers = 1, .keys = KEYS, .in_memory = true};
static const pipeline_t single = {.events = 500000, .batch = 1, .consumers = 1, .keys = KEYS};
static const pipeline_t alone = {.events = 1000000, .batch = 64, .consumers = 2, .keys = KEYS};
static const pipeline_t poisoned = {
    .events = 2000000, .batch = 64, .consumers = 1, .rejected = 1, .keys = KEYS};
static const pipeline_t beside_stuck = {
    .events = 1000000, .batch = 64, .consumers = 2, .stuck = true, .keys = KEYS};
/* As many events before with few keys, so that both write on in a store of the same size. Behind
 * eight for each key, which is within what is measured, the partitions save all their keys. */
static const pipeline_t few_keys = {
    .events = 8000000, .batch = 64, .consumers = 1, .keys = KEYS_FEW, .warm_up = KEYS_MANY};
static const pipeline_t many_keys = {
    .events = 8000000, .batch = 64, .consumers = 1, .keys = KEYS_MANY, .warm_up = KEYS_MANY};

/* Events that each consumer processes. */
static uint64_t taken_of(const pipeline_t *pipeline)
{
    return pipeline->events - pipeline->events * pipeline->rejected / 100;
}

/* Starts a child and waits for its first line. */
static capstan_err_t start_and_hear(char *const argv[], child_t *ret_child, char line[256])
{
    capstan_err_t err = child_start(argv, ret_child);
    if (err == CAPSTAN_OK && !child_read_line(ret_child, line, 256)) {
        child_finish(ret_child, SIGTERM);
        err = CAPSTAN_E_SYSTEM;
    }
    return err;
}

/* The time to the end of the slowest, and its quantiles. */
static capstan_err_t hear_end(child_t *consumer, int64_t begin_ns, int64_t *took_ns,
                              bench_figures_t *figures)
{
    char line[256];
    int64_t end_ns;
    bench_figures_t own;
    if (!child_read_line(consumer, line, sizeof line) ||
        sscanf(line, "%" SCNd64 " %lf %lf %lf", &end_ns, &own.p50_us, &own.p99_us, &own.p999_us) !=
            4) {
        return CAPSTAN_E_INTERNAL;
    }
    if (end_ns - begin_ns > *took_ns) {
        *took_ns = end_ns - begin_ns;
        *figures = own;
    }
    return CAPSTAN_OK;
}

static capstan_err_t publish_to(child_t *consumers, const pipeline_t *pipeline, char *endpoint,
                                bench_figures_t *ret_figures)
{
    char events[32];
    char batch[16];
    char rate[32];
    char keys[32];
    char first[32];
    char line[256];
    child_t publisher;
    int64_t took_ns = 0;
    snprintf(events, sizeof events, "%" PRIu64, pipeline->events);
    snprintf(batch, sizeof batch, "%" PRIu32, pipeline->batch);
    snprintf(rate, sizeof rate, "%.0f", pipeline->rate);
    snprintf(keys, sizeof keys, "%" PRIu64, pipeline->keys);
    snprintf(first, sizeof first, "%" PRIu64, pipeline->first);
    char *publish[] = {"capstan", "bench", "publisher", endpoint, events,
                       batch,     rate,    keys,        first,    pipeline->in_memory ? "0" : "1",
                       NULL};
    capstan_err_t err = start_and_hear(publish, &publisher, line);
    if (err != CAPSTAN_OK) {
        return err;
    }
    int64_t begin_ns = strtoll(line, NULL, 10);
    for (uint32_t i = 0; err == CAPSTAN_OK && i < pipeline->consumers; i++) {
        err = hear_end(&consumers[i], begin_ns, &took_ns, ret_figures);
    }
    ret_figures->ops_per_s = (double)taken_of(pipeline) * 1e9 / (double)took_ns;
    capstan_err_t published = child_finish(&publisher, err == CAPSTAN_OK ? 0 : SIGTERM);
    return err ? err : published;
}

/* Consumers first, so that they get each event when it is new. */
static capstan_err_t with_consumers(const pipeline_t *pipeline, uint32_t started,
                                    child_t *consumers, char *endpoint,
                                    bench_figures_t *ret_figures)
{
    if (started == pipeline->consumers) {
        return publish_to(consumers, pipeline, endpoint, ret_figures);
    }
    char events[32];
    char name[32];
    char line[256];
    snprintf(events, sizeof events, "%" PRIu64, taken_of(pipeline));
    snprintf(name, sizeof name, "bench-%s-%" PRIu32, pipeline->first > 0 ? "rest" : "consumer",
             started); /* the group's too: another one begins at the end of the topic */
    char *process = pipeline->rejected > 0 ? "picky" : pipeline->in_memory ? "memory" : "consumer";
    char *consume[] = {"capstan", "bench", process, endpoint, events, name, NULL};
    capstan_err_t err = start_and_hear(consume, &consumers[started], line);
    if (err != CAPSTAN_OK) {
        return err;
    }
    err = with_consumers(pipeline, started + 1, consumers, endpoint, ret_figures);
    capstan_err_t consumed = child_finish(&consumers[started], err == CAPSTAN_OK ? 0 : SIGTERM);
    return err ? err : consumed;
}

static capstan_err_t run_peers(const pipeline_t *pipeline, char *endpoint,
                               bench_figures_t *ret_figures)
{
    child_t consumers[CONSUMERS_MAX];
    child_t stuck;
    char line[256];
    char *stick[] = {"capstan", "bench", "stuck", endpoint, "bench-stuck", NULL};
    if (pipeline->stuck && start_and_hear(stick, &stuck, line) != CAPSTAN_OK) {
        return CAPSTAN_E_SYSTEM;
    }
    pipeline_t measured = *pipeline;
    capstan_err_t err = CAPSTAN_OK;
    if (pipeline->warm_up > 0) {
        pipeline_t before = *pipeline;
        before.events = measured.first = pipeline->warm_up;
        err = with_consumers(&before, 0, consumers, endpoint, ret_figures);
    }
    err = err ? err : with_consumers(&measured, 0, consumers, endpoint, ret_figures);
    if (pipeline->stuck) {
        child_finish(&stuck, SIGTERM);
    }
    return err;
}

static capstan_err_t run_pipeline(const pipeline_t *pipeline, bench_figures_t *ret_figures)
{
    char folder[64];
    char endpoint[128];
    /* Who is stuck sends no heartbeats either, and is to stay for all of the run. */
    char heartbeat[] = "gateway.heartbeat_ms=60000";
    child_t node;
    if (!bench_make_folder(folder)) {
        bench_failed("pipeline", "no temporary folder can be made in /tmp");
        return CAPSTAN_E_SYSTEM;
    }
    capstan_err_t err = child_start_node(folder, heartbeat, &node, endpoint);
    if (err == CAPSTAN_OK) {
        err = run_peers(pipeline, endpoint, ret_figures);
    }
    capstan_err_t stopped = child_finish(&node, SIGTERM);
    bench_remove_folder(folder);
    err = err ? err : stopped;
    if (err != CAPSTAN_OK) {
        bench_failed("pipeline", "a process did not do its part; start a node by hand to see why");
    }
    return err;
}

capstan_err_t bench_pipeline_durable(bench_figures_t *ret_figures)
{
    return run_pipeline(&batched, ret_figures);
}

capstan_err_t bench_pipeline_memory(bench_figures_t *ret_figures)
{
    return run_pipeline(&in_memory, ret_figures);
}

/* Two seconds of half the load that the machine took just before. */
capstan_err_t bench_pipeline_half_load(bench_figures_t *ret_figures)
{
    bench_figures_t full;
    capstan_err_t err = run_pipeline(&batched, &full);
    if (err != CAPSTAN_OK) {
        return err;
    }
    pipeline_t half = batched;
    half.rate = full.ops_per_s / 2;
    half.events = (uint64_t)full.ops_per_s / half.batch * half.batch;
    return run_pipeline(&half, ret_figures);
}

capstan_err_t bench_pipeline_single(bench_figures_t *ret_figures)
{
    return run_pipeline(&single, ret_figures);
}

capstan_err_t bench_pipeline_beside_stuck(bench_figures_t *ret_figures)
{
    return run_pipeline(&beside_stuck, ret_figures);
}

capstan_err_t bench_pipeline_alone(bench_figures_t *ret_figures)
{
    return run_pipeline(&alone, ret_figures);
}

capstan_err_t bench_poison_others(bench_figures_t *ret_figures)
{
    return run_pipeline(&poisoned, ret_figures);
}

/* The rate of the other keys' events when none is poisoned. */
capstan_err_t bench_poison_none(bench_figures_t *ret_figures)
{
    capstan_err_t err = run_pipeline(&batched, ret_figures);
    ret_figures->ops_per_s *= (double)taken_of(&poisoned) / (double)poisoned.events;
    return err;
}

capstan_err_t bench_growth_keys(bench_figures_t *ret_figures)
{
    return run_pipeline(&many_keys, ret_figures);
}

capstan_err_t bench_growth_few_keys(bench_figures_t *ret_figures)
{
    return run_pipeline(&few_keys, ret_figures);
}

capstan_err_t bench_pipeline_peer(bench_figures_t *ret_figures)
{
    char folder[64];
    if (!bench_make_folder(folder)) {
        return CAPSTAN_E_SYSTEM;
    }
    ret_figures->ops_per_s = bare_sqlite_rows_per_s(folder, SQLITE_SECONDS);
    bench_remove_folder(folder);
    return ret_figures->ops_per_s > 0 ? CAPSTAN_OK : CAPSTAN_E_SYSTEM;
}
