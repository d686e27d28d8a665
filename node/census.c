#include "node/census.h"

#include "runtime/base/ensure.h"
#include "runtime/base/map.h"

#include <stdlib.h>
#include <string.h>

typedef struct row {
    char name[64];
    char cell[32];
    capstan_ref_t ref; /* of the first of a group */
    uint64_t count;
    mailbox_account_t account;
    uint64_t in_flight;
    uint64_t restarts;
    int64_t age_us; /* the greatest */
    uint64_t busy_ns;
    uint64_t runs;
    uint64_t weight; /* what it is ordered by */
} row_t;

/* A kept row is in one of two places:
 *
 *   grouped   groups: name and cell -> row, at most CENSUS_GROUPS_MAX; rows: all of them, in the
 * end each      rows: a heap of at most `limit`, the one that is ordered last on top */
struct census {
    census_options_t options;
    map_t groups;
    row_t **rows;
    size_t row_count;
    row_t total;
};

census_t *census_new(const census_options_t *options)
{
    census_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->options = *options;
    if (self->options.limit == 0) {
        self->options.limit = CENSUS_ROWS;
    } else if (self->options.limit > CENSUS_ROWS_MAX) {
        self->options.limit = CENSUS_ROWS_MAX;
    }
    self->rows = calloc(CENSUS_GROUPS_MAX, sizeof(row_t *));
    ENSURE(self->rows);
    return self;
}

void census_destroy(census_t **self_p)
{
    census_t *self = *self_p;
    if (!self) {
        return;
    }
    for (size_t i = 0; i < self->row_count; i++) {
        free(self->rows[i]);
    }
    map_fini(&self->groups);
    free(self->rows);
    free(self);
    *self_p = NULL;
}

/* --- order ----------------------------------------------------------------------------------- */

static uint64_t weight_of(uint64_t sort, const row_t *row)
{
    switch (sort) {
    case ACTOR_SORT_depth:
        return row->in_flight;
    case ACTOR_SORT_age:
        return (uint64_t)row->age_us;
    case ACTOR_SORT_turn:
        return row->runs > 0 ? row->busy_ns / row->runs : 0;
    case ACTOR_SORT_busy:
        return row->busy_ns;
    case ACTOR_SORT_dropped:
        return row->account.dropped_all;
    case ACTOR_SORT_restarts:
        return row->restarts;
    case ACTOR_SORT_name:
        return 0;
    default:
        return row->account.delivered;
    }
}

/* Negative: a comes first. Rows of one weight are in the order of their names, cells and places. */
static int compare_rows(const row_t *a, const row_t *b)
{
    if (a->weight != b->weight) {
        return a->weight > b->weight ? -1 : 1;
    }
    int order = strcmp(a->name, b->name);
    order = order != 0 ? order : strcmp(a->cell, b->cell);
    return order != 0 ? order : a->ref.slot < b->ref.slot ? -1 : a->ref.slot > b->ref.slot;
}

static int compare(const void *a, const void *b)
{
    return compare_rows(*(row_t *const *)a, *(row_t *const *)b);
}

/* Lets the row at `place` sink to where both below it come before it. */
static void sink(row_t **heap, size_t count, size_t place)
{
    for (size_t last; (last = 2 * place + 1) < count; place = last) {
        if (last + 1 < count && compare_rows(heap[last + 1], heap[last]) > 0) {
            last++;
        }
        if (compare_rows(heap[place], heap[last]) >= 0) {
            return;
        }
        row_t *row = heap[place];
        heap[place] = heap[last];
        heap[last] = row;
    }
}

/* --- adding ---------------------------------------------------------------------------------- */

static void add_figures(row_t *row, const actor_figures_t *figures)
{
    row->count++;
    row->account.sent += figures->account.sent;
    row->account.delivered += figures->account.delivered;
    row->account.refused += figures->account.refused;
    row->account.dropped_all += figures->account.dropped_all;
    for (size_t i = 0; i < DROP_COUNT; i++) {
        row->account.dropped[i] += figures->account.dropped[i];
    }
    row->in_flight += figures->in_flight;
    row->restarts += figures->restarts;
    row->age_us = figures->age_us > row->age_us ? figures->age_us : row->age_us;
    row->busy_ns += figures->busy_ns;
    row->runs += figures->runs;
}

static void begin_row(row_t *row, const actor_figures_t *figures)
{
    memset(row, 0, sizeof *row);
    snprintf(row->name, sizeof row->name, "%s", figures->name);
    snprintf(row->cell, sizeof row->cell, "%s", figures->cell);
    row->ref = figures->ref;
}

static row_t *copy_of(const row_t *row)
{
    row_t *copy = malloc(sizeof *copy);
    ENSURE(copy);
    *copy = *row;
    return copy;
}

static void add_each(census_t *self, const actor_figures_t *figures)
{
    row_t row;
    begin_row(&row, figures);
    add_figures(&row, figures);
    row.weight = weight_of(self->options.sort, &row);
    if (self->row_count < self->options.limit) {
        self->rows[self->row_count++] = copy_of(&row);
        if (self->row_count == self->options.limit) {
            for (size_t i = self->row_count / 2; i > 0; i--) {
                sink(self->rows, self->row_count, i - 1);
            }
        }
    } else if (compare_rows(&row, self->rows[0]) < 0) {
        *self->rows[0] = row;
        sink(self->rows, self->row_count, 0);
    }
}

static bool is_group(const void *value, const void *wanted)
{
    const row_t *row = value;
    const actor_figures_t *figures = wanted;
    return strncmp(row->name, figures->name, sizeof row->name - 1) == 0 &&
           strncmp(row->cell, figures->cell, sizeof row->cell - 1) == 0;
}

static void add_to_group(census_t *self, const actor_figures_t *figures)
{
    /* The names are the program's own, so the seed need not be secret. */
    static const uint8_t seed[16];
    uint64_t hash =
        siphash13(seed, siphash13(seed, 0, slice_text(figures->cell)), slice_text(figures->name));
    row_t *row = map_find(&self->groups, hash, is_group, figures);
    if (!row && self->row_count < CENSUS_GROUPS_MAX) {
        row_t first;
        begin_row(&first, figures);
        row = copy_of(&first);
        map_add(&self->groups, hash, row);
        self->rows[self->row_count++] = row;
    }
    if (row) {
        add_figures(row, figures);
    }
}

void census_add(void *context, const actor_figures_t *figures)
{
    census_t *self = context;
    add_figures(&self->total, figures);
    if (self->options.each) {
        add_each(self, figures);
    } else {
        add_to_group(self, figures);
    }
}

/* --- telling --------------------------------------------------------------------------------- */

static void emit_figure(json_writer_t *json, const char *name, uint64_t value)
{
    emit_key(json, name);
    emit_uint(json, value);
}

/* The balance: sent = delivered + dropped + in_flight. */
static void emit_account(json_writer_t *json, const row_t *row)
{
    emit_figure(json, "sent", row->account.sent);
    emit_figure(json, "delivered", row->account.delivered);
    emit_figure(json, "dropped", row->account.dropped_all);
    emit_figure(json, "in_flight", row->in_flight);
    emit_figure(json, "refused", row->account.refused);
    emit_figure(json, "restarts", row->restarts);
    emit_figure(json, "age_us", (uint64_t)row->age_us);
}

static void emit_drops(json_writer_t *json, const row_t *row)
{
    emit_key(json, "dropped_by");
    emit_object_begin(json);
    for (size_t i = 0; i < DROP_COUNT; i++) {
        if (row->account.dropped[i] > 0) {
            emit_figure(json, drop_reason_name((drop_reason_t)i), row->account.dropped[i]);
        }
    }
    emit_object_end(json);
}

static void emit_row(const census_t *self, json_writer_t *json, const row_t *row)
{
    emit_object_begin(json);
    emit_key(json, "name");
    emit_string(json, row->name);
    emit_key(json, "cell");
    emit_string(json, row->cell);
    if (self->options.each) {
        emit_figure(json, "slot", row->ref.slot);
        emit_figure(json, "generation", row->ref.generation);
    } else {
        emit_figure(json, "count", row->count);
    }
    emit_account(json, row);
    if (self->options.with_times) {
        emit_figure(json, "busy_ns", row->busy_ns);
        emit_figure(json, "runs", row->runs);
    }
    emit_drops(json, row);
    emit_object_end(json);
}

void census_emit(census_t *self, json_writer_t *json)
{
    for (size_t i = 0; i < self->row_count; i++) {
        self->rows[i]->weight = weight_of(self->options.sort, self->rows[i]);
    }
    qsort(self->rows, self->row_count, sizeof(row_t *), compare);
    uint64_t shown = 0;
    emit_key(json, "actors");
    emit_array_begin(json);
    for (size_t i = 0; i < self->row_count && i < self->options.limit; i++) {
        emit_row(self, json, self->rows[i]);
        shown += self->rows[i]->count;
    }
    emit_array_end(json);
    emit_key(json, "actors_total");
    emit_object_begin(json);
    emit_figure(json, "count", self->total.count);
    emit_figure(json, "hidden", self->total.count - shown);
    emit_account(json, &self->total);
    emit_drops(json, &self->total);
    emit_object_end(json);
}
