/* `capstan status`: asks a node for its state and prints it, as it came or as tables.
 *
 * The tables are made from the answer's form, not from a list of its members: what a newer node
 * adds is shown by an older program too.
 *
 *   {"node": "..", "topics": [{"topic": "orders", "held": 0, "gaps": []}], "journal": {..}}
 *     member with one value      -> a line
 *     object                     -> a heading and its lines
 *     array of objects           -> a heading and a table; arrays within a row follow it */
#include "cli/cli.h"
#include "cli/failed.h"
#include "cli/options.h"
#include "cli/table.h"

#include "brokers/peer/peer.h"
#include "node/census.h"
#include "runtime/base/json_writer.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ANSWER_TIMEOUT_US  INT64_C(10000000)
#define CONNECT_TIMEOUT_US INT64_C(5000000)
/* Rows of one table, and nesting, that a person may want to see. */
#define ROWS_MAX    64
#define DEPTH_MAX   8
#define COLUMNS_MAX 24
/* 2001: below it, microseconds are a duration, above it a date. */
#define DATE_US INT64_C(1000000000000000)

static const char *text_of_duration(int64_t us, char *text, size_t size)
{
    int64_t seconds = us / 1000000;
    if (seconds < 60) {
        snprintf(text, size, "%.3f s", (double)us / 1e6);
    } else if (seconds < 3600) {
        snprintf(text, size, "%" PRId64 " min %" PRId64 " s", seconds / 60, seconds % 60);
    } else {
        snprintf(text, size, "%" PRId64 " h %" PRId64 " min", seconds / 3600, seconds / 60 % 60);
    }
    return text;
}

static const char *text_of_date(int64_t us, char *text, size_t size)
{
    time_t seconds = (time_t)(us / 1000000);
    struct tm utc;
    if (!gmtime_r(&seconds, &utc) || strftime(text, size, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) {
        snprintf(text, size, "%" PRId64, us);
    }
    return text;
}

static bool ends_in_us(const char *key)
{
    size_t size = strlen(key);
    return size > 3 && strcmp(key + size - 3, "_us") == 0;
}

/* A member's name as a person reads it: the unit is with the value. */
static slice_t label_of(const char *key)
{
    return slice_of(key, strlen(key) - (ends_in_us(key) ? strlen("_us") : 0));
}

static bool is_single(const json_t *value)
{
    return !json_is_object(value) && !json_is_array(value);
}

/* A value as a person reads it; members in microseconds become a duration or a date. */
static slice_t text_of(const char *key, const json_t *value, char *text, size_t size)
{
    if (json_is_string(value)) {
        return slice_of(json_string_value(value), json_string_length(value));
    }
    if (json_is_integer(value) && ends_in_us(key)) {
        int64_t us = json_integer_value(value);
        return slice_text(us >= DATE_US ? text_of_date(us, text, size)
                                        : text_of_duration(us, text, size));
    }
    if (json_is_integer(value)) {
        snprintf(text, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_real(value)) {
        snprintf(text, size, "%g", json_real_value(value));
    } else {
        snprintf(text, size, "%s", json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "-");
    }
    return slice_text(text);
}

static void cell(table_t *table, const char *key, const json_t *value)
{
    char text[64];
    table_cell(table, text_of(key, value, text, sizeof text));
}

/* The members that can be columns, in the order in which the rows bring them. */
static size_t gather_columns(const json_t *rows, const char **ret_columns)
{
    size_t count = 0;
    size_t index;
    const json_t *row;
    json_array_foreach(rows, index, row)
    {
        const char *key;
        const json_t *value;
        json_object_foreach((json_t *)row, key, value)
        {
            size_t i = 0;
            while (i < count && strcmp(ret_columns[i], key) != 0) {
                i++;
            }
            if (i == count && count < COLUMNS_MAX && is_single(value)) {
                ret_columns[count++] = key;
            }
        }
    }
    return count;
}

static void print_rows(const json_t *rows, int indent)
{
    const char *columns[COLUMNS_MAX];
    table_t table = {.columns = gather_columns(rows, columns)};
    for (size_t i = 0; i < table.columns; i++) {
        table_cell(&table, label_of(columns[i]));
    }
    size_t index;
    const json_t *row;
    json_array_foreach(rows, index, row)
    {
        for (size_t i = 0; index < ROWS_MAX && i < table.columns; i++) {
            cell(&table, columns[i], json_object_get(row, columns[i]));
        }
    }
    if (table.columns > 0) {
        table_print(&table, indent, stdout);
    }
    if (json_array_size(rows) > ROWS_MAX) {
        printf("%*s... and %zu more; --json has them all\n", indent, "",
               json_array_size(rows) - ROWS_MAX);
    }
    table_fini(&table);
}

static void print_object(const char *path, const json_t *object, int depth);

/* The first member with one value is taken for the row's name. */
static const char *name_of(const json_t *row, char *text, size_t size)
{
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)row, key, value)
    {
        if (is_single(value)) {
            char number[64];
            slice_t name = text_of(key, value, number, sizeof number);
            snprintf(text, size, "%.*s", (int)name.size, (const char *)name.data);
            return text;
        }
    }
    return "";
}

static void print_heading(const char *path)
{
    buffer_t safe = {0};
    emit_escaped(&safe, slice_text(path));
    printf("\n%.*s\n", (int)safe.size, (const char *)safe.data);
    buffer_fini(&safe);
}

static void print_nested(const char *path, const json_t *value, int depth)
{
    if (depth > DEPTH_MAX || json_array_size(value) + json_object_size(value) == 0) {
        return;
    }
    if (json_is_object(value)) {
        print_object(path, value, depth);
        return;
    }
    print_heading(path);
    if (!json_is_object(json_array_get(value, 0))) {
        size_t index;
        const json_t *item;
        json_array_foreach(value, index, item)
        {
            table_t line = {.columns = 1};
            cell(&line, "", item);
            table_print(&line, 2, stdout);
            table_fini(&line);
        }
        return;
    }
    print_rows(value, 2);
    size_t index;
    const json_t *row;
    json_array_foreach(value, index, row)
    {
        const char *key;
        const json_t *member;
        json_object_foreach((json_t *)row, key, member)
        {
            char name[64];
            char nested[256];
            snprintf(nested, sizeof nested, "%s %s, %s", path, name_of(row, name, sizeof name),
                     key);
            print_nested(nested, member, depth + 1);
        }
    }
}

/* Counters of which none has counted yet: one line says as much as a screen of zeros. */
static bool is_all_zero(const json_t *object)
{
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        if (!json_is_integer(value) || json_integer_value(value) != 0) {
            return false;
        }
    }
    return true;
}

/* The lines of the members with one value, then what is nested. */
static void print_object(const char *path, const json_t *object, int depth)
{
    if (depth > 1 && is_all_zero(object)) {
        print_heading(path);
        printf("  all 0\n");
        return;
    }
    table_t table = {.columns = 2};
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        if (is_single(value)) {
            table_cell(&table, label_of(key));
            cell(&table, key, value);
        }
    }
    if (*path && table.cells > 0) {
        print_heading(path);
    }
    table_print(&table, *path ? 2 : 0, stdout);
    table_fini(&table);
    json_object_foreach((json_t *)object, key, value)
    {
        char nested[256];
        snprintf(nested, sizeof nested, "%s%s%s", path, *path ? " " : "", key);
        print_nested(nested, value, depth + 1);
    }
}

static int print_report(slice_t report, bool as_json)
{
    json_error_t error;
    json_t *root = json_loadb(report.data, report.size, 0, &error);
    if (!json_is_object(root)) {
        json_decref(root);
        return cli_failed("status", CAPSTAN_E_MALFORMED, "the node's answer is no JSON object");
    }
    if (as_json) {
        printf("%.*s\n", (int)report.size, (const char *)report.data);
    } else {
        print_object("", root, 0);
    }
    json_decref(root);
    return EXIT_DONE;
}

/* Both reports have one member, the JSON text; it lives until the next request. */
static capstan_err_t ask(peer_t *peer, bool actors, slice_t *ret_json, char *ret_text,
                         size_t text_size)
{
    const status_t whole = {.empty_ = 0};
    const actors_t each = {.each = true, .sort = ACTOR_SORT_name, .limit = CENSUS_ROWS_MAX};
    slice_t body;
    capstan_err_t err = peer_request(peer, actors ? actors_wire() : status_wire(),
                                     actors ? (const void *)&each : (const void *)&whole,
                                     actors ? actors_report_wire() : status_report_wire(),
                                     ANSWER_TIMEOUT_US, &body, ret_text, text_size);
    if (err == CAPSTAN_OK && !codec_peek_slice(body, 1, ret_json)) {
        err = CAPSTAN_E_MALFORMED;
        snprintf(ret_text, text_size,
                 "the node's answer cannot be read; use the program's version that the node has");
    }
    return err;
}

static int show_status(peer_t *peer, bool actors, bool as_json)
{
    char text[1024] = "";
    slice_t json;
    capstan_err_t err = ask(peer, actors, &json, text, sizeof text);
    return err == CAPSTAN_OK ? print_report(json, as_json) : cli_failed("status", err, text);
}

int cli_status(int argc, char **argv)
{
    const char *to = NULL;
    bool actors = false;
    bool as_json = false;
    const option_t options[] = {
        OPTION_TO(&to),
        {.name = "actors",
         .type = OPTION_FLAG,
         .target.flag = &actors,
         .meaning = "only the actors, each in a row of its own"},
        {.name = "json",
         .type = OPTION_FLAG,
         .target.flag = &as_json,
         .meaning = "print the node's answer as it came: one JSON object in one line"},
    };
    const command_line_t line = {
        .usage = "capstan status [--to ENDPOINT] [--actors] [--json]",
        .summary =
            "Shows what a node is doing: its topics with held events, open gaps and groups\n"
            "(members, what they hold, how far the group is behind, what is parked), sessions,\n"
            "the journal, whether each cell makes progress, the balance of the actors' mailboxes,\n"
            "those of a name and cell in one row (sent = delivered + dropped + in flight), and\n"
            "metrics (`capstan help metrics`).",
        .examples = "  capstan status\n"
                    "  capstan status --to tcp://127.0.0.1:7701 --json | jq .topics\n",
        .options = options,
        .count = OPTION_COUNT(options)};
    int status = options_parse(&line, argc, argv, NULL);
    if (status != OPTIONS_RUN) {
        return status;
    }
    peer_t *peer;
    char text[1024] = "";
    capstan_err_t err =
        peer_connect(&(peer_options_t){.endpoint = to, .connect_timeout_us = CONNECT_TIMEOUT_US},
                     &(peer_handlers_t){.context = NULL}, &peer, text, sizeof text);
    if (err != CAPSTAN_OK) {
        return cli_failed("status", err, text);
    }
    status = show_status(peer, actors, as_json);
    peer_close(&peer, 0);
    return status;
}
