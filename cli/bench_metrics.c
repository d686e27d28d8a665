/* metrics: what one addition to a counter and one value for a histogram cost their thread. Their
 * peer is the same loop around the bare word: a relaxed load, an addition, a relaxed store. */
#include "cli/bench.h"

#include "runtime/runtime_metrics.h"

enum {
    OPERATIONS = 100000000,
    VALUES = 4096, /* a power of two */
};

typedef void loop_fn(const uint64_t *values);

static void count(const uint64_t *values)
{
    (void)values;
    for (uint64_t i = 0; i < OPERATIONS; i++) {
        METRIC_ADD(runtime, turns, 1);
    }
}

static void record(const uint64_t *values)
{
    for (uint64_t i = 0; i < OPERATIONS; i++) {
        METRIC_RECORD(runtime, turn_ns, values[i % VALUES]);
    }
}

static _Atomic uint64_t word;

static void bare(const uint64_t *values)
{
    for (uint64_t i = 0; i < OPERATIONS; i++) {
        uint64_t sum = atomic_load_explicit(&word, memory_order_relaxed) + (values[i % VALUES] & 1);
        atomic_store_explicit(&word, sum, memory_order_relaxed);
    }
}

/* Durations from 0 to 1 ms, most of them short, so that many buckets are touched. */
static void measure(loop_fn *loop, bench_figures_t *ret_figures)
{
    static uint64_t values[VALUES];
    for (uint64_t i = 0; i < VALUES; i++) {
        values[i] = i * 2654435761 % 1000 * (i * 40503 % 1000);
    }
    metric_shard_take();
    int64_t begin_ns = bench_now_ns();
    loop(values);
    ret_figures->ops_per_s = OPERATIONS * 1e9 / (double)(bench_now_ns() - begin_ns);
    metric_shard_give_back();
}

capstan_err_t bench_metrics_counter(bench_figures_t *ret_figures)
{
    measure(count, ret_figures);
    return CAPSTAN_OK;
}

capstan_err_t bench_metrics_histogram(bench_figures_t *ret_figures)
{
    measure(record, ret_figures);
    return CAPSTAN_OK;
}

capstan_err_t bench_metrics_peer(bench_figures_t *ret_figures)
{
    measure(bare, ret_figures);
    return CAPSTAN_OK;
}
