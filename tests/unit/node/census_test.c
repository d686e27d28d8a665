/* Goal: the account of a node's actors balances, whatever is grouped, ordered and left out. */
#include "node/census.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>

static actor_figures_t actor(const char *name, const char *cell, uint32_t slot, uint64_t delivered)
{
    return (actor_figures_t){
        .name = name,
        .cell = cell,
        .ref = {.slot = slot, .generation = 1},
        .account = {.sent = delivered + 3,
                    .delivered = delivered,
                    .dropped = {[DROP_overflow] = 2},
                    .dropped_all = 2,
                    .refused = 1},
        .in_flight = 1,
        .restarts = slot % 2,
        .age_us = slot,
        .busy_ns = 1000 * delivered,
        .runs = 10,
    };
}

static void add(census_t *census, const char *name, const char *cell, uint32_t slot,
                uint64_t delivered)
{
    actor_figures_t figures = actor(name, cell, slot, delivered);
    census_add(census, &figures);
}

/* Emits and frees. */
static json_t *report(census_t **census)
{
    buffer_t text = {0};
    json_writer_t json = json_writer(&text);
    emit_object_begin(&json);
    census_emit(*census, &json);
    emit_object_end(&json);
    json_t *root = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, NULL);
    cr_assert_not_null(root);
    buffer_fini(&text);
    census_destroy(census);
    return root;
}

static json_int_t figure(const json_t *row, const char *name)
{
    const json_t *value = json_object_get(row, name);
    cr_assert(json_is_integer(value), "%s", name);
    return json_integer_value(value);
}

static void check_balance(const json_t *row)
{
    cr_expect_eq(figure(row, "sent"),
                 figure(row, "delivered") + figure(row, "dropped") + figure(row, "in_flight"));
    cr_expect_eq(figure(json_object_get(row, "dropped_by"), "overflow"), figure(row, "dropped"));
}

static const json_t *row_at(const json_t *root, size_t index)
{
    const json_t *row = json_array_get(json_object_get(root, "actors"), index);
    cr_assert_not_null(row);
    return row;
}

static const char *name_at(const json_t *root, size_t index)
{
    return json_string_value(json_object_get(row_at(root, index), "name"));
}

Test(census, makes_one_row_of_the_actors_of_a_name_and_cell)
{
    census_t *census = census_new(&(census_options_t){.with_times = true});
    add(census, "worker", "a", 1, 10);
    add(census, "worker", "b", 2, 500);
    add(census, "worker", "a", 3, 20);
    add(census, "other", "a", 4, 1);
    json_t *root = report(&census);
    cr_assert_eq(json_array_size(json_object_get(root, "actors")), 3);
    const json_t *row = row_at(root, 1); /* behind the busiest one */
    cr_assert_str_eq(name_at(root, 1), "worker");
    cr_assert_str_eq(json_string_value(json_object_get(row, "cell")), "a");
    cr_assert_eq(figure(row, "count"), 2);
    cr_assert_eq(figure(row, "delivered"), 30);
    cr_assert_eq(figure(row, "refused"), 2);
    cr_assert_eq(figure(row, "restarts"), 2);
    cr_assert_eq(figure(row, "age_us"), 3, "the oldest of all");
    cr_assert_eq(figure(row, "busy_ns"), 30000);
    cr_assert_eq(figure(row, "runs"), 20);
    for (size_t i = 0; i < 3; i++) {
        check_balance(row_at(root, i));
    }
    const json_t *total = json_object_get(root, "actors_total");
    check_balance(total);
    cr_assert_eq(figure(total, "count"), 4);
    cr_assert_eq(figure(total, "hidden"), 0);
    json_decref(root);
}

/* Each of many actors by itself: the first ones of every order are those that a full sort finds. */
Test(census, keeps_the_rows_that_come_first_and_counts_the_others)
{
    enum { ACTORS = 1000, LIMIT = 7 };
    static const struct {
        uint64_t sort;
        uint32_t first; /* its slot */
    } orders[] = {{ACTOR_SORT_rate, 617}, {ACTOR_SORT_age, 999}, {ACTOR_SORT_busy, 617}, {99, 617}};
    for (size_t o = 0; o < sizeof orders / sizeof orders[0]; o++) {
        census_t *census =
            census_new(&(census_options_t){.each = true, .sort = orders[o].sort, .limit = LIMIT});
        for (uint32_t i = 0; i < ACTORS; i++) {
            add(census, "worker", "a", i, i * 7919 % 10007 + (i == 617 ? 20000 : 0));
        }
        json_t *root = report(&census);
        cr_assert_eq(json_array_size(json_object_get(root, "actors")), LIMIT);
        cr_assert_eq(figure(row_at(root, 0), "slot"), orders[o].first);
        const char *by = orders[o].sort == ACTOR_SORT_age ? "age_us" : "delivered";
        for (size_t i = 1; i < LIMIT; i++) {
            cr_assert(figure(row_at(root, i - 1), by) >= figure(row_at(root, i), by));
        }
        json_int_t least = figure(row_at(root, LIMIT - 1), by);
        size_t above = 0;
        for (uint32_t i = 0; i < ACTORS; i++) {
            json_int_t delivered = i * 7919 % 10007 + (i == 617 ? 20000 : 0);
            above += (orders[o].sort == ACTOR_SORT_age ? (json_int_t)i : delivered) > least;
        }
        cr_assert(above < LIMIT, "%zu are above the last row", above);
        cr_assert_eq(figure(json_object_get(root, "actors_total"), "hidden"), ACTORS - LIMIT);
        check_balance(json_object_get(root, "actors_total"));
        json_decref(root);
    }
}

Test(census, bounds_the_groups_it_keeps)
{
    census_t *census =
        census_new(&(census_options_t){.sort = ACTOR_SORT_name, .limit = CENSUS_ROWS_MAX + 1});
    char name[32];
    for (uint32_t i = 0; i < CENSUS_GROUPS_MAX + 500; i++) {
        snprintf(name, sizeof name, "actor-%06u", i);
        add(census, name, "a", i, 1);
    }
    json_t *root = report(&census);
    cr_assert_eq(json_array_size(json_object_get(root, "actors")), CENSUS_ROWS_MAX);
    cr_assert_str_eq(name_at(root, 0), "actor-000000");
    cr_assert_str_eq(name_at(root, 1), "actor-000001");
    const json_t *total = json_object_get(root, "actors_total");
    cr_assert_eq(figure(total, "count"), CENSUS_GROUPS_MAX + 500);
    cr_assert_eq(figure(total, "hidden"), CENSUS_GROUPS_MAX + 500 - CENSUS_ROWS_MAX);
    json_decref(root);
}

Test(census, of_nobody_is_an_empty_table)
{
    census_t *census = census_new(&(census_options_t){.each = true, .limit = 1});
    json_t *root = report(&census);
    cr_assert_eq(json_array_size(json_object_get(root, "actors")), 0);
    cr_assert_eq(figure(json_object_get(root, "actors_total"), "count"), 0);
    json_decref(root);
}
