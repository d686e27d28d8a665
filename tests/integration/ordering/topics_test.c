/* The topics actor with real partitions on a real journal, asked from outside the node: the asker
 * takes the place of a session. */
#include "actors/journal/journal.h"
#include "actors/ordering/ordering.h"
#include "actors/ordering/ordering_messages.h"
#include "actors/ordering/partition.h"
#include "runtime/runtime.h"
#include "runtime/wire/wire_messages.h"
#include "tests/integration/journal/store_fixture.h"

#include <capstan/node.h>
#include <sodium.h>

enum { TIMEOUT_US = 10000000, SUBSCRIPTIONS = 64 };

typedef struct world {
    fixture_t fixture;
    ordering_settings_t settings;
    capstan_node_t *node;
    capstan_ref_t journal;
    capstan_ref_t reader;
    capstan_ref_t topics;
    void *answer; /* of the last question */
    size_t answer_size;
} world_t;

/* Leaves the store open, so that a test can write what a crash would have left. */
static void prepare(world_t *self)
{
    *self = (world_t){.settings = {.partitions = 4,
                                   .topics_max = 16,
                                   .event_bytes_max = 65536,
                                   .held_items_max = 1024,
                                   .held_bytes_max = 1 << 20,
                                   .key_held_items_max = 64,
                                   .hold_ms_max = 60000,
                                   .snapshot_records = 65536,
                                   .group_events_max = 65536,
                                   .group_bytes_max = 1 << 25,
                                   .group_ranges_max = 1024,
                                   .group_attempts_max = 3,
                                   .group_retry_ms_min = 1,
                                   .group_retry_ms_max = 10,
                                   .group_parked_max = 1000,
                                   .group_parked_bytes_max = 1 << 20,
                                   .tail_bytes = 65536}};
    cr_assert_geq(sodium_init(), 0);
    fixture_folder(&self->fixture);
    fixture_open(&self->fixture);
}

static capstan_ref_t spawn(world_t *self, const capstan_behaviour_t *behaviour, const char *cell,
                           void *argument)
{
    capstan_ref_t ref;
    cr_assert_eq(capstan_node_spawn(self->node, behaviour,
                                    &(capstan_spawn_options_t){.cell = cell, .argument = argument},
                                    &ref),
                 CAPSTAN_OK);
    return ref;
}

/* Without `reply` the answer has no body that matters. */
static capstan_err_t ask(world_t *self, capstan_ref_t target, const wire_record_t *request,
                         const void *value, const wire_record_t *reply, void *ret_reply)
{
    buffer_t body = {0};
    codec_encode(request, value, &body);
    free(self->answer);
    self->answer = NULL;
    capstan_err_t err = capstan_node_ask(self->node, target, request->id, buffer_slice(&body),
                                         TIMEOUT_US, &self->answer, &self->answer_size);
    buffer_fini(&body);
    if (err == CAPSTAN_OK && reply) {
        cr_assert_eq(
            codec_decode(reply, slice_of(self->answer, self->answer_size), ret_reply, NULL),
            CAPSTAN_OK);
    }
    return err;
}

static void start(world_t *self)
{
    store_options_t options = {.path = self->fixture.path, .read_only = true};
    journal_reader_arguments_t reader = {0};
    cr_assert_eq(store_open(&options, &reader.store, NULL, 0), CAPSTAN_OK);
    journal_arguments_t writer = {.store = self->fixture.store};
    self->fixture.store = NULL; /* handed over */
    cr_assert_eq(capstan_node_new(NULL, &self->node), CAPSTAN_OK);
    self->journal = spawn(self, &journal_behaviour, "journal", &writer);
    self->reader = spawn(self, &journal_reader_behaviour, "journal-reader", &reader);
    topics_arguments_t arguments = {
        .settings = &self->settings, .journal = self->journal, .reader = self->reader};
    self->topics = spawn(self, &topics_behaviour, "ordering", &arguments);
    cr_assert_eq(ask(self, self->topics, topics_settle_wire(), &(topics_settle_t){0}, NULL, NULL),
                 CAPSTAN_OK);
}

static void stop(world_t *self)
{
    cr_assert_eq(capstan_node_stop(&self->node, TIMEOUT_US, NULL, NULL), CAPSTAN_OK);
    free(self->answer);
    fixture_fini(&self->fixture);
}

static capstan_err_t ensure_topic(world_t *self, slice_t name)
{
    topic_info_t info;
    return ask(self, self->topics, topic_ensure_wire(),
               &(topic_ensure_t){.topic = name, .sequence = SEQUENCE_PRODUCER}, topic_info_wire(),
               &info);
}

static capstan_err_t subscribe(world_t *self, slice_t group)
{
    subscribed_t subscribed;
    return ask(self, self->topics, subscribe_wire(),
               &(subscribe_t){.topic = slice_text("orders"), .group = group}, subscribed_wire(),
               &subscribed);
}

/* Names are kept as C strings: cut off at a zero byte, the first would be a second topic on the
 * streams of `orders`, and the second a member of the group `billing`. */
Test(topics, refuses_names_with_a_zero_byte)
{
    world_t world;
    prepare(&world);
    start(&world);
    cr_assert_eq(ensure_topic(&world, slice_text("orders")), CAPSTAN_OK);
    cr_assert_eq(ensure_topic(&world, slice_of("orders\0", 7)), CAPSTAN_E_INVALID);
    cr_assert_eq(ensure_topic(&world, slice_of("\0", 1)), CAPSTAN_E_INVALID);
    cr_assert_eq(subscribe(&world, slice_text("billing")), CAPSTAN_OK);
    cr_assert_eq(subscribe(&world, slice_of("billing\0x", 9)), CAPSTAN_E_INVALID);
    stop(&world);
}

Test(topics, bounds_the_subscriptions_of_one_session)
{
    world_t world;
    prepare(&world);
    start(&world);
    cr_assert_eq(ensure_topic(&world, slice_text("orders")), CAPSTAN_OK);
    for (int i = 0; i < SUBSCRIPTIONS; i++) {
        cr_assert_eq(subscribe(&world, (slice_t){0}), CAPSTAN_OK);
    }
    cr_assert_eq(subscribe(&world, (slice_t){0}), CAPSTAN_E_LIMIT);
    stop(&world);
}

/* --- an epoch that was issued, and not stored by the partitions ------------------------------- */

static void add_mark(codec_list_writer_t *list, const wire_record_t *record, const void *mark)
{
    buffer_t data = {0};
    codec_encode(record, mark, &data);
    codec_list_add(list, journal_record_wire(),
                   &(journal_record_t){.kind = record->id, .data = buffer_slice(&data)});
    buffer_fini(&data);
}

/* What a node leaves that ended between the two: the topics' marks, and nothing else. */
static void leave_marks(store_t *store)
{
    buffer_t records = {0};
    codec_list_writer_t list = codec_list_begin(&records);
    add_mark(&list, topic_mark_wire(),
             &(topic_mark_t){
                 .topic = slice_text("orders"), .partitions = 1, .sequence = SEQUENCE_PRODUCER});
    add_mark(&list, epoch_mark_wire(),
             &(epoch_mark_t){.topic = slice_text("orders"),
                             .producer = slice_text("shop"),
                             .producer_epoch = 1});
    codec_list_end(&list);
    uint64_t lsn_next;
    cr_assert_eq(store_begin(store), CAPSTAN_OK);
    stream_opened_t stream = fixture_stream(store, "topics");
    cr_assert_eq(store_append(store,
                              &(journal_append_t){.stream = stream.stream,
                                                  .epoch = stream.epoch,
                                                  .lsn = stream.lsn_next,
                                                  .records = buffer_slice(&records)},
                              &lsn_next),
                 CAPSTAN_OK);
    cr_assert_eq(store_commit(store), CAPSTAN_OK);
    buffer_fini(&records);
}

/* Publishes what it is asked to, and answers with the outcomes. */
typedef struct publisher {
    capstan_ref_t partition;
    capstan_message_t request;
} publisher_t;

static capstan_err_t publisher_init(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    return CAPSTAN_OK;
}

static capstan_err_t publisher_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    publisher_t *publisher = capstan_actor_state(self);
    if (message->message == MESSAGE_outcomes) {
        capstan_reply(self, &publisher->request, MESSAGE_outcomes, message->body);
        return CAPSTAN_OK;
    }
    publisher->request = *message;
    buffer_t rows = {0};
    buffer_t body = {0};
    publishes_add(&rows, 1, message->body);
    codec_encode(publishes_wire(), &(publishes_t){.rows = buffer_slice(&rows)}, &body);
    capstan_err_t err =
        actor_send(self, publisher->partition,
                   &(send_options_t){.message = MESSAGE_publishes, .kind = CAPSTAN_KIND_EVENT},
                   buffer_slice(&body));
    buffer_fini(&rows);
    buffer_fini(&body);
    return err;
}

static capstan_ref_t only_partition(world_t *self)
{
    topic_route_t route;
    codec_list_t list;
    partition_ref_t partition;
    cr_assert_eq(ask(self, self->topics, topic_resolve_wire(),
                     &(topic_resolve_t){.topic = slice_text("orders")}, topic_route_wire(), &route),
                 CAPSTAN_OK);
    cr_assert_eq(codec_list_open(partition_ref_wire(), route.partitions, &list), CAPSTAN_OK);
    cr_assert(codec_list_next(&list, &partition));
    return partition.actor;
}

static outcome_t publish(world_t *self, capstan_ref_t publisher, uint64_t epoch)
{
    outcomes_t outcomes;
    codec_list_t list;
    outcome_t outcome;
    cr_assert_eq(ask(self, publisher, publish_wire(),
                     &(publish_t){.topic = slice_text("orders"),
                                  .key = slice_text("k"),
                                  .producer = slice_text("shop"),
                                  .producer_epoch = epoch,
                                  .sequence = 1},
                     outcomes_wire(), &outcomes),
                 CAPSTAN_OK);
    cr_assert_eq(codec_list_open(outcome_wire(), outcomes.list, &list), CAPSTAN_OK);
    cr_assert(codec_list_next(&list, &outcome));
    return outcome;
}

Test(topics, stores_an_epoch_in_the_partitions_also_when_it_was_issued_before)
{
    static const capstan_behaviour_t behaviour = {
        .name = "publisher", .init = publisher_init, .receive = publisher_receive};
    world_t world;
    producer_opened_t opened;
    prepare(&world);
    leave_marks(world.fixture.store);
    start(&world);
    publisher_t publisher = {.partition = only_partition(&world)};
    capstan_ref_t ref = spawn(&world, &behaviour, "publisher", &publisher);
    cr_assert_eq(publish(&world, ref, 1).error, (uint64_t)CAPSTAN_E_EPOCH_UNKNOWN,
                 "the partition should not know the epoch yet");
    cr_assert_eq(
        ask(&world, world.topics, producer_open_wire(),
            &(producer_open_t){.topic = slice_text("orders"), .producer = slice_text("shop")},
            producer_opened_wire(), &opened),
        CAPSTAN_OK);
    cr_assert_eq(opened.producer_epoch, 1u);
    cr_assert_eq(publish(&world, ref, 1).result, (uint64_t)EVENT_STORED);
    stop(&world);
}
