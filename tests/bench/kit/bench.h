/* What every measured program has in common, ours and the peers' (C and C++; peers/erlang/bench.erl
 * is the same in Erlang): it reads its sizes from the command line, measures one stretch of work
 * between begin and end, checks its own result, and prints one line of JSON:
 *
 *   {"ops":8000000,"seconds":1.002,"ops_per_s":...,"p50_us":...,"cpu_s":...,"rss_bytes":...}
 *
 * Only figures that were set are printed. Start and end of the process lie outside the stretch. */
#ifndef TESTS_BENCH_KIT_BENCH_H
#define TESTS_BENCH_KIT_BENCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { BENCH_POINTS_MAX = 8 };

/* What a message costs at a number of actors. */
typedef struct bench_point {
    uint64_t actors;
    double ns;
} bench_point_t;

/* NAN: not measured. */
typedef struct bench_figures {
    double ops;
    double seconds;
    double p50_us;
    double p99_us;
    double p999_us;
    double cpu_s;      /* user and system, of the process and of its children that have ended */
    double bytes_each; /* memory per actor */
    double growth;     /* highest cost per message divided by the lowest, of the points */
    bench_point_t points[BENCH_POINTS_MAX];
    size_t point_count;
} bench_figures_t;

typedef struct bench_meter {
    int64_t begin_ns;
    double begin_cpu_s;
} bench_meter_t;

int64_t bench_now_ns(void);

/* Resident memory of this process in bytes: now, and the most there was. */
uint64_t bench_rss(void);
uint64_t bench_rss_peak(void);

bench_meter_t bench_begin(void);
/* The stretch since `meter` began did `ops` operations. */
bench_figures_t bench_end(const bench_meter_t *meter, uint64_t ops);

/* Sorts the latencies in place and sets the quantiles. */
void bench_quantiles(uint64_t *latencies_ns, size_t count, bench_figures_t *figures);

/* Adds what messages cost at a number of actors: the fastest of `rounds` rounds, since whatever
 * else the machine does only adds to one. Keeps `growth`; the rate is that of the last point. */
void bench_add_point(uint64_t actors, const uint64_t *rounds_ns, size_t rounds, uint64_t messages,
                     bench_figures_t *figures);

void bench_print(const bench_figures_t *figures);

/* The number at `index` of the command line, at least 1. Ends the program when there is none. */
uint64_t bench_argument(int argc, char **argv, int index, const char *name);

/* The run's seed, from CAPSTAN_BENCH_SEED; 1 when it is not set. */
uint64_t bench_seed(void);

/* The next of a sequence of pseudo-random numbers (splitmix64); the same in every program. */
uint64_t bench_random(uint64_t *state);

/* Work that takes some 15 us for each 10 of `cost`: adds logarithms of pseudo-random numbers to
 * `term`. */
double bench_work(double term, uint64_t cost);

/* Says what is wrong and ends the program with status 1. Any thread. */
#if defined(__GNUC__)
__attribute__((noreturn, format(printf, 1, 2)))
#endif
void bench_fail(const char *format, ...);

/* The program's own check of its result. */
void bench_expect(const char *what, uint64_t got, uint64_t wanted);

#ifdef __cplusplus
}
#endif

#endif
