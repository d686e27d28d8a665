#include "tests/bench/kit/bench.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

int64_t bench_now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static double cpu_seconds_of(int who)
{
    struct rusage usage;
    getrusage(who, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double cpu_seconds(void)
{
    return cpu_seconds_of(RUSAGE_SELF) + cpu_seconds_of(RUSAGE_CHILDREN);
}

/* A line of /proc/self/status, which counts in KiB. getrusage would do for the peak, but it also
 * counts what the parent had when it forked. */
static uint64_t memory(const char *key)
{
    char line[256];
    uint64_t kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    if (!file) {
        bench_fail("/proc/self/status: %s", strerror(errno));
    }
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, key, strlen(key)) == 0) {
            kib = strtoull(line + strlen(key), NULL, 10);
        }
    }
    fclose(file);
    return kib * 1024;
}

uint64_t bench_rss(void)
{
    return memory("VmRSS:");
}

uint64_t bench_rss_peak(void)
{
    return memory("VmHWM:");
}

bench_meter_t bench_begin(void)
{
    return (bench_meter_t){.begin_ns = bench_now_ns(), .begin_cpu_s = cpu_seconds()};
}

bench_figures_t bench_end(const bench_meter_t *meter, uint64_t ops)
{
    return (bench_figures_t){
        .ops = (double)ops,
        .seconds = (double)(bench_now_ns() - meter->begin_ns) / 1e9,
        .p50_us = NAN,
        .p99_us = NAN,
        .p999_us = NAN,
        .cpu_s = cpu_seconds() - meter->begin_cpu_s,
        .bytes_each = NAN,
        .growth = NAN,
    };
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

void bench_quantiles(uint64_t *latencies_ns, size_t count, bench_figures_t *figures)
{
    if (count == 0) {
        bench_fail("no latency was measured");
    }
    qsort(latencies_ns, count, sizeof *latencies_ns, compare_u64);
    figures->p50_us = (double)latencies_ns[count / 2] / 1e3;
    figures->p99_us = (double)latencies_ns[count * 99 / 100] / 1e3;
    figures->p999_us = (double)latencies_ns[count * 999 / 1000] / 1e3;
}

void bench_add_point(uint64_t actors, const uint64_t *rounds_ns, size_t rounds, uint64_t messages,
                     bench_figures_t *figures)
{
    if (figures->point_count == BENCH_POINTS_MAX) {
        bench_fail("more than %d points", BENCH_POINTS_MAX);
    }
    uint64_t fastest_ns = rounds_ns[0];
    for (size_t i = 1; i < rounds; i++) {
        fastest_ns = rounds_ns[i] < fastest_ns ? rounds_ns[i] : fastest_ns;
    }
    figures->points[figures->point_count++] =
        (bench_point_t){.actors = actors, .ns = (double)fastest_ns / (double)messages};
    double least = figures->points[0].ns;
    double most = least;
    for (size_t i = 1; i < figures->point_count; i++) {
        least = fmin(least, figures->points[i].ns);
        most = fmax(most, figures->points[i].ns);
    }
    figures->growth = most / least;
    figures->ops = (double)messages;
    figures->seconds = (double)fastest_ns / 1e9;
}

static void print_figure(const char *name, double value)
{
    if (!isnan(value)) {
        printf(",\"%s\":%.9g", name, value);
    }
}

void bench_print(const bench_figures_t *figures)
{
    printf("{\"ops\":%.0f", figures->ops);
    print_figure("seconds", figures->seconds);
    print_figure("ops_per_s", figures->ops / figures->seconds);
    print_figure("p50_us", figures->p50_us);
    print_figure("p99_us", figures->p99_us);
    print_figure("p999_us", figures->p999_us);
    print_figure("cpu_s", figures->cpu_s);
    print_figure("bytes_each", figures->bytes_each);
    print_figure("growth", figures->growth);
    for (size_t i = 0; i < figures->point_count; i++) {
        char name[32];
        snprintf(name, sizeof name, "ns_at_%llu", (unsigned long long)figures->points[i].actors);
        print_figure(name, figures->points[i].ns);
    }
    printf(",\"rss_bytes\":%llu}\n", (unsigned long long)bench_rss_peak());
    fflush(stdout);
}

uint64_t bench_argument(int argc, char **argv, int index, const char *name)
{
    char *end = NULL;
    uint64_t value = index < argc ? strtoull(argv[index], &end, 10) : 0;
    if (value == 0 || *end) {
        bench_fail("argument %d, %s, must be a number of at least 1", index, name);
    }
    return value;
}

uint64_t bench_seed(void)
{
    const char *text = getenv("CAPSTAN_BENCH_SEED");
    return text ? strtoull(text, NULL, 10) : 1;
}

uint64_t bench_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

double bench_work(double term, uint64_t cost)
{
    uint64_t random = cost;
    for (uint64_t i = 0; i < cost * 100; i++) {
        term += log((double)(bench_random(&random) >> 11) / (double)(1ULL << 53) + 0.01);
    }
    return term;
}

void bench_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("failed: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    _Exit(1);
}

void bench_expect(const char *what, uint64_t got, uint64_t wanted)
{
    if (got != wanted) {
        bench_fail("%s: %llu, not %llu", what, (unsigned long long)got, (unsigned long long)wanted);
    }
}
