/* The marks of topics and producers' epochs: appended to the topics' own stream one at a time, and
 * what follows once one is on disk: a topic starts, an epoch is stored by every partition. */
#include "actors/ordering/topics.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>

void marks_add(topics_t *self, const topic_mark_job_t *job)
{
    topic_mark_job_t *copy = malloc(sizeof *copy);
    ENSURE(copy);
    *copy = *job;
    copy->next = NULL;
    if (self->job_tail) {
        self->job_tail->next = copy;
    } else {
        self->job_head = copy;
    }
    self->job_tail = copy;
    if (self->ask == 0) {
        marks_run(self);
    }
}

void marks_run(topics_t *self)
{
    const topic_mark_job_t *job = self->job_head;
    if (!job || !self->loaded || !self->placed) {
        return;
    }
    const topic_t *topic = job->topic;
    buffer_t data = {0};
    uint64_t kind = RECORD_topic_mark;
    if (job->producer) {
        kind = RECORD_epoch_mark;
        codec_encode(epoch_mark_wire(),
                     &(epoch_mark_t){.topic = slice_text(topic->name),
                                     .producer = slice_of(job->producer->name, job->producer->size),
                                     .producer_epoch = job->epoch},
                     &data);
    } else {
        codec_encode(topic_mark_wire(),
                     &(topic_mark_t){.topic = slice_text(topic->name),
                                     .partitions = topic->partitions,
                                     .sequence = topic->sequence},
                     &data);
    }
    buffer_t records = {0};
    codec_list_writer_t list = codec_list_begin(&records);
    codec_list_add(&list, journal_record_wire(),
                   &(journal_record_t){.kind = kind, .data = buffer_slice(&data)});
    codec_list_end(&list);
    topics_ask(self, self->journal, journal_append_wire(),
               &(journal_append_t){.stream = self->stream,
                                   .epoch = self->epoch,
                                   .lsn = self->lsn_next,
                                   .records = buffer_slice(&records)});
    buffer_fini(&records);
    buffer_fini(&data);
}

/* Also for an epoch that is known: the one who was told of it before may have been told in vain,
 * because a partition refused it or the node ended in between. Those that know it write nothing. */
void marks_fence(topics_t *self, const topic_mark_job_t *job)
{
    fence_job_t *fence = calloc(1, sizeof *fence);
    ENSURE(fence);
    fence->request = job->request;
    fence->request.body = (slice_t){0};
    fence->epoch = job->epoch;
    buffer_t body = {0};
    codec_encode(
        partition_epoch_wire(),
        &(partition_epoch_t){.producer = slice_of(job->producer->name, job->producer->size),
                             .producer_epoch = job->epoch},
        &body);
    for (uint64_t i = 0; i < job->topic->partitions; i++) {
        if (capstan_ask_for(self->self, &fence->request, job->topic->refs[i],
                            MESSAGE_partition_epoch, buffer_slice(&body), TOPICS_ASK_US,
                            &fence->asks[i]) == CAPSTAN_OK) {
            fence->left++;
        }
    }
    buffer_fini(&body);
    if (fence->left < job->topic->partitions) {
        capstan_reply_error(self->self, &fence->request, CAPSTAN_E_UNAVAILABLE, NULL);
        free(fence);
        return;
    }
    fence->next = self->fences;
    self->fences = fence;
}

bool marks_fence_answer(topics_t *self, const capstan_message_t *message)
{
    for (fence_job_t **link = &self->fences, *fence; (fence = *link); link = &fence->next) {
        size_t i = 0;
        while (i < 256 && fence->asks[i] != message->correlation) {
            i++;
        }
        if (i == 256) {
            continue;
        }
        fence->asks[i] = 0;
        bool refused = message->kind == CAPSTAN_KIND_ERROR;
        if (refused) {
            capstan_reply_error(self->self, &fence->request, CAPSTAN_E_UNAVAILABLE, NULL);
        } else if (--fence->left == 0) {
            topics_reply(self, &fence->request, producer_opened_wire(),
                         &(producer_opened_t){.producer_epoch = fence->epoch});
        }
        if (refused || fence->left == 0) {
            *link = fence->next;
            free(fence);
        }
        return true;
    }
    return false;
}

void marks_finish(topics_t *self, capstan_err_t err)
{
    topic_mark_job_t *job = self->job_head;
    self->job_head = job->next;
    if (!self->job_head) {
        self->job_tail = NULL;
    }
    if (err == CAPSTAN_OK && job->producer) {
        job->producer->epoch = job->epoch;
        marks_fence(self, job);
    } else if (err == CAPSTAN_OK) {
        topics_launch(self, job->topic);
    } else if (job->producer) {
        capstan_reply_error(self->self, &job->request, err, NULL);
    } else {
        job->topic->phase = TOPIC_FAILED;
        job->topic->failed = err;
        topics_serve_waiters(self, job->topic);
        topics_remove(self, job->topic);
    }
    free(job);
}

void marks_fini(topics_t *self)
{
    while (self->job_head) {
        topic_mark_job_t *job = self->job_head;
        self->job_head = job->next;
        free(job);
    }
    while (self->fences) {
        fence_job_t *fence = self->fences;
        self->fences = fence->next;
        free(fence);
    }
}
