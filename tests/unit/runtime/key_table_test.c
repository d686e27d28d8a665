/* The table of keys: found, in the order of their last message, and freed with what was saved. */
#include "runtime/key_table.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { COUNT = 1000 };

static slice_t key_of(uint32_t *number)
{
    return slice_of(number, sizeof *number);
}

static const capstan_ref_t actor = {.slot = 1, .generation = 1};

Test(key_table, finds_each_key_until_it_is_removed)
{
    static const uint8_t seed[16] = {3};
    key_table_t table;
    key_table_init(&table, seed);
    for (uint32_t i = 0; i < COUNT; i++) {
        cr_assert_null(key_table_find(&table, key_of(&i)));
        key_entry_t *entry = key_table_add(&table, key_of(&i));
        key_entry_save(entry, malloc(10), 10);
        key_entry_save(entry, malloc(20), 20);
    }
    for (uint32_t i = 0; i < COUNT; i += 3) {
        key_table_remove(&table, key_table_find(&table, key_of(&i)));
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        const key_entry_t *entry = key_table_find(&table, key_of(&i));
        cr_assert_eq(entry != NULL, i % 3 != 0);
        cr_assert(!entry || entry->saved_size == 20);
    }
    cr_assert_eq(table.keys.count, COUNT - (COUNT + 2) / 3);
    key_table_fini(&table);
}

Test(key_table, keeps_those_that_are_awake_in_the_order_of_their_last_message)
{
    static const uint8_t seed[16] = {3};
    key_table_t table;
    key_entry_t *entries[5];
    key_table_init(&table, seed);
    for (uint32_t i = 0; i < 5; i++) {
        entries[i] = key_table_add(&table, key_of(&i));
        key_table_wake(&table, entries[i], actor, i);
    }
    key_table_wake(&table, entries[0], actor, 10); /* 1 2 3 4 0 */
    key_table_rest(&table, entries[3]);            /* 1 2 4 0 */
    key_table_remove(&table, entries[1]);          /* 2 4 0 */
    cr_assert_eq(table.awake, 3);
    cr_assert_eq(table.oldest, entries[2]);
    cr_assert_eq(table.oldest->newer, entries[4]);
    cr_assert_eq(table.newest, entries[0]);
    cr_assert_eq(table.newest->older, entries[4]);
    key_table_rest(&table, entries[3]); /* again: nothing happens */
    cr_assert_eq(table.awake, 3);
    key_table_fini(&table);
}

Test(key_table, leaves_what_is_taken_out_to_whoever_took_it)
{
    static const uint8_t seed[16] = {3};
    key_table_t table;
    uint32_t number = 7;
    key_table_init(&table, seed);
    key_entry_t *entry = key_table_add(&table, key_of(&number));
    key_entry_save(entry, malloc(10), 10);
    key_table_take(&table, entry);
    cr_assert_null(key_table_find(&table, key_of(&number)));
    cr_assert_eq(table.keys.count, 0);
    cr_assert_neq(key_table_add(&table, key_of(&number)), entry);
    cr_assert_eq(entry->saved_size, 10);
    key_entry_free(entry);
    key_entry_free(NULL);
    key_table_fini(&table);
}
