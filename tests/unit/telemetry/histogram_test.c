/* Goal: quantiles are within 1 % of the exact ones whatever the distribution, also of merged
 * histograms, and no value breaks the bounds. */
#include "runtime/telemetry/histogram.h"

#include "runtime/simulation/random.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

enum { VALUES = 200000 };

static uint64_t values[VALUES];
static histogram_t histogram;
static histogram_t other;

static double unit_interval(random_source_t *random)
{
    return ((double)random_next(random) + 1) / ((double)UINT64_MAX + 2);
}

static uint64_t constant(random_source_t *random)
{
    (void)random;
    return 123457;
}

static uint64_t small(random_source_t *random)
{
    return random_next(random) % 10;
}

static uint64_t uniform(random_source_t *random)
{
    return random_next(random) % 10000000;
}

static uint64_t exponential(random_source_t *random)
{
    return (uint64_t)(-log(unit_interval(random)) * 25000);
}

static uint64_t log_normal(random_source_t *random)
{
    double radius = sqrt(-2 * log(unit_interval(random)));
    return (uint64_t)exp(10 + 2 * radius * cos(6.283185307 * unit_interval(random)));
}

/* A heavy tail: the greatest of 200,000 are a million times the median. */
static uint64_t pareto(random_source_t *random)
{
    return (uint64_t)(100 / unit_interval(random));
}

/* A fast path and a slow one, nothing in between. */
static uint64_t two_peaks(random_source_t *random)
{
    return (random_next(random) % 100 < 95 ? 2000 : 5000000) + random_next(random) % 100;
}

/* One value in each power of two, so that every bucket width is seen. */
static uint64_t all_magnitudes(random_source_t *random)
{
    return random_next(random) >> (64 - HISTOGRAM_VALUE_BITS + random_next(random) % 40);
}

static const struct distribution {
    const char *name;
    uint64_t (*draw)(random_source_t *random);
} distributions[] = {
    {"constant", constant},     {"small", small},
    {"uniform", uniform},       {"exponential", exponential},
    {"log_normal", log_normal}, {"pareto", pareto},
    {"two_peaks", two_peaks},   {"all_magnitudes", all_magnitudes},
};

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The nearest rank, of sorted values. */
static uint64_t exact_quantile(double quantile)
{
    size_t rank = (size_t)ceil(quantile * VALUES);
    return values[rank > 0 ? rank - 1 : 0];
}

static void check_quantiles(const histogram_t *self, const char *name)
{
    static const double quantiles[] = {0, 0.001, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};
    qsort(values, VALUES, sizeof values[0], compare);
    cr_assert_eq(histogram_count(self), VALUES);
    cr_expect_eq(atomic_load(&self->max), values[VALUES - 1], "%s", name);
    uint64_t sum = 0;
    for (size_t i = 0; i < VALUES; i++) {
        sum += values[i];
    }
    cr_expect_eq(atomic_load(&self->sum), sum, "%s", name);
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        double exact = (double)exact_quantile(quantiles[i]);
        double got = (double)histogram_quantile(self, quantiles[i]);
        cr_expect(fabs(got - exact) <= 0.01 * exact, "%s: quantile %g is %.0f, not %.0f", name,
                  quantiles[i], exact, got);
    }
}

static void clear(histogram_t *self)
{
    memset(self, 0, sizeof *self);
}

Test(histogram, has_quantiles_within_one_percent_over_every_distribution)
{
    for (size_t d = 0; d < sizeof distributions / sizeof distributions[0]; d++) {
        random_source_t random = {d + 1};
        clear(&histogram);
        for (size_t i = 0; i < VALUES; i++) {
            values[i] = distributions[d].draw(&random);
            histogram_record(&histogram, values[i]);
        }
        check_quantiles(&histogram, distributions[d].name);
    }
}

Test(histogram, merges_to_the_histogram_of_all_values)
{
    random_source_t random = {7};
    for (size_t i = 0; i < VALUES; i++) {
        values[i] = i % 3 == 0 ? log_normal(&random) : two_peaks(&random);
        if (i % 3 == 0) {
            histogram_record(&histogram, values[i]);
        } else {
            histogram_record_shared(&other, values[i]);
        }
    }
    histogram_merge(&histogram, &other);
    check_quantiles(&histogram, "merged");
}

Test(histogram, is_exact_below_128_and_bounded_above_its_greatest_value)
{
    for (uint64_t value = 0; value < 128; value++) {
        clear(&histogram);
        histogram_record(&histogram, value);
        cr_assert_eq(histogram_quantile(&histogram, 0.5), value);
    }
    clear(&histogram);
    histogram_record(&histogram, UINT64_MAX);
    histogram_record_shared(&histogram, HISTOGRAM_VALUE_MAX + 1);
    cr_assert_eq(histogram_count(&histogram), 2);
    cr_assert_eq(atomic_load(&histogram.max), HISTOGRAM_VALUE_MAX);
    double got = (double)histogram_quantile(&histogram, 1);
    cr_assert(got <= (double)HISTOGRAM_VALUE_MAX && got >= 0.99 * (double)HISTOGRAM_VALUE_MAX);
}

Test(histogram, puts_neighbouring_values_into_the_same_or_the_next_bucket)
{
    for (uint32_t bits = 0; bits < HISTOGRAM_VALUE_BITS; bits++) {
        uint64_t value = UINT64_C(1) << bits;
        uint32_t below = histogram_bucket(value - (value > 1));
        uint32_t at = histogram_bucket(value);
        cr_assert(at == below || at == below + 1, "2^%u", bits);
    }
    cr_assert_eq(histogram_bucket(HISTOGRAM_VALUE_MAX), HISTOGRAM_BUCKETS - 1);
}

Test(histogram, of_nothing_has_quantiles_of_nothing)
{
    cr_assert_eq(histogram_count(&histogram), 0);
    cr_assert_eq(histogram_quantile(&histogram, 0.99), 0);
}
