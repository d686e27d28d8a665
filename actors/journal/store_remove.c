/* Removing a stream with all that it has. In pieces, since a transaction holds up everybody who
 * writes: first the log from its beginning, then the snapshot, its rows with their terms, last the
 * stream itself. Between two pieces the store is one that `store check` finds nothing wrong with,
 * and a crash leaves a stream that can be removed as before. */
#include "actors/journal/store_internal.h"
#include "runtime/base/ensure.h"

enum {
    LOG_ROWS = 256,       /* each is one append, of a megabyte at most */
    SNAPSHOT_ROWS = 1024, /* and up to 32 terms of each */
};

static capstan_err_t remove_some(store_t *self, store_sql_t sql, uint64_t stream, int rows_max,
                                 bool *ret_more)
{
    bind_number(self->sql[sql], 1, stream);
    sqlite3_bind_int(self->sql[sql], 2, rows_max);
    capstan_err_t err = store_run(self, sql);
    *ret_more = !err && sqlite3_changes(self->db) == rows_max;
    return err;
}

/* Where the log begins now; its end when nothing is left of it. */
static capstan_err_t first_kept(store_t *self, uint64_t stream, uint64_t lsn_next,
                                uint64_t *ret_lsn)
{
    sqlite3_stmt *statement = self->sql[SQL_read];
    bind_number(statement, 1, stream);
    bind_number(statement, 2, 0);
    int step = sqlite3_step(statement);
    *ret_lsn = step == SQLITE_ROW ? column_number(statement, 0) : lsn_next;
    return store_finish(self, SQL_read, step);
}

/* The spans of rows that are gone go too, and the snapshot is said to cover what was removed. */
static capstan_err_t move_beginning(store_t *self, uint64_t stream, uint64_t lsn_next)
{
    uint64_t lsn = 0;
    bind_number(self->sql[SQL_truncate_spans], 1, stream);
    bind_number(self->sql[SQL_truncate_spans], 2, lsn_next);
    capstan_err_t err = store_run(self, SQL_truncate_spans);
    err = err ? err : first_kept(self, stream, lsn_next, &lsn);
    if (err) {
        return err;
    }
    bind_number(self->sql[SQL_remove_move], 1, stream);
    bind_number(self->sql[SQL_remove_move], 2, lsn);
    return store_run(self, SQL_remove_move);
}

capstan_err_t store_stream_remove(store_t *self, const stream_remove_t *request, bool *ret_more)
{
    ENSURE(self->in_transaction);
    if (self->failed) {
        return self->failed;
    }
    position_t *position = NULL;
    capstan_err_t err = store_position(self, request->stream, &position);
    if (err) {
        return err;
    }
    if (request->epoch != position->epoch) {
        return CAPSTAN_E_STALE_EPOCH;
    }
    uint64_t lsn_next = position->lsn_next;
    position->known = false;
    err = remove_some(self, SQL_remove_log, request->stream, LOG_ROWS, ret_more);
    err = err ? err : move_beginning(self, request->stream, lsn_next);
    if (!err && !*ret_more) {
        err = terms_remove(self, request->stream, SNAPSHOT_ROWS);
        err =
            err ? err
                : remove_some(self, SQL_remove_snapshots, request->stream, SNAPSHOT_ROWS, ret_more);
    }
    if (err || *ret_more) {
        return err;
    }
    bind_number(self->sql[SQL_remove_stream], 1, request->stream);
    return store_run(self, SQL_remove_stream);
}
