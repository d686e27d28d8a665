/* The DEALER of a peer and its monitor: connecting, and bytes; no protocol. One thread. */
#ifndef PEER_PEER_SOCKET_H
#define PEER_PEER_SOCKET_H

#include "runtime/base/slice.h"

#include <capstan/error.h>
#include <stdint.h>
#include <zmq.h>

typedef struct peer_socket {
    void *context;
    void *dealer;
    void *monitor;
} peer_socket_t;

/* Connects in the background, again and again. INVALID: no such endpoint. Where there is no socket,
 * the functions below find nothing to do. */
CAPSTAN_MUST_CHECK capstan_err_t peer_socket_open(peer_socket_t *self, const char *endpoint);
/* What is on its way is given `linger_ms`. */
void peer_socket_close(peer_socket_t *self, int linger_ms);

/* True when the connection was lost since the last call. */
bool peer_socket_lost(peer_socket_t *self);
/* False: not connected, or full. */
bool peer_socket_send(peer_socket_t *self, slice_t batch);
/* False: nothing there. `ret_batch` is initialised and to be closed. */
bool peer_socket_receive(peer_socket_t *self, zmq_msg_t *ret_batch);
/* Waits for input, or with `output` also until it can send. */
void peer_socket_wait(peer_socket_t *self, bool output, int64_t timeout_us);

#endif
