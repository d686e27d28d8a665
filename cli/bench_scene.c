#include "cli/bench_scene.h"

#include "cli/bench.h"
#include "runtime/base/ensure.h"
#include "runtime/base/thread.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CLIENTS_MAX = 512,
    BACKLOG = 4096, /* of an outage: a minute of attempts to connect */
    WAIT_US = 10000000,
};

/* --- the stub -------------------------------------------------------------------------------- */

typedef struct client {
    int fd;
    bool entered;      /* it has said who it is */
    bool silent;       /* nobody reads what it says any more */
    int64_t answer_ns; /* 0: it has its answer, or has not said anything */
} client_t;

struct pool_stub {
    pthread_t thread;
    int listener;
    int port;
    int64_t delay_ns;
    _Atomic bool over;
    _Atomic bool swallows;
    client_t clients[CLIENTS_MAX];
    size_t count;
};

/* AuthenticationOk, and ReadyForQuery: idle. */
static const uint8_t welcome[] = {'R', 0, 0, 0, 8, 0, 0, 0, 0, 'Z', 0, 0, 0, 5, 'I'};
/* CommandComplete, and ReadyForQuery: idle. */
static const uint8_t done[] = {'C', 0,   0,   0,    13,  'S', 'E', 'L', 'E', 'C',
                               'T', ' ', '0', '\0', 'Z', 0,   0,   0,   5,   'I'};

/* False: nobody is there to be accepted. */
static bool stub_accept(pool_stub_t *self)
{
    int fd = accept(self->listener, NULL, NULL);
    if (fd >= 0 && self->count < CLIENTS_MAX) {
        self->clients[self->count++] = (client_t){.fd = fd};
    } else if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

/* False: it has gone. */
static bool stub_serve(const pool_stub_t *self, client_t *client, short revents)
{
    uint8_t bytes[1024];
    if (revents != 0) {
        if (recv(client->fd, bytes, sizeof bytes, MSG_DONTWAIT) <= 0) {
            return false;
        }
        client->answer_ns = bench_now_ns() + (client->entered ? 0 : self->delay_ns);
    }
    if (client->answer_ns > 0 && client->answer_ns <= bench_now_ns()) {
        const uint8_t *answer = client->entered ? done : welcome;
        size_t size = client->entered ? sizeof done : sizeof welcome;
        client->answer_ns = 0;
        client->entered = true;
        return send(client->fd, answer, size, MSG_NOSIGNAL) == (ssize_t)size;
    }
    return true;
}

static void stub_forget(pool_stub_t *self, size_t place)
{
    close(self->clients[place].fd);
    self->clients[place] = self->clients[--self->count];
}

/* Who has gone meanwhile is not kept: many have, in a long outage. */
static void stub_silence_all(pool_stub_t *self)
{
    do {
        for (size_t i = self->count; i-- > 0;) {
            client_t *client = &self->clients[i];
            struct pollfd end = {.fd = client->fd, .events = POLLRDHUP};
            client->silent = true;
            if (poll(&end, 1, 0) > 0) {
                stub_forget(self, i);
            }
        }
    } while (stub_accept(self));
}

/* An outage; ends with it. */
static void stub_swallow(pool_stub_t *self)
{
    while (atomic_load(&self->swallows) && !atomic_load(&self->over)) {
        (void)poll(NULL, 0, 1);
    }
    stub_silence_all(self);
}

static void stub_turn(pool_stub_t *self)
{
    struct pollfd fds[CLIENTS_MAX + 1];
    size_t count = self->count;
    bool waiting = false;
    fds[0] = (struct pollfd){.fd = self->listener, .events = POLLIN};
    for (size_t i = 0; i < count; i++) {
        const client_t *client = &self->clients[i];
        fds[i + 1] = (struct pollfd){.fd = client->silent ? -1 : client->fd, .events = POLLIN};
        waiting = waiting || client->answer_ns > 0;
    }
    (void)poll(fds, count + 1, waiting ? 1 : 20);
    if (atomic_load(&self->swallows)) {
        stub_swallow(self);
        return;
    }
    for (size_t i = count; i-- > 0;) {
        if (!self->clients[i].silent && !stub_serve(self, &self->clients[i], fds[i + 1].revents)) {
            stub_forget(self, i);
        }
    }
    if (fds[0].revents) {
        (void)stub_accept(self);
    }
}

static void *stub_run(void *argument)
{
    pool_stub_t *self = argument;
    while (!atomic_load(&self->over)) {
        stub_turn(self);
    }
    return NULL;
}

static pool_stub_t *stub_start(int64_t delay_ms)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    pool_stub_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    self->delay_ns = delay_ms * 1000000;
    ENSURE(bind(self->listener, (struct sockaddr *)&address, size) == 0 &&
           listen(self->listener, BACKLOG) == 0 &&
           getsockname(self->listener, (struct sockaddr *)&address, &size) == 0);
    self->port = ntohs(address.sin_port);
    ENSURE(thread_start(&(thread_options_t){.name = "stub", .run = stub_run, .argument = self},
                        &self->thread));
    return self;
}

static void stub_stop(pool_stub_t *self)
{
    atomic_store(&self->over, true);
    pthread_join(self->thread, NULL);
    while (self->count > 0) {
        stub_forget(self, self->count - 1);
    }
    close(self->listener);
    free(self);
}

/* --- a pool before it ------------------------------------------------------------------------ */

capstan_err_t pool_scene_open(pool_scene_t *self, const pool_scene_options_t *options)
{
    char conninfo[128];
    char text[256] = "";
    self->stub = stub_start(options->connect_ms);
    snprintf(conninfo, sizeof conninfo,
             "host=127.0.0.1 port=%d user=bench sslmode=disable gssencmode=disable",
             self->stub->port);
    capstan_err_t err = capstan_node_new(&(capstan_node_options_t){.log_fd = -1}, &self->node);
    if (err == CAPSTAN_OK) {
        capstan_pool_options_t pool = {.name = "bench",
                                       .conninfo = conninfo,
                                       .size = options->size,
                                       .idle_min = options->idle_min,
                                       .first_us = WAIT_US};
        err = capstan_pool_open(self->node, &pool, &self->pool, text, sizeof text);
    }
    if (err != CAPSTAN_OK) {
        bench_failed("pool", text[0] ? text : capstan_err_text(err));
    }
    return err;
}

capstan_err_t pool_scene_close(pool_scene_t *self, capstan_err_t err)
{
    capstan_err_t closed = capstan_pool_close(&self->pool, WAIT_US);
    capstan_err_t stopped =
        self->node ? capstan_node_stop(&self->node, WAIT_US, NULL, NULL) : CAPSTAN_OK;
    stub_stop(self->stub);
    return err ? err : closed ? closed : stopped;
}

void pool_scene_swallow(pool_scene_t *self)
{
    atomic_store(&self->stub->swallows, true);
}

void pool_scene_pass(pool_scene_t *self)
{
    atomic_store(&self->stub->swallows, false);
}
