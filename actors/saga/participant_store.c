#include "actors/saga/participant_store.h"

#include "runtime/base/ensure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FORMAT = 1,
    BUSY_MS = 5000, /* another process of this participant commits */
    CHECKPOINT_PAGES = 4096,
    RESERVE_BYTES = 17 << 20,     /* what so many pages of 4 KiB take in the write-ahead log */
    RESERVE_STEP_BYTES = 1 << 16, /* SQLite writes less than 128 KiB at once */
};

typedef enum inbox_sql {
#define STATEMENT(name) SQL_##name,
#include "actors/saga/participant_statements.def"
#undef STATEMENT
    SQL_COUNT
} inbox_sql_t;

#define STATEMENT(name) extern const char sql_inbox_##name[];
#include "actors/saga/participant_statements.def"
#undef STATEMENT
extern const char sql_inbox_schema[];

static const char *const texts[SQL_COUNT] = {
#define STATEMENT(name) [SQL_##name] = sql_inbox_##name,
#include "actors/saga/participant_statements.def"
#undef STATEMENT
};

/* Where the forgetting has come to: behind this key. */
typedef struct walk {
    int64_t number;
    int64_t task;
    buffer_t saga;
    bool begun;
    int64_t oldest_us; /* of the rows that this round has left */
    int64_t due_us;    /* the next round begins then */
} walk_t;

struct inbox_store {
    sqlite3 *db;
    sqlite3_stmt *sql[SQL_COUNT];
    buffer_t row; /* what the slices of the last row point to */
    bool handling;
    walk_t walk;
};

/* --- errors ---------------------------------------------------------------------------------- */

static capstan_err_t map_system(int number)
{
    bool permission = number == EACCES || number == EPERM || number == EROFS;
    return number == ENOSPC || number == EDQUOT ? CAPSTAN_E_STORE_FULL
           : permission                         ? CAPSTAN_E_STORE_PERMISSION
                                                : CAPSTAN_E_STORE_IO;
}

/* To be called right after the failing call. */
static capstan_err_t map_error(sqlite3 *db)
{
    switch (sqlite3_extended_errcode(db) & 0xff) {
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
    default:
        return map_system(sqlite3_system_errno(db));
    }
}

static capstan_err_t finish(inbox_store_t *self, inbox_sql_t sql, int step)
{
    capstan_err_t err =
        step == SQLITE_ROW || step == SQLITE_DONE ? CAPSTAN_OK : map_error(self->db);
    sqlite3_reset(self->sql[sql]);
    return err;
}

static capstan_err_t run(inbox_store_t *self, inbox_sql_t sql)
{
    return finish(self, sql, sqlite3_step(self->sql[sql]));
}

/* --- opening --------------------------------------------------------------------------------- */

/* The handler may not end the transaction that its effect and the row share. */
static int authorize(void *context, int action, const char *a, const char *b, const char *c,
                     const char *d)
{
    const inbox_store_t *self = context;
    (void)a, (void)b, (void)c, (void)d;
    return self->handling && action == SQLITE_TRANSACTION ? SQLITE_DENY : SQLITE_OK;
}

static bool execute(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

/* In memory, and where processes cannot share memory, SQLite keeps another kind of journal. */
static bool has_wal(sqlite3 *db)
{
    sqlite3_stmt *statement = NULL;
    bool wal = sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &statement, NULL) == SQLITE_OK &&
               sqlite3_step(statement) == SQLITE_ROW &&
               strcmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0;
    sqlite3_finalize(statement);
    return wal;
}

/* Lengthens the write-ahead log to what it will take before it is used again, within a transaction,
 * so that nobody else writes there. A commit that finds room waits for its own pages alone; one
 * that lengthens the file waits for the file system's log too, which takes twice as long. What lies
 * behind the last commit is nothing to SQLite. A disk that has no room says so with a commit. */
static void reserve_log(const inbox_store_t *self)
{
    sqlite3_file *log = NULL;
    sqlite3_int64 size = 0;
    (void)sqlite3_file_control(self->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (!has_wal(self->db) || !log || !log->pMethods ||
        log->pMethods->xFileSize(log, &size) != SQLITE_OK || size >= RESERVE_BYTES) {
        return;
    }
    sqlite3_int64 before = size;
    void *zeros = calloc(1, RESERVE_STEP_BYTES);
    ENSURE(zeros);
    while (size < RESERVE_BYTES &&
           log->pMethods->xWrite(log, zeros, RESERVE_STEP_BYTES, size) == SQLITE_OK) {
        size += RESERVE_STEP_BYTES;
    }
    free(zeros);
    if (size < RESERVE_BYTES) { /* what is left of the disk is for who has something to write */
        (void)log->pMethods->xTruncate(log, before);
    } else {
        (void)log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
    }
}

static bool set_up(const inbox_store_t *self)
{
    char checkpoint[64];
    snprintf(checkpoint, sizeof checkpoint, "PRAGMA wal_autocheckpoint = %d", CHECKPOINT_PAGES);
    sqlite3_busy_timeout(self->db, BUSY_MS);
    /* Answers leave after the commit, and must be true after a loss of power. Checkpoints are rare,
     * since each waits for the disk twice. */
    if (!execute(self->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                           "PRAGMA temp_store = MEMORY") ||
        !execute(self->db, checkpoint) || !execute(self->db, "BEGIN IMMEDIATE")) {
        return false;
    }
    bool done = execute(self->db, sql_inbox_schema);
    if (done) {
        reserve_log(self);
    }
    return done && execute(self->db, "COMMIT");
}

static capstan_err_t prepare(inbox_store_t *self)
{
    for (int i = 0; i < SQL_COUNT; i++) {
        if (sqlite3_prepare_v3(self->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &self->sql[i],
                               NULL) != SQLITE_OK) {
            return map_error(self->db);
        }
    }
    int step = sqlite3_step(self->sql[SQL_meta_get]);
    int64_t format = step == SQLITE_ROW ? sqlite3_column_int64(self->sql[SQL_meta_get], 0) : 0;
    capstan_err_t err = finish(self, SQL_meta_get, step);
    return err               ? err
           : format < 1      ? CAPSTAN_E_STORE_CORRUPT
           : format > FORMAT ? CAPSTAN_E_STORE_NEWER
                             : CAPSTAN_OK;
}

capstan_err_t inbox_store_open(const char *path, inbox_store_t **ret_store, char *ret_text,
                               size_t text_size)
{
    int flags =
        SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    inbox_store_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    capstan_err_t err = CAPSTAN_OK;
    if (sqlite3_open_v2(path ? path : ":memory:", &self->db, flags, NULL) != SQLITE_OK) {
        err = self->db ? map_error(self->db) : CAPSTAN_E_NO_MEMORY;
    } else {
        sqlite3_set_authorizer(self->db, authorize, self);
        err = set_up(self) ? prepare(self) : map_error(self->db);
    }
    if (err != CAPSTAN_OK) {
        snprintf(ret_text, text_size, "the inbox in %s: %s (%s). %s", path ? path : "memory",
                 capstan_err_text(err), self->db ? sqlite3_errmsg(self->db) : "",
                 capstan_err_remedy(err));
        inbox_store_close(&self);
        return err;
    }
    *ret_store = self;
    return CAPSTAN_OK;
}

void inbox_store_close(inbox_store_t **self_p)
{
    inbox_store_t *self = *self_p;
    *self_p = NULL;
    if (!self) {
        return;
    }
    for (int i = 0; i < SQL_COUNT; i++) {
        sqlite3_finalize(self->sql[i]);
    }
    /* The last of the handler's statements that is still open keeps it until that is finalised. */
    sqlite3_set_authorizer(self->db, NULL, NULL);
    sqlite3_close_v2(self->db);
    buffer_fini(&self->row);
    buffer_fini(&self->walk.saga);
    free(self);
}

sqlite3 *inbox_store_database(const inbox_store_t *self)
{
    return self->db;
}

/* --- transactions ---------------------------------------------------------------------------- */

static bool is_lost(const inbox_store_t *self)
{
    return sqlite3_get_autocommit(self->db) != 0;
}

capstan_err_t inbox_store_begin(inbox_store_t *self, uint64_t *ret_epoch)
{
    capstan_err_t err = run(self, SQL_begin);
    if (err != CAPSTAN_OK) {
        return err;
    }
    int step = sqlite3_step(self->sql[SQL_meta_get]);
    uint64_t epoch =
        step == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(self->sql[SQL_meta_get], 1) : 0;
    err = finish(self, SQL_meta_get, step);
    err = err || step == SQLITE_ROW ? err : CAPSTAN_E_STORE_CORRUPT;
    if (err != CAPSTAN_OK) {
        inbox_store_rollback(self);
        return err;
    }
    *ret_epoch = epoch;
    return CAPSTAN_OK;
}

capstan_err_t inbox_store_set_epoch(inbox_store_t *self, uint64_t epoch)
{
    sqlite3_bind_int64(self->sql[SQL_meta_set], 1, (sqlite3_int64)epoch);
    return run(self, SQL_meta_set);
}

capstan_err_t inbox_store_commit(inbox_store_t *self)
{
    return run(self, SQL_commit);
}

void inbox_store_rollback(inbox_store_t *self)
{
    /* What it has forgotten is back, and looked at again. */
    self->walk.begun = false;
    self->walk.due_us = 0;
    /* What fails here is not committed either. */
    if (!is_lost(self)) {
        (void)!run(self, SQL_rollback);
    }
}

capstan_err_t inbox_store_protect(inbox_store_t *self)
{
    capstan_err_t err = run(self, SQL_savepoint);
    self->handling = err == CAPSTAN_OK;
    return err;
}

/* Some errors, of a full disk for instance, end a transaction, whoever's statement meets them. */
static capstan_err_t end_handling(inbox_store_t *self)
{
    self->handling = false;
    if (!is_lost(self)) {
        return CAPSTAN_OK;
    }
    return sqlite3_errcode(self->db) == SQLITE_OK ? CAPSTAN_E_STORE_IO : map_error(self->db);
}

capstan_err_t inbox_store_keep(inbox_store_t *self)
{
    capstan_err_t err = end_handling(self);
    return err ? err : run(self, SQL_release);
}

capstan_err_t inbox_store_undo(inbox_store_t *self)
{
    capstan_err_t err = end_handling(self);
    err = err ? err : run(self, SQL_undo);
    return err ? err : run(self, SQL_release);
}

/* --- rows ------------------------------------------------------------------------------------ */

static void bind_key(sqlite3_stmt *statement, const saga_command_t *task)
{
    sqlite3_bind_int64(statement, 1, (sqlite3_int64)task->number);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)task->task);
    sqlite3_bind_text64(statement, 3, task->saga.data, task->saga.size, SQLITE_STATIC, SQLITE_UTF8);
}

/* Empty slices are NULL. */
static void bind_blob(sqlite3_stmt *statement, int index, slice_t bytes)
{
    sqlite3_bind_blob64(statement, index, bytes.size > 0 ? bytes.data : NULL, bytes.size,
                        SQLITE_STATIC);
}

static void bind_text(sqlite3_stmt *statement, int index, slice_t text)
{
    sqlite3_bind_text64(statement, index, text.size > 0 ? text.data : NULL, text.size,
                        SQLITE_STATIC, SQLITE_UTF8);
}

/* Copies what the columns hold behind each other, since a statement that is reset forgets it. */
static void read_row(inbox_store_t *self, sqlite3_stmt *statement, inbox_row_t *ret_row)
{
    enum { FIRST = 2, COLUMNS = 4 };
    slice_t *const slices[COLUMNS] = {&ret_row->result, &ret_row->undo_result, &ret_row->error,
                                      &ret_row->text};
    buffer_clear(&self->row);
    for (int i = 0; i < COLUMNS; i++) {
        const void *bytes = sqlite3_column_blob(statement, FIRST + i);
        slices[i]->size = (size_t)sqlite3_column_bytes(statement, FIRST + i);
        buffer_append(&self->row, bytes, slices[i]->size);
    }
    size_t place = 0;
    for (int i = 0; i < COLUMNS; i++) {
        slices[i]->data = self->row.data ? self->row.data + place : NULL;
        place += slices[i]->size;
    }
}

capstan_err_t inbox_store_get(inbox_store_t *self, const saga_command_t *task, inbox_row_t *ret_row)
{
    sqlite3_stmt *statement = self->sql[SQL_get];
    bind_key(statement, task);
    int step = sqlite3_step(statement);
    *ret_row = (inbox_row_t){.state = INBOX_NONE};
    bool known = true;
    if (step == SQLITE_ROW) {
        int64_t state = sqlite3_column_int64(statement, 0);
        known = state > INBOX_NONE && state < INBOX_STATE_COUNT;
        ret_row->state = known ? (inbox_state_t)state : INBOX_NONE;
        ret_row->attempt = (uint64_t)sqlite3_column_int64(statement, 1);
        read_row(self, statement, ret_row);
    }
    capstan_err_t err = finish(self, SQL_get, step);
    return err || known ? err : CAPSTAN_E_STORE_CORRUPT;
}

capstan_err_t inbox_store_put(inbox_store_t *self, const saga_command_t *task,
                              const inbox_row_t *row, int64_t now_us)
{
    sqlite3_stmt *statement = self->sql[SQL_put];
    bind_key(statement, task);
    sqlite3_bind_int64(statement, 4, row->state);
    sqlite3_bind_int64(statement, 5, (sqlite3_int64)row->attempt);
    sqlite3_bind_int64(statement, 6, now_us);
    bind_blob(statement, 7, row->result);
    bind_blob(statement, 8, row->undo_result);
    bind_text(statement, 9, row->error);
    bind_text(statement, 10, row->text);
    return run(self, SQL_put);
}

/* --- forgetting ------------------------------------------------------------------------------ */

static void bind_place(sqlite3_stmt *statement, int index, const walk_t *walk)
{
    sqlite3_bind_int64(statement, index, walk->number);
    sqlite3_bind_int64(statement, index + 1, walk->task);
    sqlite3_bind_text64(statement, index + 2, walk->saga.data ? (const char *)walk->saga.data : "",
                        walk->saga.size, SQLITE_TRANSIENT, SQLITE_UTF8);
}

/* Steps over the next rows; `ret_old` says whether some of them are to be forgotten. Returns how
 * many there were. */
static capstan_err_t step_over(inbox_store_t *self, int64_t before_us, uint64_t count,
                               uint64_t *ret_count, bool *ret_old)
{
    walk_t *walk = &self->walk;
    sqlite3_stmt *statement = self->sql[SQL_walk];
    sqlite3_bind_int64(statement, 4, (sqlite3_int64)count);
    int step;
    while ((step = sqlite3_step(statement)) == SQLITE_ROW) {
        int64_t changed_us = sqlite3_column_int64(statement, 3);
        *ret_old = *ret_old || changed_us < before_us;
        if (changed_us >= before_us && changed_us < walk->oldest_us) {
            walk->oldest_us = changed_us;
        }
        walk->number = sqlite3_column_int64(statement, 0);
        walk->task = sqlite3_column_int64(statement, 1);
        const void *saga = sqlite3_column_text(statement, 2);
        buffer_clear(&walk->saga);
        buffer_append(&walk->saga, saga, (size_t)sqlite3_column_bytes(statement, 2));
        ++*ret_count;
    }
    return finish(self, SQL_walk, step);
}

static void begin_round(walk_t *walk, int64_t now_us)
{
    walk->begun = true;
    walk->number = INT64_MIN;
    walk->task = INT64_MIN;
    buffer_clear(&walk->saga);
    walk->oldest_us = now_us;
}

capstan_err_t inbox_store_forget(inbox_store_t *self, int64_t now_us, int64_t retention_us,
                                 uint64_t count)
{
    walk_t *walk = &self->walk;
    if (now_us < walk->due_us) {
        return CAPSTAN_OK;
    }
    if (!walk->begun) {
        begin_round(walk, now_us);
    }
    uint64_t seen = 0;
    bool old = false;
    sqlite3_stmt *statement = self->sql[SQL_delete];
    bind_place(self->sql[SQL_walk], 1, walk);
    bind_place(statement, 1, walk);
    capstan_err_t err = step_over(self, now_us - retention_us, count, &seen, &old);
    if (err == CAPSTAN_OK && old) {
        bind_place(statement, 4, walk);
        sqlite3_bind_int64(statement, 7, now_us - retention_us);
        err = run(self, SQL_delete);
    }
    if (err == CAPSTAN_OK && seen < count) {
        walk->begun = false;
        walk->due_us = walk->oldest_us + retention_us;
    }
    return err;
}
