/* Where publishes go: topic -> partition actors, learnt from the topics actor and kept until one
 * of them turns out to be gone. Publishes of a topic that is being resolved are parked in order;
 * what is parked is within its senders' credit. */
#include "brokers/gateway/session_link.h"
#include "runtime/base/ensure.h"
#include "runtime/base/key_partition.h"

enum {
    RESOLVE_TIMEOUT_US = 10000000,
};

typedef struct parked_publish {
    struct parked_publish *next;
    link_t *session; /* NULL: it has ended */
    uint64_t sequence;
    capstan_trace_t trace; /* zero: none */
    size_t size;
    uint8_t body[];
} parked_publish_t;

typedef struct route {
    byte_entry_t by_topic; /* first: found by it */
    struct route *next_resolving;
    uint64_t ask;              /* while it is being resolved */
    capstan_ref_t *partitions; /* NULL while it is being resolved */
    size_t partition_count;
    parked_publish_t *parked_head;
    parked_publish_t *parked_tail;
    uint8_t topic[NAME_BYTES_MAX];
} route_t;

struct routes {
    gateway_t *gateway;
    byte_index_t topics;
    route_t *resolving;
    route_t *last; /* of the publish before: topics come in runs */
};

routes_t *routes_new(gateway_t *gateway)
{
    routes_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->gateway = gateway;
    byte_index_init(&self->topics);
    return self;
}

static void drop(routes_t *self, route_t *route)
{
    if (self->last == route) {
        self->last = NULL;
    }
    byte_index_remove(&self->topics, &route->by_topic);
    while (route->parked_head) {
        parked_publish_t *parked = route->parked_head;
        route->parked_head = parked->next;
        free(parked);
    }
    free(route->partitions);
    free(route);
}

void routes_destroy(routes_t **self_p)
{
    routes_t *self = *self_p;
    if (!self) {
        return;
    }
    for (size_t i = 0; i <= self->topics.mask; i++) {
        while (self->topics.buckets[i]) {
            drop(self, (route_t *)self->topics.buckets[i]);
        }
    }
    byte_index_fini(&self->topics);
    free(self);
    *self_p = NULL;
}

static void park(route_t *route, link_t *session, uint64_t sequence, slice_t body)
{
    parked_publish_t *parked = malloc(sizeof *parked + body.size);
    ENSURE(parked);
    parked->next = NULL;
    parked->session = session;
    parked->sequence = sequence;
    const capstan_trace_t *trace = capstan_trace_current(session->actor);
    parked->trace = trace ? *trace : (capstan_trace_t){0};
    parked->size = body.size;
    memcpy(parked->body, body.data, body.size);
    *(route->parked_head ? &route->parked_tail->next : &route->parked_head) = parked;
    route->parked_tail = parked;
}

/* Asks for a topic's partitions; NULL when it cannot be asked now. */
static route_t *resolve(routes_t *self, slice_t topic)
{
    buffer_t body = {0};
    uint64_t ask;
    codec_encode(topic_resolve_wire(), &(topic_resolve_t){.topic = topic}, &body);
    capstan_err_t err =
        capstan_ask(self->gateway->actor, self->gateway->topics, MESSAGE_topic_resolve,
                    buffer_slice(&body), RESOLVE_TIMEOUT_US, &ask);
    buffer_fini(&body);
    if (err != CAPSTAN_OK) {
        return NULL;
    }
    route_t *route = calloc(1, sizeof *route);
    ENSURE(route);
    memcpy(route->topic, topic.data, topic.size);
    route->by_topic.key = slice_of(route->topic, topic.size);
    route->ask = ask;
    route->next_resolving = self->resolving;
    self->resolving = route;
    byte_index_add(&self->topics, &route->by_topic);
    return route;
}

static void reject(link_t *session, uint64_t sequence, capstan_err_t err)
{
    METRIC_ADD(gateway, publishes_rejected, 1);
    link_reject(session, sequence, err);
}

/* What the body says about its way. */
static capstan_err_t read_way(const routes_t *self, slice_t body, slice_t *ret_topic,
                              slice_t *ret_key)
{
    if (body.size > self->gateway->event_bytes_max) {
        return CAPSTAN_E_TOO_LARGE;
    }
    if (!codec_peek_slice(body, 1, ret_topic) || !codec_peek_slice(body, 2, ret_key)) {
        return CAPSTAN_E_FIELD_MISSING;
    }
    if (ret_key->size == 0 || ret_key->size > KEY_BYTES_MAX) {
        return CAPSTAN_E_INVALID;
    }
    if (ret_topic->size == 0 || ret_topic->size > NAME_BYTES_MAX) {
        return CAPSTAN_E_UNKNOWN_TOPIC;
    }
    return CAPSTAN_OK;
}

/* False when the partition has gone: the route is not to be used again. */
static bool pass_on(const route_t *route, link_t *session, uint64_t sequence, slice_t key,
                    slice_t body)
{
    session->publishes = true;
    uint64_t partition = key_partition(key, route->partition_count);
    capstan_err_t err = actor_send(session->actor, route->partitions[partition],
                                   &(send_options_t){.message = MESSAGE_publish,
                                                     .kind = CAPSTAN_KIND_EVENT,
                                                     .correlation = sequence},
                                   body);
    if (err != CAPSTAN_OK) {
        reject(session, sequence, err == CAPSTAN_E_GONE ? CAPSTAN_E_UNAVAILABLE : err);
    }
    return err != CAPSTAN_E_GONE;
}

void routes_publish(routes_t *self, link_t *session, uint64_t sequence, slice_t body)
{
    slice_t topic;
    slice_t key;
    capstan_err_t err = capstan_ref_is_null(self->gateway->topics)
                            ? CAPSTAN_E_UNSUPPORTED
                            : read_way(self, body, &topic, &key);
    if (err != CAPSTAN_OK) {
        reject(session, sequence, err);
        return;
    }
    route_t *route = self->last;
    if (!route || !slice_equal(route->by_topic.key, topic)) {
        route = (route_t *)byte_index_find(&self->topics, topic);
        if (!route) {
            route = resolve(self, topic);
        }
        if (!route) {
            reject(session, sequence, CAPSTAN_E_UNAVAILABLE);
            return;
        }
        self->last = route;
    }
    if (!route->partitions) {
        park(route, session, sequence, body);
    } else if (!pass_on(route, session, sequence, key, body)) {
        drop(self, route);
    }
}

static capstan_err_t learn(route_t *route, const capstan_message_t *message)
{
    if (message->kind == CAPSTAN_KIND_ERROR) {
        failure_t failure;
        capstan_err_t err = codec_decode(failure_wire(), message->body, &failure, NULL);
        return err != CAPSTAN_OK ? CAPSTAN_E_UNAVAILABLE : (capstan_err_t)failure.number;
    }
    topic_route_t answer;
    codec_list_t list;
    if (message->message != MESSAGE_topic_route ||
        codec_decode(topic_route_wire(), message->body, &answer, NULL) != CAPSTAN_OK ||
        codec_list_open(partition_ref_wire(), answer.partitions, &list) != CAPSTAN_OK ||
        list.left == 0) {
        return CAPSTAN_E_UNAVAILABLE;
    }
    route->partitions = calloc(list.left, sizeof *route->partitions);
    ENSURE(route->partitions);
    partition_ref_t partition;
    while (codec_list_next(&list, &partition)) {
        route->partitions[route->partition_count++] = partition.actor;
    }
    return list.fault.err;
}

/* An end is heard from each of them: what it had taken stays unanswered. */
static void watch_partitions(const routes_t *self, const route_t *route)
{
    for (size_t i = 0; i < route->partition_count; i++) {
        (void)!capstan_monitor(self->gateway->actor, route->partitions[i]);
    }
}

static bool leads_to(const route_t *route, capstan_ref_t partition)
{
    for (size_t i = 0; i < route->partition_count; i++) {
        if (capstan_ref_equal(route->partitions[i], partition)) {
            return true;
        }
    }
    return false;
}

void routes_forget_partition(routes_t *self, capstan_ref_t partition)
{
    for (size_t i = 0; i <= self->topics.mask; i++) {
        for (byte_entry_t *entry = self->topics.buckets[i]; entry; entry = entry->next) {
            if (leads_to((route_t *)entry, partition)) {
                drop(self, (route_t *)entry);
                return;
            }
        }
    }
}

/* What is being resolved is answered with the new way. */
void routes_on_moved(routes_t *self, slice_t body)
{
    topic_moved_t moved;
    if (codec_decode(topic_moved_wire(), body, &moved, NULL) != CAPSTAN_OK) {
        return;
    }
    route_t *route = (route_t *)byte_index_find(&self->topics, moved.topic);
    if (route && route->partitions) {
        drop(self, route);
    }
}

/* Returns why the route is of no further use, or CAPSTAN_OK. */
static capstan_err_t release(route_t *route, capstan_err_t err)
{
    while (route->parked_head) {
        parked_publish_t *parked = route->parked_head;
        route->parked_head = parked->next;
        slice_t body = slice_of(parked->body, parked->size);
        slice_t key;
        if (parked->session) { /* each goes on in its own context, or in none */
            actor_trace_leave(parked->session->gateway->actor);
            capstan_trace_continue(parked->session->gateway->actor, &parked->trace);
        }
        if (parked->session && err != CAPSTAN_OK) {
            reject(parked->session, parked->sequence, err);
        } else if (parked->session && codec_peek_slice(body, 2, &key) &&
                   !pass_on(route, parked->session, parked->sequence, key, body)) {
            err = CAPSTAN_E_UNAVAILABLE;
        }
        free(parked);
    }
    return err;
}

bool routes_on_answer(routes_t *self, const capstan_message_t *message)
{
    if (message->kind != CAPSTAN_KIND_REPLY && message->kind != CAPSTAN_KIND_ERROR) {
        return false;
    }
    route_t **at = &self->resolving;
    while (*at && (*at)->ask != message->correlation) {
        at = &(*at)->next_resolving;
    }
    route_t *route = *at;
    if (!route) {
        return false;
    }
    *at = route->next_resolving;
    capstan_err_t err = learn(route, message);
    /* A topics actor that is late or gone is no verdict on the topic. */
    if (err == CAPSTAN_E_TIMEOUT || err == CAPSTAN_E_GONE) {
        err = CAPSTAN_E_UNAVAILABLE;
    }
    watch_partitions(self, route);
    if (release(route, err) != CAPSTAN_OK) {
        drop(self, route);
    }
    return true;
}

void routes_forget(routes_t *self, const link_t *session)
{
    for (route_t *route = self->resolving; route; route = route->next_resolving) {
        for (parked_publish_t *parked = route->parked_head; parked; parked = parked->next) {
            if (parked->session == session) {
                parked->session = NULL;
            }
        }
    }
}
