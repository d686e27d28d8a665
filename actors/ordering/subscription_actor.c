/* One who looks at a topic without being in a group.
 *
 * Accepts   subscription_grant, unsubscribe (from its session), down (of its session), group_close
 *           (from topics).
 * Replies   subscribed, to the request it was started for; done, to unsubscribe.
 * Sends     deliver and subscription_ended to its session; partition_read and partition_find to
 *           the partitions.
 *
 * Nothing is durable: who looks says where to go on.
 *
 *   partition 0 ... P-1: one read open each --> deliver --> session --> peer
 *                                 ^                            |
 *                                 +----- subscription_grant <--+
 *
 * Where the number of partitions changed, nothing behind that place is read of any before all have
 * come to it.
 *
 * What the session has not passed on is bounded by WINDOW_BYTES; beyond it no read is opened, and
 * partitions keep nothing for a consumer, so a stuck one costs nothing. */
#include "actors/ordering/subscription_actor.h"

#include "actors/ordering/beginning.h"
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
    PLACE_US = 60000000,
};

typedef struct reader {
    capstan_ref_t partition;
    uint64_t ask; /* read under way, or question where it begins */
    uint64_t lsn;
    uint64_t offset; /* of the last event delivered */
    bool placed;     /* knows where it begins */
} reader_t;

typedef struct subscription {
    capstan_actor_t *self;
    uint64_t number;
    capstan_ref_t session;
    uint64_t correlation; /* of the subscribe request */
    char topic[129];
    bool elsewhere;   /* it does not begin with the first events */
    bool group_known; /* that it begins behind: by one partition at least */
    bool of_group;
    bool open; /* `subscribed` was sent */
    bool ended;
    uint64_t sent_bytes;
    uint64_t granted_bytes;
    uint64_t read_bytes;
    barrier_t *barriers;
    size_t barrier_count;
    size_t barriers_passed;
    size_t next; /* partition whose turn it is to open a read, so that all get theirs */
    size_t count;
    reader_t readers[];
} subscription_t;

static void end_with_text(subscription_t *self, capstan_err_t err, const char *text)
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
                            err, text);
    }
    buffer_fini(&body);
    capstan_actor_exit(self->self, CAPSTAN_OK);
}

static void end(subscription_t *self, capstan_err_t err)
{
    end_with_text(self, err, NULL);
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

static bool is_passed(const subscription_t *self, const barrier_t *barrier)
{
    for (size_t i = 0; i < barrier->count; i++) {
        if (self->readers[i].offset < barrier->offsets[i]) {
            return false;
        }
    }
    return true;
}

/* The last offset that may be read of the partition now. */
static uint64_t limit_of(subscription_t *self, const reader_t *reader)
{
    size_t partition = (size_t)(reader - self->readers);
    while (self->barriers_passed < self->barrier_count &&
           is_passed(self, &self->barriers[self->barriers_passed])) {
        self->barriers_passed++;
    }
    return self->barriers_passed < self->barrier_count
               ? self->barriers[self->barriers_passed].offsets[partition]
               : UINT64_MAX;
}

static void open_reads(subscription_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        if (self->sent_bytes - self->granted_bytes >= WINDOW_BYTES) {
            return;
        }
        reader_t *reader = &self->readers[self->next];
        self->next = (self->next + 1) % self->count;
        if (reader->ask == 0 && reader->offset < limit_of(self, reader)) {
            open_read(self, reader);
        }
    }
}

static void send_on(subscription_t *self, slice_t deliver)
{
    self->sent_bytes += deliver.size;
    (void)!actor_send(
        self->self, self->session,
        &(send_options_t){.message = MESSAGE_deliver, .kind = CAPSTAN_KIND_EVENT, .always = true},
        deliver);
}

/* What is behind the limit is read again later, from the same place in the log. */
static void send_up_to(subscription_t *self, uint64_t limit, slice_t body)
{
    enum { FIELD_OFFSET = 1 }; /* of `event` */
    deliver_t deliver;
    codec_list_t list;
    buffer_t kept = {0};
    uint64_t offset;
    if (codec_decode(deliver_wire(), body, &deliver, NULL) != CAPSTAN_OK ||
        codec_list_open(event_wire(), deliver.events, &list) != CAPSTAN_OK) {
        end(self, CAPSTAN_E_INTERNAL);
        return;
    }
    codec_list_writer_t writer = codec_list_begin(&kept);
    for (slice_t event; codec_list_next_raw(&list, &event);) {
        if (codec_peek_uint(event, FIELD_OFFSET, &offset) && offset <= limit) {
            codec_list_add_raw(&writer, event);
        }
    }
    codec_list_end(&writer);
    if (writer.count > 0) {
        buffer_t cut = {0};
        deliver.events = buffer_slice(&kept);
        codec_encode(deliver_wire(), &deliver, &cut);
        send_on(self, buffer_slice(&cut));
        buffer_fini(&cut);
    }
    buffer_fini(&kept);
}

static void on_events(subscription_t *self, reader_t *reader, const capstan_message_t *message)
{
    partition_events_t events;
    if (codec_decode(partition_events_wire(), message->body, &events, NULL) != CAPSTAN_OK) {
        end(self, CAPSTAN_E_INTERNAL);
        return;
    }
    uint64_t limit = limit_of(self, reader);
    if (events.offset_last > limit) {
        reader->offset = limit;
        send_up_to(self, limit, events.deliver);
    } else {
        reader->offset = events.offset_last;
        reader->lsn = events.lsn_next;
        send_on(self, events.deliver);
    }
    open_reads(self);
}

/* --- beginning ------------------------------------------------------------------------------- */

/* Who comes back after a loss of the connection knows where it began. */
static void encode_places(const subscription_t *self, buffer_t *out)
{
    if (!self->elsewhere) {
        return;
    }
    codec_list_writer_t list = codec_list_begin(out);
    for (size_t i = 0; i < self->count; i++) {
        codec_list_add(&list, position_wire(),
                       &(position_t){.partition = i, .offset = self->readers[i].offset});
    }
    codec_list_end(&list);
}

static void begin(subscription_t *self)
{
    buffer_t places = {0};
    buffer_t body = {0};
    encode_places(self, &places);
    codec_encode(subscribed_wire(),
                 &(subscribed_t){.subscription = self->number,
                                 .partitions = (uint64_t)self->count,
                                 .places = buffer_slice(&places)},
                 &body);
    capstan_reply(self->self,
                  &(capstan_message_t){.kind = CAPSTAN_KIND_REQUEST,
                                       .sender = self->session,
                                       .correlation = self->correlation},
                  MESSAGE_subscribed, buffer_slice(&body));
    buffer_fini(&places);
    buffer_fini(&body);
    self->open = true;
    LOG(ordering, subscription_opened, log_string("topic", self->topic), log_string("group", ""),
        log_uint("subscription", self->number));
    open_reads(self);
}

static void begin_when_placed(subscription_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        if (!self->readers[i].placed) {
            return;
        }
    }
    if (self->of_group && !self->group_known) {
        end_with_text(self, CAPSTAN_E_INVALID, "from_group: the topic has no such group");
    } else {
        begin(self);
    }
}

static void on_placed(subscription_t *self, reader_t *reader, const capstan_message_t *message)
{
    partition_found_t found;
    if (codec_decode(partition_found_wire(), message->body, &found, NULL) != CAPSTAN_OK) {
        end(self, CAPSTAN_E_INTERNAL);
        return;
    }
    reader->placed = true;
    reader->offset = found.offset;
    self->group_known |= found.known;
    if (self->open) {
        open_reads(self);
    } else {
        begin_when_placed(self);
    }
}

/* Nothing came: what it waits for before a barrier may have been removed. */
static void place_again(subscription_t *self, reader_t *reader)
{
    buffer_t body = {0};
    codec_encode(partition_find_wire(),
                 &(partition_find_t){.from = FROM_EARLIEST, .offset = reader->offset}, &body);
    reader->placed = false;
    capstan_err_t err = capstan_ask(self->self, reader->partition, MESSAGE_partition_find,
                                    buffer_slice(&body), PLACE_US, &reader->ask);
    buffer_fini(&body);
    if (err != CAPSTAN_OK) {
        end(self, CAPSTAN_E_UNAVAILABLE);
    }
}

static void place_readers(subscription_t *self, slice_t beginning)
{
    buffer_t body = {0};
    capstan_err_t err = CAPSTAN_OK;
    for (size_t i = 0; i < self->count && err == CAPSTAN_OK; i++) {
        reader_t *reader = &self->readers[i];
        reader->placed = !self->elsewhere && self->barrier_count == 0;
        if (!reader->placed) {
            buffer_clear(&body);
            beginning_ask(beginning, i, (slice_t){0}, &body);
            err = capstan_ask(self->self, reader->partition, MESSAGE_partition_find,
                              buffer_slice(&body), PLACE_US, &reader->ask);
        }
    }
    buffer_fini(&body);
    if (err != CAPSTAN_OK) {
        end(self, CAPSTAN_E_UNAVAILABLE);
    } else {
        begin_when_placed(self);
    }
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
    self->elsewhere = arguments->beginning.size > 0;
    self->of_group = beginning_is_of_group(arguments->beginning);
    ENSURE(subscribe->topic.size < sizeof self->topic);
    memcpy(self->topic, subscribe->topic.data, subscribe->topic.size);
    self->count = count;
    /* Reads that are open together bring one window at most beyond the one that is bounded. */
    self->read_bytes = WINDOW_BYTES / count < READ_BYTES ? WINDOW_BYTES / count : READ_BYTES;
    for (size_t i = 0; i < count; i++) {
        self->readers[i].partition = arguments->partitions[i];
    }
    if (arguments->barrier_count > 0) {
        self->barrier_count = arguments->barrier_count;
        self->barriers = malloc(self->barrier_count * sizeof *self->barriers);
        ENSURE(self->barriers);
        memcpy(self->barriers, arguments->barriers, self->barrier_count * sizeof *self->barriers);
    }
    capstan_err_t err = capstan_monitor(actor, self->session);
    if (err == CAPSTAN_OK) {
        place_readers(self, arguments->beginning);
    }
    return err;
}

/* --- messages -------------------------------------------------------------------------------- */

static void on_failure(subscription_t *self, reader_t *reader, capstan_err_t err)
{
    if (err == CAPSTAN_E_TIMEOUT && reader->placed && limit_of(self, reader) < UINT64_MAX) {
        place_again(self, reader);
    } else if (err == CAPSTAN_E_TIMEOUT && reader->placed) {
        open_reads(self);
    } else if (err == CAPSTAN_E_INVALID && !reader->placed) {
        end_with_text(self, err, beginning_too_far);
    } else {
        end(self, err);
    }
}

static void on_answer(subscription_t *self, const capstan_message_t *message)
{
    for (size_t i = 0; i < self->count; i++) {
        reader_t *reader = &self->readers[i];
        if (reader->ask != message->correlation) {
            continue;
        }
        reader->ask = 0;
        if (message->kind == CAPSTAN_KIND_ERROR) {
            on_failure(self, reader, message_failure(message));
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
    group_close_t close;
    if (message->message == MESSAGE_unsubscribe && message->kind == CAPSTAN_KIND_REQUEST) {
        capstan_reply(actor, message, MESSAGE_done, slice_of("\x80", 1));
        capstan_actor_exit(actor, CAPSTAN_OK);
    } else if (message->kind != CAPSTAN_KIND_EVENT) {
        on_answer(self, message);
    } else if (message->message == MESSAGE_down) {
        capstan_actor_exit(actor, CAPSTAN_OK);
    } else if (message->message == MESSAGE_group_close &&
               codec_decode(group_close_wire(), message->body, &close, NULL) == CAPSTAN_OK) {
        end(self, (capstan_err_t)close.error);
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
    LOG(ordering, subscription_ended, log_string("topic", self->topic), log_string("group", ""),
        log_uint("subscription", self->number));
    free(self->barriers);
    free(self);
}

const capstan_behaviour_t subscription_behaviour = {
    .name = "subscription",
    .init = init,
    .receive = receive,
    .destroy = destroy,
};
