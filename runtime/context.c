#include "runtime/context.h"

#include "runtime/base/scarcity.h"

#include <errno.h>
#include <sched.h>
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

/* A thread under SCHED_BATCH preempts nobody when it wakes: who sends goes on with its own work,
 * and the sending is done when it waits or on another core. Only from the usual policy is this
 * always permitted, and libzmq aborts where it is not (thread.cpp). */
static void be_modest(void *context)
{
    if (sched_getscheduler(0) == SCHED_OTHER) {
        zmq_ctx_set(context, ZMQ_THREAD_SCHED_POLICY, SCHED_BATCH);
    }
}

capstan_err_t context_new(const context_options_t *options, void **ret_context)
{
    void *context = zmq_ctx_new();
    if (!context) {
        return descriptor_error(zmq_errno());
    }
    zmq_ctx_set(context, ZMQ_MAX_SOCKETS, options->sockets_max);
    if (options->modest) {
        be_modest(context);
    }
    capstan_err_t err = start(context, options->descriptors);
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
