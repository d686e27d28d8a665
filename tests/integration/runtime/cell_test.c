/* What a cell owes its actors whatever the threads do: the right time, its turns, and messages
 * behind the spawn of their receiver. */
#include "runtime/runtime.h"

#include <criterion/criterion.h>
#include <capstan/node.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    MESSAGE_work = 0x8000,
    MESSAGE_result, /* request: answered with one uint64_t, now or later */
    STOP_US = 60000000,
};

static int64_t clock_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static uint64_t result_of(capstan_node_t *node, capstan_ref_t ref)
{
    void *body;
    size_t size;
    uint64_t result;
    cr_assert_eq(capstan_node_ask(node, ref, MESSAGE_result, (slice_t){0}, STOP_US, &body, &size),
                 CAPSTAN_OK);
    cr_assert_eq(size, sizeof result);
    memcpy(&result, body, size);
    free(body);
    return result;
}

static void reply_result(capstan_actor_t *self, const capstan_message_t *request, uint64_t result)
{
    capstan_reply(self, request, MESSAGE_result, (slice_t){&result, sizeof result});
}

static capstan_node_t *start(const capstan_behaviour_t *behaviour, void *argument,
                             capstan_ref_t *ret_ref)
{
    capstan_node_t *node;
    cr_assert_eq(capstan_node_new(NULL, &node), CAPSTAN_OK);
    cr_assert_eq(capstan_node_spawn(node, behaviour,
                                    &(capstan_spawn_options_t){.cell = "a", .argument = argument},
                                    ret_ref),
                 CAPSTAN_OK);
    return node;
}

static capstan_err_t keep_argument(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    return CAPSTAN_OK;
}

/* --- time ------------------------------------------------------------------------------------ */

typedef struct sleeper {
    int fd;
    int64_t begun_us;
    int64_t took_us;
    capstan_message_t request;
} sleeper_t;

static capstan_err_t sleeper_init(capstan_actor_t *self, void *argument)
{
    sleeper_t *sleeper = argument;
    capstan_actor_set_state(self, sleeper);
    return capstan_watch_fd(self, sleeper->fd, NULL);
}

static void sleeper_ready(capstan_actor_t *self, void *cookie)
{
    sleeper_t *sleeper = capstan_actor_state(self);
    capstan_unwatch(self, cookie);
    sleeper->begun_us = clock_us();
    capstan_timer_start(self, 200000, NULL);
}

static void sleeper_timer(capstan_actor_t *self, uint64_t timer, void *cookie)
{
    (void)timer;
    (void)cookie;
    sleeper_t *sleeper = capstan_actor_state(self);
    sleeper->took_us = clock_us() - sleeper->begun_us;
    if (sleeper->request.kind > 0) {
        reply_result(self, &sleeper->request, (uint64_t)sleeper->took_us);
    }
}

static capstan_err_t sleeper_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    sleeper_t *sleeper = capstan_actor_state(self);
    if (sleeper->took_us > 0) {
        reply_result(self, message, (uint64_t)sleeper->took_us);
    } else {
        sleeper->request = *message;
    }
    return CAPSTAN_OK;
}

/* A descriptor that gets ready ends the cell's sleep: what its handler starts begins then, not when
 * the cell fell asleep. */
Test(cell, counts_a_timer_from_when_it_was_started_also_after_a_sleep)
{
    static const capstan_behaviour_t behaviour = {.name = "sleeper",
                                                  .init = sleeper_init,
                                                  .receive = sleeper_receive,
                                                  .ready = sleeper_ready,
                                                  .timer = sleeper_timer};
    sleeper_t sleeper = {.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    capstan_ref_t ref;
    capstan_node_t *node = start(&behaviour, &sleeper, &ref);
    (void)poll(NULL, 0, 300);
    uint64_t one = 1;
    cr_assert_eq(write(sleeper.fd, &one, sizeof one), (ssize_t)sizeof one);
    uint64_t took_us = result_of(node, ref);
    cr_assert_geq(took_us, 199000u);
    cr_assert_eq(capstan_node_stop(&node, STOP_US, NULL, NULL), CAPSTAN_OK);
    close(sleeper.fd);
}

/* --- turns ----------------------------------------------------------------------------------- */

enum { WORK = 60000 };

typedef struct worker {
    uint64_t done;
    capstan_message_t request;
} worker_t;

static capstan_err_t worker_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    worker_t *worker = capstan_actor_state(self);
    if (message->message == MESSAGE_work) {
        worker->done++;
        return CAPSTAN_OK;
    }
    for (int i = 0; i < WORK; i++) {
        cr_assert_eq(capstan_tell(self, capstan_actor_ref(self), MESSAGE_work, (slice_t){0}),
                     CAPSTAN_OK);
    }
    capstan_timer_start(self, 0, NULL);
    worker->request = *message;
    return CAPSTAN_OK;
}

static void worker_timer(capstan_actor_t *self, uint64_t timer, void *cookie)
{
    (void)timer;
    (void)cookie;
    const worker_t *worker = capstan_actor_state(self);
    reply_result(self, &worker->request, worker->done);
}

Test(cell, lets_a_timer_fire_between_the_messages_of_a_long_queue)
{
    static const capstan_behaviour_t behaviour = {
        .name = "worker", .init = keep_argument, .receive = worker_receive, .timer = worker_timer};
    worker_t worker = {0};
    capstan_ref_t ref;
    capstan_node_t *node = start(&behaviour, &worker, &ref);
    cr_assert_lt(result_of(node, ref), (uint64_t)WORK);
    cr_assert_eq(capstan_node_stop(&node, STOP_US, NULL, NULL), CAPSTAN_OK);
}

/* --- spawning on another cell ---------------------------------------------------------------- */

enum { CHILDREN = 4000, CHILDREN_AT_ONCE = 4 };

typedef struct parent {
    uint64_t started;
    uint64_t answered;
    uint64_t refused;
    capstan_message_t request;
} parent_t;

static capstan_err_t child_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    reply_result(self, message, 1);
    capstan_actor_exit(self, CAPSTAN_OK);
    return CAPSTAN_OK;
}

static void start_child(capstan_actor_t *self, parent_t *parent)
{
    static const capstan_behaviour_t child = {.name = "child", .receive = child_receive};
    capstan_ref_t ref;
    uint64_t ask;
    parent->started++;
    cr_assert_eq(capstan_spawn(self, &child, &(capstan_spawn_options_t){.cell = "b"}, &ref),
                 CAPSTAN_OK);
    cr_assert_eq(capstan_ask(self, ref, MESSAGE_result, (slice_t){0}, STOP_US, &ask), CAPSTAN_OK);
}

static capstan_err_t parent_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    parent_t *parent = capstan_actor_state(self);
    if (message->kind == CAPSTAN_KIND_REQUEST) {
        parent->request = *message;
        for (int i = 0; i < CHILDREN_AT_ONCE; i++) {
            start_child(self, parent);
        }
        return CAPSTAN_OK;
    }
    parent->answered++;
    parent->refused += message->kind == CAPSTAN_KIND_ERROR;
    if (parent->started < CHILDREN) {
        start_child(self, parent);
    } else if (parent->answered == CHILDREN) {
        reply_result(self, &parent->request, parent->refused);
    }
    return CAPSTAN_OK;
}

Test(cell, takes_a_spawn_before_the_messages_that_were_sent_behind_it)
{
    static const capstan_behaviour_t behaviour = {
        .name = "parent", .init = keep_argument, .receive = parent_receive};
    parent_t parent = {0};
    capstan_ref_t ref;
    capstan_node_t *node = start(&behaviour, &parent, &ref);
    cr_assert_eq(result_of(node, ref), 0u, "a message overtook the spawn of its receiver");
    cr_assert_eq(capstan_node_stop(&node, STOP_US, NULL, NULL), CAPSTAN_OK);
}
