/* Recovery of the sagas: open the stream, read the definitions, the sagas that are at work, and
 * apply the log behind the snapshot. Each step is one question to the journal or its reader, and
 * goes on with the answer. Sagas that rest stay in the store, unless the log names them. */
#include "actors/saga/saga_shell.h"

#include "actors/saga/saga_events.h"
#include "actors/saga/saga_metrics.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"
#include "runtime/telemetry/log.h"

#include <stdlib.h>

/* It is tried again for ever; whoever started the node is not kept waiting by it. */
static void fail(saga_shell_t *self, capstan_err_t err)
{
    LOG(saga, recovery_failed, log_error(err));
    self->ask = 0;
    self->step = SAGA_BROKEN;
    self->broken = err == CAPSTAN_E_STORE_CORRUPT ? err : CAPSTAN_E_UNAVAILABLE;
    capstan_timer_start(self->self,
                        err == CAPSTAN_E_STORE_CORRUPT ? SAGA_DAMAGED_US : SAGA_RETRY_US, NULL);
    if (!self->started) {
        self->started = true;
        actor_started(self->self);
    }
}

static void ask(saga_shell_t *self, capstan_ref_t target, const wire_record_t *message,
                const void *value)
{
    self->ask = shell_ask(self, target, message, value);
    if (self->ask == 0) {
        fail(self, CAPSTAN_E_UNAVAILABLE);
    }
}

void shell_recover(saga_shell_t *self)
{
    self->step = SAGA_OPENING;
    self->recovery_us = capstan_now_us(self->self);
    self->mark = (coordinator_mark_t){.number_next = 1};
    buffer_clear(&self->row_after);
    coordinator_destroy(&self->core);
    self->core = coordinator_new(self->seed);
    rows_forget(self);
    ask(self, self->journal, stream_open_wire(),
        &(stream_open_t){.concern = slice_text("saga"), .instance = slice_text("0")});
}

static void damaged(const char *what, slice_t key)
{
    uint64_t number = 0;
    (void)row_number(key, &number);
    LOG(saga, row_damaged, log_string("row", what), log_uint("number", number));
    METRIC_ADD(saga, rows_damaged, 1);
}

/* --- steps ----------------------------------------------------------------------------------- */

static void read_definitions(saga_shell_t *self)
{
    self->step = SAGA_DEFINITIONS;
    ask(self, self->reader, snapshot_read_wire(),
        &(snapshot_read_t){.stream = self->stream,
                           .after = buffer_slice(&self->row_after),
                           .bytes_max = SAGA_PAGE_BYTES});
}

static void read_rows(saga_shell_t *self)
{
    buffer_t terms = {0};
    self->step = SAGA_ROWS;
    codec_list_writer_t list = codec_list_begin(&terms);
    codec_list_add(&list, snapshot_term_wire(), &(snapshot_term_t){.term = slice_text("h")});
    codec_list_end(&list);
    ask(self, self->reader, snapshot_find_wire(),
        &(snapshot_find_t){.stream = self->stream,
                           .terms = buffer_slice(&terms),
                           .after = buffer_slice(&self->row_after),
                           .count_max = UINT32_MAX,
                           .bytes_max = SAGA_READ_BYTES});
    buffer_fini(&terms);
}

static void become_ready(saga_shell_t *self)
{
    self->lsn_committed = self->lsn_sent = self->lsn_next;
    self->broken = CAPSTAN_OK;
    coordinator_loaded(self->core, capstan_utc_us(self->self), self->mark);
    self->step = SAGA_READY;
    coordinator_resend(self->core, capstan_utc_us(self->self), shell_dice(self), NULL,
                       &self->effects);
    shell_take_effects(self);
    members_join(self);
    LOG(saga, recovered, log_uint("sagas", coordinator_figures(self->core).resident),
        log_uint("ms", (uint64_t)(capstan_now_us(self->self) - self->recovery_us) / 1000));
    if (!self->started) {
        self->started = true;
        actor_started(self->self);
    }
}

/* `lsn_committed` is how far the log has been applied, `lsn_next` where it ends. */
static void read_log(saga_shell_t *self)
{
    self->step = SAGA_LOG;
    if (self->lsn_committed >= self->lsn_next) {
        become_ready(self);
        return;
    }
    ask(self, self->reader, journal_read_wire(),
        &(journal_read_t){
            .stream = self->stream, .lsn = self->lsn_committed, .bytes_max = SAGA_READ_BYTES});
}

static capstan_err_t on_opened(saga_shell_t *self, const capstan_message_t *message)
{
    stream_opened_t opened;
    capstan_err_t err = codec_decode(stream_opened_wire(), message->body, &opened, NULL);
    if (err != CAPSTAN_OK) {
        return err;
    }
    self->stream = opened.stream;
    self->epoch = opened.epoch;
    self->lsn_next = opened.lsn_next;
    self->lsn_committed = opened.snapshot_lsn > 0 ? opened.snapshot_lsn : opened.lsn_first;
    self->rows.records = opened.lsn_next - self->lsn_committed;
    read_definitions(self); /* a pass that was not finished has left rows too */
    return CAPSTAN_OK;
}

/* --- definitions ----------------------------------------------------------------------------- */

static void load_mark(saga_shell_t *self, const snapshot_row_t *row)
{
    saga_mark_t mark;
    if (codec_decode(saga_mark_wire(), row->value, &mark, NULL) == CAPSTAN_OK) {
        self->mark = (coordinator_mark_t){mark.number_next, mark.time_us};
    } else {
        damaged("mark", row->key);
    }
}

static void damaged_definition(slice_t value, capstan_err_t err)
{
    saga_definition_t definition = {0};
    (void)!codec_decode(saga_definition_wire(), value, &definition, NULL);
    LOG(saga, definition_damaged, log_text("definition", definition.name),
        log_uint("version", definition.version), log_error(err));
    METRIC_ADD(saga, rows_damaged, 1);
}

static void load_definition(saga_shell_t *self, slice_t value)
{
    capstan_err_t err = coordinator_load_record(self->core, RECORD_saga_definition, value);
    if (err == CAPSTAN_OK) {
        self->rows.definitions++;
    } else {
        damaged_definition(value, err);
    }
}

/* The rows of sagas come last: with the first of them all definitions are known. */
static capstan_err_t on_definitions(saga_shell_t *self, const capstan_message_t *message)
{
    snapshot_rows_t rows;
    codec_list_t list;
    snapshot_row_t row;
    capstan_err_t err = codec_decode(snapshot_rows_wire(), message->body, &rows, NULL);
    err = err ? err : codec_list_open(snapshot_row_wire(), rows.rows, &list);
    bool end = rows.end;
    while (err == CAPSTAN_OK && codec_list_next(&list, &row)) {
        uint8_t kind = row.key.size > 0 ? *(const uint8_t *)row.key.data : 0;
        if (kind == ROW_MARK) {
            load_mark(self, &row);
        } else if (kind == ROW_DEFINITION) {
            load_definition(self, row.value);
        } else {
            end = true;
            break;
        }
        buffer_clear(&self->row_after);
        buffer_append(&self->row_after, row.key.data, row.key.size);
    }
    if (err != CAPSTAN_OK) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    if (end) {
        buffer_clear(&self->row_after);
        read_rows(self);
    } else {
        read_definitions(self);
    }
    return CAPSTAN_OK;
}

/* --- sagas at work --------------------------------------------------------------------------- */

static void load_rows(saga_shell_t *self, slice_t rows)
{
    codec_list_t list;
    snapshot_row_t row;
    if (codec_list_open(snapshot_row_wire(), rows, &list) != CAPSTAN_OK) {
        damaged("rows", (slice_t){0});
        return;
    }
    while (codec_list_next(&list, &row)) {
        uint64_t number = 0;
        if (coordinator_load(self->core, row.value) == CAPSTAN_OK) {
            (void)row_number(row.key, &number);
            rows_rests(self, number);
        } else {
            damaged("saga", row.key);
        }
    }
}

static capstan_err_t on_rows(saga_shell_t *self, const capstan_message_t *message)
{
    snapshot_rows_t rows;
    if (codec_decode(snapshot_rows_wire(), message->body, &rows, NULL) != CAPSTAN_OK) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    load_rows(self, rows.rows);
    if (rows.end) {
        buffer_clear(&self->row_after);
        read_log(self);
        return CAPSTAN_OK;
    }
    buffer_clear(&self->row_after);
    buffer_append(&self->row_after, rows.next.data, rows.next.size);
    read_rows(self);
    return CAPSTAN_OK;
}

/* --- the log --------------------------------------------------------------------------------- */

static bool input_number(const journal_record_t *record, uint64_t *ret_number)
{
    return record->kind == RECORD_saga_input && codec_peek_uint(record->data, 1, ret_number);
}

/* Rows of sagas that records are for, and which are not in memory. Numbers ascend in the log: one
 * from the first that begins in the page on begins there too. The same is named twice at times,
 * which does no harm. */
static size_t list_wanted(const saga_shell_t *self, slice_t records, buffer_t *out)
{
    codec_list_t list;
    journal_record_t record;
    uint64_t begins = UINT64_MAX;
    uint64_t last = 0;
    size_t count = 0;
    if (codec_list_open(journal_record_wire(), records, &list) != CAPSTAN_OK) {
        return 0;
    }
    codec_list_writer_t writer = codec_list_begin(out);
    while (codec_list_next(&list, &record)) {
        uint64_t number;
        if (record.kind == RECORD_saga_begin && codec_peek_uint(record.data, 1, &number)) {
            begins = number < begins ? number : begins;
        }
        if (input_number(&record, &number) && number < begins && number != last &&
            !coordinator_get(self->core, number)) {
            uint8_t key[ROW_KEY_SIZE];
            row_key(ROW_SAGA, number, key);
            codec_list_add(&writer, snapshot_row_wire(),
                           &(snapshot_row_t){.key = slice_of(key, sizeof key)});
            last = number;
            count++;
        }
    }
    codec_list_end(&writer);
    return count;
}

static void apply_record(saga_shell_t *self, const journal_record_t *record)
{
    capstan_err_t err = coordinator_load_record(self->core, (uint32_t)record->kind, record->data);
    if (record->kind == RECORD_saga_definition && err != CAPSTAN_OK) {
        damaged_definition(record->data, err);
    } else if (err != CAPSTAN_OK && err != CAPSTAN_E_UNKNOWN_SAGA) { /* else it was forgotten */
        uint64_t number = 0;
        (void)codec_peek_uint(record->data, 1, &number);
        LOG(saga, row_damaged, log_string("row", "record"), log_uint("number", number));
        METRIC_ADD(saga, rows_damaged, 1);
    }
}

static capstan_err_t apply_page(saga_shell_t *self, slice_t page)
{
    journal_records_t records;
    codec_list_t list;
    journal_record_t record;
    capstan_err_t err = codec_decode(journal_records_wire(), page, &records, NULL);
    err = err ? err : codec_list_open(journal_record_wire(), records.records, &list);
    if (err != CAPSTAN_OK || records.lsn != self->lsn_committed ||
        records.lsn_next <= records.lsn) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    while (codec_list_next(&list, &record)) {
        apply_record(self, &record);
    }
    self->lsn_committed = records.lsn_next;
    read_log(self);
    return CAPSTAN_OK;
}

static capstan_err_t on_records(saga_shell_t *self, const capstan_message_t *message)
{
    journal_records_t records;
    buffer_t wanted = {0};
    if (codec_decode(journal_records_wire(), message->body, &records, NULL) != CAPSTAN_OK) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    if (list_wanted(self, records.records, &wanted) == 0) {
        buffer_fini(&wanted);
        return apply_page(self, message->body);
    }
    buffer_clear(&self->page);
    buffer_append(&self->page, message->body.data, message->body.size);
    ask(self, self->reader, snapshot_get_wire(),
        &(snapshot_get_t){.stream = self->stream, .rows = buffer_slice(&wanted)});
    buffer_fini(&wanted);
    return CAPSTAN_OK;
}

static capstan_err_t on_wanted(saga_shell_t *self, const capstan_message_t *message)
{
    snapshot_rows_t rows;
    if (codec_decode(snapshot_rows_wire(), message->body, &rows, NULL) != CAPSTAN_OK) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    load_rows(self, rows.rows);
    buffer_t page = self->page;
    self->page = (buffer_t){0};
    capstan_err_t err = apply_page(self, buffer_slice(&page));
    buffer_fini(&page);
    return err;
}

/* --- answers --------------------------------------------------------------------------------- */

static capstan_err_t on_reply(saga_shell_t *self, const capstan_message_t *message)
{
    if (message->message == MESSAGE_stream_opened) {
        return on_opened(self, message);
    }
    if (message->message == MESSAGE_journal_records) {
        return on_records(self, message);
    }
    if (message->message != MESSAGE_snapshot_rows) {
        return CAPSTAN_E_INTERNAL;
    }
    return self->step == SAGA_DEFINITIONS ? on_definitions(self, message)
           : self->step == SAGA_ROWS      ? on_rows(self, message)
                                          : on_wanted(self, message);
}

bool shell_recovery_answer(saga_shell_t *self, const capstan_message_t *message)
{
    if (self->ask == 0 || message->correlation != self->ask) {
        return false;
    }
    self->ask = 0;
    capstan_err_t err =
        message->kind == CAPSTAN_KIND_ERROR ? message_failure(message) : on_reply(self, message);
    if (err != CAPSTAN_OK) {
        fail(self, err);
    }
    return true;
}
