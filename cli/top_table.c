#include "cli/top_table.h"

#include "runtime/base/ensure.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_WIDTH_MIN = 8 };

/* --- reading a report ------------------------------------------------------------------------ */

static uint64_t number(const json_t *object, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(object, name));
    return value > 0 ? (uint64_t)value : 0;
}

static void text(const json_t *object, const char *name, char *ret_text, size_t size)
{
    const char *value = json_string_value(json_object_get(object, name));
    snprintf(ret_text, size, "%s", value ? value : "?");
}

static void read_row(const json_t *object, top_row_t *row)
{
    *row = (top_row_t){
        .slot = number(object, "slot"),
        .generation = number(object, "generation"),
        .count = json_object_get(object, "count") ? number(object, "count") : 1,
        .delivered = number(object, "delivered"),
        .depth = number(object, "in_flight"),
        .age_us = (int64_t)number(object, "age_us"),
        .busy_ns = number(object, "busy_ns"),
        .runs = number(object, "runs"),
        .dropped = number(object, "dropped"),
        .restarts = number(object, "restarts"),
        .rate = -1,
        .turn_us = -1,
        .busy = -1,
    };
    text(object, "name", row->name, sizeof row->name);
    text(object, "cell", row->cell, sizeof row->cell);
}

static int compare_identity(const void *a, const void *b)
{
    const top_row_t *x = a;
    const top_row_t *y = b;
    int order = strcmp(x->name, y->name);
    order = order != 0 ? order : strcmp(x->cell, y->cell);
    order = order != 0 ? order : x->slot < y->slot ? -1 : x->slot > y->slot;
    return order != 0 ? order : x->generation < y->generation ? -1 : x->generation > y->generation;
}

/* What has grown; a group of which some have ended may have shrunk. */
static uint64_t growth(uint64_t before, uint64_t now)
{
    return now > before ? now - before : 0;
}

static void compare_with(top_row_t *row, const top_row_t *before, int64_t elapsed_us)
{
    double seconds = (double)elapsed_us / 1e6;
    uint64_t runs = growth(before->runs, row->runs);
    uint64_t busy_ns = growth(before->busy_ns, row->busy_ns);
    row->rate = (double)growth(before->delivered, row->delivered) / seconds;
    row->busy = (double)busy_ns / 1e9 / seconds;
    row->turn_us = runs > 0 ? (double)busy_ns / 1e3 / (double)runs : -1;
}

capstan_err_t top_table_take(top_table_t *self, const json_t *report)
{
    const json_t *actors = json_object_get(report, "actors");
    const json_t *total = json_object_get(report, "actors_total");
    if (!json_is_array(actors) || !json_is_object(total)) {
        return CAPSTAN_E_MALFORMED;
    }
    top_table_t next = {.count = json_array_size(actors),
                        .uptime_us = (int64_t)number(report, "uptime_us"),
                        .hidden = number(total, "hidden")};
    next.rows = calloc(next.count + 1, sizeof *next.rows);
    ENSURE(next.rows);
    text(report, "name", next.node, sizeof next.node);
    read_row(total, &next.total);
    int64_t elapsed_us = next.uptime_us - self->uptime_us;
    bool follows = self->rows && elapsed_us > 0;
    if (self->rows) {
        qsort(self->rows, self->count, sizeof *self->rows, compare_identity);
    }
    for (size_t i = 0; i < next.count; i++) {
        top_row_t *row = &next.rows[i];
        read_row(json_array_get(actors, i), row);
        next.each |= row->generation > 0;
        const top_row_t *before =
            follows ? bsearch(row, self->rows, self->count, sizeof *row, compare_identity) : NULL;
        if (before) {
            compare_with(row, before, elapsed_us);
        }
    }
    if (follows) {
        compare_with(&next.total, &self->total, elapsed_us);
    }
    free(self->rows);
    *self = next;
    return CAPSTAN_OK;
}

void top_table_fini(top_table_t *self)
{
    free(self->rows);
    *self = (top_table_t){0};
}

/* --- order ----------------------------------------------------------------------------------- */

static double figure_of(const top_row_t *row, actor_sort_t sort)
{
    switch (sort) {
    case ACTOR_SORT_depth:
        return (double)row->depth;
    case ACTOR_SORT_age:
        return (double)row->age_us;
    case ACTOR_SORT_turn:
        return row->turn_us;
    case ACTOR_SORT_busy:
        return row->busy;
    case ACTOR_SORT_dropped:
        return (double)row->dropped;
    case ACTOR_SORT_restarts:
        return (double)row->restarts;
    case ACTOR_SORT_name:
        return 0;
    case ACTOR_SORT_rate:
        break;
    }
    return row->rate;
}

typedef struct ordered {
    double figure;
    top_row_t row;
} ordered_t;

static int compare_ordered(const void *a, const void *b)
{
    const ordered_t *x = a;
    const ordered_t *y = b;
    if (x->figure != y->figure) {
        return x->figure > y->figure ? -1 : 1;
    }
    return compare_identity(&x->row, &y->row);
}

void top_table_sort(top_table_t *self, actor_sort_t sort)
{
    ordered_t *ordered = calloc(self->count + 1, sizeof *ordered);
    ENSURE(ordered);
    for (size_t i = 0; i < self->count; i++) {
        ordered[i] = (ordered_t){figure_of(&self->rows[i], sort), self->rows[i]};
    }
    qsort(ordered, self->count, sizeof *ordered, compare_ordered);
    for (size_t i = 0; i < self->count; i++) {
        self->rows[i] = ordered[i].row;
    }
    free(ordered);
}

/* --- figures of five characters at most ------------------------------------------------------ */

typedef struct figure {
    char text[24];
} figure_t;

static figure_t short_number(double value)
{
    static const char units[] = "kMGTPE";
    figure_t figure = {"-"};
    if (value < 0) {
        return figure;
    }
    if (value < 9999.5) {
        snprintf(figure.text, sizeof figure.text,
                 value < 9.95 && value != (double)(int)value ? "%.1f" : "%.0f", value);
        return figure;
    }
    size_t unit = 0;
    for (value /= 1000; value >= 999.5 && unit + 1 < sizeof units - 1; unit++) {
        value /= 1000;
    }
    snprintf(figure.text, sizeof figure.text, value < 99.95 ? "%.1f%c" : "%.0f%c", value,
             units[unit]);
    return figure;
}

static figure_t short_duration(double us)
{
    static const struct {
        double us;
        const char *unit;
    } units[] = {{1, "us"}, {1e3, "ms"}, {1e6, "s"}, {60e6, "m"}, {3600e6, "h"}, {86400e6, "d"}};
    figure_t figure = {"-"};
    if (us < 0) {
        return figure;
    }
    size_t unit = 0;
    while (unit + 1 < sizeof units / sizeof units[0] && us >= 0.9995 * units[unit + 1].us) {
        unit++;
    }
    double value = us / units[unit].us;
    snprintf(figure.text, sizeof figure.text, value < 9.95 && us > 0 ? "%.1f%s" : "%.0f%s", value,
             units[unit].unit);
    return figure;
}

static figure_t percent(double share)
{
    figure_t figure = {"-"};
    if (share >= 0) {
        snprintf(figure.text, sizeof figure.text, share < 0.0995 ? "%.1f%%" : "%.0f%%",
                 share * 100);
    }
    return figure;
}

/* --- lines ----------------------------------------------------------------------------------- */

typedef struct lines {
    buffer_t *out;
    size_t width;
    size_t left;
} lines_t;

/* Cuts at the width; what would steer a terminal is escaped before. */
static void add_line(lines_t *lines, const char *line)
{
    if (lines->left == 0) {
        return;
    }
    lines->left--;
    buffer_t safe = {0};
    emit_escaped(&safe, slice_text(line));
    size_t size = safe.size < lines->width ? safe.size : lines->width;
    while (size < safe.size && size > 0 && (safe.data[size] & 0xc0) == 0x80) {
        size--; /* not within a character */
    }
    buffer_append(lines->out, safe.data, size);
    buffer_append(lines->out, "\n", 1);
    buffer_fini(&safe);
}

static void add_title(lines_t *lines, const top_table_t *self)
{
    char line[512];
    snprintf(line, sizeof line, "%s  up %s  actors %s  msg/s %s  in flight %s  dropped %s",
             self->node, short_duration((double)self->uptime_us).text,
             short_number((double)self->total.count).text, short_number(self->total.rate).text,
             short_number((double)self->total.depth).text,
             short_number((double)self->total.dropped).text);
    add_line(lines, line);
}

/* What is chosen stands in brackets. */
static void add_keys(lines_t *lines, actor_sort_t sort, bool each)
{
    char line[512];
    size_t size = 0;
#define ACTOR_SORT(number, name, key, meaning)                                                     \
    size += (size_t)snprintf(line + size, sizeof line - size,                                      \
                             sort == ACTOR_SORT_##name ? "[%c %s] " : "%c %s ", key, #name);
#include "node/actor_sorts.def"
#undef ACTOR_SORT
    snprintf(line + size, sizeof line - size, each ? "[e each] q end" : "e each q end");
    add_line(lines, line);
}

#define FIGURES "%5s %-14.14s %5s %5s %5s %5s %4s %5s %5s"
enum { FIGURES_WIDTH = 7 * 5 + 14 + 4 + 8 };

/* What the figures leave of the line, or what the names need. */
static int name_width(const lines_t *lines, const top_table_t *self)
{
    if (lines->width < SIZE_MAX) {
        return lines->width > FIGURES_WIDTH + 1 + NAME_WIDTH_MIN
                   ? (int)lines->width - FIGURES_WIDTH - 1
                   : NAME_WIDTH_MIN;
    }
    int width = NAME_WIDTH_MIN;
    for (size_t i = 0; i < self->count; i++) {
        int own = (int)strlen(self->rows[i].name);
        width = own > width ? own : width;
    }
    return width;
}

static void add_heading(lines_t *lines, const top_table_t *self, int width)
{
    char line[512];
    snprintf(line, sizeof line, "%-*s " FIGURES, width, "NAME", self->each ? "SLOT" : "N", "CELL",
             "MSG/S", "DEPTH", "AGE", "TURN", "BUSY", "DROPS", "RST");
    add_line(lines, line);
}

static void add_row(lines_t *lines, const top_table_t *self, int width, const top_row_t *row)
{
    char line[512];
    snprintf(line, sizeof line, "%-*.*s " FIGURES, width, width, row->name,
             short_number((double)(self->each ? row->slot : row->count)).text, row->cell,
             short_number(row->rate).text, short_number((double)row->depth).text,
             row->depth > 0 ? short_duration((double)row->age_us).text : "-",
             short_duration(row->turn_us).text, percent(row->busy).text,
             short_number((double)row->dropped).text, short_number((double)row->restarts).text);
    add_line(lines, line);
}

static void add_rest(lines_t *lines, uint64_t count, const char *what)
{
    char line[128];
    snprintf(line, sizeof line, "... and %" PRIu64 " more %s", count, what);
    add_line(lines, line);
}

void top_table_print(const top_table_t *self, const top_view_t *view, buffer_t *out)
{
    lines_t lines = {.out = out,
                     .width = view->width > 0 ? view->width : SIZE_MAX,
                     .left = view->lines > 0 ? view->lines : SIZE_MAX};
    add_title(&lines, self);
    if (view->keys) {
        add_keys(&lines, view->sort, self->each);
    }
    int width = name_width(&lines, self);
    add_heading(&lines, self, width);
    for (size_t i = 0; i < self->count; i++) {
        size_t rest = self->count - i;
        if (lines.left == 1 && (rest > 1 || self->hidden > 0)) {
            add_rest(&lines, rest, "rows");
            return;
        }
        add_row(&lines, self, width, &self->rows[i]);
    }
    if (self->hidden > 0) {
        add_rest(&lines, self->hidden, "actors");
    }
}

/* --- for programs ---------------------------------------------------------------------------- */

static void emit_figure(json_writer_t *json, const char *name, double value)
{
    emit_key(json, name);
    if (value < 0) {
        emit_null(json);
    } else {
        emit_double(json, value);
    }
}

static void emit_count(json_writer_t *json, const char *name, uint64_t value)
{
    emit_key(json, name);
    emit_uint(json, value);
}

static void emit_figures(json_writer_t *json, const top_row_t *row)
{
    emit_figure(json, "rate", row->rate);
    emit_count(json, "depth", row->depth);
    emit_count(json, "age_us", (uint64_t)row->age_us);
    emit_figure(json, "turn_us", row->turn_us);
    emit_figure(json, "busy", row->busy);
    emit_count(json, "dropped", row->dropped);
    emit_count(json, "restarts", row->restarts);
}

static void emit_row(json_writer_t *json, const top_table_t *self, const top_row_t *row)
{
    emit_object_begin(json);
    emit_key(json, "name");
    emit_string(json, row->name);
    emit_key(json, "cell");
    emit_string(json, row->cell);
    if (self->each) {
        emit_count(json, "slot", row->slot);
        emit_count(json, "generation", row->generation);
    } else {
        emit_count(json, "count", row->count);
    }
    emit_figures(json, row);
    emit_object_end(json);
}

void top_table_emit(const top_table_t *self, json_writer_t *json)
{
    emit_object_begin(json);
    emit_key(json, "name");
    emit_string(json, self->node);
    emit_count(json, "uptime_us", (uint64_t)self->uptime_us);
    emit_key(json, "total");
    emit_object_begin(json);
    emit_count(json, "count", self->total.count);
    emit_count(json, "hidden", self->hidden);
    emit_figures(json, &self->total);
    emit_object_end(json);
    emit_key(json, "actors");
    emit_array_begin(json);
    for (size_t i = 0; i < self->count; i++) {
        emit_row(json, self, &self->rows[i]);
    }
    emit_array_end(json);
    emit_object_end(json);
}
