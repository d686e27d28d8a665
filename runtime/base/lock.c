/* A lock, and threads that wait for what it guards: see lock.h. */
#include "runtime/base/lock.h"

#include "runtime/base/ensure.h"

#include <time.h>

void lock_init(lock_t *self)
{
    ENSURE(pthread_mutex_init(&self->mutex, NULL) == 0);
}

void lock_fini(lock_t *self)
{
    ENSURE(pthread_mutex_destroy(&self->mutex) == 0);
}

void lock_condition_init(lock_condition_t *self)
{
    pthread_condattr_t attributes;
    ENSURE(pthread_condattr_init(&attributes) == 0);
    ENSURE(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    ENSURE(pthread_cond_init(&self->condition, &attributes) == 0);
    ENSURE(pthread_condattr_destroy(&attributes) == 0);
}

void lock_condition_fini(lock_condition_t *self)
{
    ENSURE(pthread_cond_destroy(&self->condition) == 0);
}

bool lock_wait(lock_t *self, lock_condition_t *condition, int64_t deadline_us)
{
    struct timespec deadline = {.tv_sec = deadline_us / 1000000,
                                .tv_nsec = deadline_us % 1000000 * 1000};
    return pthread_cond_timedwait(&condition->condition, &self->mutex, &deadline) == 0;
}

void lock_wake(lock_condition_t *condition)
{
    pthread_cond_broadcast(&condition->condition);
}
