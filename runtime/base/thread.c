#include "runtime/base/thread.h"

#include <signal.h>
#include <stdio.h>

/* A thread inherits the mask of the one that makes it. */
bool thread_start(const thread_options_t *options, pthread_t *ret_thread)
{
    sigset_t blocked;
    sigset_t before;
    pthread_attr_t attributes;
    sigfillset(&blocked);
    if (options->open_signal > 0) {
        sigdelset(&blocked, options->open_signal);
    }
    pthread_attr_init(&attributes);
    if (options->stack_bytes > 0) {
        pthread_attr_setstacksize(&attributes, options->stack_bytes);
    }
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int rc = pthread_create(ret_thread, &attributes, options->run, options->argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (rc == 0) {
        char name[16];
        snprintf(name, sizeof name, "%.15s", options->name);
        pthread_setname_np(*ret_thread, name);
    }
    return rc == 0;
}
