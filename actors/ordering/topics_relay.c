/* What peers ask about a group or about gaps is passed on, to the partition that knows or to the
 * group itself; the answer goes back to the peer. */
#include "actors/ordering/topics_relay.h"

#include "runtime/base/ensure.h"
#include "runtime/base/key_partition.h"
#include "runtime/runtime.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PAGE_EVENTS_USUAL = 100,
    PAGE_EVENTS_MAX = 1000,
};

static void free_job(relay_job_t *job)
{
    buffer_fini(&job->body);
    free(job->more);
    free(job);
}

/* NULL: the request is answered. */
static relay_job_t *relay(topics_t *self, const capstan_message_t *message, const topic_t *topic,
                          capstan_ref_t target, const wire_record_t *record, const void *value)
{
    relay_job_t *job = calloc(1, sizeof *job);
    ENSURE(job);
    codec_encode(record, value, &job->body);
    job->partitions = topic->count;
    job->request = *message;
    job->request.body = (slice_t){0};
    capstan_err_t err = capstan_ask_for(self->self, &job->request, target, record->id,
                                        buffer_slice(&job->body), TOPICS_ASK_US, &job->ask);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message,
                            err == CAPSTAN_E_GONE ? CAPSTAN_E_UNAVAILABLE : err, NULL);
        free_job(job);
        return NULL;
    }
    job->next = self->relays;
    self->relays = job;
    return job;
}

void topics_on_parked_list(topics_t *self, const capstan_message_t *message)
{
    parked_list_t request;
    capstan_err_t err = codec_decode(parked_list_wire(), message->body, &request, NULL);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err, NULL);
        return;
    }
    const topic_t *topic = topics_ready(self, message, request.topic);
    if (!topic) {
        return;
    }
    if (request.partition >= topic->count || request.events_max > PAGE_EVENTS_MAX) {
        capstan_reply_error(self->self, message, CAPSTAN_E_INVALID,
                            request.events_max > PAGE_EVENTS_MAX
                                ? "events_max: 1 to 1000"
                                : "partition: the topic has fewer");
        return;
    }
    uint64_t events_max = request.events_max > 0 ? request.events_max : PAGE_EVENTS_USUAL;
    (void)relay(self, message, topic, topic->refs[request.partition], partition_parked_wire(),
                &(partition_parked_t){
                    .group = request.group, .offset = request.offset, .events_max = events_max});
}

/* The one that the gateway sends events of the key to. */
static capstan_ref_t partition_of(const topic_t *topic, slice_t key)
{
    return topic->refs[key_partition(key, topic->settings.partitions)];
}

void topics_on_cancel(topics_t *self, const capstan_message_t *message)
{
    scheduled_cancel_t request = {0};
    capstan_err_t err = codec_decode(scheduled_cancel_wire(), message->body, &request, NULL);
    bool half = (request.producer.size == 0) != (request.sequence == 0);
    if (err != CAPSTAN_OK || request.key.size == 0 || half) {
        capstan_reply_error(self->self, message, err ? err : CAPSTAN_E_INVALID,
                            err                     ? NULL
                            : request.key.size == 0 ? "key: 1 to 1024 bytes"
                                                    : "producer and sequence: both, or neither");
        return;
    }
    const topic_t *topic = topics_ready(self, message, request.topic);
    if (topic) {
        (void)relay(self, message, topic, partition_of(topic, request.key), partition_cancel_wire(),
              &(partition_cancel_t){
                  .key = request.key, .producer = request.producer, .sequence = request.sequence});
    }
}

/* Where else the key's events lie from times with another number of partitions. */
static void add_former(const topic_t *topic, relay_job_t *job, slice_t key)
{
    bool asked[TOPIC_PARTITIONS_MAX] = {0};
    asked[key_partition(key, topic->settings.partitions)] = true;
    job->more = calloc(topic->barrier_count + 1, sizeof *job->more);
    ENSURE(job->more);
    for (size_t i = 0; i < topic->barrier_count; i++) {
        uint64_t partition = key_partition(key, topic->barriers[i].partitions);
        if (!asked[partition]) {
            asked[partition] = true;
            job->more[job->more_count++] = topic->refs[partition];
        }
    }
}

/* The first partition is the one that the gateway sends events of the key to. */
void topics_on_erase(topics_t *self, const capstan_message_t *message)
{
    topic_erase_t request;
    capstan_err_t err = codec_decode(topic_erase_wire(), message->body, &request, NULL);
    if (err != CAPSTAN_OK || request.key.size == 0) {
        capstan_reply_error(self->self, message, err ? err : CAPSTAN_E_INVALID,
                            err ? NULL : "key: 1 to 1024 bytes");
        return;
    }
    const topic_t *topic = topics_ready(self, message, request.topic);
    if (topic) {
        uint64_t partition = key_partition(request.key, topic->settings.partitions);
        relay_job_t *job = relay(self, message, topic, topic->refs[partition],
                                 partition_erase_wire(), &(partition_erase_t){.key = request.key});
        if (job) {
            add_former(topic, job, request.key);
        }
    }
}

/* To the group's actor, which is made when there is none: what it knows is in the store. */
static void relay_to_group(topics_t *self, const capstan_message_t *message, slice_t topic_name,
                           slice_t group_name, const wire_record_t *record, const void *value)
{
    const topic_t *topic = topics_ready(self, message, topic_name);
    capstan_ref_t group;
    if (!topic) {
        return;
    }
    capstan_err_t err = topics_group(self, topic, group_name, &group);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(
            self->self, message, err,
            err == CAPSTAN_E_INVALID ? "group: 1 to 128 bytes of UTF-8, none of them zero" : NULL);
        return;
    }
    (void)relay(self, message, topic, group, record, value);
}

void topics_on_parked_release(topics_t *self, const capstan_message_t *message)
{
    parked_release_t request;
    capstan_err_t err = codec_decode(parked_release_wire(), message->body, &request, NULL);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err, NULL);
        return;
    }
    relay_to_group(self, message, request.topic, request.group, group_release_wire(),
                   &(group_release_t){.key = request.key, .discard = request.discard});
}

void topics_on_group_define(topics_t *self, const capstan_message_t *message)
{
    group_define_t request;
    capstan_err_t err = codec_decode(group_define_wire(), message->body, &request, NULL);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err, NULL);
        return;
    }
    relay_to_group(self, message, request.topic, request.group, group_set_wire(),
                   &(group_set_t){.policy = request.policy});
}

/* --- gaps ------------------------------------------------------------------------------------ */

static void on_gap_list(topics_t *self, const capstan_message_t *message)
{
    gap_list_t request;
    capstan_err_t err = codec_decode(gap_list_wire(), message->body, &request, NULL);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err, NULL);
        return;
    }
    const topic_t *topic = topics_ready(self, message, request.topic);
    if (topic && request.partition >= topic->count) {
        capstan_reply_error(self->self, message, CAPSTAN_E_INVALID,
                            "partition: the topic has fewer");
    } else if (topic) {
        uint64_t rows_max = request.rows_max > 0 ? request.rows_max : PAGE_EVENTS_USUAL;
        (void)relay(self, message, topic, topic->refs[request.partition], partition_gaps_wire(),
                    &(partition_gaps_t){.rows_max = rows_max});
    }
}

static void relay_skip(topics_t *self, const capstan_message_t *message, slice_t topic_name,
                       const skip_t *skip)
{
    const topic_t *topic = topics_ready(self, message, topic_name);
    if (!topic) {
        return;
    }
    if (topic->settings.sequence != SEQUENCE_PRODUCER) {
        capstan_reply_error(self->self, message, CAPSTAN_E_INVALID,
                            "topic: its events are numbered by arrival, so that none is missing");
        return;
    }
    buffer_t record = {0};
    codec_encode(skip_wire(), skip, &record);
    uint64_t partition = key_partition(skip->key, topic->settings.partitions);
    (void)relay(self, message, topic, topic->refs[partition], partition_skip_wire(),
                &(partition_skip_t){.skip = buffer_slice(&record)});
    buffer_fini(&record);
}

static void on_gap_declare(topics_t *self, const capstan_message_t *message)
{
    gap_declare_t request;
    capstan_err_t err = codec_decode(gap_declare_wire(), message->body, &request, NULL);
    if (err != CAPSTAN_OK || request.first == 0 || request.last < request.first) {
        capstan_reply_error(self->self, message, err ? err : CAPSTAN_E_INVALID,
                            err ? NULL : "first, last: sequences from 1, ascending");
        return;
    }
    relay_skip(self, message, request.topic,
               &(skip_t){.producer = request.producer,
                         .key = request.key,
                         .first = request.first,
                         .last = request.last,
                         .verdict = GAP_DEAD,
                         .producer_epoch = request.producer_epoch,
                         .reason = request.reason});
}

static void on_gap_force(topics_t *self, const capstan_message_t *message)
{
    gap_force_t request;
    capstan_err_t err = codec_decode(gap_force_wire(), message->body, &request, NULL);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err, NULL);
        return;
    }
    relay_skip(self, message, request.topic,
               &(skip_t){.producer = request.producer,
                         .key = request.key,
                         .first = request.first,
                         .last = request.last,
                         .verdict = GAP_FORCED,
                         .reason = request.reason});
}

bool topics_on_gaps(topics_t *self, const capstan_message_t *message)
{
    switch (message->message) {
    case MESSAGE_gap_list:
        on_gap_list(self, message);
        return true;
    case MESSAGE_gap_declare:
        on_gap_declare(self, message);
        return true;
    case MESSAGE_gap_force:
        on_gap_force(self, message);
        return true;
    default:
        return false;
    }
}

/* --- answers --------------------------------------------------------------------------------- */

static void reply_gap_page(topics_t *self, const relay_job_t *job, slice_t body)
{
    gap_page_t page;
    if (codec_decode(gap_page_wire(), body, &page, NULL) != CAPSTAN_OK) {
        capstan_reply_error(self->self, &job->request, CAPSTAN_E_INTERNAL, NULL);
        return;
    }
    page.partitions = job->partitions;
    topics_reply(self, &job->request, gap_page_wire(), &page);
}

/* A partition knows nothing of the next one. */
static void reply_page(topics_t *self, const relay_job_t *job, slice_t body)
{
    parked_page_t page;
    if (codec_decode(parked_page_wire(), body, &page, NULL) != CAPSTAN_OK) {
        capstan_reply_error(self->self, &job->request, CAPSTAN_E_INTERNAL, NULL);
        return;
    }
    if (!page.more && page.partition + 1 < job->partitions) {
        page.more = true;
        page.next_partition = page.partition + 1;
        page.next_offset = 0;
    }
    topics_reply(self, &job->request, parked_page_wire(), &page);
}

/* True: the next partition is asked. */
static bool erase_on(topics_t *self, relay_job_t *job, slice_t body)
{
    topic_erased_t erased;
    if (codec_decode(topic_erased_wire(), body, &erased, NULL) != CAPSTAN_OK) {
        capstan_reply_error(self->self, &job->request, CAPSTAN_E_INTERNAL, NULL);
        return false;
    }
    job->erased += erased.events;
    if (job->more_count == 0) {
        topics_reply(self, &job->request, topic_erased_wire(),
                     &(topic_erased_t){.events = job->erased});
        return false;
    }
    capstan_err_t err = capstan_ask_for(self->self, &job->request, job->more[--job->more_count],
                                        MESSAGE_partition_erase, buffer_slice(&job->body),
                                        TOPICS_ASK_US, &job->ask);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, &job->request, CAPSTAN_E_UNAVAILABLE, NULL);
    }
    return err == CAPSTAN_OK;
}

/* With its words. */
static void pass_failure(topics_t *self, const relay_job_t *job, const capstan_message_t *message)
{
    char text[TOPIC_TEXT_BYTES] = "";
    failure_t failure;
    capstan_err_t err = message_failure(message);
    if (codec_decode(failure_wire(), message->body, &failure, NULL) == CAPSTAN_OK) {
        snprintf(text, sizeof text, "%.*s", (int)failure.text.size,
                 (const char *)failure.text.data);
    }
    bool gone = err == CAPSTAN_E_GONE;
    capstan_reply_error(self->self, &job->request, gone ? CAPSTAN_E_UNAVAILABLE : err,
                        gone || !*text ? NULL : text);
}

bool topics_relay_answer(topics_t *self, const capstan_message_t *message)
{
    for (relay_job_t **link = &self->relays, *job; (job = *link); link = &job->next) {
        if (job->ask != message->correlation) {
            continue;
        }
        if (message->kind == CAPSTAN_KIND_ERROR) {
            pass_failure(self, job, message);
        } else if (message->message == MESSAGE_parked_page) {
            reply_page(self, job, message->body);
        } else if (message->message == MESSAGE_gap_page) {
            reply_gap_page(self, job, message->body);
        } else if (message->message == MESSAGE_topic_erased) {
            if (erase_on(self, job, message->body)) {
                return true;
            }
        } else {
            capstan_reply(self->self, &job->request, message->message, message->body);
        }
        *link = job->next;
        free_job(job);
        return true;
    }
    return false;
}

void topics_relays_fini(topics_t *self)
{
    while (self->relays) {
        relay_job_t *job = self->relays;
        self->relays = job->next;
        free_job(job);
    }
}
