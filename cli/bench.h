/* Benchmarks: what a case measures and how it is reported. Internal to `capstan bench`.
 *
 * Each case is measured several times, in turn with its peer, so that both see the same machine;
 * medians are reported. A missing figure is NAN and printed as null. */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include <capstan/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct bench_figures {
    double ops_per_s;
    double p50_us;
    double p99_us;
    double p999_us;
} bench_figures_t;

typedef struct bench_case {
    const char *bench;
    const char *name;
    const char *what;   /* one line for people */
    const char *peer;   /* what the ratio compares with */
    const char *metric; /* the field whose ratio is taken */
    const char *goal;   /* for people */
    double ops_per_s_min;
    double ratio_min;
    double ratio_max;
    double p99_us_max;
    double p999_us_max;
    bool once; /* it takes long: measured once */
    /* Why it cannot be measured here; may be NULL, or return it: it can. */
    const char *(*missing)(void);
    /* Measure once. Errors are printed by the case itself to stderr. */
    capstan_err_t (*run)(bench_figures_t *ret_figures);
    capstan_err_t (*run_peer)(bench_figures_t *ret_figures);
} bench_case_t;

capstan_err_t bench_tell(bench_figures_t *ret_figures);
capstan_err_t bench_tell_peer(bench_figures_t *ret_figures);
capstan_err_t bench_ask(bench_figures_t *ret_figures);
capstan_err_t bench_ask_peer(bench_figures_t *ret_figures);
capstan_err_t bench_pipeline_durable(bench_figures_t *ret_figures);
capstan_err_t bench_pipeline_memory(bench_figures_t *ret_figures);
capstan_err_t bench_pipeline_half_load(bench_figures_t *ret_figures);
capstan_err_t bench_pipeline_single(bench_figures_t *ret_figures);
capstan_err_t bench_pipeline_beside_stuck(bench_figures_t *ret_figures);
capstan_err_t bench_pipeline_alone(bench_figures_t *ret_figures);
capstan_err_t bench_poison_others(bench_figures_t *ret_figures);
capstan_err_t bench_poison_none(bench_figures_t *ret_figures);
capstan_err_t bench_growth_keys(bench_figures_t *ret_figures);
capstan_err_t bench_growth_few_keys(bench_figures_t *ret_figures);
capstan_err_t bench_rebalance_kill(bench_figures_t *ret_figures);
capstan_err_t bench_rebalance_quiet(bench_figures_t *ret_figures);
capstan_err_t bench_pipeline_peer(bench_figures_t *ret_figures);
capstan_err_t bench_metrics_counter(bench_figures_t *ret_figures);
capstan_err_t bench_metrics_histogram(bench_figures_t *ret_figures);
capstan_err_t bench_metrics_peer(bench_figures_t *ret_figures);
capstan_err_t bench_saga_inside(bench_figures_t *ret_figures);
capstan_err_t bench_saga_tcp(bench_figures_t *ret_figures);
capstan_err_t bench_saga_alone(bench_figures_t *ret_figures);
capstan_err_t bench_saga_four_commits(bench_figures_t *ret_figures);
capstan_err_t bench_saga_recovery(bench_figures_t *ret_figures);
capstan_err_t bench_saga_resting(bench_figures_t *ret_figures);
capstan_err_t bench_saga_resting_few(bench_figures_t *ret_figures);

capstan_err_t bench_pool_take_give(bench_figures_t *ret_figures);
capstan_err_t bench_pool_locks(bench_figures_t *ret_figures);
capstan_err_t bench_pool_contended(bench_figures_t *ret_figures);
capstan_err_t bench_pool_contended_ideal(bench_figures_t *ret_figures);
capstan_err_t bench_pool_spike(bench_figures_t *ret_figures);
capstan_err_t bench_pool_spike_ideal(bench_figures_t *ret_figures);
capstan_err_t bench_pool_outage(bench_figures_t *ret_figures);
capstan_err_t bench_pool_outage_waits(bench_figures_t *ret_figures);
capstan_err_t bench_pool_promote(bench_figures_t *ret_figures);
capstan_err_t bench_pool_promote_connects(bench_figures_t *ret_figures);

#define KEYED(keys) capstan_err_t bench_keyed_##keys(bench_figures_t *ret_figures);
#include "cli/bench_keyed.def"
#undef KEYED
capstan_err_t bench_keyed_ideal(bench_figures_t *ret_figures);

/* The processes that benches start: `capstan bench publisher|consumer|picky|stuck|worker|
 * rebalanced|three_steps|participant|stalled|recovered|resting|borrowers|swallowed ...`. */
int bench_publisher(int argc, char **argv);
int bench_consumer(int argc, char **argv);
int bench_stuck(int argc, char **argv);
int bench_worker(int argc, char **argv);
int bench_rebalanced(int argc, char **argv);
int bench_three_steps(int argc, char **argv);
int bench_participant(int argc, char **argv);
int bench_stalled(int argc, char **argv);
int bench_recovered(int argc, char **argv);
int bench_resting(int argc, char **argv);
int bench_borrowers(int argc, char **argv);
int bench_swallowed(int argc, char **argv);

/* Says on stderr what went wrong; returns the exit status. */
int bench_failed(const char *who, const char *text);

int64_t bench_now_ns(void);
/* Of the process and of children that have ended, user and system. */
double bench_cpu_s(void);
/* The same line that the programs of tests/bench print. */
void bench_print_line(uint64_t ops, double seconds, const bench_figures_t *figures, double cpu_s);
/* Sorts the latencies and sets the quantiles. */
void bench_quantiles(uint64_t *latencies_ns, size_t count, bench_figures_t *figures);

#endif
