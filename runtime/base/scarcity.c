#include "runtime/base/scarcity.h"

#include "runtime/base/ensure.h"
#include "runtime/base/thread.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { DESCRIPTORS_MAX = 64, THREADS_MAX = 8 };

capstan_err_t descriptor_error(int number)
{
    switch (number) {
    case EMFILE:
    case ENFILE:
        return CAPSTAN_E_NO_DESCRIPTOR;
    case ENOMEM:
        return CAPSTAN_E_NO_MEMORY;
    default:
        return CAPSTAN_E_SYSTEM;
    }
}

capstan_err_t descriptors_check(unsigned count)
{
    int fds[DESCRIPTORS_MAX];
    unsigned opened = 0;
    capstan_err_t err = CAPSTAN_OK;
    ENSURE(count <= DESCRIPTORS_MAX);
    while (err == CAPSTAN_OK && opened < count) {
        int fd = eventfd(0, EFD_CLOEXEC);
        if (fd < 0) {
            err = descriptor_error(errno);
        } else {
            fds[opened++] = fd;
        }
    }
    while (opened > 0) {
        close(fds[--opened]);
    }
    return err;
}

/* Waits until all have been made. */
static void *pass(void *gate)
{
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

capstan_err_t threads_check(unsigned count)
{
    pthread_t threads[THREADS_MAX];
    unsigned started = 0;
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    const thread_options_t options = {.name = "check", .run = pass, .argument = &gate};
    ENSURE(count <= THREADS_MAX);
    pthread_mutex_lock(&gate);
    while (started < count && thread_start(&options, &threads[started])) {
        started++;
    }
    pthread_mutex_unlock(&gate);
    for (unsigned i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_mutex_destroy(&gate);
    return started == count ? CAPSTAN_OK : CAPSTAN_E_NO_THREAD;
}
