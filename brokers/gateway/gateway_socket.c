/* The gateway's ROUTER and its monitor: options, bytes and descriptors; no protocol. */
#include "brokers/gateway/endpoint.h"
#include "brokers/gateway/session_link.h"
#include "runtime/base/ensure.h"
#include "runtime/base/scarcity.h"
#include "runtime/context.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

enum {
    /* Both count messages per peer, not bytes; byte budgets are ours. What waits for a peer is
     * kept in our queue, so libzmq gets only what keeps its I/O thread busy: 64 batches. */
    SEND_HWM = 64,
    /* A greeted peer is bounded by its credit, and strangers are answered faster than they can
     * send; 1,024 lets peers that send single events run ahead of a busy turn. */
    RECEIVE_HWM = 1024,
    /* A stranger who connects and says nothing holds a descriptor for this long. */
    HANDSHAKE_MS = 2000,
    BACKLOG = 512,
    /* At the end of the node, for what has been sent and is not yet on the wire. */
    LAST_WORDS_MS = 200,
};

static capstan_err_t set(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0 ? CAPSTAN_OK
                                                                     : CAPSTAN_E_SYSTEM;
}

static capstan_err_t configure(gateway_t *self, bool ipv6)
{
    int heartbeat_ms = (int)self->settings->heartbeat_ms;
    const struct {
        int option;
        int value;
    } options[] = {
        {ZMQ_ROUTER_MANDATORY, 1},
        {ZMQ_LINGER, 0},
        {ZMQ_SNDHWM, SEND_HWM},
        {ZMQ_RCVHWM, RECEIVE_HWM},
        {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS},
        {ZMQ_HEARTBEAT_IVL, heartbeat_ms},
        {ZMQ_HEARTBEAT_TIMEOUT, 3 * heartbeat_ms},
        {ZMQ_BACKLOG, BACKLOG},
        {ZMQ_IPV6, ipv6},
    };
    capstan_err_t err = CAPSTAN_OK;
    for (size_t i = 0; i < sizeof options / sizeof options[0] && err == CAPSTAN_OK; i++) {
        err = set(self->router, options[i].option, options[i].value);
    }
    int64_t bytes_max = WIRE_BATCH_BYTES_MAX;
    if (err == CAPSTAN_OK &&
        zmq_setsockopt(self->router, ZMQ_MAXMSGSIZE, &bytes_max, sizeof bytes_max) != 0) {
        err = CAPSTAN_E_SYSTEM;
    }
    return err;
}

/* The monitor is an inproc PAIR; its name has to be unique in the context. */
static capstan_err_t open_monitor(gateway_t *self)
{
    static _Atomic uint32_t number;
    char name[64];
    snprintf(name, sizeof name, "inproc://gateway-monitor-%u",
             atomic_fetch_add_explicit(&number, 1, memory_order_relaxed));
    if (zmq_socket_monitor(self->router, name, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED) != 0) {
        return descriptor_error(zmq_errno());
    }
    capstan_err_t err =
        context_socket(node_zmq(capstan_actor_node(self->actor)), ZMQ_PAIR, &self->monitor);
    if (err == CAPSTAN_OK) {
        err = set(self->monitor, ZMQ_LINGER, 0);
    }
    /* Unbounded: a full monitor would block libzmq's I/O thread; it holds a few bytes per
     * connection that came or went since the last turn. */
    if (err == CAPSTAN_OK) {
        err = set(self->monitor, ZMQ_RCVHWM, 0);
    }
    if (err == CAPSTAN_OK && zmq_connect(self->monitor, name) != 0) {
        err = CAPSTAN_E_SYSTEM;
    }
    return err;
}

/* libzmq 4.3.4 lists the network interfaces to find an address among them, and aborts when it gets
 * no descriptor for that (ip_resolver.cpp); the other one is the listener's. */
static capstan_err_t bind_with_room(gateway_t *self, const char *bind_to)
{
    capstan_err_t err = descriptors_check(2);
    if (err == CAPSTAN_OK && zmq_bind(self->router, bind_to) != 0) {
        err = zmq_errno() == EADDRINUSE ? CAPSTAN_E_ADDRESS_IN_USE : descriptor_error(zmq_errno());
    }
    return err;
}

static capstan_err_t bind_endpoint(gateway_t *self, const char *endpoint, const char *bind_to,
                                   char *ret_text, size_t text_size)
{
    capstan_err_t err = bind_with_room(self, bind_to);
    if (err != CAPSTAN_OK) {
        const char *why =
            err == CAPSTAN_E_SYSTEM ? zmq_strerror(zmq_errno()) : capstan_err_text(err);
        snprintf(ret_text, text_size, "cannot bind %.200s: %s. %s", endpoint, why,
                 capstan_err_remedy(err));
        return err;
    }
    size_t size = sizeof self->endpoint;
    ENSURE(zmq_getsockopt(self->router, ZMQ_LAST_ENDPOINT, self->endpoint, &size) == 0);
    return CAPSTAN_OK;
}

capstan_err_t gateway_socket_open(gateway_t *self, const char *endpoint, char *ret_text,
                                  size_t text_size)
{
    char bind_to[ENDPOINT_SIZE];
    bool ipv6 = false;
    capstan_err_t err = endpoint_check(endpoint, bind_to, &ipv6, ret_text, text_size);
    if (err != CAPSTAN_OK) {
        return err;
    }
    err = context_socket(node_zmq(capstan_actor_node(self->actor)), ZMQ_ROUTER, &self->router);
    if (err == CAPSTAN_OK) {
        err = configure(self, ipv6);
    }
    if (err == CAPSTAN_OK) {
        err = open_monitor(self);
    }
    if (err == CAPSTAN_OK) {
        err = actor_watch_socket(self->actor, self->router, self->router);
    }
    if (err == CAPSTAN_OK) {
        err = actor_watch_socket(self->actor, self->monitor, self->monitor);
    }
    if (err != CAPSTAN_OK) {
        snprintf(ret_text, text_size, "cannot set up the socket: %s. %s", capstan_err_text(err),
                 capstan_err_remedy(err));
        return err;
    }
    return bind_endpoint(self, endpoint, bind_to, ret_text, text_size);
}

void gateway_socket_close(gateway_t *self)
{
    if (self->router) {
        capstan_unwatch(self->actor, self->router);
        (void)zmq_socket_monitor(self->router, NULL, 0);
    }
    if (self->monitor) {
        capstan_unwatch(self->actor, self->monitor);
        zmq_close(self->monitor);
        self->monitor = NULL;
    }
    if (self->router) {
        zmq_close(self->router);
        self->router = NULL;
    }
    for (size_t i = 0; i < self->connection_count; i++) {
        self->connections[i] = (connection_t){0};
    }
}

void gateway_socket_stop_intake(gateway_t *self)
{
    if (self->router) {
        capstan_unwatch(self->actor, self->router);
        (void)!set(self->router, ZMQ_LINGER, LAST_WORDS_MS);
    }
}

size_t gateway_socket_connections(const gateway_t *self)
{
    size_t count = 0;
    for (size_t i = 0; i < self->connection_count; i++) {
        count += self->connections[i].alive;
    }
    return count;
}

/* Reads the parts behind `part` away; none of them is kept. */
static void drain_parts(gateway_t *self, zmq_msg_t *part)
{
    while (zmq_msg_more(part)) {
        if (zmq_msg_recv(part, self->router, ZMQ_DONTWAIT) < 0 && errno != EINTR) {
            return;
        }
    }
}

bool gateway_socket_receive(gateway_t *self, origin_t *ret_origin, zmq_msg_t *ret_batch,
                            bool *ret_frames)
{
    zmq_msg_init(ret_batch);
    int size;
    do {
        size = zmq_msg_recv(ret_batch, self->router, ZMQ_DONTWAIT);
    } while (size < 0 && errno == EINTR);
    if (size < 0) {
        zmq_msg_close(ret_batch);
        return false;
    }
    ENSURE(size <= ROUTING_BYTES_MAX);
    ret_origin->routing_size = (uint8_t)size;
    memcpy(ret_origin->routing, zmq_msg_data(ret_batch), (size_t)size);
    ret_origin->fd = -1;
    *ret_frames = false;
    if (!zmq_msg_more(ret_batch) || zmq_msg_recv(ret_batch, self->router, ZMQ_DONTWAIT) < 0) {
        return true;
    }
    ret_origin->fd = zmq_msg_get(ret_batch, ZMQ_SRCFD);
    *ret_frames = !zmq_msg_more(ret_batch);
    drain_parts(self, ret_batch);
    return true;
}

capstan_err_t gateway_socket_send(gateway_t *self, const origin_t *to, slice_t batch)
{
    if (zmq_send(self->router, to->routing, to->routing_size, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) {
        return errno == EAGAIN ? CAPSTAN_E_MAILBOX_FULL : CAPSTAN_E_GONE;
    }
    /* Behind its routing id a part is taken whole; a peer that vanished in between loses it. */
    if (zmq_send(self->router, batch.data, batch.size, ZMQ_DONTWAIT) < 0) {
        return CAPSTAN_E_GONE;
    }
    METRIC_ADD(gateway, batches_out, 1);
    METRIC_ADD(gateway, bytes_out, batch.size);
    return CAPSTAN_OK;
}

connection_t *gateway_connection(gateway_t *self, int fd)
{
    if (fd < 0 || (size_t)fd >= self->connection_count) {
        return NULL;
    }
    return &self->connections[fd];
}

static void accepted(gateway_t *self, int fd)
{
    if ((size_t)fd >= self->connection_count) {
        size_t count = ((size_t)fd + 64) & ~(size_t)63;
        self->connections = realloc(self->connections, count * sizeof *self->connections);
        ENSURE(self->connections);
        memset(self->connections + self->connection_count, 0,
               (count - self->connection_count) * sizeof *self->connections);
        self->connection_count = count;
    }
    connection_t *connection = &self->connections[fd];
    if (connection->session) {
        link_end(connection->session, END_REASON_disconnected);
    }
    connection->alive = true;
}

static void disconnected(gateway_t *self, int fd)
{
    connection_t *connection = gateway_connection(self, fd);
    if (!connection) {
        return;
    }
    connection->alive = false;
    if (connection->session) {
        link_end(connection->session, END_REASON_disconnected);
    }
}

/* An event is [number 16 bits, value 32 bits][address]. */
static bool next_event(gateway_t *self, uint16_t *ret_event, int32_t *ret_value)
{
    uint8_t frame[6];
    uint8_t address[256];
    int size = zmq_recv(self->monitor, frame, sizeof frame, ZMQ_DONTWAIT);
    if (size != sizeof frame) {
        return false;
    }
    (void)!zmq_recv(self->monitor, address, sizeof address, ZMQ_DONTWAIT);
    memcpy(ret_event, frame, sizeof *ret_event);
    memcpy(ret_value, frame + sizeof *ret_event, sizeof *ret_value);
    return true;
}

void gateway_socket_events(gateway_t *self)
{
    uint16_t event;
    int32_t fd;
    while (next_event(self, &event, &fd)) {
        if (fd < 0) {
            continue;
        }
        if (event == ZMQ_EVENT_ACCEPTED) {
            accepted(self, fd);
        } else if (event == ZMQ_EVENT_DISCONNECTED) {
            disconnected(self, fd);
        }
    }
}
