/* Recovery of a partition: open the stream, read the rows of its snapshot, apply the log behind
 * it. Each step is one question to the journal or its reader, and continues with the answer. */
#include "actors/ordering/partition_parts.h"

#include "actors/ordering/ordering_events.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"
#include "runtime/telemetry/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(partition_actor_t *self, capstan_err_t err);

static void ask(partition_actor_t *self, capstan_ref_t target, const wire_record_t *message,
                const void *body)
{
    buffer_t bytes = {0};
    codec_encode(message, body, &bytes);
    capstan_err_t err = capstan_ask(self->self, target, message->id, buffer_slice(&bytes),
                                    PARTITION_ASK_US, &self->ask);
    buffer_fini(&bytes);
    if (err != CAPSTAN_OK) {
        fail(self, err);
    }
}

static void tell_topics(partition_actor_t *self, capstan_err_t err)
{
    buffer_t body = {0};
    codec_encode(partition_ready_wire(),
                 &(partition_ready_t){.partition = self->index, .error = (uint64_t)err}, &body);
    (void)!capstan_tell(self->self, self->topics, MESSAGE_partition_ready, buffer_slice(&body));
    buffer_fini(&body);
}

/* A store that is damaged stays so until someone repairs it; anything else is tried again. */
static void fail(partition_actor_t *self, capstan_err_t err)
{
    LOG(ordering, recovery_failed, log_string("topic", self->topic),
        log_uint("partition", self->index), log_error(err));
    self->ask = 0;
    self->phase = PARTITION_BROKEN;
    self->broken = err == CAPSTAN_E_STORE_CORRUPT ? err : CAPSTAN_E_UNAVAILABLE;
    self->broken = self->removal.kind > 0 ? CAPSTAN_E_UNKNOWN_TOPIC : self->broken;
    if (err == CAPSTAN_E_STORE_CORRUPT) {
        tell_topics(self, err);
        reads_refuse(self, err);
    } else {
        capstan_timer_start(self->self, PARTITION_RETRY_US, NULL);
    }
}

void recovery_start(partition_actor_t *self)
{
    char instance[PARTITION_TOPIC_MAX + 16];
    snprintf(instance, sizeof instance, "%s/%lu", self->topic, (unsigned long)self->index);
    self->phase = PARTITION_OPENING;
    partition_destroy(&self->core);
    self->core = partition_new(&self->limits);
    ENSURE(self->core);
    partition_groups_fini(&self->groups);
    log_index_fini(&self->log_index);
    compaction_forget(self);
    retention_configure(self);
    buffer_clear(&self->row_after);
    ask(self, self->journal, stream_open_wire(),
        &(stream_open_t){.concern = slice_text("ordering"), .instance = slice_text(instance)});
}

/* --- steps ----------------------------------------------------------------------------------- */

static void read_rows(partition_actor_t *self)
{
    self->phase = PARTITION_SNAPSHOT;
    ask(self, self->reader, snapshot_read_wire(),
        &(snapshot_read_t){.stream = self->stream,
                           .after = buffer_slice(&self->row_after),
                           .bytes_max = PARTITION_READ_BYTES});
}

static void become_ready(partition_actor_t *self)
{
    if (!self->stopped) { /* else it is not known yet which keys are its own */
        partition_leave(self->core, self->index, self->topic_settings.partitions);
    }
    partition_figures_t figures = partition_figures(self->core);
    if (partition_check(self->core)) {
        fail(self, CAPSTAN_E_STORE_CORRUPT); /* it decodes, and contradicts itself */
        return;
    }
    self->phase = PARTITION_READY;
    self->lsn_committed = self->lsn_sent = self->lsn_sealed = self->lsn_next;
    tail_init(&self->tail, figures.offset_next, self->settings->tail_bytes);
    LOG(ordering, partition_recovered, log_string("topic", self->topic),
        log_uint("partition", self->index), log_uint("events", figures.offset_next - 1),
        log_uint("held", figures.held_items));
    tell_topics(self, CAPSTAN_OK);
    reads_wake(self);
}

/* `self->lsn_committed` is how far the log has been applied, `self->lsn_next` where it ends. */
static void read_log(partition_actor_t *self)
{
    self->phase = PARTITION_LOG;
    if (self->lsn_committed >= self->lsn_next) {
        become_ready(self);
        return;
    }
    ask(self, self->reader, journal_read_wire(),
        &(journal_read_t){
            .stream = self->stream, .lsn = self->lsn_committed, .bytes_max = PARTITION_READ_BYTES});
}

static capstan_err_t on_opened(partition_actor_t *self, const capstan_message_t *message)
{
    stream_opened_t opened;
    capstan_err_t err = codec_decode(stream_opened_wire(), message->body, &opened, NULL);
    if (err != CAPSTAN_OK) {
        return err;
    }
    self->stream = opened.stream;
    self->epoch = opened.epoch;
    if (self->removal.kind > 0) {
        removal_continue(self);
        return CAPSTAN_OK;
    }
    self->lsn_next = opened.lsn_next;
    self->lsn_committed = opened.snapshot_lsn > 0 ? opened.snapshot_lsn : opened.lsn_first;
    self->snapshot_done = opened.snapshot_lsn;
    self->snapshot_wanted = false;
    self->truncated = opened.lsn_first;
    self->begin_recorded = 0;
    self->records_since_snapshot = opened.lsn_next - self->lsn_committed;
    if (opened.snapshot_lsn > 0) {
        read_rows(self);
    } else {
        read_log(self);
    }
    return CAPSTAN_OK;
}

static capstan_err_t load_row(partition_actor_t *self, const snapshot_row_t *row)
{
    if (partition_groups_owns_row(row->key)) {
        return partition_groups_load_row(&self->groups, row->key, row->value);
    }
    if (compaction_owns_row(row->key)) {
        return compaction_load_row(self, row->value);
    }
    return log_index_owns_row(row->key) ? log_index_load_row(&self->log_index, row->key, row->value)
                                        : partition_load_row(self->core, row->key, row->value);
}

static capstan_err_t on_rows(partition_actor_t *self, const capstan_message_t *message)
{
    snapshot_rows_t rows;
    codec_list_t list;
    snapshot_row_t row;
    capstan_err_t err = codec_decode(snapshot_rows_wire(), message->body, &rows, NULL);
    err = err ? err : codec_list_open(snapshot_row_wire(), rows.rows, &list);
    while (err == CAPSTAN_OK && codec_list_next(&list, &row)) {
        err = load_row(self, &row);
        buffer_clear(&self->row_after);
        buffer_append(&self->row_after, row.key.data, row.key.size);
    }
    err = err ? err : list.fault.err;
    if (err != CAPSTAN_OK) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    if (rows.end) {
        read_log(self);
    } else {
        read_rows(self);
    }
    return CAPSTAN_OK;
}

static void index_event(partition_actor_t *self, uint64_t lsn, slice_t data)
{
    enum { FIELD_OFFSET = 1, FIELD_ACCEPTED_US = 10 };
    uint64_t offset;
    uint64_t taken_us;
    if (codec_peek_uint(data, FIELD_ACCEPTED_US, &taken_us)) {
        log_index_taken(&self->log_index, (int64_t)taken_us);
    }
    if (codec_peek_uint(data, FIELD_OFFSET, &offset)) {
        log_index_add(&self->log_index, offset, lsn, data.size);
    }
}

static capstan_err_t load_record(partition_actor_t *self, uint64_t lsn,
                                 const journal_record_t *record)
{
    if (record->kind == RECORD_group_mark) {
        capstan_err_t err = partition_groups_apply(&self->groups, record->data);
        (void)partition_groups_expire(&self->groups, log_index_first(&self->log_index) - 1);
        return err;
    }
    if (record->kind == RECORD_log_place) {
        return retention_load(self, record->data);
    }
    if (record->kind == RECORD_event) {
        index_event(self, lsn, record->data);
    }
    return partition_load_record(self->core, (uint32_t)record->kind, record->data);
}

static capstan_err_t apply_page(partition_actor_t *self, const capstan_message_t *message)
{
    journal_records_t records;
    codec_list_t list;
    journal_record_t record;
    capstan_err_t err = codec_decode(journal_records_wire(), message->body, &records, NULL);
    err = err ? err : codec_list_open(journal_record_wire(), records.records, &list);
    if (err != CAPSTAN_OK || records.lsn != self->lsn_committed ||
        records.lsn_next <= records.lsn) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    for (uint64_t lsn = records.lsn; err == CAPSTAN_OK && codec_list_next(&list, &record); lsn++) {
        err = load_record(self, lsn, &record);
    }
    err = err ? err : list.fault.err;
    if (err != CAPSTAN_OK) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    self->lsn_committed = records.lsn_next;
    read_log(self);
    return CAPSTAN_OK;
}

/* Keys that are in the store only are looked up before records of theirs are applied. */
static capstan_err_t on_records(partition_actor_t *self, const capstan_message_t *message)
{
    capstan_err_t err = lookups_for_page(self, message, &self->ask);
    return err || self->ask > 0 ? err : apply_page(self, message);
}

static capstan_err_t on_looked_up(partition_actor_t *self, const capstan_message_t *message)
{
    capstan_message_t page;
    capstan_err_t err = lookups_page(self, message, &page);
    return err ? err : apply_page(self, &page);
}

bool recovery_answer(partition_actor_t *self, const capstan_message_t *message)
{
    if (self->ask == 0 || message->correlation != self->ask) {
        return false;
    }
    self->ask = 0;
    capstan_err_t err = CAPSTAN_E_INTERNAL;
    if (message->kind == CAPSTAN_KIND_ERROR) {
        err = message_failure(message);
    } else if (message->message == MESSAGE_stream_opened) {
        err = on_opened(self, message);
    } else if (message->message == MESSAGE_snapshot_rows) {
        err = self->phase == PARTITION_LOG ? on_looked_up(self, message) : on_rows(self, message);
    } else if (message->message == MESSAGE_journal_records) {
        err = on_records(self, message);
    }
    if (err != CAPSTAN_OK) {
        fail(self, err);
    }
    return true;
}
