#include "runtime/telemetry/metrics.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>

_Thread_local uint32_t metric_shard;

/* Bit n: shard n + 1 is taken. Its release and acquire hand a shard's words on to the next owner,
 * who adds to them without a locked instruction. */
static _Atomic uint64_t taken;
/* No shard from this number on was ever taken; readers look no further. */
static _Atomic uint32_t shards_used = 1;

void metric_shard_take(void)
{
    ENSURE(metric_shard == 0);
    _Static_assert(METRIC_SHARDS - 1 == 64, "one bit of `taken` each");
    uint64_t bits = atomic_load_explicit(&taken, memory_order_relaxed);
    uint64_t bit;
    do {
        bit = ~bits & (bits + 1); /* the lowest that is free */
        if (bit == 0) {
            return;
        }
    } while (!atomic_compare_exchange_weak_explicit(&taken, &bits, bits | bit, memory_order_acquire,
                                                    memory_order_relaxed));
    metric_shard = (uint32_t)__builtin_ctzll(bit) + 1;
    uint32_t used = atomic_load_explicit(&shards_used, memory_order_relaxed);
    while (used <= metric_shard &&
           !atomic_compare_exchange_weak_explicit(&shards_used, &used, metric_shard + 1,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

void metric_shard_give_back(void)
{
    if (metric_shard > 0) {
        uint64_t bit = UINT64_C(1) << (metric_shard - 1);
        metric_shard = 0;
        atomic_fetch_and_explicit(&taken, ~bit, memory_order_release);
    }
}

/* --- reading --------------------------------------------------------------------------------- */

int64_t metric_value(const metrics_section_t *section, size_t row)
{
    ENSURE(row < section->count && section->rows[row].kind != METRIC_KIND_HISTOGRAM);
    uint32_t shards = atomic_load_explicit(&shards_used, memory_order_relaxed);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < shards; i++) {
        sum += atomic_load_explicit(&section->words[i * section->stride + section->rows[row].place],
                                    memory_order_relaxed);
    }
    return (int64_t)sum;
}

void metric_merge(const metrics_section_t *section, size_t row, histogram_t *into)
{
    ENSURE(row < section->count && section->rows[row].kind == METRIC_KIND_HISTOGRAM);
    uint32_t shards = atomic_load_explicit(&shards_used, memory_order_relaxed);
    for (uint32_t i = 0; i < shards; i++) {
        histogram_merge(
            into, &section->histograms[i * section->histogram_count + section->rows[row].place]);
    }
}

static void full_name(const metric_t *row, char *ret_name, size_t size)
{
    snprintf(ret_name, size, "%s.%s", row->concern, row->name);
}

static void emit_figure(json_writer_t *json, const char *name, uint64_t value)
{
    emit_key(json, name);
    emit_uint(json, value);
}

static void emit_histogram(json_writer_t *json, const metrics_section_t *section, size_t row)
{
    histogram_t *all = calloc(1, sizeof *all);
    ENSURE(all);
    metric_merge(section, row, all);
    uint64_t count = histogram_count(all);
    uint64_t sum = atomic_load_explicit(&all->sum, memory_order_relaxed);
    char name[128];
    full_name(&section->rows[row], name, sizeof name);
    emit_object_begin(json);
    emit_key(json, "metric");
    emit_string(json, name);
    emit_key(json, "unit");
    emit_string(json, section->rows[row].unit);
    emit_figure(json, "count", count);
    emit_figure(json, "mean", count > 0 ? sum / count : 0);
    emit_figure(json, "p50", histogram_quantile(all, 0.5));
    emit_figure(json, "p99", histogram_quantile(all, 0.99));
    emit_figure(json, "p999", histogram_quantile(all, 0.999));
    emit_figure(json, "max", atomic_load_explicit(&all->max, memory_order_relaxed));
    emit_object_end(json);
    free(all);
}

/* The rows that are histograms, or those that are not. */
static void emit_rows(json_writer_t *json, const metrics_section_t *section, bool histograms)
{
    for (size_t i = 0; i < section->count; i++) {
        const metric_t *row = &section->rows[i];
        if ((row->kind == METRIC_KIND_HISTOGRAM) != histograms) {
            continue;
        }
        if (histograms) {
            emit_histogram(json, section, i);
        } else {
            char name[128];
            full_name(row, name, sizeof name);
            emit_key(json, name);
            emit_int(json, metric_value(section, i));
        }
    }
}

void metrics_emit(json_writer_t *json, const metrics_section_t *const *sections, size_t count)
{
    emit_key(json, "metrics");
    emit_object_begin(json);
    for (size_t i = 0; i < count; i++) {
        emit_rows(json, sections[i], false);
    }
    emit_object_end(json);
    emit_key(json, "histograms");
    emit_array_begin(json);
    for (size_t i = 0; i < count; i++) {
        emit_rows(json, sections[i], true);
    }
    emit_array_end(json);
}

void metrics_print_markdown(const metrics_section_t *const *sections, size_t count, FILE *out)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    fprintf(out, "# Metrics\n\n"
                 "Printed by `capstan help metrics`; do not edit.\n\n"
                 "What a node counts and measures about itself since its process began; "
                 "`capstan status` shows\nthe values. A counter only grows, a gauge says how many "
                 "there are now, a histogram says how\nvalues are spread: its quantiles are off by "
                 "at most 1 %%.\n");
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "\n## %s\n\n| metric | kind | unit | meaning |\n|---|---|---|---|\n",
                sections[i]->rows[0].concern);
        for (size_t j = 0; j < sections[i]->count; j++) {
            const metric_t *row = &sections[i]->rows[j];
            fprintf(out, "| `%s.%s` | %s | %s | %s |\n", row->concern, row->name, kinds[row->kind],
                    row->unit, row->meaning);
        }
    }
}
