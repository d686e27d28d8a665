/* What the files of the store share. Nothing else includes this. */
#ifndef JOURNAL_STORE_INTERNAL_H
#define JOURNAL_STORE_INTERNAL_H

#include "actors/journal/store.h"

#include <sqlite3.h>

enum {
    STORE_BUSY_MS = 5000, /* another program holds a lock for milliseconds at most */
    STORE_TERMS_MAX = 32, /* of a row */
};

typedef enum store_sql {
#define STATEMENT(name)    SQL_##name,
#define COPY(name, number) SQL_##name##_##number,
#include "actors/journal/store_statements.def"
#undef STATEMENT
#undef COPY
    SQL_COUNT
} store_sql_t;

/* Where a stream stands, as the open transaction sees it. A cache of rows of `streams`, `owners`
 * and `log`, valid until another process writes (data_version) or a transaction is undone. */
typedef struct position {
    bool known;
    uint64_t epoch;
    uint64_t lsn_first;
    uint64_t lsn_next;
    uint64_t snapshot_lsn;
    int64_t segment; /* newest one the stream has rows in; -1: none */
} position_t;

struct store {
    sqlite3 *db;
    sqlite3_stmt *sql[SQL_COUNT];
    int lock_fd;
    bool read_only;
    bool in_transaction;
    capstan_err_t failed;  /* the open transaction cannot be committed any more, and why */
    position_t *positions; /* by stream number */
    size_t position_count;
    int64_t log_id_next;  /* 0: not known */
    int64_t terms_new;    /* rows of the table of that name; -1: not known */
    uint64_t move_stream; /* the last of them that was moved */
    buffer_t move_term;
    buffer_t move_key;
    int64_t data_version;
    capstan_err_t checkpoint_result; /* of the last one */
    uint64_t checkpoint_bytes;
    uint64_t wal_bytes;
    bool forgetting;        /* what is deleted is overwritten, at any cost */
    bool scrub;             /* the write-ahead log holds what is to be forgotten */
    uint64_t wal_bytes_due; /* size of the write-ahead log at which the next checkpoint is tried */
};

/* Maps the database's last error; to be called right after the failing call. */
capstan_err_t store_map_error(sqlite3 *db);

/* Runs a statement that yields no row. Bindings and state are reset in any case. An error dooms
 * the open transaction. */
capstan_err_t store_run(store_t *self, store_sql_t sql);

/* Ends a statement that was stepped to `step`: SQLITE_ROW and SQLITE_DONE are success. */
capstan_err_t store_finish(store_t *self, store_sql_t sql, int step);

/* The stream's position. NOT_FOUND when there is no such stream. The pointer is valid until the
 * next call. */
capstan_err_t store_position(store_t *self, uint64_t stream, position_t **ret_position);

/* Forgets what is cached, after a transaction was undone or when another process wrote. */
void store_forget(store_t *self);

static inline void bind_number(sqlite3_stmt *statement, int index, uint64_t value)
{
    sqlite3_bind_int64(statement, index, (sqlite3_int64)value);
}

static inline uint64_t column_number(sqlite3_stmt *statement, int index)
{
    return (uint64_t)sqlite3_column_int64(statement, index);
}

/* The bytes live until `statement` is reset. An empty slice is an empty blob, not NULL. */
static inline void bind_bytes(sqlite3_stmt *statement, int index, slice_t bytes)
{
    sqlite3_bind_blob64(statement, index, bytes.size > 0 ? bytes.data : "", bytes.size,
                        SQLITE_STATIC);
}

static inline slice_t column_bytes(sqlite3_stmt *statement, int index)
{
    const void *data = sqlite3_column_blob(statement, index);
    return (slice_t){data, (size_t)sqlite3_column_bytes(statement, index)};
}

/* Texts of a few hundred bytes at most come here: names of concerns and instances. */
static inline void bind_text(sqlite3_stmt *statement, int index, slice_t text)
{
    sqlite3_bind_text64(statement, index, text.size > 0 ? text.data : "", text.size, SQLITE_STATIC,
                        SQLITE_UTF8);
}

uint64_t log_checksum(slice_t records, uint64_t lsn);
uint64_t snapshot_checksum(const snapshot_row_t *row);
/* Adds the row to the list if there is one. */
capstan_err_t snapshot_get_row(store_t *self, uint64_t stream, slice_t key,
                               codec_list_writer_t *out);
uint64_t stream_shard(slice_t concern, slice_t instance);

/* The order of keys and terms, which is SQLite's of blobs. */
static inline int order_bytes(slice_t a, slice_t b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size > 0 ? memcmp(a.data, b.data, size) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* The terms of a list, ascending and each once. INVALID: more or longer ones than allowed. The
 * slices point into the list. */
typedef struct term_set {
    slice_t terms[STORE_TERMS_MAX];
    size_t count;
} term_set_t;
capstan_err_t terms_read(slice_t list, term_set_t *ret_set);

/* Keeps the table of terms as the rows of one stream say, while these are written: begin, replace
 * for each row before it is written (no key twice), end. What is new is written at the end, in the
 * order of the table, since in that of the rows each term would find its page anew. */
typedef struct term_writer {
    store_t *store;
    uint64_t stream;
    bool any; /* the stream had terms at the begin: a row may have some that are to be deleted */
    snapshot_entry_t *added; /* slices of the rows' bytes */
    size_t added_count;
    size_t added_capacity;
    buffer_t before; /* the list that the row at hand had */
    buffer_t after;  /* and gets: what is to be stored with it */
} term_writer_t;

capstan_err_t terms_begin(store_t *store, uint64_t stream, term_writer_t *ret_writer);
/* `row->terms` is replaced by the list to be stored, valid until the next call. The row's key and
 * the list that it came with have to live until the end. */
capstan_err_t terms_replace(term_writer_t *self, snapshot_row_t *row);
/* Writes what was gathered unless `err` says that something failed; returns that, or how it went.
 * To be called in any case. */
capstan_err_t terms_end(term_writer_t *self, capstan_err_t err);
/* Deletes the terms of the first rows of a stream. */
capstan_err_t terms_remove(store_t *self, uint64_t stream, int rows_max);

#endif
