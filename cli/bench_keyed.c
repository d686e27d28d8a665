/* keyed: workers of one group share events whose work takes a while, keys dealt at random. The
 * figure is how near the group comes to the time that would be needed if nobody ever waited for a
 * key or for a message.
 *
 *   ideal = the sleeps as they were measured, summed, divided by the workers that can be busy at
 *           once (keys or workers, whichever are fewer), and never below what the longest key takes
 *
 * Each worker is a process and a member. It may hold three events, so that it goes on with the next
 * ones while what it says of the first is on its way, also when one of them is done at once. */
#include "cli/bench.h"

#include "brokers/peer/peer.h"
#include "cli/bench_processes.h"
#include "cli/options.h"
#include "runtime/base/ensure.h"
#include "runtime/simulation/random.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

enum {
    WORKERS = 16,
    EVENTS = 10000,
    SLEEP_US_MAX = 5000,
    HELD_MAX = 3,
    SILENCE_NS = 2000000000, /* after which a worker believes that all is done */
    REQUEST_US = 10000000,
    PARTITIONS = 16,
    SEED = 42,
};

/* --- a worker -------------------------------------------------------------------------------- */

typedef struct task {
    uint64_t subscription;
    uint64_t partition;
    uint64_t offset;
    uint64_t sleep_us;
    uint64_t key;
} task_t;

typedef struct worker {
    peer_t *peer;
    task_t tasks[HELD_MAX];
    size_t count;
    int64_t first_ns;
    int64_t last_ns;
    int64_t slept_ns[EVENTS]; /* by key */
} worker_t;

static void on_work(void *context, const deliver_t *deliver)
{
    worker_t *self = context;
    codec_list_t list;
    event_t event;
    int64_t now_ns = bench_now_ns();
    self->first_ns = self->first_ns ? self->first_ns : now_ns;
    self->last_ns = now_ns;
    ENSURE(codec_list_open(event_wire(), deliver->events, &list) == CAPSTAN_OK);
    while (codec_list_next(&list, &event)) {
        ENSURE(self->count < HELD_MAX);
        task_t *task = &self->tasks[self->count++];
        *task = (task_t){.subscription = deliver->subscription,
                         .partition = deliver->partition,
                         .offset = event.offset};
        ENSURE(event.payload.size == sizeof task->sleep_us && event.key.size == sizeof task->key);
        memcpy(&task->sleep_us, event.payload.data, sizeof task->sleep_us);
        memcpy(&task->key, event.key.data, sizeof task->key);
    }
}

static void acknowledge(worker_t *self, const task_t *task)
{
    buffer_t through = {0};
    codec_list_writer_t writer = codec_list_begin(&through);
    codec_list_add(
        &writer, position_wire(),
        &(position_t){.partition = task->partition, .first = task->offset, .offset = task->offset});
    codec_list_end(&writer);
    peer_acknowledge(self->peer, &(acknowledge_t){.subscription = task->subscription,
                                                  .through = buffer_slice(&through)});
    buffer_fini(&through);
}

static void work(worker_t *self)
{
    task_t task = self->tasks[0];
    int64_t begin_ns = bench_now_ns();
    struct timespec pause = {.tv_nsec = (long)task.sleep_us * 1000};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    self->last_ns = bench_now_ns();
    self->slept_ns[task.key] += self->last_ns - begin_ns;
    self->count--;
    memmove(self->tasks, self->tasks + 1, self->count * sizeof task);
    acknowledge(self, &task);
}

static capstan_err_t subscribe(peer_t *peer, char *text, size_t size)
{
    slice_t body;
    capstan_err_t err = peer_request(
        peer, topic_ensure_wire(),
        &(topic_ensure_t){.topic = slice_text("keyed"), .partitions = PARTITIONS, .sequence = 2},
        topic_info_wire(), REQUEST_US, &body, text, size);
    return err ? err
               : peer_request(peer, subscribe_wire(),
                              &(subscribe_t){.topic = slice_text("keyed"),
                                             .group = slice_text("workers"),
                                             .events_max = HELD_MAX,
                                             .key_events_max = HELD_MAX,
                                             .concurrency = 1},
                              subscribed_wire(), REQUEST_US, &body, text, size);
}

/* worker ENDPOINT NAME: prints `ready`; when nothing comes any more, how long it slept for each
 * key, and from when to when it was at work. */
int bench_worker(int argc, char **argv)
{
    ENSURE(argc == 3);
    static worker_t self;
    char text[512] = "";
    capstan_err_t err = peer_connect(&(peer_options_t){.endpoint = argv[1], .name = argv[2]},
                                     &(peer_handlers_t){.context = &self, .deliver = on_work},
                                     &self.peer, text, sizeof text);
    err = err ? err : subscribe(self.peer, text, sizeof text);
    if (err != CAPSTAN_OK) {
        return bench_failed(argv[2], text);
    }
    printf("ready\n");
    fflush(stdout);
    int64_t heard_ns = bench_now_ns();
    while (self.count > 0 || bench_now_ns() - heard_ns < SILENCE_NS) {
        if (self.count <= 1) { /* else there is time until it has to know what comes next */
            peer_poll(self.peer, self.count > 0 ? 0 : 100000);
        }
        if (self.count > 0) {
            work(&self);
            heard_ns = bench_now_ns();
        }
    }
    for (size_t i = 0; i < EVENTS; i++) {
        if (self.slept_ns[i] > 0) {
            printf("%zu %" PRId64 "\n", i, self.slept_ns[i]);
        }
    }
    printf("end %" PRId64 " %" PRId64 "\n", self.first_ns, self.last_ns);
    peer_close(&self.peer, 1000000);
    return EXIT_DONE;
}

/* --- the parent ------------------------------------------------------------------------------ */

typedef struct totals {
    int64_t slept_ns[EVENTS];
    int64_t first_ns;
    int64_t last_ns;
} totals_t;

static capstan_err_t publish_all(char *endpoint, uint64_t keys)
{
    char text[512] = "";
    peer_t *peer;
    random_source_t random = {.state = SEED};
    capstan_err_t err = peer_connect(&(peer_options_t){.endpoint = endpoint, .name = "dealer"},
                                     &(peer_handlers_t){.context = NULL}, &peer, text, sizeof text);
    if (err != CAPSTAN_OK) {
        bench_failed("keyed", text);
        return err;
    }
    for (uint64_t i = 0; i < EVENTS; i++) {
        uint64_t key = random_below(&random, keys);
        uint64_t sleep_us = random_below(&random, SLEEP_US_MAX + 1);
        publish_t event = {.topic = slice_text("keyed"),
                           .key = {&key, sizeof key},
                           .payload = {&sleep_us, sizeof sleep_us}};
        while (peer_publish(peer, &event, i) == CAPSTAN_E_NO_CREDIT) {
            peer_poll(peer, 100000);
        }
    }
    peer_close(&peer, REQUEST_US);
    return CAPSTAN_OK;
}

static capstan_err_t hear(child_t *worker, totals_t *totals)
{
    char line[256];
    while (child_read_line(worker, line, sizeof line)) {
        uint64_t key;
        int64_t first_ns;
        int64_t last_ns;
        if (sscanf(line, "end %" SCNd64 " %" SCNd64, &first_ns, &last_ns) == 2) {
            if (first_ns > 0) {
                totals->first_ns =
                    totals->first_ns && totals->first_ns < first_ns ? totals->first_ns : first_ns;
                totals->last_ns = last_ns > totals->last_ns ? last_ns : totals->last_ns;
            }
            return CAPSTAN_OK;
        }
        if (sscanf(line, "%" SCNu64 " %" SCNd64, &key, &last_ns) == 2 && key < EVENTS) {
            totals->slept_ns[key] += last_ns;
        }
    }
    return CAPSTAN_E_INTERNAL;
}

static double ideal_ns(const totals_t *totals, uint64_t keys)
{
    double sum = 0;
    double longest = 0;
    for (size_t i = 0; i < EVENTS; i++) {
        sum += (double)totals->slept_ns[i];
        longest = fmax(longest, (double)totals->slept_ns[i]);
    }
    return fmax(sum / (double)(keys < WORKERS ? keys : WORKERS), longest);
}

static capstan_err_t run_workers(char *endpoint, uint64_t keys, totals_t *totals)
{
    child_t workers[WORKERS];
    size_t started = 0;
    capstan_err_t err = CAPSTAN_OK;
    for (; err == CAPSTAN_OK && started < WORKERS; started += err == CAPSTAN_OK) {
        char name[32];
        char line[256];
        snprintf(name, sizeof name, "worker-%zu", started);
        char *command[] = {"capstan", "bench", "worker", endpoint, name, NULL};
        err = child_start(command, &workers[started]);
        if (err == CAPSTAN_OK && !child_read_line(&workers[started], line, sizeof line)) {
            child_finish(&workers[started], SIGTERM);
            err = CAPSTAN_E_SYSTEM;
        }
    }
    err = err ? err : publish_all(endpoint, keys);
    for (size_t i = 0; i < started; i++) {
        err = err ? err : hear(&workers[i], totals);
        capstan_err_t ended = child_finish(&workers[i], err == CAPSTAN_OK ? 0 : SIGTERM);
        err = err ? err : ended;
    }
    return err;
}

static double last_ideal_ns; /* of the run before, for its peer */

static capstan_err_t run_keyed(uint64_t keys, bench_figures_t *ret_figures)
{
    char folder[64];
    char endpoint[128];
    char setting[] = "gateway.heartbeat_ms=10000"; /* a worker that sleeps is silent */
    child_t node;
    totals_t *totals = calloc(1, sizeof *totals);
    ENSURE(totals);
    capstan_err_t err = bench_make_folder(folder) ? CAPSTAN_OK : CAPSTAN_E_SYSTEM;
    err = err ? err : child_start_node(folder, setting, &node, endpoint);
    if (err == CAPSTAN_OK) {
        err = run_workers(endpoint, keys, totals);
        capstan_err_t stopped = child_finish(&node, SIGTERM);
        err = err ? err : stopped;
    }
    bench_remove_folder(folder);
    if (err == CAPSTAN_OK) {
        last_ideal_ns = ideal_ns(totals, keys);
        ret_figures->ops_per_s = EVENTS * 1e9 / (double)(totals->last_ns - totals->first_ns);
    } else {
        bench_failed("keyed", "a process did not do its part; start a node by hand to see why");
    }
    free(totals);
    return err;
}

capstan_err_t bench_keyed_ideal(bench_figures_t *ret_figures)
{
    ret_figures->ops_per_s = EVENTS * 1e9 / last_ideal_ns;
    return CAPSTAN_OK;
}

#define KEYED(keys)                                                                                \
    capstan_err_t bench_keyed_##keys(bench_figures_t *ret_figures)                                 \
    {                                                                                              \
        return run_keyed(keys, ret_figures);                                                       \
    }
#include "cli/bench_keyed.def"
#undef KEYED
