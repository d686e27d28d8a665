/* A log-linear histogram of whole numbers, such as durations or sizes. A pure core.
 *
 *   values   0 .. 127 | 128 .. 255 | 256 .. 511 | ...           up to HISTOGRAM_VALUE_MAX
 *   buckets  one each | 64, 2 wide | 64, 4 wide | 64, 8 wide | ...
 *
 * A bucket is at most 1/64 of its lower bound wide and stands for its middle, so a quantile is off
 * by at most 1/128 (0.8 %), whatever the distribution. Its size is fixed, and two histograms are
 * merged by adding their buckets. (The idea is that of HdrHistogram.)
 *
 * One thread writes; any thread may read meanwhile. The words are relaxed atomics: a reader sees
 * each count of some recent instant, and computes from the counts that it saw. */
#ifndef TELEMETRY_HISTOGRAM_H
#define TELEMETRY_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

enum {
    HISTOGRAM_STEPS_LOG2 = 6, /* buckets between a power of two and the next: 64 */
    HISTOGRAM_VALUE_BITS = 42,
    HISTOGRAM_BUCKETS = (HISTOGRAM_VALUE_BITS - HISTOGRAM_STEPS_LOG2 + 1) << HISTOGRAM_STEPS_LOG2,
};

/* 73 minutes in nanoseconds, 50 days in microseconds. A greater value counts as this one. */
#define HISTOGRAM_VALUE_MAX ((UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1)

/* A zeroed histogram is empty. */
typedef struct histogram {
    _Atomic uint64_t sum; /* of the values */
    _Atomic uint64_t max;
    _Atomic uint64_t buckets[HISTOGRAM_BUCKETS];
} histogram_t;

static inline uint32_t histogram_bucket(uint64_t value)
{
    const uint64_t steps = UINT64_C(1) << HISTOGRAM_STEPS_LOG2;
    uint32_t shift =
        (uint32_t)(63 - HISTOGRAM_STEPS_LOG2) - (uint32_t)__builtin_clzll(value | steps);
    return (shift << HISTOGRAM_STEPS_LOG2) + (uint32_t)(value >> shift);
}

/* The writing thread. Only it writes these words, so a load and a store are enough: no locked
 * instruction. */
static inline void histogram_record(histogram_t *self, uint64_t value)
{
    value = value < HISTOGRAM_VALUE_MAX ? value : HISTOGRAM_VALUE_MAX;
    _Atomic uint64_t *bucket = &self->buckets[histogram_bucket(value)];
    atomic_store_explicit(bucket, atomic_load_explicit(bucket, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    atomic_store_explicit(&self->sum,
                          atomic_load_explicit(&self->sum, memory_order_relaxed) + value,
                          memory_order_relaxed);
    if (value > atomic_load_explicit(&self->max, memory_order_relaxed)) {
        atomic_store_explicit(&self->max, value, memory_order_relaxed);
    }
}

/* Any thread, and several at once into the same histogram. */
void histogram_record_shared(histogram_t *self, uint64_t value);

/* Adds what `from` holds. The thread that writes `self`. */
void histogram_merge(histogram_t *self, const histogram_t *from);

uint64_t histogram_count(const histogram_t *self);

/* The value that the share `quantile` (0 to 1) of all values does not exceed: the nearest rank.
 * 0 when there is none. */
uint64_t histogram_quantile(const histogram_t *self, double quantile);

#endif
