/* A lock, and threads that wait for what it guards, with deadlines on the monotonic clock. For the
 * few places where threads that are no cells share state with an actor, since a message would cost
 * more than what is done. */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct lock {
    pthread_mutex_t mutex;
} lock_t;

/* What is waited for; of one thread, or of several. */
typedef struct lock_condition {
    pthread_cond_t condition;
} lock_condition_t;

void lock_init(lock_t *self);
void lock_fini(lock_t *self);
void lock_condition_init(lock_condition_t *self);
void lock_condition_fini(lock_condition_t *self);

static inline void lock_take(lock_t *self)
{
    pthread_mutex_lock(&self->mutex);
}

static inline void lock_give_back(lock_t *self)
{
    pthread_mutex_unlock(&self->mutex);
}

/* Gives the lock back while it waits; wakes up without reason, too. False: the time has passed. */
bool lock_wait(lock_t *self, lock_condition_t *condition, int64_t deadline_us);
/* All that wait. With the lock. */
void lock_wake(lock_condition_t *condition);

#endif
