/* Everything about one topic: its settings, its partitions, and how far its groups have got. */
#include "actors/ordering/topics.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>
#include <string.h>

/* A group, over all partitions. */
typedef struct group_sum {
    slice_t name;
    uint64_t completed;
    uint64_t parked;
    group_report_t report; /* of its actor, if it has one */
} group_sum_t;

typedef struct group_sums {
    group_sum_t *list;
    size_t count;
} group_sums_t;

static group_sum_t *sum_of(group_sums_t *self, slice_t name)
{
    for (size_t i = 0; i < self->count; i++) {
        if (slice_equal(self->list[i].name, name)) {
            return &self->list[i];
        }
    }
    self->list = realloc(self->list, (self->count + 1) * sizeof *self->list);
    ENSURE(self->list);
    self->list[self->count] = (group_sum_t){.name = name};
    return &self->list[self->count++];
}

static bool read_partition(const status_part_t *part, partition_report_t *ret_report)
{
    return part->group[0] == '\0' &&
           codec_decode(partition_report_wire(), buffer_slice(&part->report), ret_report, NULL) ==
               CAPSTAN_OK;
}

/* Names stay where the reports are. */
static uint64_t add_up(const status_job_t *job, size_t from, size_t to, group_sums_t *sums)
{
    uint64_t events = 0;
    for (size_t i = from; i < to; i++) {
        const status_part_t *part = &job->parts[i];
        partition_report_t report;
        codec_list_t list;
        group_progress_t progress;
        if (part->group[0] != '\0') {
            group_sum_t *sum = sum_of(sums, slice_text(part->group));
            if (codec_decode(group_report_wire(), buffer_slice(&part->report), &sum->report,
                             NULL) != CAPSTAN_OK) {
                sum->report = (group_report_t){0};
            }
            continue;
        }
        if (!read_partition(part, &report) ||
            codec_list_open(group_progress_wire(), report.groups, &list) != CAPSTAN_OK) {
            continue;
        }
        events += report.offset_next - 1;
        while (codec_list_next(&list, &progress)) {
            group_sum_t *sum = sum_of(sums, progress.group);
            sum->completed += progress.completed;
            sum->parked += progress.parked;
        }
    }
    return events;
}

static void emit_group(json_writer_t *json, const group_sum_t *sum, uint64_t events)
{
    emit_object_begin(json);
    emit_key(json, "group");
    emit_text(json, sum->name);
    status_emit_figure(json, "members", sum->report.members);
    status_emit_figure(json, "lag", events > sum->completed ? events - sum->completed : 0);
    status_emit_figure(json, "held", sum->report.held);
    status_emit_figure(json, "retrying", sum->report.retrying);
    status_emit_figure(json, "parked", sum->parked);
    status_emit_figure(json, "acknowledged", sum->report.acknowledged);
    emit_object_end(json);
}

void describe_emit_groups(json_writer_t *json, const status_job_t *job, size_t from, size_t to,
                          size_t *groups_left)
{
    group_sums_t sums = {0};
    uint64_t events = add_up(job, from, to, &sums);
    size_t shown = sums.count < *groups_left ? sums.count : *groups_left;
    *groups_left -= shown;
    if (shown < sums.count) {
        status_emit_figure(json, "groups_hidden", sums.count - shown);
    }
    emit_key(json, "groups");
    emit_array_begin(json);
    for (size_t i = 0; i < shown; i++) {
        emit_group(json, &sums.list[i], events);
    }
    emit_array_end(json);
    free(sums.list);
}

static void emit_partitions(json_writer_t *json, const status_job_t *job)
{
    emit_array_begin(json);
    for (size_t i = 0; i < job->count; i++) {
        partition_report_t report;
        if (!read_partition(&job->parts[i], &report)) {
            continue;
        }
        emit_object_begin(json);
        status_emit_figure(json, "partition", report.partition);
        status_emit_figure(json, "events", report.offset_next - 1);
        status_emit_figure(json, "offset_first", report.offset_first);
        status_emit_figure(json, "bytes", report.bytes);
        status_emit_figure(json, "keys", report.keys);
        status_emit_figure(json, "held_items", report.held_items);
        status_emit_figure(json, "scheduled_items", report.scheduled_items);
        status_emit_figure(json, "gaps", report.gaps);
        emit_object_end(json);
    }
    emit_array_end(json);
}

void describe_emit(json_writer_t *json, const status_job_t *job)
{
    const topic_t *topic = job->parts[0].topic;
    size_t gaps_left = STATUS_GAPS_MAX;
    size_t groups_left = STATUS_GROUPS_MAX;
    emit_object_begin(json);
    emit_key(json, "topic");
    emit_string(json, topic->name);
    emit_key(json, "settings");
    topic_settings_describe(&topic->settings, json);
    status_emit_figure(json, "repartitions", topic->barrier_count);
    status_emit_figures(json, job, 0, job->count, &gaps_left);
    emit_key(json, "partitions");
    emit_partitions(json, job);
    describe_emit_groups(json, job, 0, job->count, &groups_left);
    emit_object_end(json);
}
