/* Topics inside a program: opened, made, and published to, from threads and actors. */
#include "tests/integration/ordering/embedded_kit.h"

#include <capstan/gateway.h>
#include <pthread.h>

static capstan_event_t event_of(const char *key, uint64_t sequence)
{
    return (capstan_event_t){.key = capstan_slice_text(key),
                             .producer = capstan_slice_text("test"),
                             .sequence = sequence};
}

Test(embedded_publish, says_what_became_of_each_event)
{
    embedded_t world;
    embedded_init(&world);
    embedded_start(&world);
    cr_assert_eq(embedded_publish(&world, 1, 1, "a").result, CAPSTAN_RESULT_STORED);
    cr_assert_eq(embedded_publish(&world, 1, 1, "a").result, CAPSTAN_RESULT_DUPLICATE);
    cr_assert_eq(embedded_publish(&world, 1, 3, "c").result, CAPSTAN_RESULT_HELD);
    cr_assert_eq(embedded_publish(&world, 1, 2, "b").result, CAPSTAN_RESULT_STORED);
    capstan_outcome_t outcome = embedded_publish(&world, 1, 0, "d");
    cr_assert_eq(outcome.result, CAPSTAN_RESULT_REJECTED);
    cr_assert_eq(outcome.reason, CAPSTAN_E_SEQUENCE_MISSING);
    embedded_stop(&world);
    embedded_start(&world); /* what was stored is known to the next node */
    cr_assert_eq(embedded_publish(&world, 1, 3, "c").result, CAPSTAN_RESULT_DUPLICATE);
    cr_assert_eq(embedded_publish(&world, 1, 4, "d").result, CAPSTAN_RESULT_STORED);
    embedded_stop(&world);
    embedded_fini(&world);
}

Test(embedded_publish, fences_an_older_incarnation_of_a_producer)
{
    embedded_t world;
    embedded_init(&world);
    embedded_start(&world);
    uint64_t old;
    uint64_t new;
    cr_assert_eq(capstan_producer_open(world.node, world.topic, "test", true, &old), CAPSTAN_OK);
    cr_assert_eq(capstan_producer_open(world.node, world.topic, "test", true, &new), CAPSTAN_OK);
    cr_assert_gt(new, old);
    capstan_outcome_t outcome;
    capstan_event_t event = event_of("a", 1);
    event.producer_epoch = old;
    cr_assert_eq(capstan_node_publish(world.node, world.topic, &event, EMBEDDED_US, &outcome),
                 CAPSTAN_OK);
    cr_assert_eq(outcome.result, CAPSTAN_RESULT_REJECTED);
    cr_assert_eq(outcome.reason, CAPSTAN_E_FENCED);
    event.producer_epoch = new;
    cr_assert_eq(capstan_node_publish(world.node, world.topic, &event, EMBEDDED_US, &outcome),
                 CAPSTAN_OK);
    cr_assert_eq(outcome.result, CAPSTAN_RESULT_STORED);
    cr_assert_eq(capstan_producer_open(world.node, world.topic, "", false, &old),
                 CAPSTAN_E_INVALID);
    embedded_stop(&world);
    embedded_fini(&world);
}

/* --- from an actor --------------------------------------------------------------------------- */

enum { ASKED = 200 };

typedef struct asker {
    embedded_t *world;
    uint64_t first; /* correlation */
    _Atomic uint64_t answers;
    _Atomic uint64_t stored;
} asker_t;

static capstan_err_t asker_init(capstan_actor_t *actor, void *argument)
{
    asker_t *self = argument;
    capstan_actor_set_state(actor, self);
    for (uint64_t i = 1; i <= ASKED; i++) {
        uint64_t correlation;
        capstan_event_t event = event_of("actor", i);
        capstan_err_t err =
            capstan_publish(actor, self->world->topic, &event, EMBEDDED_US, &correlation);
        if (err != CAPSTAN_OK) {
            return err;
        }
    }
    return CAPSTAN_OK;
}

static capstan_err_t asker_receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    asker_t *self = capstan_actor_state(actor);
    capstan_outcome_t outcome;
    if (capstan_message_is_outcome(message, &outcome)) {
        atomic_fetch_add(&self->stored, outcome.result == CAPSTAN_RESULT_STORED);
        atomic_fetch_add(&self->answers, 1);
    }
    return CAPSTAN_OK;
}

Test(embedded_publish, answers_an_actor_once_per_event)
{
    embedded_t world;
    embedded_init(&world);
    embedded_start(&world);
    asker_t asker = {.world = &world};
    capstan_behaviour_t behaviour = {.name = "asker", .init = asker_init, .receive = asker_receive};
    capstan_ref_t ref;
    cr_assert_eq(capstan_node_spawn(world.node, &behaviour,
                                    &(capstan_spawn_options_t){.argument = &asker}, &ref),
                 CAPSTAN_OK);
    cr_assert(embedded_await(&asker.answers, ASKED));
    embedded_pause();
    cr_assert_eq(asker.answers, ASKED);
    cr_assert_eq(asker.stored, ASKED, "in order, so that none is held");
    embedded_stop(&world);
    embedded_fini(&world);
}

/* --- asynchronously -------------------------------------------------------------------------- */

enum { THREADS = 4, PER_THREAD = 2000 };

typedef struct sums {
    _Atomic uint64_t calls;
    _Atomic uint64_t results[5];
} sums_t;

static void add(void *context, const capstan_outcome_t *outcome)
{
    sums_t *self = context;
    atomic_fetch_add(&self->results[outcome->result], 1);
    atomic_fetch_add(&self->calls, 1);
}

typedef struct source {
    embedded_t *world;
    sums_t *sums;
    uint32_t number;
    uint64_t taken; /* CAPSTAN_OK was returned */
    capstan_err_t err;
} source_t;

static void *publish_many(void *argument)
{
    source_t *self = argument;
    char key[16];
    snprintf(key, sizeof key, "thread %u", self->number);
    for (uint64_t i = 1; i <= PER_THREAD; i++) {
        capstan_event_t event = event_of(key, i);
        capstan_err_t err;
        while ((err = capstan_node_publish_async(self->world->node, self->world->topic, &event, add,
                                                 self->sums)) == CAPSTAN_E_NO_CREDIT) {
            poll(NULL, 0, 1);
        }
        if (err != CAPSTAN_OK) {
            self->err = err;
            break;
        }
        self->taken++;
    }
    return NULL;
}

Test(embedded_publish, keeps_the_order_of_each_thread_and_calls_once_for_each_event)
{
    embedded_t world;
    sums_t sums = {.calls = 0};
    source_t sources[THREADS];
    pthread_t threads[THREADS];
    embedded_init(&world);
    embedded_start(&world);
    for (uint32_t i = 0; i < THREADS; i++) {
        sources[i] = (source_t){.world = &world, .sums = &sums, .number = i};
        cr_assert_eq(pthread_create(&threads[i], NULL, publish_many, &sources[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        cr_assert_eq(sources[i].err, CAPSTAN_OK);
    }
    cr_assert(embedded_await(&sums.calls, THREADS * PER_THREAD));
    cr_assert_eq(sums.results[CAPSTAN_RESULT_STORED], THREADS * PER_THREAD, "none was held");
    embedded_stop(&world);
    cr_assert_eq(sums.calls, THREADS * PER_THREAD);
    embedded_fini(&world);
}

/* Threads publish while the node stops: each call that was taken is answered, before the stop has
 * returned, and the others are refused. */
Test(embedded_publish, answers_everything_it_took_when_the_node_stops)
{
    for (int round = 0; round < 5; round++) {
        embedded_t world;
        sums_t sums = {.calls = 0};
        source_t sources[THREADS];
        pthread_t threads[THREADS];
        uint64_t taken = 0;
        embedded_init(&world);
        embedded_start(&world);
        embedded_t of_threads = world;
        for (uint32_t i = 0; i < THREADS; i++) {
            sources[i] = (source_t){.world = &of_threads, .sums = &sums, .number = i};
            cr_assert_eq(pthread_create(&threads[i], NULL, publish_many, &sources[i]), 0);
        }
        poll(NULL, 0, 3 * round);
        embedded_stop(&world);
        uint64_t calls = sums.calls;
        for (uint32_t i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            taken += sources[i].taken;
            cr_assert(sources[i].err == CAPSTAN_OK || sources[i].err == CAPSTAN_E_STOPPING ||
                          sources[i].err == CAPSTAN_E_GONE,
                      "%s", capstan_err_name(sources[i].err));
        }
        cr_assert_eq(calls, taken);
        cr_assert_eq(sums.calls, taken);
        embedded_fini(&world);
    }
}

Test(embedded_publish, refuses_more_than_may_be_unanswered)
{
    embedded_t world;
    sums_t sums = {.calls = 0};
    embedded_init(&world);
    cr_assert_eq(capstan_node_new(&(capstan_node_options_t){.log_fd = -1}, &world.node),
                 CAPSTAN_OK);
    cr_assert_eq(capstan_topics_open(world.node,
                                     &(capstan_topics_options_t){.path = world.fixture.path,
                                                                 .publishes_max = 8,
                                                                 .publish_bytes_max = 1000},
                                     world.text, sizeof world.text),
                 CAPSTAN_OK);
    cr_assert_eq(capstan_topic_ensure(world.node, "orders", NULL, &world.topic), CAPSTAN_OK);
    uint64_t taken = 0;
    uint64_t refused = 0;
    for (uint64_t i = 1; i <= 1000; i++) {
        capstan_event_t event = event_of("a", 0);
        capstan_err_t err = capstan_node_publish_async(world.node, world.topic, &event, add, &sums);
        cr_assert(err == CAPSTAN_OK || err == CAPSTAN_E_NO_CREDIT);
        taken += err == CAPSTAN_OK;
        refused += err == CAPSTAN_E_NO_CREDIT;
    }
    cr_assert_gt(refused, 0);
    cr_assert(embedded_await(&sums.calls, taken));
    char large[2000] = {0};
    capstan_event_t event = event_of("a", 0);
    event.payload = (capstan_slice_t){large, sizeof large};
    cr_assert_eq(capstan_node_publish_async(world.node, world.topic, &event, add, &sums),
                 CAPSTAN_OK, "one is always taken, however large it is");
    cr_assert(embedded_await(&sums.calls, taken + 1));
    cr_assert_eq(sums.results[CAPSTAN_RESULT_STORED], taken + 1);
    embedded_stop(&world);
    embedded_fini(&world);
}

/* --- bad input ------------------------------------------------------------------------------- */

static capstan_err_t try(embedded_t *world, const capstan_event_t *event)
{
    capstan_outcome_t outcome;
    capstan_err_t err =
        capstan_node_publish(world->node, world->topic, event, EMBEDDED_US, &outcome);
    cr_assert_eq(capstan_node_publish_async(world->node, world->topic, event, NULL, NULL), err);
    return err;
}

Test(embedded_publish, refuses_events_that_are_none)
{
    embedded_t world;
    char large[1025] = {0};
    embedded_init(&world);
    embedded_start(&world);
    capstan_event_t event = event_of("", 1);
    cr_assert_eq(try(&world, &event), CAPSTAN_E_INVALID);
    event.key = (capstan_slice_t){large, sizeof large};
    cr_assert_eq(try(&world, &event), CAPSTAN_E_INVALID);
    event = event_of("a", 1);
    event.content_type = (capstan_slice_t){"\xff", 1};
    cr_assert_eq(try(&world, &event), CAPSTAN_E_NOT_UTF8);
    event = event_of("a", 1);
    event.header_count = 1;
    cr_assert_eq(try(&world, &event), CAPSTAN_E_INVALID);
    event.headers = &(capstan_header_t){.name = {"\xff", 1}};
    cr_assert_eq(try(&world, &event), CAPSTAN_E_NOT_UTF8);
    event = event_of("a", 1);
    size_t size = 2 << 20;
    event.payload = (capstan_slice_t){calloc(1, size), size};
    cr_assert_eq(try(&world, &event), CAPSTAN_E_TOO_LARGE);
    free((void *)(uintptr_t)event.payload.data);
    embedded_stop(&world);
    embedded_fini(&world);
}

Test(embedded_publish, says_what_is_wrong_when_topics_cannot_be_opened_or_made)
{
    embedded_t world;
    embedded_init(&world);
    capstan_topic_t *topic;
    capstan_node_t *node;
    cr_assert_eq(capstan_node_new(&(capstan_node_options_t){.log_fd = -1}, &node), CAPSTAN_OK);
    cr_assert_eq(capstan_topic_ensure(node, "orders", NULL, &topic), CAPSTAN_E_UNSUPPORTED);
    capstan_topics_options_t options = {.path = "/no/such/folder/a.db"};
    cr_assert_neq(capstan_topics_open(node, &options, world.text, sizeof world.text), CAPSTAN_OK);
    cr_assert_not_null(strstr(world.text, "/no/such/folder"), "%s", world.text);
    options = (capstan_topics_options_t){.path = world.fixture.path, .event_bytes_max = 1};
    cr_assert_eq(capstan_topics_open(node, &options, world.text, sizeof world.text),
                 CAPSTAN_E_CONFIG);
    cr_assert_not_null(strstr(world.text, "event_bytes_max"), "%s", world.text);
    options.event_bytes_max = 0;
    cr_assert_eq(capstan_topics_open(node, &options, NULL, 0), CAPSTAN_OK);
    cr_assert_eq(capstan_topics_open(node, &options, world.text, sizeof world.text),
                 CAPSTAN_E_EXISTS);
    cr_assert_eq(capstan_topic_ensure(node, "no spaces", NULL, &topic), CAPSTAN_E_INVALID);
    cr_assert_eq(capstan_topic_ensure(node, "", NULL, &topic), CAPSTAN_E_INVALID);
    cr_assert_eq(
        capstan_topic_ensure(node, "many", &(capstan_topic_options_t){.partitions = 257}, &topic),
        CAPSTAN_E_INVALID);
    cr_assert_eq(
        capstan_topic_ensure(node, "one", &(capstan_topic_options_t){.partitions = 1}, &topic),
        CAPSTAN_OK);
    capstan_topic_t *again;
    cr_assert_eq(capstan_topic_ensure(node, "one", NULL, &again), CAPSTAN_OK);
    cr_assert_eq(again, topic);
    cr_assert_eq(
        capstan_topic_ensure(node, "one", &(capstan_topic_options_t){.partitions = 2}, &again),
        CAPSTAN_E_TOPIC_DIFFERS);
    cr_assert_eq(capstan_node_stop(&node, EMBEDDED_US, NULL, NULL), CAPSTAN_OK);
    embedded_fini(&world);
}
