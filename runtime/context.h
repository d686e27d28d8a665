/* A ZeroMQ context, and its sockets. libzmq 4.3.4 aborts the process where its own threads and
 * their descriptors cannot be made (thread.cpp, epoll.cpp), which it does with the first socket:
 * here the process is asked for them before. Later sockets report errors. */
#ifndef RUNTIME_CONTEXT_H
#define RUNTIME_CONTEXT_H

#include <capstan/error.h>
#include <stdbool.h>

typedef struct context_options {
    int sockets_max;
    unsigned descriptors; /* that its user will want at once: refused here rather than halfway */
    bool modest;          /* its thread, when it is woken, does not push aside who woke it */
} context_options_t;

/* A context whose threads run. Errors: NO_DESCRIPTOR, NO_THREAD, NO_MEMORY, SYSTEM. */
CAPSTAN_MUST_CHECK capstan_err_t context_new(const context_options_t *options, void **ret_context);
/* Waits for all of its sockets to be closed. NULL is fine. */
void context_destroy(void **self_p);

/* Errors: NO_DESCRIPTOR, NO_MEMORY, SYSTEM. */
CAPSTAN_MUST_CHECK capstan_err_t context_socket(void *self, int type, void **ret_socket);

#endif
