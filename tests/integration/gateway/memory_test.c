/* The memory watchdog: strangers that fill memory inside libzmq with messages that never end.
 *
 * A libzmq peer keeps an unfinished message to itself, so these strangers speak ZMTP over plain
 * TCP. They run in this process: its resident memory is what the gateway watches. */
#include "brokers/peer/peer.h"
#include "gateway_kit.h"
#include "runtime/telemetry/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* The sanitizers' allocators keep what was freed. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

enum {
    MIB = 1 << 20,
    HEADROOM = 64 * MIB, /* of gateway.memory_bytes_max above what the process has at its start */
    SLACK = 512 * MIB,   /* what strangers send before a busy machine comes to check */
    EVENTS_MAX = 200000,
    RESETS = 4,
};

static uint64_t resident(void)
{
    char text[128] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    cr_assert_gt(read(fd, text, sizeof text - 1), 0);
    close(fd);
    unsigned long long pages = 0;
    cr_assert_eq(sscanf(text, "%*u %llu", &pages), 1);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void start(void)
{
    kit.settings = (gateway_settings_t){.endpoint = "tcp://127.0.0.1:*",
                                        .sessions_max = 16,
                                        .heartbeat_ms = 1000,
                                        .credit_messages = 1024,
                                        .credit_bytes = 2097152,
                                        .outbox_bytes = 1048576,
                                        .memory_bytes_max = resident() + HEADROOM};
    kit_start();
}

/* --- the log ----------------------------------------------------------------------------------
 */

static int log_begin(void)
{
    int fd = memfd_create("log", MFD_CLOEXEC);
    cr_assert_geq(fd, 0);
    log_redirect(fd, LOG_FORMAT_JSON);
    return fd;
}

static int log_count(int fd, const char *text)
{
    static char lines[1 << 20];
    ssize_t size = pread(fd, lines, sizeof lines - 1, 0);
    cr_assert_geq(size, 0);
    lines[size] = 0;
    int count = 0;
    for (const char *at = lines; (at = strstr(at, text)); at++) {
        count++;
    }
    return count;
}

static bool log_has(int fd, const char *text)
{
    return log_count(fd, text) > 0;
}

/* The log is written by a thread of its own. */
static void log_wait(int fd, const char *text, int times)
{
    for (int i = 0; log_count(fd, text) < times; i++) {
        cr_assert_lt(i, KIT_WAIT_MS);
        poll(NULL, 0, 1);
    }
}

/* --- strangers --------------------------------------------------------------------------------
 */

/* Holds `connections`, and sends frames of `frame` bytes to one after the other, each marked "more
 * follows". What it makes libzmq hold grows by about 1 MiB per round. */
typedef struct stranger {
    size_t frame;
    int connections;
    _Atomic bool stop;
    _Atomic uint64_t cut_off; /* connections that the gateway closed */
    pthread_t thread;
} stranger_t;

/* ZMTP 3.0: the greeting, mechanism NULL; the command READY of a DEALER. -1: nobody listens. */
static int connect_stranger(void)
{
    static const char greeting[64] = "\xff\0\0\0\0\0\0\0\0\x7f\x03\0NULL";
    static const char ready[] = "\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06"
                                "DEALER";
    int fd = kit_tcp_connect();
    if (fd >= 0) {
        struct timeval wait = {.tv_usec = 100000};
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
        /* Whoever was closed meanwhile notices at its first frame. */
        (void)!send(fd, greeting, sizeof greeting, MSG_NOSIGNAL);
        (void)!send(fd, ready, sizeof ready - 1, MSG_NOSIGNAL);
    }
    return fd;
}

/* Frames for about 1 MiB of memory; one of 1 byte costs libzmq 64. */
static void make_frames(size_t frame, buffer_t *out)
{
    size_t count = MIB / (frame < 64 ? 64 : frame);
    for (size_t i = 0; i < count; i++) {
        uint8_t head[9] = {0x03}; /* more, long */
        for (int k = 0; k < 8; k++) {
            head[1 + k] = (uint8_t)(frame >> (56 - 8 * k));
        }
        buffer_append(out, head, sizeof head);
        for (size_t k = 0; k < frame; k++) {
            buffer_append(out, "x", 1);
        }
    }
}

/* All or nothing; a gateway that reads no more is waited for. */
static bool send_all(const stranger_t *self, int fd, slice_t bytes)
{
    size_t at = 0;
    while (at < bytes.size && !atomic_load(&self->stop)) {
        ssize_t sent = send(fd, (const uint8_t *)bytes.data + at, bytes.size - at, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            return false;
        }
        at += sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

static void *attack(void *context)
{
    stranger_t *self = context;
    int fds[256];
    buffer_t frames = {0};
    make_frames(self->frame, &frames);
    memset(fds, -1, sizeof fds);
    for (int i = 0; !atomic_load(&self->stop); i = (i + 1) % self->connections) {
        if (fds[i] < 0) {
            fds[i] = connect_stranger();
        }
        if (fds[i] >= 0 && !send_all(self, fds[i], buffer_slice(&frames))) {
            close(fds[i]);
            fds[i] = -1;
            atomic_fetch_add(&self->cut_off, 1);
        }
        poll(NULL, 0, 10);
    }
    for (int i = 0; i < self->connections; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    buffer_fini(&frames);
    return NULL;
}

/* --- an honest peer ---------------------------------------------------------------------------
 */

typedef struct heard {
    uint64_t stored;
    uint64_t reconnected;
    uint8_t *answers; /* to each event */
} heard_t;

static void on_outcome(void *context, uint64_t token, uint64_t result, capstan_err_t err)
{
    heard_t *heard = context;
    cr_assert_eq(result, 1u, "event %llu: %s", (unsigned long long)token, capstan_err_name(err));
    heard->stored++;
    heard->answers[token]++;
}

static void on_reconnected(void *context)
{
    ((heard_t *)context)->reconnected++;
}

static peer_t *connect_honest(heard_t *heard)
{
    char text[512] = "";
    peer_t *peer = NULL;
    cr_assert_eq(
        peer_connect(&(peer_options_t){.endpoint = kit.arguments.endpoint, .name = "honest"},
                     &(peer_handlers_t){
                         .context = heard, .outcome = on_outcome, .reconnected = on_reconnected},
                     &peer, text, sizeof text),
        CAPSTAN_OK, "%s", text);
    return peer;
}

/* Fails at once when the memory is not bounded: the strangers would fill the machine's. */
static uint64_t publish_until_resets(peer_t *peer)
{
    uint64_t count = 0;
    while (count % 64 != 0 || kit_figure("memory_resets") < RESETS) {
        cr_assert_lt(count, EVENTS_MAX, "only %llu resets",
                     (unsigned long long)kit_figure("memory_resets"));
        publish_t event = {.topic = slice_text("loans"),
                           .key = slice_text("key"),
                           .payload = slice_text("payload")};
        count += peer_publish(peer, &event, count) == CAPSTAN_OK;
        peer_poll(peer, 1000);
        uint64_t now = resident();
        cr_assert_lt(now, kit.settings.memory_bytes_max + SLACK, "%llu are held, maximum %llu",
                     (unsigned long long)now, (unsigned long long)kit.settings.memory_bytes_max);
    }
    return count;
}

Test(gateway_memory, is_bounded_against_messages_without_end_and_no_honest_event_is_lost)
{
    stranger_t strangers[] = {
        {.frame = 1, .connections = 1},
        {.frame = 65536, .connections = 1},
        {.frame = 4096, .connections = 200}, /* each holds little */
    };
    enum { STRANGERS = sizeof strangers / sizeof strangers[0] };
    int log = log_begin();
    start();
    heard_t heard = {.answers = calloc(EVENTS_MAX, 1)};
    peer_t *peer = connect_honest(&heard);
    for (int i = 0; i < STRANGERS; i++) {
        cr_assert_eq(pthread_create(&strangers[i].thread, NULL, attack, &strangers[i]), 0);
    }
    uint64_t count = publish_until_resets(peer);
    for (int i = 0; i < STRANGERS; i++) {
        /* One with many connections finds out only when it comes round to the first. */
        for (int k = 0; atomic_load(&strangers[i].cut_off) == 0; k++) {
            cr_assert_lt(k, 1000, "stranger %d", i);
            peer_poll(peer, 10000);
        }
        atomic_store(&strangers[i].stop, true);
        pthread_join(strangers[i].thread, NULL);
    }
    for (int i = 0; peer_unanswered(peer) > 0; i++) {
        cr_assert_lt(i, 10000);
        peer_poll(peer, 10000);
    }
    cr_assert_eq(heard.stored, count);
    for (uint64_t i = 0; i < count; i++) {
        cr_assert_eq(heard.answers[i], 1, "event %llu", (unsigned long long)i);
    }
    cr_assert_gt(heard.reconnected, 0u);
    /* One that ended before its welcome was read is none to the peer. */
    cr_assert_leq(heard.reconnected, kit_figure("sessions_ended/memory"));
    peer_close(&peer, 0);
    free(heard.answers);
    kit_stop(); /* now the log is written */
    cr_assert(log_has(log, "memory_reset"));
    cr_assert(log_has(log, "resident_bytes"));
#ifndef SANITIZED
    cr_assert(!log_has(log, "memory_remains"), "a reset did not free what strangers filled");
#endif
    close(log);
}

/* --- memory that is not the gateway's ---------------------------------------------------------
 */

static void *hold(size_t size)
{
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    cr_assert_neq(memory, MAP_FAILED);
    return memory;
}

Test(gateway_memory, of_others_ends_the_connections_once_and_again_when_it_has_grown)
{
    enum { BALLAST = 2 * HEADROOM };
    int log = log_begin();
    start();
    size_t quarter = kit.settings.memory_bytes_max / 4;
    void *first = hold(BALLAST);
    kit_wait_figure("memory_resets", 1);
    log_wait(log, "memory_remains", 1); /* it listens again, at the same port */
    raw_peer_t peer;
    raw_open(&peer);
    raw_greet(&peer, "one", 1);
    poll(NULL, 0, 1000); /* ten checks */
    cr_assert_eq(kit_figure("memory_resets"), 1);
    cr_assert_eq(kit_figure("session_count"), 1);
    void *second = hold(quarter + 16 * MIB);
    kit_wait_figure("memory_resets", 2);
    kit_wait_figure("sessions_ended/memory", 1);
    raw_close(&peer);
    log_wait(log, "memory_remains",
             2); /* a hello to the socket that is being closed would be lost */
    raw_open(&peer);
    raw_greet(&peer, "one", 2);
    munmap(first, BALLAST);
    munmap(second, quarter + 16 * MIB);
    raw_close(&peer);
    kit_stop();
    close(log);
}

/* --- the port ---------------------------------------------------------------------------------
 */

static int take_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(kit_port()),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    for (int i = 0; bind(fd, (struct sockaddr *)&address, sizeof address) != 0; i++) {
        cr_assert_lt(i, KIT_WAIT_MS);
        poll(NULL, 0, 1);
    }
    cr_assert_eq(listen(fd, 8), 0);
    return fd;
}

Test(gateway_memory, listener_is_tried_again_until_its_port_is_free)
{
    int log = log_begin();
    start();
    void *ballast = hold(2 * HEADROOM);
    int thief = take_port();
    munmap(ballast, 2 * HEADROOM);
    log_wait(log, "not_listening", 1);
    cr_assert_eq(kit_figure("memory_resets"), 1);
    close(thief);
    raw_peer_t peer;
    raw_open(&peer);
    raw_greet(&peer, "one", 1);
    raw_close(&peer);
    kit_stop();
    close(log);
}
