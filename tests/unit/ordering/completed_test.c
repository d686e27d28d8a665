/* The compressed set of completed offsets, against the plain one. */
#include "actors/ordering/completed.h"
#include "runtime/simulation/random.h"

#include <criterion/criterion.h>

enum { OFFSETS = 300 };

typedef struct plain {
    bool done[OFFSETS + 2];
} plain_t;

static void check_same(const completed_t *set, const plain_t *plain)
{
    uint64_t ranges = 0;
    uint64_t frontier = 0;
    while (plain->done[frontier + 1]) {
        frontier++;
    }
    cr_assert_eq(set->frontier, frontier);
    for (uint64_t offset = 1; offset <= OFFSETS; offset++) {
        cr_assert_eq(completed_has(set, offset), plain->done[offset]);
        ranges += offset > frontier && plain->done[offset] && !plain->done[offset - 1];
    }
    cr_assert_eq(set->count, ranges);
}

Test(completed, is_the_same_as_a_plain_set_of_offsets)
{
    random_source_t random = {.state = 7};
    for (int run = 0; run < 300; run++) {
        completed_t set = {0};
        plain_t plain = {0};
        uint64_t widest = 1 + random_below(&random, 20);
        for (int i = 0; i < 150; i++) {
            uint64_t first = 1 + random_below(&random, OFFSETS);
            uint64_t last = first + random_below(&random, widest);
            last = last < OFFSETS ? last : OFFSETS;
            completed_add(&set, first, last);
            for (uint64_t offset = first; offset <= last; offset++) {
                plain.done[offset] = true;
            }
            check_same(&set, &plain);
            uint64_t removed = 1 + random_below(&random, OFFSETS);
            if (random_below(&random, 2) == 0) {
                completed_remove(&set, removed);
                plain.done[removed] = false;
                check_same(&set, &plain);
            }
        }
        completed_fini(&set);
    }
}

Test(completed, holds_one_range_however_much_is_completed_in_order)
{
    completed_t set = {0};
    completed_add(&set, 2, 2);
    for (uint64_t offset = 3; offset < 100000; offset++) {
        completed_add(&set, offset, offset);
    }
    cr_assert_eq(set.count, 1);
    cr_assert_eq(set.frontier, 0);
    completed_add(&set, 1, 1);
    cr_assert_eq(set.count, 0);
    cr_assert_eq(set.frontier, 99999);
    completed_fini(&set);
}

Test(completed, is_joined_with_another_in_any_order)
{
    completed_t one = {0};
    completed_t other = {0};
    completed_add(&one, 5, 6);
    completed_add(&other, 1, 4);
    completed_add(&other, 9, 9);
    completed_add_all(&one, &other);
    completed_add_all(&one, &other);
    cr_assert_eq(one.frontier, 6);
    cr_assert_eq(one.count, 1);
    completed_fini(&one);
    completed_fini(&other);
}
