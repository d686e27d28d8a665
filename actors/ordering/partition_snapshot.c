/* Snapshots of a partition: after a number of records, more where many keys changed, the rows that
 * changed are written in chunks while events go on. A chunk names how much of the log its rows
 * know, and the journal refuses it when the log has not got there: rows are never ahead of the log.
 */
#include "actors/ordering/partition_parts.h"

#include "actors/ordering/partition_cold.h"
#include "runtime/base/ensure.h"

/* A row costs the journal several times what a record of the log does, and a restart more than a
 * record that it replays. With so many records for each row that is to be written, many keys that
 * are each changed now and then cost about what few keys do, and what a restart replays stays in
 * proportion to the state that it reads: a million keys take 0.6 s, eight million records 3 s. */
enum { RECORDS_PER_ROW = 8 };

static void add_row(void *context, slice_t key, slice_t value)
{
    codec_list_add(context, snapshot_row_wire(), &(snapshot_row_t){.key = key, .value = value});
}

static void touch_all(partition_actor_t *self)
{
    partition_touch_all(self->core);
    partition_groups_touch(&self->groups);
    log_index_touch(&self->log_index);
    compaction_touch(self);
}

static void send_chunk(partition_actor_t *self)
{
    buffer_t rows = {0};
    buffer_t body = {0};
    codec_list_writer_t list = codec_list_begin(&rows);
    bool last = partition_save(self->core, PARTITION_SNAPSHOT_BYTES, add_row, &list);
    if (last) {
        partition_groups_save(&self->groups, add_row, &list); /* what changed is little */
        log_index_save(&self->log_index, partition_figures(self->core).offset_next, self->lsn_next,
                       add_row, &list);
        compaction_save(self, add_row, &list);
        self->saving = false;
        self->records_since_snapshot = self->lsn_next - self->snapshot_lsn;
    }
    codec_list_end(&list);
    codec_encode(snapshot_write_wire(),
                 &(snapshot_write_t){.stream = self->stream,
                                     .epoch = self->epoch,
                                     .lsn = self->snapshot_lsn,
                                     .last = last,
                                     .rows = buffer_slice(&rows),
                                     .lsn_next = self->lsn_next},
                 &body);
    capstan_err_t err = capstan_ask_for(self->self, NULL, self->journal, MESSAGE_snapshot_write,
                                        buffer_slice(&body), PARTITION_ASK_US, &self->snapshot_ask);
    if (err != CAPSTAN_OK) {
        self->snapshot_ask = 0;
        self->saving = false;
        self->records_since_snapshot = 0; /* the next try comes after as many records again */
        touch_all(self);
    }
    buffer_fini(&rows);
    buffer_fini(&body);
}

static bool is_due(const partition_actor_t *self)
{
    return (partition_is_crowded(self->core) &&
            self->records_since_snapshot > self->settings->resident_keys_max / 4) ||
           (self->records_since_snapshot >= self->settings->snapshot_records &&
            self->records_since_snapshot >= RECORDS_PER_ROW * partition_unsaved(self->core));
}

void snapshot_continue(partition_actor_t *self)
{
    if (!self->saving && self->snapshot_ask == 0 && (self->snapshot_wanted || is_due(self))) {
        self->saving = true;
        self->snapshot_lsn = self->lsn_next;
    }
    /* With nothing gathered, all that the core knows is on its way to the journal, ahead of the
     * chunk. */
    if (self->saving && self->snapshot_ask == 0 && self->gathered.size == 0) {
        send_chunk(self);
    }
}

bool snapshot_answer(partition_actor_t *self, const capstan_message_t *message)
{
    if (self->snapshot_ask == 0 || message->correlation != self->snapshot_ask) {
        return false;
    }
    self->snapshot_ask = 0;
    if (message->message != MESSAGE_snapshot_written && self->core) {
        self->saving = self->snapshot_wanted = false;
        self->records_since_snapshot = 0; /* the next try comes after as many records again */
        touch_all(self);
    } else if (!self->saving) {
        partition_saved(self->core);
        partition_groups_saved(&self->groups);
        log_index_saved(&self->log_index);
        self->snapshot_done = self->snapshot_lsn;
        self->snapshot_wanted = false;
        erasures_go_on(self);
        compaction_go_on(self);
    }
    return true;
}

void snapshot_forget(partition_actor_t *self)
{
    capstan_cancel(self->self, self->snapshot_ask);
    self->snapshot_ask = 0;
    self->saving = false;
}
