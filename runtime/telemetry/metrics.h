/* Metrics: what a process counts and measures about itself, one row each in X_metrics.def.
 *
 *   METRIC(commits, COUNTER, "commits", "transactions that were committed")
 *
 *   METRIC_ADD(journal, commits, 1);            counter
 *   METRIC_ADD(gateway, sessions, -1);          gauge: what is added is signed
 *   METRIC_RECORD(journal, commit_ns, 120000);  histogram
 *
 * Every thread may write, and nobody waits. Each row has a place per shard; a cell's thread owns a
 * shard and adds by a load and a store, 1 to 2 ns; threads without a shard share number 0 and add
 * by a locked instruction. A reader sums the shards. Nothing is ever taken back: the next thread
 * that gets a shard goes on where the last one stopped, so that counters never go down.
 *
 *            words[shard][row]                      histograms[shard][row]
 *   0 (all)  | commits | sessions | ... | padding | | commit_ns | ...
 *   1 (cell) | commits | sessions | ... | padding | | commit_ns | ...
 *
 * The values are the process's, from its start; a process has one node. All words are relaxed
 * atomics: they guard no other memory. */
#ifndef TELEMETRY_METRICS_H
#define TELEMETRY_METRICS_H

#include "runtime/base/json_writer.h"
#include "runtime/telemetry/histogram.h"

#include <stdio.h>

enum {
    METRIC_SHARDS = 65,    /* the common one, and one per cell */
    METRIC_LINE_WORDS = 8, /* words of one cache line: shards share none */
};

typedef enum metric_kind {
    METRIC_KIND_COUNTER,   /* only grows */
    METRIC_KIND_GAUGE,     /* how many there are now */
    METRIC_KIND_HISTOGRAM, /* how values are spread */
} metric_kind_t;

typedef struct metric {
    const char *concern;
    const char *name;
    metric_kind_t kind;
    const char *unit;
    const char *meaning;
    size_t place; /* among the words, or among the histograms */
} metric_t;

/* One concern's rows and where their values are. */
typedef struct metrics_section {
    const metric_t *rows;
    size_t count;
    const _Atomic uint64_t *words; /* the first shard's first; a shard has `stride` of them */
    size_t stride;
    const histogram_t *histograms;
    size_t histogram_count;
} metrics_section_t;

#define METRIC_ADD(concern, row, amount)                                                           \
    metric_add(&concern##_metric_words[metric_shard][METRIC_WORD_##concern##_##row],               \
               (uint64_t)(amount))
#define METRIC_RECORD(concern, row, value)                                                         \
    metric_record(&concern##_metric_histograms[metric_shard][METRIC_HISTOGRAM_##concern##_##row],  \
                  (value))

/* The calling thread's shard, 0 for most. Initial-exec, so that reading it is one load: the
 * default way of a shared library is a function call. */
extern _Thread_local uint32_t metric_shard __attribute__((tls_model("initial-exec")));

/* A thread takes a shard for its own at its start, and gives it back before it ends. When all are
 * taken it goes on with the common one. */
void metric_shard_take(void);
void metric_shard_give_back(void);

static inline void metric_add(_Atomic uint64_t *word, uint64_t amount)
{
    if (metric_shard > 0) {
        atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + amount,
                              memory_order_relaxed);
    } else {
        atomic_fetch_add_explicit(word, amount, memory_order_relaxed);
    }
}

static inline void metric_record(histogram_t *histogram, uint64_t value)
{
    if (metric_shard > 0) {
        histogram_record(histogram, value);
    } else {
        histogram_record_shared(histogram, value);
    }
}

/* A counter or gauge, summed over the shards. Any thread. */
int64_t metric_value(const metrics_section_t *section, size_t row);
/* Adds a histogram row's shards to `into`. Any thread. */
void metric_merge(const metrics_section_t *section, size_t row, histogram_t *into);

/* Two members of an object: "metrics", an object of counters and gauges by "concern.name", and
 * "histograms", an array with count, mean, quantiles and maximum. Any thread. */
void metrics_emit(json_writer_t *json, const metrics_section_t *const *sections, size_t count);

/* docs/metrics.md. */
void metrics_print_markdown(const metrics_section_t *const *sections, size_t count, FILE *out);

#endif
