/* Where in a partition somebody begins to read. A time is looked up in the index, and from there
 * the log is read up to the first event that was taken at that time or later. */
#include "actors/ordering/partition_parts.h"

#include "actors/ordering/beginning.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"

#include <stdlib.h>

enum {
    FIELD_OFFSET = 1, /* of record `event` */
    FIELD_ACCEPTED_US = 10,
};

static void unlink_find(partition_actor_t *self, find_t *find)
{
    find_t **link = &self->finds;
    while (*link != find) {
        link = &(*link)->next;
    }
    *link = find->next;
    free(find);
}

static void refuse(partition_actor_t *self, find_t *find, capstan_err_t err)
{
    capstan_reply_error(self->self, &find->request, err, NULL);
    unlink_find(self, find);
}

static void answer(partition_actor_t *self, find_t *find)
{
    buffer_t body = {0};
    codec_encode(partition_found_wire(), &find->found, &body);
    capstan_reply(self->self, &find->request, MESSAGE_partition_found, buffer_slice(&body));
    buffer_fini(&body);
    unlink_find(self, find);
}

static void read_on(partition_actor_t *self, find_t *find)
{
    buffer_t body = {0};
    codec_encode(journal_read_wire(),
                 &(journal_read_t){
                     .stream = self->stream, .lsn = find->lsn, .bytes_max = PARTITION_READ_BYTES},
                 &body);
    capstan_err_t err =
        capstan_ask_for(self->self, &find->request, self->reader, MESSAGE_journal_read,
                        buffer_slice(&body), PARTITION_ASK_US, &find->ask);
    buffer_fini(&body);
    if (err != CAPSTAN_OK) {
        find->ask = 0;
        refuse(self, find, CAPSTAN_E_UNAVAILABLE);
    }
}

/* What came before the question is waited for: a place that a crash takes back is none. */
static void go_on(partition_actor_t *self, find_t *find)
{
    if (find->ask > 0 || self->phase != PARTITION_READY || self->lsn_committed < find->lsn_end) {
        return;
    }
    if (find->from == FROM_EARLIEST && find->found.offset > self->tail.offset_committed) {
        refuse(self, find, CAPSTAN_E_INVALID);
    } else if (find->from == FROM_TIME && find->lsn < find->lsn_end) {
        read_on(self, find);
    } else {
        answer(self, find);
    }
}

static void begin(partition_actor_t *self, find_t *find, const partition_find_t *request)
{
    const stored_group_t *of = partition_groups_find(&self->groups, request->group);
    const stored_group_t *beginner = partition_groups_find(&self->groups, request->beginner);
    find->found.known = of != NULL;
    find->found.begun =
        beginner && (!completed_is_empty(&beginner->completed) || beginner->beginning.size > 0);
    if (find->from == FROM_LATEST) {
        find->found.offset = partition_figures(self->core).offset_next - 1;
    } else if (find->from == FROM_TIME) {
        log_place_t place = log_index_before(&self->log_index, request->time_us);
        find->found.offset = place.offset - 1;
        find->lsn = place.lsn;
    } else if (find->from == FROM_GROUP) {
        find->found.offset = of ? of->completed.frontier : 0;
    } else {
        uint64_t removed = log_index_first(&self->log_index) - 1;
        find->found.offset = request->offset > removed ? request->offset : removed;
    }
}

void finds_add(partition_actor_t *self, const capstan_message_t *message)
{
    partition_find_t request;
    capstan_err_t err = codec_decode(partition_find_wire(), message->body, &request, NULL);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err, NULL);
        return;
    }
    find_t *find = calloc(1, sizeof *find);
    ENSURE(find);
    find->request = *message;
    find->request.body = (slice_t){0};
    find->from = request.from;
    find->time_us = request.time_us;
    find->lsn_end = self->lsn_next;
    find->next = self->finds;
    self->finds = find;
    begin(self, find, &request);
    go_on(self, find);
}

void finds_wake(partition_actor_t *self)
{
    for (find_t *find = self->finds, *next; find; find = next) {
        next = find->next;
        go_on(self, find);
    }
}

/* True when the first event is among them that was taken at that time or later. */
static bool look_through(find_t *find, codec_list_t *records)
{
    journal_record_t record;
    while (codec_list_next(records, &record)) {
        uint64_t offset;
        uint64_t taken_us = 0;
        if (record.kind != RECORD_event || !codec_peek_uint(record.data, FIELD_OFFSET, &offset) ||
            offset <= find->found.offset) {
            continue;
        }
        (void)codec_peek_uint(record.data, FIELD_ACCEPTED_US, &taken_us);
        if ((int64_t)taken_us >= find->time_us) {
            return true;
        }
        find->found.offset = offset;
    }
    return false;
}

static void on_records(partition_actor_t *self, find_t *find, const capstan_message_t *message)
{
    journal_records_t records;
    codec_list_t list;
    capstan_err_t err = codec_decode(journal_records_wire(), message->body, &records, NULL);
    err = err ? err : codec_list_open(journal_record_wire(), records.records, &list);
    if (err != CAPSTAN_OK || records.lsn_next <= records.lsn) {
        refuse(self, find, CAPSTAN_E_STORE_CORRUPT);
        return;
    }
    find->lsn = look_through(find, &list) ? find->lsn_end : records.lsn_next;
    if (list.fault.err != CAPSTAN_OK) {
        refuse(self, find, CAPSTAN_E_STORE_CORRUPT);
    } else {
        go_on(self, find);
    }
}

bool finds_answer(partition_actor_t *self, const capstan_message_t *message)
{
    for (find_t *find = self->finds; find; find = find->next) {
        if (find->ask == 0 || find->ask != message->correlation) {
            continue;
        }
        find->ask = 0;
        if (message->message == MESSAGE_journal_records) {
            on_records(self, find, message);
        } else {
            capstan_err_t err = message_failure(message);
            refuse(self, find, err == CAPSTAN_E_STORE_CORRUPT ? err : CAPSTAN_E_UNAVAILABLE);
        }
        return true;
    }
    return false;
}

void finds_cancel(partition_actor_t *self, capstan_ref_t sender, uint64_t correlation)
{
    for (find_t *find = self->finds; find; find = find->next) {
        if (find->request.correlation == correlation &&
            capstan_ref_equal(find->request.sender, sender)) {
            unlink_find(self, find);
            return;
        }
    }
}

void finds_refuse(partition_actor_t *self, capstan_err_t err)
{
    while (self->finds) {
        refuse(self, self->finds, err);
    }
}

void finds_fini(partition_actor_t *self)
{
    while (self->finds) {
        unlink_find(self, self->finds);
    }
}
