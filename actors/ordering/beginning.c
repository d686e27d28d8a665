#include "actors/ordering/beginning.h"

enum { PARTITIONS_MAX = 256 };

const char beginning_too_far[] = "resume: an offset behind the end of its partition";

static const char *const wrong_resume =
    "resume: a list of positions, of partitions that the topic has, each once";

/* In ascending partitions; nothing when there are none. */
static const char *sort_resume(slice_t resume, uint64_t partitions, buffer_t *out)
{
    uint64_t offsets[PARTITIONS_MAX];
    bool named[PARTITIONS_MAX] = {false};
    codec_list_t list;
    position_t position;
    if (codec_list_open(position_wire(), resume, &list) != CAPSTAN_OK) {
        return wrong_resume;
    }
    while (codec_list_next(&list, &position)) {
        if (position.partition >= partitions || position.partition >= PARTITIONS_MAX ||
            named[position.partition] || position.offset == UINT64_MAX) {
            return wrong_resume;
        }
        named[position.partition] = true;
        offsets[position.partition] = position.offset;
    }
    if (list.fault.err != CAPSTAN_OK) {
        return wrong_resume;
    }
    codec_list_writer_t writer = codec_list_begin(out);
    for (uint64_t i = 0; i < partitions && i < PARTITIONS_MAX; i++) {
        if (named[i]) {
            codec_list_add(&writer, position_wire(),
                           &(position_t){.partition = i, .offset = offsets[i]});
        }
    }
    codec_list_end(&writer);
    if (writer.count == 0) {
        buffer_clear(out);
    }
    return NULL;
}

const char *beginning_of(const subscribe_t *request, uint64_t partitions, int64_t now_us,
                         buffer_t *out)
{
    beginning_t beginning = {.from = request->from > 0 ? request->from : FROM_EARLIEST};
    if (beginning.from > FROM_GROUP) {
        return "from: 1 earliest, 2 latest, 3 from_time_us, 4 from_group";
    }
    if (beginning.from == FROM_TIME) {
        beginning.time_us = request->from_time_us;
    }
    if (beginning.time_us > now_us) {
        return "from_time_us: it is ahead of the node's clock";
    }
    if (beginning.from == FROM_GROUP) {
        beginning.group = request->from_group;
    }
    if (beginning.from == FROM_GROUP && beginning.group.size == 0) {
        return "from_group: a group of the topic";
    }
    buffer_t resume = {0};
    const char *wrong = sort_resume(request->resume, partitions, &resume);
    if (!wrong && (beginning.from != FROM_EARLIEST || resume.size > 0)) {
        beginning.resume = buffer_slice(&resume);
        codec_encode(beginning_wire(), &beginning, out);
    }
    buffer_fini(&resume);
    return wrong;
}

bool beginning_binds(slice_t record)
{
    beginning_t beginning;
    return codec_decode(beginning_wire(), record, &beginning, NULL) == CAPSTAN_OK &&
           (beginning.from != FROM_LATEST || beginning.resume.size > 0);
}

bool beginning_is_of_group(slice_t record)
{
    beginning_t beginning;
    return codec_decode(beginning_wire(), record, &beginning, NULL) == CAPSTAN_OK &&
           beginning.from == FROM_GROUP;
}

void beginning_ask(slice_t record, uint64_t partition, slice_t beginner, buffer_t *out)
{
    beginning_t beginning;
    codec_list_t list;
    position_t position;
    if (codec_decode(beginning_wire(), record, &beginning, NULL) != CAPSTAN_OK) {
        beginning = (beginning_t){.from = FROM_EARLIEST};
    }
    partition_find_t question = {.from = beginning.from,
                                 .time_us = beginning.time_us,
                                 .group = beginning.group,
                                 .beginner = beginner};
    if (codec_list_open(position_wire(), beginning.resume, &list) == CAPSTAN_OK) {
        while (codec_list_next(&list, &position)) {
            if (position.partition == partition) {
                question.from = FROM_EARLIEST;
                question.offset = position.offset;
            }
        }
    }
    codec_encode(partition_find_wire(), &question, out);
}
