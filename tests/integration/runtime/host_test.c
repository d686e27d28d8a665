/* A host with a main loop of its own: the actors of its cell run on its thread, and one descriptor
 * says when. Waits are for the descriptor; one that never comes is ended by the test's time limit.
 */
#include "runtime/runtime.h"

#include <criterion/criterion.h>
#include <capstan/node.h>
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    MESSAGE_number = 0x8000, /* body: a uint64_t, one more than the one before */
    MESSAGE_question,        /* request: answered with the number of what came */
    MESSAGE_relay,           /* request: answered when the actor on the host's cell has answered */
    MESSAGE_go,
    STOP_US = 60000000,
};

static capstan_node_t *start(bool strict)
{
    capstan_node_t *node;
    cr_assert_eq(capstan_node_new(
                     &(capstan_node_options_t){.host_cell = "host", .strict_wire = strict}, &node),
                 CAPSTAN_OK);
    cr_assert(capstan_node_fd(node) >= 0);
    return node;
}

static void stop(capstan_node_t *node)
{
    cr_assert_eq(capstan_node_stop(&node, STOP_US, NULL, NULL), CAPSTAN_OK);
    cr_assert_null(node);
}

static bool is_readable(const capstan_node_t *node, int timeout_ms)
{
    struct pollfd ready = {.fd = capstan_node_fd(node), .events = POLLIN};
    int found;
    do {
        found = poll(&ready, 1, timeout_ms);
    } while (found < 0);
    return found == 1;
}

/* The loop of a host: dispatches only when the descriptor says so. */
static void loop_until(capstan_node_t *node, const bool *done)
{
    while (!*done) {
        is_readable(node, -1);
        capstan_node_dispatch(node);
    }
}

/* --- an actor that counts, and others that send to it ------------------------------------------
 */

typedef struct counter {
    pthread_t thread; /* where its handlers must run */
    uint64_t next[8]; /* per sender */
    uint64_t count;
    uint64_t goal;
    bool done;
    bool stopped;
} counter_t;

static void check_thread(const counter_t *counter)
{
    cr_assert(pthread_equal(counter->thread, pthread_self()));
}

static capstan_err_t counter_init(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    check_thread(argument);
    return CAPSTAN_OK;
}

static capstan_err_t counter_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    counter_t *counter = capstan_actor_state(self);
    uint64_t number[2];
    check_thread(counter);
    if (message->message == MESSAGE_number) {
        memcpy(number, message->body.data, sizeof number);
        cr_assert_eq(number[1], counter->next[number[0]]++);
        counter->done = ++counter->count == counter->goal;
    } else if (message->message == MESSAGE_question) {
        capstan_reply(self, message, MESSAGE_question,
                      (slice_t){&counter->count, sizeof counter->count});
    }
    return CAPSTAN_OK;
}

static void counter_stop(capstan_actor_t *self)
{
    counter_t *counter = capstan_actor_state(self);
    check_thread(counter);
    counter->stopped = true;
    capstan_actor_exit(self, CAPSTAN_OK);
}

static const capstan_behaviour_t counter_behaviour = {
    .name = "counter", .init = counter_init, .receive = counter_receive, .stop = counter_stop};

static capstan_ref_t spawn(capstan_node_t *node, const capstan_behaviour_t *behaviour,
                           const char *cell, void *argument)
{
    capstan_ref_t ref;
    cr_assert_eq(capstan_node_spawn(node, behaviour,
                                    &(capstan_spawn_options_t){.cell = cell, .argument = argument},
                                    &ref),
                 CAPSTAN_OK);
    return ref;
}

typedef struct sender {
    capstan_ref_t target;
    uint64_t number[2]; /* of this sender, and of its next message */
    uint64_t goal;
} sender_t;

static capstan_err_t sender_init(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    capstan_timer_start(self, 0, NULL);
    return CAPSTAN_OK;
}

/* Bursts of 1 to 97 messages with pauses of 0 to 60 us between them, so that the host is caught
 * waking up, running, and falling asleep. */
static void sender_timer(capstan_actor_t *self, uint64_t timer, void *cookie)
{
    sender_t *sender = capstan_actor_state(self);
    (void)timer;
    (void)cookie;
    for (uint64_t i = sender->number[1] * 31 % 97 + 1; i > 0; i--) {
        if (sender->number[1] == sender->goal ||
            capstan_tell(self, sender->target, MESSAGE_number,
                         (slice_t){sender->number, sizeof sender->number}) != CAPSTAN_OK) {
            break;
        }
        sender->number[1]++;
    }
    if (sender->number[1] < sender->goal) {
        capstan_timer_start(self, (int64_t)(sender->number[1] * 7 % 61), NULL);
    }
}

static capstan_err_t ignore(capstan_actor_t *self, const capstan_message_t *message)
{
    (void)self;
    (void)message;
    return CAPSTAN_OK;
}

static const capstan_behaviour_t sender_behaviour = {
    .name = "sender", .init = sender_init, .receive = ignore, .timer = sender_timer};

/* Goal: no message waits for another one, whichever instant of the host's loop it falls into. */
static void check_no_wake_up_is_lost(bool strict)
{
    enum { SENDERS = 3, EACH = 20000 };
    static const char *const cells[] = {"a", "b", "host"};
    capstan_node_t *node = start(strict);
    counter_t counter = {.thread = pthread_self(), .goal = (SENDERS + 1) * EACH};
    sender_t senders[SENDERS];
    capstan_ref_t ref = spawn(node, &counter_behaviour, "host", &counter);
    for (uint64_t i = 0; i < SENDERS; i++) {
        senders[i] = (sender_t){.target = ref, .number = {i, 0}, .goal = EACH};
        spawn(node, &sender_behaviour, cells[i], &senders[i]);
    }
    uint64_t number[2] = {SENDERS, 0};
    while (!counter.done) {
        if (number[1] < EACH && capstan_node_tell(node, ref, MESSAGE_number,
                                                  (slice_t){number, sizeof number}) == CAPSTAN_OK) {
            number[1]++;
        }
        is_readable(node, number[1] < EACH ? 0 : -1);
        capstan_node_dispatch(node);
    }
    stop(node);
    cr_assert(counter.stopped);
}

Test(host, no_wake_up_is_lost)
{
    check_no_wake_up_is_lost(false);
}

Test(host, no_wake_up_is_lost_on_the_strict_wire)
{
    check_no_wake_up_is_lost(true);
}

/* Goal: a host's processor rests when its actors have nothing to do. */
Test(host, the_descriptor_is_silent_when_there_is_nothing_to_do)
{
    capstan_node_t *node = start(false);
    counter_t counter = {.thread = pthread_self(), .goal = 1};
    uint64_t number[2] = {0, 0};
    cr_assert(!is_readable(node, 0), "a node without actors");
    capstan_ref_t ref = spawn(node, &counter_behaviour, "host", &counter);
    while (capstan_node_dispatch(node)) {
    }
    cr_assert(!is_readable(node, 0), "an actor without messages");
    cr_assert_eq(capstan_node_tell(node, ref, MESSAGE_number, (slice_t){number, sizeof number}),
                 CAPSTAN_OK);
    cr_assert(is_readable(node, -1) && !counter.done, "nothing runs before the host dispatches");
    loop_until(node, &counter.done);
    while (capstan_node_dispatch(node)) {
    }
    cr_assert(!is_readable(node, 0), "everything is done");
    cr_assert(!capstan_node_dispatch(node), "a dispatch too many does nothing");
    stop(node);
}

/* --- timers ---------------------------------------------------------------------------------- */

typedef struct ticker {
    uint64_t left;
    bool done;
} ticker_t;

static capstan_err_t ticker_init(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    capstan_timer_start(self, 3000, NULL);
    capstan_timer_cancel(self, capstan_timer_start(self, 500, NULL));
    return CAPSTAN_OK;
}

static void ticker_timer(capstan_actor_t *self, uint64_t timer, void *cookie)
{
    ticker_t *ticker = capstan_actor_state(self);
    (void)timer;
    (void)cookie;
    ticker->left--;
    ticker->done = ticker->left == 0;
    if (!ticker->done) {
        capstan_timer_start(self, (int64_t)(ticker->left % 3 * 700), NULL);
    }
}

static const capstan_behaviour_t ticker_behaviour = {
    .name = "ticker", .init = ticker_init, .receive = ignore, .timer = ticker_timer};

Test(host, a_timer_that_is_due_makes_the_descriptor_readable)
{
    capstan_node_t *node = start(false);
    ticker_t ticker = {.left = 50};
    spawn(node, &ticker_behaviour, "host", &ticker);
    loop_until(node, &ticker.done);
    while (capstan_node_dispatch(node)) {
    }
    cr_assert(!is_readable(node, 0), "no timer is left");
    stop(node);
}

/* --- watched descriptors ------------------------------------------------------------------------
 */

typedef struct watcher {
    int fds[2];
    int seen[2];
    bool done;
} watcher_t;

static capstan_err_t watcher_init(capstan_actor_t *self, void *argument)
{
    watcher_t *watcher = argument;
    capstan_actor_set_state(self, watcher);
    for (size_t i = 0; i < 2; i++) {
        capstan_err_t err = capstan_watch_fd(self, watcher->fds[i], &watcher->fds[i]);
        if (err) {
            return err;
        }
    }
    return CAPSTAN_OK;
}

static void watcher_ready(capstan_actor_t *self, void *cookie)
{
    watcher_t *watcher = capstan_actor_state(self);
    size_t i = cookie == &watcher->fds[1];
    uint64_t value;
    cr_assert_eq(read(watcher->fds[i], &value, sizeof value), sizeof value);
    watcher->seen[i]++;
    watcher->done = true;
    if (i == 0) {
        capstan_unwatch(self, cookie);
    }
}

static const capstan_behaviour_t watcher_behaviour = {
    .name = "watcher", .init = watcher_init, .receive = ignore, .ready = watcher_ready};

Test(host, descriptors_that_actors_watch_wake_the_host)
{
    const uint64_t one = 1;
    capstan_node_t *node = start(false);
    watcher_t watcher = {.fds = {eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK)}};
    spawn(node, &watcher_behaviour, "host", &watcher);
    for (size_t i = 0; i < 2; i++) {
        watcher.done = false;
        cr_assert_eq(write(watcher.fds[i], &one, sizeof one), sizeof one);
        loop_until(node, &watcher.done);
    }
    /* The first one is watched no more. */
    cr_assert_eq(write(watcher.fds[0], &one, sizeof one), sizeof one);
    while (capstan_node_dispatch(node)) {
    }
    cr_assert(!is_readable(node, 0));
    cr_assert(watcher.seen[0] == 1 && watcher.seen[1] == 1);
    stop(node);
    close(watcher.fds[0]);
    close(watcher.fds[1]);
}

/* --- calls that wait -----------------------------------------------------------------------------
 */

typedef struct relay {
    capstan_ref_t target;
    capstan_message_t request;
} relay_t;

static capstan_err_t relay_init(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    return CAPSTAN_OK;
}

static capstan_err_t relay_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    relay_t *relay = capstan_actor_state(self);
    uint64_t ask;
    if (message->message == MESSAGE_relay) {
        relay->request = *message;
        return capstan_ask(self, relay->target, MESSAGE_question, (slice_t){0}, STOP_US, &ask);
    }
    capstan_reply(self, &relay->request, MESSAGE_relay, message->body);
    return CAPSTAN_OK;
}

static const capstan_behaviour_t relay_behaviour = {
    .name = "relay", .init = relay_init, .receive = relay_receive};

static uint64_t ask(capstan_node_t *node, capstan_ref_t ref, uint32_t message)
{
    void *body;
    size_t size;
    uint64_t count;
    cr_assert_eq(capstan_node_ask(node, ref, message, (slice_t){0}, STOP_US, &body, &size),
                 CAPSTAN_OK);
    cr_assert_eq(size, sizeof count);
    memcpy(&count, body, sizeof count);
    free(body);
    return count;
}

/* Goal: a host that waits for an answer does not wait for itself. */
Test(host, asks_its_own_actors_and_those_that_need_them)
{
    capstan_node_t *node = start(false);
    counter_t counter = {.thread = pthread_self(), .count = 4711};
    capstan_ref_t own = spawn(node, &counter_behaviour, "host", &counter);
    relay_t relay = {.target = own};
    capstan_ref_t other = spawn(node, &relay_behaviour, "other", &relay);
    for (int i = 0; i < 200; i++) {
        cr_assert_eq(ask(node, own, MESSAGE_question), 4711);
        cr_assert_eq(ask(node, other, MESSAGE_relay), 4711);
    }
    stop(node);
}

typedef struct foreign_asker {
    capstan_node_t *node;
    capstan_ref_t ref;
    int wake; /* tells the host that it is done */
} foreign_asker_t;

static void *foreign_main(void *argument)
{
    foreign_asker_t *self = argument;
    const uint64_t one = 1;
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(ask(self->node, self->ref, MESSAGE_question), 5);
    }
    cr_assert_eq(write(self->wake, &one, sizeof one), sizeof one);
    return NULL;
}

Test(host, another_thread_asks_while_the_host_loops)
{
    capstan_node_t *node = start(false);
    counter_t counter = {.thread = pthread_self(), .count = 5};
    foreign_asker_t asker = {.node = node,
                             .ref = spawn(node, &counter_behaviour, "host", &counter),
                             .wake = eventfd(0, 0)};
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, foreign_main, &asker), 0);
    struct pollfd ready[] = {{.fd = capstan_node_fd(node), .events = POLLIN},
                             {.fd = asker.wake, .events = POLLIN}};
    while (poll(ready, 2, -1) < 0 || !ready[1].revents) {
        capstan_node_dispatch(node);
    }
    pthread_join(thread, NULL);
    close(asker.wake);
    stop(node);
}

static capstan_err_t refuse(capstan_actor_t *self, void *argument)
{
    (void)self;
    (void)argument;
    return CAPSTAN_E_UNSUPPORTED;
}

Test(host, a_spawn_tells_what_init_says)
{
    static const capstan_behaviour_t refusing = {
        .name = "refusing", .init = refuse, .receive = ignore};
    capstan_node_t *node = start(false);
    capstan_ref_t ref;
    cr_assert_eq(
        capstan_node_spawn(node, &refusing, &(capstan_spawn_options_t){.cell = "host"}, &ref),
        CAPSTAN_E_UNSUPPORTED);
    stop(node);
}

/* --- limits and ends -------------------------------------------------------------------------- */

static capstan_err_t echo_for_ever(capstan_actor_t *self, const capstan_message_t *message)
{
    (void)message;
    return capstan_tell(self, capstan_actor_ref(self), MESSAGE_go, (slice_t){0});
}

/* Goal: actors that always have work do not take the host's loop away from it. */
Test(host, a_dispatch_ends_while_actors_go_on)
{
    static const capstan_behaviour_t busy = {.name = "busy", .receive = echo_for_ever};
    capstan_node_t *node = start(false);
    capstan_ref_t ref = spawn(node, &busy, "host", NULL);
    cr_assert_eq(capstan_node_tell(node, ref, MESSAGE_go, (slice_t){0}), CAPSTAN_OK);
    for (int i = 0; i < 10; i++) {
        cr_assert(is_readable(node, -1));
        cr_assert(capstan_node_dispatch(node), "there is more");
    }
    stop(node);
}

static void stay(capstan_actor_t *self)
{
    (void)self;
}

static void note_late(void *context, const char *name)
{
    const char **late = context;
    *late = name;
}

Test(host, names_its_own_actor_that_does_not_stop)
{
    static const capstan_behaviour_t stubborn = {
        .name = "stubborn", .receive = ignore, .stop = stay};
    static capstan_node_t *node; /* what is late keeps its memory */
    node = start(false);
    const char *late = "";
    spawn(node, &stubborn, "host", NULL);
    cr_assert_eq(capstan_node_stop(&node, 20000, note_late, &late), CAPSTAN_E_STOP_TIMEOUT);
    cr_assert_str_eq(late, "stubborn");
}

static size_t open_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    size_t count = 0;
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        count++;
    }
    closedir(folder);
    return count;
}

Test(host, nothing_is_left_after_the_end)
{
    size_t before = 0;
    for (int i = 0; i < 20; i++) {
        capstan_node_t *node = start(i % 2 == 0);
        counter_t counter = {.thread = pthread_self(), .goal = 100};
        capstan_ref_t ref = spawn(node, &counter_behaviour, "host", &counter);
        sender_t sender = {.target = ref, .goal = 100};
        spawn(node, &sender_behaviour, "other", &sender);
        loop_until(node, &counter.done);
        stop(node);
        before = i == 0 ? open_descriptors() : before;
    }
    cr_assert_eq(open_descriptors(), before);
}

Test(host, a_node_without_a_host_cell_has_no_descriptor)
{
    capstan_node_t *node;
    cr_assert_eq(capstan_node_new(NULL, &node), CAPSTAN_OK);
    cr_assert_eq(capstan_node_fd(node), -1);
    stop(node);
}
