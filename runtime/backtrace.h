/* Where another thread is: the frames of its stack, captured by the thread itself (interrupt.h).
 * Internal to runtime/. */
#ifndef RUNTIME_BACKTRACE_H
#define RUNTIME_BACKTRACE_H

#include <pthread.h>
#include <stddef.h>
#include <sys/types.h>

enum { BACKTRACE_FRAMES_MAX = 24, BACKTRACE_TEXT_SIZE = 160 };

/* Once before the first of them. backtrace() loads its unwinder when it is called first; from then
 * on it takes no lock and no memory (glibc 2.35 and later find the unwind tables without a lock).
 */
void backtrace_prepare(void);
/* The frames of a thread that runs, innermost first; 0 when it did not answer. One caller at a
 * time, on another thread. */
size_t backtrace_take(pthread_t thread, pid_t id, void *ret_frames[BACKTRACE_FRAMES_MAX]);
/* "function+0x1c program+0x2f1c", the second as addr2line takes it. */
void backtrace_describe(void *const *frames, size_t index, char ret_text[BACKTRACE_TEXT_SIZE]);

#endif
