/* pipeline: a publisher process, a node process and a consumer process, connected over tcp on this
 * machine. Measured from the first publish to the consumption of the last event. Its peer is
 * SQLite alone, writing the same kind of rows. */
#include "cli/bench.h"

#include "brokers/peer/peer.h"
#include "cli/bench_sqlite.h"
#include "cli/options.h"
#include "runtime/base/ensure.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    EVENTS_BATCHED = 2000000,
    EVENTS_SINGLE = 500000,
    KEYS = 1000,
    PAYLOAD_BYTES = 64,
    PARTITIONS = 16,
    CONNECT_US = 10000000,
    REQUEST_US = 10000000,
    SQLITE_SECONDS = 2,
    SILENCE_POLLS_MAX = 100, /* of 0.1 s without an event: something is lost */
};

extern char **environ;

/* --- the processes --------------------------------------------------------------------------- */

static int failed(const char *who, const char *text)
{
    fprintf(stderr, "capstan bench: %s: %s\n", who, text);
    return EXIT_FAILED;
}

typedef struct publisher {
    uint64_t answered;
    uint64_t stored;
} publisher_t;

static void on_outcome(void *context, uint64_t token, uint64_t result, capstan_err_t err)
{
    publisher_t *publisher = context;
    (void)token;
    (void)err;
    publisher->answered++;
    publisher->stored += result == 1;
}

static void publish_one(peer_t *peer, uint64_t number)
{
    char key[16];
    int64_t payload[PAYLOAD_BYTES / sizeof(int64_t)] = {bench_now_ns()};
    publish_t event = {
        .topic = slice_text("bench"),
        .key = {key, (size_t)snprintf(key, sizeof key, "key-%" PRIu64, number % KEYS)},
        .producer = slice_text("bench"),
        .sequence = number / KEYS + 1,
        .payload = {payload, sizeof payload},
    };
    while (peer_publish(peer, &event, number) == CAPSTAN_E_NO_CREDIT) {
        peer_poll(peer, 100000);
    }
}

/* publisher ENDPOINT EVENTS BATCH: prints when it began, in nanoseconds of the monotonic clock. */
int bench_publisher(int argc, char **argv)
{
    ENSURE(argc == 4);
    uint64_t count = strtoull(argv[2], NULL, 10);
    uint32_t batch = (uint32_t)strtoul(argv[3], NULL, 10);
    publisher_t publisher = {0};
    peer_t *peer;
    char text[512] = "";
    capstan_err_t err = peer_connect(
        &(peer_options_t){.endpoint = argv[1], .name = "bench-publisher", .batch_messages = batch},
        &(peer_handlers_t){.context = &publisher, .outcome = on_outcome}, &peer, text, sizeof text);
    if (err != CAPSTAN_OK) {
        return failed("publisher", text);
    }
    printf("%" PRId64 "\n", bench_now_ns());
    for (uint64_t i = 0; i < count; i++) {
        publish_one(peer, i);
        if (i % batch == batch - 1) {
            peer_poll(peer, 0);
        }
    }
    while (publisher.answered < count) {
        peer_poll(peer, 100000);
    }
    peer_close(&peer, 0);
    return publisher.stored == count ? EXIT_DONE : failed("publisher", "an event was not stored");
}

typedef struct consumer {
    peer_t *peer;
    uint64_t count;
    uint64_t *latencies_ns;
    uint64_t capacity;
} consumer_t;

static void on_deliver(void *context, const deliver_t *deliver)
{
    consumer_t *consumer = context;
    codec_list_t list;
    event_t event = {0};
    int64_t now_ns = bench_now_ns();
    ENSURE(codec_list_open(event_wire(), deliver->events, &list) == CAPSTAN_OK);
    while (codec_list_next(&list, &event)) {
        int64_t sent_ns;
        memcpy(&sent_ns, event.payload.data, sizeof sent_ns);
        ENSURE(consumer->count < consumer->capacity);
        consumer->latencies_ns[consumer->count++] = (uint64_t)(now_ns - sent_ns);
    }
    buffer_t through = {0};
    codec_list_writer_t writer = codec_list_begin(&through);
    codec_list_add(&writer, position_wire(),
                   &(position_t){.partition = deliver->partition, .offset = event.offset});
    codec_list_end(&writer);
    peer_acknowledge(consumer->peer, &(acknowledge_t){.subscription = deliver->subscription,
                                                      .through = buffer_slice(&through)});
    buffer_fini(&through);
}

static capstan_err_t subscribe_to_bench(peer_t *peer, char *text, size_t size)
{
    slice_t body;
    capstan_err_t err = peer_request(
        peer, topic_ensure_wire(),
        &(topic_ensure_t){.topic = slice_text("bench"), .partitions = PARTITIONS, .sequence = 1},
        topic_info_wire(), REQUEST_US, &body, text, size);
    return err ? err
               : peer_request(peer, subscribe_wire(),
                              &(subscribe_t){.topic = slice_text("bench"),
                                             .group = slice_text("bench"),
                                             .from = 1},
                              subscribed_wire(), REQUEST_US, &body, text, size);
}

/* consumer ENDPOINT EVENTS: prints `ready`, then when it ended and the quantiles. */
int bench_consumer(int argc, char **argv)
{
    ENSURE(argc == 3);
    consumer_t consumer = {.capacity = strtoull(argv[2], NULL, 10)};
    consumer.latencies_ns = calloc(consumer.capacity, sizeof *consumer.latencies_ns);
    ENSURE(consumer.latencies_ns);
    char text[512] = "";
    capstan_err_t err =
        peer_connect(&(peer_options_t){.endpoint = argv[1], .name = "bench-consumer"},
                     &(peer_handlers_t){.context = &consumer, .deliver = on_deliver},
                     &consumer.peer, text, sizeof text);
    if (err == CAPSTAN_OK) {
        err = subscribe_to_bench(consumer.peer, text, sizeof text);
    }
    if (err != CAPSTAN_OK) {
        return failed("consumer", text);
    }
    printf("ready\n");
    fflush(stdout);
    for (int silent = 0; consumer.count < consumer.capacity && silent < SILENCE_POLLS_MAX;) {
        uint64_t before = consumer.count;
        peer_poll(consumer.peer, 100000);
        silent = consumer.count > before ? 0 : silent + 1;
    }
    if (consumer.count < consumer.capacity) {
        return failed("consumer", "events stopped coming");
    }
    bench_figures_t figures;
    int64_t end_ns = bench_now_ns();
    bench_quantiles(consumer.latencies_ns, consumer.count, &figures);
    printf("%" PRId64 " %f %f %f\n", end_ns, figures.p50_us, figures.p99_us, figures.p999_us);
    peer_close(&consumer.peer, 0);
    free(consumer.latencies_ns);
    return EXIT_DONE;
}

/* --- the parent ------------------------------------------------------------------------------ */

typedef struct child {
    pid_t pid;
    FILE *out;
} child_t;

static capstan_err_t start(char *const argv[], child_t *ret_child)
{
    int ends[2];
    posix_spawn_file_actions_t actions;
    if (pipe(ends) != 0) {
        return CAPSTAN_E_SYSTEM;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", 1, 0);
    int rc = posix_spawn(&ret_child->pid, "/proc/self/exe", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    ret_child->out = fdopen(ends[0], "r");
    return rc == 0 && ret_child->out ? CAPSTAN_OK : CAPSTAN_E_SYSTEM;
}

static bool read_line(child_t *child, char *line, size_t size)
{
    return fgets(line, (int)size, child->out) != NULL;
}

static capstan_err_t finish(child_t *child, int signal_number)
{
    int status = 0;
    if (signal_number > 0) {
        kill(child->pid, signal_number);
    }
    waitpid(child->pid, &status, 0);
    fclose(child->out);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? CAPSTAN_OK : CAPSTAN_E_INTERNAL;
}

static capstan_err_t start_node(const char *folder, child_t *ret_child, char endpoint[128])
{
    char store[256];
    char line[1024];
    snprintf(store, sizeof store, "store.path=%s/capstan.db", folder);
    char *argv[] = {"capstan", "node", "--set", "gateway.endpoint=tcp://127.0.0.1:0",
                    "--set",   store,  NULL};
    capstan_err_t err = start(argv, ret_child);
    if (err != CAPSTAN_OK || !read_line(ret_child, line, sizeof line)) {
        return CAPSTAN_E_SYSTEM;
    }
    json_t *ready = json_loads(line, 0, NULL);
    const char *text = json_string_value(json_object_get(ready, "gateway"));
    snprintf(endpoint, 128, "%s", text ? text : "");
    json_decref(ready);
    return text ? CAPSTAN_OK : CAPSTAN_E_INTERNAL;
}

static capstan_err_t run_peers(char *endpoint, uint64_t count, uint32_t batch,
                               bench_figures_t *ret_figures)
{
    char events[32];
    char size[16];
    char line[256];
    child_t consumer;
    child_t publisher;
    snprintf(events, sizeof events, "%" PRIu64, count);
    snprintf(size, sizeof size, "%" PRIu32, batch);
    char *consume[] = {"capstan", "bench", "consumer", endpoint, events, NULL};
    char *publish[] = {"capstan", "bench", "publisher", endpoint, events, size, NULL};
    capstan_err_t err = start(consume, &consumer);
    if (err != CAPSTAN_OK || !read_line(&consumer, line, sizeof line)) {
        return CAPSTAN_E_SYSTEM;
    }
    err = start(publish, &publisher);
    if (err != CAPSTAN_OK || !read_line(&publisher, line, sizeof line)) {
        finish(&consumer, SIGTERM);
        return CAPSTAN_E_SYSTEM;
    }
    int64_t begin_ns = strtoll(line, NULL, 10);
    int64_t end_ns = 0;
    if (!read_line(&consumer, line, sizeof line) ||
        sscanf(line, "%" SCNd64 " %lf %lf %lf", &end_ns, &ret_figures->p50_us, &ret_figures->p99_us,
               &ret_figures->p999_us) != 4) {
        err = CAPSTAN_E_INTERNAL;
    }
    ret_figures->ops_per_s = (double)count * 1e9 / (double)(end_ns - begin_ns);
    capstan_err_t published = finish(&publisher, 0);
    capstan_err_t consumed = finish(&consumer, 0);
    return err ? err : published ? published : consumed;
}

static bool make_folder(char folder[64])
{
    snprintf(folder, 64, "/tmp/capstan-bench-XXXXXX");
    return mkdtemp(folder) != NULL;
}

static void remove_folder(const char *folder)
{
    static const char *const files[] = {"capstan.db", "capstan.db-wal", "capstan.db-shm",
                                        "capstan.db-lock"};
    char path[256];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    rmdir(folder);
}

static capstan_err_t pipeline(uint64_t count, uint32_t batch, bench_figures_t *ret_figures)
{
    char folder[64];
    char endpoint[128];
    child_t node;
    if (!make_folder(folder)) {
        failed("pipeline", "no temporary folder can be made in /tmp");
        return CAPSTAN_E_SYSTEM;
    }
    capstan_err_t err = start_node(folder, &node, endpoint);
    if (err == CAPSTAN_OK) {
        err = run_peers(endpoint, count, batch, ret_figures);
    }
    capstan_err_t stopped = finish(&node, SIGTERM);
    remove_folder(folder);
    err = err ? err : stopped;
    if (err != CAPSTAN_OK) {
        failed("pipeline", "a process did not do its part; start a node by hand to see why");
    }
    return err;
}

capstan_err_t bench_pipeline_durable(bench_figures_t *ret_figures)
{
    return pipeline(EVENTS_BATCHED, 64, ret_figures);
}

capstan_err_t bench_pipeline_single(bench_figures_t *ret_figures)
{
    return pipeline(EVENTS_SINGLE, 1, ret_figures);
}

capstan_err_t bench_pipeline_peer(bench_figures_t *ret_figures)
{
    char folder[64];
    if (!make_folder(folder)) {
        return CAPSTAN_E_SYSTEM;
    }
    ret_figures->ops_per_s = bare_sqlite_rows_per_s(folder, SQLITE_SECONDS);
    remove_folder(folder);
    return ret_figures->ops_per_s > 0 ? CAPSTAN_OK : CAPSTAN_E_SYSTEM;
}
