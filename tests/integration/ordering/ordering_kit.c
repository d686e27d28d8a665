#include "tests/integration/ordering/ordering_kit.h"

#include "actors/ordering/ordering.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"

#include <errno.h>
#include <poll.h>
#include <xxhash.h>

enum {
    CLIENT_ASK = 0x8000, /* the message's number, then its body */
    CLIENT_PUBLISH,      /* items */
    CLIENT_ACKNOWLEDGE,  /* a position_t */
    CLIENT_GRANT,
    CLIENT_END,
    CLIENT_BARRIER, /* a request: answered when everything before it was handled */
    MOMENT_MS = 30,
    STEP_MS = 2,
    KEYS_MAX = 256,
};

/* --- the node -------------------------------------------------------------------------------- */

void bench_init(bench_t *self)
{
    *self = (bench_t){.checkpoint_bytes = 256 << 10};
    fixture_folder(&self->fixture);
    self->settings = (ordering_settings_t){
        .partitions = 4,
        .topics_max = 8,
        .event_bytes_max = 1 << 20,
        .held_items_max = 65536,
        .held_bytes_max = 64 << 20,
        .key_held_items_max = 8192,
        .hold_ms_max = 86400000,
        .snapshot_records = 64,
        .group_events_max = 65536,
        .group_bytes_max = 1 << 25,
        .group_ranges_max = 1024,
        .group_attempts_max = 3,
        .group_retry_ms_min = 1,
        .group_retry_ms_max = 10,
        .group_parked_max = 1000,
        .group_parked_bytes_max = 1 << 20,
        .tail_bytes = 4096,
    };
}

void bench_fini(bench_t *self)
{
    fixture_fini(&self->fixture);
}

static capstan_err_t open_stores(const bench_t *self, journal_arguments_t *writer,
                                 journal_reader_arguments_t *reader)
{
    store_options_t options = {.path = self->fixture.path,
                               .vfs = self->vfs,
                               .synchronous_off = self->synchronous_off,
                               .checkpoint_bytes = self->checkpoint_bytes};
    store_identity_t identity;
    capstan_err_t err = store_open(&options, &writer->store, NULL, 0);
    err = err ? err : store_claim(writer->store, 4711, slice_text("test"), &identity);
    options.read_only = true;
    return err ? err : store_open(&options, &reader->store, NULL, 0);
}

static capstan_err_t start_actors(bench_t *self, journal_arguments_t *writer,
                                  journal_reader_arguments_t *reader)
{
    capstan_spawn_options_t options = {.cell = "journal", .argument = writer};
    capstan_err_t err =
        capstan_node_spawn(self->node, &journal_behaviour, &options, &self->journal);
    if (!err) {
        writer->store = NULL;
        options = (capstan_spawn_options_t){.cell = "journal-reader", .argument = reader};
        err = capstan_node_spawn(self->node, &journal_reader_behaviour, &options, &self->reader);
    }
    if (!err) {
        reader->store = NULL;
        topics_arguments_t topics = {
            .settings = &self->settings, .journal = self->journal, .reader = self->reader};
        options = (capstan_spawn_options_t){.cell = "ordering", .argument = &topics};
        err = capstan_node_spawn(self->node, &topics_behaviour, &options, &self->topics);
    }
    if (err) {
        return err;
    }
    void *body = NULL;
    size_t size = 0;
    err = capstan_node_ask(self->node, self->topics, MESSAGE_topics_settle, (slice_t){0}, BENCH_US,
                           &body, &size);
    if (!err) {
        free(body);
    }
    return err;
}

capstan_err_t bench_start(bench_t *self)
{
    journal_arguments_t writer = {0};
    journal_reader_arguments_t reader = {0};
    capstan_err_t err = open_stores(self, &writer, &reader);
    if (!err) {
        capstan_node_options_t options = {.strict_wire = self->strict};
        err = capstan_node_new(&options, &self->node);
    }
    if (!err) {
        err = start_actors(self, &writer, &reader);
    }
    if (err && self->node) {
        bench_stop(self);
    }
    store_close(&reader.store);
    store_close(&writer.store);
    return err;
}

void bench_stop(bench_t *self)
{
    cr_assert_eq(capstan_node_stop(&self->node, BENCH_US, NULL, NULL), CAPSTAN_OK);
}

capstan_err_t bench_ask(bench_t *self, capstan_ref_t target, const wire_record_t *request,
                        const void *value, const wire_record_t *reply, void *ret_reply)
{
    static void *answer;
    buffer_t body = {0};
    size_t size = 0;
    codec_encode(request, value, &body);
    free(answer);
    answer = NULL;
    capstan_err_t err = capstan_node_ask(self->node, target, request->id, buffer_slice(&body),
                                         BENCH_US, &answer, &size);
    buffer_fini(&body);
    return err ? err : codec_decode(reply, slice_of(answer, size), ret_reply, NULL);
}

capstan_err_t bench_topic(bench_t *self, const char *topic, uint64_t partitions,
                          topic_info_t *ret_info)
{
    topic_ensure_t ensure = {
        .topic = slice_text(topic), .partitions = partitions, .sequence = SEQUENCE_PRODUCER};
    topic_info_t info;
    capstan_err_t err =
        bench_ask(self, self->topics, topic_ensure_wire(), &ensure, topic_info_wire(), &info);
    if (err) {
        return err;
    }
    info.topic = slice_text(topic);
    topic_resolve_t resolve = {.topic = slice_text(topic)};
    topic_route_t route;
    codec_list_t list;
    err = bench_ask(self, self->topics, topic_resolve_wire(), &resolve, topic_route_wire(), &route);
    err = err ? err : codec_list_open(partition_ref_wire(), route.partitions, &list);
    self->partition_count = 0;
    for (partition_ref_t ref; !err && codec_list_next(&list, &ref);) {
        self->partitions[self->partition_count++] = ref.actor;
    }
    if (!err && ret_info) {
        *ret_info = info;
    }
    return err;
}

uint64_t bench_frontier(bench_t *self, uint64_t partition, const char *group)
{
    partition_group_t request = {.group = slice_text(group)};
    group_stored_t stored;
    completed_t completed = {0};
    cr_assert_eq(bench_ask(self, self->partitions[partition], partition_group_wire(), &request,
                           group_stored_wire(), &stored),
                 CAPSTAN_OK);
    cr_assert_eq(completed_decode(&completed, stored.done), CAPSTAN_OK);
    uint64_t frontier = completed.frontier;
    completed_fini(&completed);
    return frontier;
}

uint64_t bench_accepted(bench_t *self)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < self->partition_count; i++) {
        partition_report_t report = {0};
        capstan_err_t err = CAPSTAN_E_UNAVAILABLE;
        for (int64_t left_us = BENCH_US; err == CAPSTAN_E_UNAVAILABLE && left_us > 0;
             left_us -= STEP_MS * 1000) {
            err = bench_ask(self, self->partitions[i], partition_status_wire(),
                            &(partition_status_t){0}, partition_report_wire(), &report);
            if (err) {
                poll(NULL, 0, STEP_MS);
            }
        }
        cr_assert_eq(err, CAPSTAN_OK, "partition %zu: %s", i, capstan_err_name(err));
        sum += report.offset_next - 1;
    }
    return sum;
}

/* --- the client's actor ---------------------------------------------------------------------- */

/* The mutex guards everything below it: the actor writes, the test's thread reads. */
struct client {
    bench_t *bench;
    char topic[32];
    capstan_ref_t ref;
    uint64_t published;

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t ask;
    bool answered;
    capstan_err_t answer;
    buffer_t body;
    result_t *results; /* by link sequence, from 1 */
    size_t result_capacity;
    uint64_t sent;
    uint64_t settled;
    got_t *got;
    size_t got_count;
    size_t got_capacity;
    capstan_ref_t subscription;
    uint64_t subscription_number;
    bool keep_grants;
    uint64_t passed_bytes;
    size_t deliver_bytes_max;
    capstan_err_t ended;
    uint64_t faults;
};

static uint8_t payload_byte(uint32_t key, uint64_t sequence, size_t index)
{
    return (uint8_t)(key * 31 + sequence * 7 + index);
}

static void note_result(client_t *self, uint64_t sequence, uint64_t result, capstan_err_t err)
{
    if (sequence == 0 || sequence > self->sent || self->results[sequence].result != 0) {
        self->faults++;
        return;
    }
    self->results[sequence] = (result_t){.result = result, .err = err};
    self->settled++;
}

static void write_key(uint32_t key, char ret_text[BENCH_KEY_BYTES + 1])
{
    snprintf(ret_text, BENCH_KEY_BYTES + 1, "k%07u", key % 10000000);
}

uint64_t bench_partition_of(const bench_t *self, uint32_t key)
{
    char text[BENCH_KEY_BYTES + 1];
    write_key(key, text);
    return XXH64(text, BENCH_KEY_BYTES, 0) % self->partition_count;
}

static void publish_item(capstan_actor_t *actor, client_t *self, const item_t *item,
                         buffer_t *space)
{
    char key[BENCH_KEY_BYTES + 1];
    write_key(item->key, key);
    buffer_t payload = {0};
    uint8_t *bytes = buffer_reserve(&payload, item->size);
    for (size_t i = 0; i < item->size; i++) {
        bytes[i] = payload_byte(item->key, item->sequence, i);
    }
    payload.size = item->size;
    publish_t publish = {.topic = slice_text(self->topic),
                         .key = slice_text(key),
                         .producer = slice_text("producer"),
                         .producer_epoch = item->epoch,
                         .sequence = item->sequence,
                         .payload = buffer_slice(&payload)};
    buffer_clear(space);
    codec_encode(publish_wire(), &publish, space);
    uint64_t sequence = ++self->sent;
    uint64_t partition = bench_partition_of(self->bench, item->key);
    buffer_t rows = {0};
    buffer_t body = {0};
    publishes_add(&rows, sequence, buffer_slice(space));
    codec_encode(publishes_wire(), &(publishes_t){.rows = buffer_slice(&rows)}, &body);
    capstan_err_t err =
        actor_send(actor, self->bench->partitions[partition],
                   &(send_options_t){.message = MESSAGE_publishes, .kind = CAPSTAN_KIND_EVENT},
                   buffer_slice(&body));
    buffer_fini(&rows);
    buffer_fini(&body);
    if (err) {
        note_result(self, sequence, EVENT_REJECTED, err);
    }
    buffer_fini(&payload);
}

static void on_publish(capstan_actor_t *actor, client_t *self, slice_t body)
{
    size_t count = body.size / sizeof(item_t);
    size_t needed = (size_t)self->sent + count + 1;
    if (needed > self->result_capacity) {
        self->results = realloc(self->results, 2 * needed * sizeof *self->results);
        ENSURE(self->results);
        memset(self->results + self->result_capacity, 0,
               (2 * needed - self->result_capacity) * sizeof *self->results);
        self->result_capacity = 2 * needed;
    }
    buffer_t space = {0};
    for (size_t i = 0; i < count; i++) {
        item_t item;
        memcpy(&item, (const uint8_t *)body.data + i * sizeof item, sizeof item);
        publish_item(actor, self, &item, &space);
    }
    buffer_fini(&space);
}

static void on_outcomes(client_t *self, slice_t body)
{
    outcomes_t outcomes;
    codec_list_t list;
    if (codec_decode(outcomes_wire(), body, &outcomes, NULL) ||
        codec_list_open(outcome_wire(), outcomes.list, &list)) {
        self->faults++;
        return;
    }
    for (outcome_t range; codec_list_next(&list, &range);) {
        for (uint64_t i = range.first; i <= range.last; i++) {
            note_result(self, i, range.result, (capstan_err_t)range.error);
        }
    }
}

static void tell_grant(capstan_actor_t *actor, const client_t *self)
{
    buffer_t body = {0};
    codec_encode(subscription_grant_wire(),
                 &(subscription_grant_t){.bytes = self->passed_bytes,
                                         .subscription = self->subscription_number},
                 &body);
    (void)!capstan_tell(actor, self->subscription, MESSAGE_subscription_grant, buffer_slice(&body));
    buffer_fini(&body);
}

static void note_event(client_t *self, uint64_t partition, const event_t *event)
{
    if (self->got_count == self->got_capacity) {
        self->got_capacity = 2 * self->got_capacity + 256;
        self->got = realloc(self->got, self->got_capacity * sizeof *self->got);
        ENSURE(self->got);
    }
    char key[BENCH_KEY_BYTES + 1] = "";
    memcpy(key, event->key.data,
           event->key.size < BENCH_KEY_BYTES ? event->key.size : BENCH_KEY_BYTES);
    got_t got = {.partition = partition,
                 .offset = event->offset,
                 .sequence = event->sequence,
                 .key = (uint32_t)strtoul(key + 1, NULL, 10),
                 .size = (uint32_t)event->payload.size};
    const uint8_t *bytes = event->payload.data;
    for (size_t i = 0; i < event->payload.size; i++) {
        if (bytes[i] != payload_byte(got.key, got.sequence, i)) {
            self->faults++;
            break;
        }
    }
    self->got[self->got_count++] = got;
}

static void on_deliver(capstan_actor_t *actor, client_t *self, const capstan_message_t *message)
{
    deliver_t deliver;
    codec_list_t list;
    if (codec_decode(deliver_wire(), message->body, &deliver, NULL) ||
        codec_list_open(event_wire(), deliver.events, &list) || list.left == 0) {
        self->faults++;
        return;
    }
    for (event_t event; codec_list_next(&list, &event);) {
        note_event(self, deliver.partition, &event);
    }
    self->faults += list.fault.err ? 1 : 0;
    self->subscription = message->sender;
    self->subscription_number = deliver.subscription;
    self->passed_bytes += message->body.size;
    if (message->body.size > self->deliver_bytes_max) {
        self->deliver_bytes_max = message->body.size;
    }
    if (!self->keep_grants) {
        tell_grant(actor, self);
    }
}

static void on_acknowledge(capstan_actor_t *actor, const client_t *self, slice_t body)
{
    position_t position;
    memcpy(&position, body.data, sizeof position);
    buffer_t list_bytes = {0};
    buffer_t bytes = {0};
    codec_list_writer_t list = codec_list_begin(&list_bytes);
    codec_list_add(&list, position_wire(), &position);
    codec_list_end(&list);
    codec_encode(acknowledge_wire(),
                 &(acknowledge_t){.subscription = self->subscription_number,
                                  .through = buffer_slice(&list_bytes)},
                 &bytes);
    (void)!capstan_tell(actor, self->subscription, MESSAGE_acknowledge, buffer_slice(&bytes));
    buffer_fini(&list_bytes);
    buffer_fini(&bytes);
}

static void on_ask(capstan_actor_t *actor, client_t *self, slice_t body)
{
    uint32_t message;
    memcpy(&message, body.data, sizeof message);
    slice_t rest =
        slice_of((const uint8_t *)body.data + sizeof message, body.size - sizeof message);
    capstan_err_t err =
        capstan_ask(actor, self->bench->topics, message, rest, BENCH_US, &self->ask);
    if (err) {
        self->answered = true;
        self->answer = err;
    }
}

static void on_answer(client_t *self, const capstan_message_t *message)
{
    if (self->ask == 0 || message->correlation != self->ask) {
        return;
    }
    self->ask = 0;
    self->answered = true;
    self->answer = message->kind == CAPSTAN_KIND_ERROR ? message_failure(message) : CAPSTAN_OK;
    buffer_clear(&self->body);
    buffer_append(&self->body, message->body.data, message->body.size);
}

static void on_ended(client_t *self, slice_t body)
{
    subscription_ended_t ended;
    if (codec_decode(subscription_ended_wire(), body, &ended, NULL)) {
        self->faults++;
    } else {
        self->ended = (capstan_err_t)ended.error;
    }
}

static capstan_err_t client_receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    client_t *self = capstan_actor_state(actor);
    pthread_mutex_lock(&self->mutex);
    switch (message->message) {
    case CLIENT_ASK:
        on_ask(actor, self, message->body);
        break;
    case CLIENT_PUBLISH:
        on_publish(actor, self, message->body);
        break;
    case CLIENT_ACKNOWLEDGE:
        on_acknowledge(actor, self, message->body);
        break;
    case CLIENT_GRANT:
        self->keep_grants = false;
        tell_grant(actor, self);
        break;
    case CLIENT_END:
        capstan_actor_exit(actor, CAPSTAN_OK);
        break;
    case CLIENT_BARRIER:
        capstan_reply(actor, message, CLIENT_BARRIER, (slice_t){0});
        break;
    case MESSAGE_outcomes:
        on_outcomes(self, message->body);
        break;
    case MESSAGE_deliver:
        on_deliver(actor, self, message);
        break;
    case MESSAGE_subscription_ended:
        on_ended(self, message->body);
        break;
    default:
        on_answer(self, message);
    }
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
    return CAPSTAN_OK;
}

static capstan_err_t client_init(capstan_actor_t *actor, void *argument)
{
    capstan_actor_set_state(actor, argument);
    return CAPSTAN_OK;
}

static const capstan_behaviour_t client_behaviour = {
    .name = "client", .init = client_init, .receive = client_receive};

/* --- the client, from the test's thread ------------------------------------------------------ */

client_t *client_new(bench_t *bench, const char *topic)
{
    client_t *self = calloc(1, sizeof *self);
    ENSURE(self && strlen(topic) < sizeof self->topic);
    self->bench = bench;
    memcpy(self->topic, topic, strlen(topic) + 1);
    pthread_mutex_init(&self->mutex, NULL);
    pthread_cond_init(&self->changed, NULL);
    capstan_spawn_options_t options = {.cell = "clients", .argument = self};
    cr_assert_eq(capstan_node_spawn(bench->node, &client_behaviour, &options, &self->ref),
                 CAPSTAN_OK);
    return self;
}

static void tell(client_t *self, uint32_t message, slice_t body)
{
    cr_assert_eq(capstan_node_tell(self->bench->node, self->ref, message, body), CAPSTAN_OK);
}

void client_end(client_t *self)
{
    tell(self, CLIENT_END, (slice_t){0});
    void *body = NULL;
    size_t size = 0;
    cr_assert_eq(capstan_node_ask(self->bench->node, self->ref, CLIENT_BARRIER, (slice_t){0},
                                  BENCH_US, &body, &size),
                 CAPSTAN_E_GONE);
    self->ref = (capstan_ref_t){0};
}

void client_destroy(client_t **self_p)
{
    client_t *self = *self_p;
    if (self->bench->node && !capstan_ref_is_null(self->ref)) {
        client_end(self);
    }
    pthread_mutex_destroy(&self->mutex);
    pthread_cond_destroy(&self->changed);
    buffer_fini(&self->body);
    free(self->results);
    free(self->got);
    free(self);
    *self_p = NULL;
}

typedef bool done_fn(const client_t *self, size_t wanted);

static bool wait_until(client_t *self, done_fn *done, size_t wanted, int64_t timeout_us)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += timeout_us / 1000000;
    end.tv_nsec += timeout_us % 1000000 * 1000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&self->mutex);
    int result = 0;
    while (!done(self, wanted) && result != ETIMEDOUT) {
        result = pthread_cond_timedwait(&self->changed, &self->mutex, &end);
    }
    bool is_done = done(self, wanted);
    pthread_mutex_unlock(&self->mutex);
    return is_done;
}

static bool is_answered(const client_t *self, size_t wanted)
{
    (void)wanted;
    return self->answered;
}

static bool is_settled(const client_t *self, size_t wanted)
{
    return self->settled >= wanted;
}

static bool has_received(const client_t *self, size_t wanted)
{
    return self->got_count >= wanted;
}

static bool has_ended(const client_t *self, size_t wanted)
{
    (void)wanted;
    return self->ended != CAPSTAN_OK;
}

capstan_err_t client_ask(client_t *self, const wire_record_t *request, const void *value,
                         const wire_record_t *reply, void *ret_reply)
{
    buffer_t body = {0};
    uint32_t message = request->id;
    buffer_append(&body, &message, sizeof message);
    codec_encode(request, value, &body);
    pthread_mutex_lock(&self->mutex);
    self->answered = false;
    pthread_mutex_unlock(&self->mutex);
    tell(self, CLIENT_ASK, buffer_slice(&body));
    buffer_fini(&body);
    if (!wait_until(self, is_answered, 0, BENCH_US + 1000000)) {
        return CAPSTAN_E_TIMEOUT;
    }
    /* Nothing touches the answer until the next ask. */
    pthread_mutex_lock(&self->mutex);
    capstan_err_t err = self->answer;
    err = err ? err : codec_decode(reply, buffer_slice(&self->body), ret_reply, NULL);
    pthread_mutex_unlock(&self->mutex);
    return err;
}

uint64_t client_publish(client_t *self, const item_t *items, size_t count)
{
    uint64_t first = self->published + 1;
    self->published += count;
    tell(self, CLIENT_PUBLISH, slice_of(items, count * sizeof *items));
    return first;
}

bool client_settled(client_t *self)
{
    return wait_until(self, is_settled, (size_t)self->published, BENCH_US);
}

result_t client_result(client_t *self, uint64_t sequence)
{
    pthread_mutex_lock(&self->mutex);
    result_t result = sequence <= self->sent ? self->results[sequence] : (result_t){0};
    pthread_mutex_unlock(&self->mutex);
    return result;
}

capstan_err_t client_subscribe(client_t *self, const client_place_t *place)
{
    buffer_t resume = {0};
    codec_list_writer_t list = codec_list_begin(&resume);
    for (size_t i = 0; i < place->resume_count; i++) {
        codec_list_add(&list, position_wire(), &place->resume[i]);
    }
    codec_list_end(&list);
    pthread_mutex_lock(&self->mutex);
    self->keep_grants = place->keep_grants;
    self->passed_bytes = 0;
    self->ended = CAPSTAN_OK;
    pthread_mutex_unlock(&self->mutex);
    subscribe_t subscribe = {.topic = slice_text(self->topic),
                             .group = place->group ? slice_text(place->group) : (slice_t){0},
                             .from = place->latest ? 2 : 1,
                             .resume = buffer_slice(&resume),
                             .events_max = 65536,
                             .key_events_max = 65536};
    subscribed_t subscribed;
    capstan_err_t err =
        client_ask(self, subscribe_wire(), &subscribe, subscribed_wire(), &subscribed);
    buffer_fini(&resume);
    return err;
}

bool client_received(client_t *self, size_t count)
{
    return wait_until(self, has_received, count, BENCH_US);
}

size_t client_count(client_t *self)
{
    poll(NULL, 0, MOMENT_MS);
    pthread_mutex_lock(&self->mutex);
    size_t count = self->got_count;
    pthread_mutex_unlock(&self->mutex);
    return count;
}

got_t client_got(client_t *self, size_t index)
{
    pthread_mutex_lock(&self->mutex);
    ENSURE(index < self->got_count);
    got_t got = self->got[index];
    pthread_mutex_unlock(&self->mutex);
    return got;
}

void client_acknowledge(client_t *self, uint64_t partition, uint64_t offset)
{
    position_t position = {.partition = partition, .offset = offset};
    tell(self, CLIENT_ACKNOWLEDGE, slice_of(&position, sizeof position));
}

void client_grant(client_t *self)
{
    tell(self, CLIENT_GRANT, (slice_t){0});
}

capstan_err_t client_ended(client_t *self)
{
    return wait_until(self, has_ended, 0, BENCH_US / 10) ? self->ended : CAPSTAN_OK;
}

size_t client_deliver_bytes_max(client_t *self)
{
    pthread_mutex_lock(&self->mutex);
    size_t bytes = self->deliver_bytes_max;
    pthread_mutex_unlock(&self->mutex);
    return bytes;
}

uint64_t client_faults(client_t *self)
{
    pthread_mutex_lock(&self->mutex);
    uint64_t faults = self->faults;
    pthread_mutex_unlock(&self->mutex);
    return faults;
}

const char *client_disorder(client_t *self, size_t from, bool whole)
{
    completed_t offsets[BENCH_PARTITIONS_MAX] = {{0}};
    uint64_t sequences[KEYS_MAX] = {0};
    const char *fault = NULL;
    pthread_mutex_lock(&self->mutex);
    for (size_t i = from; !fault && i < self->got_count; i++) {
        const got_t *got = &self->got[i];
        ENSURE(got->partition < BENCH_PARTITIONS_MAX && got->key < KEYS_MAX);
        uint64_t *sequence = &sequences[got->key];
        if (completed_has(&offsets[got->partition], got->offset)) {
            fault = "an offset comes twice";
        } else if (got->sequence != *sequence + 1 && (whole || *sequence > 0)) {
            fault = "a key's sequence has a hole or goes back";
        }
        completed_add(&offsets[got->partition], got->offset, got->offset);
        *sequence = got->sequence;
    }
    for (size_t i = 0; i < BENCH_PARTITIONS_MAX; i++) {
        if (!fault && (offsets[i].count > 1 || (whole && offsets[i].count > 0))) {
            fault = "an offset is missing";
        }
        completed_fini(&offsets[i]);
    }
    pthread_mutex_unlock(&self->mutex);
    return fault;
}
