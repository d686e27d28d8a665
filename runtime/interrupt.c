#include "runtime/interrupt.h"

#include "runtime/base/ensure.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    NOBODY = 0,
    TAKEN = -1,
    DONE = -2,
    WAIT_MS = 100, /* a thread in a system call that cannot be interrupted does not answer */
};

static struct {
    pthread_mutex_t life; /* open and close */
    unsigned users;
    _Atomic int signal; /* 0: none */
    struct sigaction before;

    /* The thread that is to run the function; it takes the wish by compare-and-swap, and whoever
     * gave it up by the same cannot be answered late, in the place of another. */
    _Atomic int wanted;
    interrupt_fn *run;
    void *argument;
    sem_t answered;
} interrupt = {.life = PTHREAD_MUTEX_INITIALIZER};

static int thread_id(void)
{
    return (int)syscall(SYS_gettid);
}

static void on_signal(int signal)
{
    (void)signal;
    int error = errno;
    int me = thread_id();
    if (atomic_compare_exchange_strong(&interrupt.wanted, &me, TAKEN)) {
        interrupt.run(interrupt.argument);
        atomic_store(&interrupt.wanted, DONE);
        sem_post(&interrupt.answered);
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
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigfillset(&action.sa_mask);
    signal = pick(signal);
    if (signal == 0 || sem_init(&interrupt.answered, 0, 0) != 0) {
        return false;
    }
    atomic_store(&interrupt.wanted, NOBODY);
    if (sigaction(signal, &action, &interrupt.before) != 0) {
        sem_destroy(&interrupt.answered);
        return false;
    }
    atomic_store(&interrupt.signal, signal);
    return true;
}

bool interrupt_open(int signal)
{
    pthread_mutex_lock(&interrupt.life);
    bool open = interrupt.users > 0 || install(signal);
    interrupt.users += open;
    pthread_mutex_unlock(&interrupt.life);
    return open;
}

void interrupt_close(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    pthread_mutex_lock(&interrupt.life);
    ENSURE(interrupt.users > 0);
    if (--interrupt.users == 0) {
        int signal = atomic_exchange(&interrupt.signal, 0);
        sigaction(signal, &ignore,
                  NULL); /* discards what is pending, which would end the process */
        sigaction(signal, &interrupt.before, NULL);
        sem_destroy(&interrupt.answered);
    }
    pthread_mutex_unlock(&interrupt.life);
}

int interrupt_signal(void)
{
    return atomic_load(&interrupt.signal);
}

static bool wait_for_answer(void)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WAIT_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    int rc;
    while ((rc = sem_clockwait(&interrupt.answered, CLOCK_MONOTONIC, &until)) != 0 &&
           errno == EINTR) {
    }
    return rc == 0;
}

bool interrupt_run(pthread_t thread, pid_t id, interrupt_fn *run, void *argument)
{
    int signal = interrupt_signal();
    if (signal == 0) {
        return false;
    }
    interrupt.run = run;
    interrupt.argument = argument;
    atomic_store(&interrupt.wanted, (int)id);
    bool sent = pthread_kill(thread, signal) == 0;
    if (!sent || !wait_for_answer()) {
        int given_up = (int)id;
        if (atomic_compare_exchange_strong(&interrupt.wanted, &given_up, NOBODY)) {
            return false;
        }
        while (sem_wait(&interrupt.answered) != 0) { /* it has begun to answer */
        }
    }
    /* Acquires what the thread has done until then. */
    ENSURE(atomic_load(&interrupt.wanted) == DONE);
    return true;
}
