/* What is stored in the topics' own stream and concerns every partition: producers' epochs, and a
 * topic's settings. The request is answered once all of them have it. */
#include "actors/ordering/topics.h"

#include "runtime/base/ensure.h"
#include "runtime/runtime.h"

#include <stdlib.h>
#include <string.h>

static const char incomplete[] =
    "it is stored, but not every partition goes by it yet: send it again";

static void free_spread(spread_job_t *job)
{
    topic_settings_fini(&job->settings);
    free(job);
}

static void spread(topics_t *self, const topic_mark_job_t *job, const wire_record_t *record,
                   const void *value)
{
    const topic_t *topic = job->topic;
    spread_job_t *spread = calloc(1, sizeof *spread);
    ENSURE(spread);
    spread->request = job->request;
    spread->request.body = (slice_t){0};
    spread->epoch = job->epoch;
    spread->settings = topic_settings_copy(&topic->settings);
    memcpy(spread->topic, topic->name, sizeof topic->name);
    buffer_t body = {0};
    codec_encode(record, value, &body);
    size_t wanted = 0;
    for (uint64_t i = 0; i < topic->made; i++) {
        if (i >= topic->count && capstan_ref_is_null(topic->refs[i])) {
            continue;
        }
        wanted++;
        if (capstan_ask_for(self->self, &spread->request, topic->refs[i], record->id,
                            buffer_slice(&body), TOPICS_ASK_US, &spread->asks[i]) == CAPSTAN_OK) {
            spread->left++;
        }
    }
    buffer_fini(&body);
    if (spread->left < wanted) {
        capstan_reply_error(self->self, &spread->request, CAPSTAN_E_UNAVAILABLE, incomplete);
        free_spread(spread);
        return;
    }
    spread->next = self->spreads;
    self->spreads = spread;
}

/* Also for an epoch that is known: the one who was told of it before may have been told in vain,
 * because a partition refused it or the node ended in between. Those that know it write nothing. */
void spread_epoch(topics_t *self, const topic_mark_job_t *job)
{
    spread(self, job, partition_epoch_wire(),
           &(partition_epoch_t){.producer = slice_of(job->producer->name, job->producer->size),
                                .producer_epoch = job->epoch});
}

/* A partition that is started anew meanwhile begins with them. */
void spread_settings(topics_t *self, const topic_mark_job_t *job)
{
    buffer_t list = {0};
    topic_settings_encode(&job->topic->settings, &list);
    spread(self, job, partition_set_wire(), &(partition_set_t){.settings = buffer_slice(&list)});
    buffer_fini(&list);
}

static void finish(topics_t *self, const spread_job_t *spread)
{
    if (spread->request.message == MESSAGE_topic_alter) {
        topics_reply_info(self, &spread->request, spread->topic, &spread->settings, false);
    } else {
        topics_reply(self, &spread->request, producer_opened_wire(),
                     &(producer_opened_t){.producer_epoch = spread->epoch});
    }
}

bool spread_answer(topics_t *self, const capstan_message_t *message)
{
    for (spread_job_t **link = &self->spreads, *spread; (spread = *link); link = &spread->next) {
        size_t i = 0;
        while (i < TOPIC_PARTITIONS_MAX && spread->asks[i] != message->correlation) {
            i++;
        }
        if (i == TOPIC_PARTITIONS_MAX) {
            continue;
        }
        spread->asks[i] = 0;
        bool refused = message->kind == CAPSTAN_KIND_ERROR;
        if (refused) {
            capstan_reply_error(self->self, &spread->request, CAPSTAN_E_UNAVAILABLE, incomplete);
        } else if (--spread->left == 0) {
            finish(self, spread);
        }
        if (refused || spread->left == 0) {
            *link = spread->next;
            free_spread(spread);
        }
        return true;
    }
    return false;
}

void spreads_fini(topics_t *self)
{
    while (self->spreads) {
        spread_job_t *spread = self->spreads;
        self->spreads = spread->next;
        free_spread(spread);
    }
}
