/* Passes of the snapshot: rows of the sagas that changed, in chunks, while sagas go on. A chunk
 * names how much of the log its rows know, and the journal refuses it when the log has not got
 * there: rows are never ahead of the log. Behind a complete pass the log is truncated. */
#include "actors/saga/saga_shell.h"

#include "actors/saga/saga_metrics.h"
#include "runtime/base/ensure.h"
#include "runtime/wire/pack.h"

#include <stdlib.h>

/* --- keys and terms -------------------------------------------------------------------------- */

void row_key(uint8_t kind, uint64_t number, uint8_t ret_key[ROW_KEY_SIZE])
{
    ret_key[0] = kind;
    pack_be(ret_key + 1, number, 8);
}

static uint64_t read_be(const uint8_t *from)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) {
        value = value << 8 | from[i];
    }
    return value;
}

bool row_number(slice_t key, uint64_t *ret_number)
{
    const uint8_t *bytes = key.data;
    if (key.size != ROW_KEY_SIZE || bytes[0] != ROW_SAGA) {
        return false;
    }
    *ret_number = read_be(bytes + 1);
    return true;
}

void term_write(buffer_t *out, uint8_t kind, slice_t text, slice_t more)
{
    buffer_append(out, &kind, 1);
    buffer_append(out, text.data, text.size);
    if (more.size > 0) {
        buffer_append(out, "", 1);
        buffer_append(out, more.data, more.size);
    }
}

void term_write_time(buffer_t *out, uint8_t kind, int64_t time_us)
{
    uint8_t term[ROW_KEY_SIZE];
    row_key(kind, time_us > 0 ? (uint64_t)time_us : 0, term);
    buffer_append(out, term, sizeof term);
}

bool term_time(slice_t term, int64_t *ret_time_us)
{
    if (term.size != ROW_KEY_SIZE) {
        return false;
    }
    *ret_time_us = (int64_t)read_be((const uint8_t *)term.data + 1);
    return true;
}

/* --- a row ----------------------------------------------------------------------------------- */

static void add_row(rows_t *self, codec_list_writer_t *list, slice_t key)
{
    codec_list_add(list, snapshot_row_wire(),
                   &(snapshot_row_t){.key = key,
                                     .value = buffer_slice(&self->value),
                                     .terms = buffer_slice(&self->terms)});
}

static void note_written(rows_t *self, const saga_t *saga)
{
    if (self->written_count == self->written_capacity) {
        self->written_capacity = 2 * self->written_capacity + 64;
        self->written = realloc(self->written, self->written_capacity * sizeof *self->written);
        ENSURE(self->written);
    }
    self->written[self->written_count++] =
        (resting_t){.number = saga_begin_of(saga)->number, .sequence = saga_sequence(saga)};
}

static void save_saga(saga_shell_t *self, const saga_t *saga, codec_list_writer_t *list)
{
    rows_t *rows = &self->rows;
    uint8_t key[ROW_KEY_SIZE];
    row_key(ROW_SAGA, saga_begin_of(saga)->number, key);
    buffer_clear(&rows->value);
    buffer_clear(&rows->terms);
    saga_save(saga, &rows->value);
    terms_of(saga, &rows->terms);
    add_row(rows, list, slice_of(key, sizeof key));
    note_written(rows, saga);
}

/* Definitions that have no row yet, and what is kept once. */
static void save_rest(saga_shell_t *self, codec_list_writer_t *list)
{
    rows_t *rows = &self->rows;
    static const uint8_t mark_key = ROW_MARK;
    buffer_clear(&rows->terms);
    for (const plan_t *plan; (plan = coordinator_plan_at(self->core, rows->definitions));
         rows->definitions++) {
        uint8_t version[8];
        pack_be(version, plan->version, 8);
        buffer_clear(&rows->key);
        buffer_clear(&rows->value);
        term_write(&rows->key, ROW_DEFINITION, plan->name, slice_of(version, sizeof version));
        buffer_append(&rows->value, plan->record.data, plan->record.size);
        add_row(rows, list, buffer_slice(&rows->key));
    }
    buffer_clear(&rows->value);
    coordinator_mark_t mark = coordinator_mark(self->core);
    codec_encode(saga_mark_wire(),
                 &(saga_mark_t){.number_next = mark.number_next, .time_us = mark.time_us},
                 &rows->value);
    add_row(rows, list, slice_of(&mark_key, 1));
}

/* --- a pass ---------------------------------------------------------------------------------- */

/* What was changed before the pass began is handed out in the order of the changes: with one that
 * began later, or comes a second time, that is over. */
static bool ends_pass(rows_t *self, const saga_t *saga)
{
    uint64_t number = saga_begin_of(saga)->number;
    if (self->changed == 0) {
        self->first_number = number;
    } else if (number == self->first_number) {
        return true;
    }
    self->changed++;
    return number >= self->number_limit;
}

/* True when the pass has handed out everything. */
static bool save_some(saga_shell_t *self, const buffer_t *out, codec_list_writer_t *list)
{
    while (out->size < ROWS_CHUNK_BYTES) {
        const saga_t *saga = coordinator_take_changed(self->core);
        if (!saga) {
            return true;
        }
        save_saga(self, saga, list);
        if (ends_pass(&self->rows, saga)) {
            return true;
        }
    }
    return false;
}

/* What could not be written is changed still. */
static void touch_written(saga_shell_t *self)
{
    for (size_t i = 0; i < self->rows.written_count; i++) {
        coordinator_touch(self->core, self->rows.written[i].number);
    }
    self->rows.written_count = 0;
}

static void give_up_pass(saga_shell_t *self)
{
    self->rows.saving = self->rows.saved_all = false;
    self->rows.definitions = 0;
    self->rows.records++; /* so that it is tried again */
    touch_written(self);
}

static void send_chunk(saga_shell_t *self)
{
    rows_t *rows = &self->rows;
    buffer_t bytes = {0};
    codec_list_writer_t list = codec_list_begin(&bytes);
    rows->saved_all = save_some(self, &bytes, &list);
    if (rows->saved_all) {
        save_rest(self, &list);
    }
    codec_list_end(&list);
    rows->ask = shell_ask(self, self->journal, snapshot_write_wire(),
                          &(snapshot_write_t){.stream = self->stream,
                                              .epoch = self->epoch,
                                              .lsn = rows->lsn,
                                              .last = rows->saved_all,
                                              .rows = buffer_slice(&bytes),
                                              .lsn_next = self->lsn_next});
    if (rows->ask == 0) {
        give_up_pass(self);
    }
    buffer_fini(&bytes);
}

static void begin_pass(saga_shell_t *self)
{
    rows_t *rows = &self->rows;
    rows->saving = true;
    rows->saved_all = false;
    rows->pass++;
    rows->lsn = self->lsn_next;
    rows->number_limit = coordinator_mark(self->core).number_next;
    rows->changed = 0;
    rows->records = 0;
    rows->began_us = capstan_now_us(self->self);
    rows->began_utc_us = capstan_utc_us(self->self);
}

/* With as many records as sagas changed in the last pass, many that change now and then cost about
 * what few do. */
static bool is_due(const saga_shell_t *self)
{
    const rows_t *rows = &self->rows;
    bool many = rows->records >= self->settings->snapshot_records && rows->records >= rows->changed;
    bool late =
        capstan_now_us(self->self) - rows->began_us >= (int64_t)self->settings->snapshot_ms * 1000;
    return many || (late && rows->records > 0);
}

void rows_turn_end(saga_shell_t *self)
{
    rows_t *rows = &self->rows;
    if (rows->ask != 0) {
        return;
    }
    if (!rows->saving && (rows->wanted > rows->pass || is_due(self))) {
        begin_pass(self);
    }
    /* With nothing gathered, all that the core knows is on its way to the journal, ahead of the
     * chunk. */
    if (rows->saving && self->gathered.size == 0) {
        send_chunk(self);
    }
}

uint64_t rows_want(saga_shell_t *self)
{
    rows_t *rows = &self->rows;
    if (!rows->saving && rows->records == 0) {
        return rows->passes; /* the rows say it all */
    }
    rows->wanted = rows->pass + 1;
    return rows->wanted;
}

bool rows_have(const saga_shell_t *self, uint64_t pass)
{
    return self->rows.passes >= pass;
}

/* --- answers --------------------------------------------------------------------------------- */

static void truncate_log(saga_shell_t *self)
{
    rows_t *rows = &self->rows;
    if (rows->truncate_ask == 0) {
        rows->truncate_ask = shell_ask(
            self, self->journal, journal_truncate_wire(),
            &(journal_truncate_t){.stream = self->stream, .epoch = self->epoch, .lsn = rows->lsn});
    }
}

static void on_written(saga_shell_t *self)
{
    rows_t *rows = &self->rows;
    for (size_t i = 0; i < rows->written_count; i++) {
        eviction_add(self, &rows->written[i]);
    }
    rows->written_count = 0;
    if (rows->saved_all) {
        rows->saving = rows->saved_all = false;
        rows->passes = rows->pass;
        rows->stored_utc_us = rows->began_utc_us;
        truncate_log(self);
        queries_go_on(self);
    }
}

/* A disk that is full refuses appends too, which answers whoever waits; until then it is tried
 * again with each turn that wants a pass. */
static void on_refused(saga_shell_t *self)
{
    give_up_pass(self);
    if (self->rows.wanted >= self->rows.pass) {
        queries_refuse(self, CAPSTAN_E_UNAVAILABLE);
    }
}

bool rows_answer(saga_shell_t *self, const capstan_message_t *message)
{
    rows_t *rows = &self->rows;
    if (rows->truncate_ask != 0 && message->correlation == rows->truncate_ask) {
        rows->truncate_ask = 0; /* if it was refused, the next pass tries again */
        return true;
    }
    if (rows->ask == 0 || message->correlation != rows->ask) {
        return false;
    }
    rows->ask = 0;
    if (message->message == MESSAGE_snapshot_written) {
        on_written(self);
    } else {
        on_refused(self);
    }
    return true;
}

void rows_forget(saga_shell_t *self)
{
    rows_t *rows = &self->rows;
    capstan_cancel(self->self, rows->ask);
    capstan_cancel(self->self, rows->truncate_ask);
    capstan_cancel(self->self, rows->forget_ask);
    rows_fini(self);
}

void rows_fini(saga_shell_t *self)
{
    rows_t *rows = &self->rows;
    buffer_fini(&rows->key);
    buffer_fini(&rows->value);
    buffer_fini(&rows->terms);
    free(rows->written);
    free(rows->resting);
    free(rows->gone);
    *rows = (rows_t){0};
}
