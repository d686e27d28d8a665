/* Where another thread is: the frames of its stack, captured by the thread itself in the handler of
 * a real-time signal that is sent to it alone. Internal to runtime/.
 *
 *   asker                                 thread
 *   wanted = its id; pthread_kill ------> handler: wanted = TAKEN, frames, post
 *   wait for the post, 100 ms at most <--'
 *
 * The handler calls nothing but backtrace(), sem_post() and gettid(): backtrace() loads its
 * unwinder when it is called first, so that is done beforehand; from then on it takes no lock and
 * no memory (glibc 2.35 and later find the unwind tables without a lock). It runs on the thread's
 * own stack.
 *
 * A system call of the thread goes on by itself (SA_RESTART) where the kernel can do that; others
 * (poll, nanosleep, waits with a time-out) return EINTR, which a handler has to expect. */
#ifndef RUNTIME_BACKTRACE_H
#define RUNTIME_BACKTRACE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { BACKTRACE_FRAMES_MAX = 24, BACKTRACE_TEXT_SIZE = 160 };

/* Installs the handler for the process. `signal` 0 picks the highest real-time signal that nobody
 * uses. Calls are counted. False when the signal has a handler or is none that can be used; all
 * calls below then do nothing. */
bool backtrace_open(int signal);
/* The last call gives the signal back. One that is still under way is discarded. */
void backtrace_close(void);
/* The signal that threads must not block; 0: none. */
int backtrace_signal(void);

/* The frames of a thread that runs, innermost first; 0 when it did not answer. One caller at a
 * time, on another thread. */
size_t backtrace_take(pthread_t thread, pid_t id, void *ret_frames[BACKTRACE_FRAMES_MAX]);
/* "function+0x1c program+0x2f1c", the second as addr2line takes it. */
void backtrace_describe(void *const *frames, size_t index, char ret_text[BACKTRACE_TEXT_SIZE]);

#endif
