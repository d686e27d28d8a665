/* Erasing a key: what its events say goes from memory at once, from the log by reading it from its
 * beginning and replacing records where they lie, and from the snapshot by the next one. Answered
 * when all that is done; a crash in between leaves it to whoever asked to ask again.
 *
 * Not from what is under way: an event that a consumer has been sent, or that a group holds for
 * one, is delivered as it was. */
#include "actors/ordering/partition_parts.h"

#include "actors/ordering/erase.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"

#include <stdlib.h>

static void end(partition_actor_t *self, capstan_err_t err)
{
    erasure_t *job = self->erasures;
    buffer_t body = {0};
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, &job->request, err, NULL);
    } else {
        codec_encode(topic_erased_wire(), &(topic_erased_t){.events = job->events}, &body);
        capstan_reply(self->self, &job->request, MESSAGE_topic_erased, buffer_slice(&body));
    }
    buffer_fini(&body);
    capstan_cancel(self->self, job->ask);
    self->erasures = job->next;
    buffer_fini(&job->key);
    free(job);
}

static void ask(partition_actor_t *self, capstan_ref_t target, const wire_record_t *record,
                const void *value)
{
    erasure_t *job = self->erasures;
    buffer_t body = {0};
    codec_encode(record, value, &body);
    capstan_err_t err = capstan_ask_for(self->self, NULL, target, record->id, buffer_slice(&body),
                                        PARTITION_ASK_US, &job->ask);
    buffer_fini(&body);
    if (err != CAPSTAN_OK) {
        job->ask = 0;
        end(self, CAPSTAN_E_UNAVAILABLE);
    }
}

static void begin(partition_actor_t *self)
{
    erasure_t *job = self->erasures;
    slice_t key = buffer_slice(&job->key);
    job->begun = true;
    job->lsn = self->log_index.begin.lsn > 1 ? self->log_index.begin.lsn : 1;
    job->lsn_end = self->lsn_next;
    tail_erase(&self->tail, key);
    read_back_fini(&self->back);
    (void)partition_groups_erase(&self->groups, key);
    partition_erase_scheduled(self->core, key);
    job->snapshot = self->lsn_next; /* rows of the last one may have what was held or parked then */
}

void erasures_go_on(partition_actor_t *self)
{
    erasure_t *job = self->erasures;
    if (!job || job->ask > 0 || self->phase != PARTITION_READY || self->compaction.ask > 0) {
        return;
    }
    if (!job->begun) {
        begin(self);
    }
    if (job->lsn_end > self->lsn_committed) {
        return;
    }
    if (job->lsn < job->lsn_end) {
        ask(self, self->reader, journal_read_wire(),
            &(journal_read_t){
                .stream = self->stream, .lsn = job->lsn, .bytes_max = PARTITION_READ_BYTES});
    } else if (job->snapshot > self->snapshot_done) {
        self->snapshot_wanted = true;
    } else if (!job->scrubbed) {
        job->scrubbed = true;
        ask(self, self->journal, journal_rewrite_wire(),
            &(journal_rewrite_t){.stream = self->stream, .epoch = self->epoch, .last = true});
    } else {
        read_back_fini(&self->back); /* of a read that was under way when it began */
        end(self, CAPSTAN_OK);
        erasures_go_on(self);
    }
}

static capstan_err_t erase_records(erasure_t *job, codec_list_t *records, buffer_t *patches)
{
    journal_record_t record;
    buffer_t left = {0};
    capstan_err_t err = CAPSTAN_OK;
    codec_list_writer_t list = codec_list_begin(patches);
    for (; !err && codec_list_next(records, &record); job->lsn++) {
        buffer_clear(&left);
        err = erase_record(record.kind, record.data, buffer_slice(&job->key), &left, &job->events);
        if (left.size > 0) {
            codec_list_add(&list, journal_patch_wire(),
                           &(journal_patch_t){
                               .lsn = job->lsn, .kind = record.kind, .data = buffer_slice(&left)});
        }
    }
    codec_list_end(&list);
    if (list.count == 0) {
        buffer_clear(patches);
    }
    buffer_fini(&left);
    return err ? err : records->fault.err;
}

static void on_records(partition_actor_t *self, const capstan_message_t *message)
{
    erasure_t *job = self->erasures;
    journal_records_t records;
    codec_list_t list;
    buffer_t patches = {0};
    capstan_err_t err = codec_decode(journal_records_wire(), message->body, &records, NULL);
    err = err ? err : codec_list_open(journal_record_wire(), records.records, &list);
    err = err || records.lsn_next > records.lsn ? err : CAPSTAN_E_STORE_CORRUPT;
    err = err ? err : erase_records(job, &list, &patches);
    if (err != CAPSTAN_OK) {
        end(self, CAPSTAN_E_STORE_CORRUPT);
    } else if (patches.size > 0) {
        ask(self, self->journal, journal_rewrite_wire(),
            &(journal_rewrite_t){
                .stream = self->stream, .epoch = self->epoch, .patches = buffer_slice(&patches)});
    } else {
        erasures_go_on(self);
    }
    buffer_fini(&patches);
}

bool erasures_answer(partition_actor_t *self, const capstan_message_t *message)
{
    erasure_t *job = self->erasures;
    if (!job || job->ask == 0 || job->ask != message->correlation) {
        return false;
    }
    job->ask = 0;
    if (message->message == MESSAGE_journal_records) {
        on_records(self, message);
    } else if (message->message == MESSAGE_journal_rewritten) {
        erasures_go_on(self);
    } else if (message_failure(message) == CAPSTAN_E_LSN_MISMATCH &&
               job->lsn < self->log_index.begin.lsn) {
        job->lsn = self->log_index.begin.lsn; /* retention was quicker */
        erasures_go_on(self);
    } else {
        end(self, message_failure(message));
    }
    return true;
}

void erasures_add(partition_actor_t *self, const capstan_message_t *message)
{
    partition_erase_t request;
    capstan_err_t err = codec_decode(partition_erase_wire(), message->body, &request, NULL);
    if (err == CAPSTAN_OK && partition_holds_key(self->core, request.key)) {
        capstan_reply_error(self->self, message, CAPSTAN_E_UNAVAILABLE,
                            "the key has events that wait for a missing one: let it come, or give "
                            "it up, first");
        return;
    }
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err, NULL);
        return;
    }
    erasure_t *job = calloc(1, sizeof *job);
    ENSURE(job);
    job->request = *message;
    job->request.body = (slice_t){0};
    buffer_append(&job->key, request.key.data, request.key.size);
    erasure_t **link = &self->erasures;
    while (*link) {
        link = &(*link)->next;
    }
    *link = job;
    erasures_go_on(self);
}

void erasures_refuse(partition_actor_t *self, capstan_err_t err)
{
    while (self->erasures) {
        end(self, err);
    }
}

void erasures_fini(partition_actor_t *self)
{
    while (self->erasures) {
        erasure_t *job = self->erasures;
        self->erasures = job->next;
        buffer_fini(&job->key);
        free(job);
    }
}
