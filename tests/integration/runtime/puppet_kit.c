#include "tests/integration/runtime/puppet_kit.h"

#include "runtime/base/ensure.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { MESSAGE_order = 0x8000, MESSAGE_report, MESSAGE_ping };

typedef struct puppet {
    puppet_report_t report;
    capstan_message_t request; /* PUPPET_SYNC that waits, without its body */
    capstan_err_t fail_turn;
    capstan_err_t fail_stop;
    capstan_err_t fail_ready;
    bool ignores_stop;
    int fd;
} puppet_t;

static capstan_err_t init(capstan_actor_t *self, void *argument)
{
    const puppet_spawn_t *spawn = argument;
    puppet_t *puppet = calloc(1, sizeof *puppet);
    ENSURE(puppet);
    puppet->fd = -1;
    capstan_actor_set_state(self, puppet);
    if (spawn && spawn->fail_init != CAPSTAN_OK) {
        capstan_timer_start(self, 0, puppet); /* to be seen to go with it */
        return spawn->fail_init;
    }
    return CAPSTAN_OK;
}

static void destroy(capstan_actor_t *self)
{
    puppet_t *puppet = capstan_actor_state(self);
    if (puppet->fd >= 0) {
        close(puppet->fd);
    }
    free(puppet);
}

static void reply(capstan_actor_t *self, const capstan_message_t *request)
{
    puppet_t *puppet = capstan_actor_state(self);
    capstan_reply(self, request, MESSAGE_report, (slice_t){&puppet->report, sizeof puppet->report});
}

static const capstan_behaviour_t *behaviour_of(const puppet_spawn_t *spawn);

/* The argument must live until init has run, which on another cell is later. */
static capstan_err_t spawn_puppet(capstan_actor_t *self, const puppet_spawn_t *spawn)
{
    static puppet_spawn_t failing;
    puppet_t *puppet = capstan_actor_state(self);
    if (spawn->fail_init != CAPSTAN_OK) {
        failing = *spawn;
    }
    return capstan_spawn(self, behaviour_of(spawn),
                         &(capstan_spawn_options_t){.cell = spawn->cell[0] ? spawn->cell : NULL,
                                                    .monitor = spawn->monitor,
                                                    .link = spawn->link,
                                                    .argument = spawn->fail_init ? &failing : NULL},
                         &puppet->report.spawned);
}

static void fail_ready(capstan_actor_t *self, puppet_t *puppet, capstan_err_t reason)
{
    puppet->fail_ready = reason;
    puppet->fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    cr_assert_eq(capstan_watch_fd(self, puppet->fd, NULL), CAPSTAN_OK);
}

static capstan_err_t obey(capstan_actor_t *self, const puppet_order_t *order)
{
    puppet_t *puppet = capstan_actor_state(self);
    capstan_err_t reason = (capstan_err_t)order->number;
    switch (order->deed) {
    case PUPPET_MONITOR:
        return capstan_monitor(self, order->other);
    case PUPPET_DEMONITOR:
        capstan_demonitor(self, order->other);
        return CAPSTAN_OK;
    case PUPPET_LINK:
        return capstan_link(self, order->other);
    case PUPPET_UNLINK:
        capstan_unlink(self, order->other);
        return CAPSTAN_OK;
    case PUPPET_STOP:
        return capstan_stop(self, order->other, order->number);
    case PUPPET_SPAWN:
        return spawn_puppet(self, &order->spawn);
    case PUPPET_EXIT:
        capstan_actor_exit(self, reason);
        return CAPSTAN_OK;
    case PUPPET_FAIL_TIMER:
        capstan_timer_start(self, 0, (void *)(uintptr_t)reason);
        return CAPSTAN_OK;
    case PUPPET_FAIL_READY:
        fail_ready(self, puppet, reason);
        return CAPSTAN_OK;
    case PUPPET_FAIL_TURN:
        puppet->fail_turn = reason;
        return CAPSTAN_OK;
    case PUPPET_FAIL_STOP:
        puppet->fail_stop = reason;
        return CAPSTAN_OK;
    case PUPPET_IGNORE_STOP:
        puppet->ignores_stop = true;
        return CAPSTAN_OK;
    default:
        return CAPSTAN_OK;
    }
}

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    puppet_t *puppet = capstan_actor_state(self);
    if (capstan_message_is_down(message, &puppet->report.down_actor, &puppet->report.down_reason)) {
        puppet->report.downs++;
        return CAPSTAN_OK;
    }
    if (message->message == MESSAGE_ping && message->kind == CAPSTAN_KIND_REQUEST) {
        capstan_reply(self, message, MESSAGE_ping, (slice_t){0});
        return CAPSTAN_OK;
    }
    if (message->kind == CAPSTAN_KIND_REPLY || message->kind == CAPSTAN_KIND_ERROR) {
        reply(self, &puppet->request);
        return CAPSTAN_OK;
    }
    puppet_order_t order;
    cr_assert_eq(message->body.size, sizeof order);
    memcpy(&order, message->body.data, sizeof order);
    if (order.deed == PUPPET_FAIL) {
        return (capstan_err_t)order.number;
    }
    if (order.deed == PUPPET_SYNC) {
        uint64_t ask;
        puppet->request = *message;
        puppet->report.err =
            capstan_ask(self, order.other, MESSAGE_ping, (slice_t){0}, PUPPET_STOP_US, &ask);
        if (puppet->report.err == CAPSTAN_OK) {
            return CAPSTAN_OK;
        }
    } else {
        puppet->report.err = obey(self, &order);
    }
    reply(self, message);
    return CAPSTAN_OK;
}

static void timer(capstan_actor_t *self, uint64_t number, void *cookie)
{
    (void)number;
    capstan_actor_exit(self, (capstan_err_t)(uintptr_t)cookie);
}

static void ready(capstan_actor_t *self, void *cookie)
{
    (void)cookie;
    const puppet_t *puppet = capstan_actor_state(self);
    capstan_actor_exit(self, puppet->fail_ready);
}

static void turn_end(capstan_actor_t *self)
{
    const puppet_t *puppet = capstan_actor_state(self);
    if (puppet->fail_turn != CAPSTAN_OK) {
        capstan_actor_exit(self, puppet->fail_turn);
    }
}

static void stop(capstan_actor_t *self)
{
    puppet_t *puppet = capstan_actor_state(self);
    puppet->report.stops++;
    if (!puppet->ignores_stop) {
        capstan_actor_exit(self, puppet->fail_stop);
    }
}

static const capstan_behaviour_t *behaviour_of(const puppet_spawn_t *spawn)
{
#define PUPPET_HANDLERS                                                                            \
    .init = init, .receive = receive, .timer = timer, .ready = ready, .turn_end = turn_end,        \
    .stop = stop, .destroy = destroy
    static const capstan_behaviour_t plain = {.name = "puppet", PUPPET_HANDLERS};
    static const capstan_behaviour_t trapping = {
        .name = "trapping puppet", PUPPET_HANDLERS, .traps_exits = true};
    return spawn->traps_exits ? &trapping : &plain;
}

/* --- what tests call ------------------------------------------------------------------------- */

capstan_node_t *puppet_node(bool strict)
{
    capstan_node_t *node;
    cr_assert_eq(capstan_node_new(&(capstan_node_options_t){.strict_wire = strict}, &node),
                 CAPSTAN_OK);
    return node;
}

void puppet_node_stop(capstan_node_t *node)
{
    cr_assert_eq(capstan_node_stop(&node, PUPPET_STOP_US, NULL, NULL), CAPSTAN_OK);
}

capstan_ref_t puppet_new(capstan_node_t *node, const puppet_spawn_t *spawn)
{
    capstan_ref_t ref;
    cr_assert_eq(capstan_node_spawn(node, behaviour_of(spawn),
                                    &(capstan_spawn_options_t){.cell = spawn->cell}, &ref),
                 CAPSTAN_OK);
    return ref;
}

static capstan_err_t ask(capstan_node_t *node, capstan_ref_t puppet, const puppet_order_t *order,
                         puppet_report_t *ret_report)
{
    void *body;
    size_t size;
    capstan_err_t err = capstan_node_ask(
        node, puppet, MESSAGE_order, (slice_t){order, sizeof *order}, PUPPET_STOP_US, &body, &size);
    if (err == CAPSTAN_OK) {
        cr_assert_eq(size, sizeof *ret_report);
        memcpy(ret_report, body, size);
        free(body);
    }
    return err;
}

puppet_report_t puppet_tell(capstan_node_t *node, capstan_ref_t puppet, const puppet_order_t *order)
{
    puppet_report_t report;
    cr_assert_eq(ask(node, puppet, order, &report), CAPSTAN_OK);
    return report;
}

void puppet_send(capstan_node_t *node, capstan_ref_t puppet, const puppet_order_t *order)
{
    cr_assert_eq(capstan_node_tell(node, puppet, MESSAGE_order, (slice_t){order, sizeof *order}),
                 CAPSTAN_OK);
}

puppet_report_t puppet_report(capstan_node_t *node, capstan_ref_t puppet)
{
    return puppet_tell(node, puppet, &(puppet_order_t){.deed = PUPPET_REPORT});
}

void puppet_await_end(capstan_node_t *node, capstan_ref_t puppet, capstan_ref_t beside,
                      capstan_ref_t other)
{
    puppet_report_t report;
    while (ask(node, puppet, &(puppet_order_t){.deed = PUPPET_REPORT}, &report) != CAPSTAN_E_GONE) {
        sched_yield();
    }
    puppet_tell(node, beside, &(puppet_order_t){.deed = PUPPET_SYNC, .other = other});
}
