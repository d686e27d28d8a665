#include "gateway_kit.h"

#include "brokers/gateway/gateway_metrics.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime_messages.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

kit_t kit;

/* --- partitions: what is published is answered `stored` at the end of the turn -----------------
 */

typedef struct fake_partition {
    uint64_t number;
    capstan_ref_t sender;
    buffer_t list;
    codec_list_writer_t writer;
} fake_partition_t;

static capstan_err_t partition_init(capstan_actor_t *self, void *argument)
{
    fake_partition_t *state = calloc(1, sizeof *state);
    state->number = (uint64_t)(uintptr_t)argument;
    capstan_actor_set_state(self, state);
    return CAPSTAN_OK;
}

static void partition_answer(capstan_actor_t *self)
{
    fake_partition_t *state = capstan_actor_state(self);
    if (state->list.size == 0) {
        return;
    }
    codec_list_end(&state->writer);
    buffer_t body = {0};
    codec_encode(outcomes_wire(), &(outcomes_t){.list = buffer_slice(&state->list)}, &body);
    (void)!actor_send(
        self, state->sender,
        &(send_options_t){.message = MESSAGE_outcomes, .kind = CAPSTAN_KIND_EVENT, .always = true},
        buffer_slice(&body));
    buffer_fini(&body);
    buffer_clear(&state->list);
}

static capstan_err_t partition_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    fake_partition_t *state = capstan_actor_state(self);
    publishes_t publishes;
    uint64_t sequence;
    slice_t body;
    if (message->message != MESSAGE_publishes ||
        codec_decode(publishes_wire(), message->body, &publishes, NULL) != CAPSTAN_OK) {
        return CAPSTAN_OK;
    }
    if (!capstan_ref_equal(state->sender, message->sender)) {
        partition_answer(self);
        state->sender = message->sender;
    }
    if (state->list.size == 0) {
        state->writer = codec_list_begin(&state->list);
    }
    while (publishes_next(&publishes.rows, &sequence, &body)) {
        if (atomic_fetch_sub(&kit.publishes_left, 1) == 1) {
            return CAPSTAN_E_INTERNAL; /* what it took in this turn is not answered either */
        }
        codec_list_add(&state->writer, outcome_wire(),
                       &(outcome_t){.first = sequence, .last = sequence, .result = 1});
        atomic_fetch_add(&kit.seen.by_partition[state->number], 1);
        atomic_fetch_add(&kit.seen.published, 1);
    }
    return CAPSTAN_OK;
}

static void partition_destroy(capstan_actor_t *self)
{
    fake_partition_t *state = capstan_actor_state(self);
    buffer_fini(&state->list);
    free(state);
}

static const capstan_behaviour_t partition_behaviour = {.name = "partition",
                                                        .init = partition_init,
                                                        .receive = partition_receive,
                                                        .turn_end = partition_answer,
                                                        .destroy = partition_destroy};

/* --- subscriptions: they send kit.deliveries at once and watch their session -------------------
 */

typedef struct fake_request {
    capstan_ref_t session;
    uint64_t correlation;
    uint64_t number;
} fake_request_t;

static void subscription_deliver(capstan_actor_t *self, const fake_request_t *request)
{
    char *payload = calloc(1, kit.delivery_bytes + 1);
    for (uint64_t i = 0; i < kit.deliveries; i++) {
        buffer_t list = {0};
        buffer_t body = {0};
        codec_list_writer_t writer = codec_list_begin(&list);
        codec_list_add(&writer, event_wire(),
                       &(event_t){.offset = i + 1,
                                  .key = slice_text("k"),
                                  .payload = slice_of(payload, kit.delivery_bytes)});
        codec_list_end(&writer);
        codec_encode(deliver_wire(),
                     &(deliver_t){.subscription = request->number, .events = buffer_slice(&list)},
                     &body);
        (void)!actor_send(self, request->session,
                          &(send_options_t){.message = MESSAGE_deliver,
                                            .kind = CAPSTAN_KIND_EVENT,
                                            .always = true},
                          buffer_slice(&body));
        buffer_fini(&list);
        buffer_fini(&body);
    }
    free(payload);
}

static capstan_err_t subscription_init(capstan_actor_t *self, void *argument)
{
    const fake_request_t *request = argument;
    buffer_t body = {0};
    codec_encode(subscribed_wire(),
                 &(subscribed_t){.subscription = request->number, .partitions = 1}, &body);
    (void)!capstan_monitor(self, request->session);
    (void)!actor_send(self, request->session,
                      &(send_options_t){.message = MESSAGE_subscribed,
                                        .kind = CAPSTAN_KIND_REPLY,
                                        .correlation = request->correlation,
                                        .always = true},
                      buffer_slice(&body));
    buffer_fini(&body);
    subscription_deliver(self, request);
    return CAPSTAN_OK;
}

static capstan_err_t subscription_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    uint64_t bytes = 0;
    switch (message->message) {
    case MESSAGE_subscription_grant:
        cr_assert(codec_peek_uint(message->body, 1, &bytes));
        atomic_store(&kit.seen.granted, bytes);
        break;
    case MESSAGE_acknowledge:
        atomic_fetch_add(&kit.seen.acknowledged, 1);
        break;
    case MESSAGE_down:
        atomic_fetch_add(&kit.seen.subscriptions_ended, 1);
        capstan_actor_exit(self, CAPSTAN_OK);
        break;
    case MESSAGE_kit_kill:
        capstan_actor_exit(self, CAPSTAN_E_STORE_IO);
        break;
    default:
        break;
    }
    return CAPSTAN_OK;
}

static const capstan_behaviour_t subscription_behaviour = {
    .name = "subscription", .init = subscription_init, .receive = subscription_receive};

/* --- topics: "loans" is known, "slow" is known once released, others are not -------------------
 */

typedef struct fake_topics {
    capstan_ref_t partitions[KIT_PARTITIONS];
    capstan_message_t slow; /* the parked request */
    capstan_ref_t subscription;
} fake_topics_t;

static void topics_start_partition(capstan_actor_t *self, uintptr_t number)
{
    fake_topics_t *state = capstan_actor_state(self);
    cr_assert_eq(
        capstan_spawn(self, &partition_behaviour,
                      &(capstan_spawn_options_t){.argument = (void *)number, .monitor = true},
                      &state->partitions[number]),
        CAPSTAN_OK);
}

static capstan_err_t topics_init(capstan_actor_t *self, void *argument)
{
    (void)argument;
    fake_topics_t *state = calloc(1, sizeof *state);
    capstan_actor_set_state(self, state);
    for (uintptr_t i = 0; i < KIT_PARTITIONS; i++) {
        topics_start_partition(self, i);
    }
    return CAPSTAN_OK;
}

static void topics_replace(capstan_actor_t *self, const capstan_message_t *message)
{
    const fake_topics_t *state = capstan_actor_state(self);
    down_t down;
    cr_assert_eq(codec_decode(down_wire(), message->body, &down, NULL), CAPSTAN_OK);
    for (uintptr_t i = 0; down.reason != CAPSTAN_OK && i < KIT_PARTITIONS; i++) {
        if (capstan_ref_equal(state->partitions[i], down.actor)) {
            topics_start_partition(self, i);
        }
    }
}

static void topics_route(capstan_actor_t *self, const capstan_message_t *request, const char *topic)
{
    const fake_topics_t *state = capstan_actor_state(self);
    buffer_t list = {0};
    buffer_t body = {0};
    codec_list_writer_t writer = codec_list_begin(&list);
    for (int i = 0; i < KIT_PARTITIONS; i++) {
        codec_list_add(&writer, partition_ref_wire(),
                       &(partition_ref_t){.actor = state->partitions[i]});
    }
    codec_list_end(&writer);
    codec_encode(topic_route_wire(),
                 &(topic_route_t){.topic = slice_text(topic), .partitions = buffer_slice(&list)},
                 &body);
    capstan_reply(self, request, MESSAGE_topic_route, buffer_slice(&body));
    buffer_fini(&list);
    buffer_fini(&body);
}

static void topics_resolve(capstan_actor_t *self, const capstan_message_t *message)
{
    fake_topics_t *state = capstan_actor_state(self);
    slice_t topic;
    cr_assert(codec_peek_slice(message->body, 1, &topic));
    atomic_fetch_add(&kit.seen.resolves, 1);
    if (slice_equal(topic, slice_text("loans"))) {
        topics_route(self, message, "loans");
    } else if (slice_equal(topic, slice_text("slow"))) {
        state->slow = *message;
    } else {
        capstan_reply_error(self, message, CAPSTAN_E_UNKNOWN_TOPIC, NULL);
    }
}

static void topics_ensure(capstan_actor_t *self, const capstan_message_t *message)
{
    topic_ensure_t ensure;
    if (codec_decode(topic_ensure_wire(), message->body, &ensure, NULL) != CAPSTAN_OK) {
        capstan_reply_error(self, message, CAPSTAN_E_MALFORMED, "topic_ensure");
        return;
    }
    if (slice_equal(ensure.topic, slice_text("slow"))) {
        atomic_fetch_add(&kit.seen.parked, 1);
        return;
    }
    buffer_t body = {0};
    codec_encode(topic_info_wire(),
                 &(topic_info_t){.topic = ensure.topic, .partitions = 4, .sequence = 1}, &body);
    capstan_reply(self, message, MESSAGE_topic_info, buffer_slice(&body));
    buffer_fini(&body);
}

static capstan_err_t topics_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    fake_topics_t *state = capstan_actor_state(self);
    fake_request_t request;
    switch (message->message) {
    case MESSAGE_topic_resolve:
        topics_resolve(self, message);
        break;
    case MESSAGE_topic_ensure:
        topics_ensure(self, message);
        break;
    case MESSAGE_subscribe:
        request = (fake_request_t){.session = message->sender,
                                   .correlation = message->correlation,
                                   .number = atomic_fetch_add(&kit.seen.subscriptions, 1) + 1};
        cr_assert_eq(
            capstan_spawn(self, &subscription_behaviour,
                          &(capstan_spawn_options_t){.argument = &request,
                                                     .mailbox_messages = kit.subscription_mailbox},
                          &state->subscription),
            CAPSTAN_OK);
        break;
    case MESSAGE_down:
        topics_replace(self, message);
        break;
    case MESSAGE_kit_release:
        topics_route(self, &state->slow, "slow");
        break;
    case MESSAGE_kit_kill:
        cr_assert_eq(capstan_tell(self, state->subscription, MESSAGE_kit_kill, (slice_t){0}),
                     CAPSTAN_OK);
        break;
    default:
        capstan_reply_error(self, message, CAPSTAN_E_UNKNOWN_MESSAGE, NULL);
        break;
    }
    return CAPSTAN_OK;
}

static void topics_cancelled(capstan_actor_t *self, capstan_ref_t sender, uint64_t correlation)
{
    (void)self;
    (void)sender;
    (void)correlation;
    atomic_fetch_add(&kit.seen.cancelled, 1);
}

static void topics_destroy(capstan_actor_t *self)
{
    free(capstan_actor_state(self));
}

static const capstan_behaviour_t topics_behaviour = {.name = "topics",
                                                     .init = topics_init,
                                                     .receive = topics_receive,
                                                     .cancelled = topics_cancelled,
                                                     .destroy = topics_destroy};

/* --- the node ----------------------------------------------------------------------------------
 */

void kit_start(void)
{
    kit_start_with(slice_text("{\"schema\":1}"));
}

void kit_defaults(void)
{
    kit.settings = (gateway_settings_t){.endpoint = "tcp://127.0.0.1:*",
                                        .sessions_max = 16,
                                        .heartbeat_ms = 1000,
                                        .credit_messages = 1024,
                                        .credit_bytes = 2097152,
                                        .outbox_bytes = 1048576};
}

static slice_t describe(void *context, slice_t format)
{
    return format.size == 0 ? *(slice_t *)context : (slice_t){0};
}

void kit_start_with(slice_t description)
{
    if (!kit.settings.endpoint) {
        kit_defaults();
    }
    if (kit.settings.memory_bytes_max == 0) {
        kit.settings.memory_bytes_max = UINT64_C(4) << 30;
    }
    cr_assert_eq(
        capstan_node_new(&(capstan_node_options_t){.strict_wire = kit.strict_wire}, &kit.node),
        CAPSTAN_OK);
    cr_assert_eq(capstan_node_spawn(kit.node, &topics_behaviour,
                                    &(capstan_spawn_options_t){.name = "topics", .cell = "topics"},
                                    &kit.topics),
                 CAPSTAN_OK);
    kit.description = description;
    kit.arguments = (gateway_arguments_t){.settings = &kit.settings,
                                          .event_bytes_max = 1048576,
                                          .topics = kit.topics,
                                          .describe = describe,
                                          .describe_context = &kit.description};
    capstan_err_t err =
        capstan_node_spawn(kit.node, &gateway_behaviour,
                           &(capstan_spawn_options_t){
                               .name = "gateway", .cell = "gateway", .argument = &kit.arguments},
                           &kit.gateway);
    cr_assert_eq(err, CAPSTAN_OK, "%s", kit.arguments.error_text);
}

void kit_stop(void)
{
    cr_assert_eq(capstan_node_stop(&kit.node, 5000000, NULL, NULL), CAPSTAN_OK);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void kit_wait(const _Atomic uint64_t *counter, uint64_t value)
{
    int64_t deadline_ms = now_ms() + KIT_WAIT_MS;
    while (atomic_load(counter) < value) {
        cr_assert_lt(now_ms(), deadline_ms, "still %llu, not %llu",
                     (unsigned long long)atomic_load(counter), (unsigned long long)value);
        poll(NULL, 0, 1);
    }
}

static uint64_t metric_figure(const char *name)
{
    size_t row = 0;
    while (row < gateway_metrics.count && strcmp(gateway_metrics.rows[row].name, name) != 0) {
        row++;
    }
    cr_assert(row < gateway_metrics.count, "neither the report nor the metrics have %s", name);
    return (uint64_t)metric_value(&gateway_metrics, row);
}

uint64_t kit_figure(const char *path)
{
    void *body;
    size_t size;
    cr_assert_eq(capstan_node_ask(kit.node, kit.gateway, MESSAGE_gateway_status,
                                  slice_of("\x80", 1), 5000000, &body, &size),
                 CAPSTAN_OK);
    gateway_report_t report;
    cr_assert_eq(codec_decode(gateway_report_wire(), slice_of(body, size), &report, NULL),
                 CAPSTAN_OK);
    json_error_t error;
    json_t *json = json_loadb(report.json.data, report.json.size, 0, &error);
    cr_assert(json, "%s", error.text);
    char copy[128];
    snprintf(copy, sizeof copy, "%s", path);
    char *rest = copy;
    const json_t *value = json;
    for (const char *key; (key = strsep(&rest, "/"));) {
        value = json_object_get(value, key);
    }
    uint64_t result =
        json_is_integer(value) ? (uint64_t)json_integer_value(value) : metric_figure(path);
    json_decref(json);
    free(body);
    return result;
}

void kit_wait_figure(const char *path, uint64_t value)
{
    int64_t deadline_ms = now_ms() + KIT_WAIT_MS;
    for (uint64_t now; (now = kit_figure(path)) != value;) {
        cr_assert_lt(now_ms(), deadline_ms, "%s is %llu, not %llu", path, (unsigned long long)now,
                     (unsigned long long)value);
        poll(NULL, 0, 1);
    }
}

uint16_t kit_port(void)
{
    return (uint16_t)strtoul(strrchr(kit.arguments.endpoint, ':') + 1, NULL, 10);
}

int kit_tcp_connect(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(kit_port()),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* --- the raw peer ------------------------------------------------------------------------------
 */

void raw_open(raw_peer_t *self)
{
    int zero = 0;
    int wait_ms = KIT_WAIT_MS;
    int few = 16; /* a peer that does not read takes little on its own side */
    *self = (raw_peer_t){.sequence = 1};
    self->context = zmq_ctx_new();
    self->socket = zmq_socket(self->context, ZMQ_DEALER);
    zmq_setsockopt(self->socket, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(self->socket, ZMQ_RCVHWM, &few, sizeof few);
    zmq_setsockopt(self->socket, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms);
    zmq_setsockopt(self->socket, ZMQ_SNDTIMEO, &wait_ms, sizeof wait_ms);
    cr_assert_eq(zmq_connect(self->socket, kit.arguments.endpoint), 0);
    self->writer = batch_begin(&self->batch);
}

void raw_close(raw_peer_t *self)
{
    if (self->has_input) {
        zmq_msg_close(&self->input);
    }
    zmq_close(self->socket);
    zmq_ctx_term(self->context);
    buffer_fini(&self->batch);
}

void raw_send_bytes(raw_peer_t *self, const void *data, size_t size, int flags)
{
    cr_assert_geq(zmq_send(self->socket, data, size, flags), 0);
}

void raw_add(raw_peer_t *self, const envelope_t *envelope, slice_t body)
{
    batch_add(&self->writer, envelope, body);
}

void raw_send(raw_peer_t *self, const link_header_t *header)
{
    link_header_t head = header ? *header : (link_header_t){.version = WIRE_VERSION};
    batch_seal(&self->writer, &head);
    raw_send_bytes(self, self->batch.data, self->batch.size, 0);
    buffer_clear(&self->batch);
    self->writer = batch_begin(&self->batch);
}

void raw_hello(raw_peer_t *self, const char *name, uint64_t session)
{
    buffer_t body = {0};
    codec_encode(
        hello_wire(),
        &(hello_t){
            .version_min = 1, .version_max = 1, .name = slice_text(name), .session = session},
        &body);
    raw_add(self,
            &(envelope_t){.message = MESSAGE_hello, .kind = CAPSTAN_KIND_REQUEST, .correlation = 1},
            buffer_slice(&body));
    raw_send(self, NULL);
    buffer_fini(&body);
}

void raw_publish(raw_peer_t *self, const char *topic, const char *key, const char *payload)
{
    buffer_t body = {0};
    codec_encode(publish_wire(),
                 &(publish_t){.topic = slice_text(topic),
                              .key = slice_text(key),
                              .payload = slice_text(payload)},
                 &body);
    raw_add(self, &(envelope_t){.message = MESSAGE_publish, .kind = CAPSTAN_KIND_EVENT},
            buffer_slice(&body));
    buffer_fini(&body);
    self->sequence++;
}

void raw_receive(raw_peer_t *self, envelope_t *ret_envelope, slice_t *ret_body)
{
    while (!self->has_input || !batch_next(&self->reader, ret_envelope, ret_body)) {
        if (self->has_input) {
            cr_assert_eq(self->reader.fault.err, CAPSTAN_OK);
            zmq_msg_close(&self->input);
        }
        zmq_msg_init(&self->input);
        self->has_input = true;
        cr_assert_geq(zmq_msg_recv(&self->input, self->socket, 0), 0, "no answer");
        cr_assert_eq(batch_open(slice_of(zmq_msg_data(&self->input), zmq_msg_size(&self->input)),
                                &self->reader),
                     CAPSTAN_OK);
        self->header = self->reader.header;
    }
}

slice_t raw_expect(raw_peer_t *self, uint32_t message)
{
    envelope_t envelope;
    slice_t body;
    raw_receive(self, &envelope, &body);
    cr_assert_eq(envelope.message, message, "message %u came, not %u", (unsigned)envelope.message,
                 message);
    return body;
}

void raw_expect_failure(raw_peer_t *self, capstan_err_t err)
{
    failure_t failure;
    slice_t body = raw_expect(self, MESSAGE_failure);
    cr_assert_eq(codec_decode(failure_wire(), body, &failure, NULL), CAPSTAN_OK);
    cr_assert_eq(failure.number, err, "%s", capstan_err_name((capstan_err_t)failure.number));
}

void raw_greet(raw_peer_t *self, const char *name, uint64_t session)
{
    raw_hello(self, name, session);
    raw_expect(self, MESSAGE_welcome);
    self->sequence = 1;
}
