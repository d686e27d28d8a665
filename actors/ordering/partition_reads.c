/* Serving consumers: a read is answered from the tail in memory, or, further back, from the
 * journal; at the end of the partition it waits for the next commit.
 *
 * What is read back for a group is more than it asks for, since a row of the log is checked and
 * copied as a whole, and is kept for the next group that wants it. */
#include "actors/ordering/partition_parts.h"

#include "actors/ordering/ordering_metrics.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"

#include <stdlib.h>

static void unlink_read(partition_actor_t *self, parked_read_t *read)
{
    parked_read_t **link = &self->parked;
    while (*link != read) {
        link = &(*link)->next;
    }
    *link = read->next;
    free(read);
}

static bool is_grouped(const parked_read_t *read)
{
    return read->read.subscription == 0;
}

static void answer(partition_actor_t *self, parked_read_t *read, slice_t events, slice_t sizes)
{
    buffer_t deliver = {0};
    bool grouped = is_grouped(read);
    if (!grouped) {
        codec_encode(deliver_wire(),
                     &(deliver_t){.subscription = read->read.subscription,
                                  .partition = self->index,
                                  .events = events},
                     &deliver);
    }
    buffer_t body = {0};
    codec_encode(partition_events_wire(),
                 &(partition_events_t){.partition = self->index,
                                       .lsn_next = read->cursor.lsn,
                                       .offset_last = read->cursor.offset,
                                       .deliver = grouped ? events : buffer_slice(&deliver),
                                       .sizes = sizes},
                 &body);
    capstan_reply(self->self, &read->request, MESSAGE_partition_events, buffer_slice(&body));
    buffer_fini(&deliver);
    buffer_fini(&body);
    unlink_read(self, read);
}

static void refuse(partition_actor_t *self, parked_read_t *read, capstan_err_t err)
{
    capstan_reply_error(self->self, &read->request, err, NULL);
    unlink_read(self, read);
}

/* Whether the very events are being read for another group. */
static bool is_asked_for(const partition_actor_t *self, const parked_read_t *read)
{
    for (const parked_read_t *other = self->parked; other; other = other->next) {
        if (other->journal_ask > 0 && is_grouped(other) &&
            other->cursor.offset == read->cursor.offset) {
            return true;
        }
    }
    return false;
}

static void ask_journal(partition_actor_t *self, parked_read_t *read)
{
    bool more = is_grouped(read) && read->read.bytes_max < PARTITION_READ_BACK_BYTES;
    buffer_t body = {0};
    if (read->cursor.lsn == 0) {
        read->cursor.lsn = log_index_lsn(&self->log_index, read->cursor.offset + 1);
    }
    codec_encode(
        journal_read_wire(),
        &(journal_read_t){.stream = self->stream,
                          .lsn = read->cursor.lsn > 0 ? read->cursor.lsn : 1,
                          .bytes_max = more ? PARTITION_READ_BACK_BYTES : read->read.bytes_max},
        &body);
    capstan_err_t err =
        capstan_ask_for(self->self, &read->request, self->reader, MESSAGE_journal_read,
                        buffer_slice(&body), PARTITION_ASK_US, &read->journal_ask);
    buffer_fini(&body);
    if (err != CAPSTAN_OK) {
        refuse(self, read, err);
    }
}

static void serve_behind_tail(partition_actor_t *self, parked_read_t *read)
{
    if (is_grouped(read) && is_asked_for(self, read)) {
        return;
    }
    if (!is_grouped(read) || !read_back_covers(&self->back, read->cursor.offset)) {
        ask_journal(self, read);
        return;
    }
    slice_t events;
    slice_t sizes;
    read_back_from(&self->back, read->cursor.offset, &events, &sizes);
    read->cursor = (tail_cursor_t){.lsn = self->back.lsn_next, .offset = self->back.offset_last};
    METRIC_ADD(ordering, events_read, sizes.size / sizeof(uint32_t));
    answer(self, read, events, sizes);
}

/* Moves who stands before the oldest event that is kept to that. A group is told instead: it has to
 * know that it has lost events. False: it was. */
static bool pass_removed(partition_actor_t *self, parked_read_t *read)
{
    const log_place_t *begin = &self->log_index.begin;
    if (read->cursor.offset + 1 < begin->offset) {
        if (is_grouped(read)) {
            refuse(self, read, CAPSTAN_E_EXPIRED);
            return false;
        }
        read->cursor.offset = begin->offset - 1;
    }
    if (read->cursor.lsn > 0 && read->cursor.lsn < begin->lsn) {
        read->cursor.lsn = begin->lsn;
    }
    return true;
}

static void serve(partition_actor_t *self, parked_read_t *read)
{
    if (self->phase != PARTITION_READY || read->journal_ask > 0 || !pass_removed(self, read) ||
        read->cursor.offset >= self->tail.offset_committed) {
        return;
    }
    if (!tail_covers(&self->tail, read->cursor.offset)) {
        serve_behind_tail(self, read);
        return;
    }
    read_back_pass_over(&self->back);
    buffer_t events = {0};
    buffer_t sizes = {0};
    codec_list_writer_t list = codec_list_begin(&events);
    uint64_t count =
        tail_read(&self->tail, &read->cursor, (size_t)read->read.bytes_max, &list, &sizes);
    codec_list_end(&list);
    ENSURE(count > 0);
    METRIC_ADD(ordering, events_read, count);
    answer(self, read, buffer_slice(&events), buffer_slice(&sizes));
    buffer_fini(&events);
    buffer_fini(&sizes);
}

void reads_add(partition_actor_t *self, const capstan_message_t *message)
{
    partition_read_t request;
    capstan_err_t err = codec_decode(partition_read_wire(), message->body, &request, NULL);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err, NULL);
        return;
    }
    if (self->phase == PARTITION_BROKEN && self->broken == CAPSTAN_E_STORE_CORRUPT) {
        capstan_reply_error(self->self, message, self->broken, NULL);
        return;
    }
    parked_read_t *read = calloc(1, sizeof *read);
    ENSURE(read);
    read->request = *message;
    read->request.body = (slice_t){0};
    read->read = request;
    read->cursor = (tail_cursor_t){.lsn = request.lsn, .offset = request.offset};
    read->next = self->parked;
    self->parked = read;
    serve(self, read);
}

void reads_cancel(partition_actor_t *self, capstan_ref_t sender, uint64_t correlation)
{
    for (parked_read_t *read = self->parked; read; read = read->next) {
        if (read->request.correlation == correlation &&
            capstan_ref_equal(read->request.sender, sender)) {
            unlink_read(self, read);
            reads_wake(self); /* others may have relied on what it had asked for */
            return;
        }
    }
}

void reads_wake(partition_actor_t *self)
{
    for (parked_read_t *read = self->parked, *next; read; read = next) {
        next = read->next;
        serve(self, read);
    }
}

/* Answers with what was read back, and keeps it if it is a group's. */
static void answer_read_back(partition_actor_t *self, parked_read_t *read, read_back_t *stretch)
{
    uint64_t count = stretch->sizes.size / sizeof(uint32_t);
    bool keep = is_grouped(read) && stretch->offset_last - stretch->offset_before == count;
    METRIC_ADD(ordering, events_read, count);
    METRIC_ADD(ordering, events_read_back, count);
    answer(self, read, buffer_slice(&stretch->events), buffer_slice(&stretch->sizes));
    if (keep) {
        read_back_keep(&self->back, stretch);
    }
}

/* The records of a stretch of the log hold other things than accepted events too; a stretch without
 * any moves the cursor and asks on. */
static void on_records(partition_actor_t *self, parked_read_t *read,
                       const capstan_message_t *message)
{
    journal_records_t records;
    codec_list_t iterator;
    journal_record_t record;
    capstan_err_t err = codec_decode(journal_records_wire(), message->body, &records, NULL);
    err = err ? err : codec_list_open(journal_record_wire(), records.records, &iterator);
    if (err != CAPSTAN_OK || records.lsn_next <= records.lsn) {
        refuse(self, read, CAPSTAN_E_STORE_CORRUPT);
        return;
    }
    read_back_t stretch = {.offset_before = read->cursor.offset, .lsn_next = records.lsn_next};
    codec_list_writer_t list = codec_list_begin(&stretch.events);
    while (codec_list_next(&iterator, &record)) {
        uint64_t offset;
        if (record.kind != RECORD_event || !codec_peek_uint(record.data, 1, &offset) ||
            offset <= read->cursor.offset) {
            continue;
        }
        read->cursor.offset = offset;
        /* A group has to see that nothing is missing, and passes over what was removed. */
        if (is_grouped(read) || event_diversion(record.data) != DIVERTED_REMOVED) {
            codec_list_add_raw(&list, record.data);
            buffer_append(&stretch.sizes, &(uint32_t){(uint32_t)record.data.size},
                          sizeof(uint32_t));
        }
    }
    read->cursor.lsn = records.lsn_next;
    stretch.offset_last = read->cursor.offset;
    codec_list_end(&list);
    if (iterator.fault.err != CAPSTAN_OK) {
        refuse(self, read, CAPSTAN_E_STORE_CORRUPT);
    } else if (list.count > 0) {
        answer_read_back(self, read, &stretch);
    } else {
        serve(self, read);
    }
    read_back_fini(&stretch);
}

bool reads_answer(partition_actor_t *self, const capstan_message_t *message)
{
    for (parked_read_t *read = self->parked; read; read = read->next) {
        if (read->journal_ask == 0 || read->journal_ask != message->correlation) {
            continue;
        }
        read->journal_ask = 0;
        if (message->message == MESSAGE_journal_records) {
            on_records(self, read, message);
        } else {
            /* It was removed meanwhile. */
            if (message_failure(message) == CAPSTAN_E_LSN_MISMATCH &&
                read->cursor.lsn < self->log_index.begin.lsn) {
                serve(self, read);
                return true;
            }
            /* Damage stays until someone repairs the store, and is told as what it is. */
            capstan_err_t err = message_failure(message);
            refuse(self, read, err == CAPSTAN_E_STORE_CORRUPT ? err : CAPSTAN_E_UNAVAILABLE);
        }
        reads_wake(self); /* those who relied on it */
        return true;
    }
    return false;
}

void reads_refuse(partition_actor_t *self, capstan_err_t err)
{
    while (self->parked) {
        refuse(self, self->parked, err);
    }
}

void reads_fini(partition_actor_t *self)
{
    while (self->parked) {
        unlink_read(self, self->parked);
    }
}
