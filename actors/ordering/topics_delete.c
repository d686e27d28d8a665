/* Deleting a topic.
 *
 *   groups have members?  ->  mark 1 on disk  ->  each partition removes its stream  ->  mark 2
 *        GROUP_BUSY             |                                                          |
 *                               +-- from here on nobody knows the topic                    +-- done
 *
 * A node that ends in between finds mark 1 when it starts, and goes on from there: removing a
 * stream twice changes nothing. Its name is taken until the end; who makes a topic of that name
 * meanwhile waits for it. */
#include "actors/ordering/topics_move.h"

#include "actors/ordering/ordering_events.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"
#include "runtime/telemetry/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMBERS_US = 5000000 };

/* --- members --------------------------------------------------------------------------------- */

static void mark(topics_t *self, topic_t *topic, const capstan_message_t *request)
{
    topic_mark_job_t job = {.kind = MARK_DELETING, .topic = topic, .request = *request};
    job.request.body = (slice_t){0};
    marks_add(self, &job);
}

/* Asks the topic's groups; those that were not asked for since the node's start have no members. */
static delete_job_t *ask_groups(topics_t *self, const topic_t *topic,
                                const capstan_message_t *request)
{
    delete_job_t *job = calloc(1, sizeof *job + self->group_count * sizeof job->groups[0]);
    ENSURE(job);
    job->request = *request;
    job->request.body = (slice_t){0};
    memcpy(job->topic, topic->name, sizeof topic->name);
    for (size_t i = 0; i < self->group_count; i++) {
        const topic_group_t *group = &self->groups[i];
        struct delete_group *asked = &job->groups[job->count];
        if (group->topic == topic &&
            capstan_ask(self->self, group->actor, MESSAGE_group_status, (slice_t){0}, MEMBERS_US,
                        &asked->ask) == CAPSTAN_OK) {
            memcpy(asked->name, group->name, sizeof group->name);
            job->count++;
        }
    }
    job->left = job->count;
    return job;
}

void topics_on_delete(topics_t *self, const capstan_message_t *message)
{
    topic_delete_t request;
    capstan_err_t err = codec_decode(topic_delete_wire(), message->body, &request, NULL);
    topic_t *topic = err == CAPSTAN_OK ? topics_find(self, request.topic) : NULL;
    if (!topic || topic->phase == TOPIC_DELETING) {
        capstan_reply_error(self->self, message, err ? err : CAPSTAN_E_UNKNOWN_TOPIC, NULL);
        return;
    }
    if (topic->phase == TOPIC_MARKING) {
        capstan_reply_error(self->self, message, CAPSTAN_E_UNAVAILABLE, NULL);
        return;
    }
    if (topic->phase == TOPIC_MOVING) {
        move_defer(self, topic, message);
        return;
    }
    delete_job_t *job = request.force ? NULL : ask_groups(self, topic, message);
    if (job && job->left > 0) {
        job->next = self->deletes;
        self->deletes = job;
        return;
    }
    free(job);
    mark(self, topic, message);
}

/* The group's answer; false: it has members, or does not say. */
static bool is_free(topics_t *self, const delete_job_t *job, const char *group,
                    const capstan_message_t *message)
{
    char text[TOPIC_TEXT_BYTES];
    group_report_t report = {0};
    bool ended = message->kind == CAPSTAN_KIND_ERROR && message_failure(message) == CAPSTAN_E_GONE;
    if (!ended && codec_decode(group_report_wire(), message->body, &report, NULL) != CAPSTAN_OK) {
        capstan_reply_error(self->self, &job->request, CAPSTAN_E_UNAVAILABLE, NULL);
        return false;
    }
    if (report.members > 0) {
        snprintf(text, sizeof text,
                 "the group \"%s\" has %" PRIu64 " members: stop them, or delete with force", group,
                 report.members);
        capstan_reply_error(self->self, &job->request, CAPSTAN_E_GROUP_BUSY, text);
    }
    return report.members == 0;
}

static bool members_answer(topics_t *self, const capstan_message_t *message)
{
    for (delete_job_t **link = &self->deletes, *job; (job = *link); link = &job->next) {
        size_t i = 0;
        while (i < job->count && job->groups[i].ask != message->correlation) {
            i++;
        }
        if (i == job->count) {
            continue;
        }
        job->groups[i].ask = 0;
        bool busy = !is_free(self, job, job->groups[i].name, message);
        if (busy || --job->left == 0) {
            *link = job->next;
            topic_t *topic = busy ? NULL : topics_find(self, slice_text(job->topic));
            if (topic) {
                mark(self, topic, &job->request);
            } else if (!busy) {
                capstan_reply_error(self->self, &job->request, CAPSTAN_E_UNKNOWN_TOPIC, NULL);
            }
            free(job);
        }
        return true;
    }
    return false;
}

/* --- removing -------------------------------------------------------------------------------- */

void delete_begin(topics_t *self, topic_t *topic, const capstan_message_t *request)
{
    topic->phase = TOPIC_DELETING;
    topic->removal = calloc(1, sizeof *topic->removal);
    ENSURE(topic->removal);
    if (request) {
        topic->removal->request = *request;
    }
    topics_close_groups(self, topic);
    delete_continue(self);
}

static capstan_err_t remove_partition(topics_t *self, topic_t *topic, uint64_t partition)
{
    capstan_err_t err = capstan_ref_is_null(topic->refs[partition])
                            ? topic_spawn(self, topic, partition)
                            : CAPSTAN_OK;
    return err ? err
               : capstan_ask_for(self->self, NULL, topic->refs[partition], MESSAGE_partition_remove,
                                 (slice_t){0}, TOPICS_ASK_US, &topic->removal->asks[partition]);
}

/* True: something did not work, and is to be tried again. */
static bool remove_partitions(topics_t *self, topic_t *topic)
{
    removal_t *removal = topic->removal;
    bool all = true;
    bool again = false;
    for (uint64_t i = 0; i < topic->made; i++) {
        if (!removal->done[i] && removal->asks[i] == 0 &&
            remove_partition(self, topic, i) != CAPSTAN_OK) {
            removal->asks[i] = 0;
            again = true;
        }
        all = all && removal->done[i];
    }
    if (all && !removal->marking) {
        removal->marking = true;
        marks_add(self, &(topic_mark_job_t){.kind = MARK_DELETED, .topic = topic});
        again = true; /* it looks whether that could be stored */
    }
    return again;
}

void delete_continue(topics_t *self)
{
    bool again = false;
    for (size_t i = 0; i < self->count; i++) {
        topic_t *topic = self->list[i];
        if (topic->phase == TOPIC_DELETING && topic->removal) {
            bool marking = topic->removal->marking;
            again = remove_partitions(self, topic) || marking || again;
        }
    }
    if (again) {
        capstan_timer_start(self->self, TOPICS_RETRY_US, &self->deletes);
    }
}

bool delete_answer(topics_t *self, const capstan_message_t *message)
{
    for (size_t i = 0; i < self->count; i++) {
        topic_t *topic = self->list[i];
        for (uint64_t k = 0; topic->removal && k < topic->made; k++) {
            if (topic->removal->asks[k] == 0 || topic->removal->asks[k] != message->correlation) {
                continue;
            }
            topic->removal->asks[k] = 0;
            topic->removal->done[k] = message->kind != CAPSTAN_KIND_ERROR;
            if (topic->removal->done[k]) {
                delete_continue(self);
            } else {
                capstan_timer_start(self->self, TOPICS_RETRY_US, &self->deletes);
            }
            return true;
        }
    }
    return members_answer(self, message);
}

void delete_end(topics_t *self, topic_t *topic)
{
    char name[TOPIC_NAME_MAX + 1];
    topic_waiter_t *waiters = topic->waiters;
    size_t count = topic->waiter_count;
    memcpy(name, topic->name, sizeof name);
    topic->waiters = NULL;
    topic->waiter_count = 0;
    LOG(ordering, topic_deleted, log_string("topic", name));
    if (topic->removal->request.kind > 0) {
        capstan_reply(self->self, &topic->removal->request, MESSAGE_done, slice_of("\x80", 1));
    }
    status_forget(self, topic);
    topics_remove(self, topic);
    for (size_t i = 0; i < count; i++) {
        topics_ensure(self, slice_text(name), &waiters[i]);
    }
    free(waiters);
}

void deletes_fini(topics_t *self)
{
    while (self->deletes) {
        delete_job_t *job = self->deletes;
        self->deletes = job->next;
        free(job);
    }
}
