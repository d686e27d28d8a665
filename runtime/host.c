#include "runtime/host.h"

#include "runtime/base/ensure.h"
#include "runtime/base/scarcity.h"
#include "runtime/telemetry/metrics.h"
#include "runtime/watchdog.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* A host has other things to do. The last turn may take longer: handlers take what they take. */
enum { RUN_US = 1000 };

struct host {
    pthread_t thread;
    int epoll_fd;
    int timer_fd;
    int64_t armed_us; /* what timer_fd waits for; INT64_MAX: nothing */
    uint64_t version; /* of the cell's watches, as they are in the set */
    int fds[CELL_WATCHES_MAX + 2];
    size_t fd_count;
    bool running;
};

static int fd_of(const zmq_pollitem_t *item)
{
    int fd = item->fd;
    size_t size = sizeof fd;
    if (item->socket && zmq_getsockopt(item->socket, ZMQ_FD, &fd, &size) != 0) {
        fd = -1;
    }
    return fd;
}

static bool add_fd(const host_t *self, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Brings the set up to date with what the cell watches. An actor may have closed a descriptor and
 * opened another one of the same number, so all are taken out and put in again. */
static void follow_watches(cell_t *cell)
{
    host_t *self = cell->host;
    size_t items = cell->watch_count + 2;
    for (size_t i = 0; i < self->fd_count; i++) {
        (void)epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, self->fds[i], NULL);
    }
    self->fd_count = 0;
    for (size_t i = 0; i < items; i++) {
        int fd = fd_of(&cell->items[i]);
        if (fd >= 0 && add_fd(self, fd)) {
            self->fds[self->fd_count++] = fd;
        }
    }
    self->version = cell->watch_version;
}

static void arm_timer(cell_t *cell)
{
    host_t *self = cell->host;
    int64_t next_us = timers_next_us(&cell->timers);
    if (next_us == self->armed_us) {
        return;
    }
    /* All zero disarms; a time that has passed fires at once. */
    struct itimerspec when = {.it_value = {0, 0}};
    if (next_us != INT64_MAX) {
        when.it_value.tv_sec = next_us / 1000000;
        when.it_value.tv_nsec = next_us % 1000000 * 1000 + 1;
    }
    int rc = timerfd_settime(self->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
    ENSURE(rc == 0);
    self->armed_us = next_us;
}

static bool sockets_are_ready(cell_t *cell)
{
    int count = (int)cell->watch_count + 2;
    if (zmq_poll(cell->items, count, 0) <= 0) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        if (cell->items[i].socket && cell->items[i].revents) {
            return true;
        }
    }
    return false;
}

/* After this the set tells when the cell is to run next. */
static void rest(cell_t *cell, bool more)
{
    if (cell->watch_version != cell->host->version) {
        follow_watches(cell);
    }
    arm_timer(cell);
    cell_fall_asleep(cell);
    if (more || cell_has_foreign_work(cell) || sockets_are_ready(cell)) {
        cell_wake(cell);
    }
}

capstan_err_t host_open(cell_t *cell)
{
    host_t *self = calloc(1, sizeof *self);
    if (!self) {
        return CAPSTAN_E_NO_MEMORY;
    }
    self->thread = pthread_self();
    self->armed_us = INT64_MAX;
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    self->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    cell->host = self;
    if (self->epoll_fd < 0 || self->timer_fd < 0 || !add_fd(self, self->timer_fd)) {
        capstan_err_t err = descriptor_error(errno);
        host_close(cell);
        return err;
    }
    metric_shard_take();
    watchdog_add(node_watchdog(cell->node), cell, NULL);
    cell_begin(cell);
    follow_watches(cell);
    rest(cell, false);
    return CAPSTAN_OK;
}

void host_close(cell_t *cell)
{
    host_t *self = cell->host;
    if (cell->port) {
        cell_run_commands(cell); /* of a stop that found nothing left to stop */
        cell_finish(cell);
        watchdog_remove(node_watchdog(cell->node), cell);
        metric_shard_give_back();
    }
    if (self->epoll_fd >= 0) {
        close(self->epoll_fd);
    }
    if (self->timer_fd >= 0) {
        close(self->timer_fd);
    }
    free(self);
    cell->host = NULL;
}

bool host_is_mine(const cell_t *cell)
{
    return cell && pthread_equal(cell->host->thread, pthread_self());
}

int host_fd(const cell_t *cell)
{
    return cell->host->epoll_fd;
}

bool host_run(cell_t *cell)
{
    host_t *self = cell->host;
    ENSURE(host_is_mine(cell) && !self->running);
    self->running = true;
    cell_awake(cell);
    bool more = cell_turn(cell);
    for (int64_t begin_us = cell->now_us; more && cell->now_us - begin_us < RUN_US;) {
        more = cell_turn(cell);
    }
    rest(cell, more);
    self->running = false;
    return more;
}

void host_wait(cell_t *cell, int timeout_ms)
{
    struct pollfd ready = {.fd = cell->host->epoll_fd, .events = POLLIN};
    (void)poll(&ready, 1, timeout_ms); /* interrupted: the caller looks and comes again */
    host_run(cell);
}
