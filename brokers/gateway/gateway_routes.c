/* Where publishes go: topic -> partition actors, learnt from the topics actor and kept until one
 * of them turns out to be gone. Publishes of a topic that is being resolved are parked in order;
 * what is parked is within its senders' credit.
 *
 * What a session publishes in a row is gathered per partition, and handed over when something else
 * comes, or nothing more. */
#include "brokers/gateway/session_link.h"
#include "runtime/base/ensure.h"
#include "runtime/base/key_partition.h"

enum {
    RESOLVE_TIMEOUT_US = 10000000,
    GATHERED_BYTES = 64 * 1024,      /* so much of one partition is handed over at once */
    GATHERED_KEPT_BYTES = 16 * 1024, /* of the memory for it, by a partition that has none */
};

typedef struct parked_publish {
    struct parked_publish *next;
    link_t *session; /* NULL: it has ended */
    uint64_t sequence;
    capstan_trace_t trace; /* zero: none */
    size_t size;
    uint8_t body[];
} parked_publish_t;

typedef struct route_partition {
    capstan_ref_t actor;
    buffer_t gathered; /* rows of a `publishes` */
    struct route_partition *next_filled;
} route_partition_t;

typedef struct route {
    byte_entry_t by_topic; /* first: found by it */
    struct route *next_resolving;
    uint64_t ask;                  /* while it is being resolved */
    route_partition_t *partitions; /* NULL while it is being resolved */
    size_t partition_count;
    bool gone; /* one of them is: it is asked for anew */
    parked_publish_t *parked_head;
    parked_publish_t *parked_tail;
    uint8_t topic[NAME_BYTES_MAX];
} route_t;

struct routes {
    gateway_t *gateway;
    byte_index_t topics;
    route_t *resolving;
    route_t *last;     /* of the publish before: topics come in runs */
    link_t *publisher; /* whose publishes are gathered; NULL: there are none */
    route_t *way;      /* theirs */
    route_partition_t *filled;
};

routes_t *routes_new(gateway_t *gateway)
{
    routes_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->gateway = gateway;
    byte_index_init(&self->topics);
    return self;
}

static void reject(link_t *session, uint64_t sequence, capstan_err_t err)
{
    METRIC_ADD(gateway, publishes_rejected, 1);
    link_reject(session, sequence, err);
}

static void refuse_gathered(link_t *session, const buffer_t *gathered, capstan_err_t err)
{
    slice_t rows = buffer_slice(gathered);
    uint64_t sequence;
    slice_t body;
    while (session->gateway && publishes_next(&rows, &sequence, &body)) {
        reject(session, sequence, err == CAPSTAN_E_GONE ? CAPSTAN_E_UNAVAILABLE : err);
    }
}

static capstan_err_t send_gathered(const link_t *session, const route_t *route,
                                   const route_partition_t *partition)
{
    buffer_t body = {0};
    codec_encode(publishes_wire(),
                 &(publishes_t){.rows = buffer_slice(&partition->gathered),
                                .partitions = route->partition_count},
                 &body);
    capstan_err_t err =
        actor_send(session->actor, partition->actor,
                   &(send_options_t){.message = MESSAGE_publishes, .kind = CAPSTAN_KIND_EVENT},
                   buffer_slice(&body));
    buffer_fini(&body);
    return err;
}

void routes_flush(routes_t *self)
{
    while (self->filled) {
        route_partition_t *partition = self->filled;
        self->filled = partition->next_filled;
        capstan_err_t err = send_gathered(self->publisher, self->way, partition);
        if (err != CAPSTAN_OK) {
            refuse_gathered(self->publisher, &partition->gathered, err);
        }
        self->way->gone = self->way->gone || err == CAPSTAN_E_GONE;
        buffer_clear(&partition->gathered);
        if (partition->gathered.capacity > GATHERED_KEPT_BYTES) {
            buffer_fini(&partition->gathered);
        }
    }
    self->publisher = NULL;
    self->way = NULL;
}

static void drop(routes_t *self, route_t *route)
{
    if (self->way == route) {
        routes_flush(self);
    }
    if (self->last == route) {
        self->last = NULL;
    }
    byte_index_remove(&self->topics, &route->by_topic);
    while (route->parked_head) {
        parked_publish_t *parked = route->parked_head;
        route->parked_head = parked->next;
        free(parked);
    }
    for (size_t i = 0; i < route->partition_count; i++) {
        buffer_fini(&route->partitions[i].gathered);
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

/* What the body says about its way. */
static capstan_err_t read_way(const routes_t *self, slice_t body, slice_t *ret_topic,
                              slice_t *ret_key)
{
    if (body.size > self->gateway->event_bytes_max) {
        return CAPSTAN_E_TOO_LARGE;
    }
    if (!publish_way(body, ret_topic, ret_key)) {
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

/* What a session publishes in a row to one topic is gathered. Behind a traced publish it is handed
 * over: the message carries that one's context, alone, or with what went before when it was picked
 * here to be traced. */
static void pass_on(routes_t *self, route_t *route, link_t *session, uint64_t sequence, slice_t key,
                    slice_t body)
{
    bool traced = capstan_trace_current(session->actor) != NULL;
    if (self->publisher != session || self->way != route) {
        routes_flush(self);
    }
    route_partition_t *partition = &route->partitions[key_partition(key, route->partition_count)];
    session->publishes = true;
    self->publisher = session;
    self->way = route;
    if (partition->gathered.size == 0) {
        buffer_reserve(&partition->gathered, GATHERED_KEPT_BYTES);
        partition->next_filled = self->filled;
        self->filled = partition;
    }
    publishes_add(&partition->gathered, sequence, body);
    if (traced || partition->gathered.size >= GATHERED_BYTES) {
        routes_flush(self);
    }
}

/* NULL when it is to be asked for. */
static route_t *find(routes_t *self, slice_t topic)
{
    route_t *route = self->last;
    if (!route || !slice_equal(route->by_topic.key, topic)) {
        route = (route_t *)byte_index_find(&self->topics, topic);
    }
    if (route && route->gone) {
        drop(self, route);
        return NULL;
    }
    return route;
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
    route_t *route = find(self, topic);
    route = route ? route : resolve(self, topic);
    self->last = route;
    if (!route) {
        reject(session, sequence, CAPSTAN_E_UNAVAILABLE);
    } else if (!route->partitions) {
        park(route, session, sequence, body);
    } else {
        pass_on(self, route, session, sequence, key, body);
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
        route->partitions[route->partition_count++].actor = partition.actor;
    }
    return list.fault.err;
}

/* An end is heard from each of them: what it had taken stays unanswered. */
static void watch_partitions(const routes_t *self, const route_t *route)
{
    for (size_t i = 0; i < route->partition_count; i++) {
        (void)!capstan_monitor(self->gateway->actor, route->partitions[i].actor);
    }
}

static bool leads_to(const route_t *route, capstan_ref_t partition)
{
    for (size_t i = 0; i < route->partition_count; i++) {
        if (capstan_ref_equal(route->partitions[i].actor, partition)) {
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

static void release(routes_t *self, route_t *route, capstan_err_t err)
{
    while (route->parked_head) {
        parked_publish_t *parked = route->parked_head;
        route->parked_head = parked->next;
        slice_t body = slice_of(parked->body, parked->size);
        slice_t topic;
        slice_t key;
        if (parked->session) { /* each goes on in its own context, or in none */
            actor_trace_leave(parked->session->gateway->actor);
            routes_flush(self);
            capstan_trace_continue(parked->session->gateway->actor, &parked->trace);
        }
        if (parked->session && err != CAPSTAN_OK) {
            reject(parked->session, parked->sequence, err);
        } else if (parked->session) {
            ENSURE(publish_way(body, &topic, &key)); /* as when it was parked */
            pass_on(self, route, parked->session, parked->sequence, key, body);
        }
        free(parked);
    }
    routes_flush(self);
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
    release(self, route, err);
    if (err != CAPSTAN_OK) {
        drop(self, route);
    }
    return true;
}

void routes_forget(routes_t *self, const link_t *session)
{
    if (self->publisher == session) {
        routes_flush(self);
    }
    for (route_t *route = self->resolving; route; route = route->next_resolving) {
        for (parked_publish_t *parked = route->parked_head; parked; parked = parked->next) {
            if (parked->session == session) {
                parked->session = NULL;
            }
        }
    }
}
