/* Runs a function on another thread, wherever that is: in the handler of a real-time signal that is
 * sent to it alone. Internal to runtime/.
 *
 *   asker                                 thread
 *   wanted = its id; pthread_kill ------> handler: wanted = TAKEN, the function, post
 *   wait for the post, 100 ms at most <--'
 *
 * A system call of the thread goes on by itself (SA_RESTART) where the kernel can do that; others
 * (poll, nanosleep, waits with a time-out) return EINTR, which a handler has to expect. */
#ifndef RUNTIME_INTERRUPT_H
#define RUNTIME_INTERRUPT_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

/* Installs the signal's handler for the process. `signal` 0 picks the highest real-time signal that
 * nobody uses. Calls are counted. False when the signal has a handler or is none that can be used.
 */
bool interrupt_open(int signal);
/* The last call gives the signal back. One that is still under way is discarded. */
void interrupt_close(void);
/* The signal that threads must not block; 0: none. */
int interrupt_signal(void);

/* Runs on the thread's own stack, between any two of its instructions: it takes no lock and no
 * memory. */
typedef void interrupt_fn(void *argument);

/* True when it has run; false when the thread did not answer, and then it will not run any more.
 * One caller at a time, on another thread. */
bool interrupt_run(pthread_t thread, pid_t id, interrupt_fn *run, void *argument);

#endif
