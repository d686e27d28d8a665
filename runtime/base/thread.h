/* Threads of the library: they block all signals, since signals are the host's. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct thread_options {
    const char *name;   /* its first 15 bytes are what debuggers and `top -H` show */
    size_t stack_bytes; /* 0: the usual size */
    void *(*run)(void *argument);
    void *argument;
    int open_signal; /* the one that it does not block; 0: none */
} thread_options_t;

/* False when there is no thread to be had. */
bool thread_start(const thread_options_t *options, pthread_t *ret_thread);

#endif
