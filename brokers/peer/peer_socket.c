#include "brokers/peer/peer_socket.h"

#include "runtime/base/scarcity.h"
#include "runtime/context.h"
#include "runtime/wire/batch.h"

enum {
    SOCKETS_MAX = 16,
    DESCRIPTORS = 4, /* the two sockets, the monitor's other end, and the connection */
    RECONNECT_MS = 100,
    RECONNECT_MS_MAX = 1000,
    /* Batches, each way; the node's credit bounds the bytes. */
    HWM = 1024,
    /* For dead connections; the session's own heartbeat finds a node that hangs. */
    HEARTBEAT_MS = 1000,
    HEARTBEAT_TIMEOUT_MS = 3000,
    CONNECT_TIMEOUT_MS = 3000,
};

static void set(void *socket, int option, int value)
{
    /* The options are constants that this libzmq knows; there is no input that could be wrong. */
    (void)zmq_setsockopt(socket, option, &value, sizeof value);
}

static void configure(void *dealer)
{
    set(dealer, ZMQ_LINGER, 0);
    set(dealer, ZMQ_IMMEDIATE, 1); /* nothing waits on a pipe that may never connect */
    set(dealer, ZMQ_IPV6, 1);
    set(dealer, ZMQ_RECONNECT_IVL, RECONNECT_MS);
    set(dealer, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MS_MAX);
    set(dealer, ZMQ_CONNECT_TIMEOUT, CONNECT_TIMEOUT_MS);
    set(dealer, ZMQ_SNDHWM, HWM);
    set(dealer, ZMQ_RCVHWM, HWM);
    set(dealer, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS);
    set(dealer, ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS);
    int64_t bytes_max = WIRE_BATCH_BYTES_MAX;
    (void)zmq_setsockopt(dealer, ZMQ_MAXMSGSIZE, &bytes_max, sizeof bytes_max);
}

capstan_err_t peer_socket_open(peer_socket_t *self, const char *endpoint)
{
    static const char monitor_name[] = "inproc://peer-monitor";
    capstan_err_t err = CAPSTAN_OK;
    if (!self->context) {
        /* A peer works on what it was given while its answers leave. */
        err = context_new(&(context_options_t){.sockets_max = SOCKETS_MAX,
                                               .descriptors = DESCRIPTORS,
                                               .modest = true},
                          &self->context);
    }
    err = err ? err : context_socket(self->context, ZMQ_DEALER, &self->dealer);
    err = err ? err : context_socket(self->context, ZMQ_PAIR, &self->monitor);
    if (err != CAPSTAN_OK) {
        return err;
    }
    configure(self->dealer);
    set(self->monitor, ZMQ_LINGER, 0);
    if (zmq_socket_monitor(self->dealer, monitor_name, ZMQ_EVENT_DISCONNECTED) != 0 ||
        zmq_connect(self->monitor, monitor_name) != 0) {
        return descriptor_error(zmq_errno());
    }
    return zmq_connect(self->dealer, endpoint) == 0 ? CAPSTAN_OK : CAPSTAN_E_INVALID;
}

static void close_sockets(peer_socket_t *self, int linger_ms)
{
    if (self->dealer) {
        (void)zmq_socket_monitor(self->dealer, NULL, 0);
        set(self->dealer, ZMQ_LINGER, linger_ms);
        zmq_close(self->dealer);
    }
    if (self->monitor) {
        zmq_close(self->monitor);
    }
    self->dealer = NULL;
    self->monitor = NULL;
}

void peer_socket_close(peer_socket_t *self, int linger_ms)
{
    close_sockets(self, linger_ms);
    context_destroy(&self->context);
}

bool peer_socket_lost(peer_socket_t *self)
{
    bool lost = false;
    uint8_t frame[256];
    while (zmq_recv(self->monitor, frame, sizeof frame, ZMQ_DONTWAIT) >= 0) {
        lost = true; /* DISCONNECTED is the only event asked for; its second part is the address */
    }
    return lost;
}

bool peer_socket_send(peer_socket_t *self, slice_t batch)
{
    return zmq_send(self->dealer, batch.data, batch.size, ZMQ_DONTWAIT) >= 0;
}

bool peer_socket_receive(peer_socket_t *self, zmq_msg_t *ret_batch)
{
    zmq_msg_init(ret_batch);
    if (zmq_msg_recv(ret_batch, self->dealer, ZMQ_DONTWAIT) >= 0) {
        return true;
    }
    zmq_msg_close(ret_batch);
    return false;
}

void peer_socket_wait(peer_socket_t *self, bool output, int64_t timeout_us)
{
    zmq_pollitem_t items[] = {
        {.socket = self->dealer, .events = (short)(ZMQ_POLLIN | (output ? ZMQ_POLLOUT : 0))},
        {.socket = self->monitor, .events = ZMQ_POLLIN},
    };
    (void)zmq_poll(items, self->dealer ? 2 : 0, (long)((timeout_us + 999) / 1000));
}
