/* Asking a server to end a statement: see postgres_link.h. */
#include "runtime/base/ensure.h"
#include "runtime/base/thread.h"
#include "runtime/postgres/postgres_link.h"

#include <stdatomic.h>

enum {
    CANCELS_MAX = 16, /* at a time; each is a thread that may wait for a server that says nothing */
    STACK_BYTES = 256 * 1024,
    TEXT_BYTES = 256,
};

static _Atomic int cancels; /* under way in this process; relaxed */

static void *cancel(void *argument)
{
    char text[TEXT_BYTES];
    (void)PQcancel(argument, text, sizeof text); /* if it fails, the statement ends by itself */
    PQfreeCancel(argument);
    atomic_fetch_sub_explicit(&cancels, 1, memory_order_relaxed);
    return NULL;
}

void postgres_cancel(PGconn *connection)
{
    PGcancel *request = PQgetCancel(connection);
    if (!request) {
        return; /* it does not stand */
    }
    pthread_t thread;
    bool started = atomic_fetch_add_explicit(&cancels, 1, memory_order_relaxed) < CANCELS_MAX &&
                   thread_start(&(thread_options_t){.name = "cancel",
                                                    .stack_bytes = STACK_BYTES,
                                                    .run = cancel,
                                                    .argument = request},
                                &thread);
    if (started) {
        pthread_detach(thread);
    } else {
        atomic_fetch_sub_explicit(&cancels, 1, memory_order_relaxed);
        PQfreeCancel(request);
    }
}
