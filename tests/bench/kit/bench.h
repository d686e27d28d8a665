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

/* NAN: not measured. */
typedef struct bench_figures {
    double ops;
    double seconds;
    double p50_us;
    double p99_us;
    double p999_us;
    double cpu_s;      /* user and system, of the whole process during the stretch */
    double bytes_each; /* memory per actor */
    double growth;     /* highest cost per message divided by the lowest */
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

void bench_print(const bench_figures_t *figures);

/* The number at `index` of the command line, at least 1. Ends the program when there is none. */
uint64_t bench_argument(int argc, char **argv, int index, const char *name);

/* The run's seed, from CAPSTAN_BENCH_SEED; 1 when it is not set. */
uint64_t bench_seed(void);

/* The next of a sequence of pseudo-random numbers (splitmix64); the same in every program. */
uint64_t bench_random(uint64_t *state);

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
