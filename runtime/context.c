#include "runtime/context.h"

#include "runtime/base/scarcity.h"

#include <errno.h>
#include <zmq.h>

enum {
    THREADS = 2,     /* one that closes sockets, one for input and output */
    DESCRIPTORS = 5, /* a mailbox and an epoll set for each, and the first socket */
};

capstan_err_t context_socket(void *self, int type, void **ret_socket)
{
    void *socket = zmq_socket(self, type);
    if (!socket) {
        return descriptor_error(zmq_errno());
    }
    *ret_socket = socket;
    return CAPSTAN_OK;
}

/* The first socket brings the threads. */
static capstan_err_t start(void *context, unsigned descriptors)
{
    void *first;
    capstan_err_t err = descriptors_check(DESCRIPTORS + descriptors);
    err = err ? err : threads_check(THREADS);
    err = err ? err : context_socket(context, ZMQ_PAIR, &first);
    if (err == CAPSTAN_OK) {
        zmq_close(first);
    }
    return err;
}

capstan_err_t context_new(int sockets_max, unsigned descriptors, void **ret_context)
{
    void *context = zmq_ctx_new();
    if (!context) {
        return descriptor_error(zmq_errno());
    }
    zmq_ctx_set(context, ZMQ_MAX_SOCKETS, sockets_max);
    capstan_err_t err = start(context, descriptors);
    if (err != CAPSTAN_OK) {
        context_destroy(&context);
        return err;
    }
    *ret_context = context;
    return CAPSTAN_OK;
}

void context_destroy(void **self_p)
{
    while (*self_p && zmq_ctx_term(*self_p) != 0 && zmq_errno() == EINTR) {
    }
    *self_p = NULL;
}
