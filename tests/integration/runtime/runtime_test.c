/* The runtime on real threads: cells, actors, mailboxes, asks, monitors, foreign threads, stop.
 * Every test runs twice: with messages within a cell passed by pointer, and with strict_wire. */
#include "runtime/runtime.h"
#include "runtime/runtime_messages.h"

#include <criterion/criterion.h>
#include <capstan/node.h>
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    MESSAGE_number = 0x8000, /* body: a uint64_t */
    MESSAGE_total,           /* request: answered with the receiver's count */
    MESSAGE_never,           /* request: not answered */
    MESSAGE_die,
    MESSAGE_go,
    STOP_US = 60000000,
};

typedef struct sink {
    uint64_t next[16]; /* per sender: the number that must come next */
    uint64_t count;
    uint64_t disorder;
} sink_t;

static capstan_err_t sink_init(capstan_actor_t *self, void *argument)
{
    (void)argument;
    capstan_actor_set_state(self, calloc(1, sizeof(sink_t)));
    return CAPSTAN_OK;
}

static void free_state(capstan_actor_t *self)
{
    free(capstan_actor_state(self));
}

static capstan_err_t sink_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    sink_t *sink = capstan_actor_state(self);
    if (message->message == MESSAGE_number) {
        uint64_t number[2];
        memcpy(number, message->body.data, sizeof number);
        sink->disorder += number[1] != sink->next[number[0]];
        sink->next[number[0]] = number[1] + 1;
        sink->count++;
    } else if (message->message == MESSAGE_total) {
        uint64_t answer[2] = {sink->count, sink->disorder};
        capstan_reply(self, message, MESSAGE_total, (slice_t){answer, sizeof answer});
    } else if (message->message == MESSAGE_die) {
        return CAPSTAN_E_INTERNAL;
    }
    return CAPSTAN_OK;
}

static const capstan_behaviour_t sink_behaviour = {
    .name = "sink", .init = sink_init, .receive = sink_receive, .destroy = free_state};

typedef struct source {
    capstan_ref_t target;
    uint64_t id;
    uint64_t sent;
    uint64_t goal;
} source_t;

static void source_send(capstan_actor_t *self)
{
    source_t *source = capstan_actor_state(self);
    while (source->sent < source->goal) {
        uint64_t number[2] = {source->id, source->sent};
        if (capstan_tell(self, source->target, MESSAGE_number, (slice_t){number, sizeof number}) !=
            CAPSTAN_OK) {
            capstan_timer_start(self, 100, NULL);
            return;
        }
        source->sent++;
    }
}

static capstan_err_t source_init(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    source_send(self);
    return CAPSTAN_OK;
}

static void source_timer(capstan_actor_t *self, uint64_t timer, void *cookie)
{
    (void)timer;
    (void)cookie;
    source_send(self);
}

static capstan_err_t ignore(capstan_actor_t *self, const capstan_message_t *message)
{
    (void)self;
    (void)message;
    return CAPSTAN_OK;
}

static const capstan_behaviour_t source_behaviour = {
    .name = "source", .init = source_init, .receive = ignore, .timer = source_timer};

static capstan_node_t *start_node(bool strict)
{
    capstan_node_t *node;
    cr_assert_eq(capstan_node_new(&(capstan_node_options_t){.strict_wire = strict}, &node),
                 CAPSTAN_OK);
    return node;
}

static void stop_node(capstan_node_t *node)
{
    cr_assert_eq(capstan_node_stop(&node, STOP_US, NULL, NULL), CAPSTAN_OK);
    cr_assert_null(node);
}

static capstan_ref_t spawn(capstan_node_t *node, const capstan_behaviour_t *behaviour,
                           const capstan_spawn_options_t *options)
{
    capstan_ref_t ref;
    cr_assert_eq(capstan_node_spawn(node, behaviour, options, &ref), CAPSTAN_OK);
    return ref;
}

static void ask_total(capstan_node_t *node, capstan_ref_t ref, uint64_t ret_answer[2])
{
    void *body;
    size_t size;
    capstan_err_t err;
    do {
        err = capstan_node_ask(node, ref, MESSAGE_total, (slice_t){0}, STOP_US, &body, &size);
    } while (err == CAPSTAN_E_MAILBOX_FULL);
    cr_assert_eq(err, CAPSTAN_OK);
    cr_assert_eq(size, 2 * sizeof(uint64_t));
    memcpy(ret_answer, body, size);
    free(body);
}

/* A small mailbox, so that senders meet MAILBOX_FULL many times. */
static void check_order(bool strict, const char *sender_cell)
{
    enum { SENDERS = 4, EACH = 20000 };
    capstan_node_t *node = start_node(strict);
    capstan_ref_t sink = spawn(node, &sink_behaviour,
                               &(capstan_spawn_options_t){.cell = "a", .mailbox_messages = 512});
    source_t sources[SENDERS];
    for (uint64_t i = 0; i < SENDERS; i++) {
        sources[i] = (source_t){.target = sink, .id = i, .goal = EACH};
        spawn(node, &source_behaviour,
              &(capstan_spawn_options_t){.cell = sender_cell, .argument = &sources[i]});
    }
    uint64_t answer[2] = {0};
    while (answer[0] < SENDERS * EACH) {
        ask_total(node, sink, answer);
    }
    cr_assert_eq(answer[0], SENDERS * EACH);
    cr_assert_eq(answer[1], 0, "M3: %lu messages out of order", (unsigned long)answer[1]);
    stop_node(node);
}

Test(runtime, keeps_each_senders_order_through_a_full_mailbox)
{
    for (int strict = 0; strict < 2; strict++) {
        check_order(strict, "a");
        check_order(strict, "b");
    }
}

static void sum_account(void *context, const actor_figures_t *figures)
{
    mailbox_account_t *sum = context;
    sum->sent += figures->account.sent;
    sum->delivered += figures->account.delivered;
    sum->dropped_all += figures->account.dropped_all;
    cr_assert_eq(figures->in_flight, 0, "M1: %s has %lu in flight at rest", figures->name,
                 (unsigned long)figures->in_flight);
}

Test(runtime, accounts_for_every_message_at_rest)
{
    for (int strict = 0; strict < 2; strict++) {
        capstan_node_t *node = start_node(strict);
        capstan_ref_t sink = spawn(node, &sink_behaviour, &(capstan_spawn_options_t){.cell = "a"});
        source_t source = {.target = sink, .goal = 1000};
        spawn(node, &source_behaviour,
              &(capstan_spawn_options_t){.cell = "b", .argument = &source});
        uint64_t answer[2] = {0};
        while (answer[0] < 1000) {
            ask_total(node, sink, answer);
        }
        ask_total(node, sink, answer); /* the answer before has been handled by the port */
        mailbox_account_t sum = {0};
        node_figures(node, sum_account, &sum);
        cr_assert_geq(sum.sent, 1000);
        cr_assert_eq(sum.sent, sum.delivered + sum.dropped_all);
        stop_node(node);
    }
}

Test(runtime, ends_an_unanswered_ask_at_its_deadline)
{
    capstan_node_t *node = start_node(false);
    capstan_ref_t sink = spawn(node, &sink_behaviour, &(capstan_spawn_options_t){.cell = "a"});
    void *body;
    size_t size;
    cr_assert_eq(capstan_node_ask(node, sink, MESSAGE_never, (slice_t){0}, 20000, &body, &size),
                 CAPSTAN_E_TIMEOUT);
    stop_node(node);
}

Test(runtime, answers_gone_for_an_actor_that_has_failed)
{
    for (int strict = 0; strict < 2; strict++) {
        capstan_node_t *node = start_node(strict);
        capstan_ref_t sink = spawn(node, &sink_behaviour, &(capstan_spawn_options_t){.cell = "a"});
        cr_assert_eq(capstan_node_tell(node, sink, MESSAGE_die, (slice_t){0}), CAPSTAN_OK);
        void *body;
        size_t size;
        cr_assert_eq(
            capstan_node_ask(node, sink, MESSAGE_total, (slice_t){0}, STOP_US, &body, &size),
            CAPSTAN_E_GONE);
        cr_assert_eq(capstan_node_tell(node, sink, MESSAGE_die, (slice_t){0}), CAPSTAN_E_GONE);
        stop_node(node);
    }
}

typedef struct watcher {
    capstan_ref_t target;
    uint64_t downs;
    uint64_t reason;
} watcher_t;

static capstan_err_t watcher_init(capstan_actor_t *self, void *argument)
{
    watcher_t *watcher = argument;
    capstan_actor_set_state(self, watcher);
    return capstan_monitor(self, watcher->target);
}

static capstan_err_t watcher_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    watcher_t *watcher = capstan_actor_state(self);
    if (message->message == MESSAGE_down) {
        down_t down;
        cr_assert_eq(codec_decode(down_wire(), message->body, &down, NULL), CAPSTAN_OK);
        cr_assert(capstan_ref_equal(down.actor, watcher->target));
        watcher->downs++;
        watcher->reason = down.reason;
    } else if (message->message == MESSAGE_total) {
        uint64_t answer[2] = {watcher->downs, watcher->reason};
        capstan_reply(self, message, MESSAGE_total, (slice_t){answer, sizeof answer});
    }
    return CAPSTAN_OK;
}

Test(runtime, tells_a_watcher_once_that_an_actor_ended)
{
    static const capstan_behaviour_t behaviour = {
        .name = "watcher", .init = watcher_init, .receive = watcher_receive};
    for (int strict = 0; strict < 2; strict++) {
        capstan_node_t *node = start_node(strict);
        watcher_t early = {
            .target = spawn(node, &sink_behaviour, &(capstan_spawn_options_t){.cell = "a"})};
        capstan_ref_t first =
            spawn(node, &behaviour, &(capstan_spawn_options_t){.cell = "b", .argument = &early});
        uint64_t answer[2];
        ask_total(node, first, answer);
        cr_assert_eq(answer[0], 0);
        cr_assert_eq(capstan_node_tell(node, early.target, MESSAGE_die, (slice_t){0}), CAPSTAN_OK);
        while (answer[0] == 0) {
            ask_total(node, first, answer);
        }
        /* Nothing orders the watcher's wish before another sender's `die`: it may come too late. */
        cr_assert(answer[1] == CAPSTAN_E_INTERNAL || answer[1] == CAPSTAN_E_GONE);
        watcher_t late = {.target = early.target};
        capstan_ref_t second =
            spawn(node, &behaviour, &(capstan_spawn_options_t){.cell = "b", .argument = &late});
        while (answer[0] == 0 || answer[1] != CAPSTAN_E_GONE) {
            ask_total(node, second, answer);
        }
        ask_total(node, first, answer);
        cr_assert_eq(answer[0], 1);
        stop_node(node);
    }
}

static capstan_err_t failing_init(capstan_actor_t *self, void *argument)
{
    (void)self;
    (void)argument;
    return CAPSTAN_E_LIMIT;
}

Test(runtime, leaves_nothing_of_an_actor_whose_init_failed)
{
    static const capstan_behaviour_t behaviour = {
        .name = "failing", .init = failing_init, .receive = ignore};
    capstan_node_t *node = start_node(false);
    capstan_ref_t ref;
    cr_assert_eq(
        capstan_node_spawn(node, &behaviour, &(capstan_spawn_options_t){.cell = "a"}, &ref),
        CAPSTAN_E_LIMIT);
    cr_assert_eq(capstan_node_resolve(node, "failing", &ref), CAPSTAN_E_NOT_FOUND);
    stop_node(node);
}

typedef struct outsider {
    capstan_node_t *node;
    capstan_ref_t target;
    uint64_t id;
} outsider_t;

enum { OUTSIDERS = 4, OUTSIDER_SENDS = 5000 };

static void *tell_from_outside(void *argument)
{
    const outsider_t *outsider = argument;
    for (uint64_t i = 0; i < OUTSIDER_SENDS; i++) {
        uint64_t number[2] = {outsider->id, i};
        while (capstan_node_tell(outsider->node, outsider->target, MESSAGE_number,
                                 (slice_t){number, sizeof number}) == CAPSTAN_E_MAILBOX_FULL) {
            sched_yield();
        }
    }
    return NULL;
}

Test(runtime, takes_messages_of_threads_that_are_no_cells_in_their_order)
{
    for (int strict = 0; strict < 2; strict++) {
        capstan_node_t *node = start_node(strict);
        capstan_ref_t sink = spawn(node, &sink_behaviour, &(capstan_spawn_options_t){.cell = "a"});
        pthread_t threads[OUTSIDERS];
        outsider_t outsiders[OUTSIDERS];
        for (uint64_t i = 0; i < OUTSIDERS; i++) {
            outsiders[i] = (outsider_t){.node = node, .target = sink, .id = i};
            cr_assert_eq(pthread_create(&threads[i], NULL, tell_from_outside, &outsiders[i]), 0);
        }
        for (int i = 0; i < OUTSIDERS; i++) {
            pthread_join(threads[i], NULL);
        }
        uint64_t answer[2];
        ask_total(node, sink, answer);
        cr_assert_eq(answer[0], OUTSIDERS * OUTSIDER_SENDS);
        cr_assert_eq(answer[1], 0);
        stop_node(node);
    }
}

typedef struct reader {
    int fd;
    uint64_t read;
    uint64_t calls;
} reader_t;

static capstan_err_t reader_init(capstan_actor_t *self, void *argument)
{
    reader_t *reader = argument;
    capstan_actor_set_state(self, reader);
    return capstan_watch_fd(self, reader->fd, reader);
}

static void reader_ready(capstan_actor_t *self, void *cookie)
{
    reader_t *reader = capstan_actor_state(self);
    uint64_t value = 0;
    cr_assert_eq(cookie, reader);
    cr_assert_eq(read(reader->fd, &value, sizeof value), (ssize_t)sizeof value);
    reader->read += value;
    reader->calls++;
    if (reader->calls == 3) {
        capstan_unwatch(self, cookie);
    }
}

static capstan_err_t reader_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    const reader_t *reader = capstan_actor_state(self);
    uint64_t answer[2] = {reader->calls, reader->read};
    capstan_reply(self, message, MESSAGE_total, (slice_t){answer, sizeof answer});
    return CAPSTAN_OK;
}

Test(runtime, tells_an_actor_that_its_descriptor_is_ready_until_it_is_unwatched)
{
    static const capstan_behaviour_t behaviour = {
        .name = "reader", .init = reader_init, .receive = reader_receive, .ready = reader_ready};
    capstan_node_t *node = start_node(false);
    reader_t reader = {.fd = eventfd(0, EFD_NONBLOCK)};
    capstan_ref_t ref =
        spawn(node, &behaviour, &(capstan_spawn_options_t){.cell = "a", .argument = &reader});
    uint64_t answer[2] = {0};
    for (uint64_t i = 1; i <= 3; i++) {
        cr_assert_eq(write(reader.fd, &i, sizeof i), (ssize_t)sizeof i);
        while (answer[0] < i) {
            ask_total(node, ref, answer);
        }
    }
    uint64_t last = 100;
    cr_assert_eq(write(reader.fd, &last, sizeof last), (ssize_t)sizeof last);
    for (int i = 0; i < 100; i++) {
        ask_total(node, ref, answer);
    }
    cr_assert_eq(answer[1], 1 + 2 + 3);
    stop_node(node);
    close(reader.fd);
}

/* A cell that is kept busy while messages come in for an actor that drops what does not fit. */
Test(runtime, drops_and_counts_what_overflows_where_the_policy_says_so)
{
    capstan_node_t *node = start_node(false);
    capstan_ref_t sink =
        spawn(node, &sink_behaviour,
              &(capstan_spawn_options_t){
                  .cell = "a", .mailbox_messages = 16, .overflow = CAPSTAN_OVERFLOW_DROP_NEWEST});
    source_t source = {.target = sink, .goal = 5000};
    spawn(node, &source_behaviour, &(capstan_spawn_options_t){.cell = "a", .argument = &source});
    void *body;
    size_t size;
    capstan_err_t err =
        capstan_node_ask(node, sink, MESSAGE_total, (slice_t){0}, STOP_US, &body, &size);
    if (err == CAPSTAN_OK) {
        free(body);
    }
    mailbox_account_t sum = {0};
    node_figures(node, sum_account, &sum);
    cr_assert_eq(source.sent, 5000, "a sender is not stopped by a full mailbox");
    cr_assert_eq(sum.sent, sum.delivered + sum.dropped_all);
    cr_assert_geq(sum.dropped_all, 5000 - 16 - 1);
    stop_node(node);
}

typedef struct order {
    int list[8];
    int count;
} order_t;

static order_t stop_order;

static capstan_err_t staged_init(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    return CAPSTAN_OK;
}

static void staged_stop(capstan_actor_t *self)
{
    capstan_timer_start(self, 2000, NULL);
}

static void staged_timer(capstan_actor_t *self, uint64_t timer, void *cookie)
{
    (void)timer;
    (void)cookie;
    stop_order.list[stop_order.count++] = (int)(intptr_t)capstan_actor_state(self);
    capstan_actor_exit(self, CAPSTAN_OK);
}

Test(runtime, stops_actors_in_reverse_order_and_waits_for_each)
{
    static const capstan_behaviour_t behaviour = {.name = "staged",
                                                  .init = staged_init,
                                                  .receive = ignore,
                                                  .timer = staged_timer,
                                                  .stop = staged_stop};
    capstan_node_t *node = start_node(false);
    stop_order = (order_t){0};
    for (intptr_t i = 0; i < 4; i++) {
        spawn(node, &behaviour,
              &(capstan_spawn_options_t){.cell = i % 2 ? "a" : "b", .argument = (void *)i});
    }
    stop_node(node);
    cr_assert_eq(stop_order.count, 4);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(stop_order.list[i], 3 - i);
    }
}

static char late_name[64];

static void note_late(void *context, const char *name)
{
    (void)context;
    snprintf(late_name, sizeof late_name, "%s", name);
}

static void never_stop(capstan_actor_t *self)
{
    (void)self;
}

Test(runtime, names_whoever_is_late_and_never_hangs)
{
    static const capstan_behaviour_t behaviour = {
        .name = "stubborn", .receive = ignore, .stop = never_stop};
    capstan_node_t *node = start_node(false);
    spawn(node, &behaviour, &(capstan_spawn_options_t){.cell = "a"});
    cr_assert_eq(capstan_node_stop(&node, 50000, note_late, NULL), CAPSTAN_E_STOP_TIMEOUT);
    cr_assert_str_eq(late_name, "stubborn");
}

static int count_entries(const char *folder)
{
    int count = 0;
    DIR *directory = opendir(folder);
    cr_assert_not_null(directory);
    while (readdir(directory)) {
        count++;
    }
    closedir(directory);
    return count;
}

Test(runtime, leaves_no_thread_and_no_descriptor_after_stop)
{
    stop_node(start_node(false));
    int descriptors = count_entries("/proc/self/fd");
    int threads = count_entries("/proc/self/task");
    for (int i = 0; i < 10; i++) {
        check_order(i % 2, i % 3 ? "a" : "b");
    }
    cr_assert_eq(count_entries("/proc/self/fd"), descriptors, "M4: a descriptor is left");
    cr_assert_eq(count_entries("/proc/self/task"), threads, "M4: a thread is left");
}
