#include "runtime/telemetry/histogram.h"

#include "runtime/base/ensure.h"

#include <math.h>

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

void histogram_record_shared(histogram_t *self, uint64_t value)
{
    value = value < HISTOGRAM_VALUE_MAX ? value : HISTOGRAM_VALUE_MAX;
    atomic_fetch_add_explicit(&self->buckets[histogram_bucket(value)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&self->sum, value, memory_order_relaxed);
    uint64_t max = load(&self->max);
    while (value > max &&
           !atomic_compare_exchange_weak_explicit(&self->max, &max, value, memory_order_relaxed,
                                                  memory_order_relaxed)) {
    }
}

static void add(_Atomic uint64_t *word, uint64_t amount)
{
    atomic_store_explicit(word, load(word) + amount, memory_order_relaxed);
}

void histogram_merge(histogram_t *self, const histogram_t *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t count = load(&from->buckets[i]);
        if (count > 0) {
            add(&self->buckets[i], count);
        }
    }
    add(&self->sum, load(&from->sum));
    uint64_t max = load(&from->max);
    if (max > load(&self->max)) {
        atomic_store_explicit(&self->max, max, memory_order_relaxed);
    }
}

uint64_t histogram_count(const histogram_t *self)
{
    uint64_t count = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        count += load(&self->buckets[i]);
    }
    return count;
}

/* The middle of a bucket, which may be wider than what was recorded in it: no more than the
 * greatest value. */
static uint64_t value_of(const histogram_t *self, uint32_t bucket)
{
    const uint32_t steps = 1U << HISTOGRAM_STEPS_LOG2;
    uint32_t shift = bucket < 2 * steps ? 0 : bucket / steps - 1;
    uint64_t lower = (uint64_t)(bucket - shift * steps) << shift;
    uint64_t middle = lower + ((UINT64_C(1) << shift) - 1) / 2;
    uint64_t max = load(&self->max);
    return middle < max ? middle : max;
}

uint64_t histogram_quantile(const histogram_t *self, double quantile)
{
    ENSURE(quantile >= 0 && quantile <= 1);
    uint64_t count = histogram_count(self);
    uint64_t rank = (uint64_t)ceil(quantile * (double)count);
    rank = rank > 0 ? rank : 1;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += load(&self->buckets[i]);
        if (seen >= rank) {
            return value_of(self, i);
        }
    }
    return 0; /* empty */
}
