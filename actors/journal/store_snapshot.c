/* Snapshots of the store: the newest state of each key of a stream. */
#include "actors/journal/store_internal.h"
#include "runtime/base/ensure.h"

#include <stdlib.h>
#include <xxhash.h>

uint64_t snapshot_checksum(const snapshot_row_t *row)
{
    uint64_t sum = XXH64(row->value.data, row->value.size, XXH64(row->key.data, row->key.size, 0));
    return row->terms.size > 0 ? XXH64(row->terms.data, row->terms.size, sum) : sum;
}

/* The rows of a chunk, in the order of the table: in that of their changes each would find its page
 * anew, and dirty it once more for the next checkpoint. Of a key that comes twice the last counts.
 */
typedef struct chunk_rows {
    snapshot_row_t *list;
    size_t count;
} chunk_rows_t;

static int compare_rows(const void *a, const void *b)
{
    const snapshot_row_t *x = a;
    const snapshot_row_t *y = b;
    int order = order_bytes(x->key, y->key);
    return order != 0 ? order : x->key.data < y->key.data ? -1 : x->key.data > y->key.data;
}

/* "After no key" is where a read begins, and what is deleted has no terms. */
static capstan_err_t check_row(const snapshot_row_t *row)
{
    term_set_t terms;
    if (row->key.size == 0 || (row->value.size == 0 && row->terms.size > 0)) {
        return CAPSTAN_E_INVALID;
    }
    return row->terms.size > 0 ? terms_read(row->terms, &terms) : CAPSTAN_OK;
}

/* A chunk is looked through before its first row is written: one that is refused leaves nothing. */
static capstan_err_t open_rows(slice_t rows, chunk_rows_t *ret_rows)
{
    codec_list_t list;
    capstan_err_t err = codec_list_open(snapshot_row_wire(), rows, &list);
    if (err) {
        return err;
    }
    chunk_rows_t opened = {.list = calloc(list.left + 1, sizeof *opened.list)};
    ENSURE(opened.list);
    bool ordered = true; /* as most come */
    while (!err && codec_list_next(&list, &opened.list[opened.count])) {
        const snapshot_row_t *row = &opened.list[opened.count++];
        ordered = ordered && (opened.count == 1 || compare_rows(row - 1, row) < 0);
        err = check_row(row);
    }
    err = err ? err : list.fault.err;
    if (err) {
        free(opened.list);
        return err;
    }
    if (!ordered) {
        qsort(opened.list, opened.count, sizeof *opened.list, compare_rows);
    }
    *ret_rows = opened;
    return CAPSTAN_OK;
}

static capstan_err_t check_chunk(const position_t *position, const snapshot_write_t *chunk)
{
    if (chunk->epoch != position->epoch) {
        return CAPSTAN_E_STALE_EPOCH;
    }
    /* A snapshot never moves back: what it covered may be truncated already. */
    if (chunk->lsn > position->lsn_next || chunk->lsn_next > position->lsn_next ||
        chunk->lsn < position->snapshot_lsn || chunk->lsn < position->lsn_first) {
        return CAPSTAN_E_LSN_MISMATCH;
    }
    return CAPSTAN_OK;
}

static capstan_err_t write_row(store_t *self, uint64_t stream, snapshot_row_t *row,
                               term_writer_t *terms)
{
    capstan_err_t err = terms_replace(terms, row);
    if (err) {
        return err;
    }
    store_sql_t sql = row->value.size > 0 ? SQL_snapshot_put : SQL_snapshot_delete;
    bind_number(self->sql[sql], 1, stream);
    bind_bytes(self->sql[sql], 2, row->key);
    if (sql == SQL_snapshot_put) {
        bind_number(self->sql[sql], 3, snapshot_checksum(row));
        bind_bytes(self->sql[sql], 4, row->value);
        if (row->terms.size > 0) {
            bind_bytes(self->sql[sql], 5, row->terms);
        }
    }
    return store_run(self, sql);
}

static capstan_err_t write_rows(store_t *self, uint64_t stream, chunk_rows_t *rows)
{
    term_writer_t terms;
    capstan_err_t err = terms_begin(self, stream, &terms);
    for (size_t i = 0; !err && i < rows->count; i++) {
        bool last = i + 1 == rows->count || !slice_equal(rows->list[i].key, rows->list[i + 1].key);
        err = last ? write_row(self, stream, &rows->list[i], &terms) : CAPSTAN_OK;
    }
    return terms_end(&terms, err);
}

capstan_err_t store_snapshot_write(store_t *self, const snapshot_write_t *chunk)
{
    ENSURE(self->in_transaction);
    if (self->failed) {
        return self->failed;
    }
    position_t *position = NULL;
    capstan_err_t err = store_position(self, chunk->stream, &position);
    if (!err) {
        err = check_chunk(position, chunk);
    }
    chunk_rows_t rows = {0};
    err = err ? err : open_rows(chunk->rows, &rows);
    err = err ? err : write_rows(self, chunk->stream, &rows);
    free(rows.list);
    if (err || !chunk->last) {
        return err;
    }
    bind_number(self->sql[SQL_snapshot_move], 1, chunk->stream);
    bind_number(self->sql[SQL_snapshot_move], 2, chunk->lsn);
    err = store_run(self, SQL_snapshot_move);
    if (!err) {
        position->snapshot_lsn = chunk->lsn;
    }
    return err;
}

/* Copies the row at hand to the list. */
static capstan_err_t add_row(sqlite3_stmt *statement, codec_list_writer_t *writer)
{
    snapshot_row_t row = {.key = column_bytes(statement, 0),
                          .value = column_bytes(statement, 2),
                          .terms = column_bytes(statement, 3)};
    if (snapshot_checksum(&row) != column_number(statement, 1)) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    codec_list_add(writer, snapshot_row_wire(), &row);
    return CAPSTAN_OK;
}

capstan_err_t store_snapshot_read(store_t *self, const snapshot_read_t *request, buffer_t *out,
                                  snapshot_rows_t *ret_reply)
{
    size_t begin = out->size;
    codec_list_writer_t writer = codec_list_begin(out);
    sqlite3_stmt *statement = self->sql[SQL_snapshot_read];
    bind_number(statement, 1, request->stream);
    bind_bytes(statement, 2, request->after);
    capstan_err_t fault = CAPSTAN_OK;
    int step = SQLITE_ROW;
    while (!fault && (writer.count == 0 || out->size - begin < request->bytes_max) &&
           (step = sqlite3_step(statement)) == SQLITE_ROW) {
        fault = add_row(statement, &writer);
    }
    bool end = step == SQLITE_DONE;
    capstan_err_t err = store_finish(self, SQL_snapshot_read, step);
    if (err || fault) {
        out->size = begin;
        return err ? err : fault;
    }
    codec_list_end(&writer);
    *ret_reply = (snapshot_rows_t){.stream = request->stream,
                                   .end = end,
                                   .rows = slice_of(out->data + begin, out->size - begin)};
    return CAPSTAN_OK;
}

capstan_err_t snapshot_get_row(store_t *self, uint64_t stream, slice_t key,
                               codec_list_writer_t *out)
{
    sqlite3_stmt *statement = self->sql[SQL_snapshot_get];
    bind_number(statement, 1, stream);
    bind_bytes(statement, 2, key);
    int step = sqlite3_step(statement);
    capstan_err_t fault = step == SQLITE_ROW ? add_row(statement, out) : CAPSTAN_OK;
    capstan_err_t err = store_finish(self, SQL_snapshot_get, step);
    return err ? err : fault;
}

/* In the order of the table, for the same reason as in a chunk. */
capstan_err_t store_snapshot_get(store_t *self, const snapshot_get_t *request, buffer_t *out,
                                 snapshot_rows_t *ret_reply)
{
    chunk_rows_t wanted = {0};
    capstan_err_t err = open_rows(request->rows, &wanted);
    if (err) {
        return err;
    }
    size_t begin = out->size;
    codec_list_writer_t writer = codec_list_begin(out);
    for (size_t i = 0; !err && i < wanted.count; i++) {
        if (i == 0 || !slice_equal(wanted.list[i].key, wanted.list[i - 1].key)) {
            err = snapshot_get_row(self, request->stream, wanted.list[i].key, &writer);
        }
    }
    free(wanted.list);
    if (err) {
        out->size = begin;
        return err;
    }
    codec_list_end(&writer);
    *ret_reply = (snapshot_rows_t){.stream = request->stream,
                                   .end = true,
                                   .rows = slice_of(out->data + begin, out->size - begin)};
    return CAPSTAN_OK;
}
