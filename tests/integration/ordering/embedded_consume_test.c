/* Consuming inside a program: handlers of a group's members, acknowledgements from any thread, and
 * ends of all kinds. */
#include "tests/integration/ordering/embedded_kit.h"

#include <dirent.h>
#include <pthread.h>
#include <time.h>

/* --- order ----------------------------------------------------------------------------------- */

static void consume_all(capstan_subscribe_options_t options, uint32_t running_min)
{
    embedded_t world;
    seen_t seen = {.count = 0};
    capstan_subscription_t *subscription;
    embedded_init(&world);
    embedded_start(&world);
    embedded_publish_range(&world, KEYS, 1, PER_KEY / 2);
    options.context = &seen;
    embedded_subscribe(&world, options, &subscription);
    embedded_publish_range(&world, KEYS, PER_KEY / 2 + 1, PER_KEY);
    cr_assert(embedded_await(&seen.count, KEYS * PER_KEY));
    embedded_await_stored(subscription, KEYS * PER_KEY);
    cr_assert_eq(seen.faults, 0);
    cr_assert_eq(seen.count, KEYS * PER_KEY);
    cr_assert_leq(seen.running_max, options.concurrency > 0 ? options.concurrency : 1);
    cr_assert_geq(seen.running_max, running_min);
    capstan_subscription_figures_t figures = capstan_subscription_figures(subscription);
    cr_assert_eq(figures.delivered, KEYS * PER_KEY);
    cr_assert_eq(figures.acknowledged, KEYS * PER_KEY);
    cr_assert_eq(figures.held, 0);
    embedded_end(&subscription);
    embedded_expect_nothing_left(&world);
    embedded_stop(&world);
    embedded_fini(&world);
}

Test(embedded_consume, gives_each_key_to_one_handler_at_a_time_and_in_order)
{
    consume_all((capstan_subscribe_options_t){.handle = seen_work}, 1);
}

Test(embedded_consume, runs_as_many_handlers_as_it_may_when_they_block)
{
    consume_all(
        (capstan_subscribe_options_t){.handle = seen_work, .concurrency = 4, .may_block = true}, 2);
}

Test(embedded_consume, spreads_handlers_over_the_worker_cells)
{
    consume_all((capstan_subscribe_options_t){.handle = seen_work, .concurrency = 8}, 1);
}

Test(embedded_consume, runs_them_on_a_cell_that_is_named)
{
    consume_all(
        (capstan_subscribe_options_t){.handle = seen_work, .concurrency = 3, .cell = "mine"}, 1);
}

Test(embedded_consume, hands_over_batches_of_many_keys)
{
    consume_all((capstan_subscribe_options_t){.handle_batch = seen_work_batch, .concurrency = 3},
                0);
}

Test(embedded_consume, hands_over_batches_of_the_same_key_too)
{
    consume_all((capstan_subscribe_options_t){.handle_batch = seen_work_batch,
                                              .concurrency = 3,
                                              .batch_max = 16,
                                              .key_events_max = 16},
                0);
}

/* --- where handlers run, and what they do --- */

static capstan_err_t note_thread(capstan_actor_t *actor, void *context,
                                 const capstan_delivery_t *delivery)
{
    (void)actor;
    (void)delivery;
    seen_t *self = context;
    atomic_fetch_add(pthread_equal(self->thread, pthread_self()) ? &self->count : &self->faults, 1);
    return CAPSTAN_OK;
}

Test(embedded_consume, runs_handlers_on_the_hosts_thread)
{
    embedded_t world;
    seen_t seen = {.thread = pthread_self()};
    capstan_subscription_t *subscription;
    embedded_init(&world);
    world.options.host_cell = "loop";
    embedded_start(&world);
    embedded_subscribe(
        &world,
        (capstan_subscribe_options_t){.handle = note_thread, .context = &seen, .cell = "loop"},
        &subscription);
    embedded_publish_range(&world, 4, 1, 5);
    struct pollfd ready = {.fd = capstan_node_fd(world.node), .events = POLLIN};
    for (int i = 0; i < 1000 && seen.count + seen.faults < 20; i++) {
        poll(&ready, 1, 10);
        capstan_node_dispatch(world.node);
    }
    cr_assert_eq(seen.count, 20);
    embedded_end(&subscription);
    embedded_stop(&world);
    embedded_fini(&world);
}

/* A group sends a member 4 MiB ahead, until it hears that they were taken. */
Test(embedded_consume, consumes_more_bytes_than_a_group_sends_ahead)
{
    enum { LARGE = 200, BYTES = 64 << 10 };
    embedded_t world;
    seen_t seen = {.count = 0};
    capstan_subscription_t *subscription;
    char *payload = malloc(BYTES);
    cr_assert_not_null(payload);
    memset(payload, 'a', BYTES - 1);
    payload[BYTES - 1] = 0;
    embedded_init(&world);
    embedded_start(&world);
    embedded_subscribe(&world, (capstan_subscribe_options_t){.handle = seen_work, .context = &seen},
                       &subscription);
    for (uint64_t i = 0; i < LARGE; i++) {
        capstan_outcome_t outcome =
            embedded_publish(&world, (uint32_t)(i % KEYS), i / KEYS + 1, payload);
        cr_assert_eq(outcome.result, CAPSTAN_RESULT_STORED);
    }
    cr_assert(embedded_await(&seen.count, LARGE));
    cr_assert_eq(seen.faults, 0);
    embedded_end(&subscription);
    embedded_stop(&world);
    embedded_fini(&world);
    free(payload);
}

/* Passes events on to another topic, and acknowledges each when its successor is stored. */
typedef struct relay {
    embedded_t *world;
    capstan_topic_t *to;
    _Atomic uint64_t passed_on;
    _Atomic uint64_t failed;
} relay_t;

typedef struct passed {
    relay_t *relay;
    capstan_subscription_t *subscription;
    uint64_t number;
} passed_t;

static void when_stored(void *context, const capstan_outcome_t *outcome)
{
    passed_t *self = context;
    bool stored = outcome->result == CAPSTAN_RESULT_STORED;
    if (stored && capstan_acknowledge(self->subscription, self->number) == CAPSTAN_OK) {
        atomic_fetch_add(&self->relay->passed_on, 1);
    } else {
        atomic_fetch_add(&self->relay->failed, 1);
    }
    free(self);
}

static capstan_err_t pass_on(capstan_actor_t *actor, void *context,
                             const capstan_delivery_t *delivery)
{
    relay_t *self = context;
    passed_t *passed = calloc(1, sizeof *passed);
    cr_assert_not_null(passed);
    *passed = (passed_t){
        .relay = self, .subscription = delivery->subscription, .number = delivery->number};
    return capstan_node_publish_async(capstan_actor_node(actor), self->to, &delivery->event,
                                      when_stored, passed);
}

Test(embedded_consume, acknowledges_when_what_a_handler_published_is_stored)
{
    embedded_t world;
    seen_t seen = {.count = 0};
    capstan_subscription_t *first;
    capstan_subscription_t *second;
    embedded_init(&world);
    embedded_start(&world);
    relay_t relay = {.world = &world};
    cr_assert_eq(capstan_topic_ensure(
                     world.node, "second",
                     &(capstan_topic_options_t){.sequence = CAPSTAN_SEQUENCE_PRODUCER}, &relay.to),
                 CAPSTAN_OK);
    embedded_subscribe(
        &world,
        (capstan_subscribe_options_t){
            .handle = pass_on, .context = &relay, .concurrency = 3, .acknowledge_later = true},
        &first);
    capstan_topic_t *topic = world.topic;
    world.topic = relay.to;
    embedded_subscribe(
        &world,
        (capstan_subscribe_options_t){.handle = seen_work, .context = &seen, .concurrency = 3},
        &second);
    world.topic = topic;
    embedded_publish_range(&world, KEYS, 1, PER_KEY);
    cr_assert(embedded_await(&seen.count, KEYS * PER_KEY));
    embedded_await_stored(first, KEYS * PER_KEY);
    cr_assert_eq(seen.faults, 0, "in order through both");
    cr_assert_eq(relay.passed_on, KEYS * PER_KEY);
    cr_assert_eq(relay.failed, 0);
    embedded_end(&first);
    embedded_end(&second);
    embedded_stop(&world);
    embedded_fini(&world);
}

static capstan_err_t check_event(capstan_actor_t *actor, void *context,
                                 const capstan_delivery_t *delivery)
{
    (void)actor;
    seen_t *self = context;
    const capstan_event_t *event = &delivery->event;
    bool right = event->header_count == 2 && event->headers[0].name.size == 1 &&
                 memcmp(event->headers[1].value.data, "second", 6) == 0 && event->time_us == -5 &&
                 event->content_type.size == 10 && event->payload.size == 7 &&
                 event->producer.size == 4 && event->sequence == 1 && delivery->offset == 1 &&
                 delivery->attempts == 0 && delivery->accepted_us > 0;
    atomic_fetch_add(right ? &self->count : &self->faults, 1);
    return CAPSTAN_OK;
}

Test(embedded_consume, delivers_all_that_an_event_has)
{
    embedded_t world;
    seen_t seen = {.count = 0};
    capstan_subscription_t *subscription;
    capstan_outcome_t outcome;
    embedded_init(&world);
    embedded_start(&world);
    const capstan_header_t headers[] = {{{"a", 1}, {"first", 5}}, {{"b", 1}, {"second", 6}}};
    capstan_event_t event = {.key = capstan_slice_text("key 1"),
                             .producer = capstan_slice_text("test"),
                             .sequence = 1,
                             .time_us = -5,
                             .content_type = capstan_slice_text("text/plain"),
                             .headers = headers,
                             .header_count = 2,
                             .payload = capstan_slice_text("payload")};
    cr_assert_eq(capstan_node_publish(world.node, world.topic, &event, EMBEDDED_US, &outcome),
                 CAPSTAN_OK);
    embedded_subscribe(&world,
                       (capstan_subscribe_options_t){.handle = check_event, .context = &seen},
                       &subscription);
    embedded_await(&seen.count, 1);
    cr_assert_eq(seen.faults, 0);
    cr_assert_eq(seen.count, 1);
    embedded_end(&subscription);
    embedded_stop(&world);
    embedded_fini(&world);
}

/* --- later ----------------------------------------------------------------------------------- */

enum { ACKNOWLEDGERS = 3 };

typedef struct acknowledger {
    seen_t *seen;
    _Atomic uint64_t *next;
    _Atomic uint64_t *done;
    uint64_t wanted;
    capstan_err_t err;
} acknowledger_t;

/* Each number is acknowledged by the thread that gets it. */
static void *acknowledge_many(void *argument)
{
    acknowledger_t *self = argument;
    for (;;) {
        uint64_t at = atomic_fetch_add(self->next, 1);
        if (at >= self->wanted) {
            return NULL;
        }
        while (atomic_load(&self->seen->numbers[at]) == 0) {
            poll(NULL, 0, 1);
        }
        capstan_err_t err =
            capstan_acknowledge(self->seen->subscription, atomic_load(&self->seen->numbers[at]));
        self->err = err != CAPSTAN_OK ? err : self->err;
        atomic_fetch_add(self->done, 1);
    }
}

Test(embedded_consume, takes_acknowledgements_from_other_threads)
{
    embedded_t world;
    static seen_t seen;
    _Atomic uint64_t next = 0;
    _Atomic uint64_t done = 0;
    acknowledger_t acknowledgers[ACKNOWLEDGERS];
    pthread_t threads[ACKNOWLEDGERS];
    capstan_subscription_t *subscription;
    embedded_init(&world);
    embedded_start(&world);
    embedded_subscribe(
        &world,
        (capstan_subscribe_options_t){
            .handle = seen_keep, .context = &seen, .concurrency = 2, .acknowledge_later = true},
        &subscription);
    atomic_store(&seen.subscription, subscription);
    for (size_t i = 0; i < ACKNOWLEDGERS; i++) {
        acknowledgers[i] =
            (acknowledger_t){.seen = &seen, .next = &next, .done = &done, .wanted = KEYS * PER_KEY};
        cr_assert_eq(pthread_create(&threads[i], NULL, acknowledge_many, &acknowledgers[i]), 0);
    }
    embedded_publish_range(&world, KEYS, 1, PER_KEY);
    for (size_t i = 0; i < ACKNOWLEDGERS; i++) {
        pthread_join(threads[i], NULL);
        cr_assert_eq(acknowledgers[i].err, CAPSTAN_OK);
    }
    cr_assert_eq(done, KEYS * PER_KEY);
    embedded_await_stored(subscription, KEYS * PER_KEY);
    embedded_end(&subscription);
    embedded_expect_nothing_left(&world);
    embedded_stop(&world);
    embedded_fini(&world);
}

Test(embedded_consume, holds_at_most_so_many_and_nothing_behind_one_of_a_key)
{
    embedded_t world;
    static seen_t seen;
    capstan_subscription_t *subscription;
    embedded_init(&world);
    embedded_start(&world);
    embedded_publish_range(&world, KEYS, 1, 3);
    embedded_subscribe(
        &world,
        (capstan_subscribe_options_t){
            .handle = seen_keep, .context = &seen, .acknowledge_later = true, .events_max = 5},
        &subscription);
    cr_assert(embedded_await(&seen.count, 5));
    embedded_pause();
    cr_assert_eq(seen.count, 5);
    cr_assert_eq(capstan_acknowledge(subscription, seen.numbers[0]), CAPSTAN_OK);
    cr_assert(embedded_await(&seen.count, 6));
    embedded_pause();
    cr_assert_eq(seen.count, 6);
    cr_assert_eq(capstan_subscription_figures(subscription).held, 5);
    embedded_end(&subscription);
    embedded_stop(&world);
    embedded_fini(&world);
}

Test(embedded_consume, refuses_what_was_not_delivered_or_is_done)
{
    embedded_t world;
    static seen_t seen;
    capstan_subscription_t *subscription;
    embedded_init(&world);
    embedded_start(&world);
    embedded_publish_range(&world, 3, 1, 1);
    embedded_subscribe(&world,
                       (capstan_subscribe_options_t){
                           .handle = seen_keep, .context = &seen, .acknowledge_later = true},
                       &subscription);
    cr_assert(embedded_await(&seen.number_count, 3));
    embedded_pause();
    uint64_t number = seen.numbers[0];
    cr_assert_eq(capstan_acknowledge(subscription, 0), CAPSTAN_E_NOT_HELD);
    cr_assert_eq(capstan_acknowledge(subscription, UINT64_MAX), CAPSTAN_E_NOT_HELD);
    cr_assert_eq(capstan_acknowledge(subscription, number + (1 << 16)), CAPSTAN_E_NOT_HELD);
    cr_assert_eq(capstan_reject(subscription, number + 100, NULL), CAPSTAN_E_NOT_HELD);
    char reason[300];
    memset(reason, 'a', sizeof reason);
    reason[sizeof reason - 1] = 0;
    cr_assert_eq(capstan_reject(subscription, number, &(capstan_rejection_t){.reason = reason}),
                 CAPSTAN_E_INVALID);
    cr_assert_eq(capstan_reject(subscription, number, &(capstan_rejection_t){.reason = "\xff"}),
                 CAPSTAN_E_INVALID);
    cr_assert_eq(capstan_reject(subscription, number, &(capstan_rejection_t){.delay_us = -1}),
                 CAPSTAN_E_INVALID);
    cr_assert_eq(capstan_acknowledge(subscription, number), CAPSTAN_OK, "it is still held");
    cr_assert_eq(capstan_acknowledge(subscription, number), CAPSTAN_E_NOT_HELD);
    cr_assert_eq(capstan_reject(subscription, number, NULL), CAPSTAN_E_NOT_HELD);
    embedded_await_stored(subscription, 1);
    cr_assert_eq(capstan_acknowledge(subscription, number), CAPSTAN_E_NOT_HELD);
    embedded_end(&subscription);
    embedded_stop(&world);
    embedded_fini(&world);
}

/* --- groups ---------------------------------------------------------------------------------- */

Test(embedded_consume, shares_a_group_with_other_members)
{
    embedded_t world;
    seen_t seen = {.count = 0};
    capstan_subscription_t *members[3];
    embedded_init(&world);
    embedded_start(&world);
    for (size_t i = 0; i < 3; i++) {
        embedded_subscribe(
            &world,
            (capstan_subscribe_options_t){.handle = seen_work, .context = &seen, .concurrency = 2},
            &members[i]);
    }
    embedded_publish_range(&world, KEYS, 1, PER_KEY);
    cr_assert(embedded_await(&seen.count, KEYS * PER_KEY));
    cr_assert_eq(seen.faults, 0, "per key one handler of all members at a time, in order");
    for (size_t i = 0; i < 3; i++) {
        cr_assert_gt(capstan_subscription_figures(members[i]).delivered, 0);
        embedded_end(&members[i]);
    }
    embedded_expect_nothing_left(&world);
    embedded_stop(&world);
    embedded_fini(&world);
}

Test(embedded_consume, follows_the_groups_policy)
{
    embedded_t world;
    seen_t seen = {.count = 0};
    capstan_subscription_t *subscription;
    capstan_group_policy_t policy;
    embedded_init(&world);
    embedded_start(&world);
    cr_assert_eq(capstan_group_define(world.node, world.topic, "group",
                                      &(capstan_group_policy_t){0}, &policy),
                 CAPSTAN_OK);
    cr_assert_eq(policy.mode, CAPSTAN_GROUP_BY_KEY);
    cr_assert_eq(policy.attempts_max, 3);
    capstan_group_policy_t wanted = {.mode = CAPSTAN_GROUP_BY_PARTITION,
                                     .while_retried = CAPSTAN_SUCCESSORS_GO_ON};
    cr_assert_eq(capstan_group_define(world.node, world.topic, "group", &wanted, &policy),
                 CAPSTAN_OK);
    cr_assert_eq(policy.mode, CAPSTAN_GROUP_BY_PARTITION);
    capstan_subscribe_options_t options = {
        .group = "group", .handle_batch = seen_work_batch, .context = &seen, .key_events_max = 2};
    cr_assert_eq(capstan_subscribe(world.node, world.topic, &options, &subscription, world.text,
                                   sizeof world.text),
                 CAPSTAN_E_INVALID);
    cr_assert_not_null(strstr(world.text, "key_events_max"), "%s", world.text);
    embedded_subscribe(
        &world,
        (capstan_subscribe_options_t){.handle = seen_work, .context = &seen, .concurrency = 8},
        &subscription);
    cr_assert_eq(capstan_group_define(world.node, world.topic, "group", &wanted, NULL),
                 CAPSTAN_E_GROUP_BUSY);
    embedded_publish_range(&world, KEYS, 1, 5);
    cr_assert(embedded_await(&seen.count, KEYS * 5));
    cr_assert_eq(seen.faults, 0);
    cr_assert_leq(seen.running_max, 4, "a partition has one handler at a time");
    embedded_end(&subscription);
    cr_assert_eq(capstan_group_define(world.node, world.topic, "group",
                                      &(capstan_group_policy_t){.attempts_max = UINT64_MAX}, NULL),
                 CAPSTAN_E_INVALID);
    cr_assert_eq(capstan_group_define(world.node, world.topic, "", &wanted, NULL),
                 CAPSTAN_E_INVALID);
    embedded_stop(&world);
    embedded_fini(&world);
}

/* --- ends ------------------------------------------------------------------------------------ */

Test(embedded_consume, gives_to_others_what_it_held_when_it_unsubscribes)
{
    embedded_t world;
    static seen_t seen;
    seen_t others = {.count = 0};
    capstan_subscription_t *subscription;
    embedded_init(&world);
    embedded_start(&world);
    embedded_publish_range(&world, KEYS, 1, 3);
    embedded_subscribe(&world,
                       (capstan_subscribe_options_t){
                           .handle = seen_keep, .context = &seen, .acknowledge_later = true},
                       &subscription);
    cr_assert(embedded_await(&seen.number_count, KEYS));
    embedded_end(&subscription);
    embedded_subscribe(&world,
                       (capstan_subscribe_options_t){.handle = seen_work, .context = &others},
                       &subscription);
    cr_assert(embedded_await(&others.count, KEYS * 3));
    cr_assert_eq(others.faults, 0, "from the first of each key on");
    embedded_end(&subscription);
    embedded_stop(&world);
    embedded_fini(&world);
}

typedef struct gate {
    _Atomic uint64_t entered;
    _Atomic bool open;
} gate_t;

static capstan_err_t wait_at_gate(capstan_actor_t *actor, void *context,
                                  const capstan_delivery_t *delivery)
{
    (void)actor;
    (void)delivery;
    gate_t *gate = context;
    atomic_fetch_add(&gate->entered, 1);
    while (!atomic_load(&gate->open)) {
        poll(NULL, 0, 1);
    }
    return CAPSTAN_OK;
}

Test(embedded_consume, waits_for_its_handlers_when_it_unsubscribes)
{
    embedded_t world;
    gate_t gate = {.entered = 0};
    capstan_subscription_t *subscription;
    embedded_init(&world);
    embedded_start(&world);
    embedded_publish_range(&world, 4, 1, 1);
    embedded_subscribe(
        &world,
        (capstan_subscribe_options_t){
            .handle = wait_at_gate, .context = &gate, .concurrency = 2, .may_block = true},
        &subscription);
    cr_assert(embedded_await(&gate.entered, 2));
    cr_assert_eq(capstan_unsubscribe(&subscription, 20000), CAPSTAN_E_TIMEOUT);
    cr_assert_not_null(subscription);
    atomic_store(&gate.open, true);
    embedded_end(&subscription);
    cr_assert_eq(gate.entered, 2, "no further handler was called");
    seen_t seen = {.count = 0};
    embedded_subscribe(&world, (capstan_subscribe_options_t){.handle = seen_keep, .context = &seen},
                       &subscription);
    cr_assert(embedded_await(&seen.count, 2));
    embedded_pause();
    cr_assert_eq(seen.count, 2, "what the handlers finished was acknowledged");
    embedded_end(&subscription);
    embedded_stop(&world);
    embedded_fini(&world);
}

static size_t count_entries(const char *folder)
{
    size_t count = 0;
    DIR *entries = opendir(folder);
    cr_assert_not_null(entries);
    while (readdir(entries)) {
        count++;
    }
    closedir(entries);
    return count;
}

Test(embedded_consume, leaves_nothing_when_the_node_stops_with_events_in_hand)
{
    embedded_t world;
    static seen_t seen;
    seen_t others = {.count = 0};
    capstan_subscription_t *later;
    capstan_subscription_t *subscription;
    embedded_init(&world);
    embedded_start(&world);
    embedded_stop(&world); /* what is made once and kept is there now */
    size_t descriptors = count_entries("/proc/self/fd");
    size_t threads = count_entries("/proc/self/task");
    embedded_start(&world);
    embedded_publish_range(&world, KEYS, 1, 30);
    embedded_subscribe(
        &world,
        (capstan_subscribe_options_t){
            .handle = seen_keep, .context = &seen, .acknowledge_later = true, .events_max = 5},
        &later);
    embedded_subscribe(
        &world,
        (capstan_subscribe_options_t){
            .handle = seen_work, .context = &others, .concurrency = 3, .may_block = true},
        &subscription);
    cr_assert(embedded_await(&seen.number_count, 5));
    cr_assert(embedded_await(&others.count, 20));
    embedded_stop(&world);
    cr_assert_eq(count_entries("/proc/self/fd"), descriptors);
    cr_assert_eq(count_entries("/proc/self/task"), threads);
    cr_assert_eq(capstan_acknowledge(later, seen.numbers[0]), CAPSTAN_E_GONE);
    embedded_end(&later);
    embedded_end(&subscription);
    uint64_t before = others.count;
    embedded_start(&world); /* what was not acknowledged comes again, in order */
    cr_assert_eq(others.faults, 0);
    embedded_subscribe(&world,
                       (capstan_subscribe_options_t){.handle = seen_work, .context = &others},
                       &subscription);
    cr_assert(embedded_await(&others.count, KEYS * 30));
    embedded_pause();
    cr_assert_eq(others.faults, 0, "%llu before", (unsigned long long)before);
    cr_assert_eq(others.count, KEYS * 30, "nothing twice: what the handlers finished was stored");
    embedded_end(&subscription);
    embedded_stop(&world);
    embedded_fini(&world);
}

typedef struct subscriber {
    embedded_t *world;
    seen_t seen;
    capstan_subscription_t *subscription;
    capstan_err_t err;
} subscriber_t;

static void *subscribe_once(void *argument)
{
    subscriber_t *self = argument;
    capstan_subscribe_options_t options = {
        .group = "group", .handle = seen_work, .context = &self->seen, .concurrency = 2};
    self->err = capstan_subscribe(self->world->node, self->world->topic, &options,
                                  &self->subscription, NULL, 0);
    return NULL;
}

Test(embedded_consume, subscribes_or_says_that_the_node_stops)
{
    for (int round = 0; round < 12; round++) {
        embedded_t world;
        subscriber_t subscriber = {.world = &world};
        pthread_t thread;
        embedded_init(&world);
        embedded_start(&world);
        embedded_publish_range(&world, 2, 1, 2);
        embedded_t of_thread = world;
        subscriber.world = &of_thread;
        cr_assert_eq(pthread_create(&thread, NULL, subscribe_once, &subscriber), 0);
        poll(NULL, 0, round / 3);
        embedded_stop(&world);
        pthread_join(thread, NULL);
        cr_assert(subscriber.err == CAPSTAN_OK || subscriber.err == CAPSTAN_E_STOPPING ||
                      subscriber.err == CAPSTAN_E_GONE || subscriber.err == CAPSTAN_E_UNAVAILABLE,
                  "%s", capstan_err_name(subscriber.err));
        cr_assert_eq(subscriber.err == CAPSTAN_OK, subscriber.subscription != NULL);
        embedded_end(&subscriber.subscription);
        embedded_fini(&world);
    }
}

static capstan_err_t hang(capstan_actor_t *actor, void *context, const capstan_delivery_t *delivery)
{
    (void)actor;
    gate_t *gate = context;
    if (delivery->attempts > 0) {
        atomic_fetch_add(&gate->entered, 1);
        return CAPSTAN_OK;
    }
    while (!atomic_load(&gate->open)) { /* no system call: those are not interrupted */
    }
    return CAPSTAN_OK;
}

Test(embedded_consume, goes_on_when_a_handler_hangs)
{
    embedded_t world;
    gate_t gate = {.entered = 0};
    capstan_subscription_t *subscription;
    embedded_init(&world);
    cr_assert_eq(
        capstan_node_new(&(capstan_node_options_t){.log_fd = -1, .hung_ms = 200}, &world.node),
        CAPSTAN_OK);
    cr_assert_eq(capstan_topics_open(world.node,
                                     &(capstan_topics_options_t){.path = world.fixture.path},
                                     world.text, sizeof world.text),
                 CAPSTAN_OK);
    cr_assert_eq(
        capstan_topic_ensure(world.node, "orders",
                             &(capstan_topic_options_t){.sequence = CAPSTAN_SEQUENCE_PRODUCER},
                             &world.topic),
        CAPSTAN_OK);
    embedded_publish_range(&world, 1, 1, 1);
    embedded_subscribe(
        &world, (capstan_subscribe_options_t){.handle = hang, .context = &gate, .cell = "hangs"},
        &subscription);
    cr_assert(embedded_await(&gate.entered, 1));
    embedded_await_stored(subscription, 1);
    atomic_store(&gate.open, true);
    embedded_end(&subscription);
    embedded_stop(&world);
    embedded_fini(&world);
}

/* --- bad input ------------------------------------------------------------------------------- */

static void refuse(embedded_t *world, capstan_subscribe_options_t options, const char *word)
{
    capstan_subscription_t *subscription;
    options.handle = options.handle_batch ? options.handle : seen_keep;
    cr_assert_eq(capstan_subscribe(world->node, world->topic, &options, &subscription, world->text,
                                   sizeof world->text),
                 CAPSTAN_E_INVALID);
    cr_assert_not_null(strstr(world->text, word), "%s: %s", word, world->text);
    cr_assert_eq(capstan_subscribe(world->node, world->topic, &options, &subscription, NULL, 0),
                 CAPSTAN_E_INVALID);
}

Test(embedded_consume, says_which_option_is_wrong)
{
    embedded_t world;
    char name[200];
    memset(name, 'g', sizeof name);
    name[sizeof name - 1] = 0;
    embedded_init(&world);
    embedded_start(&world);
    refuse(&world, (capstan_subscribe_options_t){0}, "group");
    refuse(&world, (capstan_subscribe_options_t){.group = ""}, "group");
    refuse(&world, (capstan_subscribe_options_t){.group = name}, "group");
    refuse(&world, (capstan_subscribe_options_t){.group = "g", .concurrency = 1025}, "concurrency");
    refuse(&world,
           (capstan_subscribe_options_t){.group = "g", .concurrency = 33, .may_block = true},
           "concurrency");
    refuse(&world, (capstan_subscribe_options_t){.group = "g", .batch_max = 2}, "batch_max");
    refuse(&world, (capstan_subscribe_options_t){.group = "g", .key_events_max = 2},
           "key_events_max");
    refuse(&world, (capstan_subscribe_options_t){.group = "g", .events_max = 65537}, "events_max");
    refuse(&world,
           (capstan_subscribe_options_t){
               .group = "g", .handle = seen_keep, .handle_batch = seen_work_batch},
           "handle");
    capstan_subscription_t *subscription;
    capstan_subscribe_options_t options = {.group = "\xff", .handle = seen_keep};
    cr_assert_neq(capstan_subscribe(world.node, world.topic, &options, &subscription, world.text,
                                    sizeof world.text),
                  CAPSTAN_OK);
    subscription = NULL;
    cr_assert_eq(capstan_unsubscribe(&subscription, 1), CAPSTAN_OK);
    embedded_stop(&world);
    embedded_fini(&world);
}

/* --- time ------------------------------------------------------------------------------------ */

static int64_t utc_us(void)
{
    struct timespec now;
    cr_assert_eq(clock_gettime(CLOCK_REALTIME, &now), 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static capstan_err_t see_delayed(capstan_actor_t *actor, void *context,
                                 const capstan_delivery_t *delivery)
{
    (void)actor;
    seen_t *seen = context;
    bool right = delivery->event.not_before_us > 0 &&
                 delivery->event.not_before_us <= delivery->accepted_us &&
                 delivery->accepted_us <= utc_us();
    seen->faults += right ? 0 : 1;
    seen->count++;
    return CAPSTAN_OK;
}

Test(embedded_consume, gives_a_delayed_event_to_nobody_before_its_time)
{
    embedded_t world;
    seen_t seen = {.count = 0};
    capstan_subscription_t *subscription;
    capstan_outcome_t outcome;
    embedded_init(&world);
    embedded_start(&world);
    capstan_event_t event = {.key = capstan_slice_text("a"), .not_before_us = utc_us() + 300000};
    cr_assert_eq(capstan_node_publish(world.node, world.topic, &event, EMBEDDED_US, &outcome),
                 CAPSTAN_OK);
    cr_assert_eq(outcome.result, CAPSTAN_RESULT_REJECTED, "its producers number the topic");
    cr_assert_eq(capstan_topic_ensure(world.node, "later", NULL, &world.topic), CAPSTAN_OK);
    cr_assert_eq(capstan_node_publish(world.node, world.topic, &event, EMBEDDED_US, &outcome),
                 CAPSTAN_OK);
    cr_assert_eq(outcome.result, CAPSTAN_RESULT_STORED);
    embedded_subscribe(&world,
                       (capstan_subscribe_options_t){.handle = see_delayed, .context = &seen},
                       &subscription);
    cr_assert(embedded_await(&seen.count, 1));
    cr_assert_eq(seen.faults, 0);
    embedded_end(&subscription);
    embedded_stop(&world);
    embedded_fini(&world);
}
