/* The set of an actor's links, compared with a plain array over random changes. */
#include "runtime/links.h"

#include "runtime/simulation/random.h"

#include <criterion/criterion.h>

enum { REFS = 200, STEPS = 200000 };

static uint32_t model[REFS];

static capstan_ref_t ref_of(uint64_t number)
{
    return (capstan_ref_t){.slot = (uint32_t)(number % 50),
                           .generation = (uint32_t)(number / 50) + 1};
}

static void check_all(const links_t *links)
{
    size_t entries = 0;
    uint32_t count = 0;
    for (uint64_t i = 0; i < REFS; i++) {
        cr_assert_eq(links_find(links, ref_of(i)), model[i]);
        count += model[i] != 0;
    }
    size_t position = 0;
    while (links_next(links, &position)) {
        entries++;
    }
    cr_assert_eq(entries, count);
    cr_assert_eq(links->count, count);
    cr_assert(count > 0 || links->entries == NULL, "an empty set has no memory");
}

Test(links, hold_what_was_added_and_not_removed)
{
    random_source_t random = {.state = 1};
    links_t links = {0};
    for (int i = 0; i < STEPS; i++) {
        /* The set grows and shrinks in turns, down to nothing. */
        uint32_t bias = i / 5000 % 2 ? 300 : 700;
        uint64_t number = random_below(&random, REFS);
        uint32_t flags = 1 + (uint32_t)random_below(&random, LINK_ALL);
        if (random_chance(&random, bias)) {
            links_add(&links, ref_of(number), flags);
            model[number] |= flags;
        } else {
            flags |= bias < 500 ? LINK_ALL : 0U;
            cr_assert_eq(links_remove(&links, ref_of(number), flags), model[number]);
            model[number] &= ~flags;
        }
        if (i % 100 == 0) {
            check_all(&links);
        }
    }
    links_fini(&links);
}
