/* Which tables of a user's a node takes, and what it says of those that it does not. */
#include "brokers/gateway/gateway_messages.h"
#include "node/tables.h"
#include "runtime/registry.h"
#include "tests/kit/shop_messages.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* A function that returns a descriptor of the head and the fields that follow. */
#define ROW(function, head_, ...)                                                                  \
    static const wire_record_t *function(void)                                                     \
    {                                                                                              \
        static const wire_field_t fields[] = {__VA_ARGS__};                                        \
        static const wire_record_t head = head_;                                                   \
        static wire_record_t record;                                                               \
        static bool ready;                                                                         \
        return capstan_record_once(&record, &ready, &head, fields,                                 \
                                   sizeof fields / sizeof fields[0] - 1);                          \
    }
#define HEAD(id_, name_, kind_, size_, resource_)                                                  \
    {                                                                                              \
        .id = (id_), .kind = CAPSTAN_KIND_##kind_, .since = 1, .size = (size_), .name = (name_),   \
        .permission = "", .resource_key = (resource_), .meaning = "a test"                         \
    }
#define UINT(key_, offset_)                                                                        \
    {                                                                                              \
        .key = (key_), .type = CAPSTAN_TYPE_UINT, .since = 1, .offset = (offset_),                 \
        .name = "field" #key_, .meaning = "a test"                                                 \
    }
#define LIST(record_)                                                                              \
    {                                                                                              \
        .key = 1, .type = CAPSTAN_TYPE_LIST, .since = 1, .name = "list", .meaning = "a test",      \
        .record = (record_)                                                                        \
    }
#define LAST                                                                                       \
    {                                                                                              \
        0                                                                                          \
    }

/* The macro's arguments have commas. */
#define SPREAD(...) __VA_ARGS__

ROW(good, SPREAD(HEAD(0x9000, "good", EVENT, 24, "field1")), UINT(1, 8), UINT(127, 16), LAST)
ROW(good_record, SPREAD(HEAD(0x9001, "good_record", RECORD, 16, "")), UINT(1, 8), LAST)
ROW(lists_record, SPREAD(HEAD(0x9002, "lists", EVENT, 16, "")), LIST(good_record), LAST)
ROW(of_capstan, SPREAD(HEAD(0x7fff, "mine", EVENT, 16, "")), UINT(1, 8), LAST)
ROW(no_id, SPREAD(HEAD(0, "mine", EVENT, 16, "")), UINT(1, 8), LAST)
ROW(an_error, SPREAD(HEAD(0x9000, "mine", ERROR, 16, "")), UINT(1, 8), LAST)
ROW(same_id, SPREAD(HEAD(0x9000, "other", REQUEST, 16, "")), UINT(1, 8), LAST)
ROW(same_name, SPREAD(HEAD(0x9009, "good", REQUEST, 16, "")), UINT(1, 8), LAST)
ROW(name_of_capstan, SPREAD(HEAD(0x9000, "publish", EVENT, 16, "")), UINT(1, 8), LAST)
ROW(descending, SPREAD(HEAD(0x9000, "mine", EVENT, 24, "")), UINT(2, 8), UINT(1, 16), LAST)
ROW(twice, SPREAD(HEAD(0x9000, "mine", EVENT, 24, "")), UINT(1, 8), UINT(1, 16), LAST)
ROW(key_0, SPREAD(HEAD(0x9000, "mine", EVENT, 16, "")), UINT(0, 8), LAST)
ROW(key_128, SPREAD(HEAD(0x9000, "mine", EVENT, 16, "")), UINT(128, 8), LAST)
ROW(outside, SPREAD(HEAD(0x9000, "mine", EVENT, 16, "")), UINT(1, 16), LAST)
ROW(no_resource, SPREAD(HEAD(0x9000, "mine", EVENT, 16, "shelf")), UINT(1, 8), LAST)
ROW(list_of_nothing, SPREAD(HEAD(0x9000, "mine", EVENT, 16, "")), LIST(NULL), LAST)
ROW(list_of_unknown, SPREAD(HEAD(0x9000, "mine", EVENT, 16, "")), LIST(shop_item_wire), LAST)
ROW(list_of_message, SPREAD(HEAD(0x9003, "mine", EVENT, 16, "")), LIST(good), LAST)
ROW(nameless, SPREAD(HEAD(0x9000, NULL, EVENT, 16, "")), UINT(1, 8), LAST)

static table_list_t built_in(void)
{
    table_list_t list;
    list.tables = node_tables(&list.count);
    return list;
}

static capstan_err_t add(registry_t *registry, const wire_record_t *(*const *rows)(void),
                         size_t count, char text[static 256])
{
    /* Some tests expect to fail, others keep the table until they end. */
    wire_table_t *table = calloc(1, sizeof *table);
    *table = (wire_table_t){.concern = "test", .records = rows, .count = count};
    capstan_err_t err = registry_add(registry, table, built_in(), text, 256);
    if (err) {
        free(table);
    }
    return err;
}

static void check_refused(const wire_record_t *(*row)(void), capstan_err_t err, const char *says)
{
    registry_t registry;
    char text[256] = "";
    const wire_record_t *(*rows[])(void) = {good_record, row};
    registry_init(&registry);
    cr_assert_eq(add(&registry, rows, 2, text), err, "%s", says);
    cr_assert(strstr(text, says), "\"%s\" does not say \"%s\"", text, says);
    cr_assert_eq(registry_count(&registry), 0);
    registry_fini(&registry);
}

Test(registry, refuses_what_cannot_be_used_and_says_why)
{
    check_refused(of_capstan, CAPSTAN_E_INVALID, "mine: id 0x7fff is one of Capstan's own");
    check_refused(no_id, CAPSTAN_E_INVALID, "mine: the row is not complete");
    check_refused(nameless, CAPSTAN_E_INVALID, "the row is not complete");
    check_refused(an_error, CAPSTAN_E_INVALID, "mine: kind ERROR");
    check_refused(descending, CAPSTAN_E_INVALID, "mine: keys must be 1 to 127 and ascend");
    check_refused(twice, CAPSTAN_E_INVALID, "mine: keys must be 1 to 127 and ascend");
    check_refused(key_0, CAPSTAN_E_INVALID, "mine: keys must be 1 to 127 and ascend");
    check_refused(key_128, CAPSTAN_E_INVALID, "mine: keys must be 1 to 127 and ascend");
    check_refused(outside, CAPSTAN_E_INVALID, "mine: a field lies outside its struct");
    check_refused(no_resource, CAPSTAN_E_INVALID, "mine: resource_key names no field");
    check_refused(list_of_nothing, CAPSTAN_E_INVALID, "LIST_FIELD");
    check_refused(list_of_unknown, CAPSTAN_E_INVALID, "mine: field list lists what is no RECORD");
    check_refused(name_of_capstan, CAPSTAN_E_EXISTS, "publish: table ordering has a row of that");
}

static void check_clash(const wire_record_t *(*row)(void), capstan_err_t err, const char *says)
{
    registry_t registry;
    char text[256] = "";
    const wire_record_t *(*rows[])(void) = {good, row};
    registry_init(&registry);
    cr_assert_eq(add(&registry, rows, 2, text), err, "%s", says);
    cr_assert(strstr(text, says), "\"%s\" does not say \"%s\"", text, says);
    registry_fini(&registry);
}

Test(registry, refuses_an_id_or_a_name_that_is_given_twice)
{
    check_clash(same_id, CAPSTAN_E_EXISTS, "other: id 0x9000 is that of good in table test");
    check_clash(same_name, CAPSTAN_E_EXISTS, "good: table test has a row of that name");
    check_clash(list_of_message, CAPSTAN_E_INVALID, "no RECORD");
}

Test(registry, takes_tables_and_keeps_their_order)
{
    registry_t registry;
    char text[256] = "";
    static const wire_record_t *(*const rows[])(void) = {good, good_record, lists_record};
    static const wire_table_t mine = {.concern = "mine", .records = rows, .count = 3};
    registry_init(&registry);
    cr_assert_eq(registry_add(&registry, &shop_table, built_in(), text, sizeof text), CAPSTAN_OK,
                 "%s", text);
    cr_assert_eq(registry_add(&registry, &mine, built_in(), NULL, 0), CAPSTAN_OK);
    cr_assert_eq(registry_add(&registry, &shop_table, built_in(), text, sizeof text),
                 CAPSTAN_E_EXISTS);
    cr_assert_str_eq(text, "table shop: a table of that name exists");

    size_t count;
    const wire_table_t **all = registry_all(&registry, built_in(), &count);
    cr_assert_eq(count, built_in().count + 2);
    cr_assert(all[0] == built_in().tables[0] && all[count - 2] == &shop_table);
    cr_assert_eq(all[count - 1], &mine);
    free(all);
    registry_fini(&registry);
}

/* Goal: a table may list the records of another one that is registered. */
Test(registry, a_list_may_name_a_record_of_a_registered_table)
{
    registry_t registry;
    char text[256] = "";
    static const wire_record_t *(*const rows[])(void) = {list_of_unknown};
    static const wire_table_t mine = {.concern = "mine", .records = rows, .count = 1};
    registry_init(&registry);
    cr_assert_eq(registry_add(&registry, &mine, built_in(), text, sizeof text), CAPSTAN_E_INVALID);
    cr_assert_eq(registry_add(&registry, &shop_table, built_in(), text, sizeof text), CAPSTAN_OK);
    cr_assert_eq(registry_add(&registry, &mine, built_in(), text, sizeof text), CAPSTAN_OK);
    registry_fini(&registry);
}

Test(registry, the_tables_of_capstan_itself_are_sound)
{
    for (size_t i = 0; i < built_in().count; i++) {
        const wire_table_t *table = built_in().tables[i];
        for (size_t j = 0; j < table->count; j++) {
            const wire_record_t *row = table->records[j]();
            cr_assert_null(row->wrong, "%s: %s", row->name, row->wrong);
        }
    }
}

Test(registry, knows_the_names_of_messages_but_not_of_records)
{
    registry_t registry;
    table_list_t built_in;
    built_in.tables = node_tables(&built_in.count);
    registry_init(&registry);
    cr_assert_str_eq(registry_name(&registry, 0xc0), "down");
    cr_assert_null(registry_name(&registry, MESSAGE_shop_closed));
    cr_assert_null(registry_name(&registry, 0));
    cr_assert_eq(registry_add(&registry, &shop_table, built_in, NULL, 0), CAPSTAN_OK);
    cr_assert_str_eq(registry_name(&registry, MESSAGE_shop_closed), "shop_closed");
    cr_assert_null(registry_name(&registry, RECORD_shop_item));
    cr_assert_null(registry_name(&registry, MESSAGE_welcome));
    registry_know(&registry, built_in);
    cr_assert_str_eq(registry_name(&registry, MESSAGE_welcome), "welcome");
    registry_fini(&registry);
}
