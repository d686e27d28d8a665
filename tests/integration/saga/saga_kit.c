#include "tests/integration/saga/saga_kit.h"

#include "actors/ordering/ordering.h"
#include "actors/saga/saga_actor.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"
#include "runtime/wire/wire_messages.h"

#include <poll.h>
#include <xxhash.h>

enum { STEP_MS = 2 };

/* --- the node -------------------------------------------------------------------------------- */

void sagas_init(sagas_t *self)
{
    const char *strict = getenv("CAPSTAN_RUNTIME_STRICT_WIRE");
    *self = (sagas_t){.strict = strict && strcmp(strict, "true") == 0};
    fixture_folder(&self->fixture);
    pthread_mutex_init(&self->mutex, NULL);
    self->seen = calloc(SEEN_MAX, sizeof *self->seen);
    ENSURE(self->seen);
    self->settings = (saga_settings_t){.retention_ms = 604800000,
                                       .resident_max = 1000,
                                       .snapshot_records = 1000,
                                       .snapshot_ms = 1000,
                                       .append_bytes_max = 1 << 20,
                                       .lookups_max = 10000,
                                       .results_max = 10000,
                                       .events_max = 1000};
    self->ordering = (ordering_settings_t){.partitions = 4,
                                           .topics_max = 8,
                                           .event_bytes_max = 1 << 20,
                                           .held_items_max = 65536,
                                           .held_bytes_max = 64 << 20,
                                           .key_held_items_max = 8192,
                                           .hold_ms_max = 86400000,
                                           .snapshot_records = 64,
                                           .resident_keys_max = 100000,
                                           .group_events_max = 65536,
                                           .group_bytes_max = 1 << 25,
                                           .group_ranges_max = 1024,
                                           .group_attempts_max = 3,
                                           .group_retry_ms_min = 1,
                                           .group_retry_ms_max = 10,
                                           .group_parked_max = 1000,
                                           .group_parked_bytes_max = 1 << 20,
                                           .tail_bytes = 65536};
}

static void spawn(sagas_t *self, const capstan_behaviour_t *behaviour, const char *cell,
                  void *argument, capstan_ref_t *ret_ref)
{
    cr_assert_eq(capstan_node_spawn(self->node, behaviour,
                                    &(capstan_spawn_options_t){.name = behaviour->name,
                                                               .cell = cell,
                                                               .argument = argument,
                                                               .external = true},
                                    ret_ref),
                 CAPSTAN_OK, "%s", behaviour->name);
}

void sagas_start(sagas_t *self)
{
    journal_arguments_t writer = {0};
    journal_reader_arguments_t reader = {0};
    store_identity_t identity;
    store_options_t options = {
        .path = self->fixture.path, .vfs = self->vfs, .checkpoint_bytes = 256 << 10};
    capstan_node_options_t node = {.strict_wire = self->strict, .log_fd = -1};
    cr_assert_eq(store_open(&options, &writer.store, self->text, sizeof self->text), CAPSTAN_OK,
                 "%s", self->text);
    cr_assert_eq(store_claim(writer.store, 4711, slice_text("test"), &identity), CAPSTAN_OK);
    options.read_only = true;
    cr_assert_eq(store_open(&options, &reader.store, self->text, sizeof self->text), CAPSTAN_OK,
                 "%s", self->text);
    cr_assert_eq(capstan_node_new(&node, &self->node), CAPSTAN_OK);
    spawn(self, &journal_behaviour, "journal", &writer, &self->journal);
    spawn(self, &journal_reader_behaviour, "journal-reader", &reader, &self->reader);
    topics_arguments_t topics = {
        .settings = &self->ordering, .journal = self->journal, .reader = self->reader};
    spawn(self, &topics_behaviour, "ordering", &topics, &self->topics);
    cr_assert_eq(capstan_node_ask(self->node, self->topics, MESSAGE_topics_settle, (slice_t){0},
                                  SAGAS_US, NULL, NULL),
                 CAPSTAN_OK);
    saga_arguments_t saga = {.settings = &self->settings,
                             .journal = self->journal,
                             .reader = self->reader,
                             .topics = self->topics};
    spawn(self, &saga_behaviour, "saga", &saga, &self->saga);
}

static void print_late(void *context, const char *name)
{
    (void)context;
    fprintf(stderr, "late: %s\n", name);
}

void sagas_stop(sagas_t *self)
{
    cr_assert_eq(capstan_node_stop(&self->node, SAGAS_US, print_late, NULL), CAPSTAN_OK);
}

void sagas_fini(sagas_t *self)
{
    fixture_fini(&self->fixture);
    pthread_mutex_destroy(&self->mutex);
    free(self->answer);
    free(self->seen);
}

/* --- the worker ------------------------------------------------------------------------------ */

typedef struct worker {
    sagas_t *bench;
    char name[32];
    uint64_t window;
    uint64_t ask;
    capstan_ref_t saga;
    buffer_t results;
    codec_list_writer_t list;
} worker_t;

static bool begins(slice_t text, const char *with)
{
    return text.size >= strlen(with) && memcmp(text.data, with, strlen(with)) == 0;
}

static void note(sagas_t *bench, const saga_command_t *command)
{
    pthread_mutex_lock(&bench->mutex);
    uint64_t count = atomic_load(&bench->seen_count);
    if (count < SEEN_MAX) {
        seen_command_t *seen = &bench->seen[count];
        *seen = (seen_command_t){.number = command->number,
                                 .task = command->task,
                                 .phase = command->phase,
                                 .attempt = command->attempt};
        snprintf(seen->saga, sizeof seen->saga, "%.*s", (int)command->saga.size,
                 (const char *)command->saga.data);
        snprintf(seen->action, sizeof seen->action, "%.*s", (int)command->action.size,
                 (const char *)command->action.data);
        atomic_store(&bench->seen_count, count + 1);
    }
    pthread_mutex_unlock(&bench->mutex);
}

static void answer(worker_t *self, const participant_result_t *result)
{
    codec_list_add(&self->list, participant_result_wire(), result);
}

static void answer_oddly(worker_t *self, const participant_result_t *right)
{
    participant_result_t odd = *right;
    odd.saga = slice_text("another");
    answer(self, &odd);
    odd = *right;
    odd.status = 77;
    answer(self, &odd);
    odd = *right;
    odd.phase = 9;
    answer(self, &odd);
    odd = *right;
    odd.number += 1000;
    answer(self, &odd);
    odd = *right;
    odd.task += 1000;
    answer(self, &odd);
    odd = *right;
    odd.result = slice_of("\xc1", 1);
    answer(self, &odd);
}

static void do_command(worker_t *self, const saga_command_t *command)
{
    uint8_t number = (uint8_t)(command->task & 0x7f);
    participant_result_t result = {.number = command->number,
                                   .task = command->task,
                                   .phase = command->phase,
                                   .attempt = command->attempt,
                                   .status = 1,
                                   .result = slice_of(&number, 1),
                                   .saga = command->saga};
    note(self->bench, command);
    if (begins(command->action, "fail_")) {
        result.status = 3;
        result.error = slice_text("BROKEN");
        result.text = slice_text("it is broken");
        result.result = (slice_t){0};
    } else if (begins(command->action, "later_")) {
        result.status = 2;
        result.error = slice_text("LATER");
        result.result = (slice_t){0};
    } else if (begins(command->action, "mute_") && !atomic_load(&self->bench->speaks)) {
        return;
    } else if (begins(command->action, "odd_")) {
        answer_oddly(self, &result);
    }
    answer(self, &result);
}

static void on_commands(capstan_actor_t *actor, worker_t *self, const capstan_message_t *message)
{
    participant_commands_t commands;
    saga_command_t command;
    codec_list_t list;
    buffer_t body = {0};
    cr_assert_eq(codec_decode(participant_commands_wire(), message->body, &commands, NULL),
                 CAPSTAN_OK);
    cr_assert_eq(codec_list_open(saga_command_wire(), commands.commands, &list), CAPSTAN_OK);
    buffer_clear(&self->results);
    self->list = codec_list_begin(&self->results);
    while (codec_list_next(&list, &command)) {
        do_command(self, &command);
    }
    codec_list_end(&self->list);
    if (codec_list_count(buffer_slice(&self->results)) > 0) {
        codec_encode(participant_results_wire(),
                     &(participant_results_t){.results = buffer_slice(&self->results)}, &body);
        (void)!capstan_tell(actor, message->sender, MESSAGE_participant_results,
                            buffer_slice(&body));
    }
    buffer_fini(&body);
}

static void open_participant(capstan_actor_t *actor, worker_t *self)
{
    buffer_t body = {0};
    codec_encode(participant_open_wire(),
                 &(participant_open_t){.name = slice_text(self->name), .window = self->window},
                 &body);
    cr_assert_eq(capstan_ask(actor, self->saga, MESSAGE_participant_open, buffer_slice(&body),
                             SAGAS_US, &self->ask),
                 CAPSTAN_OK);
    buffer_fini(&body);
}

static capstan_err_t worker_init(capstan_actor_t *actor, void *argument)
{
    worker_t *self = argument;
    capstan_actor_set_state(actor, self);
    open_participant(actor, self);
    return CAPSTAN_OK;
}

static capstan_err_t worker_receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    worker_t *self = capstan_actor_state(actor);
    participant_opened_t opened;
    if (message->message == MESSAGE_participant_commands) {
        on_commands(actor, self, message);
    } else if (message->message == MESSAGE_participant_opened) {
        cr_assert_eq(codec_decode(participant_opened_wire(), message->body, &opened, NULL),
                     CAPSTAN_OK);
        atomic_store(&self->bench->epoch, opened.epoch);
        atomic_fetch_add(&self->bench->opened, 1);
    }
    return CAPSTAN_OK;
}

static void worker_destroy(capstan_actor_t *actor)
{
    worker_t *self = capstan_actor_state(actor);
    buffer_fini(&self->results);
    free(self);
}

static const capstan_behaviour_t worker_behaviour = {
    .name = "worker", .init = worker_init, .receive = worker_receive, .destroy = worker_destroy};

static void await_count(const _Atomic uint64_t *count, uint64_t wanted)
{
    for (int64_t i = 0; i < SAGAS_US / 1000 / STEP_MS && atomic_load(count) < wanted; i++) {
        poll(NULL, 0, STEP_MS);
    }
    cr_assert_geq(atomic_load(count), wanted);
}

capstan_ref_t sagas_worker(sagas_t *self, const char *name, uint64_t window)
{
    capstan_ref_t ref;
    worker_t *worker = calloc(1, sizeof *worker);
    ENSURE(worker);
    *worker = (worker_t){.bench = self, .window = window, .saga = self->saga};
    snprintf(worker->name, sizeof worker->name, "%s", name);
    uint64_t opened = atomic_load(&self->opened);
    cr_assert_eq(capstan_node_spawn(self->node, &worker_behaviour,
                                    &(capstan_spawn_options_t){.argument = worker}, &ref),
                 CAPSTAN_OK);
    await_count(&self->opened, opened + 1);
    return ref;
}

static capstan_err_t ender_receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    capstan_ref_t worker;
    memcpy(&worker, message->body.data, sizeof worker);
    (void)!capstan_stop(actor, worker, 0);
    capstan_reply(actor, message, message->message, (slice_t){0});
    capstan_actor_exit(actor, CAPSTAN_OK);
    return CAPSTAN_OK;
}

void sagas_end_worker(sagas_t *self, capstan_ref_t worker)
{
    static const capstan_behaviour_t ender = {.name = "ender", .receive = ender_receive};
    capstan_ref_t ref;
    cr_assert_eq(capstan_node_spawn(self->node, &ender, &(capstan_spawn_options_t){0}, &ref),
                 CAPSTAN_OK);
    cr_assert_eq(capstan_node_ask(self->node, ref, 0x9000, slice_of(&worker, sizeof worker),
                                  SAGAS_US, NULL, NULL),
                 CAPSTAN_OK);
}

/* --- asking ---------------------------------------------------------------------------------- */

capstan_err_t sagas_ask(sagas_t *self, const wire_record_t *request, const void *value,
                        const wire_record_t *reply, void *ret_reply)
{
    buffer_t body = {0};
    size_t size = 0;
    codec_encode(request, value, &body);
    free(self->answer);
    self->answer = NULL;
    capstan_err_t err = capstan_node_ask(self->node, self->saga, request->id, buffer_slice(&body),
                                         SAGAS_US, &self->answer, &size);
    buffer_fini(&body);
    return err ? err : codec_decode(reply, slice_of(self->answer, size), ret_reply, NULL);
}

void sagas_define(sagas_t *self, const char *yaml)
{
    cr_assert_eq(capstan_saga_define(self->node, yaml, "test.yaml", self->text, sizeof self->text),
                 CAPSTAN_OK, "%s", self->text);
}

capstan_err_t sagas_begin(sagas_t *self, const char *definition, const char *id, int n)
{
    uint8_t input[] = {0x81, 0xa1, 'n', (uint8_t)(n & 0x7f)};
    return capstan_saga_start(self->node,
                              &(capstan_saga_start_t){.definition = definition,
                                                      .id = id,
                                                      .input = slice_of(input, sizeof input)},
                              NULL);
}

static capstan_saga_state_t state_of(sagas_t *self, const char *id, int64_t timeout_us)
{
    capstan_saga_end_t end = {0};
    capstan_err_t err = capstan_saga_result(self->node, id, timeout_us, &end);
    cr_assert_eq(err, CAPSTAN_OK, "%s: %s", id, capstan_err_name(err));
    capstan_saga_state_t state = end.state;
    capstan_saga_end_fini(&end);
    return state;
}

capstan_saga_state_t sagas_rest(sagas_t *self, const char *id)
{
    return state_of(self, id, SAGAS_US);
}

capstan_saga_state_t sagas_now(sagas_t *self, const char *id)
{
    return state_of(self, id, 0);
}

void sagas_await(sagas_t *self, const char *id, capstan_saga_state_t state)
{
    for (int64_t i = 0; i < SAGAS_US / 1000 / STEP_MS && sagas_now(self, id) != state; i++) {
        poll(NULL, 0, STEP_MS);
    }
    cr_assert_eq(sagas_now(self, id), state, "%s", id);
}

size_t sagas_seen(sagas_t *self, const char *saga, const char *action)
{
    size_t count = 0;
    pthread_mutex_lock(&self->mutex);
    for (size_t i = 0; i < atomic_load(&self->seen_count); i++) {
        const seen_command_t *seen = &self->seen[i];
        count += (!saga[0] || strcmp(seen->saga, saga) == 0) && strcmp(seen->action, action) == 0;
    }
    pthread_mutex_unlock(&self->mutex);
    return count;
}

void sagas_await_seen(sagas_t *self, const char *saga, const char *action, size_t count)
{
    for (int64_t i = 0; i < SAGAS_US / 1000 / STEP_MS && sagas_seen(self, saga, action) < count;
         i++) {
        poll(NULL, 0, STEP_MS);
    }
    cr_assert_geq(sagas_seen(self, saga, action), count, "%s of %s", action, saga);
}

uint64_t sagas_count(sagas_t *self, const saga_filter_t *filter)
{
    buffer_t bytes = {0};
    saga_counts_t counts;
    codec_list_t list;
    saga_sum_t sum;
    codec_encode(saga_filter_wire(), filter, &bytes);
    saga_count_t request = {.filter = buffer_slice(&bytes)};
    cr_assert_eq(sagas_ask(self, saga_count_wire(), &request, saga_counts_wire(), &counts),
                 CAPSTAN_OK);
    buffer_fini(&bytes);
    cr_assert_eq(codec_list_open(saga_sum_wire(), counts.sums, &list), CAPSTAN_OK);
    cr_assert(codec_list_next(&list, &sum));
    return sum.count;
}

/* --- topics ---------------------------------------------------------------------------------- */

void sagas_topic(sagas_t *self, const char *topic)
{
    buffer_t body = {0};
    codec_encode(topic_ensure_wire(), &(topic_ensure_t){.topic = slice_text(topic), .sequence = 1},
                 &body);
    cr_assert_eq(capstan_node_ask(self->node, self->topics, MESSAGE_topic_ensure,
                                  buffer_slice(&body), SAGAS_US, NULL, NULL),
                 CAPSTAN_OK);
    buffer_fini(&body);
}

/* A publisher of one event: it finds the partition, and ends with its outcome. */
typedef struct publishing {
    capstan_ref_t partition;
    buffer_t body;
    capstan_message_t request;
} publishing_t;

static capstan_err_t publisher_receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    publishing_t *self = capstan_actor_state(actor);
    if (message->kind == CAPSTAN_KIND_REQUEST) {
        self->request = *message;
        return actor_send(
            actor, self->partition,
            &(send_options_t){.message = MESSAGE_publishes, .kind = CAPSTAN_KIND_EVENT},
            buffer_slice(&self->body));
    }
    if (message->message == MESSAGE_outcomes) {
        capstan_reply(actor, &self->request, MESSAGE_outcomes, message->body);
        capstan_actor_exit(actor, CAPSTAN_OK);
    }
    return CAPSTAN_OK;
}

static capstan_err_t publisher_init(capstan_actor_t *actor, void *argument)
{
    capstan_actor_set_state(actor, argument);
    return CAPSTAN_OK;
}

static capstan_ref_t partition_of(sagas_t *self, const char *topic, const char *key)
{
    buffer_t body = {0};
    void *answer;
    size_t size;
    topic_route_t route;
    codec_list_t list;
    partition_ref_t ref = {0};
    codec_encode(topic_resolve_wire(), &(topic_resolve_t){.topic = slice_text(topic)}, &body);
    cr_assert_eq(capstan_node_ask(self->node, self->topics, MESSAGE_topic_resolve,
                                  buffer_slice(&body), SAGAS_US, &answer, &size),
                 CAPSTAN_OK);
    cr_assert_eq(codec_decode(topic_route_wire(), slice_of(answer, size), &route, NULL),
                 CAPSTAN_OK);
    cr_assert_eq(codec_list_open(partition_ref_wire(), route.partitions, &list), CAPSTAN_OK);
    uint64_t wanted = XXH64(key, strlen(key), 0) % list.left;
    for (uint64_t i = 0; i <= wanted; i++) {
        cr_assert(codec_list_next(&list, &ref));
    }
    free(answer);
    buffer_fini(&body);
    return ref.actor;
}

void sagas_publish(sagas_t *self, const char *topic, const char *key, uint64_t sequence,
                   const char *payload, const char *content_type)
{
    static const capstan_behaviour_t behaviour = {
        .name = "publisher", .init = publisher_init, .receive = publisher_receive};
    publishing_t publishing = {.partition = partition_of(self, topic, key)};
    buffer_t event = {0};
    buffer_t rows = {0};
    capstan_ref_t ref;
    codec_encode(publish_wire(),
                 &(publish_t){.topic = slice_text(topic),
                              .key = slice_text(key),
                              .producer = slice_text("test"),
                              .sequence = sequence,
                              .content_type = slice_text(content_type),
                              .payload = slice_text(payload)},
                 &event);
    publishes_add(&rows, 1, buffer_slice(&event));
    codec_encode(publishes_wire(), &(publishes_t){.rows = buffer_slice(&rows)}, &publishing.body);
    cr_assert_eq(capstan_node_spawn(self->node, &behaviour,
                                    &(capstan_spawn_options_t){.argument = &publishing}, &ref),
                 CAPSTAN_OK);
    cr_assert_eq(capstan_node_ask(self->node, ref, 0x9001, (slice_t){0}, SAGAS_US, NULL, NULL),
                 CAPSTAN_OK);
    buffer_fini(&event);
    buffer_fini(&rows);
    buffer_fini(&publishing.body);
}
