/* The one wrapper around sending to and receiving from a cell's inbox. Neither blocks.
 *
 * libzmq passes a message between threads through its own lock-free pipes, which orders memory;
 * ThreadSanitizer does not see into Debian's build of it, so the same order is told here: what
 * happened before a send to an inbox happens before a later receive from it. */
#ifndef RUNTIME_SOCKET_H
#define RUNTIME_SOCKET_H

#include "runtime/base/ensure.h"

#include <errno.h>
#include <zmq.h>

#if defined(__SANITIZE_THREAD__)
#define SOCKET_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SOCKET_TSAN 1
#endif
#endif

#ifdef SOCKET_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#else
#define __tsan_acquire(address) ((void)(address))
#define __tsan_release(address) ((void)(address))
#endif

/* To an inbox that the outlet is connected with, and that has no bound. */
static inline void socket_send(void *outlet, uint8_t routing_id, zmq_msg_t *message,
                               void *inbox_identity)
{
    __tsan_release(inbox_identity);
    int rc;
    do {
        rc = zmq_send(outlet, &routing_id, sizeof routing_id, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    } while (rc < 0 && zmq_errno() == EINTR);
    ENSURE(rc >= 0);
    do {
        rc = zmq_msg_send(message, outlet, ZMQ_DONTWAIT);
    } while (rc < 0 && zmq_errno() == EINTR);
    ENSURE(rc >= 0);
}

/* As zmq_msg_recv; retries an interrupted call. */
static inline int socket_receive(void *socket, zmq_msg_t *message, void *inbox_identity)
{
    int rc;
    do {
        rc = zmq_msg_recv(message, socket, ZMQ_DONTWAIT);
    } while (rc < 0 && zmq_errno() == EINTR);
    if (rc >= 0) {
        __tsan_acquire(inbox_identity);
    }
    return rc;
}

#endif
