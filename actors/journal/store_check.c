/* The check of the whole store: what SQLite knows of its file, and what only we know of its rows.
 * Reads everything, changes nothing; beside a running node it sees one committed state. */
#include "actors/journal/store_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

typedef struct check {
    store_t *store;
    store_report_fn *report;
    void *context;
    store_check_result_t result;
} check_t;

__attribute__((format(printf, 2, 3))) static void finding(check_t *self, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    self->result.faults++;
    self->report(self->context, line);
}

/* True when the failed step is damage, which is a finding; anything else ends the check. */
static bool is_damage(check_t *self, capstan_err_t err, const char *where)
{
    if (err != CAPSTAN_E_STORE_CORRUPT) {
        return false;
    }
    finding(self, "%s: %s", where, sqlite3_errmsg(self->store->db));
    return true;
}

/* One row of SQLite's check holds several lines; a line that begins with *** is only a heading. */
static void report_lines(check_t *self, const char *text)
{
    while (*text) {
        int length = (int)strcspn(text, "\n");
        if (strncmp(text, "***", 3) != 0) {
            finding(self, "database file: %.*s", length, text);
        }
        text += length;
        text += *text == '\n';
    }
}

static capstan_err_t check_file(check_t *self)
{
    sqlite3_stmt *statement = self->store->sql[SQL_check_integrity];
    int step;
    while ((step = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        if (text && strcmp(text, "ok") != 0) {
            report_lines(self, text);
        }
    }
    capstan_err_t err = store_finish(self->store, SQL_check_integrity, step);
    return is_damage(self, err, "database file") ? CAPSTAN_OK : err;
}

/* One row of log: bytes, count, place. Moves `*lsn` behind it. */
static void check_log_row(check_t *self, const char *name, sqlite3_stmt *statement, uint64_t *lsn)
{
    uint64_t first = column_number(statement, 0);
    uint64_t count = column_number(statement, 1);
    slice_t records = column_bytes(statement, 3);
    if (first != *lsn) {
        finding(self, "stream %s: lsn %" PRIu64 " follows where %" PRIu64 " is due", name, first,
                *lsn);
    }
    if (log_checksum(records, first) != column_number(statement, 2)) {
        finding(self, "stream %s: lsn %" PRIu64 ": the checksum does not match", name, first);
    }
    codec_list_t list;
    codec_fault_t fault = {.err = codec_list_open(journal_record_wire(), records, &list)};
    uint64_t decoded = 0;
    if (!fault.err) {
        for (journal_record_t record; codec_list_next(&list, &record);) {
            decoded++;
        }
        fault = list.fault;
    }
    if (fault.err || decoded != count) {
        finding(self, "stream %s: lsn %" PRIu64 ": %" PRIu64 " of %" PRIu64 " records decoded (%s)",
                name, first, decoded, count, capstan_err_name(fault.err));
    }
    *lsn = first + count;
    self->result.rows++;
    self->result.records += count;
    self->result.bytes += records.size;
}

static capstan_err_t check_log(check_t *self, const char *name, uint64_t stream, uint64_t lsn_first,
                               uint64_t *ret_lsn_next)
{
    sqlite3_stmt *statement = self->store->sql[SQL_read];
    bind_number(statement, 1, stream);
    bind_number(statement, 2, lsn_first);
    uint64_t lsn = lsn_first;
    bool any = false;
    int step;
    while ((step = sqlite3_step(statement)) == SQLITE_ROW) {
        uint64_t first = column_number(statement, 0);
        if (!any && first < lsn_first) {
            lsn = first; /* truncation keeps the row that its lsn is in; then lsn_first names it */
            finding(self, "stream %s: begins at lsn %" PRIu64 ", before its first", name, first);
        }
        any = true;
        check_log_row(self, name, statement, &lsn);
    }
    *ret_lsn_next = lsn;
    capstan_err_t err = store_finish(self->store, SQL_read, step);
    return is_damage(self, err, name) ? CAPSTAN_OK : err;
}

static capstan_err_t count_rows(check_t *self, store_sql_t sql, uint64_t *ret_count)
{
    sqlite3_stmt *statement = self->store->sql[sql];
    int step = sqlite3_step(statement);
    *ret_count = column_number(statement, 0);
    return store_finish(self->store, sql, step);
}

static capstan_err_t find_term(check_t *self, uint64_t stream, slice_t term, slice_t key,
                               bool *ret_found)
{
    sqlite3_stmt *statement = self->store->sql[SQL_terms_has];
    bind_number(statement, 1, stream);
    bind_bytes(statement, 2, term);
    bind_bytes(statement, 3, key);
    int step = sqlite3_step(statement);
    *ret_found = step == SQLITE_ROW;
    return store_finish(self->store, SQL_terms_has, step);
}

/* That each term of a row leads to it. Adds those that do to `*led`. */
static capstan_err_t check_terms(check_t *self, const char *name, uint64_t stream,
                                 const snapshot_row_t *row, uint64_t *led)
{
    term_set_t set = {.count = 0};
    if (row->terms.size > 0 &&
        (terms_read(row->terms, &set) || set.count != codec_list_count(row->terms))) {
        finding(self, "stream %s: snapshot row %" PRIu64 ": its terms cannot be read", name,
                self->result.snapshot_rows);
        return CAPSTAN_OK;
    }
    capstan_err_t err = CAPSTAN_OK;
    self->result.terms += set.count;
    for (size_t i = 0; !err && i < set.count; i++) {
        bool found = false;
        err = find_term(self, stream, set.terms[i], row->key, &found);
        *led += found;
        if (!err && !found) {
            finding(self, "stream %s: snapshot row %" PRIu64 ": is not found by its term %zu", name,
                    self->result.snapshot_rows, i + 1);
        }
    }
    return err;
}

/* Since each term of a row is there once, what is there besides leads to no row. */
static capstan_err_t count_terms(check_t *self, const char *name, uint64_t stream, uint64_t led)
{
    bind_number(self->store->sql[SQL_terms_count], 1, stream);
    uint64_t count = 0;
    capstan_err_t err = count_rows(self, SQL_terms_count, &count);
    if (!err && count > led) {
        finding(self, "stream %s: %" PRIu64 " terms lead to rows that do not have them", name,
                count - led);
    }
    return err;
}

static capstan_err_t check_snapshot(check_t *self, const char *name, uint64_t stream)
{
    sqlite3_stmt *statement = self->store->sql[SQL_snapshot_read];
    bind_number(statement, 1, stream);
    bind_bytes(statement, 2, (slice_t){0});
    uint64_t led = 0;
    capstan_err_t fault = CAPSTAN_OK;
    int step = SQLITE_ROW;
    while (!fault && (step = sqlite3_step(statement)) == SQLITE_ROW) {
        snapshot_row_t row = {.key = column_bytes(statement, 0),
                              .value = column_bytes(statement, 2),
                              .terms = column_bytes(statement, 3)};
        self->result.snapshot_rows++;
        if (snapshot_checksum(&row) != column_number(statement, 1)) {
            finding(self, "stream %s: snapshot row %" PRIu64 ": the checksum does not match", name,
                    self->result.snapshot_rows);
        }
        fault = check_terms(self, name, stream, &row, &led);
    }
    capstan_err_t err = store_finish(self->store, SQL_snapshot_read, step);
    err = err ? err : fault;
    err = err ? err : count_terms(self, name, stream, led);
    return is_damage(self, err, name) ? CAPSTAN_OK : err;
}

static capstan_err_t check_stream(check_t *self, sqlite3_stmt *statement)
{
    uint64_t stream = column_number(statement, 0);
    slice_t concern = column_bytes(statement, 1);
    slice_t instance = column_bytes(statement, 2);
    uint64_t lsn_first = column_number(statement, 4);
    uint64_t snapshot_lsn = column_number(statement, 5);
    char name[256];
    snprintf(name, sizeof name, "%.*s/%.*s", (int)concern.size, (const char *)concern.data,
             (int)instance.size, (const char *)instance.data);
    self->result.streams++;
    if (stream_shard(concern, instance) != column_number(statement, 3)) {
        finding(self, "stream %s: is in the wrong shard", name);
    }
    uint64_t lsn_next = 0;
    capstan_err_t err = check_log(self, name, stream, lsn_first, &lsn_next);
    if (err) {
        return err;
    }
    if (snapshot_lsn > lsn_next) {
        finding(self, "stream %s: the snapshot is at lsn %" PRIu64 ", the log ends at %" PRIu64,
                name, snapshot_lsn, lsn_next);
    }
    if (lsn_first > 1 && snapshot_lsn < lsn_first) {
        finding(self, "stream %s: truncated to lsn %" PRIu64 ", but the snapshot is at %" PRIu64,
                name, lsn_first, snapshot_lsn);
    }
    return check_snapshot(self, name, stream);
}

/* Rows that no stream leads to, and owners that are not 256. */
static capstan_err_t check_totals(check_t *self)
{
    uint64_t rows = 0;
    uint64_t orphans = 0;
    capstan_err_t err = count_rows(self, SQL_check_rows, &rows);
    if (!err) {
        err = count_rows(self, SQL_check_orphans, &orphans);
    }
    if (err) {
        return is_damage(self, err, "totals") ? CAPSTAN_OK : err;
    }
    if (rows != self->result.rows) {
        finding(self, "log: has %" PRIu64 " rows, the streams lead to %" PRIu64, rows,
                self->result.rows);
    }
    if (orphans != 0) {
        finding(self, "%" PRIu64 " rows belong to no stream, or to no shard", orphans);
    }
    return CAPSTAN_OK;
}

static capstan_err_t check_all(check_t *self)
{
    capstan_err_t err = check_file(self);
    sqlite3_stmt *statement = self->store->sql[SQL_check_streams];
    int step = SQLITE_DONE;
    while (!err && (step = sqlite3_step(statement)) == SQLITE_ROW) {
        err = check_stream(self, statement);
    }
    capstan_err_t stepped = store_finish(self->store, SQL_check_streams, err ? SQLITE_DONE : step);
    if (!err && stepped && !is_damage(self, stepped, "streams")) {
        err = stepped;
    }
    return err ? err : check_totals(self);
}

capstan_err_t store_check(store_t *self, store_report_fn *report, void *context,
                          store_check_result_t *ret_result)
{
    check_t check = {.store = self, .report = report, .context = context};
    /* One read transaction, so that a node that goes on writing does not confuse the totals. */
    if (sqlite3_exec(self->db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK) {
        return store_map_error(self->db);
    }
    capstan_err_t err = check_all(&check);
    sqlite3_exec(self->db, "ROLLBACK", NULL, NULL, NULL);
    if (!err) {
        *ret_result = check.result;
    }
    return err;
}
