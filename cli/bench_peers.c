/* The processes on both ends of a pipeline: one that publishes, one that consumes, and one that
 * stops reading. Each prints a line to its parent when it is under way. */
#include "actors/ordering/partition.h"
#include "brokers/peer/peer.h"
#include "cli/bench.h"
#include "cli/options.h"
#include "runtime/base/ensure.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    KEYS = 1000,
    KEY_STRIDE = 611953, /* a prime: keys follow each other in no order that memory knows */
    KEYS_PER_POISONED = 100,
    KEY_TEXT_MAX = 24, /* key- and a number */
    PAYLOAD_BYTES = 64,
    PARTITIONS = 16,
    REQUEST_US = 10000000,
    HELD_MAX = 65536,        /* events that a consumer may hold */
    SILENCE_POLLS_MAX = 100, /* of 0.1 s without an event: something is lost */
};

typedef struct publisher {
    peer_t *peer;
    uint64_t keys;
    bool numbered; /* the events have sequences */
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

/* What is measured should not be how numbers are printed. Returns its length. */
static size_t write_key(uint64_t number, char text[KEY_TEXT_MAX])
{
    char digits[20];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    memcpy(text, "key-", 4);
    for (size_t i = 0; i < count; i++) {
        text[4 + i] = digits[count - 1 - i];
    }
    return 4 + count;
}

static void publish_one(publisher_t *self, uint64_t number)
{
    char key[KEY_TEXT_MAX];
    uint64_t of_key = number * KEY_STRIDE % self->keys;
    int64_t payload[PAYLOAD_BYTES / sizeof(int64_t)] = {bench_now_ns()};
    publish_t event = {
        .topic = slice_text("bench"),
        .key = {key, write_key(of_key, key)},
        .producer = slice_text("bench"),
        .sequence = self->numbered ? number / self->keys + 1 : 0,
        .payload = {payload, sizeof payload},
    };
    while (peer_publish(self->peer, &event, number) == CAPSTAN_E_NO_CREDIT) {
        peer_poll(self->peer, 100000);
    }
}

/* Works off what comes meanwhile. A publisher that is late does not wait until it has caught up. */
static void await_due(peer_t *peer, int64_t due_ns)
{
    for (int64_t left_ns; (left_ns = due_ns - bench_now_ns()) > 0;) {
        peer_poll(peer, left_ns / 1000 + 1);
    }
}

typedef struct publishing {
    uint64_t first; /* the number of the first event: each key's sequence follows from it */
    uint64_t count;
    uint32_t batch;
    double rate; /* events/s; 0: only credit holds them up */
} publishing_t;

/* Batches are spread evenly when there is a rate. */
static void publish_all(publisher_t *self, int64_t begin_ns, const publishing_t *publishing)
{
    for (uint64_t i = 0; i < publishing->count; i++) {
        publish_one(self, publishing->first + i);
        if (i % publishing->batch == publishing->batch - 1) {
            double due_ns = publishing->rate > 0 ? (double)(i + 1) * 1e9 / publishing->rate : 0;
            peer_poll(self->peer, 0);
            await_due(self->peer, due_ns > 0 ? begin_ns + (int64_t)due_ns : 0);
        }
    }
}

/* publisher ENDPOINT EVENTS BATCH [RATE [KEYS FIRST [NUMBERED]]]: prints when it began, in
 * nanoseconds of the monotonic clock. */
int bench_publisher(int argc, char **argv)
{
    ENSURE(argc == 4 || argc == 5 || argc == 7 || argc == 8);
    publishing_t publishing = {.count = strtoull(argv[2], NULL, 10),
                               .batch = (uint32_t)strtoul(argv[3], NULL, 10),
                               .rate = argc > 4 ? strtod(argv[4], NULL) : 0,
                               .first = argc > 6 ? strtoull(argv[6], NULL, 10) : 0};
    publisher_t publisher = {.keys = argc > 5 ? strtoull(argv[5], NULL, 10) : KEYS,
                             .numbered = argc < 8 || strtoul(argv[7], NULL, 10) == 1};
    ENSURE(publisher.keys > 0);
    char text[512] = "";
    capstan_err_t err = peer_connect(
        &(peer_options_t){
            .endpoint = argv[1], .name = "bench-publisher", .batch_messages = publishing.batch},
        &(peer_handlers_t){.context = &publisher, .outcome = on_outcome}, &publisher.peer, text,
        sizeof text);
    if (err != CAPSTAN_OK) {
        return bench_failed("publisher", text);
    }
    int64_t begin_ns = bench_now_ns();
    printf("%" PRId64 "\n", begin_ns);
    fflush(stdout);
    publish_all(&publisher, begin_ns, &publishing);
    while (publisher.answered < publishing.count) {
        peer_poll(publisher.peer, 100000);
    }
    peer_close(&publisher.peer, 0);
    return publisher.stored == publishing.count
               ? EXIT_DONE
               : bench_failed("publisher", "an event was not stored");
}

typedef struct consumer {
    peer_t *peer;
    bool picky; /* it rejects the events of one key in KEYS_PER_POISONED */
    uint64_t count;
    uint64_t *latencies_ns;
    uint64_t capacity;
} consumer_t;

static uint64_t number_of(slice_t key)
{
    char text[24] = "";
    memcpy(text, key.data, key.size < sizeof text ? key.size : sizeof text - 1);
    return strtoull(text + strlen("key-"), NULL, 10);
}

/* The first event of a poisoned key in these; the others went back with it. */
static bool is_refused(consumer_t *self, const deliver_t *deliver, const event_t *event,
                       bool seen[KEYS / KEYS_PER_POISONED])
{
    uint64_t number = self->picky ? number_of(event->key) : 1;
    if (number % KEYS_PER_POISONED != 0) {
        return false;
    }
    if (!seen[number / KEYS_PER_POISONED]) {
        seen[number / KEYS_PER_POISONED] = true;
        peer_reject(self->peer, &(reject_t){.subscription = deliver->subscription,
                                            .partition = deliver->partition,
                                            .offset = event->offset});
    }
    return true;
}

static void count_event(consumer_t *self, const event_t *event, int64_t now_ns)
{
    int64_t sent_ns;
    memcpy(&sent_ns, event->payload.data, sizeof sent_ns);
    ENSURE(self->count < self->capacity);
    self->latencies_ns[self->count++] = (uint64_t)(now_ns - sent_ns);
}

/* Acknowledges in stretches, which end where an event was rejected. */
static void on_deliver(void *context, const deliver_t *deliver)
{
    consumer_t *consumer = context;
    codec_list_t list;
    event_t event = {0};
    position_t done = {.partition = deliver->partition};
    bool seen[KEYS / KEYS_PER_POISONED] = {false};
    int64_t now_ns = bench_now_ns();
    buffer_t through = {0};
    codec_list_writer_t writer = codec_list_begin(&through);
    ENSURE(codec_list_open(event_wire(), deliver->events, &list) == CAPSTAN_OK);
    while (event_next(&list, &event)) {
        bool refused = is_refused(consumer, deliver, &event, seen);
        if (done.first > 0 && (refused || event.offset < done.offset)) {
            codec_list_add(&writer, position_wire(), &done);
            done.first = 0;
        }
        if (!refused) {
            count_event(consumer, &event, now_ns);
            done.first = done.first > 0 ? done.first : event.offset;
            done.offset = event.offset;
        }
    }
    if (done.first > 0) {
        codec_list_add(&writer, position_wire(), &done);
    }
    codec_list_end(&writer);
    peer_acknowledge(consumer->peer, &(acknowledge_t){.subscription = deliver->subscription,
                                                      .through = buffer_slice(&through)});
    buffer_fini(&through);
}

/* Nobody numbers the events of a topic in memory. */
static capstan_err_t ensure_topic(peer_t *peer, bool in_memory, char *text, size_t size)
{
    slice_t body;
    buffer_t settings = {0};
    codec_list_writer_t writer = codec_list_begin(&settings);
    codec_list_add(&writer, topic_setting_wire(),
                   &(topic_setting_t){.name = slice_text("durability"),
                                      .value = slice_text(in_memory ? "accepted" : "stored")});
    codec_list_end(&writer);
    topic_ensure_t ensure = {.topic = slice_text("bench"),
                             .partitions = PARTITIONS,
                             .sequence = in_memory ? SEQUENCE_ARRIVAL : SEQUENCE_PRODUCER,
                             .settings = buffer_slice(&settings)};
    capstan_err_t err = peer_request(peer, topic_ensure_wire(), &ensure, topic_info_wire(),
                                     REQUEST_US, &body, text, size);
    buffer_fini(&settings);
    return err;
}

/* Each consumer is a group of its own, so that each gets every event. */
static capstan_err_t subscribe_to_bench(peer_t *peer, const char *group, char *text, size_t size)
{
    slice_t body;
    return peer_request(peer, subscribe_wire(),
                        &(subscribe_t){.topic = slice_text("bench"),
                                       .group = slice_text(group),
                                       .from = 2, /* what is published from now on */
                                       .events_max = HELD_MAX,
                                       .key_events_max = HELD_MAX},
                        subscribed_wire(), REQUEST_US, &body, text, size);
}

/* Connects and subscribes under a name; then its parent knows that it is there. */
static capstan_err_t join(consumer_t *consumer, const char *endpoint, const char *name,
                          bool in_memory)
{
    char text[512] = "";
    capstan_err_t err = peer_connect(&(peer_options_t){.endpoint = endpoint, .name = name},
                                     &(peer_handlers_t){.context = consumer, .deliver = on_deliver},
                                     &consumer->peer, text, sizeof text);
    if (err == CAPSTAN_OK) {
        err = ensure_topic(consumer->peer, in_memory, text, sizeof text);
    }
    if (err == CAPSTAN_OK) {
        err = subscribe_to_bench(consumer->peer, name, text, sizeof text);
    }
    if (err != CAPSTAN_OK) {
        bench_failed(name, text);
        return err;
    }
    printf("ready\n");
    fflush(stdout);
    return CAPSTAN_OK;
}

/* consumer|picky|memory ENDPOINT EVENTS NAME: prints `ready`, then when it ended and the quantiles.
 */
int bench_consumer(int argc, char **argv)
{
    ENSURE(argc == 4);
    consumer_t consumer = {.picky = strcmp(argv[0], "picky") == 0,
                           .capacity = strtoull(argv[2], NULL, 10)};
    consumer.latencies_ns = calloc(consumer.capacity, sizeof *consumer.latencies_ns);
    ENSURE(consumer.latencies_ns);
    if (join(&consumer, argv[1], argv[3], strcmp(argv[0], "memory") == 0) != CAPSTAN_OK) {
        return EXIT_FAILED;
    }
    for (int silent = 0; consumer.count < consumer.capacity && silent < SILENCE_POLLS_MAX;) {
        uint64_t before = consumer.count;
        peer_poll(consumer.peer, 100000);
        silent = consumer.count > before ? 0 : silent + 1;
    }
    if (consumer.count < consumer.capacity) {
        return bench_failed(argv[3], "events stopped coming");
    }
    bench_figures_t figures;
    int64_t end_ns = bench_now_ns();
    bench_quantiles(consumer.latencies_ns, consumer.count, &figures);
    printf("%" PRId64 " %f %f %f\n", end_ns, figures.p50_us, figures.p99_us, figures.p999_us);
    peer_close(&consumer.peer, 0);
    free(consumer.latencies_ns);
    return EXIT_DONE;
}

/* stuck ENDPOINT NAME: prints `ready`, and from then on reads nothing, until a signal ends it. */
int bench_stuck(int argc, char **argv)
{
    ENSURE(argc == 3);
    consumer_t consumer = {0};
    if (join(&consumer, argv[1], argv[2], false) != CAPSTAN_OK) {
        return EXIT_FAILED;
    }
    pause();
    return EXIT_FAILED;
}
