/* The terms of rows as they are written, removed and checked: each stands with its row, and in a
 * table that leads from it to the row. Looking for rows is in store_find.c. */
#include "actors/journal/store_internal.h"
#include "runtime/base/ensure.h"

#include <stdlib.h>

enum {
    TERM_BYTES_MAX = 512,
    /* So many terms wait to be moved. A table of them is some hundred pages, of which what is
     * written together dirties most; of the large table's pages a stretch dirties its share. */
    NEW_MAX = 1 << 15,
    MOVE_MIN = 1 << 10,
    PUT_MANY = 32, /* as many as the statement of that name takes */
};

/* Inserts into what is ascending and each once. Lists are short, and come sorted when we made them.
 */
static void insert_term(term_set_t *set, slice_t term)
{
    size_t at = set->count;
    int order = -1;
    while (at > 0 && (order = order_bytes(set->terms[at - 1], term)) > 0) {
        at--;
    }
    if (at > 0 && order == 0) {
        return;
    }
    memmove(&set->terms[at + 1], &set->terms[at], (set->count - at) * sizeof set->terms[0]);
    set->terms[at] = term;
    set->count++;
}

capstan_err_t terms_read(slice_t list, term_set_t *ret_set)
{
    codec_list_t iterator;
    ret_set->count = 0;
    capstan_err_t err = codec_list_open(snapshot_term_wire(), list, &iterator);
    if (err || iterator.left > STORE_TERMS_MAX) {
        return err ? err : CAPSTAN_E_INVALID;
    }
    for (snapshot_term_t term; codec_list_next(&iterator, &term);) {
        if (term.term.size == 0 || term.term.size > TERM_BYTES_MAX) {
            return CAPSTAN_E_INVALID;
        }
        insert_term(ret_set, term.term);
    }
    return iterator.fault.err;
}

/* What the store has written: anything but a list of ascending terms is damage. */
static capstan_err_t read_stored(slice_t list, term_set_t *ret_set)
{
    capstan_err_t err = terms_read(list, ret_set);
    if (err || codec_list_count(list) != ret_set->count) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    return CAPSTAN_OK;
}

static capstan_err_t run_with_term(store_t *store, store_sql_t sql, uint64_t stream,
                                   const snapshot_entry_t *entry)
{
    bind_number(store->sql[sql], 1, stream);
    bind_bytes(store->sql[sql], 2, entry->term);
    bind_bytes(store->sql[sql], 3, entry->key);
    return store_run(store, sql);
}

static capstan_err_t stream_has_terms(store_t *store, uint64_t stream, bool *ret_has)
{
    bind_number(store->sql[SQL_terms_any], 1, stream);
    int step = sqlite3_step(store->sql[SQL_terms_any]);
    *ret_has = step == SQLITE_ROW;
    return store_finish(store, SQL_terms_any, step);
}

capstan_err_t terms_begin(store_t *store, uint64_t stream, term_writer_t *ret_writer)
{
    *ret_writer = (term_writer_t){.store = store, .stream = stream};
    return stream_has_terms(store, stream, &ret_writer->any);
}

/* Copies the list of the row as it is stored; empty when it has none, or is not there. */
static capstan_err_t read_before(term_writer_t *self, slice_t key)
{
    buffer_clear(&self->before);
    if (!self->any) {
        return CAPSTAN_OK;
    }
    sqlite3_stmt *statement = self->store->sql[SQL_terms_of];
    bind_number(statement, 1, self->stream);
    bind_bytes(statement, 2, key);
    int step = sqlite3_step(statement);
    if (step == SQLITE_ROW) {
        slice_t list = column_bytes(statement, 0);
        buffer_append(&self->before, list.data, list.size);
    }
    return store_finish(self->store, SQL_terms_of, step);
}

static void add_term(term_writer_t *self, slice_t term, slice_t key)
{
    if (self->added_count == self->added_capacity) {
        self->added_capacity = 2 * self->added_capacity + 64;
        self->added = realloc(self->added, self->added_capacity * sizeof *self->added);
        ENSURE(self->added);
    }
    self->added[self->added_count++] = (snapshot_entry_t){.term = term, .key = key};
}

/* A term is in one of two tables, mostly in the large one. */
static capstan_err_t delete_term(store_t *store, uint64_t stream, slice_t term, slice_t key)
{
    snapshot_entry_t entry = {.term = term, .key = key};
    capstan_err_t err = run_with_term(store, SQL_terms_delete_new, stream, &entry);
    if (err || sqlite3_changes(store->db) == 0) {
        return err ? err : run_with_term(store, SQL_terms_delete, stream, &entry);
    }
    store->terms_new -= store->terms_new > 0;
    return CAPSTAN_OK;
}

/* Walks both sets at once: what is in one only has changed. */
static capstan_err_t replace_set(term_writer_t *self, const term_set_t *before,
                                 const term_set_t *after, slice_t key)
{
    capstan_err_t err = CAPSTAN_OK;
    size_t i = 0;
    size_t j = 0;
    while (!err && (i < before->count || j < after->count)) {
        int order = i == before->count  ? 1
                    : j == after->count ? -1
                                        : order_bytes(before->terms[i], after->terms[j]);
        if (order > 0) {
            add_term(self, after->terms[j], key);
        } else if (order < 0) {
            err = delete_term(self->store, self->stream, before->terms[i], key);
        }
        i += order <= 0;
        j += order >= 0;
    }
    return err;
}

capstan_err_t terms_replace(term_writer_t *self, snapshot_row_t *row)
{
    if (!self->any && row->terms.size == 0) {
        return CAPSTAN_OK;
    }
    term_set_t before;
    term_set_t after;
    capstan_err_t err = read_before(self, row->key);
    err = err ? err : read_stored(buffer_slice(&self->before), &before);
    err = err ? err : terms_read(row->terms, &after);
    err = err ? err : replace_set(self, &before, &after, row->key);
    if (err) {
        return err;
    }
    buffer_clear(&self->after);
    if (after.count > 0) {
        codec_list_writer_t writer = codec_list_begin(&self->after);
        for (size_t i = 0; i < after.count; i++) {
            codec_list_add(&writer, snapshot_term_wire(),
                           &(snapshot_term_t){.term = after.terms[i]});
        }
        codec_list_end(&writer);
    }
    row->terms = buffer_slice(&self->after);
    return CAPSTAN_OK;
}

static int compare_entries(const void *a, const void *b)
{
    const snapshot_entry_t *x = a;
    const snapshot_entry_t *y = b;
    int order = order_bytes(x->term, y->term);
    return order != 0 ? order : order_bytes(x->key, y->key);
}

static bool begins_alike(slice_t a, slice_t b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    size_t alike = 0;
    while (alike < size && ((const uint8_t *)a.data)[alike] == ((const uint8_t *)b.data)[alike]) {
        alike++;
    }
    return 3 * alike > a.size;
}

/* Whether the entries are likely to be near each other in the table too. Random ones of a thousand
 * have their first two bytes in common; times, numbers and words most of them. A wrong guess costs
 * time, nothing else. */
static bool are_near(const snapshot_entry_t *a, const snapshot_entry_t *b)
{
    return slice_equal(a->term, b->term) ? begins_alike(a->key, b->key)
                                         : begins_alike(a->term, b->term);
}

static capstan_err_t put_new(term_writer_t *self, const snapshot_entry_t *entry)
{
    capstan_err_t err = run_with_term(self->store, SQL_terms_put_new, self->stream, entry);
    if (!err && self->store->terms_new >= 0) {
        self->store->terms_new += sqlite3_changes(self->store->db);
    }
    return err;
}

static capstan_err_t put_many(term_writer_t *self, const snapshot_entry_t *entries)
{
    sqlite3_stmt *statement = self->store->sql[SQL_terms_put_many];
    bind_number(statement, 1, self->stream);
    for (int i = 0; i < PUT_MANY; i++) {
        bind_bytes(statement, 2 + 2 * i, entries[i].term);
        bind_bytes(statement, 3 + 2 * i, entries[i].key);
    }
    return store_run(self->store, SQL_terms_put_many);
}

/* Writes those that stand alone, and puts the others together at the begin of the list. */
static capstan_err_t put_alone(term_writer_t *self)
{
    capstan_err_t err = CAPSTAN_OK;
    size_t kept = 0;
    bool near = false; /* the one at hand to the one before it */
    for (size_t i = 0; !err && i < self->added_count; i++) {
        snapshot_entry_t entry = self->added[i];
        bool near_next = i + 1 < self->added_count && are_near(&entry, &self->added[i + 1]);
        if (near || near_next) {
            self->added[kept++] = entry;
        } else {
            err = put_new(self, &entry);
        }
        near = near_next;
    }
    self->added_count = kept;
    return err;
}

static capstan_err_t put_added(term_writer_t *self)
{
    qsort(self->added, self->added_count, sizeof *self->added, compare_entries);
    capstan_err_t err = put_alone(self);
    size_t i = 0;
    for (; !err && i + PUT_MANY <= self->added_count; i += PUT_MANY) {
        err = put_many(self, &self->added[i]);
    }
    for (; !err && i < self->added_count; i++) {
        err = run_with_term(self->store, SQL_terms_put, self->stream, &self->added[i]);
    }
    return err;
}

static capstan_err_t count_new(store_t *self)
{
    if (self->terms_new >= 0) {
        return CAPSTAN_OK;
    }
    int step = sqlite3_step(self->sql[SQL_terms_count_new]);
    int64_t count = sqlite3_column_int64(self->sql[SQL_terms_count_new], 0);
    capstan_err_t err = store_finish(self, SQL_terms_count_new, step);
    self->terms_new = err ? -1 : count;
    return err;
}

static void bind_place(sqlite3_stmt *statement, int index, uint64_t stream, const buffer_t *term,
                       const buffer_t *key)
{
    bind_number(statement, index, stream);
    bind_bytes(statement, index + 1, buffer_slice(term));
    bind_bytes(statement, index + 2, buffer_slice(key));
}

/* Finds the end of the stretch of `count` terms behind the last one moved; in `*ret_stream` 0:
 * there are not so many behind it. */
static capstan_err_t stretch_end(store_t *self, int64_t count, uint64_t *ret_stream, buffer_t *term,
                                 buffer_t *key)
{
    sqlite3_stmt *statement = self->sql[SQL_terms_move_end];
    bind_place(statement, 1, self->move_stream, &self->move_term, &self->move_key);
    sqlite3_bind_int64(statement, 4, count);
    int step = sqlite3_step(statement);
    *ret_stream = 0;
    if (step == SQLITE_ROW) {
        *ret_stream = column_number(statement, 0);
        slice_t found = column_bytes(statement, 1);
        buffer_append(term, found.data, found.size);
        found = column_bytes(statement, 2);
        buffer_append(key, found.data, found.size);
    }
    return store_finish(self, SQL_terms_move_end, step);
}

/* Moves the next stretch when too many wait; it begins where the last one ended, so that each page
 * of the large table has its turn. Near the end of the order it begins anew. */
static capstan_err_t move_new(store_t *self)
{
    capstan_err_t err = count_new(self);
    if (err || self->terms_new <= NEW_MAX) {
        return err;
    }
    buffer_t term = {0};
    buffer_t key = {0};
    uint64_t stream = 0;
    int64_t count = self->terms_new - NEW_MAX + MOVE_MIN;
    err = stretch_end(self, count, &stream, &term, &key);
    if (!err && stream == 0) {
        self->move_stream = 0;
        err = stretch_end(self, count, &stream, &term, &key);
    }
    static const store_sql_t moves[] = {SQL_terms_move, SQL_terms_move_delete};
    for (size_t i = 0; !err && stream != 0 && i < sizeof moves / sizeof moves[0]; i++) {
        bind_place(self->sql[moves[i]], 1, self->move_stream, &self->move_term, &self->move_key);
        bind_place(self->sql[moves[i]], 4, stream, &term, &key);
        err = store_run(self, moves[i]);
    }
    self->terms_new = err ? -1 : self->terms_new - sqlite3_changes(self->db);
    self->move_stream = stream;
    buffer_fini(&self->move_term);
    buffer_fini(&self->move_key);
    self->move_term = term;
    self->move_key = key;
    return err;
}

capstan_err_t terms_end(term_writer_t *self, capstan_err_t err)
{
    if (!err && self->added_count > 0) {
        err = put_added(self);
        err = err ? err : move_new(self->store);
    }
    if (err && !self->store->failed) {
        self->store->failed = err; /* a part of it was written: nothing of it may stay */
    }
    free(self->added);
    buffer_fini(&self->before);
    buffer_fini(&self->after);
    return err;
}

capstan_err_t terms_remove(store_t *self, uint64_t stream, int rows_max)
{
    sqlite3_stmt *statement = self->sql[SQL_remove_first];
    bind_number(statement, 1, stream);
    sqlite3_bind_int(statement, 2, rows_max);
    capstan_err_t fault = CAPSTAN_OK;
    int step = SQLITE_ROW;
    while (!fault && (step = sqlite3_step(statement)) == SQLITE_ROW) {
        term_set_t set;
        slice_t key = column_bytes(statement, 0);
        fault = read_stored(column_bytes(statement, 1), &set);
        for (size_t i = 0; !fault && i < set.count; i++) {
            fault = delete_term(self, stream, set.terms[i], key);
        }
    }
    capstan_err_t err = store_finish(self, SQL_remove_first, step);
    err = err ? err : fault;
    if (err && !self->failed) {
        self->failed = err;
    }
    return err;
}
