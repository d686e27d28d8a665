/* Transactions, statements, errors and checkpoints of the store. Opening is in store_open.c, the
 * log in store_log.c, snapshots in store_snapshot.c, the check in store_check.c. */
#include "actors/journal/store_internal.h"
#include "runtime/base/ensure.h"

#include <errno.h>
#include <stdlib.h>

enum {
    CHECKPOINT_WAIT_MS = 10,
    STREAMS_MAX = 1 << 24, /* numbers are dense: a greater one is damage */
};

static capstan_err_t map_system(int number, capstan_err_t otherwise)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
        return CAPSTAN_E_STORE_FULL;
    case EACCES:
    case EPERM:
    case EROFS:
        return CAPSTAN_E_STORE_PERMISSION;
    default:
        return otherwise;
    }
}

capstan_err_t store_map_error(sqlite3 *db)
{
    int extended = sqlite3_extended_errcode(db);
    switch (extended & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return CAPSTAN_OK;
    case SQLITE_FULL:
        return CAPSTAN_E_STORE_FULL;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
    case SQLITE_ERROR: /* a table or column that should be there is not */
        return CAPSTAN_E_STORE_CORRUPT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return CAPSTAN_E_STORE_LOCKED;
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return CAPSTAN_E_STORE_PERMISSION;
    case SQLITE_NOMEM:
        return CAPSTAN_E_NO_MEMORY;
    case SQLITE_TOOBIG:
        return CAPSTAN_E_TOO_LARGE;
    default:
        return map_system(sqlite3_system_errno(db), CAPSTAN_E_STORE_IO);
    }
}

capstan_err_t store_finish(store_t *self, store_sql_t sql, int step)
{
    capstan_err_t err = CAPSTAN_OK;
    if (step != SQLITE_ROW && step != SQLITE_DONE) {
        err = store_map_error(self->db);
    }
    sqlite3_reset(self->sql[sql]);
    /* What was bound may not outlive its owner, also not unread. */
    sqlite3_clear_bindings(self->sql[sql]);
    if (err && self->in_transaction && !self->failed) {
        self->failed = err;
    }
    return err;
}

capstan_err_t store_run(store_t *self, store_sql_t sql)
{
    return store_finish(self, sql, sqlite3_step(self->sql[sql]));
}

void store_forget(store_t *self)
{
    for (size_t i = 0; i < self->position_count; i++) {
        self->positions[i].known = false;
    }
    self->log_id_next = 0;
    self->terms_new = -1;
}

/* Within a write transaction nobody else can write, so one look at its begin is enough for the
 * cached epochs and positions to be those of the transaction. */
static capstan_err_t forget_if_changed(store_t *self)
{
    sqlite3_stmt *statement = self->sql[SQL_data_version];
    int step = sqlite3_step(statement);
    int64_t version = sqlite3_column_int64(statement, 0);
    capstan_err_t err = store_finish(self, SQL_data_version, step);
    if (!err && version != self->data_version) {
        store_forget(self);
        self->data_version = version;
    }
    return err;
}

/* Copies the write-ahead log into the database once it has grown to its size: before the commit
 * behind the one that made it grow, so that nobody waits for the answer to that. A passive
 * checkpoint waits for nobody; what a reader still needs stays, and the next one is tried a quarter
 * later. At four times the size readers are waited for, but not for long: a node's own reads end
 * within that time, so that the log stays bounded; a `store check` of a large store does not, and
 * meanwhile the log grows rather than that commits stop. A checkpoint that fails loses nothing:
 * everything is in the log, and a disk without space is told by the commit that finds none. */
static void checkpoint_if_due(store_t *self)
{
    if (self->wal_bytes < self->wal_bytes_due && !self->scrub) {
        return;
    }
    bool passive = self->wal_bytes < 4 * self->checkpoint_bytes;
    int mode = self->scrub ? SQLITE_CHECKPOINT_TRUNCATE
               : passive   ? SQLITE_CHECKPOINT_PASSIVE
                           : SQLITE_CHECKPOINT_RESTART;
    int frames = 0;
    int copied = 0;
    sqlite3_busy_timeout(self->db, CHECKPOINT_WAIT_MS);
    int result = sqlite3_wal_checkpoint_v2(self->db, "main", mode, &frames, &copied);
    self->scrub = self->scrub && result != SQLITE_OK; /* behind the next commit then */
    self->checkpoint_result =
        result == SQLITE_OK || result == SQLITE_BUSY ? CAPSTAN_OK : store_map_error(self->db);
    sqlite3_busy_timeout(self->db, STORE_BUSY_MS);
    self->wal_bytes_due = self->checkpoint_bytes;
    if (result != SQLITE_OK || copied < frames) {
        self->wal_bytes_due = self->wal_bytes + self->checkpoint_bytes / 4;
    }
}

capstan_err_t store_begin(store_t *self)
{
    ENSURE(!self->in_transaction && !self->read_only);
    checkpoint_if_due(self);
    capstan_err_t err = store_run(self, SQL_begin);
    if (err) {
        return err;
    }
    self->in_transaction = true;
    self->failed = CAPSTAN_OK;
    err = forget_if_changed(self);
    if (err) {
        store_rollback(self);
    }
    return err;
}

void store_rollback(store_t *self)
{
    if (!self->in_transaction) {
        return;
    }
    self->in_transaction = false;
    /* Some failures (disk full among them) have undone the transaction already. A rollback that
     * fails leaves nothing to do: the transaction is not committed in any case. */
    if (!sqlite3_get_autocommit(self->db)) {
        (void)store_run(self, SQL_rollback);
    }
    store_forget(self);
}

capstan_err_t store_commit(store_t *self)
{
    ENSURE(self->in_transaction);
    capstan_err_t err = self->failed;
    if (!err) {
        err = store_run(self, SQL_commit);
    }
    if (err) {
        store_rollback(self);
        return err;
    }
    self->in_transaction = false;
    if (self->scrub) { /* what was to be erased is gone when that is answered */
        checkpoint_if_due(self);
    }
    return CAPSTAN_OK;
}

capstan_err_t store_checkpoint_result(const store_t *self)
{
    return self->checkpoint_result;
}

static position_t *position_slot(store_t *self, uint64_t stream)
{
    if (stream >= self->position_count) {
        size_t count = 2 * (size_t)stream + 16;
        position_t *positions = realloc(self->positions, count * sizeof *positions);
        ENSURE(positions);
        memset(positions + self->position_count, 0,
               (count - self->position_count) * sizeof *positions);
        self->positions = positions;
        self->position_count = count;
    }
    return &self->positions[stream];
}

capstan_err_t store_position(store_t *self, uint64_t stream, position_t **ret_position)
{
    if (stream < self->position_count && self->positions[stream].known) {
        *ret_position = &self->positions[stream];
        return CAPSTAN_OK;
    }
    sqlite3_stmt *statement = self->sql[SQL_stream_get];
    bind_number(statement, 1, stream);
    int step = sqlite3_step(statement);
    if (step == SQLITE_ROW && stream >= STREAMS_MAX) {
        (void)store_finish(self, SQL_stream_get, step);
        return CAPSTAN_E_STORE_CORRUPT;
    }
    if (step == SQLITE_ROW) {
        /* Only a stream that exists gets a slot: the number came from outside. */
        position_t *position = position_slot(self, stream);
        bool has_rows = sqlite3_column_type(statement, 3) != SQLITE_NULL;
        *position = (position_t){.known = true,
                                 .epoch = column_number(statement, 0),
                                 .lsn_first = column_number(statement, 1),
                                 .snapshot_lsn = column_number(statement, 2),
                                 .segment = has_rows ? sqlite3_column_int64(statement, 3) : -1,
                                 .lsn_next = column_number(statement, 4)};
        *ret_position = position;
    }
    capstan_err_t err = store_finish(self, SQL_stream_get, step);
    return !err && step == SQLITE_DONE ? CAPSTAN_E_NOT_FOUND : err;
}
