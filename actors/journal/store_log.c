/* The log of the store: streams, appends, reads, truncation. Its layout, and why, is told in
 * config/sql/store_schema.sql. */
#include "actors/journal/store_internal.h"
#include "runtime/base/ensure.h"

#include <xxhash.h>

enum { SEGMENT_ROWS = 512 };

uint64_t log_checksum(slice_t records, uint64_t lsn)
{
    return XXH64(records.data, records.size, lsn);
}

uint64_t stream_shard(slice_t concern, slice_t instance)
{
    buffer_t name = {0};
    buffer_append(&name, concern.data, concern.size);
    buffer_append(&name, "/", 1);
    buffer_append(&name, instance.data, instance.size);
    uint64_t hash = XXH64(name.data, name.size, 0);
    buffer_fini(&name);
    return hash & 255;
}

/* Finds the stream's number; 0 when there is none. */
static capstan_err_t find_stream(store_t *self, slice_t concern, slice_t instance,
                                 uint64_t *ret_stream)
{
    sqlite3_stmt *statement = self->sql[SQL_stream_find];
    bind_text(statement, 1, concern);
    bind_text(statement, 2, instance);
    int step = sqlite3_step(statement);
    uint64_t stream = step == SQLITE_ROW ? column_number(statement, 0) : 0;
    capstan_err_t err = store_finish(self, SQL_stream_find, step);
    if (!err) {
        *ret_stream = stream;
    }
    return err;
}

static capstan_err_t find_or_add_stream(store_t *self, slice_t concern, slice_t instance,
                                        uint64_t *ret_stream)
{
    capstan_err_t err = find_stream(self, concern, instance, ret_stream);
    if (err || *ret_stream != 0) {
        return err;
    }
    sqlite3_stmt *statement = self->sql[SQL_stream_add];
    bind_text(statement, 1, concern);
    bind_text(statement, 2, instance);
    bind_number(statement, 3, stream_shard(concern, instance));
    err = store_run(self, SQL_stream_add);
    if (!err) {
        *ret_stream = (uint64_t)sqlite3_last_insert_rowid(self->db);
    }
    return err;
}

static capstan_err_t open_in_transaction(store_t *self, slice_t concern, slice_t instance,
                                         stream_opened_t *ret_stream)
{
    uint64_t stream = 0;
    capstan_err_t err = find_or_add_stream(self, concern, instance, &stream);
    if (err) {
        return err;
    }
    position_t *position = NULL;
    err = store_position(self, stream, &position);
    if (err) {
        return err == CAPSTAN_E_NOT_FOUND ? CAPSTAN_E_STORE_CORRUPT : err;
    }
    *ret_stream = (stream_opened_t){.stream = stream,
                                    .epoch = position->epoch,
                                    .lsn_next = position->lsn_next,
                                    .lsn_first = position->lsn_first,
                                    .snapshot_lsn = position->snapshot_lsn};
    return CAPSTAN_OK;
}

capstan_err_t store_stream_open(store_t *self, slice_t concern, slice_t instance,
                                stream_opened_t *ret_stream)
{
    if (concern.size == 0 || instance.size == 0) {
        return CAPSTAN_E_INVALID;
    }
    stream_opened_t opened;
    bool outer = self->in_transaction;
    capstan_err_t err = outer ? CAPSTAN_OK : store_begin(self);
    if (err) {
        return err;
    }
    err = open_in_transaction(self, concern, instance, &opened);
    if (!outer && !err) {
        err = store_commit(self);
    } else if (!outer) {
        store_rollback(self);
    }
    if (!err) {
        *ret_stream = opened;
    }
    return err;
}

/* Numbers rows on from the newest. Rows of one stream have ascending ids, hence segments. */
static capstan_err_t next_log_id(store_t *self, int64_t *ret_id)
{
    if (self->log_id_next == 0) {
        sqlite3_stmt *statement = self->sql[SQL_log_last];
        int step = sqlite3_step(statement);
        int64_t last = sqlite3_column_int64(statement, 0);
        capstan_err_t err = store_finish(self, SQL_log_last, step);
        if (err) {
            return err;
        }
        self->log_id_next = last + 1;
    }
    *ret_id = self->log_id_next;
    return CAPSTAN_OK;
}

/* The first row of a stream in a segment leaves a signpost to it. */
static capstan_err_t enter_segment(store_t *self, uint64_t stream, position_t *position,
                                   int64_t segment)
{
    if (position->segment == segment) {
        return CAPSTAN_OK;
    }
    sqlite3_stmt *statement = self->sql[SQL_span_add];
    bind_number(statement, 1, stream);
    bind_number(statement, 2, position->lsn_next);
    sqlite3_bind_int64(statement, 3, segment);
    capstan_err_t err = store_run(self, SQL_span_add);
    if (!err) {
        position->segment = segment;
    }
    return err;
}

capstan_err_t store_append(store_t *self, const journal_append_t *append, uint64_t *ret_lsn_next)
{
    ENSURE(self->in_transaction);
    if (self->failed) {
        return self->failed;
    }
    position_t *position = NULL;
    capstan_err_t err = store_position(self, append->stream, &position);
    if (err) {
        return err;
    }
    if (append->epoch != position->epoch) {
        return CAPSTAN_E_STALE_EPOCH;
    }
    if (append->lsn != position->lsn_next) {
        return CAPSTAN_E_LSN_MISMATCH;
    }
    uint32_t count = codec_list_count(append->records);
    if (count == 0) {
        return CAPSTAN_E_INVALID;
    }
    int64_t id = 0;
    err = next_log_id(self, &id);
    if (!err) {
        err = enter_segment(self, append->stream, position, id / SEGMENT_ROWS);
    }
    if (err) {
        return err;
    }
    sqlite3_stmt *statement = self->sql[SQL_append];
    sqlite3_bind_int64(statement, 1, id);
    sqlite3_bind_int64(statement, 2, id / SEGMENT_ROWS);
    bind_number(statement, 3, append->stream);
    bind_number(statement, 4, append->lsn);
    bind_number(statement, 5, count);
    bind_number(statement, 6, log_checksum(append->records, append->lsn));
    bind_bytes(statement, 7, append->records);
    err = store_run(self, SQL_append);
    if (err) {
        return err;
    }
    self->log_id_next++;
    position->lsn_next += count;
    *ret_lsn_next = position->lsn_next;
    return CAPSTAN_OK;
}

/* What a read has gathered so far. */
typedef struct gathering {
    uint64_t lsn; /* first wanted */
    uint64_t bytes_max;
    size_t begin; /* in the writer's buffer */
    codec_list_writer_t writer;
    uint64_t lsn_next; /* 0: no row yet */
    bool full;         /* the rest is for the next read */
} gathering_t;

static bool fits(const gathering_t *self, size_t bytes)
{
    return self->writer.out->size - self->begin + bytes <= self->bytes_max;
}

/* Adds a row's records: all, or to an empty list as far as there is room, and one at least. A row
 * is what one append brought, so that its size is no bound: without this cut, what is handed on to
 * consumers would be larger than they take. Behind others it is left for the next read, since both
 * would have to check and copy all of it. */
static void gather_records(gathering_t *self, codec_list_t *list)
{
    size_t left = list->input.size - list->position;
    buffer_t *out = self->writer.out;
    if (fits(self, left)) {
        buffer_append(out, (const uint8_t *)list->input.data + list->position, left);
        self->writer.count += list->left;
        self->lsn_next += list->left;
        return;
    }
    slice_t record;
    while (codec_list_next_raw(list, &record) &&
           (self->writer.count == 0 || fits(self, record.size))) {
        codec_list_add_raw(&self->writer, record);
        self->lsn_next++;
    }
    self->full = true;
}

/* Adds one row's records, without those before the lsn that was asked for. */
static capstan_err_t gather_row(gathering_t *self, sqlite3_stmt *statement)
{
    uint64_t lsn = column_number(statement, 0);
    uint64_t count = column_number(statement, 1);
    slice_t records = column_bytes(statement, 3);
    uint64_t expected = self->lsn_next ? self->lsn_next : self->lsn;
    codec_list_t list;
    if (self->writer.count > 0 && !fits(self, records.size)) {
        self->full = true;
        return CAPSTAN_OK;
    }
    if (count == 0 || log_checksum(records, lsn) != column_number(statement, 2) ||
        codec_list_open(journal_record_wire(), records, &list) || list.left != count) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    if (lsn > expected) { /* at the begin: truncated; later: a hole */
        return self->lsn_next ? CAPSTAN_E_STORE_CORRUPT : CAPSTAN_E_LSN_MISMATCH;
    }
    for (slice_t skipped; lsn < expected && codec_list_next_raw(&list, &skipped);) {
        lsn++;
    }
    self->lsn_next = lsn;
    gather_records(self, &list);
    return list.fault.err ? CAPSTAN_E_STORE_CORRUPT : CAPSTAN_OK;
}

static capstan_err_t gather(store_t *self, const journal_read_t *request, gathering_t *gathering)
{
    sqlite3_stmt *statement = self->sql[SQL_read];
    bind_number(statement, 1, request->stream);
    bind_number(statement, 2, request->lsn);
    capstan_err_t fault = CAPSTAN_OK;
    int step = SQLITE_ROW;
    while (!fault && !gathering->full && (step = sqlite3_step(statement)) == SQLITE_ROW) {
        fault = gather_row(gathering, statement);
    }
    capstan_err_t err = store_finish(self, SQL_read, step);
    return err ? err : fault;
}

/* No row: the end of the stream, unless the lsn was truncated away or the stream is unknown. */
static capstan_err_t check_empty_read(store_t *self, const journal_read_t *request)
{
    sqlite3_stmt *statement = self->sql[SQL_stream_get];
    bind_number(statement, 1, request->stream);
    int step = sqlite3_step(statement);
    uint64_t lsn_first = step == SQLITE_ROW ? column_number(statement, 1) : 0;
    capstan_err_t err = store_finish(self, SQL_stream_get, step);
    if (err) {
        return err;
    }
    if (step == SQLITE_DONE) {
        return CAPSTAN_E_NOT_FOUND;
    }
    return request->lsn < lsn_first ? CAPSTAN_E_LSN_MISMATCH : CAPSTAN_OK;
}

capstan_err_t store_read(store_t *self, const journal_read_t *request, buffer_t *out,
                         journal_records_t *ret_reply)
{
    size_t begin = out->size;
    gathering_t gathering = {.lsn = request->lsn, .bytes_max = request->bytes_max, .begin = begin};
    gathering.writer = codec_list_begin(out);
    capstan_err_t err = gather(self, request, &gathering);
    if (!err && gathering.lsn_next == 0) {
        err = check_empty_read(self, request);
    }
    if (err) {
        out->size = begin;
        return err;
    }
    codec_list_end(&gathering.writer);
    *ret_reply =
        (journal_records_t){.stream = request->stream,
                            .lsn = request->lsn,
                            .lsn_next = gathering.lsn_next ? gathering.lsn_next : request->lsn,
                            .records = slice_of(out->data + begin, out->size - begin)};
    return CAPSTAN_OK;
}

/* Rows are kept or go whole: the oldest kept may begin before the lsn that was asked for. */
static capstan_err_t oldest_kept(store_t *self, const journal_truncate_t *truncate,
                                 uint64_t *ret_lsn)
{
    sqlite3_stmt *statement = self->sql[SQL_read];
    bind_number(statement, 1, truncate->stream);
    bind_number(statement, 2, truncate->lsn);
    int step = sqlite3_step(statement);
    uint64_t lsn = step == SQLITE_ROW ? column_number(statement, 0) : truncate->lsn;
    capstan_err_t err = store_finish(self, SQL_read, step);
    if (!err) {
        *ret_lsn = lsn < truncate->lsn ? lsn : truncate->lsn;
    }
    return err;
}

capstan_err_t store_truncate(store_t *self, const journal_truncate_t *truncate)
{
    ENSURE(self->in_transaction);
    if (self->failed) {
        return self->failed;
    }
    position_t *position = NULL;
    capstan_err_t err = store_position(self, truncate->stream, &position);
    if (err) {
        return err;
    }
    if (truncate->epoch != position->epoch) {
        return CAPSTAN_E_STALE_EPOCH;
    }
    if (truncate->lsn > position->snapshot_lsn) {
        return CAPSTAN_E_LSN_MISMATCH;
    }
    if (truncate->lsn <= position->lsn_first) { /* done before */
        return CAPSTAN_OK;
    }
    static const store_sql_t deletes[] = {SQL_truncate_rows, SQL_truncate_spans};
    for (size_t i = 0; !err && i < sizeof deletes / sizeof deletes[0]; i++) {
        bind_number(self->sql[deletes[i]], 1, truncate->stream);
        bind_number(self->sql[deletes[i]], 2, truncate->lsn);
        err = store_run(self, deletes[i]);
    }
    uint64_t kept = 0;
    if (!err) {
        err = oldest_kept(self, truncate, &kept);
    }
    if (err) {
        return err;
    }
    bind_number(self->sql[SQL_stream_truncate], 1, truncate->stream);
    bind_number(self->sql[SQL_stream_truncate], 2, kept);
    position->known = false;
    return store_run(self, SQL_stream_truncate);
}
