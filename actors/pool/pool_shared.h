/* What the calls of capstan/pool.h and the actor share. Internal to pool/.
 *
 *   threads:  take, give --(lock)-->  pool_t  <--(lock)-- the actor: connects, checks, closes
 *   threads:  wake_fd written when there is something to do  -->  the actor
 *
 * A take and a give where nobody waits do not leave the thread. */
#ifndef POOL_POOL_SHARED_H
#define POOL_POOL_SHARED_H

#include "actors/pool/pool.h"
#include "include/capstan/pool.h"
#include "runtime/base/lock.h"
#include "runtime/postgres/postgres_link.h"

#define POOL_ACTOR_PREFIX "pool."

enum { POOL_NAME_BYTES = 59, POOL_WHY_BYTES = 256 };

struct capstan_pool {
    lock_t lock; /* guards what follows, as far as it changes */
    lock_condition_t ended_condition;
    pool_t *core;
    uint32_t inside;           /* threads that take: the pool outlives them */
    bool ended;                /* the actor has, or never was: who gives back closes what is left */
    uint32_t owners;           /* the program and the actor; freed with the last */
    char why[POOL_WHY_BYTES];  /* what the server said last when a connection failed */
    postgres_target_t *target; /* immutable, as the rest */
    postgres_role_t role;
    bool clean_always;
    int wake_fd;
    capstan_node_t *node;
    char name[POOL_NAME_BYTES];
};

/* A thread that waits, on its own stack. */
typedef struct pool_thread {
    pool_waiter_t waiter;
    lock_condition_t condition;
} pool_thread_t;

/* Locks and unlocks; before the latter whoever is over is woken, and the actor when it has
 * something to do. */
void pool_lock(capstan_pool_t *self);
void pool_unlock(capstan_pool_t *self);
/* With the lock: an owner less. */
void pool_give_back(capstan_pool_t *self);

/* pool_requests.c: what came to the actor. */
void pool_request(capstan_pool_t *shared, capstan_actor_t *actor, const capstan_message_t *message);

extern const capstan_behaviour_t pool_behaviour; /* its argument is the capstan_pool_t */

#endif
