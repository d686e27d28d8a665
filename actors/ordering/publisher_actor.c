/* The publisher: what a peer's session is to its publishes, for those of the process itself.
 *
 * Accepts   publish_one (from actors, and from threads that wait), publish_later (from threads);
 *           outcomes (partitions), topic_route, topic_moved (topics), down (partitions).
 * Replies   published; calls the function of a publish_later.
 * Sends     publishes, numbered as the credited messages of a session are; topic_resolve.
 *
 * Nothing is durable: who published waits for the outcome. Of what a partition had taken when it
 * ended, the outcome is not known, and that is what is said; a program that publishes it again
 * with its sequence hears that it is a duplicate. */
#include "actors/ordering/ordering_messages.h"
#include "actors/ordering/partition.h"
#include "actors/ordering/publisher.h"
#include "runtime/base/ensure.h"
#include "runtime/base/map.h"
#include "runtime/runtime.h"
#include "runtime/runtime_messages.h"
#include "runtime/wire/wire_messages.h"

#include <capstan/trace.h>
#include <stdlib.h>
#include <xxhash.h>

enum {
    RESOLVE_US = 10000000,
    PENDING_FIRST = 64,
    FIELD_TOPIC = 1, /* of publish */
    FIELD_KEY = 2,
};

/* One that is published and not answered. */
typedef struct pending {
    bool waits;
    bool called;          /* a publish_later */
    uint32_t call;        /* its place */
    capstan_ref_t sender; /* of a publish_one, and its correlation */
    uint64_t correlation;
    uint64_t bytes;
    capstan_ref_t partition; /* that has it; null while its topic is being resolved */
} pending_t;

/* A publish that waits until it is known where its topic's partitions are. */
typedef struct parked_publish {
    struct parked_publish *next;
    uint64_t sequence;
    capstan_trace_t trace; /* zero: none */
    size_t size;
    uint8_t body[];
} parked_publish_t;

typedef struct route {
    uint64_t hash;
    uint64_t ask;              /* while it is being resolved */
    capstan_ref_t *partitions; /* NULL until then */
    size_t partition_count;
    parked_publish_t *parked_head;
    parked_publish_t *parked_tail;
    size_t topic_size;
    char topic[];
} route_t;

typedef struct publisher_actor {
    capstan_actor_t *self;
    publisher_t *shared;
    map_t routes;
    /* Those with the numbers [first, next), at their number modulo the capacity. */
    pending_t *pending;
    size_t capacity;
    uint64_t first;
    uint64_t next;
    uint64_t waiting; /* of them */
    uint64_t bytes;
} publisher_actor_t;

/* --- what is not answered -------------------------------------------------------------------- */

static pending_t *pending_at(const publisher_actor_t *self, uint64_t sequence)
{
    return &self->pending[sequence & (self->capacity - 1)];
}

static void grow(publisher_actor_t *self)
{
    size_t capacity = self->capacity ? self->capacity * 2 : PENDING_FIRST;
    pending_t *pending = calloc(capacity, sizeof *pending);
    ENSURE(pending);
    for (uint64_t i = self->first; i < self->next; i++) {
        pending[i & (capacity - 1)] = *pending_at(self, i);
    }
    free(self->pending);
    self->pending = pending;
    self->capacity = capacity;
}

static uint64_t add_pending(publisher_actor_t *self, const pending_t *pending)
{
    if (self->next - self->first == self->capacity) {
        grow(self);
    }
    *pending_at(self, self->next) = *pending;
    self->waiting++;
    self->bytes += pending->bytes;
    return self->next++;
}

static void answer(publisher_actor_t *self, const pending_t *pending,
                   const capstan_outcome_t *outcome)
{
    if (pending->called) {
        publisher_finish_call(self->shared, pending->call, outcome);
        return;
    }
    buffer_t body = {0};
    codec_encode(published_wire(),
                 &(published_t){.result = outcome->result, .error = (uint64_t)outcome->reason},
                 &body);
    capstan_reply(self->self,
                  &(capstan_message_t){.kind = CAPSTAN_KIND_REQUEST,
                                       .sender = pending->sender,
                                       .correlation = pending->correlation},
                  MESSAGE_published, buffer_slice(&body));
    buffer_fini(&body);
}

/* The one place where a publish gets its outcome. */
static void finish(publisher_actor_t *self, uint64_t sequence, capstan_result_t result,
                   capstan_err_t reason)
{
    pending_t *place = pending_at(self, sequence);
    if (sequence < self->first || sequence >= self->next || !place->waits) {
        return;
    }
    pending_t pending = *place;
    place->waits = false;
    self->waiting--;
    self->bytes -= pending.bytes;
    while (self->first < self->next && !pending_at(self, self->first)->waits) {
        self->first++;
    }
    answer(self, &pending, &(capstan_outcome_t){.result = result, .reason = reason});
}

static void on_outcomes(publisher_actor_t *self, const capstan_message_t *message)
{
    outcomes_t outcomes;
    codec_list_t list;
    outcome_t outcome;
    if (codec_decode(outcomes_wire(), message->body, &outcomes, NULL) != CAPSTAN_OK ||
        codec_list_open(outcome_wire(), outcomes.list, &list) != CAPSTAN_OK) {
        return;
    }
    while (codec_list_next(&list, &outcome)) {
        for (uint64_t i = outcome.first; i <= outcome.last; i++) {
            finish(self, i, (capstan_result_t)outcome.result, (capstan_err_t)outcome.error);
        }
    }
}

/* --- where publishes go ---------------------------------------------------------------------- */

static bool is_route_of(const void *value, const void *wanted)
{
    const route_t *route = value;
    return slice_equal(slice_of(route->topic, route->topic_size), *(const slice_t *)wanted);
}

static route_t *resolve(publisher_actor_t *self, uint64_t hash, slice_t topic)
{
    buffer_t body = {0};
    uint64_t ask;
    codec_encode(topic_resolve_wire(), &(topic_resolve_t){.topic = topic}, &body);
    /* Nobody's in particular: others will wait for it too. */
    capstan_err_t err =
        capstan_ask_for(self->self, NULL, self->shared->topics, MESSAGE_topic_resolve,
                        buffer_slice(&body), RESOLVE_US, &ask);
    buffer_fini(&body);
    if (err != CAPSTAN_OK) {
        return NULL;
    }
    route_t *route = calloc(1, sizeof *route + topic.size);
    ENSURE(route);
    route->hash = hash;
    route->ask = ask;
    route->topic_size = topic.size;
    memcpy(route->topic, topic.data, topic.size);
    map_add(&self->routes, hash, route);
    return route;
}

static void drop(publisher_actor_t *self, route_t *route)
{
    map_remove(&self->routes, route->hash, route);
    while (route->parked_head) {
        parked_publish_t *parked = route->parked_head;
        route->parked_head = parked->next;
        free(parked);
    }
    free(route->partitions);
    free(route);
}

static void park(const publisher_actor_t *self, route_t *route, uint64_t sequence, slice_t body)
{
    parked_publish_t *parked = malloc(sizeof *parked + body.size);
    const capstan_trace_t *trace = capstan_trace_current(self->self);
    ENSURE(parked);
    *parked = (parked_publish_t){.sequence = sequence, .size = body.size};
    parked->trace = trace ? *trace : (capstan_trace_t){0};
    memcpy(parked->body, body.data, body.size);
    *(route->parked_head ? &route->parked_tail->next : &route->parked_head) = parked;
    route->parked_tail = parked;
}

static capstan_err_t send(const publisher_actor_t *self, capstan_ref_t partition, uint64_t sequence,
                          slice_t publish)
{
    buffer_t rows = {0};
    buffer_t body = {0};
    publishes_add(&rows, sequence, publish);
    codec_encode(publishes_wire(), &(publishes_t){.rows = buffer_slice(&rows)}, &body);
    capstan_err_t err =
        actor_send(self->self, partition,
                   &(send_options_t){.message = MESSAGE_publishes, .kind = CAPSTAN_KIND_EVENT},
                   buffer_slice(&body));
    buffer_fini(&rows);
    buffer_fini(&body);
    return err;
}

/* False when the partition has gone: the route is not to be used again. */
static bool pass_on(publisher_actor_t *self, const route_t *route, uint64_t sequence, slice_t body)
{
    slice_t key = {0};
    if (!codec_peek_slice(body, FIELD_KEY, &key)) {
        finish(self, sequence, CAPSTAN_RESULT_REJECTED, CAPSTAN_E_FIELD_MISSING);
        return true;
    }
    capstan_ref_t partition =
        route->partitions[XXH64(key.data, key.size, 0) % route->partition_count];
    capstan_err_t err = send(self, partition, sequence, body);
    if (err == CAPSTAN_OK) {
        pending_at(self, sequence)->partition = partition;
    } else {
        finish(self, sequence, CAPSTAN_RESULT_REJECTED,
               err == CAPSTAN_E_GONE ? CAPSTAN_E_UNAVAILABLE : err);
    }
    return err != CAPSTAN_E_GONE;
}

static capstan_err_t learn(route_t *route, const capstan_message_t *message)
{
    topic_route_t answer;
    codec_list_t list;
    partition_ref_t partition;
    if (message->kind == CAPSTAN_KIND_ERROR) {
        capstan_err_t err = message_failure(message);
        return err == CAPSTAN_E_TIMEOUT || err == CAPSTAN_E_GONE ? CAPSTAN_E_UNAVAILABLE : err;
    }
    if (codec_decode(topic_route_wire(), message->body, &answer, NULL) != CAPSTAN_OK ||
        codec_list_open(partition_ref_wire(), answer.partitions, &list) != CAPSTAN_OK ||
        list.left == 0) {
        return CAPSTAN_E_INTERNAL;
    }
    route->partitions = calloc(list.left, sizeof *route->partitions);
    ENSURE(route->partitions);
    while (codec_list_next(&list, &partition)) {
        route->partitions[route->partition_count++] = partition.actor;
    }
    return CAPSTAN_OK;
}

static void release_parked(publisher_actor_t *self, route_t *route, capstan_err_t err)
{
    while (route->parked_head) {
        parked_publish_t *parked = route->parked_head;
        route->parked_head = parked->next;
        actor_trace_leave(self->self); /* each goes on in its own context, or in none */
        capstan_trace_continue(self->self, &parked->trace);
        if (err != CAPSTAN_OK) {
            finish(self, parked->sequence, CAPSTAN_RESULT_REJECTED, err);
        } else if (!pass_on(self, route, parked->sequence, slice_of(parked->body, parked->size))) {
            err = CAPSTAN_E_UNAVAILABLE;
        }
        free(parked);
    }
    if (err != CAPSTAN_OK) {
        drop(self, route);
    }
}

static void on_answer(publisher_actor_t *self, const capstan_message_t *message)
{
    size_t position = 0;
    route_t *route;
    while ((route = map_next(&self->routes, &position)) && route->ask != message->correlation) {
    }
    if (!route) {
        return;
    }
    route->ask = 0;
    capstan_err_t err = learn(route, message);
    for (size_t i = 0; i < route->partition_count; i++) {
        (void)!capstan_monitor(self->self, route->partitions[i]);
    }
    release_parked(self, route, err);
}

static bool leads_to(const route_t *route, capstan_ref_t partition)
{
    size_t i = 0;
    while (i < route->partition_count && !capstan_ref_equal(route->partitions[i], partition)) {
        i++;
    }
    return i < route->partition_count;
}

/* What the partition had taken may be on disk or not. */
static void on_down(publisher_actor_t *self, capstan_ref_t partition)
{
    size_t position = 0;
    route_t *route;
    while ((route = map_next(&self->routes, &position)) && !leads_to(route, partition)) {
    }
    if (route) {
        drop(self, route);
    }
    uint64_t next = self->next; /* what is called meanwhile may publish again */
    for (uint64_t i = self->first; i < next; i++) {
        if (i >= self->first && capstan_ref_equal(pending_at(self, i)->partition, partition)) {
            finish(self, i, CAPSTAN_RESULT_UNKNOWN, CAPSTAN_E_UNAVAILABLE);
        }
    }
}

/* What is being resolved is answered with the new way. */
static void on_moved(publisher_actor_t *self, slice_t body)
{
    topic_moved_t moved;
    if (codec_decode(topic_moved_wire(), body, &moved, NULL) != CAPSTAN_OK) {
        return;
    }
    uint64_t hash = XXH64(moved.topic.data, moved.topic.size, 0);
    route_t *route = map_find(&self->routes, hash, is_route_of, &moved.topic);
    if (route && route->partitions) {
        drop(self, route);
    }
}

/* --- what is published ----------------------------------------------------------------------- */

static void publish(publisher_actor_t *self, uint64_t sequence, slice_t body)
{
    slice_t topic = {0};
    if (!codec_peek_slice(body, FIELD_TOPIC, &topic)) {
        finish(self, sequence, CAPSTAN_RESULT_REJECTED, CAPSTAN_E_FIELD_MISSING);
        return;
    }
    uint64_t hash = XXH64(topic.data, topic.size, 0);
    route_t *route = map_find(&self->routes, hash, is_route_of, &topic);
    route = route ? route : resolve(self, hash, topic);
    if (!route) {
        finish(self, sequence, CAPSTAN_RESULT_REJECTED, CAPSTAN_E_UNAVAILABLE);
    } else if (!route->partitions) {
        park(self, route, sequence, body);
    } else if (!pass_on(self, route, sequence, body)) {
        drop(self, route);
    }
}

static void on_publish_one(publisher_actor_t *self, const capstan_message_t *message)
{
    publish_one_t request;
    capstan_err_t err = codec_decode(publish_one_wire(), message->body, &request, NULL);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err, NULL);
        return;
    }
    pending_t pending = {.waits = true,
                         .sender = message->sender,
                         .correlation = message->correlation,
                         .bytes = request.publish.size};
    if (self->waiting >= self->shared->calls_max ||
        (self->bytes > 0 && self->bytes + pending.bytes > self->shared->bytes_max)) {
        answer(self, &pending,
               &(capstan_outcome_t){CAPSTAN_RESULT_REJECTED, .reason = CAPSTAN_E_NO_CREDIT});
        return;
    }
    publish(self, add_pending(self, &pending), request.publish);
}

static void on_publish_later(publisher_actor_t *self, const capstan_message_t *message)
{
    publish_later_t request;
    if (codec_decode(publish_later_wire(), message->body, &request, NULL) != CAPSTAN_OK ||
        request.call >= self->shared->calls_max) {
        return;
    }
    pending_t pending = {.waits = true,
                         .called = true,
                         .call = (uint32_t)request.call,
                         .bytes = request.publish.size};
    publish(self, add_pending(self, &pending), request.publish);
}

/* --- the actor ------------------------------------------------------------------------------- */

static capstan_err_t init(capstan_actor_t *actor, void *argument)
{
    publisher_actor_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->self = actor;
    self->shared = argument;
    self->first = self->next = 1;
    grow(self);
    capstan_actor_set_state(actor, self);
    return CAPSTAN_OK;
}

static capstan_err_t receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    publisher_actor_t *self = capstan_actor_state(actor);
    capstan_ref_t partition;
    capstan_err_t reason;
    if (capstan_message_is_down(message, &partition, &reason)) {
        on_down(self, partition);
    } else if (message->kind == CAPSTAN_KIND_REPLY || message->kind == CAPSTAN_KIND_ERROR) {
        on_answer(self, message);
    } else if (message->message == MESSAGE_publish_one && message->kind == CAPSTAN_KIND_REQUEST) {
        on_publish_one(self, message);
    } else if (message->message == MESSAGE_publish_later) {
        on_publish_later(self, message);
    } else if (message->message == MESSAGE_outcomes) {
        on_outcomes(self, message);
    } else if (message->message == MESSAGE_topic_moved) {
        on_moved(self, message->body);
    } else {
        capstan_reply_error(actor, message, CAPSTAN_E_UNKNOWN_MESSAGE, NULL);
    }
    return CAPSTAN_OK;
}

/* Whoever asked hears GONE. Functions are called here, or when the node has ended. */
static void destroy(capstan_actor_t *actor)
{
    publisher_actor_t *self = capstan_actor_state(actor);
    if (!self) {
        return;
    }
    for (uint64_t i = self->first; i < self->next; i++) {
        pending_t *pending = pending_at(self, i);
        if (pending->waits && pending->called) {
            publisher_finish_call(
                self->shared, pending->call,
                &(capstan_outcome_t){CAPSTAN_RESULT_UNKNOWN, .reason = CAPSTAN_E_STOPPING});
        }
    }
    size_t position = 0;
    for (route_t *route; (route = map_next(&self->routes, &position)); position = 0) {
        drop(self, route);
    }
    map_fini(&self->routes);
    free(self->pending);
    free(self);
}

const capstan_behaviour_t publisher_behaviour = {
    .name = "publisher", .init = init, .receive = receive, .destroy = destroy};
