/* Lists, counts, and operations on all that fit: read from the rows, page by page, once a pass has
 * brought these up to date. */
#include "actors/saga/saga_shell.h"

#include "runtime/base/ensure.h"
#include "runtime/runtime.h"

#include <stdlib.h>

enum {
    BY_MAX = 3,
    PAGE_ROWS = 200, /* read at a time */
};
/* Numbers ascend with the time of the start, as far as the clock does not go back. */
#define CLOCK_STEP_US (INT64_C(3600) * 1000000)

/* --- a query --------------------------------------------------------------------------------- */

static void query_free(query_t *query)
{
    buffer_fini(&query->body);
    buffer_fini(&query->list);
    buffer_fini(&query->next_term);
    buffer_fini(&query->next_key);
    free(query->sums);
    free(query);
}

static void unlink_query(queries_t *self, const query_t *query)
{
    query_t **place = &self->first;
    while (*place != query) {
        place = &(*place)->next;
    }
    *place = query->next;
    self->count--;
}

static void refuse(saga_shell_t *self, query_t *query, capstan_err_t err)
{
    unlink_query(&self->queries, query);
    self->lookups.reads -= query->ask != 0 && query->reads;
    shell_refuse(self, &query->request, err, NULL);
    query_free(query);
}

/* The filter points into the copy of the request. `rows_max` 0: it counts. */
static void query_add(saga_shell_t *self, const capstan_message_t *message, query_kind_t kind,
                      query_t wanted, slice_t filter)
{
    queries_t *queries = &self->queries;
    const char *wrong = filter_read(filter, &wanted.filter);
    if (wrong || queries->count >= QUERIES_MAX) {
        shell_refuse(self, message, wrong ? CAPSTAN_E_INVALID : CAPSTAN_E_LIMIT, wrong);
        return;
    }
    query_t *query = malloc(sizeof *query);
    ENSURE(query);
    *query = wanted;
    query->kind = kind;
    query->request = *message;
    buffer_append(&query->body, message->body.data, message->body.size);
    query->request.body = buffer_slice(&query->body);
    size_t at = (size_t)((const uint8_t *)filter.data - (const uint8_t *)message->body.data);
    wrong = filter_read(filter.size > 0 ? slice_of(query->body.data + at, filter.size) : filter,
                        &query->filter);
    ENSURE(!wrong);
    query->writer = codec_list_begin(&query->list);
    query->pass = rows_want(self);
    query->next = queries->first;
    queries->first = query;
    queries->count++;
    queries_go_on(self); /* when nothing has happened since the last pass */
}

void queries_list(saga_shell_t *self, const capstan_message_t *message)
{
    saga_list_t request;
    capstan_err_t err = codec_decode(saga_list_wire(), message->body, &request, NULL);
    if (err != CAPSTAN_OK || request.count_max > QUERY_ROWS_MAX) {
        shell_refuse(self, message, err ? err : CAPSTAN_E_INVALID,
                     err ? NULL : "count_max: 1 to 1000");
        return;
    }
    uint64_t rows_max = request.count_max > 0 ? request.count_max : QUERY_ROWS_USUAL;
    query_add(self, message, QUERY_LIST, (query_t){.rows_max = rows_max, .before = request.before},
              request.filter);
}

void queries_count(saga_shell_t *self, const capstan_message_t *message)
{
    saga_count_t request;
    capstan_err_t err = codec_decode(saga_count_wire(), message->body, &request, NULL);
    if (err != CAPSTAN_OK || request.by > BY_MAX) {
        shell_refuse(self, message, err ? err : CAPSTAN_E_INVALID, err ? NULL : "by: 1 to 3");
        return;
    }
    query_add(self, message, QUERY_COUNT, (query_t){.by = request.by, .rows_max = UINT64_MAX},
              request.filter);
}

void queries_operate(saga_shell_t *self, const capstan_message_t *message)
{
    saga_operate_t request;
    capstan_err_t err = codec_decode(saga_operate_wire(), message->body, &request, NULL);
    const char *wrong = err == CAPSTAN_OK ? operation_fault(&request) : NULL;
    if (err == CAPSTAN_OK && !wrong && request.filter.size == 0) {
        wrong = "id, or filter: which sagas";
    }
    if (err != CAPSTAN_OK || wrong) {
        shell_refuse(self, message, err ? err : CAPSTAN_E_INVALID, wrong);
        return;
    }
    query_add(self, message, QUERY_OPERATE, (query_t){.rows_max = QUERY_ROWS_MAX, .reads = true},
              request.filter);
}

/* --- asking ---------------------------------------------------------------------------------- */

static bool counts_terms(const query_t *query)
{
    return query->kind == QUERY_COUNT && !filter_wants_rows(&query->filter);
}

static uint64_t ask_rows(saga_shell_t *self, const query_t *query)
{
    uint8_t key[ROW_KEY_SIZE];
    buffer_t terms = {0};
    row_key(ROW_SAGA, query->before, key);
    filter_terms(&query->filter, &terms);
    uint64_t correlation = shell_ask(
        self, self->reader, snapshot_find_wire(),
        &(snapshot_find_t){.stream = self->stream,
                           .terms = buffer_slice(&terms),
                           .before = query->before > 0 ? slice_of(key, sizeof key) : (slice_t){0},
                           .descending = true,
                           .count_max = PAGE_ROWS,
                           .bytes_max = SAGA_PAGE_BYTES});
    buffer_fini(&terms);
    return correlation;
}

static void ask(saga_shell_t *self, query_t *query)
{
    query->ask = counts_terms(query) ? sums_ask(self, query) : ask_rows(self, query);
    self->lookups.reads += query->ask != 0 && query->reads;
    if (query->ask == 0) {
        refuse(self, query, CAPSTAN_E_UNAVAILABLE);
    }
}

void queries_go_on(saga_shell_t *self)
{
    for (query_t *query = self->queries.first, *next; query; query = next) {
        next = query->next;
        if (query->ask == 0 && rows_have(self, query->pass)) {
            ask(self, query);
        }
    }
}

/* --- answering ------------------------------------------------------------------------------- */

static void reply(saga_shell_t *self, query_t *query, bool more)
{
    buffer_t body = {0};
    uint32_t message = MESSAGE_saga_counts;
    codec_list_end(&query->writer);
    slice_t list = buffer_slice(&query->list);
    if (query->kind == QUERY_LIST) {
        message = MESSAGE_saga_page;
        codec_encode(saga_page_wire(),
                     &(saga_page_t){.sagas = list, .before = more ? query->before : 0}, &body);
    } else if (query->kind == QUERY_OPERATE) {
        message = MESSAGE_saga_operated;
        codec_encode(saga_operated_wire(), &(saga_operated_t){.sagas = list, .more = more}, &body);
    } else {
        sums_encode(query, &body);
    }
    owed_add(&self->owed,
             &(owed_item_t){.kind = OWED_REPLY,
                            .lsn = self->lsn_next,
                            .to = query->request.sender,
                            .correlation = query->request.correlation,
                            .message = message},
             buffer_slice(&body));
    buffer_fini(&body);
    unlink_query(&self->queries, query);
    query_free(query);
}

capstan_err_t row_of_state(const saga_shell_t *self, slice_t state, saga_row_t *ret_row)
{
    saga_state_t row;
    saga_begin_t begin;
    if (codec_decode(saga_state_wire(), state, &row, NULL) != CAPSTAN_OK ||
        codec_decode(saga_begin_wire(), row.begin, &begin, NULL) != CAPSTAN_OK) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    *ret_row = (saga_row_t){
        .id = begin.id,
        .number = begin.number,
        .definition = begin.definition,
        .version = begin.version,
        .state = row.state,
        .outcome = row.outcome,
        .reason = row.reason,
        .key = begin.key,
        .started_us = begin.at_us,
        .ended_us = row.ended_us,
        .paused = row.paused,
        .absent = !coordinator_plan(self->core, begin.definition, begin.version),
    };
    return CAPSTAN_OK;
}

/* One that is in memory is moved on by what is there, not by its row. */
static void operate(saga_shell_t *self, query_t *query, const snapshot_row_t *row)
{
    saga_operate_t request;
    uint64_t number = 0;
    uint64_t count = 0;
    buffer_t rows = {0};
    capstan_err_t err = codec_decode(saga_operate_wire(), query->request.body, &request, NULL);
    ENSURE(err == CAPSTAN_OK);
    codec_list_writer_t list = codec_list_begin(&rows);
    codec_list_add(&list, snapshot_row_wire(), row);
    codec_list_end(&list);
    (void)row_number(row->key, &number);
    err = lookup_load(self, buffer_slice(&rows), &count);
    const saga_t *saga = coordinator_get(self->core, number);
    if (saga) {
        operations_apply(self, &request, saga, &query->writer);
    }
    buffer_fini(&rows);
    (void)err; /* a row that is damaged has been told of, and is left alone */
}

/* False: the query wants nothing more. */
static bool take_row(saga_shell_t *self, query_t *query, const snapshot_row_t *row)
{
    saga_row_t shown;
    int64_t since_us = query->filter.since_us;
    if (row_of_state(self, row->value, &shown) != CAPSTAN_OK) {
        return true;
    }
    if (since_us > 0 && shown.started_us < since_us - CLOCK_STEP_US) {
        return false;
    }
    if (!filter_fits(&query->filter, row->terms, shown.started_us)) {
        return true;
    }
    query->rows++;
    if (query->kind == QUERY_LIST) {
        codec_list_add(&query->writer, saga_row_wire(), &shown);
    } else if (query->kind == QUERY_OPERATE) {
        operate(self, query, row);
    } else {
        sums_add_row(query, &shown);
    }
    return true;
}

static void on_rows(saga_shell_t *self, query_t *query, const capstan_message_t *message)
{
    snapshot_rows_t rows;
    codec_list_t list;
    snapshot_row_t row;
    capstan_err_t err = codec_decode(snapshot_rows_wire(), message->body, &rows, NULL);
    err = err ? err : codec_list_open(snapshot_row_wire(), rows.rows, &list);
    if (err != CAPSTAN_OK) {
        refuse(self, query, CAPSTAN_E_STORE_CORRUPT);
        return;
    }
    while (codec_list_next(&list, &row)) {
        bool full = query->rows == query->rows_max || query->list.size > SAGA_PAGE_BYTES;
        if (full || !take_row(self, query, &row)) {
            reply(self, query, full);
            return;
        }
        (void)row_number(row.key, &query->before);
    }
    if (rows.end) {
        reply(self, query, false);
        return;
    }
    (void)row_number(rows.next, &query->before);
    ask(self, query);
}

static void on_counts(saga_shell_t *self, query_t *query, const capstan_message_t *message)
{
    bool end = true;
    capstan_err_t err = sums_take(query, message->body, &end);
    if (err != CAPSTAN_OK) {
        refuse(self, query, err);
    } else if (end) {
        reply(self, query, false);
    } else {
        ask(self, query);
    }
}

bool queries_answer(saga_shell_t *self, const capstan_message_t *message)
{
    query_t *query = self->queries.first;
    while (query && (query->ask == 0 || query->ask != message->correlation)) {
        query = query->next;
    }
    if (!query) {
        return false;
    }
    self->lookups.reads -= query->reads;
    query->ask = 0;
    if (message->message == MESSAGE_snapshot_rows) {
        on_rows(self, query, message);
    } else if (message->message == MESSAGE_snapshot_counts) {
        on_counts(self, query, message);
    } else {
        refuse(self, query, CAPSTAN_E_UNAVAILABLE);
    }
    return true;
}

/* --- the end --------------------------------------------------------------------------------- */

void queries_cancel(saga_shell_t *self, capstan_ref_t sender, uint64_t correlation)
{
    for (query_t *query = self->queries.first; query; query = query->next) {
        if (query->request.correlation == correlation &&
            capstan_ref_equal(query->request.sender, sender)) {
            capstan_cancel(self->self, query->ask);
            self->lookups.reads -= query->ask != 0 && query->reads;
            unlink_query(&self->queries, query);
            query_free(query);
            return;
        }
    }
}

void queries_refuse(saga_shell_t *self, capstan_err_t err)
{
    while (self->queries.first) {
        capstan_cancel(self->self, self->queries.first->ask);
        refuse(self, self->queries.first, err);
    }
}

void queries_fini(queries_t *self)
{
    while (self->first) {
        query_t *query = self->first;
        self->first = query->next;
        query_free(query);
    }
    self->count = 0;
}
