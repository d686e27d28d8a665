/* Records replaced where they lie: what is to be forgotten, or was compacted; nothing else.
 * What was there is overwritten in the database's file, and with the next checkpoint in its
 * write-ahead log. */
#include "actors/journal/store_internal.h"
#include "runtime/base/ensure.h"

/* The row that has the record, from its lsn on. */
typedef struct log_row {
    uint64_t lsn;
    uint64_t count;
    buffer_t records;
} log_row_t;

static capstan_err_t read_row(store_t *self, uint64_t stream, uint64_t lsn, log_row_t *row)
{
    sqlite3_stmt *statement = self->sql[SQL_read];
    bind_number(statement, 1, stream);
    bind_number(statement, 2, lsn);
    int step = sqlite3_step(statement);
    capstan_err_t fault = CAPSTAN_OK;
    if (step == SQLITE_ROW) {
        slice_t records = column_bytes(statement, 3);
        row->lsn = column_number(statement, 0);
        row->count = column_number(statement, 1);
        buffer_clear(&row->records);
        buffer_append(&row->records, records.data, records.size);
        if (log_checksum(records, row->lsn) != column_number(statement, 2)) {
            fault = CAPSTAN_E_STORE_CORRUPT;
        }
    }
    capstan_err_t err = store_finish(self, SQL_read, step);
    err = err ? err : fault;
    if (!err && (step != SQLITE_ROW || lsn < row->lsn || lsn >= row->lsn + row->count)) {
        err = CAPSTAN_E_LSN_MISMATCH;
    }
    return err;
}

static capstan_err_t write_row(store_t *self, uint64_t stream, uint64_t lsn, slice_t records)
{
    sqlite3_stmt *statement = self->sql[SQL_rewrite];
    bind_number(statement, 1, stream);
    bind_number(statement, 2, lsn);
    bind_number(statement, 3, log_checksum(records, lsn));
    bind_bytes(statement, 4, records);
    return store_run(self, SQL_rewrite);
}

/* Takes from the iterator what lies in the row of its element `*patch`, which becomes the first
 * behind it; false in `more`: there is none. */
static capstan_err_t patch_row(store_t *self, uint64_t stream, codec_list_t *patches,
                               journal_patch_t *patch, bool *more, log_row_t *row)
{
    buffer_t records = {0};
    codec_list_t list;
    slice_t record;
    capstan_err_t err = read_row(self, stream, patch->lsn, row);
    err = err ? err : codec_list_open(journal_record_wire(), buffer_slice(&row->records), &list);
    codec_list_writer_t writer = codec_list_begin(&records);
    for (uint64_t lsn = row->lsn; !err && codec_list_next_raw(&list, &record); lsn++) {
        if (*more && patch->lsn == lsn) {
            codec_list_add(&writer, journal_record_wire(),
                           &(journal_record_t){.kind = patch->kind, .data = patch->data});
            *more = codec_list_next(patches, patch);
            err = *more && patch->lsn <= lsn ? CAPSTAN_E_INVALID : CAPSTAN_OK;
        } else {
            codec_list_add_raw(&writer, record);
        }
    }
    codec_list_end(&writer);
    err = err ? err : write_row(self, stream, row->lsn, buffer_slice(&records));
    buffer_fini(&records);
    return err;
}

capstan_err_t store_rewrite(store_t *self, const journal_rewrite_t *rewrite)
{
    ENSURE(self->in_transaction);
    if (self->failed) {
        return self->failed;
    }
    position_t *position = NULL;
    capstan_err_t err = store_position(self, rewrite->stream, &position);
    if (err) {
        return err;
    }
    if (rewrite->epoch != position->epoch) {
        return CAPSTAN_E_STALE_EPOCH;
    }
    codec_list_t patches;
    journal_patch_t patch;
    log_row_t row = {0};
    if (self->forgetting == rewrite->last) {
        self->forgetting = !rewrite->last;
        sqlite3_exec(self->db,
                     self->forgetting ? "PRAGMA secure_delete = ON" : "PRAGMA secure_delete = FAST",
                     NULL, NULL, NULL);
    }
    self->scrub = self->scrub || rewrite->last;
    if (rewrite->patches.size == 0) {
        return CAPSTAN_OK;
    }
    err = codec_list_open(journal_patch_wire(), rewrite->patches, &patches);
    bool more = !err && codec_list_next(&patches, &patch);
    while (!err && more) {
        err = patch_row(self, rewrite->stream, &patches, &patch, &more, &row);
    }
    buffer_fini(&row.records);
    err = err ? err : patches.fault.err;
    if (err && !self->failed) {
        self->failed = err; /* a part of it was written: nothing of it may stay */
    }
    return err;
}
