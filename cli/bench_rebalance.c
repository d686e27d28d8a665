/* rebalance: a group whose members come and go, one change per second, while events flow: one
 * joins, one is killed, one joins, one leaves. Members are processes and write what they see into
 * memory that all share, which outlives the one that is killed:
 *
 *   per key: the newest sequence delivered, the member that has it, the newest acknowledged
 *
 * A delivery that breaks the order of its key, or gives a key to two members, fails the benchmark.
 * The figures are pauses: from the loss of a member to the delivery of what it held to another. */
#include "cli/bench.h"

#include "brokers/peer/peer.h"
#include "cli/bench_processes.h"
#include "cli/options.h"
#include "runtime/base/ensure.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    KEYS = 100000,
    RATE = 20000,
    CHANGES = 20, /* one per second */
    SECONDS = CHANGES + 2,
    EVENTS = RATE * SECONDS,
    MEMBERS = 4, /* to begin with */
    MEMBERS_MAX = MEMBERS + CHANGES,
    HELD_MAX = 64,
    WORK_NS = 2000000, /* that a member holds what it got, before it acknowledges */
    PAUSES_MAX = MEMBERS_MAX * HELD_MAX * 2,
    PARTITIONS = 16,
    REQUEST_US = 10000000,
    LAST_NS = 1000000000, /* for each of the last events to come */
};

/* One member after the other writes to a key: the messages between them order what they do. */
typedef struct seen_key {
    _Atomic uint32_t delivered;
    _Atomic uint32_t acknowledged;
    _Atomic uint32_t member;
} seen_key_t;

typedef struct seen {
    _Atomic uint64_t events; /* delivered for the first time */
    _Atomic uint64_t faults;
    _Atomic uint64_t pauses;
    _Atomic int64_t lost_ns[MEMBERS_MAX]; /* when a member was told to go, or killed */
    uint64_t pauses_ns[PAUSES_MAX];
    uint64_t latencies_ns[EVENTS];
    seen_key_t keys[KEYS];
} seen_t;

static seen_t *map_seen(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ENSURE(fd >= 0 && ftruncate(fd, sizeof(seen_t)) == 0);
    void *memory = mmap(NULL, sizeof(seen_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    ENSURE(memory != MAP_FAILED);
    return memory;
}

/* --- a member -------------------------------------------------------------------------------- */

typedef struct held {
    uint64_t partition;
    uint64_t offset;
    uint32_t sequence;
    uint32_t key;
} held_t;

typedef struct rebalanced {
    peer_t *peer;
    seen_t *seen;
    uint32_t index;
    uint64_t subscription;
    held_t held[HELD_MAX];
    size_t count;
} rebalanced_t;

static volatile sig_atomic_t told_to_leave;

static void on_signal(int number)
{
    (void)number;
    told_to_leave = 1;
}

/* Delivered again: only what a member had when it was lost may be. */
static void see_again(rebalanced_t *self, const seen_key_t *key, int64_t now_ns)
{
    uint32_t before = atomic_load(&key->member);
    int64_t lost_ns = atomic_load(&self->seen->lost_ns[before]);
    if (before == self->index || lost_ns == 0) {
        atomic_fetch_add(&self->seen->faults, 1);
        return;
    }
    uint64_t place = atomic_fetch_add(&self->seen->pauses, 1);
    if (place < PAUSES_MAX) {
        self->seen->pauses_ns[place] = (uint64_t)(now_ns - lost_ns);
    }
}

static void see(rebalanced_t *self, seen_key_t *key, const event_t *event, int64_t now_ns)
{
    uint32_t newest = atomic_load(&key->delivered);
    if (event->sequence == newest) {
        see_again(self, key, now_ns);
    } else if (event->sequence == newest + 1 && atomic_load(&key->acknowledged) == newest) {
        int64_t sent_ns;
        memcpy(&sent_ns, event->payload.data, sizeof sent_ns);
        uint64_t place = atomic_fetch_add(&self->seen->events, 1);
        if (place < EVENTS) { /* one is counted twice when its member is killed in between */
            self->seen->latencies_ns[place] = (uint64_t)(now_ns - sent_ns);
        }
    } else {
        atomic_fetch_add(&self->seen->faults, 1);
    }
    atomic_store(&key->member, self->index);
    atomic_store(&key->delivered, (uint32_t)event->sequence);
}

static uint32_t key_of(slice_t name)
{
    char text[24] = "";
    memcpy(text, name.data, name.size < sizeof text ? name.size : sizeof text - 1);
    uint64_t key = strtoull(text + strlen("key-"), NULL, 10);
    ENSURE(key < KEYS);
    return (uint32_t)key;
}

static void on_deliver(void *context, const deliver_t *deliver)
{
    rebalanced_t *self = context;
    codec_list_t list;
    event_t event;
    int64_t now_ns = bench_now_ns();
    self->subscription = deliver->subscription;
    ENSURE(codec_list_open(event_wire(), deliver->events, &list) == CAPSTAN_OK);
    while (codec_list_next(&list, &event)) {
        held_t held = {.partition = deliver->partition,
                       .offset = event.offset,
                       .sequence = (uint32_t)event.sequence,
                       .key = key_of(event.key)};
        ENSURE(self->count < HELD_MAX);
        self->held[self->count++] = held;
        see(self, &self->seen->keys[held.key], &event, now_ns);
    }
}

static void work(rebalanced_t *self)
{
    struct timespec pause = {.tv_nsec = WORK_NS};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    if (told_to_leave) {
        return; /* what it holds goes back */
    }
    buffer_t through = {0};
    codec_list_writer_t writer = codec_list_begin(&through);
    for (size_t i = 0; i < self->count; i++) {
        const held_t *held = &self->held[i];
        atomic_store(&self->seen->keys[held->key].acknowledged, held->sequence);
        codec_list_add(&writer, position_wire(),
                       &(position_t){.partition = held->partition,
                                     .first = held->offset,
                                     .offset = held->offset});
    }
    codec_list_end(&writer);
    peer_acknowledge(self->peer, &(acknowledge_t){.subscription = self->subscription,
                                                  .through = buffer_slice(&through)});
    buffer_fini(&through);
    self->count = 0;
}

static capstan_err_t subscribe(peer_t *peer, char *text, size_t size)
{
    slice_t body;
    capstan_err_t err = peer_request(
        peer, topic_ensure_wire(),
        &(topic_ensure_t){.topic = slice_text("bench"), .partitions = PARTITIONS, .sequence = 1},
        topic_info_wire(), REQUEST_US, &body, text, size);
    return err ? err
               : peer_request(peer, subscribe_wire(),
                              &(subscribe_t){.topic = slice_text("bench"),
                                             .group = slice_text("members"),
                                             .events_max = HELD_MAX,
                                             .key_events_max = 1},
                              subscribed_wire(), REQUEST_US, &body, text, size);
}

/* rebalanced ENDPOINT INDEX PATH: prints `ready`, then works until a signal tells it to leave. */
int bench_rebalanced(int argc, char **argv)
{
    ENSURE(argc == 4);
    static rebalanced_t self;
    char text[512] = "";
    char name[32];
    self.index = (uint32_t)strtoul(argv[2], NULL, 10);
    self.seen = map_seen(argv[3]);
    snprintf(name, sizeof name, "member-%" PRIu32, self.index);
    ENSURE(self.index < MEMBERS_MAX && signal(SIGTERM, on_signal) != SIG_ERR);
    capstan_err_t err = peer_connect(&(peer_options_t){.endpoint = argv[1], .name = name},
                                     &(peer_handlers_t){.context = &self, .deliver = on_deliver},
                                     &self.peer, text, sizeof text);
    err = err ? err : subscribe(self.peer, text, sizeof text);
    if (err != CAPSTAN_OK) {
        return bench_failed(name, text);
    }
    printf("ready\n");
    fflush(stdout);
    while (!told_to_leave) {
        peer_poll(self.peer, 10000);
        if (self.count > 0) {
            work(&self);
        }
    }
    peer_close(&self.peer, 0);
    return EXIT_DONE;
}

/* --- the parent ------------------------------------------------------------------------------ */

typedef struct rebalancing {
    char *endpoint;
    char path[128];
    seen_t *seen;
    child_t members[MEMBERS_MAX];
    uint32_t first; /* the oldest that is there */
    uint32_t next;
} rebalancing_t;

static capstan_err_t member_joins(rebalancing_t *self)
{
    char index[16];
    char line[64];
    child_t *member = &self->members[self->next];
    snprintf(index, sizeof index, "%" PRIu32, self->next);
    char *command[] = {"capstan", "bench", "rebalanced", self->endpoint, index, self->path, NULL};
    capstan_err_t err = child_start(command, member);
    if (err == CAPSTAN_OK && !child_read_line(member, line, sizeof line)) {
        child_finish(member, SIGKILL);
        err = CAPSTAN_E_SYSTEM;
    }
    self->next += err == CAPSTAN_OK;
    return err;
}

static void member_goes(rebalancing_t *self, int signal_number)
{
    atomic_store(&self->seen->lost_ns[self->first], bench_now_ns());
    (void)!child_finish(&self->members[self->first], signal_number);
    self->first++;
}

static capstan_err_t change(rebalancing_t *self, uint32_t number)
{
    if (number % 2 == 0) {
        return member_joins(self);
    }
    member_goes(self, number % 4 == 1 ? SIGKILL : SIGTERM);
    return CAPSTAN_OK;
}

static void sleep_until(int64_t due_ns)
{
    struct timespec due = {.tv_sec = due_ns / 1000000000, .tv_nsec = due_ns % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
}

static uint64_t delivered_of(const seen_t *seen)
{
    uint64_t count = 0;
    for (size_t i = 0; i < KEYS; i++) {
        count += atomic_load(&seen->keys[i].delivered);
    }
    return count;
}

/* All have been seen, or a fault, after which no count is right; or nothing came for too long. */
static capstan_err_t await_all(const seen_t *seen)
{
    uint64_t before = 0;
    for (uint64_t now; (now = delivered_of(seen)) < EVENTS && atomic_load(&seen->faults) == 0;
         before = now) {
        if (now == before) {
            bench_failed("rebalance", "events stopped coming");
            return CAPSTAN_E_TIMEOUT;
        }
        sleep_until(bench_now_ns() + LAST_NS);
    }
    return CAPSTAN_OK;
}

static capstan_err_t change_while_events_flow(rebalancing_t *self, bool changes)
{
    char events[16];
    char rate[16];
    char keys[16];
    char line[64];
    child_t publisher;
    snprintf(events, sizeof events, "%d", EVENTS);
    snprintf(rate, sizeof rate, "%d", RATE);
    snprintf(keys, sizeof keys, "%d", KEYS);
    char *publish[] = {"capstan", "bench", "publisher", self->endpoint, events, "16", rate,
                       keys,      "0",     NULL};
    capstan_err_t err = child_start(publish, &publisher);
    if (err != CAPSTAN_OK) {
        return err;
    }
    int64_t begin_ns = child_read_line(&publisher, line, sizeof line) ? bench_now_ns() : 0;
    err = begin_ns > 0 ? CAPSTAN_OK : CAPSTAN_E_SYSTEM;
    for (uint32_t i = 0; err == CAPSTAN_OK && changes && i < CHANGES; i++) {
        sleep_until(begin_ns + (int64_t)(i + 1) * 1000000000);
        err = change(self, i);
    }
    capstan_err_t published = child_finish(&publisher, err == CAPSTAN_OK ? 0 : SIGTERM);
    err = err ? err : published;
    return err ? err : await_all(self->seen);
}

/* What the members saw. The keys that stayed are told on stderr: they have no column. */
static capstan_err_t judge(seen_t *seen, bool changes, bench_figures_t *ret_figures)
{
    uint64_t pauses = atomic_load(&seen->pauses);
    uint64_t count = atomic_load(&seen->events);
    bench_figures_t all;
    if (atomic_load(&seen->faults) > 0) {
        bench_failed("rebalance", "a member got an event against the order of its key");
        return CAPSTAN_E_INTERNAL;
    }
    bench_quantiles(seen->latencies_ns, count < EVENTS ? count : EVENTS, &all);
    *ret_figures = all;
    if (changes && (pauses == 0 || pauses > PAUSES_MAX)) {
        bench_failed("rebalance", "the members that were lost held nothing, or too much");
        return CAPSTAN_E_INTERNAL;
    }
    if (changes) {
        bench_quantiles(seen->pauses_ns, pauses, ret_figures);
        fprintf(stderr,
                "rebalance kill: %" PRIu64 " events were delivered again; of all events, which "
                "took %.1f ms from publish to delivery, one in 100 took more than %.1f ms\n",
                pauses, all.p50_us / 1e3, all.p99_us / 1e3);
    }
    return CAPSTAN_OK;
}

static capstan_err_t run_members(rebalancing_t *self, bool changes, bench_figures_t *ret_figures)
{
    capstan_err_t err = CAPSTAN_OK;
    for (uint32_t i = 0; err == CAPSTAN_OK && i < MEMBERS; i++) {
        err = member_joins(self);
    }
    int64_t begin_ns = bench_now_ns();
    err = err ? err : change_while_events_flow(self, changes);
    int64_t took_ns = bench_now_ns() - begin_ns;
    while (self->first < self->next) {
        member_goes(self, err == CAPSTAN_OK ? SIGTERM : SIGKILL);
    }
    err = err ? err : judge(self->seen, changes, ret_figures);
    ret_figures->ops_per_s = EVENTS * 1e9 / (double)took_ns;
    return err;
}

static capstan_err_t run_rebalance(bool changes, bench_figures_t *ret_figures)
{
    char folder[64];
    char endpoint[128];
    char setting[] = "ordering.group_attempts_max=0"; /* what a lost member held is never parked */
    child_t node;
    if (!bench_make_folder(folder)) {
        bench_failed("rebalance", "no temporary folder can be made in /tmp");
        return CAPSTAN_E_SYSTEM;
    }
    static rebalancing_t self;
    self = (rebalancing_t){.endpoint = endpoint};
    snprintf(self.path, sizeof self.path, "%s/seen", folder);
    capstan_err_t err = child_start_node(folder, setting, &node, endpoint);
    if (err == CAPSTAN_OK) {
        self.seen = map_seen(self.path);
        err = run_members(&self, changes, ret_figures);
        munmap(self.seen, sizeof *self.seen);
        unlink(self.path);
    }
    capstan_err_t stopped = child_finish(&node, SIGTERM);
    bench_remove_folder(folder);
    err = err ? err : stopped;
    if (err != CAPSTAN_OK) {
        bench_failed("rebalance", "a process did not do its part; start a node by hand to see why");
    }
    return err;
}

capstan_err_t bench_rebalance_kill(bench_figures_t *ret_figures)
{
    return run_rebalance(true, ret_figures);
}

capstan_err_t bench_rebalance_quiet(bench_figures_t *ret_figures)
{
    return run_rebalance(false, ret_figures);
}
