/* The marks of topics and producers' epochs: appended to the topics' own stream one at a time, and
 * what follows once one is on disk: a topic starts, an epoch or settings go to every partition. */
#include "actors/ordering/topics_move.h"

#include "actors/ordering/group.h"
#include "runtime/base/ensure.h"

#include <stdlib.h>

static const char move_runs[] = "the number of its partitions is being changed: wait for that";
static const char move_too_often[] =
    "it was changed 64 times already, which every group has to follow: make another topic";

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

static void encode_barrier(const topic_t *topic, buffer_t *out)
{
    codec_list_writer_t list = codec_list_begin(out);
    for (uint64_t i = 0; i < topic->count; i++) {
        codec_list_add(&list, position_wire(),
                       &(position_t){.partition = i, .offset = topic->move->offsets[i]});
    }
    codec_list_end(&list);
}

/* The body of the job's mark; returns its kind of record. */
static uint64_t encode(const topic_mark_job_t *job, buffer_t *data)
{
    const topic_t *topic = job->topic;
    if (job->kind == MARK_EPOCH) {
        codec_encode(epoch_mark_wire(),
                     &(epoch_mark_t){.topic = slice_text(topic->name),
                                     .producer = slice_of(job->producer->name, job->producer->size),
                                     .producer_epoch = job->epoch},
                     data);
        return RECORD_epoch_mark;
    }
    const topic_settings_t *settings =
        job->kind == MARK_ALTERED ? &job->settings : &topic->settings;
    topic_settings_t moved = *settings;
    buffer_t list = {0};
    buffer_t barrier = {0};
    if (job->kind == MARK_MOVED) {
        moved.partitions = topic->move->after;
        encode_barrier(topic, &barrier);
    }
    topic_settings_encode(&moved, &list);
    codec_encode(topic_mark_wire(),
                 &(topic_mark_t){.topic = slice_text(topic->name),
                                 .partitions = moved.partitions,
                                 .sequence = settings->sequence,
                                 .settings = buffer_slice(&list),
                                 .moving = job->partitions,
                                 .barrier = buffer_slice(&barrier),
                                 .deletion = job->kind == MARK_DELETING  ? 1
                                             : job->kind == MARK_DELETED ? 2
                                                                         : 0},
                 data);
    buffer_fini(&list);
    buffer_fini(&barrier);
    return RECORD_topic_mark;
}

static void append(topics_t *self, const topic_mark_job_t *job)
{
    buffer_t data = {0};
    uint64_t kind = encode(job, &data);
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

static void free_job(topic_mark_job_t *job)
{
    topic_change_fini(&job->change);
    topic_settings_fini(&job->settings);
    free(job);
}

static topic_mark_job_t *take_first(topics_t *self)
{
    topic_mark_job_t *job = self->job_head;
    self->job_head = job->next;
    if (!self->job_head) {
        self->job_tail = NULL;
    }
    return job;
}

/* One at a time; that nothing changes is as good as done. */
static bool may_move(topics_t *self, const topic_mark_job_t *job)
{
    const topic_t *topic = job->topic;
    if (topic->move || topic->barrier_count == GROUP_BARRIERS_MAX) {
        capstan_reply_error(self->self, &job->request, CAPSTAN_E_NOT_REPARTITIONED,
                            topic->move ? move_runs : move_too_often);
    } else if (topic->phase != TOPIC_READY) {
        capstan_reply_error(self->self, &job->request, CAPSTAN_E_UNAVAILABLE, NULL);
    } else if (topic->settings.partitions == job->partitions) {
        topics_reply_info(self, &job->request, topic->name, &topic->settings, false);
    } else {
        return true;
    }
    return false;
}

/* What is changed is what the settings are once it is this job's turn. */
static bool prepare(topics_t *self, topic_mark_job_t *job)
{
    char text[TOPIC_TEXT_BYTES];
    if (job->topic->phase == TOPIC_DELETING && job->kind != MARK_DELETED) {
        capstan_reply_error(self->self, &job->request, CAPSTAN_E_UNKNOWN_TOPIC, NULL);
        return false;
    }
    if (job->kind == MARK_MOVING) {
        return may_move(self, job);
    }
    if (job->kind == MARK_DELETING && job->topic->move) {
        capstan_reply_error(self->self, &job->request, CAPSTAN_E_UNAVAILABLE, move_runs);
        return false;
    }
    if (job->kind != MARK_ALTERED) {
        return true;
    }
    topic_settings_fini(&job->settings); /* an append that did not leave is prepared again */
    job->settings = topic_change_apply(&job->topic->settings, &job->change);
    capstan_err_t err =
        topic_settings_may_become(&job->topic->settings, &job->settings, job->force, text);
    /* One that was set when the horizon was nearer does not stand in the way of other settings. */
    if (err == CAPSTAN_OK && job->settings.id_window_ms != job->topic->settings.id_window_ms) {
        err = topic_settings_check_window(&job->settings, self->settings->retry_horizon_ms, text);
    }
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, &job->request, err, text);
    }
    return err == CAPSTAN_OK;
}

void marks_run(topics_t *self)
{
    while (self->job_head && self->loaded && self->placed) {
        if (prepare(self, self->job_head)) {
            append(self, self->job_head);
            return;
        }
        free_job(take_first(self));
    }
}

void marks_finish(topics_t *self, capstan_err_t err)
{
    topic_mark_job_t *job = take_first(self);
    if (err != CAPSTAN_OK && job->kind == MARK_MADE) {
        job->topic->phase = TOPIC_FAILED;
        job->topic->failed = err;
        topics_serve_waiters(self, job->topic);
        topics_remove(self, job->topic);
    } else if (job->kind == MARK_MOVED) {
        move_marked(self, job->topic, err);
    } else if (err != CAPSTAN_OK && job->kind == MARK_DELETED) {
        job->topic->removal->marking = false; /* the timer that runs tries it again */
    } else if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, &job->request, err, NULL);
    } else if (job->kind == MARK_EPOCH) {
        job->producer->epoch = job->epoch;
        spread_epoch(self, job);
    } else if (job->kind == MARK_ALTERED) {
        topic_settings_fini(&job->topic->settings);
        job->topic->settings = topic_settings_copy(&job->settings);
        spread_settings(self, job);
    } else if (job->kind == MARK_MOVING) {
        move_begin(self, job->topic, job);
    } else if (job->kind == MARK_DELETING) {
        delete_begin(self, job->topic, &job->request);
    } else if (job->kind == MARK_DELETED) {
        delete_end(self, job->topic);
    } else {
        topics_launch(self, job->topic);
    }
    free_job(job);
}

void marks_fini(topics_t *self)
{
    while (self->job_head) {
        free_job(take_first(self));
    }
}
