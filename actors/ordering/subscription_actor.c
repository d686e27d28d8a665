/* One consumer of one topic.
 *
 * Accepts   acknowledge, subscription_grant (from its session), down (of its session).
 * Replies   subscribed, to the request it was started for.
 * Sends     deliver and subscription_ended to its session; partition_read and partition_frontier
 *           to the partitions.
 *
 * Durable: a group's frontier, in the partitions. A crash delivers again what was not
 * acknowledged, in order.
 *
 *   partition 0 ... P-1: one read open each --> deliver --> session --> peer
 *                                 ^                            |
 *                                 +----- subscription_grant <--+
 *
 * What the session has not passed on is bounded by WINDOW_BYTES; beyond it no read is opened, and
 * partitions keep nothing for a consumer, so a stuck one costs nothing. */
#include "actors/ordering/subscription_actor.h"

#include "actors/ordering/ordering_events.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"
#include "runtime/runtime_messages.h"
#include "runtime/telemetry/log.h"

#include <stdlib.h>
#include <string.h>

enum {
    WINDOW_BYTES = 4 << 20,
    READ_BYTES = 128 << 10,
    READ_US = 60000000, /* a read at the end of a partition is opened again after this long */
    FRONTIER_US = 60000000,
    FRONTIER_RETRY_US = 500000, /* after a partition could not store one */
    FROM_LATEST = 2,
};

/* Where reading would go on after an offset: kept from delivery to acknowledgement. */
typedef struct checkpoint {
    uint64_t offset;
    uint64_t lsn;
} checkpoint_t;

typedef struct reader {
    capstan_ref_t partition;
    uint64_t ask; /* read or first frontier under way */
    uint64_t lsn;
    uint64_t offset;  /* of the last event delivered */
    uint64_t stored;  /* frontier on disk */
    uint64_t storing; /* frontier on its way there */
    uint64_t store_ask;
    uint64_t wanted; /* acknowledged, to be stored next */
    uint64_t wanted_lsn;
    checkpoint_t *checkpoints; /* ascending; of deliveries that are not acknowledged */
    size_t checkpoint_count;
    size_t checkpoint_capacity;
    bool placed; /* knows where to begin */
} reader_t;

typedef struct subscription {
    capstan_actor_t *self;
    uint64_t number;
    capstan_ref_t session;
    uint64_t correlation; /* of the subscribe request */
    char topic[129];
    char group[129];
    bool latest;
    bool open; /* `subscribed` was sent */
    bool ended;
    bool retrying; /* a timer runs, to store frontiers that could not be stored */
    uint64_t sent_bytes;
    uint64_t granted_bytes;
    uint64_t read_bytes;
    size_t next; /* partition whose turn it is to open a read, so that all get theirs */
    size_t count;
    reader_t readers[];
} subscription_t;

static bool is_group(const subscription_t *self)
{
    return self->group[0] != '\0';
}

static void end(subscription_t *self, capstan_err_t err)
{
    if (self->ended) {
        return; /* it is told once, however many reads failed in one handler */
    }
    self->ended = true;
    buffer_t body = {0};
    if (self->open) {
        codec_encode(subscription_ended_wire(),
                     &(subscription_ended_t){.subscription = self->number, .error = (uint64_t)err},
                     &body);
        (void)!actor_send(self->self, self->session,
                          &(send_options_t){.message = MESSAGE_subscription_ended,
                                            .kind = CAPSTAN_KIND_EVENT,
                                            .always = true},
                          buffer_slice(&body));
    } else {
        capstan_reply_error(self->self,
                            &(capstan_message_t){.kind = CAPSTAN_KIND_REQUEST,
                                                 .sender = self->session,
                                                 .correlation = self->correlation},
                            err, NULL);
    }
    buffer_fini(&body);
    capstan_actor_exit(self->self, CAPSTAN_OK);
}

/* --- reading --------------------------------------------------------------------------------- */

static void open_read(subscription_t *self, reader_t *reader)
{
    buffer_t body = {0};
    codec_encode(partition_read_wire(),
                 &(partition_read_t){.lsn = reader->lsn,
                                     .offset = reader->offset,
                                     .bytes_max = self->read_bytes,
                                     .subscription = self->number},
                 &body);
    capstan_err_t err = capstan_ask(self->self, reader->partition, MESSAGE_partition_read,
                                    buffer_slice(&body), READ_US, &reader->ask);
    buffer_fini(&body);
    if (err != CAPSTAN_OK) {
        end(self, CAPSTAN_E_UNAVAILABLE);
    }
}

static void open_reads(subscription_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        if (self->sent_bytes - self->granted_bytes >= WINDOW_BYTES) {
            return;
        }
        reader_t *reader = &self->readers[self->next];
        self->next = (self->next + 1) % self->count;
        if (reader->ask == 0) {
            open_read(self, reader);
        }
    }
}

static void remember(reader_t *reader, uint64_t offset, uint64_t lsn)
{
    if (reader->checkpoint_count == reader->checkpoint_capacity) {
        reader->checkpoint_capacity =
            reader->checkpoint_capacity ? reader->checkpoint_capacity * 2 : 16;
        reader->checkpoints =
            realloc(reader->checkpoints, reader->checkpoint_capacity * sizeof *reader->checkpoints);
        ENSURE(reader->checkpoints);
    }
    reader->checkpoints[reader->checkpoint_count++] = (checkpoint_t){.offset = offset, .lsn = lsn};
}

static void on_events(subscription_t *self, reader_t *reader, const capstan_message_t *message)
{
    partition_events_t events;
    if (codec_decode(partition_events_wire(), message->body, &events, NULL) != CAPSTAN_OK) {
        end(self, CAPSTAN_E_INTERNAL);
        return;
    }
    if (is_group(self)) {
        remember(reader, events.offset_last, events.lsn_next);
    }
    reader->offset = events.offset_last;
    reader->lsn = events.lsn_next;
    self->sent_bytes += events.deliver.size;
    (void)!actor_send(
        self->self, self->session,
        &(send_options_t){.message = MESSAGE_deliver, .kind = CAPSTAN_KIND_EVENT, .always = true},
        events.deliver);
    open_reads(self);
}

/* --- frontiers ------------------------------------------------------------------------------- */

static void ask_frontier(subscription_t *self, reader_t *reader,
                         const partition_frontier_t *request, uint64_t *ret_ask)
{
    buffer_t body = {0};
    codec_encode(partition_frontier_wire(), request, &body);
    capstan_err_t err = capstan_ask(self->self, reader->partition, MESSAGE_partition_frontier,
                                    buffer_slice(&body), FRONTIER_US, ret_ask);
    buffer_fini(&body);
    if (err != CAPSTAN_OK) {
        end(self, CAPSTAN_E_UNAVAILABLE);
    }
}

static partition_frontier_t frontier_of(const subscription_t *self, const reader_t *reader)
{
    return (partition_frontier_t){
        .group = slice_text(self->group), .offset = reader->wanted, .lsn = reader->wanted_lsn};
}

static void store_frontier(subscription_t *self, reader_t *reader)
{
    if (reader->store_ask > 0 || reader->wanted <= reader->stored) {
        return;
    }
    reader->storing = reader->wanted;
    partition_frontier_t request = frontier_of(self, reader);
    ask_frontier(self, reader, &request, &reader->store_ask);
}

/* The consumer has gone. What it acknowledged and is not known to be stored is stored too. The end
 * of this actor withdraws what it has asked, so this goes as requests that want no answer. */
static void store_rest(subscription_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        const reader_t *reader = &self->readers[i];
        if (reader->wanted <= reader->stored) {
            continue;
        }
        partition_frontier_t request = frontier_of(self, reader);
        buffer_t body = {0};
        codec_encode(partition_frontier_wire(), &request, &body);
        (void)!actor_send(
            self->self, reader->partition,
            &(send_options_t){.message = MESSAGE_partition_frontier, .kind = CAPSTAN_KIND_REQUEST},
            buffer_slice(&body));
        buffer_fini(&body);
    }
}

/* A disk that is full or fails is no reason to send the consumer away: what it acknowledged is
 * stored when the partition has recovered. */
static void on_stored(subscription_t *self, reader_t *reader, const capstan_message_t *message)
{
    reader->store_ask = 0;
    if (message->kind != CAPSTAN_KIND_ERROR) {
        reader->stored = reader->storing;
        store_frontier(self, reader);
    } else if (capstan_err_retry(message_failure(message)) != CAPSTAN_RETRY_LATER) {
        end(self, CAPSTAN_E_UNAVAILABLE);
    } else if (!self->retrying) {
        self->retrying = true;
        capstan_timer_start(self->self, FRONTIER_RETRY_US, NULL);
    }
}

static void timer(capstan_actor_t *actor, uint64_t number, void *cookie)
{
    (void)number;
    (void)cookie;
    subscription_t *self = capstan_actor_state(actor);
    self->retrying = false;
    for (size_t i = 0; i < self->count; i++) {
        store_frontier(self, &self->readers[i]);
    }
}

static void acknowledge_partition(subscription_t *self, const position_t *position)
{
    if (position->partition >= self->count) {
        return;
    }
    reader_t *reader = &self->readers[position->partition];
    if (position->offset <= reader->wanted || position->offset > reader->offset) {
        return; /* an old one, or one of what was never delivered */
    }
    size_t done = 0;
    while (done < reader->checkpoint_count &&
           reader->checkpoints[done].offset <= position->offset) {
        reader->wanted_lsn = reader->checkpoints[done++].lsn;
    }
    reader->checkpoint_count -= done;
    memmove(reader->checkpoints, reader->checkpoints + done,
            reader->checkpoint_count * sizeof *reader->checkpoints);
    reader->wanted = position->offset;
    store_frontier(self, reader);
}

static void on_acknowledge(subscription_t *self, const capstan_message_t *message)
{
    acknowledge_t acknowledge;
    codec_list_t list;
    position_t position;
    if (!is_group(self) ||
        codec_decode(acknowledge_wire(), message->body, &acknowledge, NULL) != CAPSTAN_OK ||
        codec_list_open(position_wire(), acknowledge.through, &list) != CAPSTAN_OK) {
        return;
    }
    while (codec_list_next(&list, &position)) {
        acknowledge_partition(self, &position);
    }
}

/* --- beginning ------------------------------------------------------------------------------- */

static void begin_when_placed(subscription_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        if (!self->readers[i].placed) {
            return;
        }
    }
    buffer_t body = {0};
    codec_encode(subscribed_wire(),
                 &(subscribed_t){.subscription = self->number, .partitions = (uint64_t)self->count},
                 &body);
    capstan_reply(self->self,
                  &(capstan_message_t){.kind = CAPSTAN_KIND_REQUEST,
                                       .sender = self->session,
                                       .correlation = self->correlation},
                  MESSAGE_subscribed, buffer_slice(&body));
    buffer_fini(&body);
    self->open = true;
    LOG(ordering, subscription_opened, log_string("topic", self->topic),
        log_string("group", self->group), log_uint("subscription", self->number));
    open_reads(self);
}

static void on_placed(subscription_t *self, reader_t *reader, const capstan_message_t *message)
{
    frontier_t frontier;
    if (codec_decode(frontier_wire(), message->body, &frontier, NULL) != CAPSTAN_OK) {
        end(self, CAPSTAN_E_INTERNAL);
        return;
    }
    reader->placed = true;
    reader->offset = frontier.offset;
    reader->lsn = reader->wanted_lsn = frontier.lsn;
    reader->stored = reader->wanted = frontier.offset;
    begin_when_placed(self);
}

static void place_readers(subscription_t *self, slice_t resume)
{
    codec_list_t list;
    position_t position;
    if (!is_group(self) && codec_list_open(position_wire(), resume, &list) == CAPSTAN_OK) {
        while (codec_list_next(&list, &position)) {
            if (position.partition < self->count) {
                self->readers[position.partition].offset = position.offset;
                self->readers[position.partition].placed = true;
            }
        }
    }
    for (size_t i = 0; i < self->count; i++) {
        reader_t *reader = &self->readers[i];
        if (reader->placed) {
            continue;
        }
        if (!is_group(self) && !self->latest) {
            reader->placed = true;
            continue;
        }
        ask_frontier(
            self, reader,
            &(partition_frontier_t){.group = slice_text(self->group), .latest = self->latest},
            &reader->ask);
    }
    begin_when_placed(self);
}

static capstan_err_t init(capstan_actor_t *actor, void *argument)
{
    const subscription_arguments_t *arguments = argument;
    const subscribe_t *subscribe = arguments->subscribe;
    size_t count = arguments->partition_count;
    subscription_t *self = calloc(1, sizeof *self + count * sizeof self->readers[0]);
    ENSURE(self && count > 0 && count <= SUBSCRIPTION_PARTITIONS_MAX);
    capstan_actor_set_state(actor, self);
    self->self = actor;
    self->number = arguments->number;
    self->session = arguments->request->sender;
    self->correlation = arguments->request->correlation;
    self->latest = subscribe->from == FROM_LATEST;
    ENSURE(subscribe->topic.size < sizeof self->topic &&
           subscribe->group.size < sizeof self->group);
    memcpy(self->topic, subscribe->topic.data, subscribe->topic.size);
    if (subscribe->group.size > 0) {
        memcpy(self->group, subscribe->group.data, subscribe->group.size);
    }
    self->count = count;
    /* Reads that are open together bring one window at most beyond the one that is bounded. */
    self->read_bytes = WINDOW_BYTES / count < READ_BYTES ? WINDOW_BYTES / count : READ_BYTES;
    for (size_t i = 0; i < count; i++) {
        self->readers[i].partition = arguments->partitions[i];
    }
    capstan_err_t err = capstan_monitor(actor, self->session);
    if (err == CAPSTAN_OK) {
        place_readers(self, subscribe->resume);
    }
    return err;
}

/* --- messages -------------------------------------------------------------------------------- */

static void on_answer(subscription_t *self, const capstan_message_t *message)
{
    for (size_t i = 0; i < self->count; i++) {
        reader_t *reader = &self->readers[i];
        if (reader->store_ask == message->correlation) {
            on_stored(self, reader, message);
            return;
        }
        if (reader->ask != message->correlation) {
            continue;
        }
        reader->ask = 0;
        if (message->kind == CAPSTAN_KIND_ERROR) {
            if (message_failure(message) == CAPSTAN_E_TIMEOUT && reader->placed) {
                open_reads(self);
            } else {
                end(self, message_failure(message));
            }
        } else if (message->message == MESSAGE_partition_events) {
            on_events(self, reader, message);
        } else {
            on_placed(self, reader, message);
        }
        return;
    }
}

static capstan_err_t receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    subscription_t *self = capstan_actor_state(actor);
    subscription_grant_t grant;
    if (message->kind != CAPSTAN_KIND_EVENT) {
        on_answer(self, message);
    } else if (message->message == MESSAGE_down) {
        store_rest(self);
        capstan_actor_exit(actor, CAPSTAN_OK);
    } else if (message->message == MESSAGE_acknowledge) {
        on_acknowledge(self, message);
    } else if (message->message == MESSAGE_subscription_grant &&
               codec_decode(subscription_grant_wire(), message->body, &grant, NULL) == CAPSTAN_OK &&
               grant.bytes > self->granted_bytes && grant.bytes <= self->sent_bytes) {
        self->granted_bytes = grant.bytes;
        open_reads(self);
    }
    return CAPSTAN_OK;
}

static void destroy(capstan_actor_t *actor)
{
    subscription_t *self = capstan_actor_state(actor);
    if (!self) {
        return;
    }
    LOG(ordering, subscription_ended, log_string("topic", self->topic),
        log_string("group", self->group), log_uint("subscription", self->number));
    for (size_t i = 0; i < self->count; i++) {
        free(self->readers[i].checkpoints);
    }
    free(self);
}

const capstan_behaviour_t subscription_behaviour = {
    .name = "subscription",
    .init = init,
    .receive = receive,
    .timer = timer,
    .destroy = destroy,
};
