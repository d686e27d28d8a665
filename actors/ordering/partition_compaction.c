/* Compaction in the background: once as much is dirty as was kept the last time, a run removes what
 * newer events of the same keys stand for.
 *
 *   snapshot that   ->  the dirty part is  ->  the log is read from its beginning, and records
 *   covers the bound    read: its keys         are replaced where they lie  ->  the mark moves
 *
 * Each step is one read of the log or one commit of the journal, so that others come in between.
 * What is replaced has its newer event on disk, behind it in the same log: a crash at any step
 * leaves a log from which less was removed, and the next run begins at the old mark. The mark is
 * kept by the next snapshot. Recovery begins behind what was compacted, so that the numbers of
 * sequences are as they were.
 *
 * Held events, and events that a group has yet to process, are as for retention. */
#include "actors/ordering/partition_parts.h"

#include "actors/ordering/ordering_metrics.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"

enum {
    TICK_US = 500000,
    BYTES_MIN = 64 << 10, /* dirty ones that are worth a run */
    COMPACTION_KEY = 2,   /* setting `compaction` */
    ROW_MARK = 'c',
};

bool compaction_is_wanted(const partition_actor_t *self)
{
    return self->topic_settings.compaction == COMPACTION_KEY;
}

void compaction_configure(partition_actor_t *self)
{
    if (compaction_is_wanted(self) && !self->compaction.timed) {
        self->compaction.timed = true;
        capstan_timer_start(self->self, TICK_US, &self->compaction);
    }
}

static void end(partition_actor_t *self)
{
    compaction_t *run = &self->compaction;
    compaction_keys_fini(&run->keys);
    run->step = COMPACTION_RESTS;
}

void compaction_forget(partition_actor_t *self)
{
    compaction_t *run = &self->compaction;
    capstan_cancel(self->self, run->ask);
    run->ask = 0;
    run->mark = (compaction_mark_t){0};
    run->saved = true;
    end(self);
}

/* --- the mark -------------------------------------------------------------------------------- */

bool compaction_owns_row(slice_t key)
{
    return key.size == 1 && *(const uint8_t *)key.data == ROW_MARK;
}

capstan_err_t compaction_load_row(partition_actor_t *self, slice_t value)
{
    capstan_err_t err = codec_decode(compaction_mark_wire(), value, &self->compaction.mark, NULL);
    return err ? CAPSTAN_E_STORE_CORRUPT : CAPSTAN_OK;
}

void compaction_save(partition_actor_t *self, partition_row_fn *add, void *context)
{
    static const uint8_t key = ROW_MARK;
    buffer_t value = {0};
    if (!self->compaction.saved) {
        codec_encode(compaction_mark_wire(), &self->compaction.mark, &value);
        add(context, slice_of(&key, 1), buffer_slice(&value));
        self->compaction.saved = true;
        buffer_fini(&value);
    }
}

void compaction_touch(partition_actor_t *self)
{
    self->compaction.saved = self->compaction.mark.lsn == 0;
}

/* --- how far --------------------------------------------------------------------------------- */

/* The end of the log, or the last place of its index before which nothing is too new, or still to
 * be processed. */
static log_place_t bound_of(const partition_actor_t *self)
{
    const log_index_t *index = &self->log_index;
    uint64_t offset_next = partition_figures(self->core).offset_next;
    uint64_t held = retention_offset_held(self);
    int64_t lag_us = (int64_t)self->topic_settings.compaction_lag_ms * 1000;
    int64_t time_us = lag_us > 0 ? capstan_utc_us(self->self) - lag_us : INT64_MAX;
    if (index->time_us <= time_us && held >= offset_next) {
        return (log_place_t){.offset = offset_next, .lsn = self->lsn_next, .bytes = index->bytes};
    }
    const log_cut_t cut = {
        .time_us = time_us, .bytes = UINT64_MAX, .offset_max = held, .lsn_max = UINT64_MAX};
    return log_index_cut(index, &cut);
}

static bool is_worth_it(const partition_actor_t *self, const log_place_t *bound)
{
    const compaction_mark_t *mark = &self->compaction.mark;
    uint64_t begin = self->log_index.begin.bytes;
    uint64_t clean = mark->bytes > begin ? mark->bytes : begin;
    uint64_t least = mark->kept_bytes > BYTES_MIN ? mark->kept_bytes : BYTES_MIN;
    return bound->lsn > mark->lsn && bound->bytes >= clean + least;
}

/* --- a run ----------------------------------------------------------------------------------- */

static uint64_t first_lsn(const partition_actor_t *self)
{
    return self->log_index.begin.lsn > 1 ? self->log_index.begin.lsn : 1;
}

static void ask(partition_actor_t *self, capstan_ref_t target, const wire_record_t *record,
                const void *value)
{
    buffer_t body = {0};
    codec_encode(record, value, &body);
    if (capstan_ask_for(self->self, NULL, target, record->id, buffer_slice(&body), PARTITION_ASK_US,
                        &self->compaction.ask) != CAPSTAN_OK) {
        self->compaction.ask = 0; /* the next tick tries again */
    }
    buffer_fini(&body);
}

static void read_on(partition_actor_t *self)
{
    ask(self, self->reader, journal_read_wire(),
        &(journal_read_t){.stream = self->stream,
                          .lsn = self->compaction.lsn,
                          .bytes_max = PARTITION_READ_BACK_BYTES});
}

static void begin_to_note(partition_actor_t *self)
{
    compaction_t *run = &self->compaction;
    uint64_t first = first_lsn(self);
    bool moved = run->mark.lsn < first; /* retention was quicker, or there was no run yet */
    run->lsn = moved ? first : run->mark.lsn;
    run->noted_bytes = moved ? self->log_index.begin.bytes : run->mark.bytes;
    run->noted_offset = 0;
    run->full = false;
    run->step = COMPACTION_NOTES;
    compaction_keys_init(&run->keys, self->settings->compaction_keys_max, self->limits.hash_seed);
}

static void begin_to_clean(partition_actor_t *self)
{
    compaction_t *run = &self->compaction;
    uint64_t kept_us = self->topic_settings.compaction_tombstone_ms * 1000;
    run->lsn_end = run->lsn;
    run->lsn = first_lsn(self);
    run->counts = (compaction_counts_t){0};
    run->tombstone_us = kept_us > 0 ? capstan_utc_us(self->self) - (int64_t)kept_us : INT64_MIN;
    run->step = COMPACTION_CLEANS;
}

/* What is removed leaves the memory too: nobody is to see it who reads what is new. */
static void finish(partition_actor_t *self)
{
    compaction_t *run = &self->compaction;
    METRIC_ADD(ordering, events_compacted, run->counts.removed);
    METRIC_ADD(ordering, compactions, 1);
    run->mark = (compaction_mark_t){
        .lsn = run->lsn_end, .bytes = run->noted_bytes, .kept_bytes = run->counts.kept_bytes};
    run->saved = false;
    tail_let_go(&self->tail, run->noted_offset);
    read_back_fini(&self->back);
    bool more = run->full;
    end(self);
    run->step = more ? COMPACTION_WAITS : COMPACTION_RESTS; /* up to the same bound */
}

void compaction_go_on(partition_actor_t *self)
{
    compaction_t *run = &self->compaction;
    if (run->ask > 0 || run->step == COMPACTION_RESTS || self->phase != PARTITION_READY ||
        self->erasures) {
        return;
    }
    if (run->step == COMPACTION_WAITS) {
        if (self->snapshot_done < run->bound.lsn) {
            self->snapshot_wanted = true;
            return;
        }
        if (self->lsn_committed < run->lsn_known) {
            return; /* a crash would take back what a group has processed; the next tick looks */
        }
        begin_to_note(self);
    }
    if (run->step == COMPACTION_NOTES && (run->full || run->lsn >= run->bound.lsn)) {
        begin_to_clean(self);
    }
    if (run->step == COMPACTION_NOTES || run->lsn < run->lsn_end) {
        read_on(self);
    } else if (run->counts.removed > 0 && run->step == COMPACTION_CLEANS) {
        run->step = COMPACTION_ENDS;
        ask(self, self->journal, journal_rewrite_wire(),
            &(journal_rewrite_t){.stream = self->stream, .epoch = self->epoch, .last = true});
    } else {
        finish(self);
        compaction_go_on(self);
    }
}

static void note_records(compaction_t *run, codec_list_t *records)
{
    journal_record_t record;
    while (!run->full && run->lsn < run->bound.lsn && codec_list_next(records, &record)) {
        uint64_t offset;
        run->full = !compaction_note(&run->keys, record.kind, record.data);
        if (run->full) {
            return;
        }
        run->lsn++;
        if (record.kind == RECORD_event && codec_peek_uint(record.data, 1, &offset)) {
            run->noted_offset = offset;
            run->noted_bytes += record.data.size;
        }
    }
}

/* Writes the patches; none: an empty buffer. */
static void clean_records(compaction_t *run, codec_list_t *records, buffer_t *patches)
{
    journal_record_t record;
    buffer_t stub = {0};
    codec_list_writer_t list = codec_list_begin(patches);
    while (run->lsn < run->lsn_end && codec_list_next(records, &record)) {
        buffer_clear(&stub);
        compaction_clean(&run->keys, record.kind, record.data, run->tombstone_us, &stub,
                         &run->counts);
        if (stub.size > 0) {
            codec_list_add(&list, journal_patch_wire(),
                           &(journal_patch_t){
                               .lsn = run->lsn, .kind = record.kind, .data = buffer_slice(&stub)});
        }
        run->lsn++;
    }
    codec_list_end(&list);
    if (list.count == 0) {
        buffer_clear(patches);
    }
    buffer_fini(&stub);
}

/* What a read brings; false: it is damaged, which those who read for their own sake will tell. */
static bool on_records(partition_actor_t *self, const capstan_message_t *message)
{
    compaction_t *run = &self->compaction;
    journal_records_t records;
    codec_list_t list;
    buffer_t patches = {0};
    const compaction_counts_t before = run->counts;
    if (codec_decode(journal_records_wire(), message->body, &records, NULL) != CAPSTAN_OK ||
        codec_list_open(journal_record_wire(), records.records, &list) != CAPSTAN_OK ||
        records.lsn != run->lsn || records.lsn_next <= records.lsn) {
        return false;
    }
    if (run->step == COMPACTION_NOTES) {
        note_records(run, &list);
    } else {
        clean_records(run, &list, &patches);
    }
    if (patches.size > 0 && list.fault.err == CAPSTAN_OK) {
        ask(self, self->journal, journal_rewrite_wire(),
            &(journal_rewrite_t){
                .stream = self->stream, .epoch = self->epoch, .patches = buffer_slice(&patches)});
        if (run->ask == 0) {
            run->lsn = records.lsn; /* and read once more */
            run->counts = before;
        }
    }
    buffer_fini(&patches);
    return list.fault.err == CAPSTAN_OK;
}

bool compaction_answer(partition_actor_t *self, const capstan_message_t *message)
{
    compaction_t *run = &self->compaction;
    if (run->ask == 0 || run->ask != message->correlation) {
        return false;
    }
    run->ask = 0;
    bool good = true;
    if (self->phase != PARTITION_READY) {
        good = false; /* the topic is being deleted */
    } else if (message->message == MESSAGE_journal_records) {
        good = on_records(self, message);
    } else if (message->message == MESSAGE_journal_rewritten) {
        if (run->step == COMPACTION_ENDS) {
            finish(self);
        }
    } else {
        /* Also when retention was quicker: the next run knows where the log begins. */
        good = false;
    }
    if (!good) {
        end(self);
    }
    erasures_go_on(self);
    compaction_go_on(self);
    return true;
}

void compaction_tick(partition_actor_t *self)
{
    compaction_t *run = &self->compaction;
    run->timed = compaction_is_wanted(self);
    if (!run->timed) {
        return;
    }
    capstan_timer_start(self->self, TICK_US, run);
    if (run->step == COMPACTION_RESTS && self->phase == PARTITION_READY) {
        run->bound = bound_of(self);
        run->lsn_known = self->lsn_next;
        run->step = is_worth_it(self, &run->bound) ? COMPACTION_WAITS : COMPACTION_RESTS;
    }
    compaction_go_on(self);
}
