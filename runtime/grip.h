/* A thread's grip on its cell. A handler that hangs costs its thread the cell (takeover.h), and the
 * thread may go on any time later: in the handler, which may call what is in capstan/actor.h, and
 * then behind it. So whatever touches a cell on behalf of a handler asks here first.
 *
 *   the runtime's own code   user false   the cell is in this thread's hands, and stays there
 *   a handler                user true    the thread may lose it between any two instructions
 *                            lost true    it has, and touches no cell any more
 *
 * The thread loses it in a signal handler on itself, which looks at `user` and sets `lost`. So
 * nothing but the compiler has to be kept from changing the order: `user` is taken back first, then
 * one looks whether that was in time. It costs a handler, and a call out of one, three accesses to
 * a line of the thread's own. Internal to runtime/. */
#ifndef RUNTIME_GRIP_H
#define RUNTIME_GRIP_H

#include <stdatomic.h>
#include <stdbool.h>

typedef struct grip {
    _Atomic bool user;
    _Atomic bool lost;
} grip_t;

/* Initial-exec, as metric_shard: a load, and fit for a signal handler. */
extern _Thread_local grip_t grip __attribute__((tls_model("initial-exec")));

static inline bool grip_is_lost(void)
{
    return __builtin_expect(atomic_load_explicit(&grip.lost, memory_order_relaxed), 0);
}

static inline void grip_set_user(bool user)
{
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&grip.user, user, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
}

/* Around what a handler calls. False, and nothing is to be touched: the thread has lost its cell.
 */
static inline bool grip_enter(bool *ret_user)
{
    *ret_user = atomic_load_explicit(&grip.user, memory_order_relaxed);
    grip_set_user(false);
    return !grip_is_lost();
}

static inline void grip_leave(bool user)
{
    grip_set_user(user);
}

/* Ends a thread that comes back from a handler and has no cell any more. */
__attribute__((cold, noreturn)) void grip_end_thread(void);

/* Around a handler. One that is the runtime's own code keeps the cell, whatever it does. */
static inline void grip_lend(bool user)
{
    grip_set_user(user);
}

static inline void grip_take_back(void)
{
    grip_set_user(false);
    if (grip_is_lost()) {
        grip_end_thread();
    }
}

#endif
