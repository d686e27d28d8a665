/* The map of references, compared with a plain array over random changes. */
#include "runtime/refs.h"

#include "runtime/simulation/random.h"

#include <criterion/criterion.h>

enum { REFS = 200, STEPS = 200000, BITS = 7 };

static uint32_t model[REFS];

static capstan_ref_t ref_of(uint64_t number)
{
    return (capstan_ref_t){.slot = (uint32_t)(number % 50),
                           .generation = (uint32_t)(number / 50) + 1};
}

static void check_all(const refs_t *refs)
{
    size_t entries = 0;
    uint32_t count = 0;
    for (uint64_t i = 0; i < REFS; i++) {
        cr_assert_eq(refs_find(refs, ref_of(i)), model[i]);
        count += model[i] != 0;
    }
    size_t position = 0;
    while (refs_next(refs, &position)) {
        entries++;
    }
    cr_assert_eq(entries, count);
    cr_assert_eq(refs->count, count);
    cr_assert(count > 0 || refs->entries == NULL, "an empty set has no memory");
}

Test(refs, hold_what_was_added_and_not_removed)
{
    random_source_t random = {.state = 1};
    refs_t refs = {0};
    for (int i = 0; i < STEPS; i++) {
        /* The set grows and shrinks in turns, down to nothing. */
        uint32_t bias = i / 5000 % 2 ? 300 : 700;
        uint64_t number = random_below(&random, REFS);
        uint32_t flags = 1 + (uint32_t)random_below(&random, BITS);
        if (random_chance(&random, bias)) {
            refs_add(&refs, ref_of(number), flags);
            model[number] |= flags;
        } else {
            flags |= bias < 500 ? BITS : 0U;
            cr_assert_eq(refs_remove(&refs, ref_of(number), flags), model[number]);
            model[number] &= ~flags;
        }
        if (i % 100 == 0) {
            check_all(&refs);
        }
    }
    refs_fini(&refs);
}
