/* `capstan bench`: runs the cases, and prints a table for people or a line of JSON per case. */
#include "cli/bench.h"

#include "cli/bench_postgres.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/table.h"
#include "runtime/base/ensure.h"
#include "runtime/base/json_writer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { REPEATS = 3 };

#define BENCHES "tell, ask, metrics, pipeline, poison, growth, rebalance, keyed, saga, pool"

static const bench_case_t cases[] = {
    {
        .bench = "tell",
        .name = "cross_cell",
        .what = "64-byte messages from 8 actors on one cell to one on another",
        .peer = "libzmq inproc PUSH/PULL, one message each",
        .metric = "ops_per_s",
        .goal = "at least 5 M/s",
        .ops_per_s_min = 5e6,
        .run = bench_tell,
        .run_peer = bench_tell_peer,
    },
    {
        .bench = "ask",
        .name = "cross_cell",
        .what = "one request at a time to an actor on another cell",
        .peer = "libzmq inproc PAIR ping-pong",
        .metric = "p50_us",
        .goal = "at most 2x the peer's median",
        .ratio_max = 2,
        .run = bench_ask,
        .run_peer = bench_ask_peer,
    },
    {
        .bench = "metrics",
        .name = "counter",
        .what = "additions to a counter by a cell's thread",
        .peer = "a relaxed load and store of one word",
        .metric = "ops_per_s",
        .goal = "at most 5 ns",
        .ops_per_s_min = 1e9 / 5,
        .run = bench_metrics_counter,
        .run_peer = bench_metrics_peer,
    },
    {
        .bench = "metrics",
        .name = "histogram",
        .what = "values recorded into a histogram by a cell's thread",
        .peer = "a relaxed load and store of one word",
        .metric = "ops_per_s",
        .goal = "at most 15 ns",
        .ops_per_s_min = 1e9 / 15,
        .run = bench_metrics_histogram,
        .run_peer = bench_metrics_peer,
    },
    {
        .bench = "pipeline",
        .name = "durable",
        .what = "64-byte events over tcp in batches of 64, ordered, fsync, consumed by a process",
        .peer = "SQLite, rows of 150 bytes in commits of 1,024",
        .metric = "ops_per_s",
        .goal = "at least 800 k/s and 0.40x",
        .ops_per_s_min = 8e5,
        .ratio_min = 0.4,
        .run = bench_pipeline_durable,
        .run_peer = bench_pipeline_peer,
    },
    {
        .bench = "pipeline",
        .name = "memory",
        .what = "as durable, in a topic whose events are answered and delivered ahead of the disk",
        .peer = "durable",
        .metric = "ops_per_s",
        .goal = "at least 2 M/s",
        .ops_per_s_min = 2e6,
        .run = bench_pipeline_memory,
        .run_peer = bench_pipeline_durable,
    },
    {
        .bench = "pipeline",
        .name = "half_load",
        .what =
            "durable, published at half the rate just measured; time from publish to consumption",
        .peer = "the same as fast as it goes",
        .metric = "p50_us",
        .goal = "p99 at most 10 ms",
        .p99_us_max = 10000,
        .run = bench_pipeline_half_load,
        .run_peer = bench_pipeline_durable,
    },
    {
        .bench = "pipeline",
        .name = "durable_single",
        .what = "the same, one event per batch",
        .peer = "SQLite, rows of 150 bytes in commits of 1,024",
        .metric = "ops_per_s",
        .goal = "at least 100 k/s",
        .ops_per_s_min = 1e5,
        .run = bench_pipeline_single,
        .run_peer = bench_pipeline_peer,
    },
    {
        .bench = "pipeline",
        .name = "stuck_consumer",
        .what = "as durable, for two consumers, with a third one that has stopped reading",
        .peer = "the same without the third",
        .metric = "ops_per_s",
        .goal = "at least 0.95x",
        .ratio_min = 0.95,
        .run = bench_pipeline_beside_stuck,
        .run_peer = bench_pipeline_alone,
    },
    {
        .bench = "poison",
        .name = "others",
        .what = "as durable, for a consumer that always rejects 1 % of the keys: the other keys' "
                "events",
        .peer = "the same events for a consumer that takes all",
        .metric = "ops_per_s",
        .goal = "at least 0.90x",
        .ratio_min = 0.9,
        .run = bench_poison_others,
        .run_peer = bench_poison_none,
    },
    {
        .bench = "growth",
        .name = "keys",
        .what = "as durable, for 1,000,000 keys that all exist; events visit them in no order",
        .peer = "the same with 10 keys",
        .metric = "ops_per_s",
        .goal = "at least 0.83x: flat within 20 %",
        .ratio_min = 0.83,
        .run = bench_growth_keys,
        .run_peer = bench_growth_few_keys,
    },
    {
        .bench = "rebalance",
        .name = "kill",
        .what = "20,000 events/s of 100,000 keys for 4 members, of which one comes, leaves or is "
                "killed each second; time until what it held is with another",
        .peer = "the same while nobody comes or goes; time from publish to delivery",
        .metric = "ops_per_s",
        .goal = "no inversion, p99 at most 50 ms",
        .ratio_min = 0.95,
        .p99_us_max = 50000,
        .run = bench_rebalance_kill,
        .run_peer = bench_rebalance_quiet,
    },
    {
        .bench = "saga",
        .name = "three_steps",
        .what = "sagas of three steps, 500 under way, each transition on disk before the next "
                "action, and a participant in the process whose inbox is on disk",
        .peer = "SQLite, rows of 150 bytes in commits of 1,024",
        .metric = "ops_per_s",
        .goal = "at least 25 k/s",
        .ops_per_s_min = 25000,
        .run = bench_saga_inside,
        .run_peer = bench_pipeline_peer,
    },
    {
        .bench = "saga",
        .name = "three_steps_tcp",
        .what = "the same, the participant in another process",
        .peer = "SQLite, rows of 150 bytes in commits of 1,024",
        .metric = "ops_per_s",
        .goal = "at least 15 k/s",
        .ops_per_s_min = 15000,
        .run = bench_saga_tcp,
        .run_peer = bench_pipeline_peer,
    },
    {
        .bench = "saga",
        .name = "alone",
        .what = "the same as the first, one after the other",
        .peer = "four commits of SQLite, one row each, and 1 ms",
        .metric = "p50_us",
        .goal = "at most 1x the peer's median",
        .ratio_max = 1,
        .run = bench_saga_alone,
        .run_peer = bench_saga_four_commits,
    },
    {
        .bench = "saga",
        .name = "recovery",
        .what = "100,000 sagas whose commands are out; their node is killed and started again: "
                "from its being ready until all of them have been heard again",
        .peer = "SQLite, rows of 150 bytes in commits of 1,024",
        .metric = "ops_per_s",
        .goal = "within 3 s",
        .ops_per_s_min = 100000.0 / 3,
        .run = bench_saga_recovery,
        .run_peer = bench_pipeline_peer,
    },
    {
        .bench = "saga",
        .name = "resting",
        .what = "a page of 50, the newest or from anywhere, a start or a show among 1,000,000 "
                "sagas that await a signal: the one of them that suffers most",
        .peer = "the same among 1,000",
        .metric = "p50_us",
        .goal = "at most 1.5x",
        .ratio_max = 1.5,
        .run = bench_saga_resting,
        .run_peer = bench_saga_resting_few,
    },
    {
        .bench = "pool",
        .name = "take_give",
        .what = "a connection is taken and given back by a thread that nobody disturbs",
        .peer = "a lock taken and given back twice",
        .metric = "ops_per_s",
        .goal = "at most 60 ns",
        .ops_per_s_min = 1e9 / 60,
        .run = bench_pool_take_give,
        .run_peer = bench_pool_locks,
    },
    {
        .bench = "pool",
        .name = "contended",
        .what = "32 threads share 16 connections, each held for 1 ms; time of waiting",
        .peer = "connections that never rest, and the line ahead times the hold as it was measured",
        .metric = "p999_us",
        .goal = "at most 1.5x",
        .ratio_max = 1.5,
        .run = bench_pool_contended,
        .run_peer = bench_pool_contended_ideal,
    },
    {
        .bench = "pool",
        .name = "spike",
        .what = "50 threads at once, each holds a connection for 2 ms; 5 are open, of 50, and one "
                "more takes 150 ms; p99: the time until all are done",
        .peer = "five connections that never rest",
        .metric = "ops_per_s",
        .goal = "within 25 ms, at most 6 connections made",
        .p99_us_max = 25000,
        .run = bench_pool_spike,
        .run_peer = bench_pool_spike_ideal,
    },
    {
        .bench = "pool",
        .name = "outage",
        .what = "16 threads take with a deadline of 500 ms while a network swallows packets, for a "
                "minute and five times for six seconds; p999: how late one is told at worst; p99: "
                "the longest time from the network's return until all 16 connections serve",
        .peer = "threads that wait for 500 ms alone",
        .metric = "p999_us",
        .goal = "at most 50 ms late, all serve within 1 s",
        .p99_us_max = 1000000,
        .p999_us_max = 50000,
        .once = true,
        .run = bench_pool_outage,
        .run_peer = bench_pool_outage_waits,
    },
    {
        .bench = "pool",
        .name = "promote",
        .what = "4 threads write through a pool before two servers; the primary crashes, and the "
                "standby is promoted 1.5 s later; p50: the time from the promotion to the first "
                "write, p99: until each has written",
        .peer = "a thread that connects every 10 ms until it is let in",
        .metric = "p50_us",
        .goal = "within 2 s, and no write to a read-only server",
        .p99_us_max = 2000000,
        .missing = bench_postgres_missing,
        .run = bench_pool_promote,
        .run_peer = bench_pool_promote_connects,
    },
#define KEYED(keys)                                                                                \
    {                                                                                              \
        .bench = "keyed",                                                                          \
        .name = #keys,                                                                             \
        .what = "10,000 events of 0 to 5 ms of sleep, shared by 16 workers; keys: " #keys,         \
        .peer = "the ideal time of the same sleeps",                                               \
        .metric = "ops_per_s",                                                                     \
        .goal = "at least 0.98x",                                                                  \
        .ratio_min = 0.98,                                                                         \
        .run = bench_keyed_##keys,                                                                 \
        .run_peer = bench_keyed_ideal,                                                             \
    },
#include "cli/bench_keyed.def"
#undef KEYED
};

enum { CASE_COUNT = sizeof cases / sizeof cases[0] };

int bench_failed(const char *who, const char *text)
{
    fprintf(stderr, "capstan bench: %s: %s\n", who, text);
    return EXIT_FAILED;
}

int64_t bench_now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

void bench_quantiles(uint64_t *latencies_ns, size_t count, bench_figures_t *figures)
{
    ENSURE(count > 0);
    qsort(latencies_ns, count, sizeof *latencies_ns, compare_u64);
    figures->p50_us = (double)latencies_ns[count / 2] / 1e3;
    figures->p99_us = (double)latencies_ns[count * 99 / 100] / 1e3;
    figures->p999_us = (double)latencies_ns[count * 999 / 1000] / 1e3;
}

double bench_cpu_s(void)
{
    double seconds = 0;
    for (int i = 0; i < 2; i++) {
        struct rusage usage;
        getrusage(i == 0 ? RUSAGE_SELF : RUSAGE_CHILDREN, &usage);
        seconds += (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    }
    return seconds;
}

static uint64_t rss_peak(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_maxrss * 1024;
}

void bench_print_line(uint64_t ops, double seconds, const bench_figures_t *figures, double cpu_s)
{
    printf("{\"ops\":%" PRIu64 ",\"seconds\":%.6g,\"ops_per_s\":%.9g,\"p50_us\":%.9g,"
           "\"p99_us\":%.9g,\"p999_us\":%.9g,\"cpu_s\":%.6g,\"rss_bytes\":%" PRIu64 "}\n",
           ops, seconds, figures->ops_per_s, figures->p50_us, figures->p99_us, figures->p999_us,
           cpu_s, rss_peak());
}

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(const bench_figures_t *runs, size_t count, size_t offset)
{
    double values[REPEATS];
    for (size_t i = 0; i < count; i++) {
        memcpy(&values[i], (const char *)&runs[i] + offset, sizeof values[i]);
    }
    qsort(values, count, sizeof values[0], compare_double);
    return values[count / 2];
}

static bench_figures_t medians(const bench_figures_t *runs, size_t count)
{
    return (bench_figures_t){
        .ops_per_s = median(runs, count, offsetof(bench_figures_t, ops_per_s)),
        .p50_us = median(runs, count, offsetof(bench_figures_t, p50_us)),
        .p99_us = median(runs, count, offsetof(bench_figures_t, p99_us)),
        .p999_us = median(runs, count, offsetof(bench_figures_t, p999_us)),
    };
}

typedef struct outcome_row {
    const bench_case_t *bench;
    bench_figures_t ours;
    bench_figures_t peer;
    double ratio;
    bool met;
} outcome_row_t;

static double metric_of(const bench_case_t *bench, const bench_figures_t *figures)
{
    return strcmp(bench->metric, "p50_us") == 0    ? figures->p50_us
           : strcmp(bench->metric, "p999_us") == 0 ? figures->p999_us
                                                   : figures->ops_per_s;
}

static capstan_err_t measure(const bench_case_t *bench, outcome_row_t *ret_row)
{
    bench_figures_t ours[REPEATS];
    bench_figures_t peer[REPEATS];
    size_t count = bench->once ? 1 : REPEATS;
    for (size_t i = 0; i < count; i++) {
        ours[i] = peer[i] = (bench_figures_t){NAN, NAN, NAN, NAN};
        capstan_err_t err = bench->run(&ours[i]);
        err = err ? err : bench->run_peer(&peer[i]);
        if (err != CAPSTAN_OK) {
            return err;
        }
    }
    outcome_row_t row = {
        .bench = bench, .ours = medians(ours, count), .peer = medians(peer, count)};
    row.ratio = metric_of(bench, &row.ours) / metric_of(bench, &row.peer);
    row.met = row.ours.ops_per_s >= bench->ops_per_s_min && row.ratio >= bench->ratio_min &&
              (bench->ratio_max == 0 || row.ratio <= bench->ratio_max) &&
              (bench->p99_us_max == 0 || row.ours.p99_us <= bench->p99_us_max) &&
              (bench->p999_us_max == 0 || row.ours.p999_us <= bench->p999_us_max);
    *ret_row = row;
    return CAPSTAN_OK;
}

static void emit_figure(json_writer_t *json, const char *name, double value)
{
    emit_key(json, name);
    emit_double(json, value);
}

static void emit_rate(json_writer_t *json, const char *name, double value)
{
    emit_key(json, name);
    if (isnan(value)) {
        emit_null(json);
    } else {
        emit_uint(json, (uint64_t)llround(value));
    }
}

static void print_json(const outcome_row_t *row)
{
    buffer_t text = {0};
    json_writer_t json = json_writer(&text);
    emit_object_begin(&json);
    emit_key(&json, "bench");
    emit_string(&json, row->bench->bench);
    emit_key(&json, "case");
    emit_string(&json, row->bench->name);
    emit_rate(&json, "ops_per_s", row->ours.ops_per_s);
    emit_figure(&json, "ns_per_op", 1e9 / row->ours.ops_per_s);
    emit_figure(&json, "p50_us", row->ours.p50_us);
    emit_figure(&json, "p99_us", row->ours.p99_us);
    emit_figure(&json, "p999_us", row->ours.p999_us);
    emit_rate(&json, "ceiling_ops_per_s", row->peer.ops_per_s);
    emit_key(&json, "peer");
    emit_string(&json, row->bench->peer);
    emit_key(&json, "metric");
    emit_string(&json, row->bench->metric);
    emit_figure(&json, "ratio", row->ratio);
    emit_key(&json, "met");
    emit_bool(&json, row->met);
    emit_object_end(&json);
    printf("%.*s\n", (int)text.size, (const char *)text.data);
    fflush(stdout);
    buffer_fini(&text);
}

static void cell(table_t *table, int decimals, double value)
{
    char text[48] = "-";
    if (!isnan(value)) {
        snprintf(text, sizeof text, "%.*f", decimals, value);
    }
    table_cell(table, slice_text(text));
}

static void print_table(const outcome_row_t *rows, size_t count)
{
    static const char *const heading[] = {"bench",   "case",   "ops/s", "ns/op", "p50 us", "p99 us",
                                          "p999 us", "peer/s", "ratio", "met",   "goal"};
    table_t table = {.columns = sizeof heading / sizeof heading[0]};
    for (size_t i = 0; i < table.columns; i++) {
        table_cell(&table, slice_text(heading[i]));
    }
    for (size_t i = 0; i < count; i++) {
        const outcome_row_t *row = &rows[i];
        table_cell(&table, slice_text(row->bench->bench));
        table_cell(&table, slice_text(row->bench->name));
        cell(&table, 0, row->ours.ops_per_s);
        cell(&table, 1, 1e9 / row->ours.ops_per_s);
        cell(&table, 1, row->ours.p50_us);
        cell(&table, 1, row->ours.p99_us);
        cell(&table, 1, row->ours.p999_us);
        cell(&table, 0, row->peer.ops_per_s);
        cell(&table, 2, row->ratio);
        table_cell(&table, slice_text(row->met ? "yes" : "missed"));
        table_cell(&table, slice_text(row->bench->goal));
    }
    table_print(&table, 0, stdout);
    table_fini(&table);
    for (size_t i = 0; i < count; i++) {
        printf("%s %s: %s; peer: %s\n", rows[i].bench->bench, rows[i].bench->name,
               rows[i].bench->what, rows[i].bench->peer);
    }
}

/* Whether the operands, which name a bench and perhaps one of its cases, are this case's. */
static bool is_chosen(const bench_case_t *bench, const operands_t *operands)
{
    return (operands->count < 1 || strcmp(bench->bench, operands->items[0]) == 0) &&
           (operands->count < 2 || strcmp(bench->name, operands->items[1]) == 0);
}

static bool is_known(const operands_t *operands)
{
    for (size_t i = 0; i < CASE_COUNT; i++) {
        if (is_chosen(&cases[i], operands)) {
            return true;
        }
    }
    return false;
}

/* What this program is when a benchmark has started it. */
static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} processes[] = {
    {"publisher", bench_publisher},
    {"consumer", bench_consumer},
    {"picky", bench_consumer},
    {"memory", bench_consumer},
    {"stuck", bench_stuck},
    {"worker", bench_worker},
    {"rebalanced", bench_rebalanced},
    {"three_steps", bench_three_steps},
    {"participant", bench_participant},
    {"stalled", bench_stalled},
    {"recovered", bench_recovered},
    {"resting", bench_resting},
    {"borrowers", bench_borrowers},
    {"swallowed", bench_swallowed},
};

int cli_bench(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof processes / sizeof processes[0]; i++) {
        if (strcmp(argv[1], processes[i].name) == 0) {
            return processes[i].run(argc - 1, argv + 1);
        }
    }
    bool json = false;
    operands_t operands;
    const option_t options[] = {
        {.name = "json",
         .type = OPTION_FLAG,
         .target.flag = &json,
         .meaning = "one line of JSON per case"},
    };
    const command_line_t line = {
        .usage = "capstan bench [BENCH [CASE]] [options]",
        .summary = "Measures this build on this machine, each case in turn with the bare library\n"
                   "it stands on, and prints medians of three runs. Missing a goal is no failure.\n"
                   "\n"
                   "Benches: " BENCHES ".",
        .examples = "  capstan bench\n  capstan bench pipeline --json\n  capstan bench keyed 20\n",
        .options = options,
        .count = OPTION_COUNT(options),
        .operands_max = 2,
    };
    int status = options_parse(&line, argc, argv, &operands);
    if (status != OPTIONS_RUN) {
        return status;
    }
    if (!is_known(&operands)) {
        return options_wrong(&line, "no bench is called '%s%s%s': " BENCHES, operands.items[0],
                             operands.count > 1 ? " " : "",
                             operands.count > 1 ? operands.items[1] : "");
    }
    outcome_row_t rows[CASE_COUNT];
    size_t count = 0;
    for (size_t i = 0; i < CASE_COUNT; i++) {
        if (!is_chosen(&cases[i], &operands)) {
            continue;
        }
        const char *missing = cases[i].missing ? cases[i].missing() : NULL;
        if (missing) {
            fprintf(stderr, "%s %s is skipped: %s\n", cases[i].bench, cases[i].name, missing);
            continue;
        }
        fprintf(stderr, "measuring %s %s ...\n", cases[i].bench, cases[i].name);
        if (measure(&cases[i], &rows[count]) != CAPSTAN_OK) {
            return EXIT_FAILED;
        }
        if (json) {
            print_json(&rows[count]);
        }
        count++;
    }
    if (!json && count > 0) {
        print_table(rows, count);
    }
    return EXIT_DONE;
}
