#include "runtime/telemetry/log_writer.h"

#include "runtime/base/ensure.h"
#include "runtime/base/ring.h"
#include "runtime/base/thread.h"
#include "runtime/runtime_metrics.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { STOP_S = 1, STACK_BYTES = 65536 };

static struct {
    pthread_mutex_t life; /* start and stop */
    unsigned users;
    pthread_t thread;
    ring_t ring;
    sem_t lines;         /* posted for each line, so that the thread looks */
    log_line_t *current; /* being written */
    _Atomic bool running;
    _Atomic bool ending;
} writer = {.life = PTHREAD_MUTEX_INITIALIZER};

/* Only a direct write is under a lock, when no thread of a node could wait for it: without it
 * another thread could fill the descriptor between the question and the write. */
static pthread_mutex_t direct_lock = PTHREAD_MUTEX_INITIALIZER;

static bool write_all(const log_line_t *line)
{
    size_t at = 0;
    while (at < line->size) {
        ssize_t written = write(line->fd, line->text + at, line->size - at);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        at += written > 0 ? (size_t)written : 0;
    }
    return true;
}

static void finish(log_line_t *line, bool written)
{
    if (written) {
        METRIC_ADD(runtime, log_lines, 1);
    } else {
        log_line_lost(line);
    }
    free(line);
}

static void write_directly(log_line_t *line)
{
    struct pollfd ready = {.fd = line->fd, .events = POLLOUT};
    pthread_mutex_lock(&direct_lock);
    bool written = poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) != 0 && write_all(line);
    pthread_mutex_unlock(&direct_lock);
    finish(line, written);
}

void log_writer_put(log_line_t *line)
{
    if (!atomic_load_explicit(&writer.running, memory_order_acquire)) {
        write_directly(line);
    } else if (ring_push(&writer.ring, line)) {
        sem_post(&writer.lines);
    } else {
        finish(line, false);
    }
}

/* It may be cancelled in sem_wait and in write; `current` then says what it was about. */
static void *write_lines(void *unused)
{
    (void)unused;
    for (;;) {
        while ((writer.current = ring_pop(&writer.ring))) {
            bool written = write_all(writer.current);
            finish(writer.current, written);
        }
        if (atomic_load_explicit(&writer.ending, memory_order_acquire)) {
            return NULL;
        }
        (void)sem_wait(&writer.lines); /* EINTR: it looks once more */
    }
}

/* The ring and the semaphore are made once and kept: a thread that was late for the end of its node
 * may still log. */
static capstan_err_t start(void)
{
    if (!writer.ring.slots) {
        if (!ring_init(&writer.ring, LOG_LINES_MAX)) {
            return CAPSTAN_E_NO_MEMORY;
        }
        ENSURE(sem_init(&writer.lines, 0, 0) == 0);
    }
    atomic_store_explicit(&writer.ending, false, memory_order_relaxed);
    const thread_options_t options = {
        .name = "log", .stack_bytes = STACK_BYTES, .run = write_lines};
    if (!thread_start(&options, &writer.thread)) {
        return CAPSTAN_E_NO_THREAD;
    }
    atomic_store_explicit(&writer.running, true, memory_order_release);
    return CAPSTAN_OK;
}

capstan_err_t log_writer_start(void)
{
    pthread_mutex_lock(&writer.life);
    capstan_err_t err = writer.users == 0 ? start() : CAPSTAN_OK;
    writer.users += err == CAPSTAN_OK;
    pthread_mutex_unlock(&writer.life);
    return err;
}

static void stop(void)
{
    struct timespec until;
    atomic_store_explicit(&writer.running, false, memory_order_relaxed);
    atomic_store_explicit(&writer.ending, true, memory_order_release);
    sem_post(&writer.lines);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_S;
    if (pthread_timedjoin_np(writer.thread, NULL, &until) != 0) {
        pthread_cancel(writer.thread);
        pthread_join(writer.thread, NULL);
    }
    if (writer.current) {
        finish(writer.current, false);
    }
    for (log_line_t *line; (line = ring_pop(&writer.ring));) {
        finish(line, false);
    }
}

void log_writer_stop(void)
{
    pthread_mutex_lock(&writer.life);
    ENSURE(writer.users > 0);
    if (--writer.users == 0) {
        stop();
    }
    pthread_mutex_unlock(&writer.life);
}
