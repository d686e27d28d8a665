/* The state of all topics, or of one with its groups: all that know something of it are asked, and
 * the reports become JSON. */
#include "actors/ordering/topics.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>
#include <string.h>

enum {
    STATUS_US = 5000000,
};

static void emit_gaps(json_writer_t *json, const partition_report_t *report, size_t *left)
{
    codec_list_t list;
    gap_t gap;
    if (codec_list_open(gap_wire(), report->gap_list, &list) != CAPSTAN_OK) {
        return;
    }
    while (*left > 0 && codec_list_next(&list, &gap)) {
        --*left;
        emit_object_begin(json);
        emit_key(json, "partition");
        emit_uint(json, report->partition);
        emit_key(json, "producer");
        emit_text(json, gap.producer);
        emit_key(json, "key");
        emit_text(json, gap.key);
        emit_key(json, "missing");
        emit_uint(json, gap.missing);
        emit_key(json, "held");
        emit_uint(json, gap.held);
        emit_key(json, "since_us");
        emit_int(json, gap.since_us);
        emit_object_end(json);
    }
}

void status_emit_figure(json_writer_t *json, const char *name, uint64_t value)
{
    emit_key(json, name);
    emit_uint(json, value);
}

static void add_up(partition_report_t *sum, const partition_report_t *report)
{
    sum->offset_next += report->offset_next - 1;
    sum->bytes += report->bytes;
    sum->keys += report->keys;
    sum->held_items += report->held_items;
    sum->held_bytes += report->held_bytes;
    sum->scheduled_items += report->scheduled_items;
    sum->scheduled_bytes += report->scheduled_bytes;
    if (report->scheduled_items > 0 &&
        (sum->scheduled_due_us == 0 || report->scheduled_due_us < sum->scheduled_due_us)) {
        sum->scheduled_due_us = report->scheduled_due_us;
    }
    sum->gaps += report->gaps;
    sum->accepted += report->accepted;
    sum->duplicates += report->duplicates;
    sum->rejected += report->rejected;
    sum->diverted += report->diverted;
    sum->gaps_filled += report->gaps_filled;
    sum->skips += report->skips;
    sum->late += report->late;
    if (report->watermark_known &&
        (!sum->watermark_known || report->watermark_us < sum->watermark_us)) {
        sum->watermark_us = report->watermark_us;
        sum->watermark_known = true;
    }
}

void status_emit_figures(json_writer_t *json, const status_job_t *job, size_t from, size_t to,
                         size_t *gaps_left)
{
    partition_report_t sum = {0};
    uint64_t silent = 0;
    uint64_t kept = 0;
    buffer_t gaps = {0};
    json_writer_t gap_json = json_writer(&gaps);
    emit_array_begin(&gap_json);
    for (size_t i = from; i < to && job->parts[i].group[0] == '\0'; i++) {
        partition_report_t report;
        slice_t body = buffer_slice(&job->parts[i].report);
        if (codec_decode(partition_report_wire(), body, &report, NULL) != CAPSTAN_OK) {
            silent++;
            continue;
        }
        kept += report.offset_next - report.offset_first;
        add_up(&sum, &report);
        emit_gaps(&gap_json, &report, gaps_left);
    }
    emit_array_end(&gap_json);
    status_emit_figure(json, "partitions_unavailable", silent);
    status_emit_figure(json, "events", sum.offset_next);
    status_emit_figure(json, "events_kept", kept);
    status_emit_figure(json, "bytes_kept", sum.bytes);
    status_emit_figure(json, "keys", sum.keys);
    status_emit_figure(json, "held_items", sum.held_items);
    status_emit_figure(json, "held_bytes", sum.held_bytes);
    status_emit_figure(json, "scheduled_items", sum.scheduled_items);
    status_emit_figure(json, "scheduled_bytes", sum.scheduled_bytes);
    status_emit_figure(json, "gaps", sum.gaps);
    status_emit_figure(json, "accepted", sum.accepted);
    status_emit_figure(json, "duplicates", sum.duplicates);
    status_emit_figure(json, "rejected", sum.rejected);
    status_emit_figure(json, "diverted", sum.diverted);
    status_emit_figure(json, "gaps_filled", sum.gaps_filled);
    status_emit_figure(json, "skips", sum.skips);
    status_emit_figure(json, "late", sum.late);
    if (sum.scheduled_items > 0) {
        emit_key(json, "scheduled_due_us");
        emit_int(json, sum.scheduled_due_us);
    }
    if (sum.watermark_known) {
        emit_key(json, "watermark_us");
        emit_int(json, sum.watermark_us);
    }
    emit_key(json, "open_gaps");
    emit_raw(json, buffer_slice(&gaps));
    buffer_fini(&gaps);
}

static void emit_topic(json_writer_t *json, const status_job_t *job, size_t from, size_t to,
                       size_t *gaps_left, size_t *groups_left)
{
    const topic_t *topic = job->parts[from].topic;
    emit_object_begin(json);
    emit_key(json, "topic");
    emit_string(json, topic->name);
    status_emit_figure(json, "partitions", topic->settings.partitions);
    emit_key(json, "sequence");
    emit_string(json, topic->settings.sequence == SEQUENCE_PRODUCER ? "producer" : "arrival");
    status_emit_figures(json, job, from, to, gaps_left);
    describe_emit_groups(json, job, from, to, groups_left);
    emit_object_end(json);
}

static void free_job(status_job_t *job)
{
    for (size_t i = 0; i < job->count; i++) {
        buffer_fini(&job->parts[i].report);
    }
    free(job->parts);
    free(job);
}

static void emit_topics(json_writer_t *json, const status_job_t *job)
{
    size_t gaps_left = STATUS_GAPS_MAX;
    size_t groups_left = STATUS_GROUPS_MAX;
    emit_array_begin(json);
    for (size_t from = 0, to; from < job->count; from = to) {
        for (to = from; to < job->count && job->parts[to].topic == job->parts[from].topic; to++) {
        }
        if (job->parts[from].topic) {
            emit_topic(json, job, from, to, &gaps_left, &groups_left);
        }
    }
    emit_array_end(json);
}

static void finish(topics_t *self, const status_job_t *job)
{
    buffer_t text = {0};
    json_writer_t json = json_writer(&text);
    if (job->request.message == MESSAGE_topic_describe && !job->parts[0].topic) {
        capstan_reply_error(self->self, &job->request, CAPSTAN_E_UNKNOWN_TOPIC, NULL);
    } else if (job->request.message == MESSAGE_topic_describe) {
        describe_emit(&json, job);
        topics_reply(self, &job->request, topic_described_wire(),
                     &(topic_described_t){.json = buffer_slice(&text)});
    } else {
        emit_topics(&json, job);
        topics_reply(self, &job->request, ordering_report_wire(),
                     &(ordering_report_t){.json = buffer_slice(&text)});
    }
    buffer_fini(&text);
}

/* --- asking ---------------------------------------------------------------------------------- */

static status_job_t *new_job(const capstan_message_t *message, size_t parts_max)
{
    status_job_t *job = calloc(1, sizeof *job);
    ENSURE(job);
    job->request = *message;
    job->request.body = (slice_t){0};
    job->parts = calloc(parts_max + 1, sizeof *job->parts);
    ENSURE(job->parts);
    return job;
}

static void ask(topics_t *self, status_job_t *job, const topic_t *topic, capstan_ref_t target,
                uint32_t message)
{
    status_part_t *part = &job->parts[job->count++];
    part->topic = topic;
    job->left +=
        capstan_ask(self->self, target, message, (slice_t){0}, STATUS_US, &part->ask) == CAPSTAN_OK;
}

/* Its partitions first, then the groups that have an actor. */
static void ask_topic(topics_t *self, status_job_t *job, const topic_t *topic)
{
    for (uint64_t i = 0; i < topic->count; i++) {
        ask(self, job, topic, topic->refs[i], MESSAGE_partition_status);
    }
    for (size_t i = 0; i < self->group_count; i++) {
        const topic_group_t *group = &self->groups[i];
        if (group->topic == topic) {
            memcpy(job->parts[job->count].group, group->name, sizeof group->name);
            ask(self, job, topic, group->actor, MESSAGE_group_status);
        }
    }
}

static void await(topics_t *self, status_job_t *job)
{
    if (job->left == 0) {
        finish(self, job);
        free_job(job);
        return;
    }
    job->next = self->statuses;
    self->statuses = job;
}

/* A topic whose mark is on its way does not exist yet, and may be removed again. */
void status_start(topics_t *self, const capstan_message_t *message)
{
    size_t count = self->group_count;
    for (size_t i = 0; i < self->count; i++) {
        count += self->list[i]->count;
    }
    status_job_t *job = new_job(message, count);
    for (size_t i = 0; i < self->count; i++) {
        topic_phase_t phase = self->list[i]->phase;
        if (phase != TOPIC_MARKING && phase != TOPIC_DELETING) {
            ask_topic(self, job, self->list[i]);
        }
    }
    await(self, job);
}

void describe_start(topics_t *self, const capstan_message_t *message)
{
    topic_describe_t request;
    capstan_err_t err = codec_decode(topic_describe_wire(), message->body, &request, NULL);
    const topic_t *topic = err == CAPSTAN_OK ? topics_find(self, request.topic) : NULL;
    if (!topic || topic->phase == TOPIC_MARKING || topic->phase == TOPIC_DELETING) {
        capstan_reply_error(self->self, message, err ? err : CAPSTAN_E_UNKNOWN_TOPIC, NULL);
        return;
    }
    status_job_t *job = new_job(message, topic->count + self->group_count);
    ask_topic(self, job, topic);
    await(self, job);
}

/* Answers come about in the order of the questions, so the search goes on from the last one. */
static bool take_report(status_job_t *job, const capstan_message_t *message)
{
    for (size_t n = 0; n < job->count; n++) {
        size_t i = (job->place + n) % job->count;
        if (job->parts[i].ask == message->correlation) {
            job->parts[i].ask = 0;
            job->place = i + 1;
            if (message->kind == CAPSTAN_KIND_REPLY) {
                buffer_append(&job->parts[i].report, message->body.data, message->body.size);
            }
            job->left--;
            return true;
        }
    }
    return false;
}

void status_forget(topics_t *self, const topic_t *topic)
{
    for (status_job_t *job = self->statuses; job; job = job->next) {
        for (size_t i = 0; i < job->count; i++) {
            if (job->parts[i].topic == topic) {
                job->parts[i].topic = NULL;
            }
        }
    }
}

bool status_answer(topics_t *self, const capstan_message_t *message)
{
    for (status_job_t **link = &self->statuses, *job; (job = *link); link = &job->next) {
        if (!take_report(job, message)) {
            continue;
        }
        if (job->left == 0) {
            finish(self, job);
            *link = job->next;
            free_job(job);
        }
        return true;
    }
    return false;
}

void status_fini(topics_t *self)
{
    while (self->statuses) {
        status_job_t *job = self->statuses;
        self->statuses = job->next;
        free_job(job);
    }
}
