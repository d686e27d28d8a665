/* Goal: rates are what has happened between two reports, rows fit the screen whatever is in them,
 * and what cannot be a report is refused. */
#include "cli/top_table.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static capstan_err_t take(top_table_t *table, const char *text)
{
    json_t *root = json_loads(text, 0, NULL);
    capstan_err_t err = top_table_take(table, root);
    json_decref(root);
    return err;
}

#define REPORT(uptime, rows, count, delivered)                                                     \
    "{\"name\":\"n\",\"uptime_us\":" #uptime ",\"actors\":[" rows "],"                             \
    "\"actors_total\":{\"count\":" #count ",\"hidden\":0,\"delivered\":" #delivered "}}"
#define ROW(name, slot, delivered, busy, runs)                                                     \
    "{\"name\":\"" name "\",\"cell\":\"c\",\"slot\":" #slot                                        \
    ",\"generation\":1,\"delivered\":" #delivered                                                  \
    ",\"in_flight\":5,\"age_us\":1500,\"busy_ns\":" #busy ",\"runs\":" #runs                       \
    ",\"dropped\":2,\"restarts\":1}"

static const top_row_t *row_of(const top_table_t *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(table->rows[i].name, name) == 0) {
            return &table->rows[i];
        }
    }
    cr_assert(false, "no row of %s", name);
    return NULL;
}

Test(top_table, has_the_rates_between_two_reports)
{
    top_table_t table = {0};
    cr_assert_eq(
        take(&table, REPORT(1000000, ROW("a", 1, 100, 0, 0) "," ROW("b", 2, 7, 500, 1), 2, 107)),
        CAPSTAN_OK);
    cr_assert(row_of(&table, "a")->rate < 0, "one report has no rates");
    top_table_sort(&table, ACTOR_SORT_rate);
    cr_assert_eq(take(&table, REPORT(3000000,
                                     ROW("b", 2, 7, 500, 1) "," ROW(
                                         "a", 1, 1100, 500000000, 250) "," ROW("new", 3, 50, 0, 0),
                                     3, 1157)),
                 CAPSTAN_OK);
    cr_assert_float_eq(row_of(&table, "a")->rate, 500, 1e-9);
    cr_assert_float_eq(row_of(&table, "a")->busy, 0.25, 1e-9);
    cr_assert_float_eq(row_of(&table, "a")->turn_us, 2000, 1e-9);
    cr_assert_float_eq(row_of(&table, "b")->rate, 0, 1e-9);
    cr_assert(row_of(&table, "b")->turn_us < 0, "it had no turn");
    cr_assert(row_of(&table, "new")->rate < 0, "it was not there before");
    cr_assert_float_eq(table.total.rate, 525, 1e-9);
    top_table_sort(&table, ACTOR_SORT_rate);
    cr_assert_str_eq(table.rows[0].name, "a");
    cr_assert_str_eq(table.rows[2].name, "new");
    top_table_sort(&table, ACTOR_SORT_name);
    cr_assert_str_eq(table.rows[2].name, "new");
    top_table_fini(&table);
}

/* A group shrinks when some of it end, and a node that was started again begins anew. */
Test(top_table, shows_no_negative_rates)
{
    top_table_t table = {0};
    cr_assert_eq(take(&table, REPORT(5000000, ROW("a", 1, 100, 900, 9), 1, 100)), CAPSTAN_OK);
    cr_assert_eq(take(&table, REPORT(6000000, ROW("a", 1, 40, 100, 1), 1, 40)), CAPSTAN_OK);
    cr_assert_float_eq(table.rows[0].rate, 0, 1e-9);
    cr_assert_float_eq(table.total.rate, 0, 1e-9);
    cr_assert_eq(take(&table, REPORT(1000000, ROW("a", 1, 10, 0, 0), 1, 10)), CAPSTAN_OK);
    cr_assert(table.rows[0].rate < 0);
    top_table_fini(&table);
}

Test(top_table, refuses_what_is_no_report_and_stays_as_it_was)
{
    static const char *const texts[] = {"[]", "{}", "{\"actors\":[]}",
                                        "{\"actors\":{},\"actors_total\":{}}", "null"};
    top_table_t table = {0};
    cr_assert_eq(take(&table, REPORT(1, ROW("a", 1, 1, 1, 1), 1, 1)), CAPSTAN_OK);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        cr_assert_eq(take(&table, texts[i]), CAPSTAN_E_MALFORMED, "%s", texts[i]);
        cr_assert_eq(table.count, 1);
    }
    cr_assert_eq(top_table_take(&table, NULL), CAPSTAN_E_MALFORMED);
    /* Members of other types read as nothing. */
    cr_assert_eq(take(&table, "{\"actors\":[1,\"x\",{\"name\":7,\"delivered\":-5}],"
                              "\"actors_total\":{}}"),
                 CAPSTAN_OK);
    cr_assert_eq(table.count, 3);
    cr_assert_eq(table.rows[2].delivered, 0);
    top_table_fini(&table);
}

/* Prints into lines; returns how many there are. */
static size_t print(const top_table_t *table, const top_view_t *view, char lines[64][256])
{
    buffer_t text = {0};
    size_t count = 0;
    top_table_print(table, view, &text);
    buffer_append(&text, "", 1);
    for (char *rest = (char *)text.data, *line; (line = strsep(&rest, "\n")) && rest; count++) {
        cr_assert(count < 64);
        snprintf(lines[count], 256, "%s", line);
    }
    buffer_fini(&text);
    return count;
}

static top_table_t many(size_t count)
{
    top_table_t table = {.node = "node", .uptime_us = 90000000, .count = count, .hidden = 3};
    table.rows = calloc(count, sizeof *table.rows);
    for (size_t i = 0; i < count; i++) {
        table.rows[i] = (top_row_t){.count = 123456789,
                                    .rate = 98765432.1,
                                    .depth = 1234567,
                                    .age_us = 5400000000,
                                    .turn_us = 1234.5,
                                    .busy = 0.9999,
                                    .dropped = 99999,
                                    .restarts = 12345};
        snprintf(table.rows[i].name, sizeof table.rows[i].name,
                 i % 2 ? "a.name.that.is.longer.than.the.column" : "\x1b[2J\xff\xff");
        snprintf(table.rows[i].cell, sizeof table.rows[i].cell, "a-cell-with-a-long-name");
    }
    return table;
}

Test(top_table, fits_the_screen_whatever_is_in_it)
{
    static const size_t widths[] = {40, 60, 80, 200};
    top_table_t table = many(100);
    char lines[64][256];
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
        for (size_t height = 1; height < 60; height++) {
            size_t count = print(
                &table,
                &(top_view_t){
                    .sort = ACTOR_SORT_age, .width = widths[w], .lines = height, .keys = true},
                lines);
            cr_assert_eq(count, height);
            for (size_t i = 0; i < count; i++) {
                cr_assert(strlen(lines[i]) <= widths[w], "%s", lines[i]);
                cr_assert_null(strchr(lines[i], '\x1b'));
            }
        }
    }
    top_table_fini(&table);
}

Test(top_table, has_a_line_for_keys_a_heading_and_figures_in_their_columns)
{
    top_table_t table = many(2);
    char lines[64][256];
    size_t count = print(
        &table, &(top_view_t){.sort = ACTOR_SORT_depth, .width = 80, .lines = 24, .keys = true},
        lines);
    cr_assert_eq(count, 6);
    cr_assert_not_null(strstr(lines[0], "node  up 1.5m"));
    cr_assert_str_eq(lines[1], "r rate [d depth] a age t turn b busy x dropped s restarts n name "
                               "e each q end");
    cr_assert_str_eq(
        lines[2],
        "NAME                   N CELL           MSG/S DEPTH   AGE  TURN BUSY DROPS   RST");
    cr_assert_str_eq(
        lines[4],
        "a.name.that.is.lon  123M a-cell-with-a- 98.8M  1.2M  1.5h 1.2ms 100%  100k 12.3k");
    cr_assert_str_eq(lines[5], "... and 3 more actors");
    top_table_fini(&table);
}
