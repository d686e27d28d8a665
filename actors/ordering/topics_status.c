/* The state of all topics: every partition is asked, and the reports become one JSON array. */
#include "actors/ordering/topics.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>

enum {
    STATUS_US = 5000000,
    GAPS_MAX = 64, /* in one report, which is one message: keys are strangers' bytes, up to 1 KiB */
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

static void emit_figure(json_writer_t *json, const char *name, uint64_t value)
{
    emit_key(json, name);
    emit_uint(json, value);
}

/* The reports of one topic are neighbours: [from, to). */
static void emit_topic(json_writer_t *json, const status_job_t *job, size_t from, size_t to,
                       size_t *gaps_left)
{
    const topic_t *topic = job->parts[from].topic;
    partition_report_t sum = {0};
    uint64_t silent = 0;
    buffer_t gaps = {0};
    json_writer_t gap_json = json_writer(&gaps);
    emit_array_begin(&gap_json);
    for (size_t i = from; i < to; i++) {
        partition_report_t report;
        slice_t body = buffer_slice(&job->parts[i].report);
        if (codec_decode(partition_report_wire(), body, &report, NULL) != CAPSTAN_OK) {
            silent++;
            continue;
        }
        sum.offset_next += report.offset_next - 1;
        sum.keys += report.keys;
        sum.held_items += report.held_items;
        sum.held_bytes += report.held_bytes;
        sum.gaps += report.gaps;
        sum.accepted += report.accepted;
        sum.duplicates += report.duplicates;
        sum.rejected += report.rejected;
        emit_gaps(&gap_json, &report, gaps_left);
    }
    emit_array_end(&gap_json);
    emit_object_begin(json);
    emit_key(json, "topic");
    emit_string(json, topic->name);
    emit_figure(json, "partitions", topic->partitions);
    emit_figure(json, "partitions_unavailable", silent);
    emit_key(json, "sequence");
    emit_string(json, topic->sequence == SEQUENCE_PRODUCER ? "producer" : "arrival");
    emit_figure(json, "events", sum.offset_next);
    emit_figure(json, "keys", sum.keys);
    emit_figure(json, "held_items", sum.held_items);
    emit_figure(json, "held_bytes", sum.held_bytes);
    emit_figure(json, "gaps", sum.gaps);
    emit_figure(json, "accepted", sum.accepted);
    emit_figure(json, "duplicates", sum.duplicates);
    emit_figure(json, "rejected", sum.rejected);
    emit_key(json, "open_gaps");
    emit_raw(json, buffer_slice(&gaps));
    emit_object_end(json);
    buffer_fini(&gaps);
}

static void free_job(status_job_t *job)
{
    for (size_t i = 0; i < job->count; i++) {
        buffer_fini(&job->parts[i].report);
    }
    free(job->parts);
    free(job);
}

static void finish(topics_t *self, const status_job_t *job)
{
    buffer_t text = {0};
    size_t gaps_left = GAPS_MAX;
    json_writer_t json = json_writer(&text);
    emit_array_begin(&json);
    for (size_t from = 0, to; from < job->count; from = to) {
        for (to = from; to < job->count && job->parts[to].topic == job->parts[from].topic; to++) {
        }
        emit_topic(&json, job, from, to, &gaps_left);
    }
    emit_array_end(&json);
    buffer_t body = {0};
    codec_encode(ordering_report_wire(), &(ordering_report_t){.json = buffer_slice(&text)}, &body);
    capstan_reply(self->self, &job->request, MESSAGE_ordering_report, buffer_slice(&body));
    buffer_fini(&body);
    buffer_fini(&text);
}

void status_start(topics_t *self, const capstan_message_t *message)
{
    status_job_t *job = calloc(1, sizeof *job);
    ENSURE(job);
    job->request = *message;
    job->request.body = (slice_t){0};
    /* A topic whose mark is on its way does not exist yet, and may be removed again. */
    for (size_t i = 0; i < self->count; i++) {
        job->count += self->list[i]->phase == TOPIC_MARKING ? 0 : self->list[i]->partitions;
    }
    job->parts = calloc(job->count + 1, sizeof *job->parts);
    ENSURE(job->parts);
    size_t place = 0;
    for (size_t i = 0; i < self->count; i++) {
        if (self->list[i]->phase == TOPIC_MARKING) {
            continue;
        }
        for (uint64_t k = 0; k < self->list[i]->partitions; k++) {
            job->parts[place].topic = self->list[i];
            if (capstan_ask(self->self, self->list[i]->refs[k], MESSAGE_partition_status,
                            (slice_t){0}, STATUS_US, &job->parts[place].ask) == CAPSTAN_OK) {
                job->left++;
            }
            place++;
        }
    }
    if (job->left == 0) {
        finish(self, job);
        free_job(job);
        return;
    }
    job->next = self->statuses;
    self->statuses = job;
}

/* Answers come about in the order of the questions, so the search goes on from the last one. */
static bool take_report(status_job_t *job, const capstan_message_t *message)
{
    for (size_t n = 0; n < job->count; n++) {
        size_t i = (job->place + n) % job->count;
        if (job->parts[i].ask == message->correlation) {
            job->parts[i].ask = 0;
            job->place = i + 1;
            if (message->message == MESSAGE_partition_report) {
                buffer_append(&job->parts[i].report, message->body.data, message->body.size);
            }
            job->left--;
            return true;
        }
    }
    return false;
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
