#include "runtime/backtrace.h"

#include "runtime/base/ensure.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    NOBODY = 0,
    TAKEN = -1,
    HANDLER_FRAMES = 2, /* the handler, and what the kernel returns from it through */
    WAIT_MS = 100,      /* a thread in a system call that cannot be interrupted does not answer */
};

static struct {
    pthread_mutex_t life; /* open and close */
    unsigned users;
    _Atomic int signal; /* 0: none */
    struct sigaction before;

    /* The thread whose frames are wanted; it takes the wish by compare-and-swap, and whoever gave
     * it up by the same cannot be answered late, into the frames of another. */
    _Atomic int wanted;
    void *frames[BACKTRACE_FRAMES_MAX + HANDLER_FRAMES];
    _Atomic int count; /* released when the frames are there */
    sem_t answered;
} capture = {.life = PTHREAD_MUTEX_INITIALIZER};

static int thread_id(void)
{
    return (int)syscall(SYS_gettid);
}

static void on_signal(int signal)
{
    (void)signal;
    int error = errno;
    int me = thread_id();
    if (atomic_compare_exchange_strong(&capture.wanted, &me, TAKEN)) {
        int count = backtrace(capture.frames, BACKTRACE_FRAMES_MAX + HANDLER_FRAMES);
        atomic_store_explicit(&capture.count, count, memory_order_release);
        sem_post(&capture.answered);
    }
    errno = error;
}

static bool is_free(int signal)
{
    struct sigaction now;
    return sigaction(signal, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
           now.sa_handler == SIG_DFL;
}

static int pick(int signal)
{
    if (signal != 0) {
        return signal >= SIGRTMIN && signal <= SIGRTMAX && is_free(signal) ? signal : 0;
    }
    for (signal = SIGRTMAX; signal >= SIGRTMIN && !is_free(signal);) {
        signal--;
    }
    return signal >= SIGRTMIN ? signal : 0;
}

static bool install(int signal)
{
    void *unwinder[1];
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigfillset(&action.sa_mask);
    signal = pick(signal);
    if (signal == 0 || sem_init(&capture.answered, 0, 0) != 0) {
        return false;
    }
    (void)backtrace(unwinder, 1);
    atomic_store(&capture.wanted, NOBODY);
    if (sigaction(signal, &action, &capture.before) != 0) {
        sem_destroy(&capture.answered);
        return false;
    }
    atomic_store(&capture.signal, signal);
    return true;
}

bool backtrace_open(int signal)
{
    pthread_mutex_lock(&capture.life);
    bool open = capture.users > 0 || install(signal);
    capture.users += open;
    pthread_mutex_unlock(&capture.life);
    return open;
}

void backtrace_close(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    pthread_mutex_lock(&capture.life);
    ENSURE(capture.users > 0);
    if (--capture.users == 0) {
        int signal = atomic_exchange(&capture.signal, 0);
        sigaction(signal, &ignore,
                  NULL); /* discards what is pending, which would end the process */
        sigaction(signal, &capture.before, NULL);
        sem_destroy(&capture.answered);
    }
    pthread_mutex_unlock(&capture.life);
}

int backtrace_signal(void)
{
    return atomic_load(&capture.signal);
}

static bool wait_for_answer(void)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WAIT_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    int rc;
    while ((rc = sem_clockwait(&capture.answered, CLOCK_MONOTONIC, &until)) != 0 &&
           errno == EINTR) {
    }
    return rc == 0;
}

size_t backtrace_take(pthread_t thread, pid_t id, void *ret_frames[BACKTRACE_FRAMES_MAX])
{
    int signal = backtrace_signal();
    if (signal == 0) {
        return 0;
    }
    atomic_store(&capture.wanted, (int)id);
    bool sent = pthread_kill(thread, signal) == 0;
    if (!sent || !wait_for_answer()) {
        int given_up = (int)id;
        if (atomic_compare_exchange_strong(&capture.wanted, &given_up, NOBODY)) {
            return 0;
        }
        while (sem_wait(&capture.answered) != 0) { /* it has begun to answer */
        }
    }
    int count = atomic_load_explicit(&capture.count, memory_order_acquire) - HANDLER_FRAMES;
    if (count <= 0) {
        return 0;
    }
    memcpy(ret_frames, capture.frames + HANDLER_FRAMES, (size_t)count * sizeof *ret_frames);
    return (size_t)count;
}

/* A frame but the innermost names the instruction behind a call, which may belong to the next line
 * or even function. */
void backtrace_describe(void *const *frames, size_t index, char ret_text[BACKTRACE_TEXT_SIZE])
{
    uintptr_t address = (uintptr_t)frames[index] - (index > 0 ? 1 : 0);
    Dl_info info;
    if (dladdr((void *)address, &info) == 0 || !info.dli_fname) {
        snprintf(ret_text, BACKTRACE_TEXT_SIZE, "%#lx", (unsigned long)address);
        return;
    }
    const char *slash = strrchr(info.dli_fname, '/');
    const char *module = slash ? slash + 1 : info.dli_fname;
    unsigned long offset = address - (uintptr_t)info.dli_fbase;
    if (info.dli_sname) {
        snprintf(ret_text, BACKTRACE_TEXT_SIZE, "%.80s+%#lx %.50s+%#lx", info.dli_sname,
                 address - (uintptr_t)info.dli_saddr, module, offset);
    } else {
        snprintf(ret_text, BACKTRACE_TEXT_SIZE, "%.50s+%#lx", module, offset);
    }
}
