/* The table of names: found while they are there, refused when taken or unfit, freed when removed.
 */
#include "runtime/names.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

Test(names, are_found_until_they_are_removed)
{
    enum { COUNT = 1000 };
    static const uint8_t seed[16] = {7};
    names_t names;
    name_entry_t *entries[COUNT];
    char text[16];
    names_init(&names, seed);
    cr_assert_null(names_find(&names, "actor-1"));
    for (uint32_t i = 0; i < COUNT; i++) {
        snprintf(text, sizeof text, "actor-%u", i);
        cr_assert_eq(names_add(&names, text, i, &entries[i]), CAPSTAN_OK);
    }
    for (uint32_t i = 0; i < COUNT; i += 2) {
        names_remove(&names, entries[i]);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        snprintf(text, sizeof text, "actor-%u", i);
        const name_entry_t *entry = names_find(&names, text);
        cr_assert_eq(entry != NULL, i % 2 == 1);
        cr_assert(!entry || entry->slot == i);
    }
    names_fini(&names);
}

Test(names, are_refused_when_taken_or_unfit)
{
    static const uint8_t seed[16] = {7};
    char longest[NAME_BYTES_MAX + 2];
    names_t names;
    name_entry_t *entry;
    names_init(&names, seed);
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    cr_assert_eq(names_add(&names, longest, 1, &entry), CAPSTAN_E_INVALID);
    cr_assert_eq(names_add(&names, longest + 1, 1, &entry), CAPSTAN_OK);
    cr_assert_eq(names_add(&names, longest + 1, 2, &entry), CAPSTAN_E_EXISTS);
    static const char *const unfit[] = {"", "a/b", "a:b", "a b", "\xc3\xa4", "a\n"};
    for (size_t i = 0; i < sizeof unfit / sizeof unfit[0]; i++) {
        cr_assert_eq(names_add(&names, unfit[i], 1, &entry), CAPSTAN_E_INVALID, "%s", unfit[i]);
    }
    names_fini(&names);
}
