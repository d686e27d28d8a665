/* The gateway's memory watchdog: reads the process's resident memory several times a second, and
 * above gateway.memory_bytes_max closes every connection and listens anew on the same endpoint.
 *
 * It guards against messages without end. libzmq gathers the frames of a message, each within
 * MAXMSGSIZE, until the last one has come; the high-water mark sees only finished messages, so
 * that a few connections can fill the memory without a byte coming through here. Nothing smaller
 * than the whole listener can be closed:
 *
 *   - libzmq 4.3.4 has no call that closes one connection of a ROUTER (zmq_disconnect_peer is for
 *     draft sockets), and names in no option or event how much a connection has gathered;
 *   - shutdown(2) on the descriptor that the monitor named would race with libzmq's close: the
 *     number may be the store's or another peer's by then;
 *   - for the same reason there is no deadline for hello. A connection that does not finish the
 *     ZMTP handshake is closed by libzmq (HANDSHAKE_IVL); one that did and never greets stays.
 *
 * Peers lose their connections, greet again and resend what was not answered. What was swapped out
 * is not resident: a process that must stay within a size needs a limit of the system as well. */
#include "brokers/gateway/session_link.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    /* A stranger on loopback sends about 1 GB/s: 100 MB come between two checks. */
    CHECK_US = 100000,
    FAILURES_PER_LINE = 10, /* of opening again: a line each second */
};

/* The second number of statm is the resident pages. 0: it cannot be read. */
static uint64_t read_resident(const gateway_t *self)
{
    char text[128];
    ssize_t size = pread(self->statm, text, sizeof text - 1, 0);
    if (size <= 0) {
        return 0;
    }
    text[size] = 0;
    char *rest;
    (void)strtoull(text, &rest, 10);
    return strtoull(rest, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void start_timer(gateway_t *self)
{
    self->memory_timer = capstan_timer_start(self->actor, CHECK_US, &self->memory);
}

void gateway_memory_start(gateway_t *self)
{
    self->memory = (memory_guard_t){.bytes_max = self->settings->memory_bytes_max};
    self->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    self->resident = read_resident(self);
    if (self->resident == 0) {
        LOG(gateway, memory_unread, log_error(CAPSTAN_E_SYSTEM));
        return;
    }
    start_timer(self);
}

void gateway_memory_stop(gateway_t *self)
{
    if (self->statm >= 0) {
        close(self->statm);
    }
    self->statm = -1;
}

static void reset(gateway_t *self)
{
    LOG(gateway, memory_reset, log_uint("resident_bytes", self->resident),
        log_uint("memory_bytes_max", self->memory.bytes_max),
        log_uint("sessions", self->session_count),
        log_uint("connections", gateway_socket_connections(self)));
    METRIC_ADD(gateway, memory_resets, 1);
    while (self->sessions) {
        link_end(self->sessions, END_REASON_memory);
    }
    gateway_socket_close(self);
    memory_guard_close(&self->memory, self->resident);
    self->reopen_failures = 0;
}

/* The old socket may still hold the port, or another program may have taken it: the next check
 * tries again, for ever. */
static void reopen(gateway_t *self)
{
    char why[512];
    capstan_err_t err = gateway_socket_open(self, self->endpoint, why, sizeof why);
    if (err != CAPSTAN_OK) {
        gateway_socket_close(self);
        if (++self->reopen_failures % FAILURES_PER_LINE == 0) {
            LOG(gateway, not_listening, log_error(err), log_string("why", why));
        }
        return;
    }
    LOG(gateway, listening, log_string("endpoint", self->endpoint),
        log_uint("resident_bytes", self->resident));
    if (self->resident > self->memory.bytes_max) {
        LOG(gateway, memory_remains, log_uint("resident_bytes", self->resident),
            log_uint("memory_bytes_max", self->memory.bytes_max));
    }
}

void gateway_memory_check(gateway_t *self)
{
    bool closed = !self->router;
    if (closed && self->reopen_failures == 0) {
        (void)malloc_trim(0); /* what was freed falls out of the resident memory */
    }
    self->resident = read_resident(self);
    if (closed && !self->intake_stopped &&
        memory_guard_has_settled(&self->memory, self->resident)) {
        reopen(self);
    } else if (!closed && memory_guard_is_over(&self->memory, self->resident)) {
        reset(self);
    }
    start_timer(self);
}
