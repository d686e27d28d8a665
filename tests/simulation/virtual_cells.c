#include "tests/simulation/virtual_cells.h"

#include "runtime/base/ensure.h"

#include <errno.h>
#include <string.h>

static _Thread_local struct {
    bool on;
    int64_t now_us;
    int64_t clock_us; /* of the cell whose turn it is; 0: no turn */
    virtual_wait_fn *wait;
    void *context;
    cell_t *cells[CELLS_MAX]; /* a cell's thread is its place + 1 */
    size_t cell_count;
} here;

void virtual_begin(int64_t now_us, virtual_wait_fn *wait, void *context)
{
    ENSURE(!here.on);
    memset(&here, 0, sizeof here);
    here.on = true;
    here.now_us = now_us;
    here.wait = wait;
    here.context = context;
}

void virtual_end(void)
{
    here.on = false;
}

int64_t virtual_now(void)
{
    return here.now_us;
}

void virtual_advance(int64_t by_us)
{
    here.now_us += by_us;
}

bool virtual_turn(cell_t *cell, int64_t clock_us)
{
    here.clock_us = clock_us;
    bool any = cell_turn(cell);
    here.clock_us = 0;
    return any;
}

/* --- what the linker puts in place of the system's functions --------------------------------- */

int __real_clock_gettime(clockid_t clock, struct timespec *ret_time);
int __real_pthread_timedjoin_np(pthread_t thread, void **ret_result, const struct timespec *until);
int __real_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int __real_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  const struct timespec *until);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_time)
{
    if (!here.on) {
        return __real_clock_gettime(clock, ret_time);
    }
    int64_t now_us = here.clock_us > 0 ? here.clock_us : here.now_us;
    *ret_time = (struct timespec){.tv_sec = now_us / 1000000, .tv_nsec = now_us % 1000000 * 1000};
    return 0;
}

bool __wrap_cell_start_thread(cell_t *cell);
bool __wrap_cell_start_thread(cell_t *cell)
{
    ENSURE(here.on && here.cell_count < CELLS_MAX);
    here.cells[here.cell_count++] = cell;
    cell->thread = (pthread_t)here.cell_count;
    return true;
}

int __wrap_pthread_timedjoin_np(pthread_t thread, void **ret_result, const struct timespec *until);
int __wrap_pthread_timedjoin_np(pthread_t thread, void **ret_result, const struct timespec *until)
{
    if (!here.on) {
        return __real_pthread_timedjoin_np(thread, ret_result, until);
    }
    if ((size_t)thread > here.cell_count) {
        return pthread_join(thread, ret_result); /* a real one, for which no time passes here */
    }
    cell_t *cell = here.cells[(size_t)thread - 1];
    cell_begin(cell);
    while (!cell->ending) {
        cell_turn(cell);
    }
    cell_finish(cell);
    return 0;
}

static void let_pass(pthread_mutex_t *mutex)
{
    pthread_mutex_unlock(mutex);
    here.wait(here.context);
    pthread_mutex_lock(mutex);
}

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    if (!here.on) {
        return __real_pthread_cond_wait(condition, mutex);
    }
    let_pass(mutex);
    return 0;
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  const struct timespec *until)
{
    if (!here.on) {
        return __real_pthread_cond_timedwait(condition, mutex, until);
    }
    let_pass(mutex);
    int64_t until_us = (int64_t)until->tv_sec * 1000000 + until->tv_nsec / 1000;
    return here.now_us >= until_us ? ETIMEDOUT : 0;
}
